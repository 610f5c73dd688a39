//! What ClearOS's scripts know of app-storage goes on working: its directory of configlets, its command, and the name of its init script.

use datastore_tests::Rig;

use super::machine::{INSTALL, becomes, furnish};
use super::plain::{INIT, tell};
use super::running::{is, machine, shell};

/// A configlet as ClearOS's apps bring one, and what it stands on.
const GLOBALS: &str = "<?php\n$config['base'] = '/store/data0';\n$config['enabled'] = TRUE;\n";
const SHARES: &str = "<?php\n$storage['/srv/shares']['base'] = $base;\n$storage['/srv/shares']['directory'] = 'flexshare/shares';\n\
                      $storage['/srv/shares']['permissions'] = '0755';\n$storage['/srv/shares']['owner'] = 'root';\n\
                      $storage['/srv/shares']['group'] = 'root';\n";
const DIRECTORY: &str = "/etc/clearos/storage.d";
/// The small system has no PHP and no sudo.
const WEBCONFIG: &str =
    "dpkg --force-depends -i /packages/libdatastore0.deb /packages/php-datastore.deb /packages/datastore-webconfig.deb";

#[test]
fn configlets_of_clearos_are_bound_as_they_come() {
    let mut rig = machine();
    // Without the directory nothing is watched: systemd would watch /etc, and lose what comes.
    is(&rig, "is-enabled", "datastore-clearos.path", "enabled");
    is(&rig, "is-active", "datastore-clearos.path", "inactive");
    assert_eq!(shell(&rig, "systemctl --failed --no-legend"), "");
    shell(&rig, &format!("mkdir -p {DIRECTORY}"));
    rig.write("/etc/clearos/storage.conf", 0o644, GLOBALS);
    rig.reboot();
    is(&rig, "is-active", "datastore-clearos.path", "active");
    rig.write("/root/shares.conf", 0o644, SHARES);
    shell(&rig, &format!("cp /root/shares.conf {DIRECTORY}/shares_default.conf"));
    becomes(&rig, "shares", "active");
    assert_eq!(shell(&rig, "findmnt -n -o FSROOT /srv/shares"), "/flexshare/shares\n");
    shell(&rig, &format!("sed s,shares,again,g /root/shares.conf > {DIRECTORY}/again_default.conf"));
    becomes(&rig, "again", "active");
}

#[test]
fn systemd_knows_the_name_of_its_service() {
    let rig = machine();
    shell(&rig, WEBCONFIG);
    // One unit with two names runs once.
    let unit = "service storage start; systemctl show -p Id -p ActiveState storage.service";
    assert_eq!(shell(&rig, unit), "Id=datastore.service\nActiveState=active\n");
    assert_eq!(shell(&rig, "systemctl list-units --all --no-legend 'storage*'"), "");
    rig.write("/etc/datastore.d/shop.conf", 0o644, "[mapping.\"/srv/shop\"]\ntarget = \"%{base}/shop\"\n");
    becomes(&rig, "shop", "active");
    for line in ["service storage restart", "systemctl stop storage; service storage start", "storage"] {
        shell(&rig, "umount /srv/shop");
        becomes(&rig, "shop", "pending");
        shell(&rig, line);
        assert_eq!(shell(&rig, "findmnt -n -o TARGET /srv/shop"), "/srv/shop\n", "{line}");
    }
    shell(&rig, "service storage status");
    // Alarms go to ClearOS's events where its program is.
    rig.write("/usr/bin/eventsctl", 0o755, "#!/bin/sh\necho \"$*\" >> /root/events\n");
    let said = shell(&rig, "datastore alarm test; cat /root/events");
    assert!(
        said.contains("sent    events (/usr/bin/eventsctl)") && said.contains("-s -t DATASTORE_ALARM -l NORM"),
        "{said}"
    );
    // What is ordered after it is ordered after ours.
    rig.write("/etc/systemd/system/till.service", 0o644, "[Unit]\nAfter=storage.service\n[Service]\nExecStart=true\n");
    let after = shell(&rig, "systemctl daemon-reload; systemctl show -p After --value till");
    assert!(after.split_whitespace().any(|unit| unit == "datastore.service"), "{after}");
}

#[test]
fn init_scripts_know_the_name_of_its_script() {
    let rig = Rig::new();
    furnish(&rig);
    rig.write("/root/storage.conf", 0o644, GLOBALS);
    rig.write("/root/shares.conf", 0o644, SHARES);
    let story = format!(
        "{INSTALL} > /dev/null; {WEBCONFIG} > /dev/null 2>&1
        part 'no store yet' service storage start
        {INIT} > /dev/null
        mkdir -p {DIRECTORY}; cp /root/storage.conf /etc/clearos/; cp /root/shares.conf {DIRECTORY}/shares_default.conf
        part command storage
        part bound findmnt -n -o TARGET /srv/shares
        umount /srv/shares
        part script service storage start
        part 'bound again' findmnt -n -o TARGET /srv/shares
        part status service storage status
        part usage service storage nonsense
        service storage stop > /dev/null
        part 'at a boot' sh -c 'ls /etc/rc?.d | grep -c storage'
        part removed sh -c 'dpkg -P datastore-webconfig > /dev/null; ls /etc/init.d/storage /usr/sbin/storage'"
    );
    let said = tell(&rig, &story);
    for title in ["no store yet", "command", "script"] {
        assert!(said(title).ends_with("exit 0\n"), "{title}: {}", said(title));
    }
    for title in ["bound", "bound again"] {
        assert_eq!(said(title), "/srv/shares\nexit 0\n", "{title}");
    }
    assert!(said("status").contains("active"), "{}", said("status"));
    assert!(said("usage").contains("exit 2"), "{}", said("usage"));
    // The one that is called `datastore` runs at a boot, and that is enough.
    assert_eq!(said("at a boot"), "0\nexit 1\n");
    assert!(said("removed").contains("exit 2"), "{}", said("removed"));
}
