use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;
use crate::testing::{Sandbox, succeeds, without};

const PATH: &str = "/etc/fstab";
const NEW: Attrs = Attrs::root(0o644);

fn put(root: &Root, bytes: &[u8], expect: Expect) -> Result<Replaced, Error> {
    replace(root, &AbsPath::literal(PATH), bytes, "op1", NEW, expect)
}

fn names(sandbox: &Sandbox) -> Vec<String> {
    let read = std::fs::read_dir(sandbox.dir().join("etc")).unwrap();
    let mut names: Vec<_> = read.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_new_file_has_the_attributes_given() {
    Sandbox::run(|sandbox| {
        sandbox.dirs(&["etc"]);
        let new = Attrs { uid: 7, gid: 8, ..Attrs::root(0o640) };
        let path = AbsPath::literal(PATH);
        assert_eq!(replace(&sandbox.root(), &path, b"x", "op1", new, Expect::Absent).unwrap(), Replaced::Done);
        let m = std::fs::metadata(sandbox.dir().join("etc/fstab")).unwrap();
        assert_eq!((m.mode() & 0o7777, m.uid(), m.gid(), m.len()), (0o640, 7, 8, 1));
        assert_eq!(names(sandbox), ["fstab"]);
    });
}

#[test]
fn the_old_attributes_are_kept() {
    Sandbox::run(|sandbox| {
        sandbox.ext4("etc");
        let file = sandbox.file("etc/fstab", "old");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o4751)).unwrap();
        std::os::unix::fs::chown(&file, Some(12), Some(34)).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o4751)).unwrap();
        for (name, value) in [("user.note", "mine"), ("trusted.x", "t"), ("security.label", "s")] {
            rustix::fs::setxattr(&file, name, value.as_bytes(), XattrFlags::empty()).unwrap();
        }
        assert_eq!(put(&sandbox.root(), b"new", Expect::Content(digest(b"old"))).unwrap(), Replaced::Done);
        let m = std::fs::metadata(&file).unwrap();
        assert_eq!((m.mode() & 0o7777, m.uid(), m.gid()), (0o4751, 12, 34));
        let dump =
            succeeds(std::process::Command::new("getfattr").args(["-d", "-m", "-", "--absolute-names"]).arg(&file));
        for line in ["user.note=\"mine\"", "trusted.x=\"t\"", "security.label=\"s\""] {
            assert!(dump.contains(line), "{dump}");
        }
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
    });
}

#[test]
fn what_somebody_else_changed_is_not_replaced() {
    Sandbox::run(|sandbox| {
        let file = sandbox.file("etc/fstab", "edited");
        let root = sandbox.root();
        for expect in [Expect::Absent, Expect::Content(digest(b"old"))] {
            assert_eq!(put(&root, b"new", expect).unwrap(), Replaced::Changed);
        }
        assert_eq!(std::fs::read(&file).unwrap(), b"edited");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(put(&root, b"new", Expect::Content(digest(b"edited"))).unwrap(), Replaced::Changed);
        assert_eq!(names(sandbox), [""; 0]);
    });
}

#[test]
fn a_change_between_reading_and_renaming_is_seen() {
    Sandbox::run(|sandbox| {
        let file = sandbox.file("etc/fstab", "old");
        let root = sandbox.root();
        let dir = open_dir_of(&root, &AbsPath::literal(PATH)).unwrap();
        let entry = Entry::new(&dir, b"fstab");
        let old = open_old(&AbsPath::literal(PATH), entry).unwrap().unwrap();
        let temporary = Entry::new(&dir, b".fstab.op1.tmp");
        drop(create(temporary).unwrap());
        std::fs::write(&file, "admin").unwrap();
        assert!(!publish(entry, temporary, Some(&old)).unwrap());
        assert!(!publish(entry, temporary, None).unwrap(), "nor is one that has just appeared");
        assert_eq!(std::fs::read(&file).unwrap(), b"admin");
    });
}

#[test]
fn the_same_content_is_no_change() {
    Sandbox::run(|sandbox| {
        let file = sandbox.file("etc/fstab", "same");
        let before = std::fs::metadata(&file).unwrap().ino();
        assert_eq!(put(&sandbox.root(), b"same", Expect::Anything).unwrap(), Replaced::AlreadySo);
        assert_eq!(std::fs::metadata(&file).unwrap().ino(), before);
    });
}

#[test]
fn links_and_directories_are_refused() {
    Sandbox::run(|sandbox| {
        let real = sandbox.file("etc/real", "real");
        symlink("real", sandbox.dir().join("etc/fstab")).unwrap();
        let error = put(&sandbox.root(), b"new", Expect::Anything).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.message().contains("symbolic link") && error.get_hint().is_some(), "{error}");
        assert_eq!(std::fs::read(real).unwrap(), b"real");
        std::fs::remove_file(sandbox.dir().join("etc/fstab")).unwrap();
        sandbox.dirs(&["etc/fstab"]);
        let error = put(&sandbox.root(), b"new", Expect::Anything).unwrap_err();
        assert!(error.message().contains("is a directory"), "{error}");
    });
}

#[test]
fn a_failure_leaves_the_old_file_alone() {
    Sandbox::run(|sandbox| {
        sandbox.file("etc/fstab", "old");
        let root = sandbox.root();
        for call in [libc::SYS_fsync, libc::SYS_write, libc::SYS_fchmod, libc::SYS_flistxattr] {
            let error = without(&[call], || put(&root, b"new", Expect::Anything)).unwrap_err();
            assert!(error.message().contains("it is as it was"), "{error}");
            assert_eq!(error.errno(), Some(libc::ENOSYS));
            assert_eq!(names(sandbox), ["fstab"], "no temporary file");
            assert_eq!(std::fs::read(sandbox.dir().join("etc/fstab")).unwrap(), b"old");
        }
        let error = without(&[libc::SYS_fsync, libc::SYS_unlinkat], || put(&root, b"new", Expect::Anything));
        assert!(error.unwrap_err().message().contains("`.fstab.op1.tmp` is left beside it"));
    });
}

#[test]
fn a_full_disk_leaves_the_old_file_alone() {
    Sandbox::run(|sandbox| {
        sandbox.ext4("etc");
        sandbox.file("etc/fstab", "old");
        let error = put(&sandbox.root(), &vec![b'x'; 64 << 20], Expect::Anything).unwrap_err();
        assert_eq!(error.errno(), Some(libc::ENOSPC));
        assert_eq!(std::fs::read(sandbox.dir().join("etc/fstab")).unwrap(), b"old");
    });
}

#[test]
fn leftovers_are_found_and_nothing_else_is_removed() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        for name in [".fstab.op1.tmp", ".fstab.op2.tmp", "fstab.op1.tmp", ".op1.tmp", "..op1.tmp"] {
            sandbox.file(&format!("etc/{name}"), "");
        }
        let dir = AbsPath::literal("/etc");
        let found = leftovers(&root, &dir, "op1").unwrap();
        assert_eq!(found, [AbsPath::literal("/etc/.fstab.op1.tmp")]);
        remove_leftover(&root, &found[0], "op1").unwrap();
        remove_leftover(&root, &found[0], "op1").unwrap();
        assert_eq!(leftovers(&root, &dir, "op1").unwrap(), []);
        assert_eq!(leftovers(&root, &AbsPath::literal("/none"), "op1").unwrap(), []);
        for (path, tag) in [("/etc/fstab.op1.tmp", "op1"), ("/etc/.fstab.op2.tmp", "op1")] {
            let error = remove_leftover(&root, &AbsPath::literal(path), tag).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused);
        }
        assert_eq!(leftovers(&root, &dir, "../x").unwrap_err().kind(), ErrorKind::Usage);
    });
}

#[test]
fn a_crashed_run_does_not_stop_the_next() {
    Sandbox::run(|sandbox| {
        sandbox.file("etc/.fstab.op1.tmp", "half");
        assert_eq!(put(&sandbox.root(), b"new", Expect::Anything).unwrap(), Replaced::Done);
        assert_eq!(names(sandbox), ["fstab"]);
        symlink("/etc/passwd", sandbox.dir().join("etc/.fstab.op1.tmp")).unwrap();
        assert_eq!(put(&sandbox.root(), b"newer", Expect::Anything).unwrap_err().errno(), Some(libc::EEXIST));
    });
}

#[test]
fn an_old_kernel_replaces_too() {
    Sandbox::run(|sandbox| {
        sandbox.dirs(&["etc"]);
        let root = sandbox.root();
        // Without renameat2 too: glibc's renameat is another call.
        without(&[libc::SYS_openat2, libc::SYS_statx, libc::SYS_renameat2], || {
            assert_eq!(put(&root, b"1", Expect::Absent).unwrap(), Replaced::Done);
            assert_eq!(put(&root, b"2", Expect::Content(digest(b"1"))).unwrap(), Replaced::Done);
        });
        assert_eq!(std::fs::read(sandbox.dir().join("etc/fstab")).unwrap(), b"2");
    });
}

#[test]
fn lines_are_added_and_torn_ones_are_ended() {
    Sandbox::run(|sandbox| {
        sandbox.dirs(&["log"]);
        let (root, path) = (sandbox.root(), AbsPath::literal("/log/operations"));
        let file = sandbox.dir().join("log/operations");
        append_line(&root, &path, b"one", Attrs::root(0o600), true).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
        append_line(&root, &path, b"two", NEW, false).unwrap();
        std::fs::write(&file, "one\ntwo\ntor").unwrap();
        append_line(&root, &path, b"three", NEW, true).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\ntwo\ntor\nthree\n");
        assert_eq!(append_line(&root, &path, b"a\nb", NEW, true).unwrap_err().kind(), ErrorKind::Usage);
        std::fs::remove_file(&file).unwrap();
        symlink("/etc/passwd", &file).unwrap();
        assert_eq!(append_line(&root, &path, b"x", NEW, true).unwrap_err().kind(), ErrorKind::Refused);
    });
}
