//! A step of one mapping that fails is that mapping's alone. (Each call of each operation failed: `rigs/calls`.)

use datastore_tests::scenes::Scene;
use datastore_tests::{Sandbox, picture, strace};

#[test]
fn a_step_of_one_mapping_that_fails_leaves_the_others_bound() {
    let scene = Scene::named("apply");
    let mut seen = 0;
    for call in ["move_mount", "mkdirat"] {
        for nth in 1.. {
            let sandbox = scene.set();
            let traced = strace::fail(&sandbox, call, "EPERM", nth, scene.command);
            let Some(hit) = traced.hit else { break };
            // The store directory or the bind of the mail app alone.
            let report = traced.run;
            if !(hit.contains("/var/spool/mail") || hit.contains("/live/server1/mail")) || hit.contains("/run/") {
                continue;
            }
            seen += 1;
            report.code(1).says("/var/spool/mail");
            for (mount_point, is_bound) in
                [("/var/spool/mail", false), ("/var/www/html", true), ("/var/www/html/deep/cgi", true)]
            {
                assert_eq!(sandbox.bound(mount_point).is_some(), is_bound, "{mount_point} after EPERM at {hit}");
            }
            let lines = picture::fstab(&sandbox.read("/etc/fstab")).ours;
            assert_eq!(lines.len(), 2, "{lines:?} after EPERM at {hit}");
            sandbox.datastore(&["guard", "web"]).ok();
            sandbox.datastore(&["guard", "mail"]).code(3);
        }
    }
    // Before Linux 5.2 a bind is made by mount(2) between descriptors, which shows no path to tell it by.
    let wanted = if Sandbox::lacks("move_mount") { 1 } else { 2 };
    assert!(seen >= wanted, "only {seen} faults met the mail app");
}
