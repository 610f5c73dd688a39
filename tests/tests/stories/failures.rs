//! A service that does not go down, and one that does not come up, in the middle of an import and of a move.

use datastore_tests::rows::text;
use datastore_tests::{Rig, Run};
use serde_json::Value;

use super::{booted, unit};

const SHOP: &str = "services = [\"first\", \"shop\"]\n[mapping.\"/srv/shop\"]\ntarget = \"%{base}/shop\"\n";
const MOVE: &[&str] = &["move", "shop", "--to", "data1"];
const IMPORT: &[&str] = &["import", "shop"];

fn machine(shop: &str) -> Rig {
    let rig = booted(&[("data0", 64, "ext4"), ("data1", 64, "ext4")], |rig| {
        rig.write("/etc/datastore.d/shop.conf", 0o644, SHOP);
        rig.write("/srv/shop/till/1", 0o600, "42\n");
        unit(rig, "first.service", "[Service]\nExecStart=/bin/sleep infinity\n");
        unit(rig, "shop.service", shop);
    });
    rig.run(&["systemctl", "start", "first", "shop"]).ok();
    rig
}

fn datastore(rig: &Rig, args: &[&str]) -> Run {
    rig.run(&[&["datastore"], args].concat())
}

fn row(rig: &Rig) -> Value {
    datastore(rig, &["status", "shop", "--json"]).json()["mappings"][0].clone()
}

/// Demands that the data is bound, from this volume, and may be used.
#[track_caller]
fn is_on(rig: &Rig, volume: &str) {
    let row = row(rig);
    assert_eq!((&row["state"], &row["volume"]), (&"active".into(), &volume.into()), "{row:#}");
    rig.run(&["cat", "/srv/shop/till/1"]).ok().says("42");
}

#[track_caller]
fn runs(rig: &Rig, service: &str) {
    rig.run(&["systemctl", "is-active", service]).ok();
}

/// The alarms that are open, as words.
fn alarms(rig: &Rig) -> Vec<String> {
    let alarms = datastore(rig, &["alarm", "list", "--json"]).ok().json();
    let alarms = alarms["alarms"].as_array().expect("a list").clone();
    alarms.iter().map(|alarm| format!("{} {}", text(&alarm["kind"]), text(&alarm["detail"]))).collect()
}

#[test]
fn one_that_does_not_start_leaves_the_data_in_its_new_place() {
    let rig = machine("[Service]\nExecStart=/bin/sh -c 'test -e /run/broken && exit 7; exec sleep infinity'\n");
    for (verb, volume) in [(IMPORT, "data0"), (MOVE, "data1")] {
        rig.run(&["touch", "/run/broken"]).ok();
        let run = datastore(&rig, &[verb, &["--yes"]].concat()).code(1);
        for said in [
            "the data is whole, in its new place and bound, but not all is as it was\nstarted again: first.service\n",
            "failed:\n  shop.service was started and is down again: its program ended with status 7\n",
            "  hint: systemctl status shop.service; if the new data is the reason: datastore move shop --undo\n",
        ] {
            assert!(run.stdout.contains(said), "{said:?} is not in {run:?}");
        }
        assert!(!run.stdout.contains("taken back"), "{run:?}");
        is_on(&rig, volume);
        runs(&rig, "first");
        let open = alarms(&rig);
        assert!(open.len() == 1 && open[0].starts_with("service shop.service was started and is down"), "{open:?}");
        let log = datastore(&rig, &["log", "--json"]).ok().json();
        let last = log["operations"].as_array().expect("a list").last().expect("an operation").clone();
        assert_eq!(last["outcome"], "partly", "{last:#}");
        // What a program reads says the same, and a second run finds nothing to do.
        rig.run(&["rm", "/run/broken"]).ok();
        rig.run(&["systemctl", "start", "shop"]).ok();
        datastore(&rig, &["guard", "shop"]).ok();
        assert_eq!(alarms(&rig), Vec::<String>::new());
        let again = datastore(&rig, &[verb, &["--yes", "--json"]].concat()).ok().json();
        assert!(again["outcome"].is_null() && again["probe"].is_null(), "{again:#}");
    }
    // All is well: every one is named with what it does.
    let report = datastore(&rig, &["move", "shop", "--to", "data0", "--yes", "--json"]).ok().json();
    assert_eq!((&report["outcome"], &report["probe"]["ready"]), (&"done".into(), &true.into()), "{report:#}");
    let services = &report["probe"]["services"];
    assert_eq!((&services[0]["service"], &services[0]["state"]), (&"first.service".into(), &"running".into()));
    assert_eq!((&services[1]["service"], &services[1]["state"]), (&"shop.service".into(), &"running".into()));
}

#[test]
fn one_that_is_started_again_and_again_does_not_run() {
    let rig = machine(
        "[Service]\nRestart=always\nRestartSec=50ms\nStartLimitIntervalSec=0\n\
         ExecStart=/bin/sh -c 'test -e /run/broken && { sleep 0.1; exit 7; }; exec sleep infinity'\n",
    );
    rig.run(&["touch", "/run/broken"]).ok();
    let report = datastore(&rig, &["import", "shop", "--yes", "--json"]).code(1).json();
    assert_eq!(report["probe"]["services"][1]["state"], "failed", "{report:#}");
    assert_eq!(report["outcome"], "partly");
    is_on(&rig, "data0");
}

#[test]
fn one_that_does_not_stop_goes_on_with_its_old_data() {
    // Whoever watches over it starts it again as soon as it goes down: systemd drops the stop.
    let rig = machine(
        "[Service]\nExecStart=/bin/sleep infinity\n\
         ExecStop=/bin/sh -c 'test -e /run/well || { systemctl start --no-block shop; sleep 5; }'\n",
    );
    for (verb, volume) in [(IMPORT, ""), (MOVE, "data0")] {
        let run = datastore(&rig, &[verb, &["--yes"]].concat()).code(1);
        for said in [
            "shop.service could not be stopped: somebody else cancelled it; what was stopped before it runs again",
            "everything that was done before has been taken back",
            "hint: systemctl status shop.service",
        ] {
            assert!(run.stderr.contains(said), "{said:?} is not in {run:?}");
        }
        runs(&rig, "first");
        runs(&rig, "shop");
        let open = alarms(&rig);
        assert!(open.len() == 1 && open[0].starts_with("service shop.service could not be stopped"), "{open:?}");
        if volume.is_empty() {
            assert_eq!(row(&rig)["reason"], "mount-point-not-empty");
            rig.run(&["cat", "/srv/shop/till/1"]).ok().says("42");
        } else {
            is_on(&rig, volume);
        }
        // Left alone it goes down, and then it is done.
        rig.run(&["touch", "/run/well"]).ok();
        datastore(&rig, &["import", "shop", "--yes"]).ok();
        rig.run(&["rm", "/run/well"]).ok();
        datastore(&rig, &["guard", "shop"]).ok();
    }
}

#[test]
fn one_of_which_something_is_left_is_found_by_what_it_writes() {
    // systemd gives up on it after a second, and calls it stopped. Its process still has a file open.
    let rig = machine(
        "[Service]\nTimeoutStopSec=1\nSendSIGKILL=no\nKillMode=mixed\n\
         ExecStart=/bin/sh -c 'trap \"\" TERM; exec 3>>/srv/shop/till/1; while sleep 1; do :; done'\n",
    );
    let run = datastore(&rig, &["import", "shop", "--yes"]).code(1);
    assert!(run.stderr.contains("is still written to") && run.stderr.contains("sh (process "), "{run:?}");
    // As long as that process is there systemd starts no other.
    let said =
        "not everything could be taken back: start first.service, shop.service: shop.service could not be started";
    assert!(run.stderr.contains(said), "{run:?}");
    assert_eq!(row(&rig)["reason"], "mount-point-not-empty");
    runs(&rig, "first");
    assert_eq!(alarms(&rig).len(), 1);
}

#[test]
fn init_scripts_fail_too() {
    let rig = Rig::new();
    let script = |name: &str, start: &str, stop: &str| {
        let text = format!(
            "#!/bin/sh\npid=/run/{name}.pid\ncase \"$1\" in\nstart) {start} ;;\nstop) {stop} ;;\n\
             status) [ -f $pid ] && exit 0; exit 3 ;;\nesac\n"
        );
        rig.write(&format!("/etc/init.d/{name}"), 0o755, &text);
    };
    let (start, stop) = ("sleep 600 & echo $! >$pid", "kill $(cat $pid); rm $pid");
    script("first", start, stop);
    script(
        "shop",
        &format!("[ -e /run/broken ] && {{ echo no license; exit 5; }}; {start}"),
        &format!("[ -e /run/deaf ] && {{ echo will not; exit 4; }}; {stop}"),
    );
    rig.write("/etc/datastore.d/shop.conf", 0o644, SHOP);
    rig.write("/srv/shop/till/1", 0o600, "42\n");
    // All in one go: what runs in the system ends with its first process.
    let story = "for disk in 0 1; do mkdir -p /srv/disk$disk; mount -t tmpfs disk$disk /srv/disk$disk; done
        datastore init --host server1 --directory /srv/disk0 --yes
        datastore volume add data1 --directory /srv/disk1 --yes
        service first start; service shop start
        state() { cat /srv/shop/till/1; for s in first shop; do service $s status && echo $s runs || echo $s is down; done; }
        for verb in 'import shop' 'move shop --to data1'; do
            touch /run/deaf; echo \"== $verb, deaf\"; datastore $verb --yes; echo exit $?; state; rm /run/deaf
            touch /run/broken; echo \"== $verb, broken\"; datastore $verb --yes; echo exit $?; state; rm /run/broken
            datastore alarm list; service shop start; datastore guard shop; datastore status shop
        done";
    let said = rig.run(&["sh", "-c", &format!("exec 2>&1; {story}")]).stdout;
    let part = |title: &str| {
        let from = said.find(&format!("== {title}\n")).unwrap_or_else(|| panic!("no {title} in {said}"));
        let rest = &said[from + 3..];
        &rest[..rest.find("\n== ").unwrap_or(rest.len())]
    };
    for verb in ["import shop", "move shop --to data1"] {
        let deaf = part(&format!("{verb}, deaf"));
        for text in [
            "shop could not be stopped: its init script ended with status 4 (will not); what was stopped before it runs again",
            "exit 1\n42\nfirst runs\nshop runs",
        ] {
            assert!(deaf.contains(text), "{text:?} is not in {deaf}");
        }
        let broken = part(&format!("{verb}, broken"));
        for text in [
            "started again: first\nfailed:\n  shop could not be started: its init script ended with status 5 (no license)\n",
            "exit 1\n42\nfirst runs\nshop is down\n",
            "service-failed",
            "active  shop",
        ] {
            assert!(broken.contains(text), "{text:?} is not in {broken}");
        }
    }
}
