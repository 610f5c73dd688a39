//! Manifests and identity files, from any text: what is accepted is written back so that it is read as the same, and whoever reads
//! only a part of a manifest finds there what the whole says.
#![no_main]

use datastore_core::manifest::{Edit, Manifest, VolumeFile};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(file) = VolumeFile::parse(text) {
        assert_eq!(VolumeFile::parse(&file.render()), Ok(file));
    }
    let whole = Manifest::parse(text);
    // The text as it came, however odd: a part says the same as the whole, or nothing.
    let read = |offset: u64| {
        let from = usize::try_from(offset).ok()?;
        data.get(from..data.len().min(from + 8192)).map(<[u8]>::to_vec)
    };
    let names: Vec<String> = whole.iter().flat_map(Manifest::iter).map(|(store, _)| store.to_owned()).take(8).collect();
    for store in names.iter().map(String::as_str).chain(["a", ""]) {
        let found = Manifest::bisect(data.len() as u64, store, read);
        if let (Ok(whole), Some(found)) = (&whole, found) {
            assert_eq!(whole.get(store), Some(&found));
        }
    }
    let Ok(manifest) = whole else { return };
    assert_eq!(Manifest::only(text, &names).map(|only| only.iter().count()), Ok(names.len()));
    let written = manifest.render();
    assert_eq!(Manifest::parse(&written).as_ref(), Ok(&manifest));
    for (store, entry) in manifest.iter().take(8) {
        let only = Manifest::only(&written, &[store.to_owned()]).expect("what was written is read");
        assert_eq!(only.get(store), Some(entry));
    }
    let gone: Vec<Edit> =
        manifest.iter().map(|(s, e)| Edit { store: s.to_owned(), from: Some(e.clone()), to: None }).collect();
    let mut changed = manifest.clone();
    changed.edit(gone.iter()).expect("each is as it was read");
    assert_eq!(changed, Manifest::default());
    let back: Vec<Edit> = gone.iter().map(Edit::inverse).collect();
    changed.edit(back.iter()).expect("none is there");
    assert_eq!(changed, manifest);
});
