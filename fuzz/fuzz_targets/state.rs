//! Our own files in JSON, from any bytes, each by every reader: what is accepted is written back so that it is read as the same.
#![no_main]

use datastore_core::alarm::Book;
use datastore_core::moving::Receipt;
use datastore_core::progress::Progress;
use datastore_core::unit::Remembered;
use datastore_exec::foreign;

/// What was written is read, and written as the same again.
fn settles(read: fn(&[u8]) -> Option<Vec<u8>>, data: &[u8]) {
    if let Some(written) = read(data) {
        assert_eq!(read(&written).as_ref(), Some(&written), "{}", String::from_utf8_lossy(&written));
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(book) = Book::parse(data) {
        assert_eq!(Book::parse(&book.render()), Ok(book));
    }
    if let Ok(remembered) = Remembered::parse(data) {
        assert_eq!(Remembered::parse(&remembered.render()), Ok(remembered));
    }
    if let Ok(receipt) = Receipt::parse(data) {
        assert_eq!(Receipt::parse(&receipt.render()), Ok(receipt));
    }
    settles(|bytes| serde_json::to_vec(&serde_json::from_slice::<Progress>(bytes).ok()?).ok(), data);
    for read in [foreign::saved, foreign::kept, foreign::lock_line, foreign::usage] {
        settles(read, data);
    }
    let _ = foreign::is_told(data);
});
