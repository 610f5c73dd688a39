//! `watch`: what goes wrong while the machine runs is seen at once, told once, and over when it is mended.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use datastore_tests::{Follower, Sandbox, binary};
use rustix::mount::{MountFlags, UnmountFlags};
use serde_json::Value;

const SHOP: &str = "services = [\"shop\"]\n[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n";
/// Longer nothing takes, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A machine with its data on a disk of its own, and one app.
#[track_caller]
fn machine() -> Sandbox {
    with_disk(&["--format", "ext4"], "")
}

#[track_caller]
fn with_disk(format: &[&str], watch: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.loop_image("disk.img", 64 << 20, None);
    let init = [&["init", "--host", "server1", "--device", "/disk.img", "--yes"], format].concat();
    sandbox.datastore(&init).ok();
    let globals = sandbox.read("/etc/datastore.conf");
    sandbox.write("/etc/datastore.conf", format!("{globals}\n[watch]\n{watch}\n"));
    sandbox.configlet("shop", SHOP);
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox
}

/// A watcher whose first look is done.
#[track_caller]
fn watch(sandbox: &Sandbox) -> Follower {
    let follower = Follower::start(sandbox.datastore_command(&["watch", "--json"]));
    until(&follower, |seen| seen["seen"] == "ready");
    follower
}

/// Waits for a line; those before it are passed over.
#[track_caller]
fn until(follower: &Follower, is: impl Fn(&Value) -> bool) -> Value {
    let mut others = Vec::new();
    let end = Instant::now() + PATIENCE;
    loop {
        match follower.next_within(end.saturating_duration_since(Instant::now())) {
            Some(seen) if is(&seen) => return seen,
            Some(other) => others.push(other),
            None => panic!("it was not seen; but {others:#?}"),
        }
    }
}

#[track_caller]
fn mapping(follower: &Follower, was: &str, now: &str) -> Value {
    until(follower, |seen| seen["seen"] == "mapping" && seen["was"] == was && seen["now"]["state"] == now)
}

#[track_caller]
fn volume(follower: &Follower, was: &str, now: &str) -> Value {
    until(follower, |seen| seen["seen"] == "volume" && seen["was"] == was && seen["now"]["state"] == now)
}

/// The open alarms: each its word, and what it is about.
fn alarms(sandbox: &Sandbox) -> Vec<(String, String)> {
    let told = sandbox.datastore(&["alarm", "list", "--json"]).ok().json();
    let text = |alarm: &Value, key: &str| alarm[key].as_str().unwrap_or_default().to_owned();
    let word = |alarm: &Value| match alarm["kind"].as_str() {
        Some("mapping" | "volume") if alarm["reason"].is_string() => text(alarm, "reason"),
        Some("mapping") => text(alarm, "state"),
        _ => text(alarm, "kind"),
    };
    let about = |alarm: &Value| if text(alarm, "app").is_empty() { text(alarm, "volume") } else { text(alarm, "app") };
    told["alarms"].as_array().unwrap().iter().map(|alarm| (word(alarm), about(alarm))).collect()
}

/// Waits until exactly these alarms are open.
#[track_caller]
fn alarmed(sandbox: &Sandbox, expected: &[(&str, &str)]) {
    alarmed_within(PATIENCE, sandbox, expected);
}

#[track_caller]
fn alarmed_within(time: Duration, sandbox: &Sandbox, expected: &[(&str, &str)]) {
    let end = Instant::now() + time;
    loop {
        let open = alarms(sandbox);
        let mut sorted: Vec<(&str, &str)> = open.iter().map(|(word, about)| (word.as_str(), about.as_str())).collect();
        sorted.sort_unstable();
        if sorted == expected {
            return;
        }
        assert!(Instant::now() < end, "{open:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What the file for everybody says.
fn status_file(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.read("/run/datastore/status.json")).expect("status.json")
}

/// The state of the one app.
fn shop(status: &Value) -> &str {
    let rows = status["mappings"].as_array().unwrap();
    rows.iter().find(|row| row["app"] == "shop").unwrap()["state"].as_str().unwrap()
}

#[test]
fn a_bind_that_is_taken_off_is_told_at_once_and_once_more_when_it_is_back() {
    let sandbox = machine();
    let follower = watch(&sandbox);
    let file = status_file(&sandbox);
    assert_eq!((shop(&file), &file["volumes"][0]["state"]), ("active", &"active".into()));
    assert_eq!((file["version"].as_u64(), file["pid"].as_u64()), (Some(1), Some(follower.pid().into())));
    assert!(file["at"].as_i64() > Some(0) && file["complete"] == true && file["host"] == "server1", "{file:#}");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(sandbox.path("/run/datastore/status.json")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(alarms(&sandbox), []);

    sandbox.unmount("/var/shop");
    let seen = mapping(&follower, "active", "pending");
    assert_eq!((&seen["app"], &seen["mount_point"]), (&"shop".into(), &"/var/shop".into()));
    alarmed(&sandbox, &[("pending", "shop")]);
    assert_eq!(shop(&status_file(&sandbox)), "pending");
    sandbox.datastore(&["apply", "--yes"]).ok();
    mapping(&follower, "pending", "active");
    alarmed(&sandbox, &[]);

    // On purpose is no alarm.
    sandbox.datastore(&["stop", "shop"]).ok();
    until(&follower, |seen| seen["now"]["state"] == "inactive");
    sandbox.datastore(&["start", "shop"]).ok();
    until(&follower, |seen| seen["now"]["state"] == "active");
    assert_eq!(alarms(&sandbox), []);
}

#[test]
fn a_volume_that_goes_takes_its_apps_along_and_both_are_over_when_they_are_back() {
    let sandbox = machine();
    let follower = watch(&sandbox);
    for path in ["/var/shop", "/store/data0"] {
        rustix::mount::unmount(sandbox.path(path), UnmountFlags::DETACH).unwrap();
    }
    assert_eq!(volume(&follower, "active", "refused")["now"]["reason"], "volume-missing");
    alarmed(&sandbox, &[("volume-missing", "data0"), ("volume-missing", "shop")]);
    sandbox.mount_loop(&sandbox.path("/disk.img"), "/store/data0");
    volume(&follower, "refused", "active");
    // The volume is there, and the app is not bound yet.
    alarmed(&sandbox, &[("volume-missing", "shop")]);
    sandbox.datastore(&["apply", "--yes"]).ok();
    alarmed(&sandbox, &[]);

    // Another disk in its place.
    for path in ["/var/shop", "/store/data0"] {
        rustix::mount::unmount(sandbox.path(path), UnmountFlags::DETACH).unwrap();
    }
    let other = sandbox.loop_image("other.img", 64 << 20, Some("ext4"));
    sandbox.mount_loop(&other, "/store/data0");
    alarmed(&sandbox, &[("wrong-volume", "data0"), ("wrong-volume", "shop")]);
}

#[test]
fn a_volume_that_fills_up_is_told_before_it_is_full_and_is_over_when_there_is_room() {
    let sandbox = with_disk(&["--format", "ext4"], "space = \"20%\"\ninodes = \"20%\"");
    let follower = watch(&sandbox);
    let filler = sandbox.path("/var/shop/filler");
    fs::write(&filler, vec![7; 48 << 20]).unwrap();
    alarmed(&sandbox, &[("space", "data0")]);
    fs::remove_file(&filler).unwrap();
    alarmed(&sandbox, &[]);
    // Inodes: 16384 of them, or so.
    let inodes = status_file(&sandbox)["volumes"][0]["inodes"].as_u64().unwrap();
    fs::create_dir(sandbox.path("/var/shop/many")).unwrap();
    for i in 0..inodes * 9 / 10 {
        fs::write(sandbox.path(format!("/var/shop/many/{i}")), "").unwrap();
    }
    alarmed(&sandbox, &[("inodes", "data0")]);
    let told = sandbox.datastore(&["alarm", "list", "--json"]).ok().json();
    let detail = told["alarms"][0]["detail"].as_str().unwrap().to_owned();
    assert!(detail.ends_with("inodes are free, less than 20 %"), "{detail}");
    fs::remove_dir_all(sandbox.path("/var/shop/many")).unwrap();
    alarmed(&sandbox, &[]);
    drop(follower);
}

#[test]
fn a_volume_that_turns_read_only_is_told() {
    let sandbox = machine();
    let follower = watch(&sandbox);
    let remount = |options: &str| {
        sandbox.run(sandbox.command("mount").args(["-o", options]).arg(sandbox.path("/store/data0"))).ok();
    };
    remount("remount,ro");
    alarmed(&sandbox, &[("read-only", "data0")]);
    remount("remount,rw");
    alarmed(&sandbox, &[]);
    // Where that is what somebody wants it is none.
    let fstab = sandbox.read("/etc/fstab");
    sandbox.write("/etc/fstab", fstab.replace("/store/data0 ext4 ", "/store/data0 ext4 ro,"));
    remount("remount,ro");
    sandbox.unmount("/var/shop");
    mapping(&follower, "active", "pending");
    alarmed(&sandbox, &[("pending", "shop")]);
}

/// The loop device of the volume.
fn device(sandbox: &Sandbox) -> String {
    let mount = sandbox.bound("/store/data0").expect("the volume");
    mount.source.trim_start_matches("/dev/").to_owned()
}

#[test]
fn an_error_in_the_file_system_that_makes_it_read_only_is_told() {
    let sandbox = machine();
    let _follower = watch(&sandbox);
    let at = sandbox.path("/store/data0");
    sandbox.run(sandbox.command("mount").args(["-o", "remount,errors=remount-ro"]).arg(&at)).ok();
    fs::write(format!("/sys/fs/ext4/{}/trigger_fs_error", device(&sandbox)), "a test").unwrap();
    alarmed(&sandbox, &[("read-only", "data0")]);
}

#[test]
fn where_no_file_system_tells_anything_the_log_of_the_kernel_does_and_volumes_are_looked_at_now_and_then() {
    let sandbox = machine();
    let mut command = sandbox.nosys(&["fanotify_init"], binary::datastore());
    command.arg("--root").arg(sandbox.root()).args(["watch", "--json"]);
    let follower = Follower::start(command);
    until(&follower, |seen| seen["seen"] == "ready");
    let filler = sandbox.path("/var/shop/filler");
    fs::write(&filler, vec![7; 52 << 20]).unwrap();
    alarmed_within(2 * PATIENCE, &sandbox, &[("space", "data0")]);
    let at = sandbox.path("/store/data0");
    sandbox.run(sandbox.command("mount").args(["-o", "remount,errors=remount-ro"]).arg(&at)).ok();
    fs::write(format!("/sys/fs/ext4/{}/trigger_fs_error", device(&sandbox)), "a test").unwrap();
    alarmed(&sandbox, &[("read-only", "data0"), ("space", "data0")]);
}

/// `EXT4_IOC_SHUTDOWN` (fs/ext4/ext4.h): from now on everything fails, as when the disk has gone.
fn shut_down(dir: &Path) {
    const SHUTDOWN: libc::Ioctl = 0x8004_587d;
    let dir = fs::File::open(dir).unwrap();
    let without_log: u32 = 2;
    #[allow(unsafe_code, reason = "nobody wraps this call")]
    // SAFETY: the call reads one number.
    let answer = unsafe { libc::ioctl(dir.as_raw_fd(), SHUTDOWN, &raw const without_log) };
    assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn a_disk_that_dies_under_its_file_system_is_a_volume_that_is_missing() {
    for format in ["ext4", "xfs"] {
        let sandbox = if format == "ext4" { machine() } else { xfs() };
        let _follower = watch(&sandbox);
        if format == "ext4" {
            shut_down(&sandbox.path("/store/data0"));
        } else {
            let at = sandbox.path("/store/data0");
            sandbox.run(sandbox.command("xfs_io").args(["-x", "-c", "shutdown"]).arg(at)).ok();
        }
        alarmed(&sandbox, &[("volume-missing", "data0"), ("volume-missing", "shop")]);
        sandbox.datastore(&["guard", "shop"]).code(3);
    }
}

/// The same with xfs, which wants a larger disk.
#[track_caller]
fn xfs() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.loop_image("disk.img", 400 << 20, None);
    sandbox.datastore(&["init", "--host", "server1", "--device", "/disk.img", "--format", "xfs", "--yes"]).ok();
    sandbox.configlet("shop", SHOP);
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox
}

/// A file system that never answers: FUSE, with nobody who serves it.
struct Mute(fs::File);

impl Mute {
    fn mount(at: &Path) -> Self {
        let device = fs::File::options().read(true).write(true).open("/dev/fuse").expect("/dev/fuse");
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
        let options = std::ffi::CString::new(options).unwrap();
        rustix::mount::mount("mute", at, "fuse", MountFlags::empty(), options.as_c_str()).expect("mount");
        Self(device)
    }
}

#[test]
fn a_volume_that_does_not_answer_is_told_and_keeps_nobody_waiting() {
    let sandbox = machine();
    let globals = sandbox.read("/etc/datastore.conf");
    let far = "[volume.far]\nid = \"0123456789abcdef0123456789abcdef\"\nsource = \"server:/far\"\ntype = \"nfs\"\n";
    sandbox.write("/etc/datastore.conf", format!("{globals}\n{far}"));
    let at = sandbox.directory("/store/far", 0o755);
    let mute = Mute::mount(&at);
    let follower = Follower::start(sandbox.datastore_command(&["watch", "--json"]));
    alarmed(&sandbox, &[("volume-missing", "far")]);
    // It breaks off: whoever waits gets an error, and the rest is seen.
    drop(mute.0);
    rustix::mount::unmount(&at, UnmountFlags::DETACH).unwrap();
    alarmed(&sandbox, &[]);
    sandbox.unmount("/var/shop");
    mapping(&follower, "active", "pending");
}

#[test]
fn a_volume_that_stops_answering_is_told_too() {
    let sandbox = machine();
    let identity = sandbox.read("/store/data0/.datastore/volume.toml");
    let id = identity.lines().find_map(|line| line.strip_prefix("id = ")).unwrap();
    let other = "\"01234567-89ab-4def-8123-456789abcdef\"";
    sandbox.tmpfs("/store/far", 1 << 20);
    sandbox.write("/store/far/.datastore/volume.toml", identity.replace(id, other));
    let globals = sandbox.read("/etc/datastore.conf");
    let far = format!("[volume.far]\nid = {other}\nsource = \"server:/far\"\ntype = \"nfs\"\n");
    sandbox.write("/etc/datastore.conf", format!("{globals}\n{far}"));
    let _follower = watch(&sandbox);
    let told = status_file(&sandbox);
    let far = told["volumes"].as_array().unwrap().iter().find(|row| row["volume"] == "far").unwrap().clone();
    assert_eq!(far["state"], "active", "{far:#}");
    let mute = Mute::mount(&sandbox.path("/store/far"));
    alarmed(&sandbox, &[("volume-missing", "far")]);
    drop(mute.0);
    rustix::mount::unmount(sandbox.path("/store/far"), UnmountFlags::DETACH).unwrap();
    alarmed(&sandbox, &[]);
}

#[test]
fn configuration_that_changes_is_read_again_and_told_only_if_it_stays_wrong() {
    let sandbox = machine();
    let follower = watch(&sandbox);
    // An editor that writes in two halves.
    sandbox.write("/etc/datastore.d/shop.conf", "services = [");
    until(&follower, |seen| seen["now"]["reason"] == "config-invalid");
    sandbox.write("/etc/datastore.d/shop.conf", SHOP);
    until(&follower, |seen| seen["now"]["state"] == "active");
    assert_eq!(alarms(&sandbox), []);
    // A package's configlet: its app is pending until somebody applies it.
    sandbox.configlet("more", "[mapping.\"/var/more\"]\ntarget = \"%{base}/more\"\n");
    until(&follower, |seen| seen["app"] == "more" && seen["now"]["state"] == "pending");
    sandbox.datastore(&["apply", "--yes"]).ok();
    until(&follower, |seen| seen["app"] == "more" && seen["now"]["state"] == "active");
    // One that stays wrong.
    sandbox.write("/etc/datastore.d/more.conf", "services = [");
    alarmed(&sandbox, &[("config-invalid", "more")]);
    sandbox.configlet("more", "[mapping.\"/var/more\"]\ntarget = \"%{base}/more\"\n");
    alarmed(&sandbox, &[]);
    // All of it gone.
    let globals = sandbox.read("/etc/datastore.conf");
    fs::remove_file(sandbox.path("/etc/datastore.conf")).unwrap();
    let blind = until(&follower, |seen| seen["seen"] == "remark");
    assert!(
        blind["detail"].as_str().unwrap().starts_with("nothing can be seen: there is no /etc/datastore.conf"),
        "{blind}"
    );
    sandbox.write("/etc/datastore.conf", globals);
    std::thread::sleep(Duration::from_millis(300));
    sandbox.unmount("/var/shop");
    mapping(&follower, "active", "pending");
}

#[test]
fn a_user_that_comes_while_it_watches_is_known() {
    let sandbox = machine();
    let follower = watch(&sandbox);
    sandbox.configlet("late", "[mapping.\"/var/late\"]\ntarget = \"%{base}/late\"\nowner = \"late\"\n");
    until(&follower, |seen| seen["app"] == "late" && seen["now"]["state"] == "waiting");
    let passwd = sandbox.read("/etc/passwd");
    sandbox.write("/etc/passwd", format!("{passwd}late:x:4242:4242::/:/bin/sh\n"));
    until(&follower, |seen| seen["app"] == "late" && seen["now"]["state"] == "pending");
    sandbox.datastore(&["apply", "--yes"]).ok();
    until(&follower, |seen| seen["app"] == "late" && seen["now"]["state"] == "active");
}

#[test]
fn a_disabled_app_and_one_that_is_forgotten_are_no_alarm() {
    let sandbox = machine();
    let follower = watch(&sandbox);
    sandbox.datastore(&["disable", "shop", "--yes"]).ok();
    until(&follower, |seen| seen["now"]["state"] == "disabled");
    sandbox.datastore(&["enable", "shop", "--yes"]).ok();
    until(&follower, |seen| seen["now"]["state"] == "active");
    fs::remove_file(sandbox.path("/etc/datastore.d/shop.conf")).unwrap();
    until(&follower, |seen| seen["now"]["state"] == "drifted");
    assert_eq!(alarms(&sandbox), []);
}

/// How often a process has gone to sleep, which is how often it was woken.
fn sleeps(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn on_a_machine_on_which_nothing_happens_it_does_nothing() {
    let sandbox = machine();
    let follower = watch(&sandbox);
    sandbox.unmount("/var/shop");
    mapping(&follower, "active", "pending");
    // It looks once more some seconds after the last thing that happened. Other tests may make the kernel warn of something, which wakes it
    // as well; so not every such time need be quiet.
    let mut seen = Vec::new();
    for _ in 0..16 {
        let before = sleeps(follower.pid());
        std::thread::sleep(Duration::from_secs(10));
        seen.push(sleeps(follower.pid()) - before);
        if seen.last() == Some(&0) {
            // Its own memory: the program's text depends on how it was built, see `cargo xtask bench watch`.
            let status = fs::read_to_string(format!("/proc/{}/status", follower.pid())).unwrap();
            let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
            let kib: u64 = own.trim().trim_end_matches(" kB").parse().unwrap();
            assert!(kib <= 4 << 10, "{kib} KiB");
            return;
        }
    }
    panic!("it was woken while nothing happened: {seen:?}");
}

#[test]
fn one_watches_and_root_alone() {
    let sandbox = machine();
    let follower = watch(&sandbox);
    let second = sandbox.datastore(&["watch"]).code(6);
    second.says("systemctl status datastore-watch");
    sandbox.datastore(&["watch", "--once"]).code(6);
    drop(follower);
    let program = sandbox.path("datastore");
    // By cp(1): while this process had it open for writing, a child of another thread's could keep it so (ETXTBSY).
    sandbox.run(sandbox.command("cp").arg(binary::datastore()).arg(&program)).ok();
    let mut nobody = sandbox.command("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
    sandbox.run(nobody.arg("--root").arg(sandbox.root()).args(["watch", "--once"])).code(4);
}

#[test]
fn whoever_is_not_root_is_told_what_only_root_can_see() {
    let sandbox = machine();
    let program = sandbox.path("datastore");
    // By cp(1): while this process had it open for writing, a child of another thread's could keep it so (ETXTBSY).
    sandbox.run(sandbox.command("cp").arg(binary::datastore()).arg(&program)).ok();
    let seen = || {
        let mut nobody = sandbox.command("setpriv");
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        let told = sandbox.run(nobody.arg("--root").arg(sandbox.root()).args(["status", "--json"])).ok().json();
        let row = told["mappings"].as_array().unwrap().iter().find(|row| row["app"] == "shop").unwrap().clone();
        (row["state"].as_str().unwrap().to_owned(), row["detail"].as_str().unwrap().to_owned())
    };
    let follower = watch(&sandbox);
    assert_eq!(seen(), ("active".into(), String::new()));
    // Another identity: it is not the store that it must be, which the mount table does not show.
    let store = sandbox.path("/store/data0/live/server1/shop");
    let value = "0123456789abcdef0123456789abcdef";
    sandbox.run(sandbox.command("setfattr").args(["-n", "trusted.datastore.id", "-v", value]).arg(&store)).ok();
    mapping(&follower, "active", "refused");
    let (state, detail) = seen();
    assert_eq!(state, "refused");
    assert!(detail.contains("; root has seen this at 2"), "{detail}");
    // Nobody watches any more: what a file says is not what is.
    drop(follower);
    assert_eq!(seen(), ("active".into(), String::new()));
}

#[test]
fn once_looks_tells_and_ends() {
    let sandbox = machine();
    sandbox.unmount("/var/shop");
    let told = sandbox.datastore(&["watch", "--once"]).ok();
    assert!(told.stdout.contains(" shop /var/shop: pending"), "{}", told.stdout);
    assert!(told.stdout.ends_with(" watching 1 mapping on 1 volume\n"), "{}", told.stdout);
    assert_eq!(alarms(&sandbox), [("pending".to_owned(), "shop".to_owned())]);
    assert_eq!(shop(&status_file(&sandbox)), "pending");
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox.datastore(&["watch", "--once"]).ok();
    assert_eq!(alarms(&sandbox), []);
}
