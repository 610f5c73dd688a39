//! The readers of our own state take any bytes. What they accept, they write back so that it is read as the same.
#![no_main]

use datastore_core::journal::{self, Record};
use datastore_core::manifest::{Manifest, VolumeFile};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(told) = journal::parse(data) {
        let mut text = journal::line(&Record::Begin(Box::new(told.begin.clone())));
        for record in &told.records {
            text.push_str(&journal::line(record));
        }
        let again = journal::parse(text.as_bytes()).expect("what was written is read");
        assert_eq!((again.begin, again.records), (told.begin, told.records));
    }
    let text = String::from_utf8_lossy(data);
    if let Ok(manifest) = Manifest::parse(&text) {
        assert_eq!(Manifest::parse(&manifest.render()).as_ref(), Ok(&manifest));
        for (store, entry) in manifest.iter() {
            let only = Manifest::only(&manifest.render(), &[store.to_owned()]).expect("what was written is read");
            assert_eq!(only.get(store), Some(entry));
        }
    }
    if let Ok(file) = VolumeFile::parse(&text) {
        assert_eq!(VolumeFile::parse(&file.render()), Ok(file));
    }
});
