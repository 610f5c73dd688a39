//! Properties of the PHP reader: it takes any text, takes it in time, and reads back what was written.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use datastore_core::diag::{Diagnostic, FileId, Located, Sources, Span};
use datastore_core::raw::{RawApp, RawTarget, RawText};
use datastore_core::syntax::php;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn base() -> RawText {
    Located::new("/store".to_owned(), Span { file: FileId(7), start: 0, end: 0 })
}

/// Reads a text in every way, and checks what must hold for any text.
fn read(text: &str) -> (RawApp, Vec<Diagnostic>) {
    let mut sources = Sources::default();
    let file = sources.add("t.conf", text);
    let _ = php::is_php(text);
    let _ = php::clearos_globals(file, &sources);
    let (app, diagnostics) = php::configlet(file, &sources, Some(&base()));
    for mapping in &app.mappings {
        let said = &text[mapping.mount_point.span.start as usize..mapping.mount_point.span.end as usize];
        assert!(!said.is_empty(), "a mount point stands somewhere");
    }
    for diagnostic in &diagnostics {
        assert!(!diagnostic.to_string().is_empty());
    }
    (app, diagnostics)
}

/// Pieces that make trouble next to one another.
const PIECES: &[&str] = &[
    "$mapping",
    "$storage",
    "$premount",
    "$config",
    "$base",
    "$x",
    "$",
    "['/a']",
    "['target']",
    "['base']",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    "=",
    ".=",
    ".",
    ",",
    ";",
    ":",
    "=>",
    "->",
    "::",
    "&",
    "?",
    "'/x'",
    "'",
    "\"{$base}\"",
    "\"",
    "`",
    "0755",
    "1.",
    ".5",
    "TRUE",
    "null",
    "array(",
    "if",
    "else",
    "elseif",
    "endif",
    "while",
    "do",
    "for",
    "foreach",
    "function",
    "class",
    "return",
    "exit",
    "goto",
    "list(",
    "eval(",
    "unset(",
    "lang('x')",
    "<?php",
    "?>",
    "<?",
    "/*",
    "*/",
    "//",
    "#",
    "\n",
    "\r\n",
    " ",
    "\t",
    "<<<E\n",
    "\nE;",
    "\\",
    "é",
    "\u{feff}",
    "\u{0}",
    "as",
    "global",
    "++",
    "__halt_compiler",
    "(string)",
    "\"$x[0]\"",
    "\"\\u{",
    "%{base}",
];

/// A value written as PHP in one of several ways.
fn written(value: &str, how: u8) -> String {
    let single = format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"));
    match how % 5 {
        0 => single,
        1 => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$")),
        2 => format!("({single})"),
        3 => {
            let cut = value.char_indices().nth(value.chars().count() / 2).map_or(0, |(i, _)| i);
            format!("{} . {}", written(&value[..cut], 0), written(&value[cut..], 1))
        }
        _ => format!("/* ' */ {single} // \"\n"),
    }
}

/// Mount point, target, permissions, owner, whether it is written as an array, and how values are written.
type Spec = (String, Option<String>, Option<String>, Option<String>, bool, u8);

fn value() -> impl Strategy<Value = String> {
    // Any character but those that would end PHP mode or need no care at all; quotes, `$`, braces and backslashes are in.
    "[ -~é\\n]{0,12}"
}

fn spec() -> impl Strategy<Value = Spec> {
    (value(), option::of(value()), option::of("[0-7]{4}"), option::of(value()), any::<bool>(), any::<u8>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC{0,200}") {
        read(&text);
    }

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..300)) {
        read(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_pieces(pieces in vec(select(PIECES), 0..80)) {
        read(&pieces.concat());
        read(&pieces.join(" "));
    }

    /// Whatever stands in a block is never believed.
    #[test]
    fn nothing_in_a_block_is_believed(
        head in select(&["if ($x)", "while (f())", "foreach ($a as $b)", "function f()", "else", "try", "class C"][..]),
        pieces in vec(select(PIECES), 0..20),
    ) {
        let inside: String =
            pieces.iter().filter(|p| !p.contains(['{', '}', '\'', '"', '`', '<', '?', '*', '\\', '#', '/', '_'])).copied().collect();
        let (app, _) = read(&format!("$y = 1;\n{head} {{ {inside} ; $mapping['/in']['target'] = '/x'; }}"));
        prop_assert!(app.mappings.is_empty(), "{app:?}");
    }

    #[test]
    fn what_is_written_is_read_back(specs in vec(spec(), 0..8), tag in any::<bool>()) {
        let mut text = String::from(if tag { "<?php\n" } else { "" });
        let mut wanted: Vec<&Spec> = Vec::new();
        for spec in &specs {
            if wanted.iter().any(|w| w.0 == spec.0) {
                continue;
            }
            wanted.push(spec);
            let (mount_point, target, permissions, owner, as_array, how) = spec;
            let keys = [("target", target), ("permissions", permissions), ("owner", owner)];
            let given = keys.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
            let at = written(mount_point, *how);
            if *as_array || (target.is_none() && permissions.is_none() && owner.is_none()) {
                let inner: Vec<_> = given.map(|(k, v)| format!("'{k}' => {}", written(v, *how))).collect();
                text.push_str(&format!("$mapping[{at}] = array({});\n", inner.join(",\n")));
            } else {
                for (key, value) in given {
                    text.push_str(&format!("$mapping[{at}]['{key}'] = {};\n", written(value, how.wrapping_add(1))));
                }
            }
        }
        let (app, diagnostics) = read(&text);
        prop_assert!(diagnostics.is_empty(), "{text}\n{}", diagnostics[0]);
        prop_assert_eq!(app.mappings.len(), wanted.len());
        for (got, (mount_point, target, permissions, owner, _, _)) in app.mappings.iter().zip(wanted) {
            let plain = |text: &Option<RawText>| text.as_ref().map(|t| t.value.clone());
            prop_assert_eq!(&got.mount_point.value, mount_point);
            match (&got.target, target) {
                (Some(RawTarget::Path(got)), Some(target)) => prop_assert_eq!(&got.value, target),
                (None, None) => {}
                (got, wanted) => prop_assert!(false, "{got:?} instead of {wanted:?}"),
            }
            prop_assert_eq!(&plain(&got.permissions), permissions);
            prop_assert_eq!(&plain(&got.owner), owner);
        }
    }
}

/// A megabyte of the same piece is read in seconds and within its stack. Were anything quadratic, this would take minutes.
#[test]
fn a_megabyte_of_anything_is_read_in_time() {
    let pieces = [
        "(",
        "[",
        "{",
        "}",
        "$a[",
        "$a->",
        "$a::",
        "'",
        "\"{$",
        "\"${a\"",
        "/*",
        "<<<E\n",
        "if(",
        "if(a):",
        "else ",
        "?>",
        "<?php ",
        "$mapping[",
        "$mapping['/a'][",
        "array(",
        "$a=[$a];",
        "$a=$a.'xxxx'.$a;",
        "$a='x'.$a.$a;$b=\"$a$a$a\";",
        "$mapping=[];",
        "$mapping['/a']['x']=1;",
        "$mapping['/a']['owner']=f($a);",
        "$maping=1;",
        "\"$a\".",
        ".",
        "$",
        "&",
        "::",
        "->",
        "do ",
        "\u{1}",
        "é",
        "x;",
        ";",
        "f($mapping);",
        "$mapping['/a']['owner']='x'\n",
        "f('x'\n",
        "[[$a]]=",
        "!",
        "$$a=1;",
        "\\",
    ];
    for piece in pieces {
        for (head, tail) in [("", ""), ("$a = '/x'; $mapping['/a']['target'] = ", ";"), ("if (1) { ", " }")] {
            let room = 1024 * 1024 - head.len() - tail.len();
            let text = format!("{head}{}{tail}", piece.repeat(room / piece.len()));
            let mut sources = Sources::default();
            let file = sources.add("t.conf", &text);
            let start = Instant::now();
            let _ = php::configlet(file, &sources, Some(&base()));
            let took = start.elapsed();
            assert!(took < Duration::from_secs(5), "{head}{piece:?}...{tail} took {took:?}");
        }
    }
}

#[test]
fn a_file_that_is_too_large_is_refused_whole() {
    let text = "$mapping['/a']['target'] = '/x';".repeat(1024 * 1024 / 32 + 1);
    let (app, diagnostics) = read(&text);
    assert!(app.mappings.is_empty());
    assert_eq!(diagnostics[0].code.as_str(), "too-large");
}

#[test]
fn php_is_told_from_toml() {
    for text in [
        "<?php",
        "<?PHP\n",
        "<? $a",
        "\u{feff}<?php ",
        "\n\t $mapping['/a']['target'] = 'x';",
        "#!/usr/bin/php\n<?php ",
        "# a comment\n// another\n/* and\n one */ $premount = '';",
        "$",
    ] {
        assert!(php::is_php(text), "{text:?}");
    }
    for text in [
        "",
        "# only a comment",
        "title = \"$x\"",
        "[mapping.\"/a\"]",
        "# <?php\ntitle = 1",
        "<?xml version='1'?>",
        "/* open",
        "#!/x",
    ] {
        assert!(!php::is_php(text), "{text:?}");
    }
}
