use std::path::PathBuf;
use std::process::Command;

use datastore_core::observed::Place;
use datastore_core::resolve::{Incumbents, resolve};
use datastore_core::value::{Id, VolumeName};

use super::*;
use crate::steps;
use crate::testing::{Sandbox, succeeds, without};

fn path(text: &'static str) -> AbsPath {
    AbsPath::literal(text)
}

fn wanted() -> Wanted {
    resolve(Vec::new(), &Incumbents::new())
}

fn mounts(root: &Root) -> MountTable {
    MountTable::parse(crate::sys::proc::mountinfo().unwrap()).unwrap().rebased(root.path())
}

fn request(source: VolumeSource) -> VolumeRequest {
    let name = VolumeName::parse("data0").unwrap();
    VolumeRequest { name, source, format: None, force: false, at: None, options: None, host: None }
}

fn seen(root: &Root, source: VolumeSource) -> Site {
    try_seen(root, source).unwrap()
}

fn try_seen(root: &Root, source: VolumeSource) -> Result<Site, Error> {
    observe(root, &wanted(), &mounts(root), &request(source), &HostName::parse("server1").unwrap())
}

fn device(root: &Root, at: &'static str) -> Device {
    seen(root, VolumeSource::Device(path(at))).device.unwrap_or_else(|| panic!("{at} was not found"))
}

fn image(sandbox: &Sandbox, name: &str, mib: u64) -> PathBuf {
    let image = sandbox.dir().join(name);
    std::fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
    image
}

fn id(n: u8) -> Id {
    Id::from_random([n; 16])
}

/// Unmounts. A program that another test starts just now has our files open too, until it is itself.
fn take_off(root: &Root, at: &'static str) {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while let Err(error) = steps::volume::unmount(root, &path(at)) {
        assert!(error.kind() == ErrorKind::Refused && std::time::Instant::now() < until, "{error}");
    }
}

/// A UUID for a file system that no other test has, nor another run beside this one: btrfs and xfs refuse twins.
fn fresh() -> Id {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).unwrap();
    Id::from_random(bytes)
}

/// Puts an identity on the file system of an image.
fn identify(sandbox: &Sandbox, image: &str, n: u8) -> VolumeFile {
    let file = VolumeFile { id: id(n), name: VolumeName::parse("data0").unwrap(), host: None };
    let point = sandbox.dir().join("point");
    std::fs::create_dir_all(&point).unwrap();
    succeeds(Command::new("mount").args(["-o", "loop"]).arg(sandbox.dir().join(image)).arg(&point));
    std::fs::create_dir_all(point.join(".datastore")).unwrap();
    std::fs::write(point.join(".datastore/volume.toml"), file.render()).unwrap();
    succeeds(Command::new("umount").arg(&point));
    file
}

/// A block device of the machine's own that shows an image, gone when this is dropped.
struct Block(String);

impl Block {
    fn new(image: &PathBuf) -> Self {
        Self(succeeds(Command::new("losetup").args(["--find", "--show"]).arg(image)).trim().to_owned())
    }
    fn path(&self) -> AbsPath {
        AbsPath::parse(&self.0).unwrap()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["-d", &self.0]).status();
    }
}

const KINDS: [(&str, u64); 3] = [("ext4", 16), ("xfs", 320), ("btrfs", 128)];

#[test]
fn an_empty_image_and_what_is_no_device() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        image(sandbox, "disk.img", 5);
        std::os::unix::fs::symlink("disk.img", sandbox.dir().join("link.img")).unwrap();
        sandbox.dirs(&["dir"]);
        succeeds(Command::new("mkfifo").arg(sandbox.dir().join("fifo")));
        let found = device(&root, "/disk.img");
        assert_eq!((found.is_image, found.size, found.signature), (true, 5 << 20, None));
        assert_eq!((found.mounted_at, found.in_use, found.file), (vec![], None, FileFacts::Absent));
        assert_eq!(found.path, Some(path("/disk.img")));
        for at in ["/none.img", "/disk.img/x", "/dir", "/fifo", "/dev/none", "/dev/null"] {
            assert_eq!(seen(&root, VolumeSource::Device(path(at))).device, None, "{at}");
        }
        let error = try_seen(&root, VolumeSource::Device(path("/link.img"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
    });
}

#[test]
fn every_file_system_is_recognised_and_looked_into_without_a_mount() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        for (n, (kind, mib)) in (1..).zip(KINDS) {
            let name = format!("{kind}.img");
            image(sandbox, &name, mib);
            let at = AbsPath::parse(format!("/{name}")).unwrap();
            let uuid = fresh();
            steps::volume::make_filesystem(&root, &at, kind, "data0", uuid, false).unwrap();
            let ask = || seen(&root, VolumeSource::Device(at.clone())).device.unwrap();
            let signature = ask().signature.unwrap();
            assert!(signature.is_filesystem && signature.kind == kind);
            assert_eq!(signature.label.as_deref(), Some("data0"));
            assert_eq!(signature.uuid, Some(uuid.to_string()));
            assert_eq!(ask().file, FileFacts::Absent, "{kind}");
            let before = succeeds(Command::new("losetup").arg("--list"));
            let file = identify(sandbox, &name, n);
            let content = std::fs::read(sandbox.dir().join(&name)).unwrap();
            assert_eq!(ask().file, FileFacts::Is(file), "{kind}");
            assert!(content == std::fs::read(sandbox.dir().join(&name)).unwrap(), "nothing was written to {kind}");
            let left: Vec<loops::Loop> = loops::all();
            let stat = rustix::fs::stat(sandbox.dir().join(&name)).unwrap();
            assert!(!left.iter().any(|l| l.shows(stat.st_dev, stat.st_ino)), "{left:?}; before: {before}");
        }
    });
}

#[test]
fn a_journal_that_must_be_replayed_is_left_alone() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        for (n, (kind, mib)) in (1..).zip(KINDS) {
            let name = format!("{kind}.img");
            let file = image(sandbox, &name, mib);
            let at = AbsPath::parse(format!("/{name}")).unwrap();
            steps::volume::make_filesystem(&root, &at, kind, "data0", fresh(), false).unwrap();
            let known = identify(sandbox, &name, n);
            // A copy of the image while it is mounted and has been written to is what a power cut leaves.
            let point = sandbox.dir().join("point");
            succeeds(Command::new("mount").args(["-o", "loop"]).arg(&file).arg(&point));
            std::fs::write(point.join("new"), "x").unwrap();
            std::fs::File::open(point.join("new")).unwrap().sync_all().unwrap();
            let cut = sandbox.dir().join("cut.img");
            succeeds(Command::new("cp").args(["--sparse=always"]).arg(&file).arg(&cut));
            succeeds(Command::new("umount").arg(&point));
            let before = std::fs::read(&cut).unwrap();
            assert_eq!(device(&root, "/cut.img").file, FileFacts::Is(known), "{kind}");
            assert!(before == std::fs::read(&cut).unwrap(), "nothing was replayed on {kind}");
        }
    });
}

#[test]
fn what_cannot_be_looked_at_is_hidden() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        image(sandbox, "disk.img", 16);
        steps::volume::make_filesystem(&root, &path("/disk.img"), "ext4", "data0", fresh(), false).unwrap();
        identify(sandbox, "disk.img", 1);
        let found = without(&[libc::SYS_fsopen], || device(&root, "/disk.img"));
        assert_eq!(found.file, FileFacts::Hidden);
        // A superblock alone.
        let disk = sandbox.dir().join("disk.img");
        let bytes = std::fs::read(&disk).unwrap();
        std::fs::write(&disk, &bytes[..8192]).unwrap();
        std::fs::File::options().write(true).open(&disk).unwrap().set_len(16 << 20).unwrap();
        assert_eq!(device(&root, "/disk.img").file, FileFacts::Hidden);
    });
}

#[test]
fn a_damaged_identity_is_told() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        sandbox.file("srv/a/.datastore/volume.toml", "garbage");
        sandbox.dirs(&["srv/b/.datastore/volume.toml", "srv/c", "srv/d/.datastore"]);
        std::os::unix::fs::symlink("/srv", sandbox.dir().join("srv/c/.datastore")).unwrap();
        sandbox.file("srv/d/.datastore/volume.toml", &"#".repeat(100_000));
        for at in ["/srv/a", "/srv/b", "/srv/c", "/srv/d"] {
            let (place, file) = seen(&root, VolumeSource::Directory(path(at))).directory.unwrap();
            assert!(place.dir().is_some());
            assert!(matches!(file, FileFacts::Damaged(_)), "{at}: {file:?}");
        }
        let none = seen(&root, VolumeSource::Directory(path("/srv/none/x"))).directory.unwrap();
        assert_eq!(none, (Place::Absent { missing: path("/srv/none") }, FileFacts::Absent));
    });
}

#[test]
fn swap_and_partition_tables_are_told() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        let disk = image(sandbox, "disk.img", 16);
        succeeds(Command::new("mkswap").arg("-q").arg(&disk));
        let found = device(&root, "/disk.img").signature.unwrap();
        assert!(!found.is_filesystem && found.kind == "swap");
        // A master boot record with one Linux partition (16 bytes at 446, the mark 55 AA at its end).
        let mut record = vec![0; 16 << 20];
        record[446..462].copy_from_slice(&[0, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0x40, 0, 0]);
        record[510..512].copy_from_slice(&[0x55, 0xaa]);
        std::fs::write(&disk, record).unwrap();
        let found = device(&root, "/disk.img").signature.unwrap();
        assert!(!found.is_filesystem && found.kind == "a partition table (dos)", "{found:?}");
    });
}

#[test]
fn where_it_is_mounted_and_what_else_uses_it() {
    Sandbox::run(|sandbox| {
        sandbox.dirs(&["inner/store/data0", "inner/mnt/x", "outside"]);
        let disk = image(sandbox, "inner/disk.img", 16);
        let root = Root::open(&sandbox.dir().join("inner")).unwrap();
        let uuid = fresh();
        steps::volume::make_filesystem(&root, &path("/disk.img"), "ext4", "data0", uuid, false).unwrap();
        steps::volume::mount(&root, "/disk.img", &path("/store/data0"), "ext4", "").unwrap();
        std::fs::create_dir(sandbox.dir().join("inner/store/data0/live")).unwrap();
        steps::volume::mount(&root, "/store/data0/live", &path("/mnt/x"), "none", "bind").unwrap();
        let found = device(&root, "/disk.img");
        assert_eq!((found.mounted_at, found.in_use), (vec![path("/store/data0")], None));
        assert_eq!(found.file, FileFacts::Absent);
        let here = seen(&root, VolumeSource::Here);
        let behind = here.device.unwrap();
        assert_eq!((behind.is_image, behind.path), (true, Some(path("/disk.img"))));
        assert_eq!(behind.signature.unwrap().uuid, Some(uuid.to_string()));
        assert_eq!(here.place.dir().unwrap().empty, Some(false));
        take_off(&root, "/mnt/x");
        take_off(&root, "/store/data0");

        let outside = sandbox.dir().join("outside");
        succeeds(Command::new("mount").args(["-o", "loop"]).arg(&disk).arg(&outside));
        let found = device(&root, "/disk.img");
        assert!(found.mounted_at.is_empty());
        assert!(found.in_use.unwrap().contains("outside the root"));
        assert_eq!(found.file, FileFacts::Hidden);
        succeeds(Command::new("umount").arg(&outside));

        let block = Block::new(&disk);
        let found = device(&root, "/disk.img");
        assert_eq!(found.in_use, Some(format!("it is attached to {}", block.0)));
        // The same through the machine's own device, which the root has not.
        let ask = || seen(&root, VolumeSource::Device(block.path())).device.unwrap();
        assert!(!ask().is_image && ask().in_use.is_none() && ask().size == 16 << 20);
        let exclusive =
            rustix::fs::open(&block.0, OFlags::RDONLY | OFlags::EXCL | OFlags::CLOEXEC, rustix::fs::Mode::empty())
                .unwrap();
        assert!(ask().in_use.unwrap().contains("the kernel has it in use"));
        drop(exclusive);
        // A program that another test starts just now has it too, until it is itself.
        let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while ask().in_use.is_some() {
            assert!(std::time::Instant::now() < until, "still in use");
        }
        steps::volume::mount(&root, &block.0, &path("/store/data0"), "ext4", "noatime").unwrap();
        assert_eq!(ask().mounted_at, [path("/store/data0")]);
        take_off(&root, "/store/data0");
    });
}

#[test]
fn btrfs_is_found_by_its_source() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        sandbox.dirs(&["store/data0"]);
        image(sandbox, "disk.img", 128);
        steps::volume::make_filesystem(&root, &path("/disk.img"), "btrfs", "data0", fresh(), false).unwrap();
        steps::volume::mount(&root, "/disk.img", &path("/store/data0"), "btrfs", "").unwrap();
        assert_eq!(device(&root, "/disk.img").mounted_at, [path("/store/data0")]);
        assert_eq!(seen(&root, VolumeSource::Here).device.unwrap().path, Some(path("/disk.img")));
        take_off(&root, "/store/data0");
    });
}

#[test]
fn the_place_and_the_configuration() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        let site = seen(&root, VolumeSource::Here);
        assert_eq!(site.path, path("/store/data0"));
        assert_eq!(site.place, Place::Absent { missing: path("/store") });
        assert_eq!((site.file, site.device, site.directory, site.config), (FileFacts::Absent, None, None, None));
        assert!(matches!(site.configlets, Place::Absent { .. }));
        let layout: Vec<String> = site.layout.iter().map(|(p, _)| p.to_string()).collect();
        assert_eq!(layout[..2], ["/store/data0/live", "/store/data0/live/server1"]);

        sandbox.dirs(&["store/data0/live/server1", "etc/datastore.d"]);
        sandbox.file("etc/datastore.conf", "host = \"server1\"\n");
        let file = VolumeFile { id: id(1), name: VolumeName::parse("data0").unwrap(), host: None };
        sandbox.file("store/data0/.datastore/volume.toml", &file.render());
        let site = seen(&root, VolumeSource::Here);
        assert_eq!(site.file, FileFacts::Is(file));
        assert_eq!(site.config.as_deref(), Some("host = \"server1\"\n"));
        assert!(site.configlets.dir().is_some() && site.place.dir().is_some());
        assert_eq!(site.layout.iter().filter(|(_, place)| place.dir().is_some()).count(), 3);

        for bad in [b"\xff".to_vec(), vec![b'#'; 2 << 20]] {
            std::fs::write(sandbox.dir().join("etc/datastore.conf"), bad).unwrap();
            assert_eq!(try_seen(&root, VolumeSource::Here).unwrap_err().kind(), ErrorKind::Invalid);
        }
    });
}

#[test]
fn without_privilege_a_device_may_not_be_read() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        let disk = image(sandbox, "disk.img", 5);
        std::fs::set_permissions(&disk, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        without(&[], || {
            rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(65534)).unwrap();
            let error = try_seen(&root, VolumeSource::Device(path("/disk.img"))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Privilege);
        });
    });
}
