//! What the kernel and other programs tell us: /proc, blkid, passwd, ACLs, SELinux. Any bytes; no panic, and no answer that the text
//! does not hold.
#![no_main]

use datastore_core::AbsPath;
use datastore_core::label::{Substitutes, policy};
use datastore_exec::foreign;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let lines = data.split(|&b| b == b'\n').count();
    let mapped = foreign::mapped(data);
    assert!(mapped.len() <= lines && mapped.iter().all(|(range, path)| range.contains('-') && path.starts_with(b"/")));
    for map in foreign::mapped_of(data, (8, 1)) {
        assert!(map.inode != 0 && map.path.starts_with(b"/") && map.range.contains('-'));
        assert!(mapped.iter().any(|(_, path)| *path == map.path), "one reader sees a file that the other does not");
    }
    assert!(foreign::mount_points(data).len() <= lines);
    let _ = (foreign::mount_id(data), foreign::open_for_writing(data), foreign::warns(data));
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(foreign::lock_holders(text, "08:01", 42).len() <= lines);
    }
    for (name, _) in foreign::names(data) {
        assert!(!name.is_empty() && !name.chars().any(char::is_control));
    }
    if let Some(found) = foreign::signature(data) {
        let texts = [Some(&found.kind), found.label.as_ref(), found.uuid.as_ref()];
        assert!(texts.into_iter().flatten().all(|text| !text.chars().any(char::is_control)), "{found:?}");
    }
    for (_, at, number) in foreign::named(data) {
        assert_eq!(data[at..at + 4], number.to_le_bytes());
    }
    if let Some((path, operation)) = foreign::leftover(&AbsPath::literal("/d"), data) {
        assert!(path.is_below(&AbsPath::literal("/d")) && path.file_name() == data);
        assert!(path.to_string().contains(operation.as_str()));
    }
    let name = policy(data);
    assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)));
    let told = Substitutes::parse(&[data.to_vec()]);
    let _ = told.has(&AbsPath::literal("/srv/a"));
});
