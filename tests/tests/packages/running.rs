//! On a machine that runs systemd.

use datastore_tests::Rig;

use super::machine::{INSTALL, becomes, configlet, furnish, newer};

/// A machine on which the package has been installed, with a volume.
pub(super) fn machine() -> Rig {
    let rig = Rig::booted(|rig| {
        furnish(rig);
        rig.write("/etc/systemd/system/mariadb.service.d/never.conf", 0o644, "[Unit]\nConditionPathExists=/never\n");
        // Its name is that of no other machine's: mount(8) takes a loop device by it.
        rig.disk(&disk(rig), 256 << 20, "ext4");
    });
    shell(&rig, INSTALL);
    let image = format!("/{}.img", disk(&rig));
    rig.run(&["datastore", "init", "--host", "server1", "--device", &image, "--yes"]).ok();
    rig
}

fn disk(rig: &Rig) -> String {
    let home = rig.path("/");
    let name = home.parent().and_then(|home| home.file_name()).expect("a directory of its own");
    name.to_string_lossy().replace("datastore-rig-", "packages-")
}

/// Runs a line that must end well; gives what it says.
#[track_caller]
pub(super) fn shell(rig: &Rig, line: &str) -> String {
    rig.run(&["sh", "-ec", &format!("exec 2>&1; {line}")]).ok().stdout
}

#[track_caller]
pub(super) fn is(rig: &Rig, asked: &str, unit: &str, wanted: &str) {
    let said = rig.run(&["systemctl", asked, unit]).stdout;
    assert_eq!(said.trim(), wanted, "systemctl {asked} {unit}");
}

#[test]
fn a_file_that_is_copied_and_a_package_are_enough() {
    let mut rig = machine();
    let units = ["datastore-recover", "datastore", "datastore-watch"].map(|name| format!("{name}.service"));
    for unit in units.iter().map(String::as_str).chain(["datastore-apply.path", "datastore-clearos.path"]) {
        is(&rig, "is-enabled", unit, "enabled");
    }
    for unit in ["datastore-apply.path", "datastore-watch.service"] {
        is(&rig, "is-active", unit, "active");
    }
    // A plain copy, with a user that is there.
    rig.write("/root/desk.conf", 0o644, &configlet("desk"));
    shell(&rig, "useradd --system desk; cp /root/desk.conf /etc/datastore.d/");
    becomes(&rig, "desk", "active");
    // Another package; its script makes the user after its files are there.
    let said = shell(&rig, "dpkg -i /packages/shop.deb");
    assert!(said.contains("Processing triggers for datastore"), "{said}");
    becomes(&rig, "shop", "active");
    let owner =
        shell(&rig, "stat -c %U /srv/shop; grep -c X-datastore=shop /etc/fstab; findmnt -n -o TARGET /srv/shop");
    assert_eq!(owner, "shop\n1\n/srv/shop\n");
    // A package manager that runs as a service may have mounts of its own, and what is bound is to be seen by everybody.
    let said = shell(&rig, "unshare --mount --propagation private dpkg -i /packages/till.deb");
    assert!(said.contains("Processing triggers for datastore") && !said.contains("steps done"), "{said}");
    becomes(&rig, "till", "active");
    assert_eq!(shell(&rig, "findmnt -n -o TARGET /srv/till"), "/srv/till\n");
    // What was installed does its work at a boot.
    rig.reboot();
    becomes(&rig, "shop", "active");
    is(&rig, "is-active", "datastore.service", "active");
    assert_eq!(shell(&rig, "systemctl is-system-running"), "running\n");
    // Nothing of the package has been changed by its own scripts.
    assert_eq!(shell(&rig, "dpkg --verify datastore"), "");
}

#[test]
fn nothing_is_lost_when_it_is_removed_and_it_goes_on_when_it_is_back() {
    let mut rig = machine();
    shell(&rig, "dpkg -i /packages/shop.deb");
    becomes(&rig, "shop", "active");
    let before = shell(&rig, "echo 42 > /srv/shop/till; cat /etc/fstab");
    let said = shell(&rig, "dpkg -r datastore");
    for words in ["all data stays in the store", "stay in /etc/fstab", "nobody asks any more", "datastore disable APP"]
    {
        assert!(said.contains(words), "{words} in {said}");
    }
    let left = "cat /etc/fstab; test ! -e /usr/sbin/datastore; test -e /etc/datastore.conf; test -e /var/lib/datastore; \
                systemctl is-active datastore-watch.service datastore-apply.path | sort -u";
    let left_now = || shell(&rig, &format!("{left} || true"));
    assert_eq!(left_now(), format!("{before}inactive\n"));
    assert_eq!(shell(&rig, "cat /srv/shop/till; findmnt -n -o TARGET /srv/shop"), "42\n/srv/shop\n");
    // At a boot fstab is enough.
    rig.reboot();
    assert_eq!(shell(&rig, "cat /srv/shop/till; findmnt -n -o TARGET /srv/shop"), "42\n/srv/shop\n");
    assert_eq!(shell(&rig, "systemctl is-system-running"), "running\n");
    shell(&rig, INSTALL);
    becomes(&rig, "shop", "active");
    for unit in ["datastore-apply.path", "datastore-watch.service"] {
        is(&rig, "is-active", unit, "active");
        is(&rig, "is-enabled", unit, "enabled");
    }
    rig.write("/root/till.conf", 0o644, &configlet("till"));
    shell(&rig, "useradd --system till; cp /root/till.conf /etc/datastore.d/");
    becomes(&rig, "till", "active");
    assert_eq!(shell(&rig, "cat /srv/shop/till"), "42\n");
}

#[test]
fn a_purge_asks_and_never_takes_data() {
    let rig = machine();
    shell(&rig, "dpkg -i /packages/shop.deb");
    becomes(&rig, "shop", "active");
    let before = shell(&rig, "echo 42 > /srv/shop/till; cat /etc/fstab");
    // Nobody is there to be asked.
    let said = shell(&rig, "DEBIAN_FRONTEND=noninteractive dpkg -P datastore");
    assert!(said.contains("are kept, as all data is"), "{said}");
    shell(&rig, "test -e /etc/datastore.conf; test -d /var/lib/datastore/journal; test ! -e /etc/init.d/datastore");
    assert_eq!(shell(&rig, "find /etc/systemd /etc/rc?.d -name '*datastore*'"), "");
    shell(&rig, INSTALL);
    becomes(&rig, "shop", "active");
    // The administrator has answered.
    shell(&rig, "echo 'datastore datastore/forget boolean true' | debconf-set-selections");
    let said = shell(&rig, "DEBIAN_FRONTEND=noninteractive dpkg -P datastore");
    assert!(said.contains("the journal are gone; all data"), "{said}");
    shell(&rig, "test ! -e /etc/datastore.conf; test ! -e /var/lib/datastore; test -e /etc/datastore.d/shop.conf");
    assert_eq!(shell(&rig, "cat /srv/shop/till /store/data0/live/server1/shop/till"), "42\n42\n");
    assert_eq!(shell(&rig, "cat /etc/fstab"), before);
    // The answer was for that time.
    let kept = "echo get datastore/forget | debconf-communicate || true";
    assert!(!shell(&rig, kept).contains("true"), "the answer is kept");
}

#[test]
fn a_newer_one_takes_its_place() {
    let rig = machine();
    newer(&rig);
    shell(&rig, "dpkg -i /packages/shop.deb");
    becomes(&rig, "shop", "active");
    let watcher = || shell(&rig, "systemctl show -p MainPID --value datastore-watch.service");
    let (before, fstab) = (watcher(), shell(&rig, "echo 42 > /srv/shop/till; cat /etc/fstab"));
    shell(&rig, "dpkg -i /packages/newer.deb");
    assert!(shell(&rig, "dpkg-query -W -f '${Version} ${Status}' datastore").ends_with("-1.1 install ok installed"));
    assert_ne!(watcher(), before, "the old command still watches");
    becomes(&rig, "shop", "active");
    assert_eq!(shell(&rig, "cat /srv/shop/till /etc/fstab"), format!("42\n{fstab}"));
    // What the administrator turns off stays off.
    shell(&rig, &format!("systemctl disable --now --quiet datastore-watch.service; {INSTALL}"));
    is(&rig, "is-enabled", "datastore-watch.service", "disabled");
    is(&rig, "is-active", "datastore-watch.service", "inactive");
    is(&rig, "is-active", "datastore-apply.path", "active");
}
