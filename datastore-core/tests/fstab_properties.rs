//! Random tables and changes of them: lines of others stay byte for byte, every byte of a field is read back, and taking the changes back
//! gives the very text from before. A few thousand tables; `DATASTORE_RIGS=release` makes them a hundred thousand.
#![allow(
    clippy::disallowed_methods,
    reason = "how many cases there are is told by the environment; core itself stays pure"
)]

use datastore_core::AbsPath;
use datastore_core::fstab::{BEGIN, END, Edit, Entry, Fstab, Stand};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;

fn cases(few: u32) -> ProptestConfig {
    let many = std::env::var_os("DATASTORE_RIGS").is_some_and(|value| value == "release");
    ProptestConfig { cases: if many { 100_000 } else { few }, failure_persistence: None, ..ProptestConfig::default() }
}

/// What stumbles somebody, and any byte.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = select(vec![
        &b" "[..],
        b"\t",
        b"\n",
        b"\\",
        b"#",
        b"\r",
        b"\\040",
        b"\\134",
        b"040",
        b"/",
        b"a",
        b"b",
        b",",
        b"\"",
        b"=",
        b"\xc3\xa9",
    ]);
    prop_oneof![3 => known.prop_map(<[u8]>::to_vec), 1 => (1..=255_u8).prop_map(|b| vec![b])]
}

fn field(first: &'static str) -> impl Strategy<Value = Vec<u8>> {
    vec(piece(), 0..5).prop_map(move |pieces| [first.as_bytes().to_vec(), pieces.concat()].concat())
}

/// An entry of ours with a mount point that is one.
fn entry() -> impl Strategy<Value = (AbsPath, Entry)> {
    let point = select(vec!["/m/a", "/m/b", "/m/a b", "/m"]).prop_map(|text| text.as_bytes().to_vec());
    let point = prop_oneof![1 => point, 2 => field("/m/x")];
    (point, field("/s"), field("n"), field("X-datastore=a,o"), 0..3_u32, any::<u32>()).prop_filter_map(
        "no path",
        |(file, spec, vfstype, options, freq, passno)| {
            let point = AbsPath::from_kernel(&file).ok()?;
            let entry = Entry { spec, file: point.as_bytes().to_vec(), vfstype, options, freq, passno };
            Some((point, entry))
        },
    )
}

/// A line of somebody else.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let fixed = select(vec![
        "",
        "# note",
        "UUID=1\t/ ext4  errors=remount-ro 0 1 # root",
        "/x /m/a none bind 0 0",
        "/x /m/a\\040b none bind",
        "none none swap sw 0 0",
        "/x /m/./a none bind 0 0",
        "tmpfs /tmp tmpfs",
        "\t/y /y z\r",
        "# datastore",
        "a b c d x",
    ]);
    let any = vec(piece(), 0..8).prop_map(|pieces| pieces.concat().into_iter().filter(|b| *b != b'\n').collect());
    prop_oneof![3 => fixed.prop_map(|text| text.as_bytes().to_vec()), 1 => any]
}

/// A whole file, with or without a block.
fn table() -> impl Strategy<Value = Vec<u8>> {
    let ours = vec(prop_oneof![6 => entry().prop_map(|(_, entry)| entry.render()), 1 => line()], 0..4);
    (vec(line(), 0..5), proptest::option::of(ours), vec(line(), 0..3), any::<bool>()).prop_map(
        |(before, block, after, end)| {
            let block = block.map(|lines| {
                let lines: Vec<u8> = lines.into_iter().flat_map(|line| [line, b"\n".to_vec()].concat()).collect();
                [BEGIN, &lines, END].concat()
            });
            let lines = |all: Vec<Vec<u8>>| {
                all.into_iter().flat_map(|line| [line, b"\n".to_vec()].concat()).collect::<Vec<u8>>()
            };
            let mut text = [lines(before), block.unwrap_or_default(), lines(after)].concat();
            if !end {
                text.pop();
            }
            text
        },
    )
}

#[test]
fn changes_leave_everything_else_and_can_be_taken_back() {
    let (edited, escaped) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    TestRunner::new(cases(4000))
        .run(&(table(), vec((entry(), any::<bool>()), 0..4), vec(any::<Index>(), 0..3)), |(text, wanted, gone)| {
            let table = Fstab::parse(&text);
            prop_assert_eq!(&table.render(), &text);
            let mut changes: Vec<(AbsPath, Option<Entry>)> = Vec::new();
            let there: Vec<AbsPath> = table.entries().filter_map(|row| row.entry.mount_point()).collect();
            let gone = gone.iter().filter(|_| !there.is_empty()).map(|at| (there[at.index(there.len())].clone(), None));
            let put = wanted.into_iter().map(|((point, entry), put)| (point, put.then_some(entry)));
            for (point, entry) in put.chain(gone) {
                if changes.iter().all(|(other, _)| *other != point) {
                    changes.push((point, entry));
                }
            }
            let edits: Vec<Edit> = changes.iter().map(|(point, entry)| table.change(point, entry.clone())).collect();
            let Ok(after) = table.edit(&edits) else { return Ok(()) };
            edited.set(edited.get() + 1);
            let now = Fstab::parse(&after);
            for (point, entry) in &changes {
                prop_assert_eq!(now.ours(point).map(|row| row.entry), entry.as_ref(), "{}", after.escape_ascii());
                let odd = |e: &Entry| {
                    [&e.spec, &e.file, &e.vfstype, &e.options].iter().any(|f| f.iter().any(|b| b" \t\n\\".contains(b)))
                };
                escaped.set(escaped.get() + usize::from(entry.as_ref().is_some_and(odd)));
            }
            // Every line that no change is about is there as it was, in its order.
            let taken = |text: &[u8]| {
                edits.iter().any(|edit| matches!(&edit.from, Stand::Foreign { text: line, .. } if line == text))
            };
            let about = |line: &[u8]| {
                let point = Entry::parse(line).and_then(|entry| entry.mount_point());
                point.is_some_and(|point| changes.iter().any(|(other, _)| *other == point)) || taken(line)
            };
            let others = |text: &[u8]| -> Vec<Vec<u8>> {
                let lines = text.split_inclusive(|&b| b == b'\n').filter(|line| !about(line));
                let lines = lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line).to_vec());
                lines.filter(|line| !line.starts_with(b"# datastore: ")).collect()
            };
            prop_assert_eq!(others(&after), others(&text), "{}\n{}", text.escape_ascii(), after.escape_ascii());
            let back: Vec<Edit> = edits.iter().map(Edit::inverse).collect();
            let before = now.edit(&back).expect("what was just written can be taken back");
            prop_assert_eq!(before.escape_ascii().to_string(), text.escape_ascii().to_string());
            Ok(())
        })
        .unwrap();
    assert!(edited.get() > 1000 && escaped.get() > 1000, "{} changed, {} with escapes", edited.get(), escaped.get());
}

/// Every byte in every field and at every place in it.
#[test]
fn every_byte_is_read_back() {
    let table = Fstab::parse(b"# by hand\nUUID=1 / ext4 rw 0 1\n");
    for b in 1..=255_u8 {
        for text in [vec![b], vec![b, b'x'], vec![b'x', b], vec![b, b'0', b'4', b'0'], vec![b'\\', b]] {
            let part = |first: &str| [first.as_bytes(), &text].concat();
            let Ok(point) = AbsPath::from_kernel(&part("/m/")) else { continue };
            let file = point.as_bytes().to_vec();
            let entry = Entry {
                spec: part("/s"),
                file,
                vfstype: part("n"),
                options: part("X-datastore=a,"),
                freq: 0,
                passno: 2,
            };
            let edit = table.change(&point, Some(entry.clone()));
            let after = table.edit(std::slice::from_ref(&edit)).unwrap();
            let now = Fstab::parse(&after);
            assert_eq!(now.ours(&point).map(|row| row.entry.clone()), Some(entry), "{b:#04x}");
            assert_eq!(now.entries().count(), 2, "{b:#04x}");
            assert_eq!(now.edit(&[edit.inverse()]).unwrap(), table.render(), "{b:#04x}");
        }
    }
}
