//! What happens on the machine when the power fails: each verb that changes what is on its disks.

use std::os::unix::fs::FileExt as _;

use datastore_tests::scenes;

use crate::machine::{HOST, Machine};

/// Where the app of the stories has its data.
pub const AT: &str = "/var/spool/mail";
/// The app.
pub const APP: &str = "mail";

/// A story: what stood before, one command, and what it has promised once it has said that it is done.
#[derive(Debug, Clone, Copy)]
pub struct Story {
    /// For messages.
    pub name: &'static str,
    before: fn(&Machine),
    /// The command.
    pub command: &'static [&'static str],
    /// Whether there are data, which must be whole whenever they are seen.
    pub has_data: bool,
    /// What must hold right after the boot, if the command had said that it was done.
    pub promised: Promise,
}

/// What a command has promised once it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// The app may start, on data that lie on this disk.
    Active(usize),
    /// The app is not bound.
    Unbound,
    /// A line of fstab has this in it.
    Line(&'static str),
    /// No line of fstab has this in it.
    NoLine(&'static str),
    /// There are no parked trees.
    Reclaimed,
}

fn initialised(machine: &Machine) {
    let device = machine.device(1);
    machine.datastore(&["init", "--host", HOST, "--volume", "data0", "--device", device, "--yes"]);
}

fn declared(machine: &Machine) {
    initialised(machine);
    machine.sandbox.configlet(APP, scenes::MAIL);
    machine.sandbox.configlet("web", scenes::WEB);
}

fn applied(machine: &Machine) {
    declared(machine);
    machine.datastore(&["apply", "--yes"]);
}

fn edited(machine: &Machine) {
    applied(machine);
    machine.sandbox.configlet("web", &scenes::WEB.replace("%{base}/html", "%{base}/html2"));
}

fn stopped(machine: &Machine) {
    applied(machine);
    machine.datastore(&["stop", APP]);
}

fn full(machine: &Machine) {
    declared(machine);
    let device = machine.device(2);
    machine.datastore(&["volume", "add", "data1", "--device", device, "--yes"]);
    machine.datastore(&["apply", "web", "--yes"]);
    scenes::data(&machine.sandbox, AT);
}

fn imported(machine: &Machine) {
    full(machine);
    machine.datastore(&["import", APP, "--yes"]);
}

fn clean(machine: &Machine) {
    imported(machine);
    machine.datastore(&["reclaim", "--yes"]);
}

fn moved(machine: &Machine) {
    clean(machine);
    machine.datastore(&["move", APP, "--to", "data1", "--yes"]);
}

fn two_volumes(machine: &Machine) {
    applied(machine);
    let device = machine.device(2);
    machine.datastore(&["volume", "add", "data1", "--device", device, "--yes"]);
}

/// All of them. `DEVICE1` and `DEVICE2` stand for the devices of the volumes.
pub const STORIES: &[Story] = &[
    Story {
        name: "init",
        before: |_| (),
        command: &["init", "--host", HOST, "--volume", "data0", "--device", "DEVICE1", "--yes"],
        has_data: false,
        promised: Promise::Line("/store/data0"),
    },
    Story {
        name: "volume add",
        before: applied,
        command: &["volume", "add", "data1", "--device", "DEVICE2", "--yes"],
        has_data: false,
        promised: Promise::Line("/store/data1"),
    },
    Story {
        name: "volume remove",
        before: two_volumes,
        command: &["volume", "remove", "data1", "--yes"],
        has_data: false,
        promised: Promise::NoLine("/store/data1"),
    },
    Story {
        name: "apply",
        before: declared,
        command: &["apply", "--yes"],
        has_data: false,
        promised: Promise::Active(1),
    },
    Story { name: "stop", before: applied, command: &["stop", APP], has_data: false, promised: Promise::Unbound },
    Story { name: "start", before: stopped, command: &["start", APP], has_data: false, promised: Promise::Active(1) },
    Story {
        name: "disable",
        before: applied,
        command: &["disable", APP, "--yes"],
        has_data: false,
        promised: Promise::NoLine("/var/spool/mail"),
    },
    Story {
        name: "remap",
        before: edited,
        command: &["remap", "web", "--yes"],
        has_data: false,
        promised: Promise::Line("/html2"),
    },
    Story {
        name: "import",
        before: full,
        command: &["import", APP, "--yes"],
        has_data: true,
        promised: Promise::Active(1),
    },
    Story {
        name: "move",
        before: clean,
        command: &["move", APP, "--to", "data1", "--yes"],
        has_data: true,
        promised: Promise::Active(2),
    },
    Story {
        name: "move (rename)",
        before: clean,
        command: &["move", APP, "--to", "/store/data0/live/server1/post", "--yes"],
        has_data: true,
        promised: Promise::Active(1),
    },
    Story {
        name: "undo of an import",
        before: imported,
        command: &["move", APP, "--undo", "--yes"],
        has_data: true,
        promised: Promise::Unbound,
    },
    Story {
        name: "undo of a move",
        before: moved,
        command: &["move", APP, "--undo", "--yes"],
        has_data: true,
        promised: Promise::Active(1),
    },
    Story {
        name: "reclaim",
        before: moved,
        command: &["reclaim", "--yes"],
        has_data: true,
        promised: Promise::Reclaimed,
    },
];

impl Story {
    /// The story of this name.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn named(name: &str) -> &'static Self {
        STORIES.iter().find(|story| story.name == name).unwrap_or_else(|| panic!("no story is called {name:?}"))
    }

    /// The command on a machine.
    #[must_use]
    pub fn command<'a>(&self, machine: &'a Machine) -> Vec<&'a str>
    where
        Self: 'a,
    {
        let word = |word: &&'static str| match *word {
            "DEVICE1" => machine.device(1),
            "DEVICE2" => machine.device(2),
            other => other,
        };
        self.command.iter().map(word).collect()
    }

    /// Makes what stood before, and puts it on the disks for good.
    pub fn set(&self, machine: &Machine) {
        (self.before)(machine);
        for bystander in machine.bystanders() {
            bystander.write_all_at(b"x", 0).unwrap_or_else(|e| panic!("write to a bystander: {e}"));
        }
        // A run that ends well leaves nothing that has to be written later, but the file systems do.
        machine.off();
        machine.disks.rebase();
    }
}
