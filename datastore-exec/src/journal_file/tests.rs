use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use datastore_core::goal::{Apps, Goal};
use datastore_core::journal::{VERSION, line};
use datastore_core::plan::{PlanId, Subject};
use datastore_core::step::{Action, Step};
use datastore_core::value::AppName;

use super::*;
use crate::testing::{Sandbox, succeeds, without};

fn operation(n: u8) -> OperationId {
    OperationId::new(&format!("2026-11-23T17:43:{n:02}.000Z"), [n; 4]).unwrap()
}

fn first(n: u8) -> Begin {
    Begin {
        version: VERSION,
        operation: operation(n),
        program: "0.1.0".into(),
        at: 1_795_000_000 + i64::from(n),
        uid: 0,
        host: None,
        boot: None,
        goal: Goal::Apply(Apps::default()),
        plan: PlanId::of(b"x"),
        mappings: vec![Subject {
            app: AppName::parse("httpd").unwrap(),
            mount_point: AbsPath::literal("/var/www"),
            store: AbsPath::literal("/store/data0/live/h/www"),
            volume: None,
        }],
        steps: vec![Step { mapping: None, action: Action::ReloadSystemd }; 4],
    }
}

fn file_of(sandbox: &Sandbox, dir: &'static str, n: u8) -> PathBuf {
    sandbox.dir().join(path_of(dir, &operation(n)).to_str().unwrap().trim_start_matches('/'))
}

fn told(path: &PathBuf) -> journal::Told {
    journal::parse(&std::fs::read(path).unwrap()).unwrap()
}

fn count(sandbox: &Sandbox, dir: &str) -> usize {
    std::fs::read_dir(sandbox.dir().join(dir.trim_start_matches('/'))).unwrap().count()
}

#[test]
fn a_whole_operation() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        assert_eq!(scan(&root).unwrap(), Scan::default());
        let mut journal = Journal::begin(&root, &first(1)).unwrap();
        let path = file_of(sandbox, JOURNAL, 1);
        for (dir, mode) in [("var", 0o755), ("var/lib/datastore", 0o755), (&JOURNAL[1..], 0o700), (&DONE[1..], 0o700)] {
            let is = std::fs::metadata(sandbox.dir().join(dir)).unwrap().permissions().mode() & 0o7777;
            assert_eq!(is, mode, "{dir}");
        }
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        let before = scan(&root).unwrap();
        assert_eq!((before.unfinished.len(), before.running.len()), (0, 1));
        let running = &before.running[0];
        assert_eq!((running.steps, running.done, running.at), (4, 0, first(1).at));
        assert_eq!(running.mappings, first(1).mappings);

        journal.intent(0, 2).unwrap();
        journal.done(0, 0).unwrap();
        journal.done(1, 1).unwrap();
        journal.failed(2, "no space").unwrap();
        journal.undone(1, None).unwrap();
        journal.undone(0, Some("busy")).unwrap();
        assert_eq!(told(&path).records, [Record::Intent { first: 0, last: 2 }], "the rest is not written yet");
        assert_eq!(scan(&root).unwrap().mark, before.mark, "it neither began nor ended");
        journal.intent(3, 3).unwrap();
        journal.done(3, 3).unwrap();
        journal.end(Outcome::Partly, 1).unwrap();

        assert_eq!(count(sandbox, JOURNAL), 0);
        let told = told(&file_of(sandbox, DONE, 1));
        assert_eq!(told.outcome(), Some(Outcome::Partly));
        let Some((Record::End { failed: 1, at, .. }, others)) = told.records.split_last() else { panic!("{told:?}") };
        assert!(*at > 1_700_000_000);
        let expected = [
            Record::Intent { first: 0, last: 2 },
            Record::Done { first: 0, last: 1 },
            Record::Failed { step: 2, error: "no space".into() },
            Record::Undone { step: 1, error: None },
            Record::Undone { step: 0, error: Some("busy".into()) },
            Record::Intent { first: 3, last: 3 },
            Record::Done { first: 3, last: 3 },
        ];
        assert_eq!(others, expected);
        let after = scan(&root).unwrap();
        assert!(after.running.is_empty() && after.unfinished.is_empty());
        assert_ne!(after.mark, before.mark);
    });
}

#[test]
fn the_mark_changes_with_every_operation() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        let mut marks = std::collections::HashSet::new();
        for n in 0..50 {
            let journal = Journal::begin(&root, &first(n)).unwrap();
            assert!(marks.insert(scan(&root).unwrap().mark));
            journal.end(Outcome::Done, 0).unwrap();
            let mark = scan(&root).unwrap().mark;
            assert!(marks.insert(mark));
            assert_eq!(scan(&root).unwrap().mark, mark, "looking changes nothing");
        }
    });
}

#[test]
fn a_kill_at_every_byte_is_scanned_and_closed() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        let mut journal = Journal::begin(&root, &first(1)).unwrap();
        journal.intent(0, 3).unwrap();
        journal.done(0, 3).unwrap();
        journal.end(Outcome::Done, 0).unwrap();
        let whole = std::fs::read(file_of(sandbox, DONE, 1)).unwrap();
        let begun = whole.iter().position(|&b| b == b'\n').unwrap() + 1;
        let (path, done) = (file_of(sandbox, JOURNAL, 1), file_of(sandbox, DONE, 1));
        // A torn line may also be as long as it should be, with another content at its end.
        let torn = |length: usize| [&whole[..length], b"\0\0\n".as_slice()].concat();
        for content in (0..=whole.len()).map(|n| whole[..n].to_vec()).chain([torn(begun), torn(begun + 20)]) {
            let length = content.len();
            std::fs::remove_file(&done).ok();
            std::fs::write(&path, &content).unwrap();
            let scan_now = scan(&root).unwrap();
            assert!(scan_now.running.is_empty());
            if length == whole.len() && content == whole {
                assert!(scan_now.unfinished.is_empty(), "ended, though it was not moved");
            } else {
                let [unfinished] = &scan_now.unfinished[..] else { panic!("at {length}: {scan_now:?}") };
                assert_eq!(unfinished.goal.is_some(), length >= begun, "at {length}");
            }
            close(&root, &operation(1), Outcome::Recovered).unwrap();
            assert!(!path.exists());
            assert_eq!(done.exists(), length >= begun, "one in which nothing was begun is removed; at {length}");
            if done.exists() {
                let told = told(&done);
                let expected = if content == whole { Outcome::Done } else { Outcome::Recovered };
                assert!(told.outcome() == Some(expected) && !told.torn, "at {length}");
            }
            assert!(scan(&root).unwrap().unfinished.is_empty());
            close(&root, &operation(1), Outcome::Recovered).unwrap();
        }
    });
}

#[test]
fn another_process_that_holds_it_is_at_work() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        drop(Journal::begin(&root, &first(1)).unwrap());
        drop(Journal::begin(&root, &first(2)).unwrap());
        let mut other = Command::new("flock")
            .args(["--exclusive"])
            .arg(file_of(sandbox, JOURNAL, 1))
            .args(["sh", "-c", "echo held; read end"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut held = [0; 5];
        std::io::Read::read_exact(other.stdout.as_mut().unwrap(), &mut held).unwrap();
        let found = scan(&root).unwrap();
        assert_eq!(found.running.iter().map(|u| &u.operation).collect::<Vec<_>>(), [&operation(1)]);
        assert_eq!(found.unfinished.iter().map(|u| &u.operation).collect::<Vec<_>>(), [&operation(2)]);
        let error = close(&root, &operation(1), Outcome::Recovered).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        other.kill().unwrap();
        other.wait().unwrap();
        // The shell that flock(1) started holds it too, until its input ends.
        drop(other.stdin.take());
        let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while !scan(&root).unwrap().running.is_empty() {
            assert!(std::time::Instant::now() < until, "still held");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        close(&root, &operation(1), Outcome::Recovered).unwrap();
        close(&root, &operation(2), Outcome::Recovered).unwrap();
        assert_eq!((count(sandbox, JOURNAL), count(sandbox, DONE)), (0, 2));
    });
}

#[test]
fn one_operation_has_one_journal() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        let _held = Journal::begin(&root, &first(1)).unwrap();
        let error = Journal::begin(&root, &first(1)).unwrap_err();
        assert_eq!(error.errno(), Some(libc::EEXIST));
        assert_eq!(count(sandbox, JOURNAL), 1, "no temporary file is left");
        assert_eq!(scan(&root).unwrap().running.len(), 1);
    });
}

#[test]
fn what_crashed_runs_left_is_tidied() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        Journal::begin(&root, &first(1)).unwrap().end(Outcome::Done, 0).unwrap();
        std::fs::rename(file_of(sandbox, DONE, 1), file_of(sandbox, JOURNAL, 1)).unwrap();
        let young = sandbox.file("var/lib/datastore/journal/.young.new", "");
        let old = sandbox.file("var/lib/datastore/journal/.old.new", "");
        succeeds(Command::new("touch").args(["-d", "1 hour ago"]).arg(&old));
        let other = sandbox.file("var/lib/datastore/journal/README", "mine");
        drop(Journal::begin(&root, &first(2)).unwrap());
        assert!(file_of(sandbox, DONE, 1).exists() && !file_of(sandbox, JOURNAL, 1).exists());
        assert!(file_of(sandbox, JOURNAL, 2).exists(), "interrupted ones stay");
        assert!(young.exists() && !old.exists() && other.exists());
    });
}

#[test]
fn the_oldest_are_pruned() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        Journal::begin(&root, &first(59)).unwrap().end(Outcome::Done, 0).unwrap();
        let done = sandbox.dir().join(&DONE[1..]);
        for n in 0..210_u32 {
            std::fs::write(done.join(format!("20250101T{n:06}000Z-00000000.journal")), "x").unwrap();
        }
        std::fs::write(done.join("notes.txt"), "mine").unwrap();
        Journal::begin(&root, &first(58)).unwrap().end(Outcome::Done, 0).unwrap();
        assert_eq!(count(sandbox, DONE), 201);
        assert!(done.join("notes.txt").exists() && file_of(sandbox, DONE, 58).exists());
        assert!(done.join("20250101T000209000Z-00000000.journal").exists());
        assert!(!done.join("20250101T000011000Z-00000000.journal").exists());
        let big = |name: &str| std::fs::File::create(done.join(name)).unwrap().set_len(40 << 20).unwrap();
        big("20270101T000000000Z-00000000.journal");
        big("20270101T000001000Z-00000000.journal");
        Journal::begin(&root, &first(57)).unwrap().end(Outcome::Done, 0).unwrap();
        assert!(done.join("20270101T000001000Z-00000000.journal").exists());
        assert_eq!(count(sandbox, DONE), 2, "the newest, and what is not ours");
    });
}

#[test]
fn newer_and_damaged_journals_are_refused_by_name() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        drop(Journal::begin(&root, &first(1)).unwrap());
        let path = file_of(sandbox, JOURNAL, 1);
        let begun = std::fs::read(&path).unwrap();
        let newer = Begin { version: VERSION + 1, ..first(1) };
        let foreign = line(&Record::Begin(Box::new(first(2))));
        let damaged =
            [&begun, b"garbage\n".as_slice(), line(&Record::Intent { first: 0, last: 1 }).as_bytes()].concat();
        for (content, hint) in [
            (line(&Record::Begin(Box::new(newer))).into_bytes(), "update datastore"),
            (damaged, "datastore status"),
            (foreign.into_bytes(), "move /var/lib/datastore/journal/"),
        ] {
            std::fs::write(&path, &content).unwrap();
            for error in [scan(&root).unwrap_err(), close(&root, &operation(1), Outcome::Recovered).unwrap_err()] {
                assert_eq!(error.kind(), ErrorKind::Invalid);
                assert!(error.message().contains(operation(1).as_str()), "{error}");
                assert!(error.get_hint().unwrap().contains(hint), "{error:?}");
            }
            assert_eq!(std::fs::read(&path).unwrap(), content, "it was not touched");
        }
    });
}

#[test]
fn without_privilege_nothing_is_told_and_nothing_begun() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        drop(Journal::begin(&root, &first(1)).unwrap());
        without(&[], || {
            rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(65534)).unwrap();
            assert_eq!(scan(&root).unwrap(), Scan::default());
            assert_eq!(Journal::begin(&root, &first(2)).unwrap_err().kind(), ErrorKind::Privilege);
        });
        std::fs::set_permissions(sandbox.dir().join(&JOURNAL[1..]), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(Journal::begin(&root, &first(2)).unwrap_err().kind(), ErrorKind::Refused);
    });
}

/// A file system of 64 KiB where the journals are.
fn small(sandbox: &Sandbox) {
    sandbox.dirs(&["var/lib/datastore"]);
    let dir = sandbox.dir().join("var/lib/datastore");
    rustix::mount::mount("tmpfs", &dir, "tmpfs", rustix::mount::MountFlags::empty(), c"size=64k,mode=0755").unwrap();
}

#[test]
fn a_full_disk_is_told_and_leaves_whole_lines() {
    Sandbox::run(|sandbox| {
        small(sandbox);
        let root = sandbox.root();
        let mut journal = Journal::begin(&root, &first(1)).unwrap();
        journal.intent(0, 0).unwrap();
        journal.done(0, 0).unwrap();
        let fill = sandbox.dir().join("var/lib/datastore/fill");
        // Not quite full: a long record is written in part.
        std::fs::write(&fill, vec![b'x'; 56 << 10]).unwrap();
        journal.failed(1, &"why ".repeat(3000)).unwrap();
        let error = journal.intent(1, 1).unwrap_err();
        assert_eq!((error.kind(), error.errno()), (ErrorKind::System, Some(libc::ENOSPC)));
        assert!(error.get_hint().unwrap().starts_with("make room"), "{error:?}");
        let now = told(&file_of(sandbox, JOURNAL, 1));
        assert!(!now.torn && now.done() == 0, "the part of a line was cut off: {now:?}");
        assert_eq!(
            Journal::begin(&root, &Begin { program: "x".repeat(9000), ..first(2) }).unwrap_err().errno(),
            Some(libc::ENOSPC)
        );
        std::fs::remove_file(&fill).unwrap();
        assert_eq!(count(sandbox, JOURNAL), 1);
        journal.end(Outcome::Failed, 1).unwrap();
        let told = told(&file_of(sandbox, DONE, 1));
        assert!(told.done() == 1 && told.records.len() == 4, "what was said is kept, the intent is not: {told:?}");
    });
}

#[test]
fn a_failed_sync_is_final() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        let mut journal = Journal::begin(&root, &first(1)).unwrap();
        let error = without(&[libc::SYS_fdatasync], || journal.intent(0, 0)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::System);
        for error in [
            journal.intent(0, 0).unwrap_err(),
            journal.done(0, 0).unwrap_err(),
            journal.failed(0, "x").unwrap_err(),
            journal.undone(0, None).unwrap_err(),
            journal.end(Outcome::Done, 0).unwrap_err(),
        ] {
            assert!(error.message().contains("not trusted any more"), "{error}");
        }
        assert_eq!(scan(&root).unwrap().unfinished.len(), 1, "it counts as interrupted");
        let error = without(&[libc::SYS_fsync], || Journal::begin(&root, &first(2))).unwrap_err();
        assert!(error.message().contains("nothing has been done"), "{error}");
        assert!(!file_of(sandbox, JOURNAL, 2).exists());
    });
}

#[test]
fn old_kernels_begin_journals_too() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        let missing = [libc::SYS_renameat2, libc::SYS_openat2, libc::SYS_statx];
        without(&missing, || {
            let journal = Journal::begin(&root, &first(1)).unwrap();
            assert_eq!(scan(&root).unwrap().running.len(), 1);
            assert!(Journal::begin(&root, &first(1)).is_err());
            journal.end(Outcome::Done, 0).unwrap();
        });
        assert_eq!((count(sandbox, JOURNAL), count(sandbox, DONE)), (0, 1));
    });
}

#[test]
fn much_that_was_done_is_written_without_waiting_for_a_sync() {
    Sandbox::run(|sandbox| {
        let root = sandbox.root();
        let mut journal = Journal::begin(&root, &first(1)).unwrap();
        for step in (0..10_000).step_by(2) {
            journal.done(step, step).unwrap();
            assert!(journal.buffer.len() < BUFFER + 1000);
        }
        assert!(told(&file_of(sandbox, JOURNAL, 1)).done() > 1000);
    });
}
