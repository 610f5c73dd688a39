//! What each command line is read as.

use std::ffi::OsStr;

use clap::CommandFactory as _;
use datastore_core::ErrorKind;
use datastore_core::request::Asked;

use super::*;

fn read(line: &str) -> Result<Cli, clap::Error> {
    let words: Vec<OsString> =
        std::iter::once("datastore").chain(line.split_whitespace()).map(OsString::from).collect();
    parse(&words)
}

#[test]
fn the_parser_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn the_list_of_verbs_is_that_of_the_parser() {
    let mut known: Vec<String> = Cli::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
    known.push("help".into());
    assert_eq!(known, grammar::VERBS);
}

/// Every verb with the words that lead to it; those of two words under both.
fn verbs() -> Vec<(String, clap::Command)> {
    fn look(command: &clap::Command, above: &str, found: &mut Vec<(String, clap::Command)>) {
        for verb in command.get_subcommands() {
            let path = format!("{above} {}", verb.get_name()).trim_start().to_owned();
            look(verb, &path, found);
            found.push((path, verb.clone()));
        }
    }
    let mut found = Vec::new();
    look(&Cli::command(), "", &mut found);
    found
}

#[test]
fn every_verb_has_examples_that_are_understood() {
    for (path, verb) in verbs() {
        let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples = help.strip_prefix("Examples:\n").unwrap_or_else(|| panic!("{path} has no examples"));
        let mut of_this_verb = 0;
        for line in examples.lines().take_while(|line| !line.is_empty()) {
            // A comment may go on below its command.
            if line.starts_with("   ") {
                continue;
            }
            let command = examples::command(line);
            assert!(command.starts_with("datastore "), "{path}: {line}");
            let words: Vec<OsString> = command.split_whitespace().map(OsString::from).collect();
            let read = parse(&words);
            assert!(read.is_ok(), "{path}: {command}: {}", read.unwrap_err());
            let rewritten = grammar::rewrite(&words).join(OsStr::new(" "));
            of_this_verb += usize::from(rewritten.to_string_lossy().contains(&path));
        }
        assert!(of_this_verb > 0, "{path}: no example is about it");
    }
}

#[test]
fn help_fits_eighty_columns() {
    for (path, mut verb) in verbs() {
        let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
        verb = verb.term_width(80);
        let shown = verb.render_long_help().to_string();
        for line in help.lines() {
            assert!(shown.contains(line), "{path}: this line is cut in two: {line}");
            // In the manual it stands in by 7 columns, and its own 2 are gone.
            assert!(line.chars().count() <= 75, "{path}: {} columns: {line}", line.chars().count());
        }
    }
    for line in Cli::command().get_after_help().unwrap().to_string().lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn the_help_has_the_exit_codes() {
    assert!(Cli::command().get_after_help().unwrap().to_string().contains("Exit codes:\n  0  done"));
}

#[test]
fn what_is_read() {
    let table = [
        ("stop httpd", "Stop(SomeApps { apps: [\"httpd\"] })"),
        ("httpd stop", "Stop(SomeApps { apps: [\"httpd\"] })"),
        ("start httpd home --accept-store", "Start(Start { apps: [\"httpd\", \"home\"], accept_store: true })"),
        ("status", "Status(Names { apps: [] })"),
        ("httpd doctor", "Doctor(Names { apps: [\"httpd\"] })"),
        ("guard --json status", "Guard(Guard { app: Some(\"status\"), service: None, at_start: false })"),
        ("guard --service mariadb", "Guard(Guard { app: None, service: Some(\"mariadb\"), at_start: false })"),
        ("guard --at-start home", "Guard(Guard { app: Some(\"home\"), service: None, at_start: true })"),
        ("check", "Check(MaybeApp { app: None })"),
        ("httpd config check", "Config(Check(MaybeApp { app: Some(\"httpd\") }))"),
        ("config show --origin", "Config(Show { app: None, origin: true })"),
        ("recover --yes", "Recover"),
        ("volume list", "Volume(List)"),
        ("volume remove data1", "Volume(Remove { name: \"data1\" })"),
        ("apply", "Apply(Apply { apps: [], plan: None, accept_store: false })"),
        (
            "apply --plan 0123456789abcdef",
            "Apply(Apply { apps: [], plan: Some(PlanId(\"0123456789abcdef\")), accept_store: false })",
        ),
        ("import home", "Import(Import { app: \"home\", verify: None })"),
        (
            "httpd move --to data1 --max-downtime 5 --verify sample",
            "Move(Move { app: \"httpd\", how: How { to: Some(Volume(\"data1\")), undo: false, keep: None, resume: false, \
             abort: false, max_downtime: Some(5), verify: Some(Sample) } })",
        ),
        (
            "httpd move --undo --keep new",
            "Move(Move { app: \"httpd\", how: How { to: None, undo: true, keep: Some(New), resume: false, abort: false, \
             max_downtime: None, verify: None } })",
        ),
        ("reclaim", "Reclaim(Reclaim { apps: [], expired: false })"),
        (
            "home peek /home/a --copy-to /x",
            "Peek(Peek { app: \"home\", path: Some(AbsPath(/home/a)), list: false, copy_to: Some(\"/x\") })",
        ),
        (
            "httpd log --last 3 --failed",
            "Log(Log { apps: [\"httpd\"], since: None, last: Some(3), failed: true, operation: None, follow: false })",
        ),
    ];
    for (line, verb) in table {
        let cli = read(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        assert_eq!(format!("{:?}", cli.verb), verb, "{line}");
    }
}

#[test]
fn options_for_all_stand_anywhere() {
    for line in ["--root /r --json -y stop a", "stop --root=/r a --json --yes", "a --root /r stop -y --json"] {
        let global = read(line).unwrap_or_else(|e| panic!("{line}: {e}")).global;
        assert_eq!((global.root.to_str(), global.json, global.yes), (Some("/r"), true, true), "{line}");
    }
    let global = read("status").unwrap().global;
    assert_eq!((global.root.to_str(), global.json, global.yes), (Some("/"), false, false));
}

#[test]
fn volumes() {
    let Verb::Init(init) = read("init --device x.img --format xfs --force --enable home,samba mysqld").unwrap().verb
    else {
        panic!("init")
    };
    assert_eq!((init.volume, init.host), (None, None));
    assert_eq!(init.source.device.as_deref(), Some(std::path::Path::new("x.img")));
    assert_eq!((init.source.format.as_deref(), init.source.force), (Some("xfs"), true));
    assert_eq!(init.enable.iter().map(AppName::as_str).collect::<Vec<_>>(), ["home", "samba", "mysqld"]);

    let Verb::Volume(VolumeVerb::Add(add)) = read("volume add data1 --at /mnt/nfs/ --options noatime").unwrap().verb
    else {
        panic!("volume add")
    };
    assert_eq!(add.at, Some(AbsPath::literal("/mnt/nfs")));
    assert_eq!((add.options.as_deref(), add.source.directory), (Some("noatime"), None));
}

#[test]
fn what_is_refused() {
    for line in [
        "",
        "stop",
        "start",
        "restart",
        "enable",
        "guard",
        "guard a b",
        "guard a --service b",
        "stop ../a",
        "a.local stop",
        "apply --plan xyz",
        "apply a --plan 0123456789abcdef",
        "apply --accept-store --plan 0123456789abcdef",
        "volume add",
        "volume add data1 --format ext4",
        "volume add data1 --device /dev/a --force",
        "volume add data1 --device /dev/a --format zfs",
        "volume add data1 --device /dev/a --directory /b",
        "volume add data1 --at b",
        "volume add a/b",
        "httpd recover",
        "httpd volume list",
        "config import",
        "peek",
        "peek home a/b",
        "peek home /a /b",
        "log --since yesterday",
        "log --operation x",
        "log a --operation 20261123T174301250Z-1a2b3c4d",
        "nonsense",
        "move home",
        "move home --to a/b",
        "move home --to data1 --abort",
        "move home --to data1 --verify all",
    ] {
        let error = read(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}: {error}");
    }
    for line in ["--help", "--version", "stop --help", "help stop", "httpd stop --help"] {
        assert_eq!(read(line).expect_err(line).exit_code(), 0, "{line}");
    }
}

#[test]
fn what_is_planned() {
    let goal = |line: &str| match read(line).unwrap_or_else(|e| panic!("{line}: {e}")).verb {
        Verb::Plan(plan) => plan.asked().map(|asked| match asked {
            Asked::Goal(goal) => goal.to_string(),
            Asked::Resume(app) => format!("again for {app}"),
        }),
        other => panic!("{other:?}"),
    };
    for (line, meant) in [
        ("plan", "apply"),
        ("plan apply", "apply"),
        ("plan httpd", "apply httpd"),
        ("plan stop httpd home", "stop httpd home"),
        ("plan httpd stop", "stop httpd"),
        ("httpd plan", "apply httpd"),
        ("httpd plan stop", "stop httpd"),
        ("plan remap httpd --save", "remap httpd"),
        ("plan stop start", "stop start"),
        ("plan stop a a", "stop a"),
        ("plan import home --verify content", "import home --verify content"),
        ("plan reclaim --expired", "reclaim --expired"),
        ("plan move home --to data1", "move home --to data1"),
        ("home plan move --to data1 --max-downtime 5 --save", "move home --to data1 --max-downtime 5"),
        ("plan move home --undo --keep old", "move home --undo --keep old"),
        ("plan move home --resume", "again for home"),
    ] {
        assert_eq!(goal(line).unwrap(), meant, "{line}");
    }
    for line in [
        "plan stop",
        "plan a/b",
        "plan stop a --accept-store",
        "plan stop a --to data1",
        "plan import a --max-downtime 5",
        "plan start a --verify content",
        "plan import a --expired",
        "plan move a",
        "plan move a b --to data1",
        "plan move --to data1",
    ] {
        assert_eq!(goal(line).expect_err(line).kind(), ErrorKind::Usage, "{line}");
    }
    assert!(read("plan move a --keep old").is_err() && read("plan move a --undo --to data1").is_err());
}

#[test]
fn json_is_seen_in_what_is_not_understood() {
    let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
    assert!(asks_for_json(&words("datastore nonsense --json")));
    assert!(!asks_for_json(&words("datastore nonsense -- --json")));
}
