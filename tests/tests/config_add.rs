//! `config add` and `config remove`: what a program without privilege may have declared, rule by rule, and that nothing else comes of it.

#![allow(clippy::literal_string_with_formatting_args, reason = "targets have expansions of ours")]

use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::process::Stdio;

use datastore_tests::{Run, Sandbox, picture, scenes};
use serde_json::{Value, json};

const CONF: &str = "/etc/datastore.d/photos.conf";
const LOCAL: &str = "/etc/datastore.d/photos.local.conf";

/// The least that can be asked for.
fn photos() -> Value {
    json!({ "app": "photos", "mappings": [{ "mount_point": "/srv/photos" }] })
}

/// The same with one value changed or added: `/mappings/0/owner` and the like.
fn photos_with(at: &str, value: Value) -> Value {
    let mut document = photos();
    let (parent, key) = at.rsplit_once('/').expect("a pointer");
    document.pointer_mut(parent).expect("something that is there")[key] = value;
    document
}

fn at_mount_point(at: &str) -> Value {
    photos_with("/mappings/0/mount_point", at.into())
}

/// A machine on which root allows it below /srv.
fn machine() -> Sandbox {
    let sandbox = Sandbox::in_memory();
    scenes::allowing(&sandbox);
    sandbox
}

fn add(sandbox: &Sandbox, document: &Value) -> Run {
    sandbox.feed(document.to_string()).datastore(&["config", "add", "--json"])
}

/// What it is refused with. Nothing else has come of it: no file, no operation.
#[track_caller]
fn refused(sandbox: &Sandbox, document: &Value, code: i32, message: &str) {
    let before = picture::of(sandbox.root());
    let run = add(sandbox, document).code(code);
    let error = run.json()["error"].clone();
    let said = error["message"].as_str().unwrap_or_default();
    assert!(said.contains(message), "{message:?} was wanted for {document}: {error}");
    assert!(said.contains("nothing has been changed"), "{error}");
    assert_eq!(error["kind"], if code == 2 { "usage" } else { "refused" }, "{error}");
    if code == 3 {
        assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "no hint: {error}");
    }
    picture::same(&picture::of(sandbox.root()), &before, &format!("after a refusal: {said}"));
}

#[test]
fn what_is_declared_can_be_bound_and_once_more_changes_nothing() {
    let sandbox = machine();
    let told = add(&sandbox, &photos()).ok().json();
    assert_eq!((&told["app"], &told["file"], &told["changed"]), (&json!("photos"), &json!(CONF), &json!(true)));
    assert_eq!(told["next"], "datastore start photos");
    let text = sandbox.read(CONF);
    assert!(text.starts_with("# Written by `datastore config add`"), "{text}");
    assert!(
        text.contains("[mapping.\"/srv/photos\"]\ntarget = \"%{base}/photos\"\npermissions = \"0755\"\n"),
        "{text}"
    );
    let meta = sandbox.path(CONF).metadata().unwrap();
    assert_eq!(meta.permissions().mode() & 0o7777, 0o644);
    assert!(sandbox.bound("/srv/photos").is_none(), "it does not apply");
    sandbox.datastore(&["log", "photos"]).ok().says("config add photos");

    let again = add(&sandbox, &photos()).ok().json();
    assert_eq!((&again["changed"], &again["operation"]), (&json!(false), &Value::Null));
    assert_eq!(sandbox.read(CONF), text);
    sandbox.datastore(&["config", "add"]).ok().says("says so already").says("to go on: datastore start photos");
    sandbox.datastore(&["start", "photos"]).ok();
    assert!(sandbox.bound("/srv/photos").is_some());
    // Also once it is bound.
    assert_eq!(add(&sandbox, &photos()).ok().json()["changed"], false);
    sandbox.datastore(&["config", "check"]).ok().says("no errors");
}

#[test]
fn an_app_that_is_disabled_is_to_be_enabled_next() {
    let sandbox = machine();
    add(&sandbox, &photos()).ok();
    sandbox.datastore(&["disable", "photos", "--yes"]).ok();
    for document in [photos(), photos_with("/mappings/0/permissions", "0700".into())] {
        assert_eq!(add(&sandbox, &document).ok().json()["next"], "datastore enable photos");
    }
    sandbox.datastore(&["enable", "photos", "--yes"]).ok();
    assert!(sandbox.bound("/srv/photos").is_some());
}

#[test]
fn every_field_arrives_where_it_belongs() {
    let sandbox = machine();
    let document = json!({ "app": "photos", "title": "Photos \"new\"", "mappings": [
        { "mount_point": "/srv/photos", "target": "%{base}/pictures", "permissions": "2770", "owner": "mail",
          "group": "mail", "volume": "data0" },
        { "mount_point": "/srv/raw", "volume": null },
    ]});
    add(&sandbox, &document).ok();
    let shown = sandbox.datastore(&["config", "show", "photos", "--json"]).ok().json();
    let app = &shown["apps"][0];
    assert_eq!(app["title"], "Photos \"new\"");
    let mapping = &app["mappings"][0];
    let value = |key: &str| mapping[key]["value"].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        [value("mount_point"), value("target"), value("permissions"), value("owner"), value("group"), value("volume")],
        ["/srv/photos", "/store/data0/live/server1/pictures", "2770", "mail", "mail", "data0"]
    );
    assert_eq!(app["mappings"][1]["target"]["value"], "/store/data0/live/server1/photos-raw");
    // A change of one of them is written; the rest stays.
    let mut document = document;
    document["mappings"][1]["permissions"] = "0700".into();
    assert_eq!(add(&sandbox, &document).ok().json()["changed"], true);
    assert!(sandbox.read(CONF).contains("permissions = \"0700\""));
}

#[test]
fn a_document_that_makes_no_sense_is_wrong_usage() {
    let sandbox = machine();
    for (text, message) in [
        ("", "the document cannot be understood"),
        ("[]", "the document cannot be understood"),
        ("{\"app\": \"photos\"", "the document cannot be understood"),
        ("{\"app\": \"photos\", \"mappings\": []} more", "trailing characters"),
        ("{\"app\": \"photos\", \"app\": \"b\", \"mappings\": []}", "duplicate field `app`"),
        ("{\"app\": 7, \"mappings\": []}", "invalid type"),
        ("{\"app\": \"photos\"}", "missing field `mappings`"),
        ("{\"app\": \"photos\", \"mappings\": []}", "`mappings` cannot be used: there is none"),
    ] {
        let error = sandbox.feed(text).datastore(&["config", "add", "--json"]).code(2).json();
        let said = error["error"]["message"].as_str().unwrap_or_default();
        assert!(said.contains(message) && said.contains("nothing has been changed"), "{text}: {error}");
    }
    let binary = sandbox.feed(b"{\"app\": \"\xff\"").datastore(&["config", "add"]).code(2);
    binary.says("the document cannot be understood").says("hint: it is one JSON object");
    let long = format!("{{\"app\": \"photos\", \"title\": \"{}\"}}", "x".repeat(64 << 10));
    sandbox.feed(long).datastore(&["config", "add"]).code(2).says("more than 64 KiB");
    for field in ["services", "premount", "postmount", "enabled", "hook_timeout", "mapping", "volume"] {
        let document = photos_with(&format!("/{field}"), json!("x"));
        refused(&sandbox, &document, 2, &format!("unknown field `{field}`"));
    }
    for field in ["services", "premount", "postmount", "options", "unusual", "enabled"] {
        let document = photos_with(&format!("/mappings/0/{field}"), json!(["suid"]));
        refused(&sandbox, &document, 2, &format!("unknown field `{field}`"));
    }
    for (at, value, message) in [
        ("/app", "../photos", "`app` cannot be used"),
        ("/app", "photos.local", "must not end in `.local`"),
        ("/app", "-photos", "begins with `-`"),
        ("/title", "a\nb", "control character"),
        ("/mappings/0/mount_point", "srv/photos", "relative"),
        ("/mappings/0/mount_point", "/srv/../etc", "contains `..`"),
        ("/mappings/0/permissions", "rwx", "not a mode"),
        ("/mappings/0/owner", "-x", "begins with `-`"),
        ("/mappings/0/group", "a:b", "`group` cannot be used"),
        ("/mappings/0/volume", "a/b", "`volume` cannot be used"),
    ] {
        refused(&sandbox, &photos_with(at, value.into()), 2, message);
    }
    let mut twice = photos();
    twice["mappings"] = json!([{ "mount_point": "/srv/photos" }, { "mount_point": "/srv//photos/" }]);
    refused(&sandbox, &twice, 2, "/srv/photos is named twice");
}

#[test]
fn without_root_allowing_it_nothing_is_declared() {
    let sandbox = Sandbox::in_memory();
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    let globals = sandbox.read("/etc/datastore.conf");
    for policy in [
        "",
        "[config_add]\n",
        "[config_add]\nmount_points = []\n",
        "[config_add]\nenabled = false\nmount_points = [\"/srv\"]\n",
    ] {
        sandbox.write("/etc/datastore.conf", format!("{globals}\n{policy}"));
        refused(&sandbox, &photos(), 3, "[config_add] in /etc/datastore.conf allows nothing");
        sandbox.datastore(&["config", "remove", "photos"]).code(3).says("allows nothing").says("root allows it there");
    }
    for (policy, message) in [
        ("mount_points = [\"srv\"]", "relative"),
        ("mount_points = [\"/\"]", "below `/` lies everything"),
        ("mount_points = \"/srv\"", "must be a list of strings"),
        ("mountpoints = [\"/srv\"]", "unknown key `mountpoints`"),
        ("enabled = 1", "must be true or false"),
    ] {
        sandbox.write("/etc/datastore.conf", format!("{globals}\n[config_add]\n{policy}\n"));
        sandbox.datastore(&["config", "check"]).code(3).says(message);
        add(&sandbox, &photos()).code(3);
    }
    sandbox.write("/etc/datastore.conf", format!("{globals}\n[config_add]\nmount_points = [\"/srv\"]\n"));
    sandbox.datastore(&["config", "show"]).ok().says("[config_add]\nenabled = true\nmount_points = [\"/srv\"]");
    add(&sandbox, &photos()).ok();
}

#[test]
fn mount_points_lie_below_what_root_lists() {
    let sandbox = machine();
    for at in ["/srv", "/srvice/photos", "/var/photos", "/etc/photos", "/etc/datastore.d/x", "/usr/bin/x"] {
        refused(&sandbox, &at_mount_point(at), 3, &format!("{at} of `photos` does not lie below /srv"));
    }
    refused(&sandbox, &at_mount_point("/"), 3, "nothing may be mounted on `/`");
    // What is forbidden to everybody is so to programs, even where root lists it.
    let globals = sandbox.read("/etc/datastore.conf");
    sandbox
        .write("/etc/datastore.conf", globals.replace("[\"/srv\"]", "[\"/etc\", \"/proc\", \"/store\", \"/var/lib\"]"));
    refused(&sandbox, &at_mount_point("/etc/photos"), 3, "unusual for data");
    refused(&sandbox, &at_mount_point("/proc/photos"), 3, "lies in /proc");
    refused(&sandbox, &at_mount_point("/store/photos"), 3, "which holds the data");
    refused(&sandbox, &at_mount_point("/var/lib/datastore/x"), 3, "datastore's own state");
}

#[test]
fn the_way_to_a_mount_point_is_roots_alone() {
    let sandbox = machine();
    let way = sandbox.directory("srv/way", 0o755);
    let document = at_mount_point("/srv/way/photos");
    for (mode, owner, message) in [
        (0o775, 0, "/srv/way is writable by its group"),
        (0o1777, 0, "/srv/way is writable by others"),
        (0o755, 1000, "/srv/way belongs to user 1000"),
    ] {
        std::fs::set_permissions(&way, std::fs::Permissions::from_mode(mode)).unwrap();
        chown(&way, Some(owner), None).unwrap();
        refused(&sandbox, &document, 3, message);
    }
    std::fs::remove_dir(&way).unwrap();
    symlink("/etc", &way).unwrap();
    refused(&sandbox, &document, 3, "/srv/way is a symbolic link");
    std::fs::remove_file(&way).unwrap();
    sandbox.write("/srv/way", "");
    refused(&sandbox, &document, 3, "/srv/way is a file");
    std::fs::remove_file(&way).unwrap();
    symlink("/etc", sandbox.path("/srv/photos")).unwrap();
    refused(&sandbox, &photos(), 3, "/srv/photos is a symbolic link");
    std::fs::remove_file(sandbox.path("/srv/photos")).unwrap();
    // The allowed directory itself, too.
    std::fs::set_permissions(sandbox.path("/srv"), std::fs::Permissions::from_mode(0o777)).unwrap();
    refused(&sandbox, &photos(), 3, "/srv is writable by others");
    std::fs::set_permissions(sandbox.path("/srv"), std::fs::Permissions::from_mode(0o755)).unwrap();
    add(&sandbox, &document).ok();
}

#[test]
fn a_store_lies_below_the_base() {
    let sandbox = machine();
    for (target, message) in [
        ("/store/data0/live/server1/x", "does not begin with %{base}/"),
        ("/etc", "does not begin with %{base}/"),
        ("%{base}", "does not begin with %{base}/"),
        ("%{base}x", "does not begin with %{base}/"),
        ("%{base}/", "is the base itself"),
        ("%{base}/../other", "contains `..`"),
        ("%{base}/a/../../b", "contains `..`"),
        ("%{base}/%{store}", "has another expansion"),
        ("%{base}/%{base}", "has another expansion"),
        ("%{store}/x", "does not begin with %{base}/"),
        ("%{base}/.datastore/x", "is not below"),
        ("%{base}/.datastore-parked-1/x", "is for data on its way"),
    ] {
        refused(&sandbox, &photos_with("/mappings/0/target", target.into()), 3, message);
    }
    refused(&sandbox, &at_mount_point("/srv/50%"), 3, "no store directory can be called after /srv/50%");
    refused(&sandbox, &photos_with("/mappings/0/volume", "data9".into()), 3, "no volume `data9`");
}

#[test]
fn a_volume_that_is_not_there_tells_nothing_about_what_lies_on_it() {
    let sandbox = machine();
    sandbox.tmpfs("/mnt/disk", 8 << 20);
    sandbox.datastore(&["volume", "add", "data1", "--directory", "/mnt/disk", "--yes"]).ok();
    sandbox.unmount("/store/data1");
    refused(&sandbox, &photos_with("/mappings/0/volume", "data1".into()), 3, "is not mounted");
}

#[test]
fn a_name_that_is_taken_stays_whose_it_is() {
    let sandbox = machine();
    let named = |name: &str| photos_with("/app", name.into());
    refused(&sandbox, &named("home"), 3, "/etc/datastore.conf has an app of that name");
    sandbox.configlet("web", scenes::WEB);
    refused(&sandbox, &named("web"), 3, "has not written /etc/datastore.d/web.conf");
    sandbox.write("/etc/clearos/storage.conf", "<?php\n$config['base'] = '/store/data0/live/server1';\n");
    sandbox.write(
        "/etc/clearos/storage.d/share_default.conf",
        "<?php\n$storage['/mnt/share']['base'] = $base;\n$storage['/mnt/share']['directory'] = 'share';\n",
    );
    refused(&sandbox, &named("share"), 3, "/etc/clearos/storage.d/share_default.conf has an app of that name");
    sandbox.write("/etc/clearos/storage.d/lone-system.conf", "<?php\n");
    refused(&sandbox, &named("lone"), 3, "/etc/clearos/storage.d/lone-system.conf has an app of that name");
    sandbox.write(LOCAL, "enabled = true\n");
    refused(&sandbox, &photos(), 3, &format!("{LOCAL} has an app of that name"));
}

#[test]
fn what_root_has_put_in_makes_it_roots() {
    let sandbox = machine();
    add(&sandbox, &photos()).ok();
    let ours = sandbox.read(CONF);
    let other = photos_with("/title", "Other".into());
    for (text, message) in [
        (format!("{ours}premount = \"/usr/lib/x\"\n"), "it holds `premount`"),
        (format!("{ours}options = [\"suid\"]\n"), "it holds `options`"),
        (ours.replacen("\n[", "\nservices = [\"x.service\"]\n\n[", 1), "it holds `services`"),
        (ours.replacen("\n[", "\nenabled = true\n\n[", 1), "it holds `enabled`"),
        (format!("{ours}# mine\n"), "is not as the command writes it"),
        (ours.replace("%{base}/photos", "/store/data0/live/server1/photos"), "does not begin with %{base}/"),
        (ours.replacen("# Written", "# was written", 1), "has not written"),
        (format!("{ours}["), CONF),
    ] {
        assert_ne!(text, ours);
        sandbox.write(CONF, &text);
        refused(&sandbox, &other, 3, message);
        sandbox.datastore(&["config", "remove", "photos"]).code(3).says("not for programs to change");
    }
    // A value that the command could have written is only a value.
    sandbox.write(CONF, ours.replace("0755", "0750"));
    assert_eq!(add(&sandbox, &photos()).ok().json()["changed"], true);
    assert_eq!(sandbox.read(CONF), ours);
    // So it is with the override: `disable` writes one, root adds to it.
    sandbox.datastore(&["disable", "photos", "--yes"]).ok();
    assert_eq!(add(&sandbox, &other).ok().json()["changed"], true);
    for text in [
        "enabled = false\npostmount = \"/usr/lib/x\"\n",
        "[mapping.\"/srv/photos\"]\npremount = \"/usr/lib/x\"\n",
        "[mapping.\"/srv/photos\"]\nowner = \"mail\"\n",
        "[mapping.\"/srv/more\"]\ntarget = \"%{base}/more\"\n",
        "<?php\n$enabled = false;\n",
        "services = [\"x.service\"]\n",
    ] {
        sandbox.write(LOCAL, text);
        refused(&sandbox, &photos(), 3, &format!("root has edited {LOCAL}"));
    }
    // What somebody else could have written is not believed at all.
    std::fs::remove_file(sandbox.path(LOCAL)).unwrap();
    std::fs::set_permissions(sandbox.path(CONF), std::fs::Permissions::from_mode(0o666)).unwrap();
    refused(&sandbox, &photos(), 3, "cannot be believed");
}

#[test]
fn nothing_of_another_app_is_touched() {
    let sandbox = machine();
    sandbox.configlet("web", "[mapping.\"/srv/web/html\"]\ntarget = \"%{base}/web/html\"\n");
    sandbox.configlet("off", "enabled = false\n[mapping.\"/srv/off\"]\ntarget = \"%{base}/off\"\n");
    sandbox.configlet("bad", "[mapping.\"/srv/bad\"]\ntarget = \"%{bas}/bad\"\n");
    for (at, whose) in [("/srv/web/html", "web"), ("/srv/web", "web"), ("/srv/web/html/x", "web"), ("/srv/off", "off")]
    {
        refused(&sandbox, &at_mount_point(at), 3, &format!("of `{whose}`"));
    }
    refused(&sandbox, &at_mount_point("/srv/bad/x"), 3, "/srv/bad of `bad`");
    for (target, whose) in
        [("web/html", "web"), ("web", "web"), ("web/html/x", "web"), ("off", "off"), ("mysql", "mysqld")]
    {
        let document = photos_with("/mappings/0/target", format!("%{{base}}/{target}").into());
        refused(&sandbox, &document, 3, &format!("of `{whose}`"));
    }
    // Nor may two mappings of one app lie in each other.
    let mut nested = photos();
    nested["mappings"] = json!([{ "mount_point": "/srv/photos" }, { "mount_point": "/srv/photos/raw" }]);
    refused(&sandbox, &nested, 3, "meets");
    // Lines in fstab of an app whose configlet has gone.
    sandbox.datastore(&["apply", "--yes"]);
    assert!(sandbox.bound("/srv/web/html").is_some());
    std::fs::remove_file(sandbox.path("/etc/datastore.d/web.conf")).unwrap();
    refused(&sandbox, &at_mount_point("/srv/web"), 3, "/srv/web/html of `web`");
    let document = photos_with("/mappings/0/target", "%{base}/web".into());
    refused(&sandbox, &document, 3, "holds the data of `web`");
}

#[test]
fn data_that_is_there_already_is_not_given_away() {
    let sandbox = machine();
    let base = sandbox.path("/store/data0/live/server1");
    std::fs::create_dir_all(base.join("photos")).unwrap();
    refused(&sandbox, &photos(), 3, "is there already");
    std::fs::remove_dir(base.join("photos")).unwrap();
    std::fs::write(base.join("photos"), "").unwrap();
    refused(&sandbox, &photos(), 3, "is a file, not a directory");
    std::fs::remove_file(base.join("photos")).unwrap();

    // What was there before comes back only to whom it belonged.
    add(&sandbox, &photos()).ok();
    sandbox.datastore(&["start", "photos"]).ok();
    sandbox.datastore(&["disable", "photos", "--yes"]).ok();
    sandbox.feed("").datastore(&["config", "remove", "photos"]).ok();
    let mut elsewhere = photos_with("/mappings/0/target", "%{base}/photos".into());
    elsewhere["mappings"][0]["mount_point"] = "/srv/public".into();
    refused(&sandbox, &elsewhere, 3, "is there already");
    let other = json!({ "app": "other", "mappings": [{ "mount_point": "/srv/photos", "target": "%{base}/photos" }] });
    refused(&sandbox, &other, 3, "is there already");
    refused(&sandbox, &photos_with("/mappings/0/target", "%{base}/photos/in".into()), 3, "holds the data of `photos`");
    add(&sandbox, &photos()).ok();
    sandbox.datastore(&["start", "photos"]).ok();
}

#[test]
fn the_number_of_mappings_and_of_apps_has_a_bound() {
    let sandbox = machine();
    let mut many = photos();
    many["mappings"] = (0..33).map(|i| json!({ "mount_point": format!("/srv/{i}") })).collect();
    let error = add(&sandbox, &many).code(3).json();
    assert!(error["error"]["message"].as_str().unwrap().contains("more than 32 mappings"), "{error}");
    add(&sandbox, &photos()).ok();
    let ours = sandbox.read(CONF);
    for i in 1..200 {
        sandbox.configlet(&format!("a{i}"), &ours.replace("photos", &format!("a{i}")));
    }
    let one_more = json!({ "app": "b", "mappings": [{ "mount_point": "/srv/b" }] });
    refused(&sandbox, &one_more, 3, "200 apps have been declared by programs");
    // One that is there already may still be edited.
    assert_eq!(add(&sandbox, &photos_with("/title", "P".into())).ok().json()["changed"], true);
}

#[test]
fn what_is_wrong_with_the_machine_is_said() {
    let sandbox = machine();
    let globals = sandbox.read("/etc/datastore.conf");
    sandbox.write("/etc/datastore.conf", globals.replace("host = \"server1\"\n", ""));
    refused(&sandbox, &photos(), 3, "names no host");
    sandbox.write("/etc/datastore.conf", &globals);
    std::fs::remove_file(sandbox.path("/etc/datastore.conf")).unwrap();
    sandbox.feed(photos().to_string()).datastore(&["config", "add"]).code(3).says("datastore init");
}

#[test]
fn a_configlet_is_removed_only_when_nothing_of_it_is_bound() {
    let sandbox = machine();
    sandbox.datastore(&["config", "remove", "photos"]).code(2).says("no app is called `photos`");
    sandbox.datastore(&["config", "remove", "home"]).code(3).says("not for programs to change");
    let empty = picture::of(sandbox.root());
    add(&sandbox, &photos()).ok();
    let told = sandbox.datastore(&["config", "remove", "photos", "--json"]).ok().json();
    assert_eq!((&told["file"], &told["changed"], &told["next"]), (&json!(CONF), &json!(true), &json!("")));
    assert!(!sandbox.exists(CONF));
    picture::same(&picture::of(sandbox.root()), &empty, "after adding and removing");

    add(&sandbox, &photos()).ok();
    sandbox.datastore(&["start", "photos"]).ok();
    for state in ["bound", "stopped"] {
        let run = sandbox.datastore(&["config", "remove", "photos"]).code(3);
        run.says("/srv/photos of `photos` still has a line in fstab").says("datastore disable photos");
        assert!(sandbox.exists(CONF), "{state}");
        sandbox.datastore(&["stop", "photos"]).ok();
    }
    // Nor is a mapping of it dropped by an edit.
    let other = at_mount_point("/srv/other");
    refused(&sandbox, &other, 3, "/srv/photos of `photos` still has a line in fstab");
    sandbox.datastore(&["disable", "photos", "--yes"]).ok();
    assert!(sandbox.exists(LOCAL));
    // Bound by hand all the same.
    sandbox.bind("/store/data0/live/server1/photos", "/srv/photos");
    sandbox.datastore(&["config", "remove", "photos"]).code(3).says("/srv/photos of `photos` is still bound");
    sandbox.unmount("/srv/photos");
    sandbox.datastore(&["config", "remove", "photos"]).ok().says("its data stays");
    assert!(!sandbox.exists(CONF) && !sandbox.exists(LOCAL));
    assert!(sandbox.exists("/store/data0/live/server1/photos"));
    // It can be declared again, and finds its data.
    add(&sandbox, &photos()).ok();
    sandbox.datastore(&["start", "photos"]).ok();
}

#[test]
fn a_mapping_that_was_moved_can_still_be_edited_and_removed() {
    let sandbox = machine();
    sandbox.tmpfs("/mnt/disk", 8 << 20);
    sandbox.datastore(&["volume", "add", "data1", "--directory", "/mnt/disk", "--yes"]).ok();
    add(&sandbox, &photos()).ok();
    sandbox.datastore(&["start", "photos"]).ok();
    sandbox.datastore(&["move", "photos", "--to", "data1", "--yes"]).ok();
    assert_eq!(add(&sandbox, &photos()).ok().json()["changed"], false);
    assert_eq!(add(&sandbox, &photos_with("/title", "P".into())).ok().json()["changed"], true);
    sandbox.datastore(&["apply", "--yes"]).ok().says("nothing to do");
    sandbox.datastore(&["disable", "photos", "--yes"]).ok();
    sandbox.datastore(&["config", "remove", "photos"]).ok();
}

#[test]
fn of_two_that_want_one_place_at_once_one_has_it() {
    for round in 0..5 {
        let sandbox = machine();
        let started: Vec<_> = ["a", "b"]
            .map(|name| {
                let document = json!({ "app": name, "mappings": [{ "mount_point": "/srv/x" }] });
                let mut command = sandbox.datastore_command(&["config", "add", "--json"]);
                let mut child =
                    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
                let mut input = child.stdin.take().unwrap();
                std::io::Write::write_all(&mut input, document.to_string().as_bytes()).unwrap();
                child
            })
            .into();
        let codes: Vec<_> = started.into_iter().map(|child| child.wait_with_output().unwrap().status.code()).collect();
        let done = codes.iter().filter(|code| **code == Some(0)).count();
        // The other one finds the place taken, or that somebody is at work.
        assert!(done == 1 && codes.iter().all(|c| matches!(c, Some(0 | 3 | 6))), "round {round}: {codes:?}");
        let files = ["a", "b"].into_iter().filter(|name| sandbox.exists(format!("/etc/datastore.d/{name}.conf")));
        assert_eq!(files.count(), 1, "round {round}");
        sandbox.datastore(&["config", "check"]).ok();
    }
}

#[test]
fn whoever_is_at_work_on_the_app_is_named() {
    let sandbox = machine();
    add(&sandbox, &photos()).ok();
    sandbox.write("/run/datastore/lock/app-photos.lock", "");
    let file = std::fs::File::open(sandbox.path("/run/datastore/lock/app-photos.lock")).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    add(&sandbox, &photos_with("/title", "P".into())).code(6).says("locked");
    drop(file);
    add(&sandbox, &photos_with("/title", "P".into())).ok();
}

#[test]
fn a_full_disk_leaves_the_old_configlet() {
    let sandbox = machine();
    add(&sandbox, &photos()).ok();
    let old = sandbox.read(CONF);
    sandbox.tmpfs("/mnt/etc", 64 << 10);
    sandbox.write("/mnt/etc/photos.conf", &old);
    sandbox.bind("/mnt/etc", "/etc/datastore.d");
    let mut long = String::new();
    while std::fs::write(sandbox.path("/mnt/etc/fill"), &long).is_ok() {
        let _ = write!(long, "{:4096}", "");
    }
    let run = add(&sandbox, &photos_with("/title", "P".into()));
    let said = run.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    run.code(1);
    assert!(said.contains(&format!("{CONF} cannot be written")) && said.contains("taken back"), "{said}");
    assert_eq!(sandbox.read(CONF), old);
    assert_eq!(picture::leftovers(sandbox.root()), Vec::<String>::new());
    std::fs::remove_file(sandbox.path("/mnt/etc/fill")).unwrap();
    assert_eq!(add(&sandbox, &photos_with("/title", "P".into())).ok().json()["changed"], true);
}
