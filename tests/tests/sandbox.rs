//! The sandbox itself: what the other suites trust.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use datastore_tests::image::XFS_MINIMUM;
use datastore_tests::{Sandbox, Unprivileged, mounts, skeleton};

/// Which mount namespace the calling thread is in.
fn namespace() -> String {
    fs::read_link("/proc/thread-self/ns/mnt").unwrap().display().to_string()
}

/// Whether the machine (the process that started this one) sees a mount at or below a directory.
fn machine_sees(dir: &std::path::Path) -> bool {
    let parent = std::os::unix::process::parent_id().to_string();
    !mounts::below(&mounts::parse(&mounts::text(&parent)), dir).is_empty()
}

#[test]
fn a_root_with_the_things_that_datastore_looks_at() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.read("/etc/fstab"), skeleton::FSTAB);
    assert!(sandbox.read("etc/passwd").contains("\nmysql:"));
    for (path, mode) in skeleton::DIRECTORIES {
        assert_eq!(sandbox.path(path).metadata().unwrap().mode() & 0o7777, *mode, "{path}");
    }
    sandbox.configlet("httpd", "title = \"Web\"\n");
    assert_eq!(sandbox.read("/etc/datastore.d/httpd.conf"), "title = \"Web\"\n");
    assert!(sandbox.exists("var/www") && !sandbox.exists("var/www/html"));
}

#[test]
fn its_mounts_are_its_own() {
    let before = namespace();
    let sandbox = Sandbox::new();
    assert_ne!(namespace(), before);
    sandbox.tmpfs("/store/data0", 1 << 20);
    assert_eq!(sandbox.mountinfo().len(), 1);
    assert_eq!(sandbox.bound("/store/data0").unwrap().fs_type, "tmpfs");
    assert_eq!(sandbox.bound("/store/data1"), None);
    // The processes that it starts are in the same namespace, the machine is not.
    sandbox.run(sandbox.command("mountpoint").arg(sandbox.path("/store/data0"))).ok();
    assert!(!machine_sees(sandbox.root()));
    sandbox.unmount("/store/data0");
    assert!(sandbox.mountinfo().is_empty());
}

#[test]
fn two_threads_have_two_sandboxes() {
    let there = std::thread::spawn(|| {
        let sandbox = Sandbox::new();
        sandbox.tmpfs("/mnt", 1 << 20);
        (namespace(), sandbox.root().to_path_buf())
    });
    let here = Sandbox::new();
    let (other, root) = there.join().unwrap();
    assert_ne!(namespace(), other);
    assert_ne!(here.root(), root);
    assert!(!root.exists(), "a dropped sandbox leaves nothing");
}

#[test]
fn drop_removes_sealed_directories_and_stays_out_of_mounts() {
    let beyond = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::write(beyond.path().join("precious"), "data").unwrap();
    let sandbox = Sandbox::new();
    let root = sandbox.root().to_path_buf();

    let sealed = sandbox.directory("/var/www/html", 0o000);
    sandbox.run(sandbox.command("chattr").arg("+i").arg(&sealed)).ok();
    assert!(fs::write(sealed.join("x"), "").is_err(), "the seal holds");
    let log = sandbox.write("/var/lib/only-append", "");
    sandbox.run(sandbox.command("chattr").arg("+a").arg(&log)).ok();

    // Bound twice, one over the other, with a link to it: three ways to lose somebody's data.
    sandbox.run(sandbox.command("mount").arg("--bind").arg(beyond.path()).arg(sandbox.path("mnt"))).ok();
    sandbox.run(sandbox.command("mount").arg("--bind").arg(beyond.path()).arg(sandbox.path("mnt"))).ok();
    std::os::unix::fs::symlink(beyond.path(), sandbox.path("home/link")).unwrap();
    assert_eq!(sandbox.mountinfo().len(), 2);

    drop(sandbox);
    assert!(!root.exists());
    assert_eq!(fs::read_to_string(beyond.path().join("precious")).unwrap(), "data");
}

#[test]
fn a_busy_mount_does_not_keep_the_sandbox() {
    let sandbox = Sandbox::new();
    sandbox.tmpfs("/store/data0", 1 << 20);
    let held = fs::File::create(sandbox.path("/store/data0/held")).unwrap();
    let root = sandbox.root().to_path_buf();
    drop(sandbox);
    assert!(!root.exists());
    drop(held);
}

#[test]
fn loop_images_of_each_file_system() {
    let sandbox = Sandbox::new();
    for (fs_type, bytes) in [("ext4", 16 << 20), ("xfs", XFS_MINIMUM), ("btrfs", 128 << 20)] {
        let image = sandbox.loop_image(&format!("{fs_type}.img"), bytes, Some(fs_type));
        assert!(image.metadata().unwrap().blocks() * 512 < bytes / 2, "{fs_type}: the file is sparse");
        let blkid = sandbox.run(sandbox.command("blkid").args(["-p", "-o", "value", "-s", "LABEL"]).arg(&image)).ok();
        assert_eq!(blkid.stdout.trim(), fs_type);
        sandbox.mount_loop(&image, format!("/store/{fs_type}"));
        assert_eq!(sandbox.bound(format!("/store/{fs_type}")).unwrap().fs_type, fs_type);
    }
    let blank = sandbox.loop_image("blank.img", 1 << 20, None);
    sandbox.run(sandbox.command("blkid").arg("-p").arg(&blank)).code(2);

    let root = sandbox.root().display().to_string();
    drop(sandbox);
    // The kernel frees the loop devices with the last unmount, in its own time.
    let attached = || {
        let list = Command::new("losetup").args(["--list", "--noheadings", "--output", "BACK-FILE"]).output().unwrap();
        String::from_utf8_lossy(&list.stdout).contains(&root)
    };
    for _ in 0..200 {
        if !attached() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("a loop device still holds an image of {root}");
}

#[test]
fn accounts_come_from_the_root_when_asked() {
    let sandbox = Sandbox::new();
    sandbox.run(sandbox.command("id").args(["-u", "winadmin"])).fails();
    sandbox.bind_accounts();
    let id = sandbox.run(sandbox.command("id").args(["-u", "winadmin"])).ok();
    assert_eq!(id.stdout, "400\n");
}

#[test]
fn a_system_call_can_be_missing() {
    let sandbox = Sandbox::new();
    let link = sandbox.path("link");
    let calls = if cfg!(target_arch = "x86_64") { vec!["symlinkat", "88"] } else { vec!["symlinkat"] };
    sandbox.run(sandbox.nosys(&calls, "ln").arg("-s").arg("x").arg(&link)).code(1).says("Function not implemented");
    assert!(!sandbox.exists("link"));
    // Another missing call does not matter to ln.
    sandbox.run(sandbox.nosys(&["copy_file_range"], "ln").arg("-s").arg("x").arg(&link)).ok();
    assert!(sandbox.exists("link"));
    sandbox.run(sandbox.nosys(&["no_such_call"], "true")).code(125).says("unknown system call");
}

#[test]
fn nobody_is_root_in_a_namespace_of_its_own() {
    let user = Unprivileged::new();
    let id = user.run(user.command("id").arg("-u")).ok();
    assert_eq!(id.stdout, "0\n");
    let map = user.run(user.command("cat").arg("/proc/self/uid_map")).ok();
    assert_eq!(map.stdout.split_whitespace().collect::<Vec<_>>(), ["0", "65534", "1"]);

    // It owns its root, and has no power outside.
    user.run(user.command("touch").arg(user.path("etc/mine"))).ok();
    assert_eq!(user.path("etc/mine").metadata().unwrap().uid(), 65_534);
    let theirs = user.root().parent().unwrap().join("etc/theirs");
    user.run(user.command("touch").arg(&theirs)).code(1).says("Permission denied");

    // A mount lasts from one command to the next, unseen by the test and the machine.
    let (store, home) = (user.path("store"), user.path("home"));
    fs::write(user.write("store/file", "").as_path(), "in the store").unwrap();
    user.run(user.command("mount").arg("--bind").arg(&store).arg(&home)).ok();
    let read = user.run(user.command("cat").arg(home.join("file"))).ok();
    assert_eq!(read.stdout, "in the store");
    assert!(!home.join("file").exists());
    assert!(!machine_sees(user.root()));

    let root = user.root().to_path_buf();
    drop(user);
    assert!(!root.exists());
}

#[test]
fn a_file_is_written_with_its_mode_whatever_the_umask() {
    let sandbox = Sandbox::new();
    let script = format!("umask 077; mkdir {0}/new; touch {0}/new/file", sandbox.root().display());
    sandbox.run(sandbox.command("sh").args(["-c", &script])).ok();
    let path = sandbox.write("/a/b/c.conf", "x");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o644);
    assert_eq!(path.parent().unwrap().metadata().unwrap().mode() & 0o7777, 0o755);
}
