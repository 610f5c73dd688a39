//! Copies of trees that change while they are made.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::event::Silent;
use crate::sys::ids::Ids;
use crate::testing::Sandbox;
use crate::tree::tests::assert_alike;

/// A tree and the place of its copy, each on a disk of its own.
struct Trees {
    from: PathBuf,
    to: PathBuf,
    copy: [TreeCopy; 1],
}

impl Trees {
    fn at(&self, name: &str) -> PathBuf {
        self.from.join(name)
    }
}

/// Runs a test with an empty tree on each of three file systems.
fn everywhere(body: impl Fn(&Hands<'_>, &Trees) + Sync) {
    Sandbox::run(|sandbox| {
        for (fstype, mib) in [("ext4", 64), ("xfs", 320), ("btrfs", 128)] {
            let (one, two) = (format!("{fstype}-one"), format!("{fstype}-two"));
            let from = sandbox.disk(&one, fstype, mib, &[]).join("from");
            let to = sandbox.disk(&two, fstype, mib, &[]).join("to");
            fs::create_dir(&from).unwrap();
            fs::create_dir(&to).unwrap();
            let (root, ids, mut quiet) = (sandbox.root(), Ids::new(&sandbox.root()).unwrap(), Silent);
            let hands = Hands::new(&root, &ids, "20261123T174301250Z-1a2b3c4d", &mut quiet);
            let path = |path: &Path| {
                let rest = path.strip_prefix(sandbox.dir()).unwrap().to_str().unwrap();
                AbsPath::root().child(rest)
            };
            let copy = [TreeCopy { from: path(&from), to: path(&to) }];
            body(&hands, &Trees { from, to, copy });
        }
    });
}

#[test]
fn an_account_is_kept_of_every_pass() {
    everywhere(|hands, trees| {
        fs::create_dir(trees.at("dir")).unwrap();
        fs::write(trees.at("dir/one"), vec![1; 5000]).unwrap();
        fs::write(trees.at("two"), vec![2; 3000]).unwrap();
        copy(hands, &trees.copy, Verify::Content, None).unwrap();
        assert!(hands.accounts.borrow().is_empty(), "nothing is whole yet");
        fs::write(trees.at("dir/three"), vec![3; 700]).unwrap();
        fs::remove_file(trees.at("two")).unwrap();
        finish(hands, &trees.copy).unwrap();
        assert_alike(&trees.from, &trees.to);
        let accounts = hands.accounts.take();
        let [account] = accounts.as_slice() else { panic!("{accounts:#?}") };
        assert_eq!((&account.from, &account.to), (&trees.copy[0].from, &trees.copy[0].to));
        let whole = account.whole;
        assert_eq!((whole.entries, whole.bytes, whole.files, whole.read), (4, 8000, 2, 8000), "{account:#?}");
        assert!(account.metadata.starts_with("sha256:") && account.contents.is_some(), "{account:#?}");
        assert_eq!((account.since.files, account.since.read), (1, 700), "{account:#?}");
        let first = account.passes[0];
        assert_eq!((first.kind, first.entries, first.bytes, first.stopped), (Kind::Copy, 4, 8000, false));
        let last: Vec<&Pass> = account.passes.iter().filter(|pass| pass.stopped).collect();
        assert_eq!(last.len(), 2, "the last one, and one that finds nothing: {account:#?}");
        assert_eq!((last[0].kind, last[0].bytes), (Kind::Changes, 700));
        assert!(last[0].entries >= 2 && account.passes.iter().all(|pass| !pass.took.is_zero()), "{account:#?}");
    });
}

#[test]
fn what_is_quiet_has_the_digests_of_the_tree_as_it_is() {
    everywhere(|hands, trees| {
        fs::write(trees.at("one"), vec![1; 5000]).unwrap();
        let account = |how| {
            copy(hands, &trees.copy, how, None).unwrap();
            finish(hands, &trees.copy).unwrap();
            hands.accounts.take().remove(0)
        };
        let (content, sample) = (account(Verify::Content), account(Verify::Sample));
        assert_eq!((sample.passes[0].kind, sample.passes[0].entries), (Kind::Scan, 0), "it was there: {sample:#?}");
        assert_eq!((content.since.files, sample.since.files), (0, 0));
        assert_eq!((&content.metadata, sample.contents), (&sample.metadata, None));
    });
}
