//! Copies of trees that change while they are made.

use std::fs;
use std::os::unix::fs::FileExt as _;
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

    /// A copy of which everything was compared.
    fn compared(&self, hands: &Hands<'_>, how: Verify) -> Copying {
        copy(hands, &self.copy, how, None).unwrap();
        hands.copies.take().remove(0)
    }

    /// Changes one byte of a file of the copy behind everybody's back; its times stay.
    fn flip(&self, name: &str) {
        let file = fs::File::options().read(true).write(true).open(self.to.join(name)).unwrap();
        let time = file.metadata().unwrap().modified().unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, 33).unwrap();
        file.write_all_at(&[byte[0] ^ 1], 33).unwrap();
        file.set_modified(time).unwrap();
        file.sync_all().unwrap();
    }

    /// The tree stays as it is, what is told names the file, and the next run mends it.
    fn is_caught(&self, hands: &Hands<'_>, closed: Result<(), Failure>, name: &str) {
        let error = closed.expect_err("the flipped byte was not found").error;
        let told = error.to_string();
        assert!(told.contains("is not the same as") && told.contains(&format!("{name} (contents)")), "{told}");
        copy(hands, &self.copy, Verify::Content, None).unwrap();
        finish(hands, &self.copy).unwrap();
        assert_alike(&self.from, &self.to);
    }
}

impl Copying {
    /// The last pass, where there is one tree.
    fn last(&mut self, hands: &Hands<'_>) -> Result<(), Failure> {
        self.pass(hands)?;
        self.close(hands)
    }
}

/// Makes a directory with two files and one below.
fn plant(dir: &Path) {
    fs::create_dir_all(dir.join("below")).unwrap();
    for name in ["a", "b", "below/c"] {
        fs::write(dir.join(name), name.repeat(2000)).unwrap();
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
        assert_eq!((first.led, first.entries, first.bytes, first.stopped), (Led::All, 4, 8000, false));
        let last: Vec<&Pass> = account.passes.iter().filter(|pass| pass.stopped).collect();
        assert_eq!(last.len(), 2, "the last one, and one that finds nothing: {account:#?}");
        assert_eq!((last[0].led, last[0].bytes), (Led::Changes, 700));
        assert!(last[0].entries >= 2 && account.passes.len() >= 2, "{account:#?}");
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
        let content = account(Verify::Content);
        fs::remove_file(trees.to.join("one")).unwrap();
        let sample = account(Verify::Sample);
        assert_eq!((content.since, sample.since), (Compared::default(), Compared::default()));
        assert_eq!((&content.metadata, sample.contents), (&sample.metadata, None));
    });
}

#[test]
fn what_an_earlier_run_has_left_is_read_and_mended() {
    everywhere(|hands, trees| {
        plant(&trees.at("dir"));
        copy(hands, &trees.copy, Verify::Sample, None).unwrap();
        hands.copies.take();
        // As if it had not got to the disk.
        trees.flip("dir/below/c");
        copy(hands, &trees.copy, Verify::Sample, None).unwrap();
        finish(hands, &trees.copy).unwrap();
        assert_alike(&trees.from, &trees.to);
        let account = hands.accounts.take().remove(0);
        assert_eq!((account.passes[0].led, account.passes[0].entries), (Led::Scan, 0), "{account:#?}");
        assert!(account.contents.is_some() && account.since.files > 0, "{account:#?}");
    });
}

#[test]
fn a_byte_that_was_flipped_before_the_comparison_is_caught() {
    everywhere(|hands, trees| {
        plant(&trees.at("dir"));
        let mut copying = Copying::begin(hands, &trees.copy[0], Verify::Content).unwrap();
        copying.first_pass(hands).unwrap();
        trees.flip("dir/below/c");
        copying.compare(hands).unwrap();
        trees.is_caught(hands, copying.last(hands), "dir/below/c");
    });
}

#[test]
fn a_byte_that_was_flipped_in_what_the_last_pass_has_written_is_caught() {
    everywhere(|hands, trees| {
        fs::write(trees.at("one"), vec![1; 3000]).unwrap();
        fs::hard_link(trees.at("one"), trees.from.with_extension("outside")).unwrap();
        plant(&trees.from.with_extension("came"));
        for (name, how) in [
            ("dir/a", Verify::Content),
            ("dir/below/c", Verify::Sample),
            ("came/below/c", Verify::Content),
            ("one", Verify::Content),
        ] {
            let mut copying = trees.compared(hands, how);
            match name {
                "one" => fs::write(trees.from.with_extension("outside"), vec![3; 3000]).unwrap(),
                "came/below/c" => fs::rename(trees.from.with_extension("came"), trees.at("came")).unwrap(),
                _ => plant(&trees.at("dir")),
            }
            copying.bring(hands).unwrap();
            trees.flip(name);
            trees.is_caught(hands, copying.close(hands), name);
        }
    });
}

#[test]
fn what_an_earlier_pass_has_written_stays_owed_wherever_it_goes() {
    everywhere(|hands, trees| {
        let mut copying = trees.compared(hands, Verify::Content);
        plant(&trees.at("dir"));
        copying.bring(hands).unwrap();
        trees.flip("dir/below/c");
        copying.settle(hands).unwrap();
        fs::rename(trees.at("dir"), trees.at("moved")).unwrap();
        trees.is_caught(hands, copying.last(hands), "dir/below/c");
    });
}

#[test]
fn a_pass_that_compares_everything_owes_what_it_has_written() {
    everywhere(|hands, trees| {
        plant(&trees.at("dir"));
        let mut copying = trees.compared(hands, Verify::Content);
        fs::write(trees.at("dir/b"), vec![7; 3000]).unwrap();
        copying.watch.as_ref().unwrap().overflow();
        let (_, led, _) = copying.bring(hands).unwrap();
        assert_eq!(led, Led::Scan);
        trees.flip("dir/b");
        trees.is_caught(hands, copying.close(hands), "dir/b");
        // Attributes are compared of everything.
        let mut copying = trees.compared(hands, Verify::Content);
        copying.watch.as_ref().unwrap().overflow();
        copying.bring(hands).unwrap();
        fs::remove_file(trees.to.join("dir/a")).unwrap();
        let told = copying.close(hands).unwrap_err().error.to_string();
        assert!(told.contains("dir/a (missing)"), "{told}");
    });
}

#[test]
fn whoever_writes_after_the_last_pass_is_found_also_where_changes_were_lost() {
    everywhere(|hands, trees| {
        plant(&trees.at("dir"));
        let told = |closed: Result<(), Failure>| closed.unwrap_err().error.to_string();
        let close = |name: Option<&str>, overflow: bool| {
            let mut copying = trees.compared(hands, Verify::Content);
            copying.pass(hands).unwrap();
            if let Some(name) = name {
                fs::write(trees.at(name), name).unwrap();
            }
            if overflow {
                let watch = copying.watch.as_ref().unwrap();
                watch.settle();
                watch.overflow();
            }
            copying.close(hands)
        };
        close(None, false).unwrap();
        close(None, true).unwrap();
        let named = told(close(Some("dir/late"), false));
        assert!(named.contains("something still writes") && named.contains("dir/late"), "{named}");
        assert!(told(close(Some("dir/later"), true)).contains("something still writes"));
        copy(hands, &trees.copy, Verify::Content, None).unwrap();
        finish(hands, &trees.copy).unwrap();
        assert_alike(&trees.from, &trees.to);
    });
}

#[test]
fn everything_is_compared_before_the_last_pass_however_many_there_were() {
    let (short, long, half) = (Duration::from_millis(400), Duration::from_secs(60), Duration::from_secs(30));
    let asked = Some(Duration::from_secs(10));
    for (took, before, compared, passes, asked, wanted) in [
        (long, Duration::MAX, false, 1, None, Next::Pass),
        (half, long, false, 2, None, Next::Pass),
        (half, long, false, PASSES, None, Next::Compare),
        (half, half, false, 3, None, Next::Compare),
        (short, long, false, 2, None, Next::Compare),
        (half, Duration::MAX, true, PASSES + 1, None, Next::Last),
        (short, Duration::MAX, true, 3, None, Next::Last),
        (half, long, false, PASSES, asked, Next::Pass),
        (half, half, true, 3, asked, Next::Hopeless),
        (half, long, true, MOST_PASSES, asked, Next::Hopeless),
        (short, long, true, 3, asked, Next::Last),
    ] {
        assert_eq!(next(took, before, compared, passes, asked), wanted, "{took:?} after {before:?}");
    }
}

#[test]
fn a_locked_file_that_did_not_get_to_the_disk_is_mended_too() {
    everywhere(|hands, trees| {
        plant(&trees.at("dir"));
        let lock = |flag: &str, path: PathBuf| {
            let run = std::process::Command::new("chattr").arg(flag).arg(path).status().unwrap();
            assert!(run.success());
        };
        lock("+i", trees.at("dir/a"));
        copy(hands, &trees.copy, Verify::Content, None).unwrap();
        hands.copies.take();
        lock("-i", trees.to.join("dir/a"));
        trees.flip("dir/a");
        lock("+i", trees.to.join("dir/a"));
        copy(hands, &trees.copy, Verify::Content, None).unwrap();
        finish(hands, &trees.copy).unwrap();
        assert_alike(&trees.from, &trees.to);
        for top in [&trees.from, &trees.to] {
            lock("-i", top.join("dir/a"));
        }
    });
}
