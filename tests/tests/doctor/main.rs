//! `doctor`: every check is planted for real and found, and what it says mends it.

mod faults;
mod machine;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::chown;

use datastore_core::doctor::Check;
use datastore_tests::rows::text;
use datastore_tests::{Sandbox, Snapshot, binary};
use serde_json::Value;

use faults::{Fault, Mend, faults};
use machine::*;

/// Checks that no fault on a machine of root's can come to.
const ELSEWHERE: &[(Check, &str)] = &[(Check::Unseen, "see `without_privilege_it_says_what_it_could_not_see`")];

#[test]
fn every_check_has_a_fault() {
    let planted: BTreeSet<Check> = faults().iter().map(|f| f.check).chain(ELSEWHERE.iter().map(|e| e.0)).collect();
    let missing: Vec<_> = Check::ALL.iter().filter(|c| !planted.contains(c)).collect();
    assert!(missing.is_empty(), "no fault is planted for {missing:?}");
}

/// Plants one fault, looks, mends, and looks again.
#[track_caller]
fn plant_and_mend(fault: &Fault) {
    let sandbox = machine();
    (fault.plant)(&sandbox);
    let name = fault.check.as_str();
    let before = Snapshot::of(&sandbox);
    let all = findings(&sandbox, &[]);
    before.assert_unchanged(&sandbox, name);
    let found = of(&all, name);
    let is_about = |f: &&&Value| ["app", "mount_point", "path"].iter().any(|k| text(&f[*k]).ends_with(fault.about));
    let Some(finding) = found.iter().find(is_about) else { panic!("{name}: nothing about {}: {all:#?}", fault.about) };
    assert_eq!(finding["severity"], fault.severity.as_str(), "{name}: {finding:#}");
    for field in ["detail", "cause", "hint"] {
        assert!(!text(&finding[field]).is_empty(), "{name}: no {field}: {finding:#}");
    }
    let may_be = |f: &&Value| {
        f["severity"] == "note" || f["check"] == name || fault.also.iter().any(|c| f["check"] == c.as_str())
    };
    let others: Vec<_> = all.iter().filter(|f| !may_be(f)).collect();
    assert!(others.is_empty(), "{name}: and nothing else: {others:#?}");
    for also in fault.also {
        assert!(!of(&all, also.as_str()).is_empty(), "{name}: also {also}: {all:#?}");
    }
    sandbox.datastore(&["doctor"]).says(name).says("hint: ");
    match &fault.mend {
        Mend::Hint => follow(&sandbox, &text(&finding["hint"])),
        Mend::Hand(mend) => mend(&sandbox),
    }
    let after = findings(&sandbox, &[]);
    assert!(after.iter().all(|f| f["severity"] == "note" && f["check"] != name), "{name} is mended: {after:#?}");
}

/// Every fault of these severities whose number leaves this rest: the suite runs in several processes.
fn some(rest: usize) {
    faults().iter().enumerate().filter(|(i, _)| i % 4 == rest).for_each(|(_, fault)| plant_and_mend(fault));
}

#[test]
fn each_fault_is_found_and_mended_first_quarter() {
    some(0);
}

#[test]
fn each_fault_is_found_and_mended_second_quarter() {
    some(1);
}

#[test]
fn each_fault_is_found_and_mended_third_quarter() {
    some(2);
}

#[test]
fn each_fault_is_found_and_mended_last_quarter() {
    some(3);
}

#[test]
fn a_sound_machine_has_nothing_worse_than_notes() {
    let sandbox = machine();
    let all = findings(&sandbox, &[]);
    assert_eq!(all.iter().map(|f| text(&f["check"])).collect::<Vec<_>>(), ["no-guard"], "{all:#?}");
    assert_eq!(sandbox.datastore(&["doctor", "--json"]).ok().json()["complete"], true);
    sandbox.datastore(&["doctor"]).ok().says("1 finding: 1 note");
    // Stopped on purpose, or not asked for: both are as they should be.
    sandbox.datastore(&["stop", "shop"]).ok();
    sandbox.datastore(&["disable", "fine", "--yes"]).ok();
    let all = findings(&sandbox, &[]);
    assert!(all.iter().all(|f| f["severity"] == "note"), "{all:#?}");
    // In both grammars.
    sandbox.datastore(&["shop", "doctor"]).ok().says("shop.service");
    sandbox.datastore(&["doctor", "nobody"]).code(2).says("no app is called");
    // A stopped one whose seal is gone: its hint does not start it.
    unseal(&sandbox, "/var/shop");
    let all = findings(&sandbox, &[]);
    let found = of(&all, "unsealed");
    assert_eq!(found.len(), 1, "{all:#?}");
    follow(&sandbox, &text(&found[0]["hint"]));
    sandbox.is("/var/shop", "inactive");
    assert!(findings(&sandbox, &[]).iter().all(|f| f["severity"] == "note"));
}

#[test]
fn ten_faults_at_once_are_all_shown_and_each_hint_mends_its_own() {
    let sandbox = machine();
    for app in 0..7 {
        sandbox.configlet(&format!("a{app}"), &format!("[mapping.\"/var/a{app}\"]\ntarget = \"%{{base}}/a{app}\"\n"));
    }
    apply(&sandbox);
    let store = |app: u32| format!("{BASE}/a{app}");
    sandbox.unmount("/var/a0");
    chown(sandbox.path(store(1)), Some(7), None).unwrap();
    remount(&sandbox, "bind,suid", "/var/a2");
    edit(&sandbox, "/etc/fstab", |t| without_lines(t, "=a3"));
    sandbox.unmount("/var/a4");
    unseal(&sandbox, "/var/a4");
    bind(&sandbox, &store(4), "/var/a4");
    bind(&sandbox, &store(5), "/var/a5");
    remove(&sandbox, "/etc/datastore.d/a6.conf");
    let name = newest_journal(&sandbox);
    edit(&sandbox, &format!("{DONE}/{name}"), |t| t.replacen("begin", "began", 1));
    sandbox.write(format!("/etc/.fstab.{OPERATION}.tmp"), "half");
    sandbox.run(sandbox.command("cp").arg(sandbox.path("disk.img")).arg(sandbox.path("copy.img"))).ok();
    sandbox.mount_loop(&sandbox.path("copy.img"), "/mnt/copy");

    let all = findings(&sandbox, &[]);
    let mut bad: Vec<(String, String)> =
        all.iter().filter(|f| f["severity"] != "note").map(|f| (text(&f["check"]), text(&f["hint"]))).collect();
    let mut checks: Vec<&str> = bad.iter().map(|(check, _)| check.as_str()).collect();
    checks.sort_unstable();
    let wanted = [
        "bind-options",
        "fstab-line",
        "leftover",
        "mode-owner",
        "not-bound",
        "stacked",
        "stray-line",
        "twin-volume",
        "unreadable",
        "unsealed",
    ];
    assert_eq!(checks, wanted, "{all:#?}");
    assert_eq!(all[0]["severity"], "error", "the worst first");
    // In whatever order they are followed, each mends its own and nothing else has to be done.
    bad.reverse();
    let mut left = bad.len();
    for (check, hint) in &bad {
        follow(&sandbox, hint);
        left -= 1;
        let all = findings(&sandbox, &[]);
        assert!(of(&all, check).is_empty(), "{check} is mended by `{hint}`: {all:#?}");
        assert_eq!(all.iter().filter(|f| f["severity"] != "note").count(), left, "after `{hint}`: {all:#?}");
    }
    sandbox.datastore(&["doctor"]).ok();
}

#[test]
fn what_concerns_an_app_is_its_own_and_what_it_depends_on() {
    let sandbox = machine();
    sandbox.unmount("/var/shop");
    chown(sandbox.path("/store/data0/live/server1/fine"), Some(7), None).unwrap();
    sandbox.directory("/store/data0/live/server9", 0o700);
    let checks = |args: &[&str]| findings(&sandbox, args).iter().map(|f| text(&f["check"])).collect::<Vec<_>>();
    assert_eq!(checks(&["shop"]), ["not-bound", "no-guard"]);
    assert_eq!(checks(&["fine"]), ["mode-owner"]);
    assert_eq!(checks(&[]), ["not-bound", "mode-owner", "other-host", "no-guard"]);
    remount(&sandbox, "ro", "/store/data0");
    assert!(checks(&["fine"]).contains(&"read-only".to_owned()), "the volume of its data");
}

#[test]
fn what_cannot_be_read_is_a_finding_and_the_rest_is_still_looked_at() {
    for (path, damage) in [
        (MANIFEST, "store = 1\n"),
        ("/store/data0/.datastore/volume.toml", "id = 7\n"),
        ("/etc/datastore.d/shop.conf", "[mapping\n"),
    ] {
        let sandbox = machine();
        sandbox.write(format!("/etc/.fstab.{OPERATION}.tmp"), "half");
        keep(&sandbox, path);
        fs::write(sandbox.path(path), damage).unwrap();
        let all = findings(&sandbox, &[]);
        let found = all.iter().find(|f| text(&f["path"]) == path);
        let found = found.unwrap_or_else(|| panic!("{path}: {all:#?}"));
        assert_eq!(found["severity"], "error", "{found:#}");
        assert_eq!(of(&all, "leftover").len(), 1, "{path}: {all:#?}");
        restore(&sandbox, path);
        remove(&sandbox, &format!("/etc/.fstab.{OPERATION}.tmp"));
        sandbox.datastore(&["doctor"]).ok();
    }
    // A journal that stops every verb does not stop this one, and its hint makes the others work again.
    let sandbox = machine();
    let name = newest_journal(&sandbox);
    let broken = sandbox.read(format!("{DONE}/{name}")).replacen("intent", "intend", 1);
    sandbox.write(format!("{JOURNAL}/{name}"), broken);
    sandbox.unmount("/var/shop");
    sandbox.datastore(&["apply", "--yes"]).code(3);
    let all = findings(&sandbox, &[]);
    assert!(text(&of(&all, "unreadable")[0]["path"]).contains(&name) && !of(&all, "not-bound").is_empty(), "{all:#?}");
    // Without fstab nothing can be told.
    let sandbox = machine();
    fs::rename(sandbox.path("/etc/fstab"), sandbox.path("/etc/fstab.real")).unwrap();
    std::os::unix::fs::symlink("fstab.real", sandbox.path("/etc/fstab")).unwrap();
    let run = sandbox.datastore(&["doctor", "--json"]).code(1);
    assert_eq!((&run.json()["complete"], &run.json()["findings"][0]["path"]), (&false.into(), &"/etc/fstab".into()));
    Sandbox::new().datastore(&["doctor"]).code(3).says("datastore init");
}

#[test]
fn the_seal_of_an_app_that_is_gone_and_its_store_beside_a_damaged_manifest() {
    let sandbox = machine();
    remove(&sandbox, "/etc/datastore.d/shop.conf");
    sandbox.datastore(&["disable", "shop", "--yes"]).ok();
    seal(&sandbox, "/var/shop");
    let all = findings(&sandbox, &[]);
    let found = of(&all, "stray-seal");
    assert_eq!((found.len(), text(&found[0]["app"])), (1, "shop".into()), "{all:#?}");
    follow(&sandbox, &text(&found[0]["hint"]));
    fs::write(sandbox.path("/var/shop/x"), "writable again").unwrap();
    assert!(of(&findings(&sandbox, &[]), "stray-seal").is_empty());
    // The manifest knew the store; that it cannot be read makes it no orphan.
    fs::write(sandbox.path(MANIFEST), "store = 1\n").unwrap();
    let all = findings(&sandbox, &[]);
    assert!(of(&all, "orphan-store").is_empty() && !of(&all, "unreadable").is_empty(), "{all:#?}");
}

#[test]
fn a_temporary_file_is_left_over_only_if_its_operation_is_over() {
    let sandbox = machine();
    let young = sandbox.write(format!("{JOURNAL}/.{OPERATION}.new"), "");
    sandbox.datastore(&["doctor"]).ok();
    let old = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
    fs::File::options().write(true).open(young).unwrap().set_times(old).unwrap();
    let all = findings(&sandbox, &[]);
    let hint = text(&of(&all, "leftover")[0]["hint"]);
    follow(&sandbox, &hint);
    sandbox.datastore(&["doctor"]).ok();
    // Of one that stopped half-way `recover` removes it.
    sandbox.datastore(&["restart", "shop"]).ok();
    let name = newest_journal(&sandbox);
    fs::rename(sandbox.path(format!("{DONE}/{name}")), sandbox.path(format!("{JOURNAL}/{name}"))).unwrap();
    edit(&sandbox, &format!("{JOURNAL}/{name}"), |t| without_lines(t, "\"end\""));
    sandbox.write(format!("/etc/.fstab.{}.tmp", name.trim_end_matches(".journal")), "half");
    let all = findings(&sandbox, &[]);
    assert!(of(&all, "leftover").is_empty() && !of(&all, "interrupted").is_empty(), "{all:#?}");
    sandbox.datastore(&["recover"]).ok();
    sandbox.datastore(&["doctor"]).ok();
}

#[test]
fn without_privilege_it_says_what_it_could_not_see() {
    let sandbox = machine();
    // By cp(1): while this process had it open for writing, a child of another thread's could keep it so (ETXTBSY).
    let program = sandbox.path("datastore");
    sandbox.run(sandbox.command("cp").arg(binary::datastore()).arg(&program)).ok();
    sandbox.unmount("/var/fine");
    let mut command = sandbox.command("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).arg(program);
    let run = sandbox.run(command.arg("--root").arg(sandbox.root()).args(["doctor", "--json"])).code(1);
    let json = run.json();
    assert_eq!(json["complete"], false);
    let all = json["findings"].as_array().unwrap();
    let unseen = of(all, "unseen");
    assert_eq!((unseen.len(), &unseen[0]["severity"]), (1, &"note".into()), "{all:#?}");
    for what in ["journals", "live binds", "identities"] {
        assert!(text(&unseen[0]["detail"]).contains(what), "{what}: {unseen:#?}");
    }
    assert!(!of(all, "not-bound").is_empty(), "what anybody can see is told: {all:#?}");
    let worse: Vec<_> = all.iter().filter(|f| f["severity"] != "note" && f["check"] != "not-bound").collect();
    assert!(worse.is_empty(), "nothing is made up of what could not be seen: {worse:#?}");
}

#[test]
fn on_an_old_kernel_all_but_what_lies_under_binds_is_seen() {
    let sandbox = machine();
    chown(sandbox.path(STORE), Some(7), None).unwrap();
    let without = ["openat2", "open_tree", "statmount", "statx", "464"];
    let run = sandbox.datastore_without(&without, &["doctor", "--json"]).code(1);
    let json = run.json();
    let all = json["findings"].as_array().unwrap();
    assert_eq!(of(all, "mode-owner").len(), 1);
    assert!(
        json["complete"] == false && text(&of(all, "unseen")[0]["detail"]).contains("what lies under live binds"),
        "{all:#?}"
    );
}

#[test]
fn the_book_tells_of_every_check() {
    let book = fs::read_to_string(datastore_tests::repository("docs/doctor.md")).unwrap();
    let missing: Vec<_> = Check::ALL.iter().filter(|c| !book.contains(&format!("\n| `{c}` | "))).collect();
    assert!(missing.is_empty(), "docs/doctor.md does not tell of {missing:?}");
}

#[test]
fn it_looks_under_more_binds_than_descriptors_may_be_open() {
    let sandbox = Sandbox::in_memory();
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    let mapping = |i: u32| format!("[mapping.\"/srv/{i}/x\"]\ntarget = \"%{{base}}/{i}\"\n");
    sandbox.configlet("many", &(0..1600).map(mapping).collect::<String>());
    apply(&sandbox);
    let store = format!("{BASE}/1599");
    sandbox.unmount("/srv/1599/x");
    unseal(&sandbox, "/srv/1599/x");
    sandbox.write("/srv/1599/x/lost", "x");
    bind(&sandbox, &store, "/srv/1599/x");
    let script = format!(
        "ulimit -n 1024; exec {} --root {} doctor --json",
        binary::datastore().display(),
        sandbox.root().display()
    );
    let run = sandbox.run(sandbox.command("sh").args(["-c", &script])).code(1);
    let all = run.json()["findings"].as_array().unwrap().clone();
    assert_eq!((all.len(), text(&all[0]["check"])), (1, "hidden-data".into()), "{all:#?}");
}
