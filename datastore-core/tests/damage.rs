//! What a disk does to our own files: every cut, every byte that is missing and every bit that is another one. What comes of it is a refusal
//! or the very thing that was written, and never anything else.

use datastore_core::AbsPath;
use datastore_core::alarm::Book;
use datastore_core::journal::{self, Begin, JournalError, OperationId, Outcome, Record, Told};
use datastore_core::manifest::{Entry, Manifest, VolumeFile};
use datastore_core::model::draw::numbers;
use datastore_core::model::{Act, Choices, Scenario};
use datastore_core::moving::{Account, Downtime, Moved, Receipt, Rewritten};
use datastore_core::owners::Owners;
use datastore_core::plan::Plan;
use datastore_core::unit::Remembered;
use datastore_core::value::{Id, Mode};

/// Every text that a disk could have made of it, and what was done to it.
fn damaged(text: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> + '_ {
    let cuts = (0..text.len()).map(|at| (format!("cut at {at}"), text[..at].to_vec()));
    let lost = (0..text.len()).map(|at| (format!("without byte {at}"), [&text[..at], &text[at + 1..]].concat()));
    let flips = (0..text.len() * 8).map(|bit| {
        let mut text = text.to_vec();
        text[bit / 8] ^= 1 << (bit % 8);
        (format!("bit {bit} is another one"), text)
    });
    cuts.chain(lost).chain(flips)
}

/// Holds a reader to it, and says how many texts it was given, and how many of them it took for what was written.
fn refused_or_same<T: PartialEq + std::fmt::Debug, E: std::fmt::Display>(
    text: &[u8],
    read: impl Fn(&[u8]) -> Result<T, E>,
) -> (usize, usize) {
    let Ok(whole) = read(text) else { panic!("what was written is not read: {}", text.escape_ascii()) };
    let (mut count, mut taken) = (0, 0);
    for (how, bytes) in damaged(text) {
        count += 1;
        match read(&bytes) {
            Ok(read) => assert_eq!(read, whole, "{how}: {}", bytes.escape_ascii()),
            Err(why) => {
                assert!(!why.to_string().is_empty(), "{how} is refused without a reason");
                continue;
            }
        }
        taken += 1;
    }
    assert!(taken * 2 < count, "{taken} of {count} were taken for what was written: the test shows nothing");
    (count, taken)
}

/// The plans of a machine to which much happens, the longest of all of them.
fn plan() -> Plan {
    let mut longest: Option<Plan> = None;
    for seed in 0..40 {
        let scenario = Scenario::draw(&mut Choices::new(&numbers(seed, 160)), 6);
        let machine = scenario.machine();
        for act in &scenario.acts {
            let Act::Ask(goal) = act else { continue };
            let Ok(checked) = machine.plan(goal, Id::from_random([7; 16])) else { continue };
            if longest.as_ref().is_none_or(|known| known.steps.len() < checked.plan().steps.len()) {
                longest = Some(checked.plan().clone());
            }
        }
    }
    longest.expect("some goal has a plan")
}

fn operation() -> OperationId {
    OperationId::new("2026-11-23T17:43:01.250Z", [0x1a, 2, 3, 4]).unwrap()
}

/// A journal with a record of every kind.
fn written_journal() -> Vec<u8> {
    let mut plan = plan();
    plan.steps.truncate(6);
    let begin = Begin {
        version: journal::VERSION,
        operation: operation(),
        program: "0.1.0".into(),
        at: 1_795_000_000,
        uid: 0,
        host: Some("server1".parse().unwrap()),
        boot: Some(Id::from_random([5; 16])),
        plan: plan.id(),
        goal: plan.goal,
        mappings: plan.mappings,
        steps: plan.steps,
    };
    let records = [
        Record::Begin(Box::new(begin)),
        Record::Intent { first: 0, last: 1 },
        Record::Done { first: 0, last: 1 },
        Record::Intent { first: 2, last: 2 },
        Record::Failed { step: 2, error: "No space left on device\n\u{1b}[2J".into() },
        Record::Undone { step: 1, error: None },
        Record::Undone { step: 0, error: Some("busy".into()) },
        Record::End { at: 1_795_000_060, outcome: Outcome::Failed, failed: 1 },
    ];
    records.iter().map(journal::line).collect::<String>().into_bytes()
}

/// A journal may have lost its end, as after a crash before that was written: then it is the beginning of what was written.
#[test]
fn a_damaged_journal_is_refused_or_lacks_its_end() {
    let text = written_journal();
    let whole = journal::parse(&text).unwrap();
    assert_eq!(whole.records.len(), 7);
    let last = text[..text.len() - 1].iter().rposition(|&b| b == b'\n').unwrap() + 1;
    let (mut refused, mut torn, mut count) = (0, 0, 0);
    for (how, bytes) in damaged(&text) {
        count += 1;
        match journal::parse(&bytes) {
            Err(JournalError::Empty) => assert!(!bytes.contains(&b'\n') || how.contains("bit"), "{how}"),
            Err(JournalError::Damaged { why, .. }) => assert!(!why.is_empty()),
            Err(JournalError::Newer(version)) => panic!("{how} is taken for version {version}"),
            Ok(Told { begin, records, torn: is_torn }) => {
                assert_eq!(begin, whole.begin, "{how}");
                assert_eq!(records, whole.records[..records.len()], "{how}");
                // Only the last line may be missing where the rest of the file is there; two, if they have become one.
                assert!(how.starts_with("cut") || records.len() + 2 >= whole.records.len(), "{how}");
                assert!(is_torn || how.starts_with("cut"), "{how}");
                torn += 1;
                continue;
            }
        }
        refused += 1;
    }
    assert!(count > 10_000 && refused > torn, "{refused} of {count} were refused, {torn} taken as torn (from {last})");
}

#[test]
fn a_damaged_manifest_is_refused() {
    let entry = |n: u8| Entry {
        id: Id::from_random([n; 16]),
        app: "mysqld".parse().unwrap(),
        mount_point: AbsPath::parse(format!("/var/lib/mysql{n}")).unwrap(),
        owner: if n == 2 { "DOM\\my \"sql" } else { "mysql" }.parse().unwrap(),
        uid: 27,
        group: "mysql".parse().unwrap(),
        gid: 127,
        mode: Mode::from_bits(0o2755),
    };
    // One that is read line by line, and one that only the reader of TOML understands.
    for odd in [1, 2] {
        let manifest = Manifest::from_entries([("mysql".to_owned(), entry(odd)), ("www/a".to_owned(), entry(3))]);
        let text = manifest.render();
        refused_or_same(text.as_bytes(), |bytes| {
            let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
            let read = Manifest::parse(text).map_err(|e| e.to_string())?;
            // Whoever reads one entry only is told no other one.
            let only = Manifest::only(text, &["mysql".into()]).map_err(|e| e.to_string())?;
            assert_eq!(only.get("mysql"), read.get("mysql"));
            Ok::<_, String>(read)
        });
        // Who reads a few lines only, as the guard does, holds the identity against that of the directory: it is right, or another one.
        let whole = manifest.get("mysql").unwrap();
        for (how, bytes) in damaged(text.as_bytes()) {
            let read = |at: u64| bytes.get(usize::try_from(at).unwrap()..).map(<[u8]>::to_vec);
            let Some(found) = Manifest::bisect(bytes.len() as u64, "mysql", read) else { continue };
            assert!(found.id != entry(3).id, "{how}: the identity of another store");
            assert!(found.id == whole.id || found.id != Id::from_random([3; 16]), "{how}");
        }
    }
}

/// What tells a volume is its identity: with a bit that is another one it is another volume's, which is refused as that.
#[test]
fn a_damaged_identity_is_refused_or_another_one() {
    let (id, other) = (Id::from_random([1; 16]), Id::from_random([2; 16]));
    let text = VolumeFile { id, name: "data0".parse().unwrap(), host: Some("server1".parse().unwrap()) }.render();
    let mut same = 0;
    for (how, bytes) in damaged(text.as_bytes()) {
        let Ok(text) = std::str::from_utf8(&bytes) else { continue };
        let Ok(read) = VolumeFile::parse(text) else { continue };
        assert_ne!(read.id, other, "{how}");
        same += usize::from(read.id == id);
    }
    assert!(same > 0);
}

#[test]
fn a_damaged_table_of_owners_is_refused() {
    let table = |names: &[(&str, u32)]| names.iter().map(|(name, n)| (name.parse().unwrap(), *n)).collect();
    let owners = Owners {
        users: table(&[("alice", 1000), ("DOM\\bob \"b\"", 1001), ("sum", 7)]),
        groups: table(&[("mail", 8)]),
        coming_users: table(&[("alice", 2000)]),
        coming_groups: table(&[]),
    };
    refused_or_same(owners.render().as_bytes(), |bytes| {
        Owners::parse(std::str::from_utf8(bytes).map_err(|e| e.to_string())?).map_err(|e| e.to_string())
    });
}

#[test]
fn a_damaged_receipt_is_refused() {
    let path = AbsPath::literal;
    let receipt = Receipt {
        version: Receipt::VERSION,
        verb: "import".into(),
        app: "shop".parse().unwrap(),
        trees: vec![Moved {
            mount_point: path("/srv/shop"),
            from: path("/srv/shop"),
            from_volume: None,
            to: path("/store/data0/live/server1/shop"),
            to_volume: Some("data0".parse().unwrap()),
            parked: Some(path("/srv/.shop.parked")),
            had: None,
        }],
        files: vec![Rewritten {
            path: path("/etc/datastore.d/shop.local.conf"),
            from: None,
            to: Some("x = 1\n".into()),
        }],
        at: Some(1_795_000_000),
        expires: Some(1_797_592_000),
        copies: vec![Account::new(path("/srv/shop"), path("/store/data0/live/server1/shop"))],
        downtime: Some(Downtime { ms: 1200, parts: Vec::new() }),
    };
    refused_or_same(&receipt.render(), Receipt::parse);
    let newer = Receipt { version: Receipt::VERSION + 1, ..receipt };
    assert!(Receipt::parse(&newer.render()).unwrap_err().contains("a newer datastore"));
}

#[test]
fn a_damaged_book_of_alarms_is_refused() {
    let text = r#"{"version":1,"alarms":[{"kind":"service","app":"shop","mount_point":"","state":"refused","reason":null,
        "detail":"shop.service could not be started","hint":"journalctl -u shop.service","since":1,"told":true}]}"#;
    let book = Book::parse(text.as_bytes()).expect("one without a checksum is one of an older program");
    refused_or_same(&book.render(), Book::parse);
}

#[test]
fn damaged_services_are_refused() {
    let known = Remembered::parse(br#"{"version":1,"apps":{"shop":["shop.service","shop.timer"],"web":["httpd"]}}"#);
    refused_or_same(&known.unwrap().render(), Remembered::parse);
}
