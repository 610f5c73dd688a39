//! By rpm, into a small system that has no database of packages yet.

use std::fs;
use std::process::Command;

use datastore_tests::{Rig, binary};

use super::machine::{configlet, run, script};

/// A package with a configlet, as anybody would make it.
const SPEC: &str = "Name: shop\nVersion: 1\nRelease: 1\nSummary: A shop\nLicense: MIT\nBuildArch: noarch\n%description\nA shop.\n\
                    %install\nmkdir -p %{buildroot}/etc/datastore.d\ncp CONFIGLET %{buildroot}/etc/datastore.d/shop.conf\n\
                    %post\nSCRIPT\n%files\n%config(noreplace) /etc/datastore.d/shop.conf\n";

/// Packs it.
fn shop(rig: &Rig) {
    rig.write("/packages/shop.conf", 0o644, &configlet("shop"));
    let user = script("shop");
    let user = user.lines().last().expect("a line");
    let text =
        SPEC.replace("CONFIGLET", &rig.path("/packages/shop.conf").display().to_string()).replace("SCRIPT", user);
    rig.write("/packages/shop.spec", 0o644, &text);
    let room = rig.path("/packages/room").display().to_string();
    run(Command::new("rpmbuild")
        .args(["-bb", "--quiet", "--define", &format!("_topdir {room}")])
        .arg(rig.path("/packages/shop.spec")));
    fs::rename(rig.path("/packages/room/RPMS/noarch/shop-1-1.noarch.rpm"), rig.path("/packages/shop.rpm"))
        .expect("the package");
}

#[test]
fn from_the_first_installation_to_the_last() {
    let rig = Rig::new();
    fs::remove_file(rig.path("/usr/local/bin/datastore")).expect("a command of this build");
    fs::create_dir(rig.path("/packages")).expect("make a directory");
    for name in ["datastore", "libdatastore0"] {
        fs::copy(binary::package(name, "rpm"), rig.path(format!("/packages/{name}.rpm"))).expect("copy a package");
    }
    shop(&rig);
    // rpm is that of this machine, and works on the system from outside; what it starts has that system as its root.
    let root = rig.path("/").display().to_string();
    let story = "exec 2>&1
        part() { echo \"== $1\"; shift; \"$@\"; echo \"exit $?\"; }
        in_it() { PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot ROOT \"$@\"; }
        rpm_() { rpm --root ROOT --dbpath=/var/lib/rpm \"$@\"; }
        mount -t proc proc ROOT/proc; mount --rbind /dev ROOT/dev; mkdir ROOT/srv/disk; mount -t tmpfs disk ROOT/srv/disk
        part install rpm_ --nodeps -i ROOT/packages/datastore.rpm ROOT/packages/libdatastore0.rpm
        part verify rpm_ -V --nodeps datastore libdatastore0
        part enabled ls ROOT/etc/systemd/system/multi-user.target.wants
        part init in_it datastore init --host server1 --directory /srv/disk --yes
        part package rpm_ --nodeps -i ROOT/packages/shop.rpm
        part state in_it datastore status shop
        echo 42 > ROOT/srv/shop/till
        part again rpm_ --nodeps -U --replacepkgs ROOT/packages/datastore.rpm
        part remove rpm_ -e --nodeps datastore
        part till cat ROOT/srv/shop/till
        part fstab grep -c X-datastore=shop ROOT/etc/fstab
        part config ls ROOT/etc/datastore.conf ROOT/etc/datastore.d
        part gone ls ROOT/usr/lib/datastore
        part disabled find ROOT/etc/systemd -name 'datastore*'
        umount ROOT/srv/shop
        part back rpm_ --nodeps -i ROOT/packages/datastore.rpm
        part 'back, state' in_it datastore status shop
        part 'back, till' cat ROOT/srv/shop/till
        part 'the other goes' rpm_ --nodeps -e shop
        part 'still bound' findmnt -n ROOT/srv/shop
        echo '== end'"
        .replace("ROOT", root.trim_end_matches('/'));
    let said = run(Command::new("unshare").args(["--mount", "--propagation", "private", "--", "sh", "-c", &story]));
    let of = |title: &str| {
        let from = said.find(&format!("== {title}\n")).unwrap_or_else(|| panic!("no {title} in {said}"));
        let rest = &said[from + title.len() + 4..];
        rest[..rest.find("== ").unwrap_or(rest.len())].to_owned()
    };
    for title in [
        "install",
        "init",
        "package",
        "again",
        "remove",
        "back",
        "the other goes",
        "still bound",
        "state",
        "back, state",
    ] {
        assert!(of(title).ends_with("exit 0\n"), "{title}: {}\n{said}", of(title));
    }
    assert_eq!(of("verify"), "exit 0\n");
    assert!(
        of("enabled")
            .contains("datastore-apply.path\ndatastore-clearos.path\ndatastore-watch.service\ndatastore.service\n"),
        "{said}"
    );
    // The file trigger, after the user was made.
    for title in ["state", "back, state"] {
        assert!(of(title).contains("active"), "{title}: {said}");
    }
    let removed = of("remove");
    assert!(removed.contains("all data stays in the store") && removed.contains("datastore disable APP"), "{removed}");
    assert_eq!(of("till"), "42\nexit 0\n");
    assert_eq!(of("fstab"), "1\nexit 0\n");
    assert!(of("config").contains("/etc/datastore.conf\n") && of("config").contains("shop.conf\n"), "{}", of("config"));
    assert!(of("gone").contains("exit 2") && of("disabled") == "exit 0\n", "{said}");
    assert_eq!(of("back, till"), "42\nexit 0\n");
}

#[test]
fn what_is_in_it_lies_where_such_systems_look() {
    let list = |name: &str| run(Command::new("rpm").args(["-qpl"]).arg(binary::package(name, "rpm")));
    for (name, paths) in [
        (
            "datastore",
            &[
                "/usr/sbin/datastore",
                "/etc/rc.d/init.d/datastore",
                "/etc/datastore.d",
                "/usr/share/man/man8/datastore.8.gz",
            ][..],
        ),
        ("libdatastore0", &["/usr/lib64/libdatastore.so.0"]),
        (
            "libdatastore-dev",
            &["/usr/lib64/libdatastore.so", "/usr/lib64/pkgconfig/datastore.pc", "/usr/include/datastore.h"],
        ),
        ("php-datastore", &["/usr/lib64/php/modules/datastore.so", "/etc/php.d/20-datastore.ini"]),
        ("datastore-webconfig", &["/usr/clearos/apps/datastore/deploy/info.php", "/etc/sudoers.d/datastore-webconfig"]),
        ("datastore-webconfig", &["/usr/sbin/storage", "/etc/rc.d/init.d/storage"]),
    ] {
        let found = list(name);
        for path in paths {
            assert!(found.lines().any(|line| line == *path), "{path} in {found}");
        }
    }
    // The configuration is nobody's, so that it stays.
    assert!(!list("datastore").contains("/etc/datastore.conf"));
    let triggers = run(Command::new("rpm").args(["-qp", "--filetriggers"]).arg(binary::package("datastore", "rpm")));
    assert!(
        triggers.contains("transfiletriggerin scriptlet (using /bin/sh) -- /etc/clearos/storage.d, /etc/datastore.d"),
        "{triggers}"
    );
    let changes = run(Command::new("rpm")
        .args(["-qp", "--provides", "--conflicts"])
        .arg(binary::package("datastore-webconfig", "rpm")));
    // Whatever version of it a machine has, both have the same files.
    assert_eq!(changes.matches("app-storage-core").count(), 2, "{changes}");
    assert!(changes.contains("app-storage-core = 1:") && changes.contains("app-storage-core\n"), "{changes}");
}
