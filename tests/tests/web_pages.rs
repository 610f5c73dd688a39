//! The web page as it is sent: who is let in, what a form can do, what reaches root, what is escaped, in which language.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use datastore_core::state::{Reason, State};
use datastore_tests::repository;
use datastore_tests::web::Web;
use serde_json::Value;

const DISKS: &[(&str, u64)] = &[("sdb", 64 << 20), ("sdc", 64 << 20)];
/// Every page that can be asked for without anything more.
const PAGES: &[&str] = &[
    "",
    "/volumes",
    "/volumes/add",
    "/parked",
    "/records",
    "/findings",
    "/mapping/add",
    "/app/view/shop",
    "/records/app/shop",
];
/// Every form, with fields that it would take.
const FORMS: &[(&str, &[(&str, &str)])] = &[
    ("/measure", &[("measure", "1")]),
    ("/plan/make", &[("verb", "stop"), ("app", "shop")]),
    ("/plan/apply", &[("plan", "0123456789abcdef")]),
    ("/operation/recover", &[("recover", "1")]),
    ("/mapping/add", &[("submit", "x"), ("app", "new"), ("mount_point", "/srv/new")]),
    ("/mapping/edit/shop", &[("submit", "x"), ("app", "shop"), ("mount_point", "/srv/shop")]),
    ("/mapping/remove", &[("app", "shop")]),
    (
        "/volumes/add",
        &[("submit", "x"), ("volume", "data9"), ("device", "/dev/sdc"), ("format", "ext4"), ("confirm", "/dev/sdc")],
    ),
    ("/volumes/remove", &[("volume", "data1")]),
];

/// A server with an app `shop` that is bound.
fn server() -> Web {
    let web = Web::new(DISKS, 2);
    app(&web, "shop", "/srv/shop");
    web.datastore(&["apply", "--yes"]).ok();
    web
}

fn app(web: &Web, name: &str, mount_point: &str) {
    let at = mount_point.replace('\\', "\\\\").replace('"', "\\\"");
    web.sandbox().configlet(name, &format!("[mapping.\"{at}\"]\ntarget = \"%{{base}}/{name}\"\n"));
}

/// Notes each command line that sudo lets through, one word a line, and an empty line after each.
fn watch_the_gate(web: &Web) {
    let gate = "/usr/sbin/datastore-webconfig";
    let real = "/usr/sbin/datastore-gate";
    fs::rename(web.sandbox().path(gate), web.sandbox().path(real)).expect("rename the gate");
    // It runs what lies beside it, wherever it is itself.
    web.sandbox().script(gate, &format!("printf '%s\\n' \"$@\" '' >> /var/log/gate\nexec {real} \"$@\""));
}

fn let_through(web: &Web) -> String {
    if web.sandbox().exists("/var/log/gate") { web.sandbox().read("/var/log/gate") } else { String::new() }
}

/// What tells whether anything has changed.
fn state(web: &Web) -> (String, Vec<String>, String) {
    let sandbox = web.sandbox();
    let mounts = sandbox.mountinfo().into_iter().map(|mount| mount.mount_point.display().to_string()).collect();
    let configlets = web.root("cat /etc/datastore.conf /etc/datastore.d/*").ok().stdout;
    (configlets, mounts, sandbox.read("/etc/fstab"))
}

#[test]
fn nobody_is_let_in_without_the_token() {
    let web = server();
    let stranger = web.stranger();
    for path in [
        "/",
        "/app",
        "/app/datastore",
        "/?token=",
        "/?token=a-token",
        "/?token[]=x",
        "/app/datastore/operation/progress/0123456789abcdef",
    ] {
        let answer = stranger.get(path);
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.body.contains("You are not let in"), "{path}: {}", answer.body);
    }
    for (form, fields) in FORMS {
        assert_eq!(stranger.send(&format!("/app/datastore{form}"), fields).status, 403, "{form}");
    }
    assert_eq!(web.visitor().get("/app/datastore").status, 200);
    // A new token shuts out whoever came with the old one.
    let visitor = web.visitor();
    web.root("printf 'another-token-of-this-server' > /etc/datastore-web.token").ok();
    assert_eq!(visitor.get("/app/datastore").status, 403);
    web.root(": > /etc/datastore-web.token").ok();
    assert_eq!(visitor.get("/?token=").status, 403);
    assert_eq!(web.grumbles(), Vec::<String>::new());
}

#[test]
fn only_a_form_with_its_token_asks_for_anything() {
    let web = server();
    watch_the_gate(&web);
    let before = state(&web);
    let visitor = web.visitor();
    for (form, fields) in FORMS {
        let path = format!("/app/datastore{form}");
        assert_eq!(visitor.send(&path, fields).status, 403, "{form}: without a token");
        let mut forged = fields.to_vec();
        forged.push(("ci_csrf_token", "00000000000000000000000000000000"));
        assert_eq!(visitor.send(&path, &forged).status, 403, "{form}: with another's token");
        // By a link.
        let query: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert!([200, 303].contains(&visitor.get(&format!("{path}?{}", query.join("&"))).status), "{form}");
    }
    assert_eq!(state(&web), before);
    // The page of a new volume lists disks; nothing else was asked for.
    assert_eq!(let_through(&web), "volume\ncandidates\n--json\n\n");
    assert_eq!(web.grumbles(), Vec::<String>::new());
}

#[test]
fn nothing_but_what_is_registered_reaches_root() {
    let web = server();
    watch_the_gate(&web);
    let visitor = web.visitor();
    let shop = ("app", "shop");
    let odd: &[(&str, &[(&str, &str)])] = &[
        ("/plan/make", &[("verb", "volume"), shop]),
        ("/plan/make", &[("verb", "--root=/tmp"), shop]),
        ("/plan/make", &[("verb", "stop"), ("app", "nosuch")]),
        ("/plan/make", &[("verb", "stop"), ("app", "--root=/tmp")]),
        ("/plan/make", &[("verb", "stop"), ("app", "shop;id")]),
        ("/plan/make", &[("verb", "stop"), ("app", "shop home")]),
        ("/plan/make", &[("verb", "stop"), ("app[]", "shop")]),
        ("/plan/make", &[("verb[]", "stop"), shop]),
        ("/plan/make", &[("verb", "stop")]),
        ("/plan/make", &[("verb", "move"), shop, ("to", "/srv")]),
        ("/plan/make", &[("verb", "move"), shop, ("to", "nosuch")]),
        ("/plan/make", &[("verb", "move"), shop, ("to", "data1"), ("max-downtime", "1; id")]),
        ("/plan/make", &[("verb", "move"), shop, ("to", "data1"), ("verify", "sample")]),
        ("/plan/make", &[("verb", "move"), shop, ("undo", "1"), ("keep", "--yes")]),
        ("/plan/apply", &[("plan", "../../etc/passwd")]),
        ("/plan/apply", &[("plan", "0123456789abcdef --root=/tmp")]),
        ("/mapping/remove", &[("app", "nosuch")]),
        ("/volumes/remove", &[("volume", "nosuch")]),
        (
            "/volumes/add",
            &[("submit", "x"), ("volume", "--force"), ("device", "/dev/sdc"), ("format", ""), ("confirm", "")],
        ),
        (
            "/volumes/add",
            &[
                ("submit", "x"),
                ("volume", "data9"),
                ("device", "/dev/sdb"),
                ("format", "ext4"),
                ("confirm", "/dev/sdc"),
            ],
        ),
    ];
    for (form, fields) in odd {
        let answer = visitor.post(&format!("/app/datastore{form}"), fields);
        assert!(answer.status < 500, "{form} {fields:?}: {}", answer.body);
        let said = answer.body.contains("class='infobox infobox-warning'");
        assert!(said || answer.location() == Some("/app/datastore"), "{form} {fields:?}: {}", answer.body);
    }
    for path in [
        "/app/view/nosuch",
        "/records/app/nosuch",
        "/operation/view/nosuch",
        "/operation/view/0123456789abcdef",
        "/mapping/edit/nosuch",
    ] {
        let answer = visitor.get(&format!("/app/datastore{path}"));
        assert!(answer.body.contains("class='infobox infobox-warning'"), "{path}: {}", answer.body);
    }
    for path in [
        "/nosuch",
        "/plan/_options",
        "/plan/nosuch",
        "/datastore/__construct",
        "/plan/__get/x",
        "/app/view/shop/more",
        "/volumes/index/1",
    ] {
        assert_eq!(visitor.get(&format!("/app/datastore{path}")).status, 404, "{path}");
    }
    for path in [
        "/approot/datastore/htdocs/../deploy/info.php",
        "/approot/datastore/htdocs/..%2fdeploy%2finfo.php",
        "/theme/../index.php",
        "/approot/../index.php",
    ] {
        let answer = visitor.get(path);
        assert!(!answer.body.contains("<?php") && !answer.body.contains("basename"), "{path}: {}", answer.body);
    }
    let lines = let_through(&web).replace("volume\ncandidates\n--json\n\n", "");
    assert_eq!(lines, "");
    assert_eq!(web.grumbles(), Vec::<String>::new());
}

#[test]
fn sudo_lets_the_web_user_do_nothing_else() {
    let web = server();
    let before = state(&web);
    for line in [
        "sudo -n /usr/sbin/datastore stop shop",
        "sudo -n /bin/sh -c id",
        "sudo -n -u nobody /usr/sbin/datastore-webconfig doctor --json",
        "sudo -n LD_PRELOAD=/tmp/x.so /usr/sbin/datastore-webconfig doctor --json",
        "sudo -n /usr/sbin/datastore-webconfig --root /tmp plan apply --save --json",
        "sudo -n /usr/sbin/datastore-webconfig stop shop",
        "sudo -n /usr/sbin/datastore-webconfig plan stop shop --save --json --root=/tmp",
        "sudo -n /usr/sbin/datastore-webconfig apply --yes --json",
        "cp /usr/sbin/datastore /tmp/datastore-webconfig && sudo -n /tmp/datastore-webconfig stop shop",
        "datastore stop shop",
        "echo x > /etc/datastore.d/own.conf",
        "umount /srv/shop",
    ] {
        let run = web.user(line);
        assert!(!run.status.success(), "{line}: {}{}", run.stdout, run.stderr);
    }
    assert_eq!(state(&web), before);
    // And this is what it may.
    let run = web.user("sudo -n /usr/sbin/datastore-webconfig plan stop shop --save --json").ok();
    let plan: Value = serde_json::from_str(&run.stdout).expect("a plan");
    assert_eq!(plan["goal"], "stop shop");
}

#[test]
fn what_comes_from_outside_is_escaped() {
    let web = Web::new(DISKS, 2);
    let evil = "/srv/<script>alert(1)</script>'\"&amp;";
    app(&web, "evil", evil);
    // What is refused is told in a sentence that names it.
    web.sandbox().write(evil, "");
    web.datastore(&["apply", "--yes"]);
    let visitor = web.visitor();
    let escaped = "/srv/&lt;script&gt;alert(1)&lt;/script&gt;&#039;&quot;&amp;amp;";
    let overview = visitor.get("/app/datastore").body;
    assert!(overview.contains(escaped), "{overview}");
    for path in ["", "/app/view/evil", "/findings", "/records", "/app/view/%3Cscript%3E", "/mapping/edit/evil"] {
        let page = visitor.get(&format!("/app/datastore{path}")).body;
        assert!(!page.contains("<script>"), "{path}: {page}");
    }
    let typed = "\"><script>x</script>'";
    let page = visitor.post(
        "/app/datastore/mapping/add",
        &[("submit", "x"), ("app", typed), ("mount_point", typed), ("target", typed), ("title", typed)],
    );
    assert!(
        page.status == 200 && page.body.contains("&lt;script&gt;") && !page.body.contains("<script>"),
        "{}",
        page.body
    );
    assert!(
        page.header("Content-Security-Policy")
            .is_some_and(|policy| policy.contains("script-src 'self'") && !policy.contains("unsafe"))
    );
    assert_eq!(web.grumbles(), Vec::<String>::new());
}

/// A server with an app `slow`, whose hook goes on as long as /run/slow is there, the first time.
fn slow_server() -> Web {
    let web = server();
    web.sandbox().script(
        "/usr/local/sbin/slow",
        "test -e /run/once && exit; touch /run/once /run/slow; while test -e /run/slow; do sleep 0.05; done",
    );
    let text = "premount = \"/usr/local/sbin/slow\"\n[mapping.\"/srv/slow\"]\ntarget = \"%{base}/slow\"\n";
    web.sandbox().configlet("slow", text);
    web
}

#[test]
fn who_is_at_work_is_said() {
    let web = slow_server();
    let visitor = web.visitor();
    let first = visitor.begin(&[("verb", "start"), ("app", "slow")]);
    web.sandbox().wait_for("/run/slow");
    let overview = visitor.get("/app/datastore").body;
    assert!(overview.contains("At work") && overview.contains(&first), "{overview}");
    // Somebody else wants the same app at the same time.
    let second = visitor.outcome(&visitor.begin(&[("verb", "enable"), ("app", "slow")]));
    assert!(second.contains("Not done") && second.contains("slow") && second.contains("since"), "{second}");
    fs::remove_file(web.sandbox().path("/run/slow")).expect("let the hook end");
    let page = visitor.outcome(&first);
    assert!(page.contains("Done") && web.sandbox().bound("/srv/slow").is_some(), "{page}");
    assert_eq!(web.grumbles(), Vec::<String>::new());
}

#[test]
fn what_was_killed_is_told_and_finished() {
    let web = slow_server();
    let visitor = web.visitor();
    let follow = visitor.begin(&[("verb", "start"), ("app", "slow")]);
    web.sandbox().wait_for("/run/slow");
    // Whoever presses twice follows the same.
    let plan = follow.rsplit('/').next().expect("a name");
    let again = visitor.post("/app/datastore/plan/apply", &[("plan", plan)]);
    assert_eq!(again.location(), Some(&*follow));
    assert!(visitor.get(&follow).body.contains("id='ds-follow'"));
    web.root("pkill -KILL -f 'datastore apply --plan'").ok();
    let page = visitor.outcome(&follow);
    assert!(page.contains("start slow stopped half-way") && page.contains("Finish it"), "{page}");
    let overview = visitor.get("/app/datastore").body;
    assert!(overview.contains("An operation stopped half-way") && overview.contains("Finish it"), "{overview}");
    fs::remove_file(web.sandbox().path("/run/slow")).expect("let the hook end");
    let follow =
        visitor.post("/app/datastore/operation/recover", &[("recover", "1")]).location().expect("a page").to_owned();
    let page = visitor.outcome(&follow);
    assert!(page.contains("Done"), "{page}");
    assert!(!visitor.get("/app/datastore").body.contains("stopped half-way"));
    assert_eq!(web.grumbles(), Vec::<String>::new());
}

/// The texts of a language.
fn texts(app: &str, language: &str) -> BTreeMap<String, String> {
    let file = repository(&format!(
        "webconfig/{app}/language/{language}/{}_lang.php",
        app.rsplit('/').next().expect("a name")
    ));
    let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("read {}: {e}", file.display()));
    let line = |line: &str| {
        let (key, value) = line.strip_prefix("$lang['")?.strip_suffix("';")?.split_once("'] = '")?;
        Some((key.to_owned(), value.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

#[test]
fn every_language_has_every_text() {
    for app in ["apps/datastore", "standin/apps/base"] {
        let english = texts(app, "en_US");
        assert!(english.len() > 20, "{app}");
        for language in ["de", "es"] {
            let other = texts(app, language);
            assert_eq!(english.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>(), "{app}, {language}");
            for (key, text) in &other {
                // What is put in, in the same order.
                let places =
                    |text: &str| text.split('%').skip(1).filter_map(|rest| rest.chars().next()).collect::<String>();
                assert_eq!(places(text), places(&english[key]), "{app}, {language}: {key}");
                assert!(!text.trim().is_empty(), "{app}, {language}: {key}");
            }
        }
    }
}

#[test]
fn every_state_and_reason_has_its_word() {
    let english = texts("apps/datastore", "en_US");
    let text = fs::read_to_string(repository("webconfig/apps/datastore/libraries/Text.php")).expect("read Text.php");
    let words = State::ALL
        .iter()
        .map(|word| format!("state_{word}"))
        .chain(Reason::ALL.iter().map(|word| format!("reason_{word}")));
    let mut seen = BTreeSet::new();
    for word in words.map(|word| word.replace('-', "_")) {
        assert!(english.contains_key(&format!("datastore_{word}")), "{word} has no text");
        let bare = word.split_once('_').expect("a prefix").1;
        assert!(text.contains(&format!("'{bare}'")), "{word} is not looked up");
        seen.insert(word);
    }
    assert_eq!(seen.len(), State::ALL.len() + Reason::ALL.len());
}

#[test]
fn every_page_is_whole_in_every_language() {
    let web = server();
    for (language, word) in [("en", "Overview"), ("de", "Übersicht"), ("es", "Resumen"), ("fr", "Overview")] {
        let mut visitor = web.visitor();
        visitor.language = language;
        for page in PAGES {
            let answer = visitor.get(&format!("/app/datastore{page}"));
            assert_eq!(answer.status, 200, "{page}");
            assert!(
                answer.body.contains(word) && answer.body.ends_with("</html>\n"),
                "{language} {page}: {}",
                answer.body
            );
            assert!(!answer.body.contains("**"), "{language} {page} lacks a text: {}", answer.body);
        }
    }
    assert_eq!(web.grumbles(), Vec::<String>::new());
}

/// Asks the drop-in class for app-storage what its callers ask.
fn storage(web: &Web, more: &str) -> Value {
    let php = r#"
        require_once getenv("CLEAROS_BOOTSTRAP") . "/bootstrap.php";
        clearos_load_library("storage/Storage");
        $storage = new \clearos\apps\storage\Storage();
        MORE
        echo json_encode([
            "base" => $storage->get_base(), "mount_points" => $storage->get_mount_points(), "mappings" => $storage->get_mapping_details(),
            "shop" => $storage->get_store_details("/srv/shop"), "none" => $storage->get_store_details("/nosuch"),
            "state" => $storage->get_state("/srv/shop"), "message" => $storage->get_state_message("/srv/shop"), "nobody" => $storage->get_state("/nosuch"),
        ]);
    "#;
    web.sandbox().write("/tmp/storage.php", format!("<?php {}", php.replace("MORE", more)));
    let run = web.user(
        "CLEAROS_BOOTSTRAP=/usr/share/datastore-web/standin/shared DATASTORE_WEB_TMP=/var/lib/datastore-web LD_LIBRARY_PATH=/usr/local/lib \
         php -n -d error_reporting=-1 -d display_errors=1 -d extension=/usr/local/lib/datastore.so /tmp/storage.php",
    );
    let run = run.ok();
    serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", run.stdout, run.stderr))
}

#[test]
fn callers_of_app_storage_go_on_unchanged() {
    let web = server();
    let active = |store: &str| serde_json::json!({ "store": store, "state": "active", "state_message": "active", "state_level": "good" });
    let seen = storage(&web, "");
    let shop = active("/store/data0/live/server1/shop");
    assert_eq!(seen["base"], "/store/data0/live/server1");
    assert_eq!(seen["mount_points"], serde_json::json!(["/store/data0", "/store/data1"]));
    assert_eq!(seen["mappings"], serde_json::json!({ "shop": { "name": "shop", "mappings": { "/srv/shop": shop } } }));
    assert_eq!(seen["shop"]["plugin_name"], "shop");
    assert_eq!((&seen["state"], &seen["nobody"]), (&"active".into(), &"unitialized".into()));
    assert_eq!(seen["none"], serde_json::json!([]));

    // The states of the others, one by one.
    app(&web, "full", "/srv/full");
    web.sandbox().write("/srv/full/x", "");
    app(&web, "new", "/srv/new");
    app(&web, "away", "/srv/away");
    let text = web.sandbox().read("/etc/datastore.d/away.conf");
    web.sandbox().write("/etc/datastore.d/away.conf", text + "volume = \"data7\"\n");
    app(&web, "taken", "/srv/taken");
    web.root("mkdir -p /srv/taken && mount -t tmpfs none /srv/taken").ok();
    let states = |seen: &Value| {
        let row = |app: &str| {
            let row = &seen["mappings"][app]["mappings"][format!("/srv/{app}")];
            (
                row["state"].as_str().expect("a state").to_owned(),
                row["state_level"].as_str().expect("a level").to_owned(),
            )
        };
        ["full", "new", "away", "taken"].map(row)
    };
    let bad = |state: &str| (state.to_owned(), "bad".to_owned());
    let wanted = [bad("source_folder_non_empty"), bad("unitialized"), bad("base_not_exist"), bad("already_has_mount")];
    assert_eq!(states(&storage(&web, "")), wanted);

    // What do_mount can bind, it binds; the others stay as they are.
    let seen = storage(&web, "$storage->do_mount();");
    assert_eq!(states(&seen)[1], ("active".to_owned(), "good".to_owned()));
    assert!(web.sandbox().bound("/srv/new").is_some());
    assert_eq!(states(&seen)[0], wanted[0]);
}
