//! The table of names and numbers of a base, from any text: it is written back as the same, and no change that is made of it gives two
//! names one number.
#![no_main]

use std::collections::BTreeMap;

use datastore_core::observed::Lookup;
use datastore_core::owners::{Here, Kind, Owners, change};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(owners) = Owners::parse(text) else { return };
    assert_eq!(Owners::parse(&owners.render()).as_ref(), Ok(&owners));
    assert!(!owners.renewed(&Owners::default()).is_on_its_way());
    for kind in [Kind::User, Kind::Group] {
        // A machine on which everybody has the next number, and some nobody has.
        let numbers = owners.of(kind).iter().map(|(name, number)| {
            let here = if number % 3 == 0 { Lookup::Unknown } else { Lookup::Found(number.wrapping_add(1)) };
            (name.clone(), here)
        });
        let here = Here { numbers: numbers.collect(), names: BTreeMap::new() };
        let found = owners.of(kind).values().map(|number| (*number, 1)).collect();
        let Ok(change) = change(kind, &found, &owners, &here) else { continue };
        for pairs in [change.away(), change.home()] {
            for (i, pair) in pairs.iter().enumerate() {
                assert!(pairs[..i].iter().all(|other| other.to != pair.to && other.from != pair.from), "{pairs:?}");
            }
        }
    }
});
