//! A machine that goes down in the middle of an operation: its next boot finishes that before anything is bound, and the app has all of its data.

use std::process::Stdio;
use std::time::{Duration, Instant};

use datastore_tests::Rig;

use super::{disk, is_up, machine, row};

/// Nothing here takes longer, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many files that a copy of them can be met half-way.
const FILES: usize = 12_000;
/// What those files say, and how many there are.
const SUM: &str = "cat $(ls | sort -n) | sha256sum; ls | wc -l";

/// Fills a directory, and tells what is in it.
fn fill(rig: &Rig, directory: &str) -> String {
    let files = format!("mkdir -p {directory}; cd {directory}; for i in $(seq {FILES}); do echo $i > $i; done; {SUM}");
    rig.run(&["sh", "-ec", &files]).ok().stdout
}

/// What is in it now.
fn content(rig: &Rig, directory: &str) -> String {
    rig.run(&["sh", "-ec", &format!("cd {directory}; {SUM}")]).stdout
}

/// Begins a command, and has the machine go down when some of the files have been copied to this directory.
#[track_caller]
fn cut_off(rig: &mut Rig, command: &[&str], incoming: &str) {
    let mut child = rig.command(command).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start a command");
    let begun = Instant::now();
    let count = format!("ls {incoming} 2>/dev/null | wc -l");
    while rig.run(&["sh", "-c", &count]).stdout.trim().parse::<usize>().expect("a number") < 100 {
        let ended = child.try_wait().expect("look at a command");
        assert!(ended.is_none() && begun.elapsed() < PATIENCE, "{command:?} does not get so far: {ended:?}");
    }
    rig.crash();
    assert!(!child.wait().expect("wait for a command").success(), "{command:?} was done already");
}

/// Whether the boot has finished something, and has left nothing.
#[track_caller]
fn has_recovered(rig: &Rig) -> bool {
    assert_eq!(rig.run(&["sh", "-c", "ls /var/lib/datastore/journal"]).ok().stdout, "");
    let show = ["systemctl", "show", "-p", "ConditionResult", "--value", "datastore-recover.service"];
    rig.run(&show).ok().stdout == "yes\n"
}

#[test]
fn a_move_is_cut_off() {
    let mut rig = machine();
    let name = disk(&rig).replace("data0", "data1");
    rig.disk(&name, 256 << 20, "ext4");
    rig.run(&["datastore", "volume", "add", "data1", "--device", &format!("/{name}.img"), "--yes"]).ok();
    let (goods, before) = ("/srv/shop/goods", fill(&rig, "/srv/shop/goods"));
    let to_data1 = ["datastore", "move", "shop", "--to", "data1", "--yes"];
    let incoming = "/store/data1/live/server1/.datastore/incoming/shop/goods";
    for crashes in [1, 2] {
        cut_off(&mut rig, &to_data1, incoming);
        for crash in 0..crashes {
            if crash > 0 {
                rig.crash();
            }
            let when = format!("crash {} of {crashes}", crash + 1);
            assert_eq!(has_recovered(&rig), crash == 0, "{when}");
            is_up(&rig, &when);
            assert_eq!(
                (content(&rig, goods), &row(&rig, "shop")["volume"]),
                (before.clone(), &"data0".into()),
                "{when}"
            );
        }
        // What was copied is kept for another try, and would be taken for the beginning of the next one here.
        rig.run(&["datastore", "move", "shop", "--abort", "--yes"]).ok();
    }
    rig.run(&to_data1).ok();
    rig.reboot();
    assert!(!has_recovered(&rig));
    is_up(&rig, "moved");
    assert_eq!((content(&rig, goods), &row(&rig, "shop")["volume"]), (before, &"data1".into()));
}

#[test]
fn an_import_is_cut_off() {
    let mut rig = machine();
    let before = fill(&rig, "/srv/desk");
    rig.write("/etc/datastore.d/desk.conf", 0o644, "[mapping.\"/srv/desk\"]\ntarget = \"%{base}/desk\"\n");
    let import = ["datastore", "import", "desk", "--yes"];
    cut_off(&mut rig, &import, "/store/data0/live/server1/.datastore/incoming/desk");
    assert!(has_recovered(&rig));
    // Nothing is imported by that, so nothing may start on what lies there; and all of it lies there.
    assert_eq!(row(&rig, "desk")["reason"], "mount-point-not-empty");
    rig.run(&["datastore", "guard", "desk"]).code(3);
    assert_eq!(content(&rig, "/srv/desk"), before);
    rig.run(&import).ok();
    rig.reboot();
    assert!(!has_recovered(&rig));
    rig.run(&["datastore", "guard", "desk"]).ok();
    assert_eq!(content(&rig, "/srv/desk"), before);
    is_up(&rig, "the other app");
}
