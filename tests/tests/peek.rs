//! `peek`: what lies under a live bind is seen and copied out, and nobody else notices.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use datastore_core::peek::EntryKind;
use datastore_tests::rows::text;
use datastore_tests::{Sandbox, Snapshot, binary, image, mounts};
use rustix::fs::{CWD, FileType, IFlags, Mode, XattrFlags};
use serde_json::Value;

const SHOP: &str = "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n";
const STORE: &str = "/store/data0/live/server1/shop";

/// A machine on which `shop` is active, with `hide` having written to the bare mount point.
#[track_caller]
fn hiding(hide: impl Fn(&Sandbox)) -> Sandbox {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("shop", SHOP);
    sandbox.datastore(&["apply", "--yes"]).ok();
    fs::write(sandbox.path("/var/shop/order"), "one").unwrap();
    sandbox.unmount("/var/shop");
    let bare = File::open(sandbox.path("/var/shop")).unwrap();
    rustix::fs::ioctl_setflags(&bare, rustix::fs::ioctl_getflags(&bare).unwrap() - IFlags::IMMUTABLE).unwrap();
    fs::set_permissions(sandbox.path("/var/shop"), fs::Permissions::from_mode(0o755)).unwrap();
    hide(&sandbox);
    sandbox.bind(STORE, "/var/shop");
    sandbox
}

/// Files of every kind, with all that a copy must keep.
fn tree(sandbox: &Sandbox) {
    let at = |path: &str| sandbox.path(format!("/var/shop/{path}"));
    fs::create_dir(at("dir")).unwrap();
    sandbox.write("/var/shop/dir/tool", "run");
    chown(at("dir/tool"), Some(1000), Some(12)).unwrap();
    fs::set_permissions(at("dir/tool"), fs::Permissions::from_mode(0o4751)).unwrap();
    let sparse = File::create(at("sparse")).unwrap();
    sparse.write_all_at(b"begin", 0).unwrap();
    sparse.write_all_at(b"middle", 8 << 20).unwrap();
    sparse.set_len(64 << 20).unwrap();
    symlink("/etc/passwd", at("dir/link")).unwrap();
    lchown(at("dir/link"), Some(1000), None).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    sandbox.write("/var/shop/a b\u{1b}[31m", "odd");
    let times = fs::FileTimes::new().set_modified(UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789));
    File::open(at("dir/tool")).unwrap().set_times(times).unwrap();
    fs::set_permissions(at("dir"), fs::Permissions::from_mode(0o2770)).unwrap();
    File::open(at("dir")).unwrap().set_times(times).unwrap();
}

fn fifo(sandbox: &Sandbox) {
    let path = sandbox.path("/var/shop/fifo");
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

#[track_caller]
fn entries(peek: &Value) -> Vec<Value> {
    peek["mappings"][0]["entries"].as_array().expect("entries").clone()
}

fn each(entries: &[Value], field: &str) -> Vec<String> {
    entries.iter().map(|e| text(&e[field])).collect()
}

/// What two files have in common, but for the inode.
fn same(a: &Path, b: &Path) {
    let (x, y) = (a.symlink_metadata().unwrap(), b.symlink_metadata().unwrap());
    let facts = |m: &fs::Metadata| (m.mode(), m.uid(), m.gid(), m.mtime(), m.mtime_nsec());
    assert_eq!(facts(&x), facts(&y), "{} and {}", a.display(), b.display());
    if x.is_file() {
        assert!(fs::read(a).unwrap() == fs::read(b).unwrap(), "{} and {}", a.display(), b.display());
    } else if x.is_symlink() {
        assert_eq!(fs::read_link(a).unwrap(), fs::read_link(b).unwrap());
    }
}

#[test]
fn what_is_hidden_is_listed_and_nothing_is_touched() {
    let sandbox = hiding(|s| {
        tree(s);
        fifo(s);
    });
    // Somebody is at work in the bind.
    let mut order = File::options().append(true).open(sandbox.path("/var/shop/order")).unwrap();
    let (before, table) = (Snapshot::of(&sandbox), mounts::text("thread-self"));
    let peek = sandbox.datastore(&["peek", "shop", "--json"]).ok().json();
    let top = entries(&peek);
    assert_eq!(each(&top, "path"), ["a b\\x1b[31m", "dangling", "dir", "fifo", "sparse"]);
    assert_eq!(each(&top, "kind"), ["file", "link", "directory", "other", "file"]);
    let met = each(&top, "kind");
    assert!(EntryKind::ALL.iter().all(|kind| met.iter().any(|m| m == kind.as_str())), "every kind is met");
    assert_eq!((&top[1]["target"], &top[4]["size"]), (&"nowhere".into(), &(64 << 20).into()));

    let deep = entries(&sandbox.datastore(&["shop", "peek", "--list", "--json"]).ok().json());
    let tool = deep.iter().find(|e| e["path"] == "dir/tool").unwrap();
    assert_eq!(
        (&tool["mode"], &tool["user"], &tool["group"], &tool["modified"]),
        (&"4751".into(), &"alice".into(), &"mail".into(), &1_000_000_000.into()),
        "{tool:#}"
    );
    let one = entries(&sandbox.datastore(&["peek", "shop", "/var/shop/dir", "--json"]).ok().json());
    assert_eq!(each(&one, "path"), ["link", "tool"]);
    let one = entries(&sandbox.datastore(&["peek", "shop", "/var/shop/sparse", "--json"]).ok().json());
    assert_eq!(each(&one, "path"), ["sparse"]);
    // A link on the way is not followed.
    for nothing in ["/var/shop/dir/link/x", "/var/shop/none"] {
        sandbox.datastore(&["peek", "shop", nothing]).ok().says("nothing is hidden there");
    }
    let told = sandbox.datastore(&["peek", "shop", "--list"]).ok();
    told.says("dir/link -> /etc/passwd")
        .says("hidden under the bind")
        .says("hint: a copy of it: datastore peek shop --copy-to DIR");

    assert_eq!(mounts::text("thread-self"), table);
    before.assert_unchanged(&sandbox, "peek");
    order.write_all(b", two").unwrap();
    assert_eq!(sandbox.read(format!("{STORE}/order")), "one, two");
}

#[test]
fn no_mount_is_ever_made_where_others_see_it() {
    let sandbox = hiding(tree);
    let trace = sandbox.path("trace");
    let mut command = sandbox.command("strace");
    command.args(["-f", "-e", "trace=mount,umount2,move_mount,unshare,setns,clone3", "-o"]).arg(&trace);
    command.arg(binary::datastore()).arg("--root").arg(sandbox.root()).args(["peek", "shop", "--list"]);
    sandbox.run(command).ok().says("dir/tool");
    let calls = fs::read_to_string(trace).unwrap();
    let mounting = |l: &&str| ["mount(", "umount2(", "move_mount(", "unshare(", "setns("].iter().any(|c| l.contains(c));
    assert_eq!(calls.lines().filter(mounting).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_copy_keeps_all_that_it_says() {
    let sandbox = hiding(tree);
    let copied =
        sandbox.datastore(&["peek", "shop", "--copy-to", "/root/hidden", "--json"]).ok().json()["copied"].clone();
    assert_eq!(
        (&copied["to"], &copied["files"], &copied["directories"], &copied["links"]),
        (&"/root/hidden".into(), &3.into(), &2.into(), &2.into()),
        "{copied:#}"
    );
    assert_eq!(copied["left_out"], serde_json::json!([]));
    sandbox.unmount("/var/shop");
    let paths = ["", "dir", "dir/tool", "dir/link", "dangling", "sparse", "a b\u{1b}[31m"];
    for path in paths {
        let at = |top: &str| sandbox.path(format!("{top}/{path}"));
        same(&at("/var/shop"), &at("/root/hidden/var/shop"));
    }
    let blocks = sandbox.path("/root/hidden/var/shop/sparse").metadata().unwrap().blocks();
    assert!(blocks * 512 < 1 << 20, "holes stay holes: {blocks} blocks");
    assert!(copied["bytes"].as_u64() < Some(1 << 20), "{copied:#}");
    assert_eq!(sandbox.path("/root/hidden").metadata().unwrap().mode() & 0o7777, 0o700);
}

/// Sockets and the like, hard links, attributes.
fn odd(sandbox: &Sandbox) {
    fifo(sandbox);
    sandbox.write("/var/shop/one", "x");
    fs::hard_link(sandbox.path("/var/shop/one"), sandbox.path("/var/shop/two")).unwrap();
    sandbox.write("/var/shop/marked", "y");
    rustix::fs::setxattr(sandbox.path("/var/shop/marked"), "user.mark", b"yes", XattrFlags::empty()).unwrap();
}

#[test]
fn a_copy_keeps_what_is_no_plain_file_and_what_plain_files_carry() {
    let sandbox = hiding(odd);
    let copied =
        sandbox.datastore(&["peek", "shop", "--copy-to", "/root/hidden", "--json"]).ok().json()["copied"].clone();
    assert_eq!((&copied["files"], &copied["left_out"]), (&4.into(), &serde_json::json!([])));
    let at = |path: &str| sandbox.path(format!("/root/hidden/var/shop/{path}"));
    let facts = |path: &str| at(path).symlink_metadata().unwrap();
    assert_eq!(facts("one").ino(), facts("two").ino());
    assert_eq!(FileType::from_raw_mode(facts("fifo").mode()), FileType::Fifo);
    let mut value = [0; 9];
    let length = rustix::fs::getxattr(at("marked"), "user.mark", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"yes");
}

#[test]
fn what_is_not_copied_is_said_and_the_exit_code_says_so_too() {
    // xfs holds links of up to 1024 bytes, ext4 longer ones.
    let sandbox = hiding(|s| {
        odd(s);
        symlink("x".repeat(2000), s.path("/var/shop/long")).unwrap();
    });
    sandbox.mount_loop(&sandbox.loop_image("rescue.img", image::XFS_MINIMUM, Some("xfs")), "/mnt/rescue");
    let copied =
        sandbox.datastore(&["peek", "shop", "--copy-to", "/mnt/rescue/one", "--json"]).code(1).json()["copied"].clone();
    let left = copied["left_out"].as_array().unwrap();
    assert_eq!((each(left, "path"), &copied["files"]), (vec!["/var/shop/long".to_owned()], &4.into()), "{copied:#}");
    assert!(text(&left[0]["why"]).contains("cannot be held"), "{left:#?}");
    assert_eq!(sandbox.read("/mnt/rescue/one/var/shop/two"), "x");
    sandbox
        .datastore(&["peek", "shop", "--copy-to", "/mnt/rescue/two"])
        .code(1)
        .says("left out:")
        .says("/var/shop/long");
}

#[test]
fn what_the_outer_and_the_inner_mount_point_hide_is_copied_to_one_place() {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("shop", &format!("{SHOP}[mapping.\"/var/shop/inner\"]\ntarget = \"%{{base}}/inner\"\n"));
    sandbox.datastore(&["apply", "--yes"]).ok();
    // What was there before there were binds, and what somebody wrote to the inner mount point while nothing was bound on it.
    let open = |path: &str| {
        sandbox.run(sandbox.command("chattr").arg("-i").arg(sandbox.path(path))).ok();
        fs::set_permissions(sandbox.path(path), fs::Permissions::from_mode(0o755)).unwrap();
    };
    sandbox.unmount("/var/shop/inner");
    open("/var/shop/inner");
    sandbox.write("/var/shop/inner/lost", "inner");
    sandbox.write("/var/shop/inner/both", "inner");
    sandbox.unmount("/var/shop");
    open("/var/shop");
    sandbox.directory("/var/shop/inner", 0o755);
    sandbox.write("/var/shop/inner/old", "outer");
    sandbox.write("/var/shop/inner/both", "outer");
    sandbox.run(sandbox.command("chattr").arg("+i").arg(sandbox.path("/var/shop/inner"))).ok();
    sandbox.bind(STORE, "/var/shop");
    sandbox.bind("/store/data0/live/server1/inner", "/var/shop/inner");
    let run = sandbox.datastore(&["peek", "shop", "--copy-to", "/root/hidden", "--json"]).code(1);
    let left = run.json()["copied"]["left_out"].as_array().unwrap().clone();
    assert_eq!(each(&left, "path"), ["/var/shop/inner/both"], "{left:#?}");
    for (file, holds) in [("old", "outer"), ("both", "outer"), ("lost", "inner")] {
        assert_eq!(sandbox.read(format!("/root/hidden/var/shop/inner/{file}")), holds);
    }
    sandbox.run(sandbox.command("chattr").args(["-R", "-i"]).arg(sandbox.path("/var/shop"))).ok();
}

#[test]
fn one_path_is_copied_alone() {
    let sandbox = hiding(tree);
    sandbox.directory("/root/empty", 0o750);
    sandbox
        .datastore(&["peek", "shop", "/var/shop/dir/tool", "--copy-to", "/root/empty"])
        .ok()
        .says("copied to /root/empty");
    assert_eq!(sandbox.read("/root/empty/var/shop/dir/tool"), "run");
    assert_eq!(fs::read_dir(sandbox.path("/root/empty/var/shop/dir")).unwrap().count(), 1);
    assert_eq!(
        sandbox.path("/root/empty").metadata().unwrap().mode() & 0o7777,
        0o750,
        "a directory that was there stays so"
    );
}

#[test]
fn nothing_is_copied_to_where_it_must_not_be() {
    let sandbox = hiding(tree);
    sandbox.directory("/root/full", 0o755);
    sandbox.write("/root/full/x", "x");
    sandbox.directory("/mnt/real", 0o755);
    symlink("real", sandbox.path("/mnt/link")).unwrap();
    let before = Snapshot::of(&sandbox);
    for (to, code, why) in [
        ("/root/full", 3, "not empty"),
        ("/root/full/x", 3, ""),
        ("/store/data0/live/server1/copy", 3, "the stores of volume `data0`"),
        ("/store/data0/live/server1/shop/copy", 3, "the stores of volume `data0`"),
        ("/var/shop", 3, "/var/shop of `shop`"),
        ("/var/shop/copy", 3, "/var/shop of `shop`"),
        ("/home/copy", 3, "/home of `home`"),
        ("/mnt/link", 3, ""),
        ("/mnt/link/copy", 3, ""),
        ("/root/not/there", 3, ""),
    ] {
        let run = sandbox.datastore(&["peek", "shop", "--copy-to", to, "--json"]).code(code);
        let error = run.json()["error"].clone();
        assert!(text(&error["message"]).contains(why), "{to}: {error:#}");
        before.assert_unchanged(&sandbox, to);
    }
    for (args, why) in
        [(&["peek", "nobody"][..], "no app is called"), (&["peek", "shop", "/var/other"], "lies in no mount point")]
    {
        sandbox.datastore(args).code(2).says(why);
    }
    before.assert_unchanged(&sandbox, "usage");
}

#[test]
fn where_nothing_is_hidden_it_says_so() {
    let sandbox = hiding(|_| {});
    let run = sandbox.datastore(&["peek", "shop", "--copy-to", "/root/hidden"]).ok().says("nothing is hidden there");
    drop(run.silent_about("copied"));
    assert!(!sandbox.exists("/root/hidden"));
    sandbox.datastore(&["stop", "shop"]).ok();
    let peek = sandbox.datastore(&["peek", "shop", "--json"]).ok().json();
    assert_eq!((&peek["mappings"][0]["hidden"], &peek["copied"]), (&false.into(), &Value::Null));
    assert!(text(&peek["mappings"][0]["detail"]).contains("nothing is mounted there"));
}

#[test]
fn inner_and_stacked_mounts_and_binds_that_nobody_declares() {
    let sandbox = hiding(|s| {
        tree(s);
        s.directory("/var/shop/inner", 0o755);
        s.write("/var/shop/inner/deep", "deep");
    });
    // An inner mount point lies in the outer store, and what is under its bind is there.
    sandbox.configlet("inner", "[mapping.\"/var/shop/inner\"]\ntarget = \"%{base}/inner\"\n");
    sandbox.datastore(&["apply", "inner", "--yes"]).ok();
    sandbox.unmount("/var/shop/inner");
    let bare = sandbox.path(format!("{STORE}/inner"));
    sandbox.run(sandbox.command("chattr").arg("-i").arg(&bare)).ok();
    fs::set_permissions(&bare, fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.write(format!("{STORE}/inner/lost"), "lost");
    sandbox.bind("/store/data0/live/server1/inner", "/var/shop/inner");
    let inner = entries(&sandbox.datastore(&["peek", "inner", "--json"]).ok().json());
    assert_eq!(each(&inner, "path"), ["lost"]);
    // The outer bind still hides its own.
    let outer = entries(&sandbox.datastore(&["peek", "shop", "--list", "--json"]).ok().json());
    assert!(each(&outer, "path").contains(&"inner/deep".to_owned()), "{outer:#?}");
    sandbox.bind(STORE, "/var/shop");
    let stacked = entries(&sandbox.datastore(&["peek", "shop", "--json"]).ok().json());
    assert!(each(&stacked, "path").contains(&"sparse".to_owned()), "below all of them: {stacked:#?}");
    fs::remove_file(sandbox.path("/etc/datastore.d/shop.conf")).unwrap();
    sandbox.datastore(&["peek", "shop"]).ok().says("sparse");
}

#[test]
fn on_older_kernels_it_sees_the_same() {
    let sandbox = hiding(tree);
    let seen = sandbox.datastore(&["peek", "shop", "--list", "--json"]).ok().json();
    let old =
        ["openat2", "open_tree", "move_mount", "mount_setattr", "statmount", "listmount", "statx", "464", "syncfs"];
    let (before, table) = (Snapshot::of(&sandbox), mounts::text("thread-self"));
    for calls in [&["mount_setattr"][..], &["open_tree"], &old] {
        let peek = sandbox.datastore_without(calls, &["peek", "shop", "--list", "--json"]).ok().json();
        assert_eq!(peek, seen, "without {calls:?}");
        before.assert_unchanged(&sandbox, "peek on an old kernel");
        assert_eq!(mounts::text("thread-self"), table);
    }
    // Two stacked ones, and a bind inside: both are taken away in the other namespace, and stay here.
    sandbox.bind(STORE, "/var/shop");
    sandbox.directory("/var/shop/inner", 0o755);
    sandbox.bind("/mnt", "/var/shop/inner");
    let table = mounts::text("thread-self");
    let peek = sandbox.datastore_without(&["open_tree"], &["peek", "shop", "--list", "--json"]).ok().json();
    assert_eq!(peek, seen);
    assert_eq!(mounts::text("thread-self"), table);
    sandbox.datastore_without(&old, &["peek", "shop", "--copy-to", "/root/hidden"]).ok();
    assert_eq!(sandbox.read("/root/hidden/var/shop/dir/tool"), "run");
    // Where not even a namespace can be made, it says so.
    let run = sandbox.datastore_without(&["open_tree", "272"], &["peek", "shop", "--json"]);
    if cfg!(target_arch = "x86_64") {
        assert!(text(&run.code(1).json()["error"]["message"]).contains("no mount namespace can be made"));
    }
}

#[test]
fn it_takes_root() {
    let sandbox = hiding(tree);
    // By cp(1): while this process had it open for writing, a child of another thread's could keep it so (ETXTBSY).
    let program = sandbox.path("datastore");
    sandbox.run(sandbox.command("cp").arg(binary::datastore()).arg(&program)).ok();
    let mut command = sandbox.command("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).arg(program);
    let run = sandbox.run(command.arg("--root").arg(sandbox.root()).args(["peek", "shop", "--json"])).code(4);
    assert_eq!(run.json()["error"]["hint"], "run it as root");
}

#[test]
fn a_long_list_is_cut_and_a_copy_is_not() {
    let sandbox = hiding(|s| (0..10_050).for_each(|i| drop(File::create(s.path(format!("/var/shop/{i}"))).unwrap())));
    let peek = sandbox.datastore(&["peek", "shop", "--json"]).ok().json();
    assert_eq!((entries(&peek).len(), &peek["mappings"][0]["cut"]), (10_000, &true.into()));
    let copied = sandbox.datastore(&["peek", "shop", "--copy-to", "/root/hidden", "--json"]).ok().json();
    assert_eq!(copied["copied"]["files"], 10_050);
}

#[test]
fn a_deep_tree_is_copied_to_its_bottom_and_listed_as_far_as_that_goes() {
    let sandbox = hiding(|s| {
        let mut path = s.path("/var/shop");
        (0..250).for_each(|_| path.push("d"));
        fs::create_dir_all(path).unwrap();
    });
    let peek = sandbox.datastore(&["peek", "shop", "--list", "--json"]).ok().json();
    assert_eq!(peek["mappings"][0]["cut"], true);
    let copied = sandbox.datastore(&["peek", "shop", "--copy-to", "/root/hidden", "--json"]).ok().json();
    assert_eq!(copied["copied"]["directories"], 251);
}

#[test]
fn a_full_disk_ends_the_copy_and_says_what_stands() {
    let sandbox = hiding(|s| drop(s.write("/var/shop/big", vec![b'x'; 3 << 20])));
    sandbox.tmpfs("/mnt/small", 1 << 20);
    let run = sandbox.datastore(&["peek", "shop", "--copy-to", "/mnt/small", "--json"]).code(1);
    let error = run.json()["error"].clone();
    assert_eq!(error["errno"], 28);
    assert!(
        text(&error["message"]).contains("/var/shop/big") && text(&error["hint"]).contains("make room"),
        "{error:#}"
    );
}
