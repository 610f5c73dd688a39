//! Any bytes as a mount table: no panic, and the answers agree with each other.
#![no_main]

use datastore_core::AbsPath;
use datastore_core::mountinfo::MountTable;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(table) = MountTable::parse(bytes) else { return };
    for mount in table.iter() {
        let _ = (mount.root(), mount.fstype(), mount.source(), mount.super_options(), mount.propagation());
        let Some(path) = mount.path() else { continue };
        // A mount point in another spelling than the kernel's is found by nobody.
        if path.as_bytes() != mount.mount_point() {
            continue;
        }
        if mount.is_visible() {
            assert_eq!(table.at(&path).map(|top| top.id()), Some(mount.id()));
            assert_eq!(table.holding(&path).map(|top| top.id()), Some(mount.id()));
            assert!(table.stacked(&path) >= 1);
            let below = table.below(&path);
            assert!(below.iter().all(|m| m.is_visible()));
            let rebased = table.clone().rebased(&path);
            assert_eq!(rebased.at(&AbsPath::root()).map(|top| top.id()), Some(mount.id()));
            assert_eq!(rebased.below(&AbsPath::root()).len(), below.len());
        }
    }
});
