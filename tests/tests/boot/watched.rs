//! What the watcher does beside telling, where the configuration asks for it; and services that wait for their data.

use std::time::{Duration, Instant};

use datastore_tests::Rig;

use super::{PATIENCE, by_hand, disk, is_up, machine, row, state};

/// A machine whose watcher does this.
fn watched(how: &str) -> Rig {
    let rig = machine();
    by_hand(&rig);
    let more = format!("printf '\\n[watch]\\n{how}\\n' >> /etc/datastore.conf");
    rig.run(&["sh", "-ec", &more]).ok();
    rig
}

#[track_caller]
fn shell(rig: &Rig, line: &str) {
    rig.run(&["sh", "-ec", line]).ok();
}

#[track_caller]
fn until(what: &str, is: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the watcher knows that the app has its data: what it has not seen to be there it does not miss.
fn seen_well(rig: &Rig) {
    until("the watcher does not see that all is well", || {
        let seen = rig.run(&["cat", "/run/datastore/status.json"]).json();
        seen["mappings"]
            .as_array()
            .is_some_and(|rows| rows.iter().any(|row| row["app"] == "shop" && row["state"] == "active"))
    });
}

fn journal(rig: &Rig) -> String {
    rig.run(&["journalctl", "-b", "-o", "cat", "--no-pager", "-u", "datastore-watch"]).stdout
}

#[test]
fn it_runs_after_each_boot_and_says_when_it_is_ready() {
    let mut rig = machine();
    rig.reboot();
    until("it is not ready", || journal(&rig).contains("watching 1 mapping on 1 volume"));
    assert_eq!(state(&rig, "datastore-watch"), "active");
    let told = rig.run(&["cat", "/run/datastore/status.json"]).ok().json();
    assert_eq!(told["host"], "server1");
    // One that is ended is started again; one that is stopped is not.
    shell(&rig, "systemctl kill -s KILL datastore-watch");
    let ready = || journal(&rig).matches("watching 1 mapping").count();
    until("it was not started again", || ready() == 2 && state(&rig, "datastore-watch") == "active");
    shell(&rig, "systemctl stop datastore-watch");
    assert_eq!(state(&rig, "datastore-watch"), "inactive");
}

#[test]
fn services_whose_data_goes_are_stopped_and_start_when_it_is_back() {
    let rig = watched("on_loss = \"stop\"");
    shell(&rig, "umount -l /srv/shop; umount -l /store/data0");
    until("it was not stopped", || state(&rig, "shop") == "inactive");
    until("it does not say so", || journal(&rig).contains("`shop` has lost its data: shop.service stopped"));
    // That its data is back is all that is needed, whoever brings it.
    shell(&rig, "mount /store/data0");
    assert_eq!(row(&rig, "shop")["state"], "pending");
    assert_eq!(state(&rig, "shop"), "inactive");
    let said = rig.run(&["datastore", "apply", "--yes"]).ok().stdout;
    assert!(said.contains("`shop` has its data: shop.service waited for it and can start now"), "{said}");
    is_up(&rig, "after its data came back");
    seen_well(&rig);
    // One that is stopped on purpose does not wait.
    shell(&rig, "umount -l /srv/shop");
    until("it was not stopped", || state(&rig, "shop") == "inactive");
    shell(&rig, "datastore stop shop; datastore start shop");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(state(&rig, "shop"), "inactive", "{}", super::trouble(&rig));
}

#[test]
fn an_app_comes_back_by_itself_when_its_disk_does() {
    let mut rig = watched("on_loss = \"stop\"\\non_return = \"start\"");
    let image = format!("/{}.img", disk(&rig));
    // While it runs.
    shell(&rig, &format!("mv {image} /away.img; umount -l /srv/shop; umount -l /store/data0"));
    until("it was not stopped", || state(&rig, "shop") == "inactive");
    shell(&rig, &format!("mv /away.img {image}"));
    is_up(&rig, "its disk was lost, and came back");
    until("it does not say so", || journal(&rig).contains("volume `data0` is there again, and has been mounted"));
    seen_well(&rig);
    // At a boot.
    shell(&rig, &format!("mv {image} /away.img"));
    rig.reboot();
    assert_ne!(state(&rig, "shop"), "active");
    assert_eq!(state(&rig, "multi-user.target"), "active");
    shell(&rig, &format!("mv /away.img {image}"));
    is_up(&rig, "its disk was missing at a boot, and came back");
    seen_well(&rig);
    until("an alarm is left", || !rig.run(&["datastore", "alarm", "list"]).stdout.contains("shop"));
    // Another disk does nothing.
    shell(&rig, &format!("mv {image} /away.img; umount -l /srv/shop; umount -l /store/data0"));
    until("it was not stopped", || state(&rig, "shop") == "inactive");
    shell(&rig, &format!("truncate -s 64M /other.img; mkfs.ext4 -qF /other.img; mv /other.img {image}"));
    until("nobody was told", || rig.run(&["datastore", "alarm", "list"]).stdout.contains("wrong-volume"));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(state(&rig, "shop"), "inactive");
    shell(&rig, &format!("umount /store/data0; mv /away.img {image}"));
    is_up(&rig, "its own disk came back");
}

#[test]
fn what_systemd_stops_with_a_disk_starts_again_with_its_data() {
    // Nothing is said of what is to be stopped.
    let rig = watched("on_return = \"start\"");
    let image = format!("/{}.img", disk(&rig));
    shell(&rig, &format!("mv {image} /away.img; systemctl stop srv-shop.mount store-data0.mount"));
    until("systemd did not stop it", || state(&rig, "shop") == "inactive");
    until("nobody was told", || rig.run(&["datastore", "alarm", "list"]).stdout.contains("volume-missing"));
    shell(&rig, &format!("mv /away.img {image}"));
    is_up(&rig, "its disk was pulled out, and put in again");
}

#[test]
fn a_service_that_was_refused_starts_with_the_operation_that_brings_its_data() {
    let rig = machine();
    by_hand(&rig);
    // What nobody wants to run is not started, and what somebody else needs is.
    let service = "[Service]\nExecStart=sleep infinity\n";
    rig.write("/etc/systemd/system/idle.service", 0o644, service);
    let configlet = rig.run(&["cat", "/etc/datastore.d/shop.conf"]).ok().stdout;
    rig.write("/etc/datastore.d/shop.conf", 0o644, &configlet.replace("[\"shop\"]", "[\"shop\", \"idle\"]"));
    shell(&rig, "datastore apply --yes; systemctl stop shop srv-shop.mount; sed -i '/server1.shop/d' /etc/fstab");
    shell(&rig, "systemctl daemon-reload; ! systemctl start shop");
    shell(&rig, "test -e /run/datastore/kept/shop.json");
    // One look by hand keeps nobody.
    shell(&rig, "datastore apply --yes");
    is_up(&rig, "after it was refused");
    assert_eq!(state(&rig, "idle"), "inactive");
    shell(&rig, "test ! -e /run/datastore/kept/shop.json");
    // Asked by hand nobody waits.
    shell(&rig, "systemctl stop shop srv-shop.mount; ! datastore guard shop; test ! -e /run/datastore/kept/shop.json");
    shell(&rig, "datastore apply --yes");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(state(&rig, "shop"), "inactive");
}
