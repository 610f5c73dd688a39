//! Init scripts, where systemd does not run.

use datastore_tests::Rig;

use super::CONFIGLET;

/// A script as Debian's are. What it does when it is asked to start is all that it does.
const SCRIPT: &str = "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: shop\n### END INIT INFO\n. /lib/lsb/init-functions\n\
                      case \"$1\" in start|restart) echo \"$1: it runs\" ;; stop) echo \"it is down\" ;; status) exit 3 ;; esac\n";

#[test]
fn a_script_asks_before_it_starts_anything() {
    let rig = Rig::new();
    rig.install();
    rig.write("/etc/init.d/shop", 0o755, SCRIPT);
    rig.write("/etc/init.d/other", 0o755, SCRIPT);
    rig.write("/etc/datastore.d/shop.conf", 0o644, CONFIGLET);
    // All in one go: what is mounted in the system ends with its first process.
    let story = "ln -s ../init.d/shop /etc/rc2.d/S03shop
        case_() { echo \"== $1\"; shift; \"$@\"; echo \"exit $?\"; }
        case_ 'before there is a store' service datastore start
        mkdir /srv/disk; mount -t tmpfs disk /srv/disk
        datastore init --host server1 --directory /srv/disk --yes > /dev/null
        case_ 'not bound yet' service shop start
        case_ 'datastore starts' service datastore start
        watches() { timeout 20 sh -c \"until [ \\$(pgrep -xfc '/usr/sbin/datastore watch') = $1 ]; do sleep 0.1; done\"; }
        case_ 'it watches' watches 1
        case_ 'bound' service shop start
        case_ 'a restart' service shop restart
        umount /srv/shop
        case_ 'the bind is missing' service shop start
        case_ 'the bind is missing, at a boot' /etc/rc2.d/S03shop start
        case_ 'the bind is missing, at a restart' service shop restart
        case_ 'what is down may go down' service shop stop
        case_ 'it minds no other service' service other start
        case_ 'datastore starts again' service datastore start
        case_ 'mended' service shop start
        cp /etc/datastore.d/shop.conf /away; echo 'services = [' > /etc/datastore.d/shop.conf
        case_ 'the configlet cannot be understood' service shop start
        case_ 'datastore is refused something, and goes on' service datastore start
        mv /away /etc/datastore.d/shop.conf
        mv /etc/datastore.conf /away
        case_ 'there is no configuration' service shop start
        mv /away /etc/datastore.conf
        mv /usr/sbin/datastore /away
        case_ 'the command has gone' service shop start
        case_ 'the command has gone, and another service' service other start
        mv /away /usr/sbin/datastore
        case_ 'at last' service shop start
        case_ 'one watches' watches 1
        case_ 'datastore stops' service datastore stop
        case_ 'nobody watches' watches 0
        case_ 'wrong usage' /etc/init.d/datastore reboot";
    let said = rig.run(&["sh", "-c", &format!("exec 2>&1; {story}")]).stdout;
    let of = |title: &str| {
        let from = said.find(&format!("== {title}\n")).unwrap_or_else(|| panic!("no {title} in {said}"));
        let rest = &said[from..];
        &rest[..rest[3..].find("\n== ").map_or(rest.len(), |end| end + 3)]
    };
    let runs = [
        "bound",
        "a restart",
        "it minds no other service",
        "mended",
        "the command has gone, and another service",
        "at last",
    ];
    for title in runs {
        assert!(of(title).contains(": it runs\nexit 0"), "{title} in {said}");
    }
    let refused = [
        ("not bound yet", "`shop` must not start: /srv/shop: it is pending"),
        ("the bind is missing", "`shop` must not start: /srv/shop: it is pending"),
        ("the bind is missing, at a boot", "`shop` must not start: /srv/shop: it is pending"),
        ("the bind is missing, at a restart", "`shop` must not start: /srv/shop: it is pending"),
        ("the configlet cannot be understood", "`shop` must not start: /etc/datastore.d/shop.conf:1:13"),
        ("there is no configuration", "there is no /etc/datastore.conf"),
        ("the command has gone", "shop must not start: /usr/sbin/datastore is not there"),
    ];
    for (title, words) in refused {
        let part = of(title);
        assert!(part.contains(words) && part.contains("\nexit 1") && !part.contains("it runs"), "{title} in {said}");
    }
    let goes_on = [
        "before there is a store",
        "datastore starts",
        "datastore starts again",
        "datastore is refused something, and goes on",
        "it watches",
        "one watches",
        "datastore stops",
        "nobody watches",
    ];
    for title in goes_on {
        assert!(of(title).contains("exit 0"), "{title} in {said}");
    }
    assert!(of("what is down may go down").contains("it is down\nexit 0"), "{said}");
    assert!(of("wrong usage").contains("exit 2"), "{said}");
}
