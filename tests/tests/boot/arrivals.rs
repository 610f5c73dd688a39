//! What comes while the machine runs: a file that a package drops, a user that it makes. Nobody runs a command of ours.

use std::time::{Duration, Instant};

use datastore_tests::Rig;

use super::machine;

/// Nothing here takes longer, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a mapping is so.
#[track_caller]
fn becomes(rig: &Rig, app: &str, wanted: &str) {
    let begun = Instant::now();
    loop {
        let told = rig.run(&["datastore", "status", app, "--json"]);
        // Nobody knows the app before its file is there.
        let state =
            if told.stdout.is_empty() { String::new() } else { told.json()["mappings"][0]["state"].to_string() };
        if state == format!("\"{wanted}\"") {
            return;
        }
        let log = || {
            rig.run(&["journalctl", "-b", "--no-pager", "-u", "datastore-apply.service", "-u", "datastore-apply.path"])
                .stdout
        };
        assert!(begun.elapsed() < PATIENCE, "{app} does not become {wanted}: it is {state}\n{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_configlet_is_enough() {
    let rig = machine();
    for n in 0..3 {
        let (app, at) = (format!("desk{n}"), format!("/srv/desk{n}"));
        // As a package manager does: under another name first.
        rig.write(
            &format!("/etc/datastore.d/{app}.conf.dpkg-new"),
            0o644,
            &format!("postmount = \"/usr/local/sbin/welcome\"\n[mapping.\"{at}\"]\ntarget = \"%{{base}}/{app}\"\n"),
        );
        rig.write("/usr/local/sbin/welcome", 0o755, "#!/bin/sh\necho welcome > $DATASTORE_MOUNT_POINT/welcome\n");
        rig.run(&["sh", "-c", &format!("cd /etc/datastore.d && mv {app}.conf.dpkg-new {app}.conf")]).ok();
        becomes(&rig, &app, "active");
        // Directory, fstab, bind, and the hook after it.
        rig.run(&["grep", "-q", &format!("X-datastore={app}"), "/etc/fstab"]).ok();
        assert_eq!(rig.run(&["cat", &format!("{at}/welcome")]).ok().stdout, "welcome\n");
    }
}

#[test]
fn a_user_that_an_app_waits_for_is_enough() {
    let rig = machine();
    let text = "[mapping.\"/srv/ledger\"]\ntarget = \"%{base}/ledger\"\nowner = \"ledger\"\ngroup = \"books\"\n";
    rig.write("/etc/datastore.d/ledger.conf", 0o644, text);
    becomes(&rig, "ledger", "waiting");
    rig.run(&["useradd", "--system", "ledger"]).ok();
    becomes(&rig, "ledger", "waiting");
    rig.run(&["groupadd", "--system", "books"]).ok();
    becomes(&rig, "ledger", "active");
    assert_eq!(rig.run(&["stat", "-c", "%U:%G", "/srv/ledger"]).ok().stdout, "ledger:books\n");
    // Many changes in no time make nothing give up.
    rig.run(&["sh", "-ec", "for i in $(seq 30); do useradd --system u$i; done"]).ok();
    rig.write(
        "/etc/datastore.d/late.conf",
        0o644,
        "[mapping.\"/srv/late\"]\ntarget = \"%{base}/late\"\nowner = \"u30\"\n",
    );
    becomes(&rig, "late", "active");
    assert_eq!(rig.run(&["systemctl", "is-active", "datastore-apply.path"]).ok().stdout, "active\n");
}
