//! The two ways of the original proposal to take an app to another volume by hand, with a web server that runs.

use datastore_tests::Rig;

use super::{booted, unit};

const HTTPD: &str = "title = \"Web\"\nservices = [\"httpd.service\"]\n[mapping.\"/var/www/html\"]\ntarget = \"/store/data0/live/server1/www\"\n";

/// Serves by holding its log open in the data; does not start without the guard.
const UNIT: &str = "[Service]\nExecStartPre=+/usr/local/bin/datastore guard httpd\n\
    ExecStart=/bin/sh -c 'exec >>/var/www/html/log; while sleep 1; do echo a line; done'\n";

fn sh(rig: &Rig, script: &str) -> datastore_tests::Run {
    rig.run(&["sh", "-c", script])
}

fn machine() -> Rig {
    let rig = booted(&[("data0", 64, "ext4"), ("data11", 64, "ext4")], |rig| {
        rig.write("/etc/datastore.d/httpd.conf", 0o644, HTTPD);
        unit(rig, "httpd.service", UNIT);
    });
    sh(&rig, "datastore apply --yes && echo hello >/var/www/html/index.html && systemctl start httpd").ok();
    rig
}

/// Demands that the web server runs on its data, in this store.
#[track_caller]
fn serves_from(rig: &Rig, store: &str) {
    let row = rig.run(&["datastore", "status", "httpd", "--json"]).ok().json()["mappings"][0].clone();
    assert_eq!((&row["state"], &row["store"]), (&"active".into(), &store.into()), "{row:#}");
    sh(rig, "systemctl start httpd && systemctl is-active httpd && cat /var/www/html/index.html").ok().says("hello");
}

#[test]
fn stop_edit_start() {
    let rig = machine();
    sh(&rig, "cp -a /var/www/html /tmp/myhtml").ok();
    // Nothing is pulled away from a server that runs.
    rig.run(&["datastore", "httpd", "stop"]).code(3).says("busy: /var/www/html is in use").says("sh (process ");
    sh(&rig, "systemctl stop httpd && datastore httpd stop").ok();
    // In between it does not start on the bare directory.
    assert!(!sh(&rig, "systemctl start httpd").status.success());
    assert!(sh(&rig, "ls -A /var/www/html").ok().stdout.is_empty());
    sh(&rig, "sed -i s/data0/data11/ /etc/datastore.d/httpd.conf").ok();
    rig.run(&["datastore", "httpd", "start"]).ok();
    sh(&rig, "cp -a /tmp/myhtml/. /var/www/html").ok();
    // All attributes have come along, the identity of the old store among them; the guard does not mind, and `apply` mends it.
    sh(&rig, "systemctl start httpd && datastore apply --yes").ok();
    serves_from(&rig, "/store/data11/live/server1/www");
}

#[test]
fn edit_remap_copy_start() {
    let rig = machine();
    sh(&rig, "sed -i s/data0/data11/ /etc/datastore.d/httpd.conf").ok();
    rig.run(&["datastore", "httpd", "remap", "--yes"]).code(3).says("busy: /var/www/html is in use");
    serves_now(&rig);
    sh(&rig, "systemctl stop httpd && datastore httpd remap --yes").ok();
    assert!(!sh(&rig, "systemctl start httpd").status.success());
    // Both stores can be reached.
    sh(&rig, "cp -a /store/data0/live/server1/www/. /store/data11/live/server1/www").ok();
    rig.run(&["datastore", "httpd", "start"]).ok();
    serves_from(&rig, "/store/data11/live/server1/www");
}

/// Demands that it runs on, whatever the configuration says by now.
#[track_caller]
fn serves_now(rig: &Rig) {
    sh(rig, "systemctl is-active httpd && cat /var/www/html/index.html").ok().says("hello");
}
