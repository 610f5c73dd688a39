//! Everything that can be wrong, at a boot, at a start of the service, and while it runs: the service starts exactly when its data is right.

#![allow(clippy::print_stdout, reason = "a run of it is a table of what was tried")]

mod conditions;

use std::time::{Duration, Instant};

use datastore_tests::{Rig, Run};

use super::{by_hand, disk, is_up, machine, row, state, trouble};
use conditions::{Bad, Then};

/// Takes everything of the app and its volume out of the kernel's table.
const OFF: &str = "systemctl stop srv-shop.mount store-data0.mount";
/// The same while the app runs, whose service systemd would stop as well.
const TORN_OFF: &str = "umount -l /srv/shop; umount -l /store/data0";
const STORE: &str = "/store/data0/live/server1/shop";

/// Runs a line of shell in which `OFF`, `STORE` and `DISK` stand for what is above, and for the image of the disk.
#[track_caller]
fn run(rig: &Rig, line: &str) {
    let _ = shell(rig, line).ok();
}

fn shell(rig: &Rig, line: &str) -> Run {
    let line = line.replace("OFF", OFF).replace("STORE", STORE).replace("DISK", &format!("/{}.img", disk(rig)));
    rig.run(&["sh", "-ec", &line])
}

fn output(rig: &Rig, line: &str) -> String {
    rig.run(&["sh", "-c", line]).stdout.trim().to_owned()
}

#[track_caller]
fn try_all(all: &[Bad]) {
    let mut rig = machine();
    for bad in all {
        for (when, then) in [("at a boot", &bad.at_boot), ("at a start", &bad.at_start), (RUNNING, &bad.at_start)] {
            let case = format!("{}, {when}", bad.name);
            by_hand(&rig);
            if when == RUNNING {
                run(&rig, "rm -f /srv/shop/trace; cp /etc/fstab /etc/fstab.good");
                run(&rig, &torn(bad.spoil));
                if let Then::Refused { words, .. } = then {
                    alarmed(&rig, &case, words);
                }
                run(&rig, "systemctl daemon-reload; systemctl restart shop || true");
            } else {
                run(&rig, "systemctl stop shop; rm -f /srv/shop/trace; cp /etc/fstab /etc/fstab.good");
                run(&rig, bad.spoil);
                if when == "at a boot" {
                    rig.reboot();
                } else {
                    run(&rig, "systemctl daemon-reload; systemctl start shop || true");
                }
            }
            assert_eq!(state(&rig, "multi-user.target"), "active", "{case}: the machine does not come up");
            match then {
                Then::Up => is_up(&rig, &case),
                Then::Refused { words, mend, bring } => {
                    refused(&rig, &case, words);
                    run(&rig, mend);
                    run(&rig, bring);
                    is_up(&rig, &format!("{case}, mended"));
                }
            }
            let alarms = output(&rig, "datastore alarm list");
            assert!(!alarms.contains("shop"), "{case}: there is still an alarm: {alarms}");
            println!("{case}: as it should be");
            // What did no harm is mended too.
            run(&rig, "cp --remove-destination /etc/fstab.good /etc/fstab; systemctl unmask --quiet datastore.service");
            run(&rig, "systemctl daemon-reload; datastore apply --yes");
        }
    }
}

/// When the app has been up for a while.
const RUNNING: &str = "while it runs";

/// What spoils something, in a way that lets the app run on.
fn torn(spoil: &str) -> String {
    spoil.replace("OFF", TORN_OFF).replace("systemctl stop srv-shop.mount", "umount -l /srv/shop")
}

/// Somebody hears of it although the app is not touched. It may take as long as one that writes on the volume keeps us from looking.
#[track_caller]
fn alarmed(rig: &Rig, case: &str, words: &str) {
    if ["stopped on purpose", "no command"].contains(&words) {
        return;
    }
    let end = Instant::now() + Duration::from_secs(25);
    while !output(rig, "datastore alarm list").contains("shop") {
        assert!(Instant::now() < end, "{case}: nobody was told: {}", output(rig, "journalctl -b -u datastore-watch"));
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The app does not run, nothing of its service has run anywhere, and somebody has been told why.
#[track_caller]
fn refused(rig: &Rig, case: &str, words: &str) {
    assert_ne!(state(rig, "shop"), "active", "{case}: it runs\n{}", trouble(rig));
    let traces = output(rig, "find /srv /store /other -name trace 2>/dev/null");
    assert_eq!(traces, "", "{case}: its service has run");
    // Without the command nobody can be asked; systemd has told of its failure.
    if words == "no command" {
        assert!(output(rig, "systemctl --failed").contains("datastore-guard@shop.service"), "{case}");
        return;
    }
    let (alarms, journal) =
        (output(rig, "datastore alarm list"), output(rig, "journalctl -b -o cat --no-pager -t datastore"));
    let seen = row(rig, "shop");
    let on_purpose = words == "stopped on purpose";
    assert!(on_purpose || alarms.contains("shop"), "{case}: nobody was told: {alarms}; {seen}");
    assert!(
        format!("{seen}{alarms}{journal}").contains(words),
        "{case}: {words:?} is not in {seen} {alarms} {journal}"
    );
}

#[test]
fn disks() {
    try_all(conditions::DISKS);
}

#[test]
fn stores() {
    try_all(conditions::STORES);
}

#[test]
fn binds() {
    try_all(conditions::BINDS);
}

#[test]
fn configurations() {
    try_all(conditions::CONFIGURATIONS);
}

#[test]
fn datastore_itself() {
    try_all(conditions::ITSELF);
}

#[test]
fn there_are_enough_of_them() {
    use conditions::{BINDS, CONFIGURATIONS, DISKS, ITSELF, STORES};
    let all: usize = [DISKS, STORES, BINDS, CONFIGURATIONS, ITSELF].iter().map(|some| some.len()).sum();
    assert!(all >= 40, "{all}");
}
