//! What is in the packages, and what lintian and rpmlint say of them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use datastore_tests::{Rig, binary, repository};

use super::machine::{files, furnish, run, unpacked};

const PACKAGES: [&str; 5] = ["datastore", "libdatastore0", "libdatastore-dev", "php-datastore", "datastore-webconfig"];

#[test]
fn everything_that_is_installed_is_in_one_package() {
    let mut owners: BTreeMap<PathBuf, Vec<&str>> = BTreeMap::new();
    for name in PACKAGES {
        let (_dir, tree) = unpacked(name);
        for file in files(&tree) {
            owners.entry(file).or_default().push(name);
        }
    }
    assert_eq!(owners.iter().find(|(_, names)| names.len() > 1), None);
    for file in files(&binary::installed()) {
        let zipped = PathBuf::from(format!("{}.gz", file.display()));
        assert!(owners.contains_key(&file) || owners.contains_key(&zipped), "{} is in no package", file.display());
    }
    for (path, name) in [
        ("/usr/sbin/datastore", "datastore"),
        ("/usr/lib/systemd/system-generators/datastore-generator", "datastore"),
        ("/usr/lib/systemd/system/datastore-apply.path", "datastore"),
        ("/usr/lib/systemd/system/datastore-clearos.path", "datastore"),
        ("/etc/init.d/datastore", "datastore"),
        ("/usr/share/man/man8/datastore.8.gz", "datastore"),
        ("/usr/share/datastore/datastore.conf", "datastore"),
        ("/usr/lib/x86_64-linux-gnu/libdatastore.so.0", "libdatastore0"),
        ("/usr/include/datastore.h", "libdatastore-dev"),
        ("/usr/lib/php/20220829/datastore.so", "php-datastore"),
        ("/usr/sbin/datastore-webconfig", "datastore-webconfig"),
        ("/usr/sbin/storage", "datastore-webconfig"),
        ("/usr/lib/systemd/system/storage.service", "datastore-webconfig"),
        ("/etc/init.d/storage", "datastore-webconfig"),
        ("/usr/clearos/apps/datastore/deploy/info.php", "datastore-webconfig"),
        ("/usr/share/datastore-web/standin/index.php", "datastore-webconfig"),
    ] {
        assert_eq!(owners.get(Path::new(path)), Some(&vec![name]), "{path}");
    }
}

#[test]
fn what_an_administrator_may_change_is_kept_by_dpkg() {
    let listed = |name: &str| {
        let (_dir, tree) = unpacked(name);
        fs::read_to_string(tree.join("DEBIAN/conffiles")).unwrap_or_default()
    };
    // The configuration is written by `init`, and is nobody's: it stays until somebody says otherwise.
    assert_eq!(listed("datastore"), "/etc/init.d/datastore\n");
    assert_eq!(listed("php-datastore"), "/etc/php/8.2/mods-available/datastore.ini\n");
    assert_eq!(listed("datastore-webconfig"), "/etc/init.d/storage\n/etc/sudoers.d/datastore-webconfig\n");
    assert_eq!(listed("libdatastore0"), "");
    let (_dir, tree) = unpacked("datastore-webconfig");
    let sudoers = tree.join("etc/sudoers.d/datastore-webconfig");
    assert_eq!(fs::metadata(&sudoers).expect("sudoers").permissions().mode() & 0o7777, 0o440);
    run(Command::new("visudo").args(["-c", "-f"]).arg(&sudoers));
}

/// What an init script says of itself to insserv, and to chkconfig where that reads it too.
fn header(text: &str) -> BTreeMap<&str, &str> {
    let (_, rest) = text.split_once("### BEGIN INIT INFO\n").expect("a header");
    let (block, _) = rest.split_once("### END INIT INFO\n").expect("the end of the header");
    let lines = block.lines().map(|line| line.strip_prefix("# ").expect("a comment"));
    lines.filter_map(|line| line.split_once(':')).map(|(key, value)| (key, value.trim())).collect()
}

#[test]
fn init_scripts_say_when_they_run_in_the_words_of_both_systems() {
    let read =
        |name: &str| fs::read_to_string(binary::installed().join("etc/init.d").join(name)).expect("an init script");
    let words =
        ["Required-Start", "Required-Stop", "Default-Start", "Default-Stop", "Short-Description", "Description"];
    for name in ["datastore", "storage"] {
        let text = read(name);
        let said = header(&text);
        assert_eq!(said.get("Provides"), Some(&name));
        assert!(words.iter().all(|word| said.contains_key(word)), "{name}: {said:?}");
        assert!(said["Required-Start"].split(' ').any(|word| word == "$local_fs"), "{name}: {said:?}");
        assert!(!said["Short-Description"].is_empty() && !said["Description"].is_empty(), "{name}: {said:?}");
    }
    let text = read("datastore");
    let tagged = |tag: &str| text.lines().find_map(|line| line.strip_prefix(tag)).expect("a line for chkconfig").trim();
    let chkconfig: Vec<&str> = tagged("# chkconfig:").split(' ').collect();
    assert!(!tagged("# description:").is_empty());
    // chkconfig takes levels from the header only if they are numbers, and then adds them to those of its own line.
    assert_eq!((chkconfig[0], header(&text)["Default-Start"]), ("2345", "S"));
    let (start, stop): (u32, u32) = (chkconfig[1].parse().expect("a number"), chkconfig[2].parse().expect("a number"));
    // Before the services, which ClearOS's own was at 26; the last to go that was the first to come.
    assert!(chkconfig.len() == 3 && start < 26 && start + stop == 100, "{chkconfig:?}");
    // The other name is in no runlevel, so nothing runs twice.
    let other = read("storage");
    assert!(!other.contains("chkconfig:") && header(&other)["Default-Start"].is_empty(), "{other}");
    assert!(header(&other)["Required-Start"].ends_with(" datastore"), "{other}");
}

#[test]
fn the_others_are_installed_too() {
    let rig = Rig::new();
    furnish(&rig);
    // The small system has no PHP and no sudo. What PHP's own packages call is noted.
    rig.write("/usr/lib/php/php-maintscript-helper", 0o644, "php_invoke() { echo \"php_invoke $*\"; }\n");
    let story = "exec 2>&1
        cd /packages; dpkg -i libdatastore0.deb libdatastore-dev.deb datastore.deb
        dpkg --force-depends -i php-datastore.deb datastore-webconfig.deb
        ldconfig -p | grep libdatastore.so.0
        dpkg --verify datastore libdatastore0 libdatastore-dev php-datastore datastore-webconfig
        datastore-webconfig nonsense || echo \"exit $?\"
        ls /usr/share/datastore-web/apps/datastore/
        dpkg -P datastore-webconfig php-datastore
        find / -xdev -path '*datastore-web*' -not -path '/packages/*'";
    let said = rig.run(&["sh", "-ec", story]).ok().stdout;
    for words in [
        "php_invoke enmod 8.2 ALL datastore",
        "php_invoke dismod 8.2 ALL datastore",
        "libdatastore.so.0 (libc6,x86-64)",
        "this command line is not let through",
        "exit 2",
        "controllers",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    assert!(!said.contains("??5") && !said.contains("missing "), "{said}");
    assert!(!said.contains("\n/usr/share/datastore-web"), "{said}");
}

#[test]
fn lintian_and_rpmlint_have_nothing_to_say() {
    let of_kind = |kind: &str| PACKAGES.map(|name| binary::package(name, kind));
    run(Command::new("lintian").args(["--fail-on", "error,warning", "--allow-root", "--no-cfg"]).args(of_kind("deb")));
    run(Command::new("rpmlint")
        .arg("--strict")
        .arg("-c")
        .arg(repository("packaging/rpm/rpmlint.toml"))
        .args(of_kind("rpm")));
}

#[test]
fn whatever_they_may_not_say_has_a_reason() {
    let mut files: Vec<PathBuf> = fs::read_dir(repository("packaging/deb"))
        .expect("packaging/deb")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|e| e == "lintian-overrides"))
        .collect();
    assert_eq!(files.len(), PACKAGES.len());
    files.push(repository("packaging/rpm/rpmlint.toml"));
    for file in files {
        let text = fs::read_to_string(&file).expect("a file of overrides");
        // In the file of rpmlint, those of the list alone.
        let list =
            text.split_once("Filters = [\n").map_or(text.as_str(), |(_, list)| list.trim_end().trim_end_matches(']'));
        let mut reason = false;
        for line in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let is_reason = line.starts_with("# ");
            assert!(is_reason || reason, "{}: `{line}` has no reason above it", file.display());
            reason = is_reason;
        }
    }
}
