//! Boots: whatever is wrong with the data of an app, the machine comes up, the app does not start, somebody is told, and one command brings it up
//! once the cause is mended.

mod adopted;
mod arrivals;
mod interrupted;
mod matrix;
mod programs;
mod sandboxed;
mod sysv;
mod sysvinit;
mod watched;

use std::time::{Duration, Instant};

use datastore_tests::Rig;
use serde_json::Value;

/// Longer nothing takes, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The service of the app. It is content with any directory, as a database is that makes itself anew, and leaves a trace in it.
const SERVICE: &str = "[Unit]\nDescription=A shop\n[Service]\nExecStartPre=-/bin/sh -c 'echo early >> /srv/shop/trace'\n\
                       ExecStart=/bin/sh -c 'echo run >> /srv/shop/trace; exec sleep infinity'\n\
                       [Install]\nWantedBy=multi-user.target\n";
const CONFIGLET: &str = "services = [\"shop\"]\n[mapping.\"/srv/shop\"]\ntarget = \"%{base}/shop\"\n";

/// A machine with datastore on it whose app is up, and has its data: `/srv/shop/till`.
fn machine() -> Rig {
    let rig = Rig::booted(|rig| {
        rig.install();
        // It has nothing to do with anything here, and takes a second of each boot.
        rig.write("/etc/systemd/system/mariadb.service.d/never.conf", 0o644, "[Unit]\nConditionPathExists=/never\n");
        rig.disk(&disk(rig), 256 << 20, "ext4");
        rig.write("/etc/systemd/system/shop.service", 0o644, SERVICE);
    });
    let image = format!("/{}.img", disk(&rig));
    rig.run(&["datastore", "init", "--host", "server1", "--device", &image, "--yes"]).ok();
    rig.write("/etc/datastore.d/shop.conf", 0o644, CONFIGLET);
    rig.run(&["datastore", "apply", "--yes"]).ok();
    rig.run(&["sh", "-c", "echo 42 > /srv/shop/till && systemctl enable --now --quiet shop"]).ok();
    rig
}

/// From here on, until the next boot, nothing is applied because a file has changed: a moment later that would come between what a test does.
fn by_hand(rig: &Rig) {
    // The end of the service starts the timer, so that one goes last.
    for units in ["datastore-apply.path", "datastore-apply.service", "datastore-again.timer datastore-again.service"] {
        rig.run(&["sh", "-c", &format!("systemctl stop {units}")]);
    }
    assert_eq!(state(rig, "datastore-apply.path"), "inactive");
}

/// The name of its disk, which no other machine has: mount(8) takes a loop device by the name of its image where that is not there itself.
fn disk(rig: &Rig) -> String {
    let home = rig.path("/");
    let name = home.parent().and_then(|home| home.file_name()).expect("a directory of its own");
    name.to_string_lossy().replace("datastore-rig-", "data0-")
}

/// What systemd says of a unit: `active`, `inactive`, `failed`.
fn state(rig: &Rig, unit: &str) -> String {
    rig.run(&["systemctl", "show", "-p", "ActiveState", "--value", unit]).ok().stdout.trim().to_owned()
}

/// The row of an app's only mapping.
fn row(rig: &Rig, app: &str) -> Value {
    rig.run(&["datastore", "status", app, "--json"]).json()["mappings"][0].clone()
}

/// The app runs, on its data, or does so in a moment: nobody waits for a start that was only asked for.
#[track_caller]
fn is_up(rig: &Rig, when: &str) {
    let end = Instant::now() + PATIENCE;
    while state(rig, "shop") != "active" && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    let till = rig.run(&["cat", "/srv/shop/till"]).stdout;
    assert!(
        state(rig, "shop") == "active" && till == "42\n",
        "{when}: the app is not up on its data\n{}",
        trouble(rig)
    );
}

/// What an administrator would look at.
fn trouble(rig: &Rig) -> String {
    let look = "systemctl status --no-pager shop datastore datastore-guard@shop srv-shop.mount store-data0.mount; systemctl cat shop; \
                datastore status shop; findmnt /srv/shop; cat /etc/fstab /var/lib/datastore/services.json; \
                journalctl -b -o short-precise --no-pager | tail -n 60";
    rig.run(&["sh", "-c", look]).stdout
}

#[test]
fn an_app_comes_up_with_its_data_each_time() {
    let mut rig = machine();
    for n in 0..2 {
        rig.reboot();
        is_up(&rig, &format!("boot {n}"));
        assert_eq!(row(&rig, "shop")["state"], "active");
        assert_eq!(rig.run(&["systemctl", "is-system-running"]).ok().stdout, "running\n");
    }
    // The guard has run before anything of the service did.
    let log = rig.run(&["journalctl", "-b", "-o", "cat", "--no-pager"]).ok().stdout;
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("{text:?} is not in {log}"));
    assert!(at("Finished datastore.service") < at("Finished datastore-guard@shop.service"), "{log}");
    assert!(at("Finished datastore-guard@shop.service") < at("Starting shop.service"), "{log}");
}

#[test]
fn what_systemd_is_told_follows_the_configuration() {
    let rig = machine();
    let told = |unit: &str| rig.run(&["systemctl", "cat", unit]).stdout.matches("50-datastore.conf").count();
    rig.write("/etc/systemd/system/till.service", 0o644, SERVICE);
    assert_eq!((told("shop"), told("till")), (1, 0));
    // fstab stays as it is, and there is nothing else to be done.
    rig.write("/etc/datastore.d/shop.conf", 0o644, &CONFIGLET.replace("\"shop\"]", "\"till\"]"));
    rig.run(&["datastore", "apply", "--yes"]).ok();
    assert_eq!((told("shop"), told("till")), (0, 1));
    // Once more nothing is told: systemd does not read its units again.
    let loaded = "systemctl show -p UnitsLoadFinishTimestampMonotonic";
    let before = rig.run(&["sh", "-c", loaded]).ok().stdout;
    rig.run(&["datastore", "apply", "--yes"]).ok();
    assert_eq!(rig.run(&["sh", "-c", loaded]).ok().stdout, before);
    rig.run(&["datastore", "disable", "shop", "--yes"]).ok();
    assert_eq!((told("shop"), told("till")), (0, 0));
}

#[test]
fn what_the_generator_writes_is_what_systemd_calls_it() {
    let rig = Rig::new();
    for path in [
        "/srv/shop",
        "/var/spool/a b",
        "/srv/a-b",
        "/srv/.x",
        "/.x",
        "/srv/100%",
        "/srv/ü",
        "/srv/a:b_c.d",
        "/srv/it's \"x\"",
        "/srv/a\\b",
    ] {
        let said = rig.run(&["systemd-escape", "--path", "--suffix=mount", path]).ok().stdout;
        let path = datastore_core::AbsPath::parse(path).expect("a path");
        assert_eq!(datastore_core::unit::mount(&path).as_deref(), Some(said.trim_end()));
    }
}
