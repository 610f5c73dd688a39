use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::testing::{Sandbox, succeeds};

fn path(text: &'static str) -> AbsPath {
    AbsPath::literal(text)
}

fn image(sandbox: &Sandbox, name: &str, mib: u64) -> PathBuf {
    let image = sandbox.dir().join(name);
    std::fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
    image
}

/// Unmounts. A program that another test starts just now has our files open too, until it is itself.
fn take_off(root: &Root, at: &'static str) {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while let Err(error) = unmount(root, &path(at)) {
        assert!(error.kind() == ErrorKind::Refused && std::time::Instant::now() < until, "{error}");
    }
}

/// A UUID for a file system that no other test has, nor another run beside this one: btrfs and xfs refuse twins.
fn fresh() -> Id {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).unwrap();
    Id::from_random(bytes)
}

/// What the mount table says of a directory: type, source's end, options.
fn row(sandbox: &Sandbox, at: &str) -> String {
    let table = String::from_utf8(crate::sys::proc::mountinfo().unwrap()).unwrap();
    let point = format!(" {} ", sandbox.dir().join(at).display());
    table.lines().find(|l| l.contains(&point)).unwrap_or_else(|| panic!("{point} in {table}")).to_owned()
}

#[test]
fn every_kind_is_made_and_mounted_and_unmounted() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        sandbox.dirs(&["store/data0"]);
        for (kind, mib) in [("ext4", 16), ("xfs", 320), ("btrfs", 128)] {
            let file = image(sandbox, "disk.img", mib);
            make_filesystem(&root, &path("/disk.img"), kind, "data0", fresh(), false).unwrap();
            // Twice is refused, unless by force.
            let before = std::fs::read(&file).unwrap();
            let error = make_filesystem(&root, &path("/disk.img"), kind, "data0", fresh(), false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused);
            assert!(error.message().contains(kind) && error.message().contains("not touched"), "{error}");
            assert!(before == std::fs::read(&file).unwrap());
            make_filesystem(&root, &path("/disk.img"), kind, "data0", fresh(), true).unwrap();

            mount(&root, "/disk.img", &path("/store/data0"), kind, "noatime,loop").unwrap();
            let line = row(sandbox, "store/data0");
            assert!(line.contains("noatime") && line.contains(&format!(" - {kind} /dev/loop")), "{line}");
            std::fs::write(sandbox.dir().join("store/data0/file"), "x").unwrap();
            let error = make_filesystem(&root, &path("/disk.img"), kind, "data0", fresh(), true).unwrap_err();
            assert!(error.message().contains("mounted at /store/data0"), "{error}");
            let error = mount(&root, "/disk.img", &path("/store/data0"), kind, "").unwrap_err();
            assert!(error.message().contains("mounted at /store/data0 already"), "{error}");
            take_off(&root, "/store/data0");
            assert!(!root.stat(&path("/store/data0")).unwrap().mount_root);
            take_off(&root, "/store/data0");
            std::fs::remove_file(file).unwrap();
        }
    });
}

#[test]
fn a_block_device_too() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        sandbox.dirs(&["store/data0"]);
        let file = image(sandbox, "disk.img", 16);
        let name = succeeds(Command::new("losetup").args(["--find", "--show"]).arg(&file)).trim().to_owned();
        let device = AbsPath::parse(&name).unwrap();
        let taken = rustix::fs::open(
            &name,
            rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::EXCL | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )
        .unwrap();
        let busy = make_filesystem(&root, &device, "ext4", "data0", fresh(), true);
        drop(taken);
        // A program that another test starts just now has it too, until it is itself.
        let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while device::is_claimed(Path::new(&name)) && std::time::Instant::now() < until {}
        let made = make_filesystem(&root, &device, "ext4", "data0", fresh(), false);
        let mounted = mount(&root, &name, &path("/store/data0"), "ext4", "");
        let unmounted = unmount(&root, &path("/store/data0"));
        succeeds(Command::new("losetup").args(["-d", &name]));
        assert_eq!(busy.unwrap_err().kind(), ErrorKind::Refused);
        made.unwrap();
        mounted.unwrap();
        unmounted.unwrap();
    });
}

#[test]
fn what_mkfs_says_is_in_the_error() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        image(sandbox, "small.img", 1);
        let error = make_filesystem(&root, &path("/small.img"), "xfs", "data0", fresh(), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::System);
        assert!(error.message().contains("mkfs.xfs: "), "{error}");
        assert!(error.message().contains("what is on it now is not known"), "{error}");
        assert!(!error.message().contains("/proc/"), "{error}");
        let error = make_filesystem(&root, &path("/small.img"), "vfat", "data0", fresh(), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        let error = make_filesystem(&root, &path("/none.img"), "ext4", "data0", fresh(), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
    });
}

#[test]
fn binds_have_their_options() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        sandbox.dirs(&["srv/data/live", "store/data0"]);
        mount(&root, "/srv/data", &path("/store/data0"), "none", "bind,ro,nodev").unwrap();
        assert!(sandbox.dir().join("store/data0/live").is_dir());
        let line = row(sandbox, "store/data0");
        let words: Vec<&str> = line.split(' ').collect();
        assert!(words[5].split(',').any(|o| o == "ro") && words[5].contains("nodev"), "{line}");
        take_off(&root, "/store/data0");
        let error = mount(&root, "/srv/none", &path("/store/data0"), "none", "bind").unwrap_err();
        assert_eq!(error.errno(), Some(libc::ENOENT));
        let error = mount(&root, "relative", &path("/store/data0"), "none", "bind").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
    });
}

#[test]
fn the_place_must_be_bare() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        sandbox.dirs(&["srv/data", "real", "full"]);
        sandbox.file("full/file", "mine");
        sandbox.file("file", "");
        std::os::unix::fs::symlink("real", sandbox.dir().join("link")).unwrap();
        for at in ["/full", "/file", "/link", "/none"] {
            let error = mount(&root, "/srv/data", &path(at), "none", "bind").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused, "{at}: {error}");
        }
        let error = mount(&root, "/none.img", &path("/real"), "ext4", "").unwrap_err();
        assert!(error.message().contains("neither a block device nor a file"), "{error}");
        image(sandbox, "empty.img", 4);
        let error = mount(&root, "/empty.img", &path("/real"), "ext4", "").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::System);
        assert!(error.message().contains("cannot mount /empty.img on /real: mount: "), "{error}");
        let error = mount(&root, "LABEL=no-such-label-here", &path("/real"), "ext4", "").unwrap_err();
        assert!(error.message().contains("no-such-label-here"), "{error}");
    });
}

#[test]
fn whoever_keeps_it_busy_is_named() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        sandbox.dirs(&["store/data0", "in"]);
        image(sandbox, "disk.img", 16);
        make_filesystem(&root, &path("/disk.img"), "ext4", "data0", fresh(), false).unwrap();
        mount(&root, "/disk.img", &path("/store/data0"), "ext4", "loop").unwrap();
        let mut child = Command::new("sleep").arg("60").current_dir(sandbox.dir().join("store/data0")).spawn().unwrap();
        let error = unmount(&root, &path("/store/data0")).unwrap_err();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.message().contains("sleep") && error.message().contains(&child.id().to_string()), "{error}");
        assert!(root.stat(&path("/store/data0")).unwrap().mount_root, "still mounted");
        // A mount inside.
        std::fs::create_dir(sandbox.dir().join("store/data0/x")).unwrap();
        mount(&root, "/in", &path("/store/data0/x"), "none", "bind").unwrap();
        let error = unmount(&root, &path("/store/data0")).unwrap_err();
        assert!(error.get_hint().unwrap().starts_with("umount ") && error.message().contains("/store/data0/x"));
        // What the root itself keeps open does not count.
        root.stat(&path("/store/data0/lost+found/none")).unwrap_err();
        take_off(&root, "/store/data0/x");
        take_off(&root, "/store/data0");
    });
}
