//! Absolute paths from any bytes: what is taken has one spelling, and is itself after printing, joining and JSON.
#![no_main]

use datastore_core::path::{AbsPath, PATH_MAX, printable};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let shown = printable(bytes);
    assert!(!shown.chars().any(char::is_control), "a message holds a control character");
    let kernel = AbsPath::from_kernel(bytes);
    if let Ok(path) = AbsPath::parse(bytes) {
        assert_eq!(Ok(&path), kernel.as_ref(), "the strict reader takes no more than the other");
    }
    let Ok(path) = kernel else { return };
    assert!(path.as_bytes().len() < PATH_MAX);
    assert_eq!(AbsPath::from_kernel(path.as_bytes()).as_ref(), Ok(&path), "one spelling");
    assert_eq!(AbsPath::root().join(path.relative()).as_ref(), Ok(&path));
    assert_eq!(path.ancestors().count(), path.depth());
    // The nearest will do: a path of two thousand components would otherwise cost a million copies.
    for above in path.ancestors().take(16) {
        let below = path.below(&above).expect("a path is within its ancestors");
        assert!(path.is_below(&above));
        assert_eq!(above.join(below.as_bytes()).as_ref(), Ok(&path));
    }
    let json = serde_json::to_string(&path).expect("a path has a JSON form");
    assert_eq!(serde_json::from_str::<AbsPath>(&json).expect("and is read back"), path);
});
