//! Our own state files: any bytes are read without a panic, and what is written is read as the same.

use datastore_core::AbsPath;
use datastore_core::journal::{self, JournalError, Outcome, Record};
use datastore_core::manifest::{Edit, Entry, Manifest, ManifestError, VolumeFile};
use datastore_core::value::{AppName, Id, Mode, OwnerName};
use proptest::prelude::*;

fn entry() -> impl Strategy<Value = Entry> {
    (
        "[a-z][a-z0-9@._-]{0,20}",
        "(/[ -~éß\"\\\\]{1,12}){1,4}",
        "[A-Za-z][ -~é&&[^:/,]]{0,12}",
        any::<(u32, u32)>(),
        any::<[u8; 16]>(),
        0u32..0o10000,
    )
        .prop_filter_map("no path or name", |(app, path, owner, (uid, gid), id, mode)| {
            Some(Entry {
                id: Id::from_random(id),
                app: AppName::parse(&app).ok()?,
                mount_point: AbsPath::parse(path).ok()?,
                owner: OwnerName::parse(&owner).ok()?,
                uid,
                group: OwnerName::parse(&owner).ok()?,
                gid,
                mode: Mode::from_bits(mode),
            })
        })
}

proptest! {
    #[test]
    fn manifests_round_trip(stores in prop::collection::btree_map("[ -~é\"\\\\/]{1,24}", entry(), 0..12)) {
        let edits: Vec<Edit> =
            stores.iter().map(|(s, e)| Edit { store: s.clone(), from: None, to: Some(e.clone()) }).collect();
        let mut manifest = Manifest::default();
        manifest.edit(edits.iter()).unwrap();
        let text = manifest.render();
        prop_assert_eq!(&Manifest::parse(&text).unwrap(), &manifest);
        for edit in &edits {
            let only = Manifest::only(&text, std::slice::from_ref(&edit.store)).unwrap();
            prop_assert_eq!(only.get(&edit.store), edit.to.as_ref());
        }
        let back: Vec<Edit> = edits.iter().map(Edit::inverse).collect();
        manifest.edit(back.iter()).unwrap();
        prop_assert_eq!(manifest, Manifest::default());
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,400}") {
        let _ = Manifest::parse(&text);
        let _ = Manifest::only(&text, &["a".into()]);
        let _ = VolumeFile::parse(&text);
        let _ = journal::parse(text.as_bytes());
    }

    #[test]
    fn a_damaged_manifest_is_never_read_as_another_one(
        stores in prop::collection::btree_map("[a-z/]{1,12}", entry(), 1..6), at in any::<prop::sample::Index>(),
    ) {
        let edits: Vec<Edit> =
            stores.iter().map(|(s, e)| Edit { store: s.clone(), from: None, to: Some(e.clone()) }).collect();
        let mut manifest = Manifest::default();
        manifest.edit(edits.iter()).unwrap();
        let text = manifest.render();
        let cut = at.index(text.len());
        // A manifest that is cut between two lines loses whole stores; anywhere else it is an error.
        if let Some(head) = text.get(..cut) {
            match Manifest::parse(head) {
                Err(ManifestError::Damaged(_)) => {}
                Err(other) => prop_assert!(false, "{other}"),
                Ok(read) => {
                    for (store, entry) in read.iter() {
                        prop_assert_eq!(manifest.get(store), Some(entry));
                    }
                }
            }
        }
    }

    #[test]
    fn a_journal_that_lost_its_tail_is_a_prefix_of_itself(records in prop::collection::vec((0usize..9, 0usize..9, any::<bool>()), 0..8), cut in any::<prop::sample::Index>()) {
        let begin = r#"{"record":"begin","version":1,"operation":"20261123T174301250Z-1a020304","program":"0","at":1,"uid":0,"host":null,"goal":{"verb":"apply","names":[]},"plan":"0123456789abcdef","mappings":[],"steps":[]}"#;
        let begin: Record = serde_json::from_str(begin).unwrap();
        let mut text = journal::line(&begin);
        for (first, more, done) in records {
            let last = first + more;
            text.push_str(&journal::line(&if done { Record::Done { first, last } } else { Record::Intent { first, last } }));
        }
        text.push_str(&journal::line(&Record::End { at: 2, outcome: Outcome::Done, failed: 0 }));
        let whole = journal::parse(text.as_bytes()).unwrap();
        match journal::parse(&text.as_bytes()[..cut.index(text.len())]) {
            Err(JournalError::Empty) => {}
            Err(other) => prop_assert!(false, "{other}"),
            Ok(told) => prop_assert_eq!(&whole.records[..told.records.len()], &told.records[..]),
        }
    }
}
