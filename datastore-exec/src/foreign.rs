//! What reads bytes of others: of the kernel, of tools, and of our own files that a crash may have damaged. For the fuzz targets (feature
//! `fuzz`): each of these is the very function that the product calls, made reachable and nothing else.

use datastore_core::AbsPath;
use datastore_core::journal::OperationId;
use datastore_core::plan::volume::Signature;
use datastore_core::usage::Usage;

use crate::sys::maps::Mapping;
use crate::sys::{ids, maps, proc};
use crate::{examine, holders, kept, lock, saved, site, tree, watch};

/// `/proc/PID/maps` (proc(5)): the files in it, as `map_files` spells their ranges.
#[must_use]
pub fn mapped(text: &[u8]) -> Vec<(String, Vec<u8>)> {
    holders::parse_maps(text)
}

/// The same text, for the files of one file system.
#[must_use]
pub fn mapped_of(text: &[u8], device: (u32, u32)) -> Vec<Mapping> {
    maps::listed(text, device)
}

/// The mount points in a mountinfo of another process (proc(5)).
#[must_use]
pub fn mount_points(table: &[u8]) -> Vec<Option<AbsPath>> {
    holders::rows(table).map(|row| row.mount_point()).collect()
}

/// `mnt_id:` of `/proc/PID/fdinfo`.
#[must_use]
pub fn mount_id(text: &[u8]) -> Option<u64> {
    proc::mnt_id_of_fdinfo(text)
}

/// Whether `flags:` of `/proc/PID/fdinfo` let something be written.
#[must_use]
pub fn open_for_writing(text: &[u8]) -> bool {
    holders::tree::open_for_writing(text)
}

/// Who holds a file by `/proc/locks`.
#[must_use]
pub fn lock_holders(text: &str, device: &str, inode: u64) -> Vec<u32> {
    lock::parse_locks(text, device, inode)
}

/// passwd(5) or group(5): every name with its number, sorted.
#[must_use]
pub fn names(text: &[u8]) -> Vec<(String, u32)> {
    let mut names: Vec<_> = ids::parse(text).by_name.into_iter().collect();
    names.sort();
    names
}

/// What blkid(8) prints of a device.
#[must_use]
pub fn signature(text: &[u8]) -> Option<Signature> {
    site::blkid::parse(text)
}

/// Whether a record of `/dev/kmsg` is a warning of the kernel.
#[must_use]
pub fn warns(record: &[u8]) -> bool {
    watch::kernel_log::warns(record)
}

/// Who is named in a POSIX ACL: the tag, the place of the number, the number.
#[must_use]
pub fn named(acl: &[u8]) -> Vec<(u16, usize, u32)> {
    tree::owners::named(acl).collect()
}

/// The operation whose temporary file it is, by its name.
#[must_use]
pub fn leftover(dir: &AbsPath, name: &[u8]) -> Option<(AbsPath, OperationId)> {
    examine::leftover(dir, name).map(|found| (found.path, found.operation))
}

/// A kept plan, written again; none if it cannot be understood.
#[must_use]
pub fn saved(bytes: &[u8]) -> Option<Vec<u8>> {
    serde_json::to_vec(&serde_json::from_slice::<saved::Saved>(bytes).ok()?).ok()
}

/// The note of services that wait, written again.
#[must_use]
pub fn kept(bytes: &[u8]) -> Option<Vec<u8>> {
    serde_json::to_vec(&serde_json::from_slice::<kept::Note>(bytes).ok()?).ok()
}

/// A line of a lock's file, written again.
#[must_use]
pub fn lock_line(bytes: &[u8]) -> Option<Vec<u8>> {
    serde_json::to_vec(&serde_json::from_slice::<lock::Line>(bytes).ok()?).ok()
}

/// What was measured, written again.
#[must_use]
pub fn usage(bytes: &[u8]) -> Option<Vec<u8>> {
    serde_json::to_vec(&serde_json::from_slice::<Usage>(bytes).ok()?).ok()
}

/// Whether it is what the watcher tells everybody.
#[must_use]
pub fn is_told(bytes: &[u8]) -> bool {
    serde_json::from_slice::<watch::told::Told>(bytes).is_ok()
}
