//! The pages of the manual, held against the code: the keys, the states, the examples, and the tutorial as it stands.

use std::collections::BTreeSet;

use datastore_core::state::{Reason, State};
use datastore_core::syntax::keys;
use datastore_tests::manual::{self, PAGES};
use datastore_tests::{Sandbox, hooks};

fn set<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> BTreeSet<String> {
    words.into_iter().map(|w| w.as_ref().to_owned()).collect()
}

/// The tags of a section that are no variables of an environment.
fn keys_of(page: &str, heading: &str) -> Vec<String> {
    let tags = manual::tags(&manual::section(page, heading));
    tags.into_iter().filter(|tag| !tag.starts_with(|c: char| c.is_ascii_uppercase())).collect()
}

#[test]
fn each_page_has_the_keys_that_the_parser_knows_and_no_other() {
    let (global, app) = ("datastore.conf.5", "datastore.d.5");
    for (page, heading, known) in [
        (global, "KEYS", keys::GLOBAL),
        (global, "VOLUMES", keys::VOLUME),
        (global, "ALARMS", keys::ALARM),
        (global, "DECLARED BY PROGRAMS", keys::CONFIG_ADD),
        (app, "KEYS OF AN APP", keys::APP),
        (app, "KEYS OF A MAPPING", keys::MAPPING),
        (app, "CLEAROS FORM", keys::STORAGE),
    ] {
        let shown = keys_of(page, heading);
        assert_eq!(set(&shown), set(known), "{page}, {heading}");
        assert_eq!(shown.len(), known.len(), "{page}, {heading}: a key stands there twice");
    }
    assert_eq!(set(keys_of(global, "CLEAROS")), set(keys::CONFIG.iter().map(|k| format!("$config['{k}']"))));
    assert_eq!(set(keys_of(app, "EXPANSIONS")), set(keys::EXPANSION.iter().map(|word| format!("%{{{word}}}"))));
}

#[test]
fn the_page_of_the_command_has_every_state_and_reason() {
    let shown = manual::tags(&manual::section("datastore.8", "STATES"));
    let known = State::ALL.iter().map(|s| s.as_str()).chain(Reason::ALL.iter().map(|r| r.as_str()));
    assert_eq!(set(shown), set(known));
}

#[test]
fn hooks_find_the_environment_that_the_page_promises() {
    let sandbox = hooks::shop("postmount = \"/usr/bin/env\"\n");
    sandbox.datastore(hooks::APPLY).ok();
    let seen = hooks::newest_log(&sandbox);
    let seen = seen.lines().filter_map(|line| line.trim_start().split_once('=')).map(|(name, _)| name);
    let seen = set(seen.filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_')));
    assert_eq!(set(manual::tags(&manual::section("datastore.d.5", "HOOKS"))), seen);
}

#[test]
fn programs_for_alarms_find_the_environment_that_the_page_promises() {
    let sandbox = Sandbox::initialised();
    let page = sandbox.write("/usr/sbin/page", format!("#!/bin/sh\nenv > {}/seen\n", sandbox.root().display()));
    std::fs::set_permissions(page, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let globals = sandbox.read("/etc/datastore.conf");
    sandbox.write("/etc/datastore.conf", format!("{globals}\n[alarm]\ncommand = [\"/usr/sbin/page\"]\n"));
    sandbox.configlet("shop", hooks::SHOP);
    sandbox.write("/var/shop/order", "mine");
    sandbox.datastore(hooks::APPLY).code(3);
    let seen = sandbox.read("/seen");
    let seen = seen.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
    let promised = manual::tags(&manual::section("datastore.conf.5", "ALARMS")).into_iter();
    let ours = |name: &str| name.starts_with("DATASTORE_");
    assert_eq!(set(promised.filter(|name| ours(name))), set(seen.filter(|name| ours(name))));
}

#[test]
fn every_configlet_in_a_page_is_sound() {
    for page in PAGES {
        let sandbox = Sandbox::new();
        sandbox.write(
            "/etc/datastore.conf",
            "host = \"server1\"\n[volume.data0]\nid = \"8eab02fb-2f06-4445-b89d-7c27e90af31d\"\n",
        );
        sandbox.write("/etc/clearos/storage.conf", "<?php\n$config['base'] = '/store/data0/live/server1';\n");
        let mut files = 0;
        for example in manual::examples(page) {
            match manual::file(&example) {
                Some((path, text)) => {
                    files += 1;
                    sandbox.write(path, text);
                    let run = sandbox.datastore(&["config", "check"]).ok();
                    assert!(run.stdout.starts_with("no errors"), "{page}: {path}: {}", run.stdout);
                }
                // What is no file is a command, with its output or without.
                None => {
                    let first = example.trim_start_matches(['#', '$', ' ']).split(' ').next().unwrap_or_default();
                    assert!(matches!(first, "datastore" | "source"), "{page}: what is this? {example}");
                }
            }
        }
        assert!(files > 0 || *page == "datastore.8", "{page} shows no configlet");
    }
}

/// Everything that the tutorial shows is done in its order, and what it prints there is what the command prints.
#[test]
fn the_tutorial_works_as_it_stands() {
    let sandbox = Sandbox::new();
    let mut commands = 0;
    for example in manual::examples("datastore-configlet.7") {
        if let Some((path, text)) = manual::file(&example) {
            sandbox.write(path, text);
            continue;
        }
        let (mut stdout, mut script) = (String::new(), String::new());
        let mut wanted = Vec::new();
        for line in example.lines() {
            let Some(command) = line.strip_prefix("# ").or(line.strip_prefix("$ ")) else {
                wanted.push(line);
                continue;
            };
            commands += 1;
            let Some(words) = command.strip_prefix("datastore ") else {
                // Paths of the tutorial are those below the root; lines that follow each other are typed into one shell.
                script += &command.replace("/store/", &format!("{}/store/", sandbox.root().display()));
                script.push('\n');
                continue;
            };
            sandbox.run(sandbox.command("sh").args(["-euc", &std::mem::take(&mut script)])).ok();
            let mut words: Vec<&str> = words.split_whitespace().filter(|word| *word != "--yes").collect();
            words.push("--yes");
            stdout = sandbox.datastore(&words).ok().stdout;
            if command == "datastore apply shop"
                && sandbox.bound("/var/shop").is_some()
                && !sandbox.exists("/var/shop/order")
            {
                sandbox.write("/var/shop/order", "one");
            }
        }
        let wanted = wanted.join("\n");
        assert!(stdout.contains(wanted.trim_end()), "{example}\nis not what it prints:\n{stdout}");
        if example.contains("datastore start shop") {
            assert_eq!(sandbox.read("/var/shop/order"), "one", "the data came along: {example}");
        }
    }
    assert!(commands >= 12, "only {commands} commands were found");
    assert_eq!(sandbox.bound("/var/shop"), None, "the tutorial ends with `disable`");
    assert_eq!(sandbox.read("/store/data0/live/server1/new-shop/order"), "one");
}

#[test]
fn every_message_of_the_tutorial_is_one_that_the_command_says() {
    let page = manual::section("datastore-configlet.7", "MISTAKES AND THEIR MESSAGES");
    let shown = manual::tags(&page);
    let a = "[mapping.\"/srv/a\"]\n";
    let files: &[(&str, &[(&str, &str)])] = &[
        ("unknown key `titel`", &[("a", "titel = \"A\"\n")]),
        (
            "`permissions` must be a string, not integer",
            &[("a", &format!("{a}target = \"%{{base}}/a\"\npermissions = 755\n"))],
        ),
        ("the mapping has no `target`", &[("a", a)]),
        ("unknown expansion `%{bas}`", &[("a", &format!("{a}target = \"%{{bas}}/a\"\n"))]),
        ("/tmp/x lies on no volume", &[("a", &format!("{a}target = \"/tmp/x\"\n"))]),
        ("the path is relative; it must begin with `/`", &[("a", "[mapping.\"srv/a\"]\ntarget = \"%{base}/a\"\n")]),
        ("the file is writable by its group (mode 0664)", &[("a", "title = \"A\"\n")]),
        (
            "have one mount point",
            &[("a", &format!("{a}target = \"%{{base}}/a\"\n")), ("b", &format!("{a}target = \"%{{base}}/b\"\n"))],
        ),
        (
            "user `nosuchuser` does not exist yet",
            &[("a", &format!("{a}target = \"%{{base}}/a\"\nowner = \"nosuchuser\"\n"))],
        ),
        ("is not empty; binding would hide what is in it", &[("a", &format!("{a}target = \"%{{base}}/a\"\n"))]),
    ];
    let tried: Vec<&str> = files.iter().map(|(message, _)| *message).collect();
    // The tags are cut at commas, as lists of keys are.
    assert_eq!(shown.join(", "), tried.join(", "));
    for (message, configlets) in files {
        let sandbox = Sandbox::initialised();
        for (app, text) in *configlets {
            let path = sandbox.configlet(app, text);
            let mode = if message.contains("0664") { 0o664 } else { 0o644 };
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        }
        if message.contains("not empty") {
            sandbox.write("/srv/a/letter", "mine");
        }
        let checked = sandbox.datastore(&["config", "check"]);
        let status = sandbox.datastore(&["status"]);
        let said = format!("{}{}{}", checked.stdout, checked.stderr, status.stdout);
        assert!(said.contains(message), "{message}\nis not in\n{said}");
    }
}

#[test]
fn mandoc_and_man_find_nothing_to_complain_about() {
    let sandbox = Sandbox::new();
    for page in PAGES {
        let path = manual::path(page);
        let lint = sandbox.run(sandbox.command("mandoc").args(["-T", "lint", "-W", "warning"]).arg(&path)).ok();
        assert_eq!((lint.stdout.as_str(), lint.stderr.as_str()), ("", ""), "{page}");
        let mut man = sandbox.command("man");
        man.args(["--warnings", "-l"]).arg(&path).env("MANWIDTH", "80").env("MANPAGER", "cat");
        let shown = sandbox.run(man).ok();
        assert_eq!(shown.stderr, "", "{page}");
        assert!(shown.stdout.contains("SEE ALSO"), "{page}: {}", shown.stdout);
        for line in shown.stdout.lines() {
            assert!(line.chars().count() <= 80, "{page}: {line}");
        }
    }
}

#[test]
fn the_command_carries_its_manual() {
    let sandbox = Sandbox::new();
    let list = sandbox.datastore(&["man", "--list", "--json"]).ok().json();
    let listed = list["pages"].as_array().unwrap().iter();
    let listed: Vec<String> = listed.map(|p| format!("{}.{}", p["page"].as_str().unwrap(), p["section"])).collect();
    assert_eq!(listed, PAGES);
    let short = sandbox.datastore(&["man", "--list"]).ok();
    for page in PAGES {
        let (name, section) = page.rsplit_once('.').unwrap();
        // In a pipe it is the source, so that a package can install it.
        assert_eq!(sandbox.datastore(&["man", name]).ok().stdout, manual::source(page), "{page}");
        let json = sandbox.datastore(&["man", name, "--json"]).ok().json();
        assert_eq!(json["roff"], manual::source(page), "{page}");
        assert!(short.stdout.contains(&format!("{name}({section})")), "{}", short.stdout);
    }
    assert_eq!(sandbox.datastore(&["man"]).ok().stdout, manual::source("datastore.8"));
    sandbox.datastore(&["man", "nonsense"]).code(2).says("datastore-configlet");
}

#[test]
fn on_a_terminal_man_opens_the_page_and_without_man_it_is_plain_text() {
    let sandbox = Sandbox::new();
    let line = format!("{} man datastore.d", datastore_tests::binary::datastore().display());
    let on_terminal = |path: &str| {
        let mut script = sandbox.command("/usr/bin/script");
        script.args(["-qec", &line, "/dev/null"]).env("PATH", path).env("MANPAGER", "cat").env("TERM", "dumb");
        sandbox.run(script).ok().stdout
    };
    let opened = on_terminal("/usr/bin:/bin");
    assert!(opened.contains("DATASTORE.D(5)"), "man(1) writes a head line: {opened}");
    let plain = on_terminal("/nowhere");
    assert!(!plain.contains("DATASTORE.D(5)") && !plain.contains(".SH"), "{plain}");
    assert!(plain.contains("KEYS OF A MAPPING") && plain.contains("       permissions = string of 3"), "{plain}");
}
