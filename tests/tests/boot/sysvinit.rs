//! Boots with SysV init: the same promises, kept by init scripts.

use std::time::{Duration, Instant};

use datastore_tests::Rig;
use datastore_tests::rig::Init;

use super::{CONFIGLET, PATIENCE, disk};

/// A script as Debian's are. Its service leaves a trace in its data, and is content with any directory.
const SHOP: &str = "#!/bin/sh
### BEGIN INIT INFO
# Provides:       shop
# Required-Start: $local_fs
# Required-Stop:
# Default-Start:  2 3 4 5
# Default-Stop:
### END INIT INFO
. /lib/lsb/init-functions
case \"$1\" in
start) echo run >> /srv/shop/trace; touch /run/shop ;;
stop) rm -f /run/shop ;;
restart) \"$0\" stop; \"$0\" start ;;
status) [ -e /run/shop ] || exit 3 ;;
esac
";

/// What is wrong at a boot, what is said of it, and what mends it; the last words bring the app up.
const CONDITIONS: [(&str, &str, &str, &str); 9] = [
    (
        "the disk is missing",
        "mv DISK /away.img",
        "volume-missing",
        "mv /away.img DISK; mount /store/data0; datastore apply --yes",
    ),
    (
        "an empty disk is in its place",
        "mv DISK /away.img; truncate -s 64M DISK; mkfs.ext4 -qF DISK",
        "wrong-volume",
        "umount -q /srv/shop || true; umount /store/data0; mv /away.img DISK; mount /store/data0; datastore apply --yes",
    ),
    (
        "an empty directory is in the place of the store",
        "mv STORE STORE.away; mkdir STORE",
        "wrong-store",
        "umount -q /srv/shop || true; rm -rf STORE; mv STORE.away STORE; datastore apply --yes",
    ),
    (
        "fstab binds another directory",
        "mkdir STORE-other; sed -i 's#^STORE #STORE-other #' /etc/fstab",
        "wrong-store",
        "umount -q /srv/shop || true; cp /etc/fstab.good /etc/fstab; datastore apply --yes; rmdir STORE-other",
    ),
    (
        "there is data at the mount point, and no bind",
        "sed -i '\\#^STORE#d' /etc/fstab; umount /srv/shop; chattr -i /srv/shop; chmod 755 /srv/shop; echo 43 > /srv/shop/till",
        "mount-point-not-empty",
        "rm /srv/shop/till; datastore apply --yes",
    ),
    (
        "the configlet cannot be understood",
        "cp -a /etc/datastore.d/shop.conf /away; echo 'services = [' > /etc/datastore.d/shop.conf",
        "config-invalid",
        "mv /away /etc/datastore.d/shop.conf; datastore apply --yes",
    ),
    (
        "datastore.conf has gone",
        "mv /etc/datastore.conf /away",
        "there is no /etc/datastore.conf",
        "mv /away /etc/datastore.conf; datastore apply --yes",
    ),
    (
        "the command has gone",
        "mv /usr/sbin/datastore /away; mv /usr/local/bin/datastore /away.local",
        "",
        "mv /away /usr/sbin/datastore; mv /away.local /usr/local/bin/datastore; service shop start",
    ),
    ("fstab has lost the bind", "sed -i '\\#^STORE#d' /etc/fstab", "UP", "true"),
];

fn shell(rig: &Rig, line: &str) -> String {
    let line = line.replace("STORE", "/store/data0/live/server1/shop").replace("DISK", &format!("/{}.img", disk(rig)));
    rig.run(&["sh", "-ec", &line]).ok().stdout
}

fn is_up(rig: &Rig) -> bool {
    let said = rig.run(&["sh", "-c", "[ -e /run/shop ] && cat /srv/shop/till"]).stdout;
    said == "42\n"
}

#[track_caller]
fn comes_up(rig: &Rig, when: &str) {
    let end = Instant::now() + PATIENCE;
    while !is_up(rig) {
        let look = "datastore status shop; datastore alarm list; ls -l /run/datastore/kept /srv/shop; cat /etc/fstab /proc/mounts";
        assert!(Instant::now() < end, "{when}: {}", rig.run(&["sh", "-c", look]).stdout);
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn an_app_starts_exactly_when_its_data_is_right() {
    let rig = Rig::with(Init::Sysv);
    rig.install();
    rig.disk(&disk(&rig), 64 << 20, "ext4");
    rig.write("/etc/init.d/shop", 0o755, SHOP);
    rig.run(&["update-rc.d", "shop", "defaults"]).ok();
    let mut rig = rig.up();
    rig.write("/etc/datastore.d/shop.conf", 0o644, CONFIGLET);
    shell(&rig, "datastore init --host server1 --device DISK --yes; datastore apply --yes; echo 42 > /srv/shop/till");
    for (name, spoil, words, mend) in CONDITIONS {
        rig.reboot();
        comes_up(&rig, &format!("before {name}"));
        shell(&rig, "rm -f /srv/shop/trace; cp /etc/fstab /etc/fstab.good; service shop stop");
        shell(&rig, spoil);
        rig.reboot();
        // The end of the boot was reached, or this would not be.
        if words == "UP" {
            comes_up(&rig, name);
            continue;
        }
        assert!(!rig.path("/run/shop").exists() && !is_up(&rig), "{name}: it runs");
        let traces = shell(&rig, "find /srv /store -name trace");
        assert_eq!(traces, "", "{name}: it has run");
        if !words.is_empty() {
            let told = shell(&rig, "datastore alarm list; datastore status || true");
            assert!(told.contains(words), "{name}: {words:?} is not in {told}");
        }
        shell(&rig, mend);
        comes_up(&rig, &format!("{name}, mended"));
    }
    // The watcher runs, and sees what goes.
    shell(&rig, "umount -l /srv/shop");
    let end = Instant::now() + PATIENCE;
    while !shell(&rig, "datastore alarm list").contains("shop") {
        assert!(Instant::now() < end, "nobody was told: {}", shell(&rig, "pgrep -a datastore || true"));
        std::thread::sleep(Duration::from_millis(100));
    }
}
