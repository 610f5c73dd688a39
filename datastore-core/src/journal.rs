//! The journal of one operation, as text: what was begun, what was done, how it ended.
//!
//! A journal is a file of lines, each a checksum (CRC-32 of what follows, eight hexadecimal digits), a space and one
//! JSON record. A line is written by one write(2), so a power cut leaves a *torn tail*: a last line that is cut or whose
//! checksum is wrong. That is expected and passed over. A bad line with a good one after it is damage, and refused.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::goal::Goal;
use crate::hook::HookRun;
use crate::path::AbsPath;
use crate::plan::{PlanId, Subject};
use crate::step::{Action, Step};
use crate::value::{HostName, Id, ValueError};

/// The version that is written; a higher one is refused.
pub const VERSION: u32 = 1;

/// The name of an operation, which sorts by time (UTC, to the millisecond): `20261123T174301250Z-1a2b3c4d`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OperationId(String);

impl OperationId {
    /// Checks a text: it becomes a file name.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let fits = text.len() == 28
            && text.bytes().enumerate().all(|(i, b)| match i {
                8 => b == b'T',
                18 => b == b'Z',
                19 => b == b'-',
                20.. => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
                _ => b.is_ascii_digit(),
            });
        if fits { Ok(Self(text.into())) } else { Err(ValueError(format!("`{}` is no operation", text.escape_debug()))) }
    }
    /// A new name from a time (RFC 3339, UTC, milliseconds) and 4 random bytes.
    pub fn new(rfc3339: &str, random: [u8; 4]) -> Result<Self, ValueError> {
        let digits: String = rfc3339.chars().take(23).filter(|c| !matches!(c, '-' | ':' | '.')).collect();
        Self::parse(&format!("{digits}Z-{:08x}", u32::from_be_bytes(random)))
    }
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The part that temporary files carry in their names.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for OperationId {
    type Error = ValueError;
    fn try_from(text: String) -> Result<Self, ValueError> {
        Self::parse(&text)
    }
}
impl From<OperationId> for String {
    fn from(id: OperationId) -> String {
        id.0
    }
}
impl std::fmt::Display for OperationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    /// The first line: everything that recovery must know.
    Begin(Box<Begin>),
    /// These steps are about to be done; on the disk before the first of them begins.
    Intent {
        /// First.
        first: usize,
        /// Last.
        last: usize,
    },
    /// These steps were done.
    Done {
        /// First.
        first: usize,
        /// Last.
        last: usize,
    },
    /// This step failed.
    Failed {
        /// Which.
        step: usize,
        /// Why.
        error: String,
    },
    /// This step, done before, was taken back.
    Undone {
        /// Which.
        step: usize,
        /// Why that failed, if it did.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The last line.
    End {
        /// Seconds since 1970.
        at: i64,
        /// How it ended.
        outcome: Outcome,
        /// Mappings or parts that failed.
        #[serde(default)]
        failed: usize,
    },
}

/// The first record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// [`VERSION`].
    pub version: u32,
    /// The operation.
    pub operation: OperationId,
    /// The program's version.
    pub program: String,
    /// Seconds since 1970.
    pub at: i64,
    /// Who asked: a user id.
    pub uid: u32,
    /// The host.
    pub host: Option<HostName>,
    /// The boot of the machine (`/proc/sys/kernel/random/boot_id`, proc(5)); what had been stopped is started by the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<Id>,
    /// What was asked for.
    pub goal: Goal,
    /// The plan.
    pub plan: PlanId,
    /// The mappings that the steps serve.
    pub mappings: Vec<Subject>,
    /// The steps.
    pub steps: Vec<Step>,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every step was done.
    Done,
    /// Some mappings failed and were taken back, and the others were done; or data was moved and a service did not start.
    Partly,
    /// It failed and was taken back.
    Failed,
    /// It stopped half-way, and `recover` finished it by another operation.
    Recovered,
}

/// One operation as its journal tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// How it began.
    pub begin: Begin,
    /// Its other records, in order.
    pub records: Vec<Record>,
    /// Whether the last line is torn.
    pub torn: bool,
}

impl Told {
    /// How it ended; `None` if it did not.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.records.iter().rev().find_map(|r| match r {
            Record::End { outcome, .. } => Some(*outcome),
            _ => None,
        })
    }
    /// How many steps were done.
    #[must_use]
    pub fn done(&self) -> usize {
        let done = |r: &Record| if let Record::Done { first, last } = r { last + 1 - first } else { 0 };
        self.records.iter().map(done).sum()
    }
    /// The identities of the store directories that it was to make, or that it told a hook are new because an earlier operation
    /// had made them.
    #[must_use]
    pub fn makes(&self) -> Vec<Id> {
        let runs = self.begin.steps.iter().filter_map(hook_of);
        let new: BTreeSet<u32> = runs.flat_map(|run| &run.binds).filter(|b| b.new_store).map(|b| b.mapping).collect();
        let made = |step: &Step| match &step.action {
            Action::MakeDir { id, .. } => *id,
            Action::Bind { id, .. } if step.mapping.is_some_and(|m| new.contains(&m)) => *id,
            _ => None,
        };
        self.begin.steps.iter().filter_map(made).collect()
    }
    /// The steps, and how many of them may have begun, if they stand or fall together.
    #[must_use]
    pub fn rest(&self) -> Option<Rest> {
        let last = |r: &Record| if let Record::Intent { last, .. } = r { Some(last + 1) } else { None };
        let begun = self.records.iter().filter_map(last).max().unwrap_or(0);
        self.begin.goal.moves().then(|| Rest { boot: self.begin.boot, steps: self.begin.steps.clone(), begun })
    }
    /// The mount points whose hooks are not all known to have run to their end, in order.
    #[must_use]
    pub fn owes(&self) -> BTreeSet<AbsPath> {
        self.hooked(|done| !done)
    }
    /// The mount points whose hooks are all known to have run to their end, in order.
    #[must_use]
    pub fn paid(&self) -> BTreeSet<AbsPath> {
        let owes = self.owes();
        self.hooked(|_| true).into_iter().filter(|path| !owes.contains(path)).collect()
    }
    /// The mount points that have a hook of which this holds.
    fn hooked(&self, holds: impl Fn(bool) -> bool) -> BTreeSet<AbsPath> {
        let is_done = |i: usize| {
            let covers = |r: &Record| matches!(r, Record::Done { first, last } if (*first..=*last).contains(&i));
            self.records.iter().any(covers)
        };
        let steps = self.begin.steps.iter().enumerate();
        let runs = steps.filter_map(|(i, step)| hook_of(step).filter(|_| holds(is_done(i))));
        runs.flat_map(|run| &run.binds).map(|bind| bind.mount_point.clone()).collect()
    }
}

fn hook_of(step: &Step) -> Option<&HookRun> {
    if let Action::RunHook(run) = &step.action { Some(run) } else { None }
}

/// An operation without an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The operation.
    pub operation: OperationId,
    /// What was asked for; `None` if not even the first line reached the disk, so that nothing was done either.
    pub goal: Option<Goal>,
    /// The plan; `None` just so.
    pub plan: Option<PlanId>,
    /// When, in seconds since 1970.
    pub at: i64,
    /// The mappings that it serves.
    pub mappings: Vec<Subject>,
    /// How many steps there were.
    pub steps: usize,
    /// How many of them are known to be done.
    pub done: usize,
    /// The identities of store directories that it was to make. One that is found was made by it, so it is new still.
    pub makes: Vec<Id>,
    /// Mount points whose hooks are not known to have run to their end, neither by it nor by an operation that came after it.
    pub owes: BTreeSet<AbsPath>,
    /// The directories of its own that it may have left empty.
    pub rooms: BTreeSet<AbsPath>,
    /// The steps, where they stand or fall together.
    pub rest: Option<Rest>,
}

impl Unfinished {
    /// An operation of which not even the first line is there.
    #[must_use]
    pub fn nothing(operation: OperationId, at: i64) -> Self {
        Self {
            operation,
            goal: None,
            plan: None,
            at,
            mappings: Vec::new(),
            steps: 0,
            done: 0,
            makes: Vec::new(),
            owes: BTreeSet::new(),
            rooms: BTreeSet::new(),
            rest: None,
        }
    }
}

/// What an operation left that moved data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// The boot of the machine in which it ran, if that is known.
    pub boot: Option<Id>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// How many of them may have begun.
    pub begun: usize,
}

/// Why a journal cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Nothing was written before the crash, so nothing was done.
    #[error("the journal is empty")]
    Empty,
    /// Written by a newer program.
    #[error("the journal has version {0}, and this program knows {VERSION}")]
    Newer(u32),
    /// A line in the middle is wrong.
    #[error("line {line} of the journal is damaged: {why}")]
    Damaged {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// One record as a line with its newline.
#[must_use]
pub fn line(record: &Record) -> String {
    written(record)
}

/// The first line of a journal: `begin` with the mappings and steps of a plan that is kept elsewhere, because those of ten thousand
/// mappings take megabytes.
#[must_use]
pub fn first_line(begin: &Begin, mappings: &[Subject], steps: &[Step]) -> String {
    #[derive(Serialize)]
    #[serde(tag = "record", rename = "begin")]
    struct Line<'a> {
        version: u32,
        operation: &'a OperationId,
        program: &'a str,
        at: i64,
        uid: u32,
        host: &'a Option<HostName>,
        #[serde(skip_serializing_if = "Option::is_none")]
        boot: &'a Option<Id>,
        goal: &'a Goal,
        plan: &'a PlanId,
        mappings: &'a [Subject],
        steps: &'a [Step],
    }
    let Begin { version, operation, program, at, uid, host, boot, goal, plan, .. } = begin;
    written(&Line {
        version: *version,
        operation,
        program,
        at: *at,
        uid: *uid,
        host,
        boot,
        goal,
        plan,
        mappings,
        steps,
    })
}

/// One line, put together in one buffer.
fn written(record: &impl Serialize) -> String {
    const ROOM: &str = "00000000 ";
    let mut line = ROOM.as_bytes().to_vec();
    serde_json::to_writer(&mut line, record).expect("records hold nothing that JSON cannot");
    let sum = format!("{:08x}", crc32fast::hash(&line[ROOM.len()..]));
    line[..sum.len()].copy_from_slice(sum.as_bytes());
    line.push(b'\n');
    String::from_utf8(line).expect("JSON is UTF-8")
}

/// The version in a first line, whatever else a newer program has written there.
#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

/// Reads a journal.
pub fn parse(bytes: &[u8]) -> Result<Told, JournalError> {
    let mut begin: Option<Begin> = None;
    let mut records = Vec::new();
    let mut bad: Option<(usize, String)> = None;
    for (i, line) in bytes.split_inclusive(|&b| b == b'\n').enumerate() {
        if let Some((line, why)) = bad {
            return Err(JournalError::Damaged { line, why });
        }
        let json = match check(line) {
            Ok(json) => json,
            Err(why) => {
                bad = Some((i + 1, why.into()));
                continue;
            }
        };
        if i == 0
            && let Ok(AnyVersion { version }) = serde_json::from_slice(json)
            && version > VERSION
        {
            return Err(JournalError::Newer(version));
        }
        let damaged = |why: String| JournalError::Damaged { line: i + 1, why };
        match (serde_json::from_slice::<Record>(json).map_err(|e| damaged(e.to_string()))?, begin.is_some()) {
            (Record::Begin(first), false) => begin = Some(*first),
            (Record::Begin(_), true) => return Err(damaged("a second beginning".into())),
            (_, false) => return Err(damaged("no beginning".into())),
            (record, true) => records.push(record),
        }
    }
    let begin = begin.ok_or(JournalError::Empty)?;
    Ok(Told { begin, records, torn: bad.is_some() })
}

/// The JSON of a line whose checksum holds.
fn check(line: &[u8]) -> Result<&[u8], &'static str> {
    let line = line.strip_suffix(b"\n").ok_or("it is cut")?;
    let (sum, json) = line.split_at_checked(9).ok_or("it is too short")?;
    let sum = sum.strip_suffix(b" ").and_then(|s| std::str::from_utf8(s).ok()).ok_or("it has no checksum")?;
    // Compared as text: a flip that turns `a` into `A` is damage too.
    if sum == format!("{:08x}", crc32fast::hash(json)) { Ok(json) } else { Err("its checksum is wrong") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goal::Apps;

    fn begin() -> Record {
        Record::Begin(Box::new(Begin {
            version: VERSION,
            operation: OperationId::new("2026-11-23T17:43:01.250Z", [0x1a, 2, 3, 4]).unwrap(),
            program: "0.1.0".into(),
            at: 1,
            uid: 0,
            host: None,
            boot: None,
            goal: Goal::Apply(Apps::default()),
            plan: PlanId::of(b"x"),
            mappings: vec![],
            steps: vec![],
        }))
    }

    #[test]
    fn names_of_operations() {
        let id = OperationId::new("2026-11-23T17:43:01.250Z", [0x1a, 2, 3, 4]).unwrap();
        assert_eq!(id.as_str(), "20261123T174301250Z-1a020304");
        assert!(OperationId::parse("../../etc/passwd").is_err());
        assert!(OperationId::parse("20261123T174301250Z-1A020304").is_err());
    }

    #[test]
    fn every_cut_is_a_torn_tail_and_every_flip_is_noticed() {
        let text: String =
            [begin(), Record::Intent { first: 0, last: 3 }, Record::End { at: 2, outcome: Outcome::Done, failed: 0 }]
                .iter()
                .map(line)
                .collect();
        let whole = parse(text.as_bytes()).unwrap();
        assert_eq!(whole.outcome(), Some(Outcome::Done));
        for cut in 0..text.len() {
            match parse(&text.as_bytes()[..cut]) {
                Ok(told) => assert!(told.records.len() < 2 && told.outcome().is_none()),
                Err(JournalError::Empty) => {}
                Err(other) => panic!("cut at {cut}: {other}"),
            }
        }
        for byte in 0..text.len() {
            for bit in 0..8 {
                let mut flipped = text.clone().into_bytes();
                flipped[byte] ^= 1 << bit;
                assert_ne!(parse(&flipped).as_ref(), Ok(&whole), "byte {byte} bit {bit}");
            }
        }
    }

    #[test]
    fn the_first_line_is_the_same_with_borrowed_steps() {
        let Record::Begin(first) = begin() else { panic!() };
        assert_eq!(first_line(&first, &first.mappings, &first.steps), line(&begin()));
    }

    #[test]
    fn newer_journals_are_refused() {
        let json = r#"{"record":"begin","version":2,"unknown":true}"#;
        let text = format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
        assert_eq!(parse(text.as_bytes()), Err(JournalError::Newer(2)));
    }
}
