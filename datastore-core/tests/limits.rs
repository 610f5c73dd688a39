//! What is written to exhaust the machine: deep, long, many, and alike. Each is read in seconds, by a build that is hardly optimised, on a
//! stack that is not larger than a thread's; and it is refused, or understood, with words that fit on a page.
#![allow(clippy::disallowed_methods, reason = "the clock is what is tested; core itself stays pure")]

use std::time::{Duration, Instant};

use datastore_core::config::{GLOBALS, Input, MAX_FILE, MAX_MAPPINGS, Role};
use datastore_core::declaration::Declaration;
use datastore_core::fstab::{Entry, Fstab};
use datastore_core::journal;
use datastore_core::manifest::Manifest;
use datastore_core::mountinfo::MountTable;
use datastore_core::owners::Owners;
use datastore_core::resolve::{Incumbents, resolve};
use datastore_core::wanted::Wanted;
use datastore_core::{AbsPath, edit};

/// The most that one of them may take here. The promise is two seconds for what is installed, which is some three times as fast; a machine
/// that is at work on other things is given some more.
const LIMIT: Duration = Duration::from_secs(8);
/// As a thread of the product has it.
const STACK: usize = 2 << 20;
const MIB: usize = MAX_FILE as usize;
const GLOBAL_TEXT: &str = "host = \"h\"\n[volume.data0]\nid = \"11111111-2222-4333-8444-555555555555\"\n";

/// Runs it on a small stack, and demands that it ends in time.
fn in_time<T: Send + 'static>(what: &str, body: impl FnOnce() -> T + Send + 'static) -> T {
    let begun = Instant::now();
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(body).unwrap();
    let result = thread.join().unwrap_or_else(|_| panic!("{what}: panicked"));
    let took = begun.elapsed();
    assert!(took < LIMIT, "{what}: took {took:?}");
    result
}

/// The pattern as often as it fits into a mebibyte.
fn filled(pattern: &str) -> String {
    pattern.repeat(MIB / pattern.len())
}

/// As many numbered ones as fit, or as there may be.
fn numbered(most: usize, one: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for n in 0..most {
        let more = one(n);
        if text.len() + more.len() > MIB {
            break;
        }
        text.push_str(&more);
    }
    text
}

fn wanted(configlets: &[(&str, String)]) -> Wanted {
    let each = configlets
        .iter()
        .map(|(app, text)| Input::read(format!("/etc/datastore.d/{app}.conf"), Role::Configlet, *app, text.as_bytes()));
    resolve(
        std::iter::once(Input::read(GLOBALS, Role::Globals, "", GLOBAL_TEXT)).chain(each).collect(),
        &Incumbents::new(),
    )
}

/// What is found in one configlet: never more than somebody reads.
fn refused(what: &str, text: String) {
    let name = what.to_owned();
    let (count, longest, is_refused) = in_time(what, move || {
        let wanted = wanted(&[("a", text), ("good", "[mapping.\"/srv/good\"]\ntarget = \"%{base}/good\"\n".into())]);
        let good = wanted.app(&"good".parse().unwrap()).unwrap();
        assert!(
            good.problem.is_none() && wanted.mappings.iter().any(|m| m.app.as_str() == "good" && m.problem.is_none()),
            "{name}"
        );
        let longest = wanted.diagnostics.iter().map(|d| d.to_string().len()).max().unwrap_or(0);
        let a = wanted.app(&"a".parse().unwrap()).unwrap();
        (
            wanted.diagnostics.len(),
            longest,
            a.problem.is_some() || wanted.mappings.iter().all(|m| m.app.as_str() != "a" || m.problem.is_some()),
        )
    });
    assert!(is_refused, "{what}: it is not refused");
    assert!((1..=200).contains(&count) && longest < 4000, "{what}: {count} findings, one of them {longest} bytes long");
}

#[test]
fn deep_toml() {
    let keys = vec!["a"; 79].join(".");
    let inline = format!("{keys} = {{ ").repeat(79) + "b = 1" + &"}".repeat(79);
    for (what, text) in [
        ("arrays in arrays", format!("a = {}", filled("["))),
        ("inline tables in inline tables", format!("a = {}", filled("{a="))),
        ("a key of many parts", format!("{} = 1\n", filled("a.").trim_end_matches('.'))),
        ("a table of many parts", format!("[{}]\n", filled("a.").trim_end_matches('.'))),
        ("tables of as many parts as may be, in each other", inline.clone()),
        ("the same in tables", format!("[{keys}]\n{inline}\n")),
        ("the same many times", numbered(100_000, |n| format!("[t{n}.{keys}]\n{keys} = 1\n"))),
    ] {
        refused(what, text.clone());
        in_time(what, move || {
            let _ = (edit::enabled("f", Some(&text), true), Manifest::parse(&text), Owners::parse(&text));
        });
    }
}

#[test]
fn long_toml() {
    for (what, text) in [
        ("a key of a mebibyte", format!("\"{}\" = 1", "x".repeat(MIB - 10))),
        ("a mount point of a mebibyte", format!("[mapping.\"/{}\"]\ntarget = \"%{{base}}/x\"", "x".repeat(MIB - 50))),
        (
            "a target of a mebibyte",
            format!("[mapping.\"/srv/a\"]\ntarget = \"%{{base}}/{}\"", "x/".repeat(MIB / 2 - 30)),
        ),
        ("an expansion of a mebibyte", format!("[mapping.\"/srv/a\"]\ntarget = \"%{{{}}}\"", "x".repeat(MIB - 50))),
        (
            "a mode of a mebibyte",
            format!("[mapping.\"/srv/a\"]\ntarget = \"%{{base}}/a\"\npermissions = \"{}\"", "7".repeat(MIB - 90)),
        ),
        (
            "an owner of a mebibyte",
            format!("[mapping.\"/srv/a\"]\ntarget = \"%{{base}}/a\"\nowner = \"{}\"", "o".repeat(MIB - 90)),
        ),
        (
            "an option of a mebibyte",
            format!("[mapping.\"/srv/a\"]\ntarget = \"%{{base}}/a\"\noptions = [\"{}\"]", "o".repeat(MIB - 90)),
        ),
        ("a service of a mebibyte", format!("services = [\"{}!\"]", "s".repeat(MIB - 50))),
        ("a number of a mebibyte", format!("hook_timeout = {}", "9".repeat(MIB - 20))),
        ("a mebibyte that is no TOML", filled("= ")),
        ("a mebibyte of quotes", filled("\"")),
        ("a mebibyte of keys on one line", filled("a ")),
    ] {
        refused(what, text);
    }
}

#[test]
fn many_of_one_thing() {
    let inline = |n: usize| format!("\"/srv/{n}\"={{target=\"/etc\"}},");
    for (what, text) in [
        ("unknown keys", numbered(MIB, |n| format!("k{n} = 1\n"))),
        ("mappings without a target", numbered(MIB, |n| format!("[mapping.\"/srv/{n}\"]\n"))),
        (
            "mappings to a place that is closed",
            numbered(MIB, |n| format!("[mapping.\"/srv/{n}\"]\ntarget = \"/etc\"\n")),
        ),
        ("the same on one line", format!("mapping = {{{}}}", numbered(MAX_MAPPINGS, inline).trim_end_matches(','))),
        ("mappings with one store", numbered(MIB, |n| format!("[mapping.\"/srv/{n}\"]\ntarget = \"%{{base}}/x\"\n"))),
        (
            "mappings in each other's stores",
            numbered(MIB, |n| {
                format!(
                    "[mapping.\"/srv/{n}\"]\ntarget = \"%{{base}}/x{}\"\n",
                    if n == 0 { String::new() } else { format!("/{n}") }
                )
            }),
        ),
        ("services that are none", format!("services = [{}]", numbered(MIB, |n| format!("\"!{n}\",")))),
        (
            "options that are none",
            format!(
                "[mapping.\"/srv/a\"]\ntarget = \"%{{base}}/a\"\noptions = [{}]",
                numbered(MIB - 90, |n| format!("\"!{n}\","))
            ),
        ),
    ] {
        refused(what, text);
    }
}

#[test]
fn php_that_goes_deep_or_on() {
    let begin = "<?php $mapping['/srv/a']['target'] = ";
    for (what, pattern) in [
        ("parentheses", "("),
        ("arrays", "array("),
        ("short arrays", "["),
        ("blocks", "{"),
        ("functions", "f("),
        ("conditions", "if(a)"),
        ("pieces of text", "'a'."),
        ("variables in texts", "\"{$a}\"."),
        ("variables of variables", "$$"),
        ("beginnings of here documents", "<<<A\n"),
        ("quotes", "'"),
        ("signs", "-"),
    ] {
        let text = format!("{begin}{}", filled(pattern));
        refused(what, text[..text.len().min(MIB)].to_owned());
    }
    let doubled = numbered(MIB, |n| if n == 0 { "<?php $a = 'x'; ".into() } else { "$a = $a . $a; ".into() });
    refused("a text that doubles", format!("{} $mapping['/srv/a']['target'] = $a;", &doubled[..MIB - 100]));
    let many = numbered(MIB, |n| format!("$mapping['/srv/{n}']['target']='/etc';"));
    refused("mappings", format!("<?php {}", &many[..MIB - 40]));
    let variables = numbered(MIB - 50, |n| format!("$v{n}='x';"));
    refused("variables", format!("<?php {variables}$mapping['/srv/a']['target']=$v1;"));
}

/// A configlet that asks for more than may be is refused, and not those that stand behind it.
#[test]
fn one_that_asks_for_too_much_takes_no_room_from_the_others() {
    let many = |from: usize| numbered(MIB, |n| format!("[mapping.\"/m/{from}{n}\"]\ntarget=\"%{{base}}/{from}{n}\"\n"));
    in_time("too many mappings", move || {
        let modest = "[mapping.\"/srv/z\"]\ntarget = \"%{base}/z\"\n".to_owned();
        let wanted = wanted(&[("a", many(1)), ("b", many(2)), ("z", modest.clone()), ("0", modest.replace('z', "0"))]);
        for name in ["0", "z"] {
            let app = wanted.app(&name.parse().unwrap()).unwrap();
            assert!(app.problem.is_none(), "{name}: {:?}", app.problem);
            assert!(wanted.mappings.iter().any(|m| m.app.as_str() == name && m.problem.is_none()), "{name}");
        }
        let good = wanted.mappings.iter().filter(|m| m.problem.is_none()).count();
        assert!(good <= MAX_MAPPINGS && wanted.mappings.len() <= MAX_MAPPINGS, "{good}");
        let said: Vec<String> = wanted.diagnostics.iter().map(datastore_core::diag::Diagnostic::one_line).collect();
        assert!(said.iter().any(|said| said.contains("mappings")), "{said:?}");
    });
}

#[test]
fn json_that_goes_deep_or_on() {
    for pattern in ["[", "{\"a\":", "{\"app\":[", "\"", "9", "-", "\\u0000", "1e9,"] {
        let text = filled(pattern);
        in_time(pattern, move || {
            assert!(Declaration::parse(text.as_bytes()).is_err());
            let line = format!("{:08x} {text}\n", 0);
            assert!(journal::parse(line.as_bytes()).is_err());
        });
    }
    let many = numbered(MIB, |n| format!("{{\"mount_point\":\"/srv/{n}\"}},"));
    let text = format!("{{\"app\":\"a\",\"mappings\":[{}]}}", many.trim_end_matches(','));
    in_time("a document of many mappings", move || Declaration::parse(text.as_bytes()).map(drop).unwrap_err());
}

#[test]
fn tables_of_the_machine() {
    let same = filled("/x /m none bind 0 0\n");
    let ours = numbered(MIB, |n| format!("/x /m/{n} none bind,X-datastore=a 0 0\n"));
    for (what, text) in [
        ("one mount point many times", same.clone()),
        ("many mount points", ours.clone()),
        ("the same in our block", format!("{}{ours}{}", "# datastore: begin\n", "# datastore: end\n")),
        ("one mount point many times in our block", format!("# datastore: begin\n{same}# datastore: end\n")),
        ("one line", filled("\\040")),
        ("blanks", filled(" ")),
        ("begins of blocks", filled("# datastore: begin\n")),
        ("empty lines", filled("\n")),
        ("commas", format!("/x /m none {} 0 0\n", filled(","))),
    ] {
        in_time(what, move || {
            let table = Fstab::parse(text.as_bytes());
            assert_eq!(table.render(), text.as_bytes());
            let point = AbsPath::literal("/m");
            let entry = Entry { file: b"/m".to_vec(), ..Entry::parse(b"/s /m none bind,X-datastore=a 0 0").unwrap() };
            let _ = table.edit(&[table.change(&point, Some(entry))]);
            for row in table.entries().take(3) {
                let _ = (row.entry.option_list().count(), row.entry.option_value("X-datastore"));
            }
        });
    }
    let mounts = numbered(MIB, |n| format!("{} {n} 8:1 / /m/{n} rw - ext4 /dev/sda1 rw\n", n + 1));
    let stacked = numbered(MIB, |n| format!("{} {n} 8:1 / / rw - ext4 /dev/sda1 rw\n", n + 1));
    let circle = numbered(MIB, |n| format!("{} {} 8:1 / /m rw - ext4 /dev/sda1 rw\n", n + 1, (n + 2) % 9000));
    for (what, text) in [("a chain of mounts", mounts), ("mounts on mounts", stacked), ("mounts in circles", circle)] {
        in_time(what, move || {
            let Ok(table) = MountTable::parse(text.as_bytes()) else { return };
            let root = AbsPath::root();
            let _ = (table.at(&root).is_some(), table.below(&root).len(), table.stacked(&root));
            let _ = table.clone().rebased(&AbsPath::literal("/m")).below(&root).len();
        });
    }
}
