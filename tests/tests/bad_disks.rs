//! Disks that fail while data moves: the source stays as it is, it is said what failed, and once that is mended the same command works.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use datastore_tests::{Sandbox, scenes};

const STORE: &str = "/store/data0/live/server1";

/// Contents that stand nowhere else on a disk.
fn unique() -> Vec<u8> {
    (0..64_u32 << 10).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

/// Where some contents lie on a disk.
fn place(image: &Path, contents: &[u8]) -> u64 {
    let bytes = fs::read(image).unwrap();
    let block = &contents[..4096];
    let found = bytes.chunks_exact(4096).position(|chunk| chunk == block).expect("the contents are on the disk");
    found as u64 * 4096
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_its_tree_stays() {
    for verb in ["import", "move"] {
        let sandbox = Sandbox::initialised();
        let image = sandbox.loop_image("disk.img", 128 << 20, Some("btrfs"));
        let (at, command) = if verb == "import" {
            sandbox.mount_loop(&image, "/srv/old");
            sandbox.configlet("shop", "[mapping.\"/srv/old/shop\"]\ntarget = \"%{base}/shop\"\n");
            ("/srv/old/shop", vec!["import", "shop", "--yes"])
        } else {
            let shown = image.display().to_string();
            sandbox.datastore(&["volume", "add", "data1", "--device", &shown, "--yes"]).ok();
            sandbox.configlet("shop", "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\nvolume = \"data1\"\n");
            sandbox.datastore(&["apply", "--yes"]).ok();
            ("/var/shop", vec!["move", "shop", "--to", "data0", "--yes"])
        };
        scenes::data(&sandbox, at);
        fs::write(sandbox.path(at).join("lost"), unique()).unwrap();
        let lost = fs::File::open(sandbox.path(at).join("lost")).unwrap();
        rustix::fs::syncfs(&lost).unwrap();
        rustix::fs::fadvise(&lost, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        drop(lost);
        let there = place(&image, &unique());
        let disk = fs::File::options().write(true).open(&image).unwrap();
        disk.write_all_at(&[0; 4096], there).unwrap();
        disk.sync_all().unwrap();
        let state = sandbox.state(at);
        let run = sandbox.datastore(&command).code(1);
        assert!(run.stderr.contains("/lost") && run.stderr.contains("cannot be read"), "{verb}: {}", run.stderr);
        assert!(run.stderr.contains("the source is as it was"), "{verb}: {}", run.stderr);
        assert_eq!((sandbox.state(at), fs::read_dir(sandbox.path(at)).unwrap().count()), (state, 4), "{verb}");
        assert!(!sandbox.exists(format!("{STORE}/shop")), "{verb}");
        disk.write_all_at(&unique()[..4096], there).unwrap();
        disk.sync_all().unwrap();
        sandbox.datastore(&command).ok();
        sandbox.is(at, "active");
        assert_eq!(fs::read(sandbox.path(at).join("lost")).unwrap(), unique(), "{verb}");
        assert!(sandbox.exists(format!("{STORE}/shop/lost")), "{verb}");
    }
}

#[test]
fn a_target_that_does_not_take_what_it_promised_is_told() {
    let sandbox = Sandbox::initialised();
    // A disk that is smaller than it says: writes fail when they get to it, long after the file system has taken them.
    sandbox.tmpfs("/small", 12 << 20);
    let image = sandbox.loop_image("small/disk.img", 96 << 20, Some("ext4"));
    let shown = image.display().to_string();
    sandbox.datastore(&["volume", "add", "data1", "--device", &shown, "--yes"]).ok();
    sandbox.configlet("shop", "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n");
    sandbox.datastore(&["apply", "--yes"]).ok();
    scenes::data(&sandbox, "/var/shop");
    for n in 0..30 {
        fs::write(sandbox.path("/var/shop").join(format!("large{n}")), [unique(), unique(), unique()].concat())
            .unwrap();
    }
    let original = sandbox.directory("/srv", 0o755).join("original");
    sandbox.run(sandbox.command("cp").args(["-a"]).arg(sandbox.path("/var/shop")).arg(&original)).ok();
    let command = ["move", "shop", "--to", "data1", "--yes"];
    let run = sandbox.datastore(&command).code(1);
    let told = ["cannot be brought to the disk", "cannot be written"].iter().any(|what| run.stderr.contains(what));
    assert!(told && run.stderr.contains("/store/data1") && run.stderr.contains("hint: "), "{}", run.stderr);
    sandbox.alike_but_for_tops(&original, &sandbox.path("/var/shop"));
    assert_eq!(sandbox.row("/var/shop")["store"], format!("{STORE}/shop"));
    sandbox.datastore(&["guard", "shop"]).ok();
    // It gets its room, and is looked over as after every failure.
    sandbox.unmount("/store/data1");
    let small = sandbox.path("/small");
    sandbox.run(sandbox.command("mount").args(["-o", "remount,size=160m"]).arg(&small)).ok();
    let checked = sandbox.run(sandbox.command("e2fsck").args(["-f", "-y"]).arg(&image));
    assert!(checked.status.code().is_some_and(|code| code < 4), "{}", checked.stdout);
    sandbox.mount_loop(&image, "/store/data1");
    sandbox.datastore(&command).ok();
    sandbox.is("/var/shop", "active");
    assert_eq!(sandbox.row("/var/shop")["volume"], "data1");
    sandbox.alike_but_for_tops(&original, &sandbox.path("/var/shop"));
}
