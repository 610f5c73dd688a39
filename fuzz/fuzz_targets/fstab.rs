//! Any bytes as fstab: they come back as they are, and a change and its inverse give them again.
#![no_main]

use datastore_core::AbsPath;
use datastore_core::fstab::{Edit, Entry, Fstab};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let table = Fstab::parse(bytes);
    assert_eq!(table.render(), bytes);
    // One more mount point than there are; every third loses its line, the others get one of ours.
    let mut points: Vec<AbsPath> = table.entries().filter_map(|row| row.entry.mount_point()).collect();
    points.push(AbsPath::literal("/fuzz/new"));
    points.sort();
    points.dedup();
    let change = |(i, point): (usize, &AbsPath)| {
        let entry = Entry {
            spec: b"/store/data0/live/host/a b\\".into(),
            file: point.as_bytes().to_vec(),
            vfstype: b"none".into(),
            options: b"bind,nofail,X-datastore=fuzz".into(),
            freq: 0,
            passno: 0,
        };
        table.change(point, (i % 3 != 0).then_some(entry))
    };
    let edits: Vec<Edit> = points.iter().enumerate().map(change).collect();
    let Ok(after) = table.edit(&edits) else { return };
    let now = Fstab::parse(&after);
    for (i, point) in points.iter().enumerate() {
        assert_eq!(now.ours(point).is_some(), i % 3 != 0);
    }
    let back: Vec<Edit> = edits.iter().map(Edit::inverse).collect();
    assert_eq!(now.edit(&back).expect("what was just written can be taken back"), bytes);
});
