//! Any bytes as events of fanotify(7): no panic, no name that leads elsewhere, and nothing is believed behind what is not understood.
#![no_main]

use datastore_exec::sys::fanotify::Events;
use datastore_exec::sys::handle::LONGEST;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (mut count, mut garbled) = (0, false);
    for event in Events::of(bytes) {
        assert!(!garbled);
        count += 1;
        let Ok(event) = event else {
            garbled = true;
            continue;
        };
        if let Some((dir, name)) = &event.name {
            assert!(dir.bytes().len() <= LONGEST);
            assert!(!name.is_empty() && *name != b".." && !name.iter().any(|b| matches!(b, 0 | b'/')));
        }
        assert!(event.inode.as_ref().is_none_or(|inode| inode.bytes().len() <= LONGEST));
        let directory = event.is_directory();
        assert!(directory || !event.moves_directory() && !event.brings_directory());
    }
    // An event has 24 bytes at least.
    assert!(count <= bytes.len() / 24 + 1);
});
