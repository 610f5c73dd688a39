//! The journal of an operation, from any bytes: what is accepted is written back so that it is read as the same, and no line that is
//! damaged counts.
#![no_main]

use datastore_core::journal::{self, Record};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(told) = journal::parse(data) else { return };
    let mut text = journal::line(&Record::Begin(Box::new(told.begin.clone())));
    for record in &told.records {
        text.push_str(&journal::line(record));
    }
    let again = journal::parse(text.as_bytes()).expect("what was written is read");
    // Whatever was asked of it before is asked again: nothing here may panic, whatever the numbers are.
    let _ = (told.outcome(), told.done(), told.makes(), told.rest(), told.owes(), told.paid());
    assert_eq!((again.begin, again.records), (told.begin, told.records));
});
