//! Disks that fstab names by their labels.

#![allow(clippy::print_stdout, reason = "how long the boots took is a result")]

use datastore_tests::Machine;

use super::{MIB, declare, is_up, system};

/// `shop` on the disk `data0`, `till` on `data1`, both up, with data.
fn machine() -> Machine {
    let mut machine = Machine::boot(system(&["shop", "till"]), "");
    for disk in ["data0", "data1"] {
        machine.add_disk(disk, 128 * MIB);
    }
    machine.run("datastore init --host server1 --device /dev/disk/by-label/data0 --yes").ok();
    machine.run("datastore volume add data1 --device /dev/disk/by-label/data1 --yes").ok();
    for (app, volume) in [("shop", "data0"), ("till", "data1")] {
        declare(&mut machine, app, volume);
    }
    machine
}

/// `till` does not run, nothing is where its data was or would be, somebody has been told, and `shop` is not touched by that.
#[track_caller]
fn only_till_is_down(machine: &mut Machine) {
    machine.wait_until("datastore alarm list | grep -q 'volume-missing.*till'");
    let active = machine.run("systemctl is-active till");
    assert_ne!(active.text, "active", "{active:?}");
    let guard = machine.run("datastore guard till");
    assert!(guard.code == 3 && guard.text.contains("must not start"), "{guard:?}");
    // systemd takes off what was mounted of a disk that has gone.
    machine.wait_until("! mountpoint -q /store/data1");
    machine.run("systemctl start till");
    assert_ne!(machine.run("systemctl is-active till").text, "active");
    let left = machine.run("find /srv/till /store/data1 -mindepth 1").ok().text;
    assert_eq!(left, "", "something was written where the disk is missing");
    let written = machine.run("echo x > /srv/till/x");
    assert_ne!(written.code, 0, "root could write where the disk is missing");
    is_up(machine, "shop");
}

/// The disk is put in again, and one command is enough.
#[track_caller]
fn comes_back(machine: &mut Machine) {
    machine.plug("data1");
    machine.run("systemctl start till").ok();
    is_up(machine, "till");
    machine.wait_until("datastore alarm list | grep -q 'no alarm is open'");
}

#[test]
#[ignore = "takes minutes: `cargo xtask prove`"]
fn one_is_missing_at_a_boot() {
    let mut machine = machine();
    let whole = machine.reboot();
    for app in ["shop", "till"] {
        is_up(&mut machine, app);
    }
    machine.unplug("data1");
    let without = machine.reboot();
    only_till_is_down(&mut machine);
    // Back again, one command brings it up.
    comes_back(&mut machine);
    // Whoever does not want to wait for a disk that may be slow says so.
    machine.run("datastore volume add data1 --options x-systemd.device-timeout=1s --yes").ok();
    let line = machine.run("grep ' /store/data1 ' /etc/fstab").ok().text;
    assert!(line.contains("x-systemd.device-timeout=1s") && !line.contains("30s"), "{line}");
    machine.unplug("data1");
    let hasty = machine.reboot();
    only_till_is_down(&mut machine);
    comes_back(&mut machine);
    println!(
        "boot until multi-user: {whole:.1} s with both disks, {without:.1} s ({:.2}x) with one missing, {hasty:.1} s ({:.2}x) where that \
         one is waited for for 1 s",
        without / whole,
        hasty / whole
    );
    assert!(without < whole + 60.0, "the missing disk held the boot for longer than it is waited for");
}

#[test]
#[ignore = "takes minutes: `cargo xtask prove`"]
fn one_is_pulled_out_while_it_is_used() {
    let mut machine = machine();
    machine.unplug("data1");
    only_till_is_down(&mut machine);
    comes_back(&mut machine);
    // Where it is asked for, it comes back by itself.
    machine.run("printf '[watch]\\non_loss = \"stop\"\\non_return = \"start\"\\n' >> /etc/datastore.conf").ok();
    machine.unplug("data1");
    machine.wait_until("datastore alarm list | grep -q 'volume-missing.*till'");
    machine.plug("data1");
    is_up(&mut machine, "till");
    machine.wait_until("datastore alarm list | grep -q 'no alarm is open'");
}
