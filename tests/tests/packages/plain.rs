//! Where systemd does not run: dpkg's trigger alone does it.

use datastore_tests::Rig;

use super::machine::{INSTALL, furnish, newer};

/// Runs a story in one go, since what is mounted ends with it; gives what each part says.
pub(super) fn tell(rig: &Rig, story: &str) -> impl Fn(&str) -> String {
    let begin = "part() { echo \"== $1\"; shift; \"$@\"; echo \"exit $?\"; }
        DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND
        mkdir /srv/disk; mount -t tmpfs disk /srv/disk
        mkdir -p /dev/pts; mount -t devpts -o ptmxmode=0666 devpts /dev/pts; ln -sf pts/ptmx /dev/ptmx
        [ -c /dev/tty ] || mknod /dev/tty c 5 0";
    let said = rig.run(&["sh", "-c", &format!("exec 2>&1; {begin}\n{story}\necho '== end'")]).ok().stdout;
    move |title: &str| {
        let from = said.find(&format!("== {title}\n")).unwrap_or_else(|| panic!("no {title} in {said}"));
        let rest = &said[from + title.len() + 4..];
        rest[..rest.find("== ").unwrap_or(rest.len())].to_owned()
    }
}

pub(super) const INIT: &str = "datastore init --host server1 --directory /srv/disk --yes";
const STATE: &str = "datastore status shop";

fn rig() -> Rig {
    let rig = Rig::new();
    furnish(&rig);
    rig
}

#[test]
fn from_the_first_installation_to_the_purge() {
    let rig = rig();
    newer(&rig);
    let story = format!(
        "part install {INSTALL}
        part links sh -c 'ls /etc/rcS.d | grep datastore'
        part init {INIT}
        part package dpkg -i /packages/shop.deb
        part state {STATE}
        echo 42 > /srv/shop/till
        part gone dpkg -r shop
        part newer dpkg -i /packages/newer.deb
        part again dpkg -i /packages/shop.deb
        part 'again, state' {STATE}
        part remove dpkg -r datastore
        part 'init script' /etc/init.d/datastore start
        part till cat /srv/shop/till
        part fstab grep -c X-datastore=shop /etc/fstab
        part 'bound' findmnt -n -o TARGET /srv/shop
        umount /srv/shop
        part reinstall {INSTALL}
        part 'reinstall, state' {STATE}
        part 'reinstall, till' cat /srv/shop/till
        mv /usr/share/debconf/confmodule /away
        part 'purge, nobody is asked' dpkg -P datastore
        part kept ls -d /etc/datastore.conf /var/lib/datastore
        part 'after that' {INSTALL}
        unset DEBIAN_FRONTEND
        part 'purge, no' sh -c 'echo n | script -qec \"dpkg -P datastore\" /dev/null'
        part 'still kept' ls -d /etc/datastore.conf /var/lib/datastore
        part 'at last' {INSTALL}
        part 'purge, yes' sh -c 'echo y | script -qec \"dpkg -P datastore\" /dev/null'
        part forgotten ls -d /etc/datastore.conf /var/lib/datastore
        part data cat /srv/shop/till /store/data0/live/server1/shop/till
        part 'last fstab' grep -c X-datastore=shop /etc/fstab
        part 'last links' find /etc/rcS.d /etc/rc2.d /etc/init.d -name '*datastore*'"
    );
    let said = tell(&rig, &story);
    let ends_well = ["install", "init", "package", "state", "gone", "newer", "again", "again, state", "remove"];
    for title in ends_well.into_iter().chain(["init script", "reinstall", "reinstall, state", "after that", "at last"])
    {
        assert!(said(title).ends_with("exit 0\n"), "{title}: {}", said(title));
    }
    assert!(said("links").starts_with('S'), "{}", said("links"));
    // The user was made by the package's own script, after its files were there.
    assert!(said("package").contains("Processing triggers for datastore"), "{}", said("package"));
    for title in ["state", "again, state", "reinstall, state"] {
        assert!(said(title).contains("active"), "{title}: {}", said(title));
    }
    assert!(said("remove").contains("all data stays in the store"), "{}", said("remove"));
    let still = [
        ("till", "42\nexit 0\n"),
        ("fstab", "1\nexit 0\n"),
        ("bound", "/srv/shop\nexit 0\n"),
        ("reinstall, till", "42\nexit 0\n"),
        ("kept", "/etc/datastore.conf\n/var/lib/datastore\nexit 0\n"),
        ("still kept", "/etc/datastore.conf\n/var/lib/datastore\nexit 0\n"),
        ("data", "42\n42\nexit 0\n"),
        ("last fstab", "1\nexit 0\n"),
        ("last links", "exit 0\n"),
    ];
    for (title, wanted) in still {
        assert_eq!(said(title), wanted, "{title}");
    }
    assert!(said("forgotten").contains("exit 2"), "{}", said("forgotten"));
    assert!(said("purge, nobody is asked").contains("are kept"), "{}", said("purge, nobody is asked"));
    for (title, words) in [("purge, no", "are kept"), ("purge, yes", "are gone")] {
        assert!(said(title).contains("[y/N]") && said(title).contains(words), "{title}: {}", said(title));
    }
}

#[test]
fn an_installation_never_fails_because_of_data() {
    let rig = rig();
    let story = format!(
        "{INSTALL} > /dev/null
        part 'no store yet' dpkg -i /packages/till.deb
        {INIT} > /dev/null
        mkdir -p /srv/shop; echo mine > /srv/shop/file
        part 'data in the way' dpkg -i /packages/shop.deb
        part 'mine' cat /srv/shop/file
        part 'the other one' datastore status till
        dpkg -P shop till > /dev/null
        printf 'host = [\\n' > /etc/datastore.conf
        part 'no configuration that can be read' dpkg -i /packages/till.deb
        part 'states' dpkg-query -W -f '${{Package}} ${{Status}}\\n' datastore till
        printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d
        part 'an image' dpkg -i /packages/shop.deb"
    );
    let said = tell(&rig, &story);
    for title in ["no store yet", "data in the way", "no configuration that can be read", "an image"] {
        assert!(said(title).ends_with("exit 0\n"), "{title}: {}", said(title));
    }
    let way = said("data in the way");
    assert!(way.contains("mount-point-not-empty") && way.contains("hint: "), "{way}");
    assert_eq!(said("mine"), "mine\nexit 0\n");
    assert!(said("the other one").contains("active"), "{}", said("the other one"));
    let broken = said("no configuration that can be read");
    assert!(broken.contains("hint: datastore"), "{broken}");
    assert_eq!(said("states"), "datastore install ok installed\ntill install ok installed\nexit 0\n");
    assert!(said("an image").contains("nothing is bound"), "{}", said("an image"));
}
