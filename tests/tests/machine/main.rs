//! Whole machines with a kernel of their own (`cargo xtask prove`): disks that are named by their labels and come and go, and the security
//! modules of the kernel.

mod disks;
mod modules;

use datastore_tests::rig::Init;
use datastore_tests::{Machine, Rig};

const MIB: u64 = 1 << 20;

/// A service that leaves a trace in the directory of its app, and is content with any.
fn service(app: &str) -> String {
    format!(
        "[Unit]\nDescription={app}\n[Service]\nExecStart=/bin/sh -c 'echo run >> /srv/{app}/trace; exec sleep infinity'\n\
         [Install]\nWantedBy=multi-user.target\n"
    )
}

fn configlet(app: &str, volume: &str) -> String {
    format!("services = [\"{app}\"]\n[mapping.\"/srv/{app}\"]\nvolume = \"{volume}\"\ntarget = \"%{{base}}/{app}\"\n")
}

/// A system with datastore on it and the services of these apps.
fn system(apps: &[&str]) -> Rig {
    let rig = Rig::with(Init::Machine);
    rig.install();
    for app in apps {
        rig.write(&format!("/etc/systemd/system/{app}.service"), 0o644, &service(app));
    }
    rig
}

/// Declares an app, and waits until its data is bound, which needs no command.
#[track_caller]
fn declare(machine: &mut Machine, app: &str, volume: &str) {
    machine.run(&format!("cat > /etc/datastore.d/{app}.conf <<'END'\n{}END\n", configlet(app, volume))).ok();
    machine.wait_until(&format!("datastore guard {app}"));
    machine.run(&format!("echo 42 > /srv/{app}/till && systemctl enable --now --quiet {app}")).ok();
    is_up(machine, app);
}

/// Whether an app runs on its data, or does so in a moment.
#[track_caller]
fn is_up(machine: &mut Machine, app: &str) {
    machine.wait_until(&format!("systemctl is-active --quiet {app} && grep -qx 42 /srv/{app}/till"));
}
