//! Our reading and writing of fstab against libmount's, through findmnt(8) of the machine (util-linux).
//!
//! findmnt must be there: where it is not, these tests fail and do not pass in silence.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the oracle is a program that reads a file; core itself stays pure"
)]

use std::cell::Cell;
use std::path::PathBuf;
use std::process::Command;

use datastore_core::AbsPath;
use datastore_core::fstab::{Entry, Fstab};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

const COLUMNS: [&str; 6] = ["SOURCE", "TARGET", "FSTYPE", "OPTIONS", "FREQ", "PASSNO"];

/// What findmnt finds in a file, and what it says about it.
fn findmnt(name: &str, text: &[u8]) -> (Vec<[Vec<u8>; 6]>, String) {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, text).unwrap();
    let output = Command::new("findmnt")
        .args(["--fstab", "--noheadings", "--pairs", "--output", &COLUMNS.join(","), "--tab-file"])
        .arg(&file)
        .env("LC_ALL", "C")
        .output()
        .expect("findmnt(8) of util-linux is needed for this test");
    let rows = output.stdout.split(|&b| b == b'\n').filter(|line| !line.is_empty()).map(pairs).collect();
    (rows, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// `SOURCE="/a" TARGET="/b" ...`, with `\xNN` for what does not print.
fn pairs(line: &[u8]) -> [Vec<u8>; 6] {
    let mut rest = line;
    COLUMNS.map(|column| {
        rest = rest.trim_ascii_start().strip_prefix(column.as_bytes()).unwrap().strip_prefix(b"=\"").unwrap();
        let mut value = Vec::new();
        loop {
            match rest {
                [b'\\', b'x', a, b, tail @ ..] => {
                    let hex = std::str::from_utf8(&[*a, *b]).map(|hex| u8::from_str_radix(hex, 16).unwrap()).unwrap();
                    value.push(hex);
                    rest = tail;
                }
                [b'"', tail @ ..] => {
                    rest = tail;
                    return value;
                }
                [b, tail @ ..] => {
                    value.push(*b);
                    rest = tail;
                }
                [] => panic!("findmnt printed half a line: {}", line.escape_ascii()),
            }
        }
    })
}

fn fields(entry: &Entry) -> [Vec<u8>; 6] {
    let number = |n: u32| n.to_string().into_bytes();
    [
        entry.spec.clone(),
        entry.file.clone(),
        entry.vfstype.clone(),
        entry.options.clone(),
        number(entry.freq),
        number(entry.passno),
    ]
}

/// Pieces that matter to a reader of fstab.
fn some_file() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => prop::sample::select(vec![" ", "\t", "  "]),
        6 => prop::sample::select(vec!["/a", "/b/", "ext4", "rw,x=y", "none", "0", "2", "LABELx"]),
        2 => prop::sample::select(vec!["\\040", "\\011", "\\134", "\\043", "\\777", "\\08", "\\", "#", "\r", "\x0b", "\"", "+1", "1x"]),
        1 => prop::sample::select(vec!["\u{e9}", "\x01", "\x7f", "x"]),
    ];
    let line = prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat());
    let good = Just("/spec\t/file  none bind,rw 0 0 # note\r".to_owned());
    (prop::collection::vec(prop_oneof![3 => line, 1 => good], 0..12), any::<bool>()).prop_map(|(lines, end)| {
        let mut text = lines.join("\n");
        if end {
            text.push('\n');
        }
        text.into_bytes()
    })
}

#[test]
fn we_see_the_entries_that_libmount_sees() {
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    let seen = Cell::new(0);
    TestRunner::new(config)
        .run(&some_file(), |text| {
            let ours: Vec<_> = Fstab::parse(&text).entries().map(|row| fields(row.entry)).collect();
            let (theirs, _) = findmnt("read.fstab", &text);
            let show = |rows: &[[Vec<u8>; 6]]| {
                rows.iter().map(|row| row.concat().escape_ascii().to_string()).collect::<Vec<_>>()
            };
            prop_assert_eq!(show(&ours), show(&theirs), "{}", text.escape_ascii());
            prop_assert_eq!(&ours, &theirs);
            seen.set(seen.get() + ours.len());
            Ok(())
        })
        .unwrap();
    assert!(seen.get() > 100, "the files held only {seen:?} entries: the test shows nothing");
}

#[test]
fn libmount_reads_what_we_write() {
    let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
    let text = || prop::collection::vec(1_u8.., 1..10);
    let name = prop::collection::vec(prop_oneof![1_u8..b'/', b'0'..], 1..10);
    let entries = prop::collection::btree_map(name, (text(), text(), text(), 0..9_u32), 1..20);
    TestRunner::new(config)
        .run(&(entries, some_file()), |(wanted, before)| {
            let table = Fstab::parse(&before);
            let mut edits = Vec::new();
            for (name, (spec, vfstype, options, passno)) in wanted {
                let Ok(point) = AbsPath::from_kernel(&[b"/store ", &name[..]].concat()) else { continue };
                let file = point.as_bytes().to_vec();
                let entry = Entry { spec: [b"/", &spec[..]].concat(), file, vfstype, options, freq: 0, passno };
                edits.push(table.change(&point, Some(entry)));
            }
            let after = table.edit(&edits).unwrap();
            let (theirs, _) = findmnt("write.fstab", &after);
            let ours: Vec<_> = Fstab::parse(&after).entries().map(|row| fields(row.entry)).collect();
            prop_assert_eq!(&ours, &theirs);
            prop_assert_eq!(ours.len(), table.entries().count() + edits.len());
            Ok(())
        })
        .unwrap();
}

#[test]
fn findmnt_verify_has_no_parse_error_for_our_block() {
    let table = Fstab::parse(b"# no newline at the end");
    let points = ["/srv/with blank", "/srv/tab\tand\\backslash", "/srv/plain"];
    let edits = points.map(|point| {
        let point = AbsPath::from_kernel(point.as_bytes()).unwrap();
        let entry = Entry {
            spec: b"/tmp".into(),
            file: point.as_bytes().to_vec(),
            vfstype: b"none".into(),
            options: b"bind,rw,nofail,X-datastore=a".into(),
            freq: 0,
            passno: 0,
        };
        table.change(&point, Some(entry))
    });
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("verify.fstab");
    std::fs::write(&file, table.edit(&edits).unwrap()).unwrap();
    let output = Command::new("findmnt")
        .args(["--verify", "--tab-file"])
        .arg(&file)
        .env("LC_ALL", "C")
        .output()
        .expect("findmnt(8) of util-linux is needed for this test");
    // The mount points do not exist here, which it rightly calls errors; the lines themselves must be sound.
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("0 parse errors"), "{said}");
}
