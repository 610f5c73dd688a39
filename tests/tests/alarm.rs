//! Alarms: raised once, with a hint, through a real syslog socket, a real command and a real mail program; cleared on recovery.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::time::Duration;

use datastore_tests::{Sandbox, skeleton};

const SHOP: &str = "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n";
const STORE: &str = "/store/data0/live/server1/shop";

/// A machine that tells its alarms in these ways.
fn machine(alarm: &str) -> Sandbox {
    let sandbox = Sandbox::initialised();
    let text = format!("{}\n[alarm]\n{alarm}", sandbox.read("/etc/datastore.conf"));
    sandbox.write("/etc/datastore.conf", text);
    sandbox.configlet("shop", SHOP);
    sandbox
}

/// A program in the root.
fn program(sandbox: &Sandbox, path: &str, text: &str) {
    let full = sandbox.write(path, text);
    fs::set_permissions(full, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A pager that writes down what it is told, one file for each call.
fn with_pager(more: &str) -> Sandbox {
    let sandbox = machine(&format!("command = [\"/usr/sbin/page\", \"-l\", \"CRIT\", \"a b\"]\n{more}"));
    let said = sandbox.path("/said").display().to_string();
    sandbox.directory("/said", 0o755);
    program(
        &sandbox,
        "/usr/sbin/page",
        &format!(
            "#!/bin/sh\nn=$(ls {said} | wc -l)\n{{ env | sort; echo \"ARGS=$#:$1:$2:$3\"; cat; }} > {said}/.new\nmv {said}/.new {said}/$n\n"
        ),
    );
    sandbox
}

/// What the pager was told, in order.
fn said(sandbox: &Sandbox) -> Vec<String> {
    (0..).map_while(|n| fs::read_to_string(sandbox.path(format!("/said/{n}"))).ok()).collect()
}

#[test]
fn a_command_is_told_once_with_everything_and_once_more_when_it_is_over() {
    let sandbox = with_pager("");
    sandbox.write("/var/shop/order", "precious");
    sandbox.datastore(&["apply", "--yes"]).code(3);
    let told = said(&sandbox);
    assert_eq!(told.len(), 1, "{told:#?}");
    for line in [
        "ARGS=3:-l:CRIT:a b",
        "DATASTORE_ALARM=raised",
        "DATASTORE_KIND=mapping",
        "DATASTORE_APP=shop",
        "DATASTORE_HOST=server1",
        "DATASTORE_MOUNT_POINT=/var/shop",
        "DATASTORE_STATE=refused",
        "DATASTORE_REASON=mount-point-not-empty",
        "DATASTORE_DETAIL=/var/shop is not empty; binding would hide what is in it",
        "DATASTORE_HINT=datastore import shop",
        "DATASTORE_SUBJECT=datastore: `shop` on server1: mount-point-not-empty",
        "what:        `shop` must not start on its data",
        "hint:        datastore import shop",
    ] {
        assert!(told[0].lines().any(|l| l == line), "{line:?} in {}", told[0]);
    }
    // Nothing else of ours is in its environment.
    let names: Vec<&str> = told[0].lines().filter_map(|l| l.split_once('=')).map(|(name, _)| name).collect();
    let ours = |name: &&str| name.starts_with("DATASTORE_") || ["ARGS", "PATH", "LC_ALL", "PWD"].contains(name);
    assert!(names.iter().all(ours), "{names:?}");

    // Found again it is not told again, by whatever finds it.
    sandbox.datastore(&["apply", "--yes"]).code(3);
    sandbox.datastore(&["start", "shop"]).code(3);
    sandbox.datastore(&["guard", "shop"]).code(3);
    assert_eq!(said(&sandbox).len(), 1);
    let open = sandbox.datastore(&["alarm", "list", "--json"]).ok().json();
    let open = open["alarms"].as_array().unwrap().clone();
    assert_eq!(open.len(), 1);
    assert_eq!(
        (&open[0]["app"], &open[0]["reason"], &open[0]["told"]),
        (&"shop".into(), &"mount-point-not-empty".into(), &true.into())
    );
    sandbox.datastore(&["alarm", "list"]).ok().says("mount-point-not-empty").says("datastore import shop");

    fs::rename(sandbox.path("/var/shop"), sandbox.path("/var/shop.old")).unwrap();
    sandbox.datastore(&["apply", "--yes"]).ok();
    let told = said(&sandbox);
    assert_eq!(told.len(), 2);
    assert!(
        told[1].contains("DATASTORE_ALARM=cleared\n") && told[1].contains("DATASTORE_REASON=mount-point-not-empty\n")
    );
    sandbox.datastore(&["alarm", "list"]).ok().says("no alarm is open");
    sandbox.datastore(&["apply", "--yes"]).ok();
    assert_eq!(said(&sandbox).len(), 2);
}

#[test]
fn the_guard_raises_and_clears() {
    let sandbox = with_pager("");
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox.datastore(&["guard", "shop"]).ok();
    assert!(said(&sandbox).is_empty());
    sandbox.unmount("/var/shop");
    sandbox.datastore(&["guard", "shop"]).code(3);
    sandbox.datastore(&["guard", "shop"]).code(3);
    assert_eq!(said(&sandbox).len(), 1);
    assert!(said(&sandbox)[0].contains("DATASTORE_STATE=pending\n"), "{}", said(&sandbox)[0]);
    sandbox.bind(STORE, "/var/shop");
    sandbox.datastore(&["guard", "shop"]).ok();
    assert_eq!(said(&sandbox).len(), 2);
    // On purpose is no alarm.
    sandbox.datastore(&["stop", "shop"]).ok();
    sandbox.datastore(&["guard", "shop"]).code(3);
    sandbox.datastore(&["disable", "shop", "--yes"]).ok();
    sandbox.datastore(&["guard", "shop"]).code(3);
    assert_eq!(said(&sandbox).len(), 2);
}

/// An alarm about services of the app, as a move leaves one when they do not start again.
fn with_services_down() -> Sandbox {
    let sandbox = with_pager("");
    sandbox.datastore(&["apply", "--yes"]).ok();
    let alarm = serde_json::json!({"kind": "service", "app": "shop", "mount_point": "", "state": "refused", "reason": null,
        "detail": "shop.service could not be started", "hint": "journalctl -u shop.service", "since": 1, "told": true});
    let book = serde_json::json!({"version": 1, "alarms": [alarm]});
    sandbox.write("/var/lib/datastore/alarms.json", book.to_string());
    sandbox
}

#[test]
fn an_alarm_about_services_is_over_when_the_guard_lets_the_app_start() {
    let sandbox = with_services_down();
    let open = sandbox.datastore(&["alarm", "list", "--json"]).ok().json();
    assert_eq!(open["alarms"][0]["kind"], "service");
    sandbox.datastore(&["alarm", "list"]).ok().says("service-failed").says("journalctl -u shop.service");
    // That its data is in place is no news.
    for args in [["apply", "--yes"].as_slice(), &["restart", "shop"], &["guard", "other"]] {
        sandbox.datastore(args);
    }
    assert!(said(&sandbox).is_empty(), "{:#?}", said(&sandbox));
    // A refusal is none of the services' either.
    sandbox.unmount("/var/shop");
    sandbox.datastore(&["guard", "shop"]).code(3);
    assert_eq!(said(&sandbox).len(), 1, "the bind that is gone");
    sandbox.bind(STORE, "/var/shop");
    sandbox.datastore(&["guard", "shop"]).ok();
    let over = said(&sandbox);
    assert_eq!(over.len(), 3);
    for line in ["DATASTORE_ALARM=cleared", "DATASTORE_KIND=service", "DATASTORE_REASON=", "DATASTORE_MOUNT_POINT="] {
        assert!(over[2].lines().any(|l| l == line), "{line:?} in {}", over[2]);
    }
    assert!(
        over[2].contains("DATASTORE_SUBJECT=datastore: `shop` on server1: service-failed is over\n"),
        "{}",
        over[2]
    );
    sandbox.datastore(&["alarm", "list"]).ok().says("no alarm is open");
}

#[test]
fn an_alarm_about_services_is_over_when_the_app_is_taken_down_on_purpose() {
    for args in [["stop", "shop"].as_slice(), &["disable", "shop", "--yes"]] {
        let sandbox = with_services_down();
        sandbox.datastore(args).ok();
        assert_eq!(said(&sandbox).len(), 1);
        assert!(said(&sandbox)[0].contains("DATASTORE_KIND=service\n"), "{}", said(&sandbox)[0]);
    }
}

#[test]
fn an_alarm_of_one_app_is_not_cleared_by_a_run_about_another() {
    let sandbox = with_pager("");
    sandbox.configlet("fine", "[mapping.\"/var/fine\"]\ntarget = \"%{base}/fine\"\n");
    sandbox.write("/var/shop/order", "precious");
    sandbox.datastore(&["apply", "--yes"]).code(3);
    sandbox.datastore(&["restart", "fine"]).ok();
    sandbox.datastore(&["guard", "fine"]).ok();
    assert_eq!(said(&sandbox).len(), 1);
    // An app that is not asked for any more is over.
    sandbox.datastore(&["disable", "shop", "--yes"]);
    sandbox.datastore(&["apply", "--yes"]);
    assert!(said(&sandbox).last().unwrap().contains("DATASTORE_ALARM=cleared\n"), "{:#?}", said(&sandbox));
}

#[test]
fn a_volume_that_is_gone_is_told_for_each_of_its_mappings_and_a_stop_of_it_alarms_nobody() {
    let sandbox = with_pager("");
    sandbox.configlet("more", "[mapping.\"/var/more\"]\ntarget = \"%{base}/more\"\n");
    fs::rename(sandbox.path("/store/data0"), sandbox.path("/store/away")).unwrap();
    sandbox.datastore(&["stop", "shop"]);
    assert!(said(&sandbox).is_empty());
    sandbox.datastore(&["apply", "--yes"]).code(3);
    assert_eq!(said(&sandbox).len(), 2);
    assert!(said(&sandbox).iter().all(|text| text.contains("DATASTORE_REASON=volume-missing\n")));
    fs::rename(sandbox.path("/store/away"), sandbox.path("/store/data0")).unwrap();
    sandbox.datastore(&["start", "shop", "more"]).ok();
    assert_eq!(said(&sandbox).len(), 4);
}

#[test]
fn a_disk_that_takes_hundreds_of_mappings_with_it_calls_nobody_hundreds_of_times() {
    use std::fmt::Write as _;
    let sandbox = with_pager("");
    let mut text = String::new();
    for i in 0..300 {
        write!(text, "[mapping.\"/var/many/{i:03}\"]\ntarget = \"%{{base}}/many/{i:03}\"\n").unwrap();
    }
    sandbox.configlet("many", &text);
    fs::rename(sandbox.path("/store/data0"), sandbox.path("/store/away")).unwrap();
    sandbox.datastore(&["apply", "--yes"]).code(3);
    let told = said(&sandbox);
    assert_eq!(told.len(), 21);
    assert!(told[20].contains("DATASTORE_DETAIL=281 more mappings are in the same alarm\n"), "{}", told[20]);
    let open = sandbox.datastore(&["alarm", "list", "--json"]).ok().json();
    let open = open["alarms"].as_array().unwrap().clone();
    assert!(open.len() == 301 && open.iter().all(|alarm| alarm["told"] == true));
    sandbox.datastore(&["apply", "--yes"]).code(3);
    assert_eq!(said(&sandbox).len(), 21, "found again it is not told again");
    fs::rename(sandbox.path("/store/away"), sandbox.path("/store/data0")).unwrap();
    sandbox.datastore(&["apply", "--yes"]).ok();
    assert_eq!(said(&sandbox).len(), 42);
}

#[test]
fn syslog_is_told_at_alert_level_by_a_real_socket() {
    let sandbox = machine("syslog = true\n");
    sandbox.directory("/dev", 0o755);
    let socket = UnixDatagram::bind(sandbox.path("/dev/log")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let receive = || {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).expect("a message");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    sandbox.write("/var/shop/order", "precious");
    sandbox.datastore(&["apply", "--yes"]).code(3);
    let message = receive();
    // daemon.alert: 3 * 8 + 1.
    assert!(message.starts_with("<25>datastore["), "{message}");
    let text = "`shop` must not start: /var/shop: mount-point-not-empty: /var/shop is not empty; binding would hide what is \
                in it (hint: datastore import shop)";
    assert!(message.ends_with(text) && !message.contains('\n'), "{message}");
    fs::rename(sandbox.path("/var/shop"), sandbox.path("/var/shop.old")).unwrap();
    sandbox.datastore(&["apply", "--yes"]).ok();
    let message = receive();
    assert!(message.starts_with("<29>datastore[") && message.ends_with("mount-point-not-empty is over"), "{message}");
}

#[test]
fn a_syslog_that_listens_on_a_stream_is_told_too() {
    let sandbox = machine("syslog = true\n");
    sandbox.directory("/dev", 0o755);
    let listener = UnixListener::bind(sandbox.path("/dev/log")).unwrap();
    sandbox.datastore(&["alarm", "test"]).ok().says("sent    syslog (/dev/log)");
    let (mut stream, _) = listener.accept().unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
    assert!(text.starts_with("<29>datastore[") && text.ends_with("nothing is wrong\0"), "{text:?}");
}

#[test]
fn a_mail_goes_through_sendmail_to_each_address() {
    let sandbox = machine("mail = [\"root\", \"admin@example.org\"]\n");
    let spool = sandbox.directory("/mail", 0o755).display().to_string();
    // A stand-in that takes mails as sendmail(8) does: options, then addresses, the text on its input.
    program(
        &sandbox,
        "/usr/lib/sendmail-stand-in",
        &format!("#!/bin/sh\n[ \"$1\" = -i ] && [ \"$2\" = -- ] || exit 64\ncat > {spool}/$3\n"),
    );
    // As Debian has it: the name is a link.
    sandbox.write("/usr/sbin/.keep", "");
    std::os::unix::fs::symlink("../lib/sendmail-stand-in", sandbox.path("/usr/sbin/sendmail")).unwrap();
    sandbox.write("/var/shop/order", "precious");
    sandbox.datastore(&["apply", "--yes"]).code(3);
    for address in ["root", "admin@example.org"] {
        let mail = sandbox.read(format!("/mail/{address}"));
        let (head, body) = mail.split_once("\n\n").unwrap();
        let header = |line: &str| head.lines().any(|l| l == line);
        assert!(header(&format!("To: {address}")) && header("Auto-Submitted: auto-generated"), "{mail}");
        assert!(header("Subject: datastore: `shop` on server1: mount-point-not-empty"), "{mail}");
        assert!(
            body.contains("mount point: /var/shop\n") && body.contains("hint:        datastore import shop\n"),
            "{mail}"
        );
    }
    sandbox.datastore(&["alarm", "test"]).ok().says("sent    mail (root)");
    assert!(sandbox.read("/mail/root").contains("this is a test; nothing is wrong"));
}

/// A stand-in for ClearOS's program: it takes an event of a registered type alone, and writes down what it is told.
fn with_events(alarm: &str) -> Sandbox {
    let sandbox = machine(alarm);
    let dir = sandbox.directory("/events", 0o755).display().to_string();
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = -R ] && : > {dir}/$3\n[ \"$1\" = -R ] || [ -e {dir}/$3 ] || {{ echo \"no type $3\" >&2; exit 1; }}\n\
         IFS='|'; echo \"$*\" >> {dir}/said\n"
    );
    program(&sandbox, "/usr/bin/eventsctl", &text);
    sandbox
}

#[test]
fn events_of_clearos_are_critical_and_then_normal_again() {
    let sandbox = with_events("events = true\n");
    sandbox.write("/var/shop/order", "precious");
    sandbox.datastore(&["apply", "--yes"]).code(3);
    sandbox.datastore(&["apply", "--yes"]).code(3);
    fs::rename(sandbox.path("/var/shop"), sandbox.path("/var/shop.old")).unwrap();
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox.datastore(&["alarm", "test"]).ok().says("sent    events (/usr/bin/eventsctl)");
    let said = sandbox.read("/events/said");
    let told: Vec<&str> = said.lines().collect();
    let event = |level: &str, of: &str, text: &str| {
        format!("-s|-t|DATASTORE_ALARM|-l|{level}|-b|datastore|-U|datastore:mapping:{of}|--|{text}")
    };
    let of = "shop:/var/shop:mount-point-not-empty";
    let must_not = "`shop` must not start: /var/shop: mount-point-not-empty: /var/shop is not empty; binding would hide what is \
                    in it (hint: datastore import shop)";
    // The type is registered when an event of it was not taken, and not again.
    assert_eq!(told[0], "-R|-t|DATASTORE_ALARM|-b|datastore");
    assert_eq!(told[1], event("CRIT", of, must_not));
    assert_eq!(told[2], event("NORM", of, "`shop`: /var/shop: mount-point-not-empty is over"));
    assert_eq!(told[3..], [event("NORM", "test", "this is a test; nothing is wrong")]);
}

#[test]
fn a_program_for_events_in_another_root_is_run_only_if_that_is_asked_for() {
    for alarm in ["", "events = false\n"] {
        let sandbox = with_events(alarm);
        sandbox.datastore(&["alarm", "test"]).ok().says("no way is configured");
        assert!(!sandbox.path("/events/said").exists());
    }
    let sandbox = with_events("events = true\n");
    fs::set_permissions(sandbox.path("/usr/bin/eventsctl"), fs::Permissions::from_mode(0o757)).unwrap();
    sandbox.datastore(&["alarm", "test"]).code(1).says("failed  events").says("writable by others");
    fs::remove_file(sandbox.path("/usr/bin/eventsctl")).unwrap();
    sandbox.datastore(&["alarm", "test"]).code(1).says("it cannot be found");
}

#[test]
fn what_does_not_arrive_is_said_and_tried_again() {
    let sandbox = with_pager("mail = [\"root\"]\n");
    sandbox.write("/var/shop/order", "precious");
    let run = sandbox.datastore(&["apply", "--yes", "--json"]).code(3).json();
    let remark =
        run["remarks"].as_array().unwrap().iter().find(|r| r["hint"] == "datastore alarm test").expect("a remark");
    assert!(remark["detail"].as_str().unwrap().contains("did not reach mail (root)"), "{remark}");
    sandbox.datastore(&["alarm", "list"]).ok().says("not everybody could be told");
    sandbox
        .datastore(&["alarm", "test"])
        .code(1)
        .says("failed  mail (root): /usr/sbin/sendmail is not run: it cannot be found");
    let before = said(&sandbox).len();
    program(&sandbox, "/usr/sbin/sendmail", "#!/bin/sh\necho 'no such user' >&2; exit 67\n");
    sandbox.datastore(&["alarm", "test"]).code(1).says("no such user (exit status: 67)");
    program(&sandbox, "/usr/sbin/sendmail", "#!/bin/sh\ncat > /dev/null\n");
    sandbox.datastore(&["apply", "--yes"]).code(3);
    assert!(said(&sandbox).len() > before, "the alarm is told again until everybody was told");
    let quiet = said(&sandbox).len();
    sandbox.datastore(&["apply", "--yes"]).code(3);
    assert_eq!(said(&sandbox).len(), quiet);
}

#[test]
fn a_program_that_others_could_change_is_not_run() {
    for (what, spoil) in [
        (
            "writable by others",
            (|s: &Sandbox| fs::set_permissions(s.path("/usr/sbin/page"), fs::Permissions::from_mode(0o757)).unwrap())
                as fn(&Sandbox),
        ),
        ("writable by others", |s| {
            fs::set_permissions(s.path("/usr/sbin"), fs::Permissions::from_mode(0o775)).unwrap();
        }),
        ("belongs to user 1000", |s| std::os::unix::fs::chown(s.path("/usr/sbin/page"), Some(1000), None).unwrap()),
        ("is no program", |s| {
            fs::set_permissions(s.path("/usr/sbin/page"), fs::Permissions::from_mode(0o644)).unwrap();
        }),
    ] {
        let sandbox = with_pager("");
        spoil(&sandbox);
        sandbox.datastore(&["alarm", "test"]).code(1).says(what);
        assert!(said(&sandbox).is_empty(), "{what}");
    }
}

#[test]
fn a_damaged_book_keeps_no_alarm_back() {
    let sandbox = with_pager("");
    sandbox.write("/var/lib/datastore/alarms.json", "{ not json");
    sandbox.datastore(&["alarm", "list"]).code(3).says("cannot be understood");
    sandbox.write("/var/shop/order", "precious");
    sandbox.datastore(&["apply", "--yes"]).code(3);
    assert_eq!(said(&sandbox).len(), 1);
    sandbox.datastore(&["alarm", "list"]).ok().says("mount-point-not-empty");
}

#[test]
fn what_is_wrong_in_the_configuration_of_alarms_is_said_with_its_place() {
    for (line, says) in [
        ("sylog = true", "did you mean `syslog`?"),
        ("syslog = \"yes\"", "must be true or false"),
        ("command = []", "names no program"),
        ("command = [\"page-me\"]", "must begin with `/`"),
        ("mail = [\"-oQ/tmp\"]", "is no address of a mail"),
        ("mail = [\"a b\"]", "is no address of a mail"),
        ("sendmail = \"sendmail\"", "must begin with `/`"),
        ("events = \"eventsctl\"", "must be true or false"),
    ] {
        let sandbox = machine(&format!("{line}\n"));
        sandbox.datastore(&["config", "check"]).code(3).says(says).says("/etc/datastore.conf:");
    }
    // Without a way of its own a root that is not the machine tells nobody.
    let sandbox = machine("");
    sandbox.datastore(&["alarm", "test"]).ok().says("no way is configured");
    assert_eq!(sandbox.read("/etc/fstab"), skeleton::FSTAB);
}
