//! Services in a small system: with systemd as its first process, and with init scripts alone.

use datastore_tests::{Rig, Run};

fn unit(rig: &Rig, name: &str, text: &str) {
    rig.write(&format!("/etc/systemd/system/{name}"), 0o644, text);
}

fn services(rig: &Rig, verb: &str, seconds: &str, names: &[&str]) -> Run {
    rig.run(&[&["services", verb, seconds], names].concat())
}

/// Units of every kind that a move can meet.
fn furnish(rig: &Rig) {
    unit(rig, "plain.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    unit(rig, "second.service", "[Unit]\nAfter=plain.service\n[Service]\nExecStart=/bin/sleep infinity\n");
    unit(rig, "once.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n");
    unit(
        rig,
        "client.service",
        "[Unit]\nRequires=plain.service\nAfter=plain.service\n[Service]\nExecStart=/bin/sleep infinity\n",
    );
    unit(
        rig,
        "told.service",
        "[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'systemd-notify --ready; exec sleep infinity'\n",
    );
    unit(
        rig,
        "deaf.service",
        // So few starts are allowed that one which systemd tries again and again while the unit goes down would not come.
        "[Unit]\nStartLimitIntervalSec=600\nStartLimitBurst=2\n\
         [Service]\nType=notify\nNotifyAccess=all\nTimeoutStopSec=2\n\
         ExecStart=/bin/sh -c 'trap \"\" TERM; systemd-notify --ready; while :; do sleep 1; done'\n",
    );
    unit(rig, "broken.service", "[Service]\nExecStart=/bin/sh -c 'exit 7'\n");
    unit(rig, "breaks.service", "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'exit 7'\n");
    unit(rig, "again.service", "[Service]\nRestart=always\nRestartSec=60\nExecStart=/bin/false\n");
    unit(rig, "called.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    unit(rig, "called.socket", "[Socket]\nListenStream=/run/called\n");
    unit(rig, "manual.service", "[Unit]\nRefuseManualStart=yes\n[Service]\nExecStart=/bin/sleep infinity\n");
    unit(rig, "puller.service", "[Unit]\nWants=manual.service\n[Service]\nExecStart=/bin/sleep infinity\n");
    std::os::unix::fs::symlink("/dev/null", rig.path("/etc/systemd/system/masked.service")).unwrap();
    std::os::unix::fs::symlink("plain.service", rig.path("/etc/systemd/system/alias.service")).unwrap();
}

fn start(rig: &Rig, units: &[&str]) {
    rig.run(&[&["systemctl", "start"], units].concat()).ok();
}

#[test]
fn units_are_stopped_and_started_in_order_and_only_those_that_ran() {
    let rig = Rig::booted(furnish);
    let states = services(&rig, "state", "5", &["plain", "masked", "no-such.service", "once"]).ok().stdout;
    assert_eq!(states, "plain stopped\nmasked masked\nno-such.service not installed\nonce stopped\n");
    start(&rig, &["plain", "once", "told", "client"]);
    let names = ["alias", "plain.service", "second", "once", "told", "masked", "no-such"];
    let said = services(&rig, "around", "20", &names).ok().stdout;
    // By its own name, once, and with what goes down with it.
    assert!(
        said.starts_with("{\"services\":[\"plain.service\",\"client.service\",\"once.service\",\"told.service\"]}\n"),
        "{said}"
    );
    assert!(
        said.contains("remark masked.service is masked") && said.contains("remark there is no no-such.service"),
        "{said}"
    );
    for name in ["plain.service", "once", "told"] {
        assert!(
            said.contains(&format!("down {name} stopped\n")) && said.contains(&format!("up {name} running\n")),
            "{said}"
        );
    }
    assert!(said.contains("up second stopped\n"), "{said}");
    assert!(services(&rig, "state", "5", &["client"]).ok().stdout.contains("running"));
    // Both converge.
    assert_eq!(services(&rig, "stop", "5", &["second", "plain"]).ok().stdout, "second Already\nplain Ended\n");
    services(&rig, "start", "5", &["plain", "plain"]).ok();
}

#[test]
fn a_socket_does_not_start_its_service_while_that_is_down() {
    let rig = Rig::booted(furnish);
    start(&rig, &["called.socket"]);
    // The service has not been called yet: its socket alone is stopped and started.
    let said = services(&rig, "around", "10", &["called"]).ok().stdout;
    assert!(said.starts_with("{\"triggers\":[\"called.socket\"]}\n"), "{said}");
    assert!(services(&rig, "state", "5", &["called.socket"]).ok().stdout.contains("running"));
    start(&rig, &["called.service"]);
    let said = services(&rig, "around", "10", &["called"]).ok().stdout;
    assert!(said.starts_with("{\"triggers\":[\"called.socket\"],\"services\":[\"called.service\"]}\n"), "{said}");
    assert!(said.contains("down called stopped\n") && said.contains("up called running\n"), "{said}");
    assert!(services(&rig, "state", "5", &["called.socket"]).ok().stdout.contains("running"));
}

#[test]
fn what_fails_says_why_and_the_others_run_again() {
    let rig = Rig::booted(furnish);
    start(&rig, &["plain", "deaf"]);
    // Within our limit it does not go down; what was stopped before it is started again.
    let run = services(&rig, "around", "0.5", &["deaf", "plain"]);
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    assert!(run.stderr.contains("deaf.service could not be stopped within 500ms"), "{run:?}");
    assert!(
        run.stderr.contains("[systemctl status deaf.service]") && run.stdout.contains("back plain running"),
        "{run:?}"
    );
    // Within its own limit systemd kills it: it is down, and that is told.
    // The old one is still on its way down: when it has been killed, a new one is started.
    services(&rig, "start", "20", &["deaf"]).ok();
    assert_eq!(services(&rig, "stop", "20", &["deaf"]).ok().stdout, "deaf Badly\n");
    assert!(services(&rig, "state", "5", &["deaf"]).ok().stdout.contains("failed"));
    for name in ["broken", "breaks"] {
        let run = services(&rig, "start", "10", &[name]);
        assert_eq!(run.status.code(), Some(1), "{run:?}");
        assert!(run.stderr.contains("its program ended with status 7"), "{run:?}");
    }
    // One that waits to be started once more would start on the data in the middle of a move.
    rig.run(&[
        "sh",
        "-c",
        "systemctl start again; until systemctl show again | grep -q SubState=auto-restart; do sleep 0.1; done",
    ])
    .ok();
    let said = services(&rig, "around", "10", &["again"]).stdout;
    assert!(said.starts_with("{\"services\":[\"again.service\"]}\n") && !said.contains("down again running"), "{said}");
    // One that nobody may start by hand is not stopped.
    start(&rig, &["puller"]);
    let run = services(&rig, "running", "10", &["manual"]);
    assert!(run.stderr.starts_with("Refused: manual.service runs and could not be started again"), "{run:?}");
}

#[test]
fn without_the_bus_nothing_is_stopped() {
    let rig = Rig::booted(furnish);
    start(&rig, &["plain"]);
    rig.run(&["systemctl", "stop", "dbus.socket", "dbus.service"]).ok();
    let run = services(&rig, "around", "10", &["plain"]).code(1);
    assert!(run.stderr.contains("systemd does not answer on the system bus; nothing was stopped"), "{run:?}");
    rig.run(&["systemctl", "is-active", "plain"]).ok();
}

/// An init script with a daemon of its own; `stop` and `start` as the test wants them.
fn script(rig: &Rig, name: &str, start: &str, stop: &str) {
    let text = format!(
        "#!/bin/sh\npid=/run/{name}.pid\nalive() {{ [ -f $pid ] && kill -0 $(cat $pid); }}\n\
         case \"$1\" in\nstart) {start} ;;\nstop) {stop} ;;\nstatus) alive && exit 0; [ -f $pid ] && exit 1; exit 3 ;;\nesac\n"
    );
    rig.write(&format!("/etc/init.d/{name}"), 0o755, &text);
}

#[test]
fn init_scripts_are_used_where_systemd_does_not_run() {
    let rig = Rig::new();
    let (run, end) = ("sleep 600 & echo $! >$pid; echo started $1", "kill $(cat $pid); rm $pid");
    script(&rig, "plain", run, end);
    script(&rig, "second", run, end);
    script(&rig, "deaf", run, "echo will not; exit 4");
    script(&rig, "broken", "echo no license; exit 5", end);
    rig.write("/etc/init.d/dumb", 0o755, "#!/bin/sh\nexit 0\n");
    // All in one go: what runs in the system ends with its first process.
    let story = "services state 5 plain no-such broken dumb
        service plain start; service deaf start
        services around 10 plain.service second no-such; echo around $?
        services around 10 deaf plain; echo deaf $?
        services start 10 broken; echo broken $?
        services running 10 dumb; echo dumb $?
        services state 5 plain second";
    let run = rig.run(&["sh", "-c", &format!("exec 2>&1; {story}")]).ok();
    for text in [
        "plain stopped\nno-such not installed\nbroken stopped\ndumb unknown\n",
        "{\"services\":[\"plain\"]}\nremark there is no init script no-such",
        "down plain.service stopped\ndown second stopped\n",
        "up plain.service running\nup second stopped\nup no-such not installed\naround 0\n",
        "back deaf running\nback plain running\n",
        "deaf could not be stopped: its init script ended with status 4 (will not)",
        "broken could not be started: its init script ended with status 5 (no license)",
        "Refused: the init script of dumb does not say whether it runs",
        "dumb 1\nplain running\nsecond stopped\n",
    ] {
        assert!(run.stdout.contains(text), "{text:?} is not in\n{}", run.stdout);
    }
}

#[test]
fn mariadb_goes_down_and_comes_up() {
    let rig = Rig::booted(|_| {});
    rig.run(&["systemctl", "start", "mariadb"]).ok();
    let said = services(&rig, "around", "60", &["mariadb"]).ok().stdout;
    assert!(said.contains("down mariadb stopped\n") && said.contains("up mariadb running\n"), "{said}");
    rig.run(&["mariadb", "-e", "select 1"]).ok();
}
