//! The twelve default mappings: the data of all eight apps is imported, while the services that the configuration names hold files in it.

use std::fmt::Write as _;

use datastore_tests::Rig;

use super::{booted, unit};

/// Holds a file open in each of its directories and writes to it, as a daemon does with its log; notes when it begins and ends.
const STUB: &str = r#"#!/bin/sh
name=$1; shift; fd=3
for dir; do eval "exec $fd>>$dir/held-by-$name"; fd=$((fd + 1)); done
trap 'echo "stop $name" >>/var/tmp/order; exit 0' TERM
echo "start $name" >>/var/tmp/order
systemd-notify --ready
while :; do
    n=3; while [ $n -lt $fd ]; do eval "echo a line >&$n"; n=$((n + 1)); done
    sleep 0.05 & wait $!
done
"#;

const SAMBA: &str = "/var/samba/profiles /var/samba/netlogon /var/samba/drivers";
/// Every service that the defaults name, with where it holds files, and whether it runs. `mysqld` is the real one.
const SERVICES: &[(&str, &str, bool)] = &[
    ("smb", "/var/samba/profiles /var/samba/netlogon /var/samba/drivers /var/flexshare/shares", true),
    ("nmb", SAMBA, false),
    ("winbind", SAMBA, true),
    ("proftpd", "/var/flexshare/shares", false),
    ("httpd", "/var/www/virtual /var/www/html /var/www/cgi-bin /var/flexshare/shares", true),
    ("mailman", "/var/lib/mailman", false),
    ("cyrus-imapd", "/var/spool/imap", true),
    ("postfix", "/var/spool/imap", true),
];

/// The apps, with their mount points and what happens to services while each is imported.
const APPS: &[(&str, &[&str], &str)] = &[
    ("flexshare", &["/var/flexshare/shares"], "stop httpd\nstop smb\nstart smb\nstart httpd\n"),
    ("mailman", &["/var/lib/mailman"], ""),
    ("httpd", &["/var/www/virtual", "/var/www/html", "/var/www/cgi-bin"], "stop httpd\nstart httpd\n"),
    ("home", &["/home"], ""),
    ("cyrus-imapd", &["/var/spool/imap"], "stop postfix\nstop cyrus-imapd\nstart cyrus-imapd\nstart postfix\n"),
    ("mysqld", &["/var/lib/mysql"], ""),
    (
        "samba",
        &["/var/samba/profiles", "/var/samba/netlogon", "/var/samba/drivers"],
        "stop winbind\nstop smb\nstart smb\nstart winbind\n",
    ),
    ("support", &["/root/support"], ""),
];

/// What lies at a mount point, but for what a service writes.
fn listing(rig: &Rig, at: &str) -> String {
    let find = format!(
        "cd {at} && find . ! -name 'held-by-*' -mindepth 1 -printf '%P %y %m %u %g %l\\n' | sort \
         && find . -name 'data*' -type f -exec cksum {{}} + | sort"
    );
    rig.run(&["sh", "-c", &find]).ok().stdout
}

#[test]
fn every_default_mapping_is_imported_with_its_services() {
    let rig = booted(&[("data0", 1024, "ext4")], |rig| {
        rig.write("/usr/local/bin/stub", 0o755, STUB);
        for (name, dirs, _) in SERVICES {
            let text =
                format!("[Service]\nType=notify\nNotifyAccess=all\nExecStart=/usr/local/bin/stub {name} {dirs}\n");
            unit(rig, &format!("{name}.service"), &text);
        }
    });
    let mut script = String::from(
        "set -e; groupadd mailman; groupadd domain_users; useradd -r -g domain_users winadmin; useradd -r -g mail cyrus
         systemctl start mariadb; mariadb -e 'create database shop; create table shop.till (n int); insert into shop.till values (42)'\n",
    );
    for at in APPS.iter().flat_map(|(_, mounts, _)| *mounts).filter(|at| **at != "/var/lib/mysql") {
        let _ = writeln!(
            script,
            "mkdir -p {at}/user; cd {at}; seq 5000 >user/data; echo {at} >data2; chown mail:mail user/data; chmod 4750 user
             ln -s user/data link; ln user/data user/again; mkfifo fifo; setfattr -n user.of -v us user/data 2>/dev/null || true"
        );
    }
    rig.run(&["sh", "-c", &script]).ok();
    let running = SERVICES.iter().filter(|(_, _, runs)| *runs).map(|(name, ..)| *name);
    rig.run(&["systemctl", "start"].into_iter().chain(running).collect::<Vec<_>>()).ok();
    for (app, mount_points, order) in APPS {
        let look = |at: &&str| if *app == "mysqld" { String::new() } else { listing(&rig, at) };
        let before: Vec<String> = mount_points.iter().map(look).collect();
        rig.run(&["truncate", "-s", "0", "/var/tmp/order"]).ok();
        let report = rig.run(&["datastore", "import", app, "--yes", "--json"]).ok().json();
        assert_eq!(
            (&report["outcome"], &report["probe"]["ready"]),
            (&"done".into(), &true.into()),
            "{app}: {report:#}"
        );
        assert_eq!(std::fs::read_to_string(rig.path("/var/tmp/order")).unwrap(), *order, "{app}");
        let after: Vec<String> = mount_points.iter().map(look).collect();
        assert_eq!(before, after, "{app}");
        rig.run(&["datastore", "guard", app]).ok();
        for at in *mount_points {
            rig.run(&["mountpoint", "-q", at]).ok();
        }
    }
    let status = rig.run(&["datastore", "status", "--json"]).ok().json();
    let rows = status["mappings"].as_array().expect("rows");
    assert_eq!(rows.len(), 12);
    assert!(rows.iter().all(|row| row["state"] == "active"), "{rows:#?}");
    // Nothing runs that did not run before, and all that ran does.
    for (name, _, ran) in SERVICES {
        let state = rig.run(&["systemctl", "is-active", name]).stdout;
        assert_eq!(state.trim() == "active", *ran, "{name} is {state}");
    }
    rig.run(&["mariadb", "-N", "-e", "select n from shop.till"]).ok().says("42");
    assert_eq!(rig.run(&["datastore", "alarm", "list", "--json"]).ok().json()["alarms"], serde_json::json!([]));
}
