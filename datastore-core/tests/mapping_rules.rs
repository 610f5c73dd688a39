//! Random configlets, good and bad: which mappings are let through is held against rules that share no code with the product, and what is
//! wrong with one configlet changes nothing for the others.
//!
//! A few thousand cases; `DATASTORE_RIGS=release` makes them a hundred thousand.
#![allow(
    clippy::disallowed_methods,
    reason = "how many cases there are is told by the environment; core itself stays pure"
)]

mod oracle;

use std::collections::BTreeMap;

use datastore_core::config::{GLOBALS, Input, Role};
use datastore_core::mapping::Mapping;
use datastore_core::resolve::{Incumbents, resolve};
use datastore_core::syntax::print::quoted;
use datastore_core::wanted::Wanted;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

const GLOBAL_TEXT: &str = "host = \"h\"\n[volume.data0]\nid = \"11111111-2222-4333-8444-555555555555\"\n";

/// One mapping as somebody writes it.
#[derive(Debug, Clone)]
struct Said {
    mount_point: String,
    target: Option<String>,
    permissions: Option<String>,
    owner: Option<String>,
    group: Option<String>,
    volume: Option<String>,
    options: Option<Vec<String>>,
    unusual: bool,
}

impl Said {
    fn toml(&self) -> String {
        let mut text = format!("[mapping.{}]\n", quoted(&self.mount_point));
        for (key, value) in [
            ("target", &self.target),
            ("permissions", &self.permissions),
            ("owner", &self.owner),
            ("group", &self.group),
            ("volume", &self.volume),
        ] {
            if let Some(value) = value {
                text += &format!("{key} = {}\n", quoted(value));
            }
        }
        if let Some(options) = &self.options {
            text += &format!("options = [{}]\n", options.iter().map(|o| quoted(o)).collect::<Vec<_>>().join(", "));
        }
        text + if self.unusual { "unusual = true\n" } else { "" }
    }

    /// The mount point and the store, if the rules let it through.
    fn told(&self, app: &str) -> Option<(String, String)> {
        let known = ["ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec"];
        let words = self.options.iter().flatten().all(|word| known.contains(&word.as_str()));
        let mode = self.permissions.as_deref().is_none_or(oracle::is_mode);
        let owners = [&self.owner, &self.group].into_iter().flatten().all(|name| oracle::is_owner(name));
        let point = oracle::mount_point(&self.mount_point, self.unusual)?;
        let store = oracle::store(self.target.as_deref()?, app, self.volume.as_deref())?;
        (words && mode && owners).then_some((point, store))
    }
}

/// Texts that are what is wanted, nearly so, or anything at all.
fn near(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![40 => select(words).prop_map(str::to_owned), 1 => "\\PC{0,6}", 1 => any::<String>()]
}

/// Paths of pieces that matter.
fn some_path() -> impl Strategy<Value = String> {
    let pieces = near(&[
        "/",
        "//",
        "a",
        "b",
        "srv",
        "var",
        "lib",
        "lib64",
        "etc",
        "usr",
        "local",
        "boot",
        "proc",
        "sys",
        "dev",
        "run",
        "bin",
        "sbin",
        "store",
        "data0",
        "live",
        "h",
        ".",
        "..",
        "...",
        ".datastore",
        "datastore",
        "datastore.d",
        "datastore.conf",
        "fstab",
        "x",
        " ",
        "\\",
        "\u{85}",
        "\u{e9}",
    ]);
    let joined = (vec(pieces, 1..6), any::<bool>()).prop_map(|(pieces, slash)| {
        let text = pieces.join("/");
        if slash || text.starts_with('/') { text } else { format!("/{text}") }
    });
    let long = (1..40_usize, 1..300_usize).prop_map(|(parts, size)| format!("/{}", "x".repeat(size)).repeat(parts));
    let usual = select(vec!["/srv/a", "/srv/a/in", "/srv/b", "/home", "/var/www", "/usr/local/x", "/etc/x", "/srv/c/"]);
    let other = (0..200_u8).prop_map(|n| format!("/srv/{n}"));
    prop_oneof![12 => other, 6 => usual.prop_map(str::to_owned), 4 => joined, 1 => long]
}

fn target() -> impl Strategy<Value = String> {
    let head = near(&[
        "%{base}",
        "%{base}",
        "%{base}/",
        "%{store}/data0/live/h",
        "/store/data0/live/%{host}",
        "%{store}/%{volume}/live/h",
        "/store/data9/live/h",
        "/store/data0/live",
        "%{base",
        "%{bas}",
        "%",
        "%{%}",
        "/srv",
        "/store/data0",
    ]);
    let tail = near(&[
        "/a",
        "/b",
        "/c",
        "/a/b",
        "/%{app}",
        "/",
        "",
        "/..",
        "/.",
        "/.datastore",
        "/.datastore/x",
        "/x%{%}",
        "/d/e/f",
        "/%",
    ]);
    let right = (0..200_u8).prop_map(|n| format!("%{{base}}/{n}/x"));
    prop_oneof![3 => right, 1 => (head, tail).prop_map(|(head, tail)| head + &tail)]
}

fn said() -> impl Strategy<Value = Said> {
    let names = || near(&["root", "mail", "DOM\\user", "user@dom", "-x", "a:b", "a,b", ""]);
    let options = vec(near(&["ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "bind", "x=y", ""]), 0..3);
    let rest = (
        weighted(0.2, near(&["0755", "700", "2770", "8", "07777", "0o755", ""])),
        weighted(0.1, names()),
        weighted(0.1, names()),
        weighted(0.1, near(&["data0", "data1", "..", "a/b", "data0 "])),
        weighted(0.1, options),
    );
    (some_path(), weighted(0.98, target()), rest, weighted(0.2, Just(()))).prop_map(
        |(mount_point, target, (permissions, owner, group, volume, options), unusual)| {
            let unusual = unusual.is_some();
            Said { mount_point, target, permissions, owner, group, volume, options, unusual }
        },
    )
}

/// A configlet that is no configuration at all.
fn broken() -> impl Strategy<Value = String> {
    let text = select(vec![
        "[mapping",
        "a = ",
        "enabled = 1\n",
        "<?php $mapping['/srv/a']['target'] = f();",
        "\u{0}",
        "x = 1\nx = 2\n",
    ]);
    prop_oneof![3 => text.prop_map(str::to_owned), 1 => any::<String>()]
}

/// Configlets by app: their mappings, or a text that is wrong.
type Configlets = BTreeMap<usize, Result<Vec<Said>, String>>;

fn configlets() -> impl Strategy<Value = Configlets> {
    let one = prop_oneof![9 => vec(said(), 0..4).prop_map(Ok), 1 => broken().prop_map(Err)];
    proptest::collection::btree_map(0..6_usize, one, 1..6)
}

const APPS: [&str; 6] = ["a", "b", "c.d", "e@1", "f-g", "h_i"];

fn inputs(configlets: &Configlets, but: impl Fn(&str) -> bool) -> Vec<Input> {
    let text = |one: &Result<Vec<Said>, String>| match one {
        Ok(all) => all.iter().map(Said::toml).collect::<String>(),
        Err(text) => text.clone(),
    };
    let there = configlets.iter().filter(|(app, _)| !but(APPS[**app]));
    let each = there.map(|(app, one)| {
        let name = APPS[*app];
        Input::read(format!("/etc/datastore.d/{name}.conf"), Role::Configlet, name, text(one))
    });
    std::iter::once(Input::read(GLOBALS, Role::Globals, "", GLOBAL_TEXT)).chain(each).collect()
}

/// The mappings that nothing is wrong with, as far as they matter.
fn good(wanted: &Wanted) -> Vec<String> {
    let show = |m: &Mapping| {
        let Mapping { app, mount_point, store, home, volume, mode, owner, group, options, hooks, enabled, .. } = m;
        format!(
            "{app} {mount_point:?} {store:?} {home} {volume} {mode} {owner:?} {group:?} {options} {hooks:?} {enabled}"
        )
    };
    wanted.mappings.iter().filter(|m| m.problem.is_none()).map(show).collect()
}

fn cases(few: u32) -> ProptestConfig {
    let many = std::env::var_os("DATASTORE_RIGS").is_some_and(|value| value == "release");
    ProptestConfig { cases: if many { 100_000 } else { few }, failure_persistence: None, ..ProptestConfig::default() }
}

#[test]
fn what_is_let_through_is_what_the_rules_let_through() {
    let (let_through, kept_out) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    TestRunner::new(cases(3000))
        .run(&configlets(), |configlets| {
            let wanted = resolve(inputs(&configlets, |_| false), &Incumbents::new());
            // What each app asks for, where all that it asks for may be. One key twice is an error of the language.
            let mut asked: Vec<(&str, String, String)> = Vec::new();
            for (app, one) in &configlets {
                let Ok(all) = one else { continue };
                let app = APPS[*app];
                let keys: std::collections::HashSet<&str> = all.iter().map(|s| s.mount_point.as_str()).collect();
                let told: Option<Vec<_>> = all.iter().map(|said| said.told(app)).collect();
                // A word without a slash is taken for a key in the wrong place or for a path that is relative: refused both ways.
                match told.filter(|_| keys.len() == all.len()) {
                    Some(told) => asked.extend(told.into_iter().map(|(point, store)| (app, point, store))),
                    None => {
                        let problem = &wanted.app(&app.parse().unwrap()).expect("it is declared").problem;
                        prop_assert!(problem.is_some(), "{} should be refused: {:?}", app, all);
                    }
                }
            }
            let place = |one: &'_ (&str, String, String)| (one.1.clone(), one.2.clone());
            for (i, one) in asked.iter().enumerate() {
                let (point, store) = place(one);
                let clashes = asked.iter().enumerate().any(|(j, other)| {
                    let (other_point, other_store) = place(other);
                    i != j && oracle::clash((&point, &store), (&other_point, &other_store))
                });
                let found = wanted.mappings.iter().find(|m| {
                    m.app.as_str() == one.0
                        && m.mount_point.as_bytes() == point.as_bytes()
                        && m.store.as_bytes() == store.as_bytes()
                });
                let found = found
                    .ok_or_else(|| TestCaseError::fail(format!("{one:?} is missing: {:?}", wanted.diagnostics)))?;
                prop_assert_eq!(found.problem.is_some(), clashes, "{:?} {:?}", one, found.problem);
            }
            // And nothing beside.
            for mapping in wanted.mappings.iter().filter(|m| m.problem.is_none()) {
                let is = |one: &&(&str, String, String)| {
                    one.0 == mapping.app.as_str()
                        && one.1.as_bytes() == mapping.mount_point.as_bytes()
                        && one.2.as_bytes() == mapping.store.as_bytes()
                };
                let from_text = configlets.iter().any(|(app, one)| APPS[*app] == mapping.app.as_str() && one.is_err());
                prop_assert!(from_text || asked.iter().any(|one| is(&one)), "{:?} is let through", mapping);
            }
            let_through.set(let_through.get() + wanted.mappings.iter().filter(|m| m.problem.is_none()).count());
            kept_out.set(kept_out.get() + wanted.diagnostics.len());
            Ok(())
        })
        .unwrap();
    let (through, refused) = (let_through.get(), kept_out.get());
    assert!(through > 500 && refused > 500, "{through} let through, {refused} refused: the test shows nothing");
}

#[test]
fn a_bad_configlet_changes_nothing_for_the_others() {
    let bad_ones = std::cell::Cell::new(0);
    TestRunner::new(cases(2000))
        .run(&configlets(), |configlets| {
            let all = resolve(inputs(&configlets, |_| false), &Incumbents::new());
            let bad: Vec<String> =
                all.apps.iter().filter(|a| a.problem.is_some()).map(|a| a.name.to_string()).collect();
            bad_ones.set(bad_ones.get() + bad.len());
            let without = resolve(inputs(&configlets, |app| bad.iter().any(|bad| bad == app)), &Incumbents::new());
            prop_assert_eq!(good(&all), good(&without));
            // None of what a bad one says is let through.
            prop_assert!(all.mappings.iter().all(|m| m.problem.is_some() || !bad.contains(&m.app.to_string())));
            Ok(())
        })
        .unwrap();
    assert!(bad_ones.get() > 500, "only {} bad configlets: the test shows nothing", bad_ones.get());
}
