//! Bad input: a clear error, and nothing is changed. One bad configlet never stops the others.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

use datastore_tests::rows::text;
use datastore_tests::{Sandbox, Snapshot, skeleton};
use serde_json::Value;

const FINE: &str = "[mapping.\"/var/fine\"]\ntarget = \"%{base}/fine\"\n";
const SHOP: &str = "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n";

/// Applies with a bad configlet `shop` beside a good one: the bad one is refused for this reason with this text, the good one is active.
#[track_caller]
fn only_shop_is_refused(sandbox: &Sandbox, what: &str, reason: &str, says: &str) {
    let run = sandbox.datastore(&["apply", "--yes", "--json"]).code(3);
    let report = run.json();
    let notes = report["notes"].as_array().unwrap();
    let of_shop: Vec<&Value> = notes.iter().filter(|n| n["app"] == "shop").collect();
    assert!(!of_shop.is_empty(), "{what}: {report:#}");
    for note in of_shop {
        assert_eq!((&note["state"], &note["reason"]), (&"refused".into(), &reason.into()), "{what}: {note:#}");
        let told = format!("{} {}", text(&note["detail"]), text(&note["hint"]));
        assert!(told.contains(says), "{what}: {says:?} was wanted: {note:#}");
        assert!(!text(&note["hint"]).is_empty(), "{what}: {note:#}");
    }
    sandbox.is("/var/fine", "active");
    assert!(!sandbox.exists("/var/shop") && !sandbox.exists("/store/data0/live/server1/shop"), "{what}");
    assert_eq!(sandbox.our_lines().len(), 1, "{what}");
    assert_eq!(sandbox.mountinfo().len(), 1, "{what}");
    assert_eq!(sandbox.foreign_lines(), skeleton::FSTAB, "{what}");
    // The second time there is nothing left to do but to refuse.
    let before = Snapshot::of(sandbox);
    sandbox.datastore(&["apply", "--yes"]).code(3);
    before.assert_unchanged(sandbox, what);
}

#[test]
fn a_configlet_that_cannot_be_understood_is_refused_alone() {
    let shop = |from: &str, to: &str| SHOP.replace(from, to);
    let with = |line: &str| format!("{SHOP}{line}\n");
    let cases: Vec<(&str, String, &str)> = vec![
        ("no TOML", "this is [not toml\n".into(), "shop.conf:1:"),
        ("an unknown key", with("ownr = \"root\""), "shop.conf:3:1"),
        ("an unknown expansion", shop("%{base}", "%{bsae}"), "bsae"),
        ("a mode that is too large", with("permissions = \"77777\""), "77777"),
        ("a mode that is no number", with("permissions = \"rwxr-xr-x\""), "rwxr-xr-x"),
        ("a mode as a number", with("permissions = 755"), "shop.conf:3:"),
        ("a name of a user that is none", with("owner = \"ro:ot\""), "shop.conf:3:9"),
        ("an unknown option", with("options = [\"nosiud\"]"), "nosiud"),
        ("an unknown volume name", with("volume = \"../data\""), "../data"),
        ("a relative mount point", shop("/var/shop", "var/shop"), "shop.conf:1:"),
        ("a mount point with ..", shop("/var/shop", "/var/lib/../shop"), "`..`"),
        ("a target with ..", shop("%{base}/shop", "%{base}/../shop"), "`..`"),
        ("a relative target", shop("%{base}/shop", "shop"), "shop.conf:2:"),
        ("a target on no volume", shop("%{base}/shop", "/srv/shop"), "lies on no volume"),
        ("a target beside the base", shop("%{base}/shop", "/store/data0/backup/shop"), "not below"),
        ("a target in our own directory", shop("%{base}/shop", "%{base}/.datastore/x"), "not below"),
        ("no target", shop("target", "targets"), "target"),
        ("a newline in a path", shop("/var/shop", "/var/sh\\nop"), "control"),
        ("a NUL in a path", shop("/var/shop", "/var/sh\\u0000op"), "control"),
        ("an escape sequence in a target", shop("%{base}/shop", "%{base}/sh\\u001bop"), "control"),
        ("one mount point twice", format!("{SHOP}{SHOP}"), "shop.conf:3:"),
        ("a mapping that is no table", "mapping = 3\n".into(), "shop.conf:1:"),
        (
            "PHP that must be executed",
            "<?php\n$mapping['/var/shop']['target'] = system('id');\n".into(),
            "shop.conf:2:",
        ),
    ];
    for (what, configlet, says) in cases {
        let sandbox = Sandbox::initialised();
        sandbox.configlet("fine", FINE);
        sandbox.configlet("shop", &configlet);
        // All that is wrong, each with its place, the line itself, and what to do.
        let check = sandbox.datastore(&["config", "check", "--json"]).code(3).json();
        let found = check["diagnostics"].as_array().unwrap();
        assert!(check["errors"].as_u64().unwrap() >= 1 && !found.is_empty(), "{what}: {check:#}");
        for diagnostic in found {
            assert_eq!(diagnostic["file"], "/etc/datastore.d/shop.conf", "{what}: {diagnostic:#}");
            assert!(
                diagnostic["line"].as_u64() >= Some(1) && diagnostic["column"].as_u64() >= Some(1),
                "{diagnostic:#}"
            );
            assert!(
                !text(&diagnostic["message"]).is_empty() && diagnostic["source_line"].is_string(),
                "{diagnostic:#}"
            );
        }
        sandbox.datastore(&["check", "fine"]).ok();
        sandbox.datastore(&["check", "shop"]).code(3);
        only_shop_is_refused(&sandbox, what, "config-invalid", says);
    }
}

#[test]
fn what_is_nearly_right_gets_the_right_word_as_a_hint() {
    for (wrong, near) in [
        (format!("{SHOP}permisions = \"0755\"\n"), "permissions"),
        (format!("{SHOP}options = [\"nosiud\"]\n"), "nosuid"),
        (SHOP.replace("%{base}", "%{bas}"), "%{base}"),
        (format!("titel = \"Shop\"\n{SHOP}"), "title"),
    ] {
        let sandbox = Sandbox::initialised();
        sandbox.configlet("shop", &wrong);
        let check = sandbox.datastore(&["config", "check", "--json"]).code(3).json();
        let hints: Vec<String> = check["diagnostics"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|d| d["hint"].as_str().map(str::to_owned))
            .collect();
        assert!(hints.iter().any(|h| h.contains(&format!("did you mean `{near}`"))), "{near}: {check:#}");
    }
    let sandbox = Sandbox::initialised();
    sandbox.configlet("shop", SHOP);
    let before = Snapshot::of(&sandbox);
    for verb in ["start", "stop", "restart", "enable", "disable", "remap", "apply", "guard"] {
        let run = sandbox.datastore(&[verb, "shpo", "--yes", "--json"]).code(2);
        assert!(text(&run.json()["error"]["message"]).contains("shpo"), "{verb}");
        if verb != "guard" {
            assert_eq!(run.json()["error"]["hint"], "did you mean `shop`?", "{verb}");
        }
    }
    before.assert_unchanged(&sandbox, "verbs with an unknown app");
}

#[test]
fn mount_points_that_would_take_the_machine_down_are_forbidden() {
    let forbidden = [
        "/",
        "/boot",
        "/boot/efi",
        "/dev",
        "/dev/shm",
        "/etc",
        "/proc/sys",
        "/run",
        "/run/user",
        "/sys",
        "/usr",
        "/store",
        "/store/data0",
        "/store/data0/live/server1/x",
        "/var",
        "/var/lib",
        "/var/lib/datastore",
        "/var/lib/datastore/journal",
        "/etc/datastore.d",
        "/etc/fstab",
        "/etc/mail",
        "/usr/share/x",
        "/bin",
        "/lib/x",
    ];
    let sandbox = Sandbox::initialised();
    sandbox.configlet("fine", FINE);
    sandbox.datastore(&["apply", "--yes"]).ok();
    for mount_point in forbidden {
        sandbox.configlet("shop", &SHOP.replace("/var/shop", mount_point));
        only_shop_is_refused(&sandbox, mount_point, "config-invalid", mount_point);
    }
    // Below /etc and /usr it is allowed to those who say that they mean it.
    sandbox.configlet("shop", &format!("{}unusual = true\n", SHOP.replace("/var/shop", "/etc/mail")));
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox.is("/etc/mail", "active");
}

/// Makes the configlet `shop` such that nobody can rely on it.
type Spoil = fn(&Sandbox, &Path);

#[test]
fn a_configlet_that_others_could_have_written_is_refused_alone() {
    let cases: &[(&str, Spoil, &str)] = &[
        ("somebody else's file", |_, conf| chown(conf, Some(1000), None).unwrap(), "belongs to user 1000"),
        ("a group may write", |_, conf| mode(conf, 0o664), "writable by its group"),
        ("others may write", |_, conf| mode(conf, 0o646), "writable by others"),
        (
            "a symbolic link",
            |s, conf| {
                fs::remove_file(conf).unwrap();
                s.write("/etc/real.conf", SHOP);
                symlink("../real.conf", conf).unwrap();
            },
            "symbolic link",
        ),
        (
            "a FIFO",
            |s, conf| {
                fs::remove_file(conf).unwrap();
                s.run(s.command("mkfifo").arg(conf)).ok();
            },
            "no regular file",
        ),
        (
            "a directory",
            |_, conf| {
                fs::remove_file(conf).unwrap();
                fs::create_dir(conf).unwrap();
            },
            "no regular file",
        ),
    ];
    for (what, spoil, says) in cases {
        let sandbox = Sandbox::initialised();
        sandbox.configlet("fine", FINE);
        let conf = sandbox.configlet("shop", SHOP);
        spoil(&sandbox, &conf);
        only_shop_is_refused(&sandbox, what, "config-unsafe", says);
    }
    let sandbox = Sandbox::initialised();
    sandbox.configlet("fine", FINE);
    sandbox.configlet("shop", &format!("{SHOP}# {}\n", "x".repeat(2 << 20)));
    only_shop_is_refused(&sandbox, "two MiB", "config-invalid", "bytes");
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_directory_that_others_can_write_spoils_every_configlet_in_it() {
    for (dir, bits) in [("/etc/datastore.d", 0o775), ("/etc/datastore.d", 0o757), ("/etc", 0o777), ("/", 0o1777)] {
        let sandbox = Sandbox::initialised();
        sandbox.configlet("shop", SHOP);
        mode(&sandbox.path(dir), bits);
        let before = Snapshot::of(&sandbox);
        let report = sandbox.datastore(&["apply", "--yes", "--json"]).code(3).json();
        let note = report["notes"].as_array().unwrap().iter().find(|n| n["app"] == "shop").expect("a row of shop");
        assert_eq!(note["reason"], "config-unsafe", "{dir} {bits:o}: {note:#}");
        assert!(text(&note["detail"]).contains(&format!("{dir} is writable by")), "{note:#}");
        before.assert_unchanged(&sandbox, dir);
    }
    let sandbox = Sandbox::initialised();
    sandbox.configlet("shop", SHOP);
    chown(sandbox.path("/etc/datastore.d"), Some(1000), None).unwrap();
    sandbox.datastore(&["apply", "--yes"]).code(3).says("belongs to user 1000");
    assert_eq!(sandbox.bound("/var/shop"), None);
}

#[test]
fn a_missing_or_unreadable_configuration_changes_nothing() {
    type Damage = fn(&Path);
    let sandbox = Sandbox::new();
    sandbox.configlet("shop", SHOP);
    let before = Snapshot::of(&sandbox);
    for args in [&["apply", "--yes"][..], &["status"], &["plan"], &["start", "shop"], &["guard", "shop"], &["check"]] {
        sandbox.datastore(args).code(3).says("datastore init");
        before.assert_unchanged(&sandbox, "no /etc/datastore.conf");
    }
    let sandbox = Sandbox::initialised();
    sandbox.configlet("shop", SHOP);
    let spoils: [(&str, Damage); 4] = [
        ("a directory", |conf| {
            fs::remove_file(conf).unwrap();
            fs::create_dir(conf).unwrap();
        }),
        ("no text", |conf| {
            fs::remove_dir(conf).unwrap();
            fs::write(conf, [0xff, 0xfe, 0, 1]).unwrap();
        }),
        ("no TOML", |conf| fs::write(conf, "host = server1\n").unwrap()),
        ("a bad host", |conf| fs::write(conf, "host = \"../x\"\n").unwrap()),
    ];
    for (what, spoil) in spoils {
        spoil(&sandbox.path("/etc/datastore.conf"));
        let before = Snapshot::of(&sandbox);
        sandbox.datastore(&["apply", "--yes"]).code(3).says("/etc/datastore.conf");
        sandbox.datastore(&["guard", "shop"]).code(3);
        before.assert_unchanged(&sandbox, what);
    }
}

#[test]
fn a_configlet_that_breaks_later_keeps_its_bind_and_its_lines() {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("shop", SHOP);
    sandbox.datastore(&["apply", "--yes"]).ok();
    for broken in
        ["this is [not toml\n".to_owned(), format!("{SHOP}permisions = \"0700\"\n"), SHOP.replace("base", "bsae")]
    {
        sandbox.configlet("shop", &broken);
        let before = Snapshot::of(&sandbox);
        sandbox.datastore(&["apply", "--yes"]).code(3).says("config-invalid");
        sandbox.datastore(&["remap", "shop", "--yes"]).code(3);
        sandbox.datastore(&["restart", "shop"]).code(3);
        before.assert_unchanged(&sandbox, &broken);
    }
    // The others still come and go.
    sandbox.configlet("fine", FINE);
    sandbox.datastore(&["apply", "--yes"]).code(3);
    sandbox.is("/var/fine", "active");
    assert_eq!(sandbox.our_lines().len(), 2);
}

#[test]
fn a_newcomer_that_overlaps_is_refused_and_the_incumbent_stays() {
    for (what, newcomer) in [
        ("one mount point", SHOP.replace("/shop\"\n", "/shop2\"\n")),
        ("one store", SHOP.replace("/var/shop", "/var/shop2")),
        ("a store inside the other", SHOP.replace("/var/shop", "/var/shop2").replace("/shop\"\n", "/shop/in\"\n")),
    ] {
        let sandbox = Sandbox::initialised();
        sandbox.configlet("shop", SHOP);
        sandbox.datastore(&["apply", "--yes"]).ok();
        // By name it comes first, which must not help it.
        sandbox.configlet("a-new", &newcomer);
        let before = Snapshot::of(&sandbox);
        let report = sandbox.datastore(&["apply", "--yes", "--json"]).code(3).json();
        let notes = report["notes"].as_array().unwrap();
        assert!(notes.len() == 1 && notes[0]["app"] == "a-new", "{what}: {report:#}");
        assert_eq!(notes[0]["reason"], "claimed-elsewhere");
        assert!(text(&notes[0]["detail"]).contains("shop.conf"), "{what}: {report:#}");
        before.assert_unchanged(&sandbox, what);
        sandbox.datastore(&["status", "shop"]).ok();
        sandbox.datastore(&["start", "a-new"]).code(3);
        sandbox.datastore(&["guard", "a-new"]).code(3);
        before.assert_unchanged(&sandbox, what);
    }
    // Where neither has the place, neither gets it.
    let sandbox = Sandbox::initialised();
    sandbox.configlet("shop", SHOP);
    sandbox.configlet("a-new", &SHOP.replace("/var/shop", "/var/shop2"));
    let report = sandbox.datastore(&["apply", "--yes", "--json"]).code(3).json();
    let reasons: Vec<_> = report["notes"].as_array().unwrap().iter().map(|note| &note["reason"]).collect();
    assert_eq!(reasons, ["config-invalid", "config-invalid"], "{report:#}");
    assert!(sandbox.mountinfo().is_empty());
}
