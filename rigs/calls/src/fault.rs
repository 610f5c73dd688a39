//! One fault, and who puts it into a command.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use datastore_rigs::tracer::{self, Call, Outcome, Shown, Sysno, Verdict, Watch};
use datastore_tests::Sandbox;
use nix::unistd::Pid;
use rustix::fs::OFlags;

use crate::kind::{self, Kind};

/// How long a command may take with a fault in it. Undisturbed it takes some hundredths of a second.
const PATIENCE: Duration = Duration::from_secs(40);

/// What is done to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: somebody only looks.
    Nothing,
    /// The command is killed before it.
    KillBefore,
    /// The command is killed after it.
    KillAfter,
    /// It fails, once.
    Fails(i32),
    /// It fails, and so do all later ones of its name.
    FailsFromHere(i32),
    /// It does its work, and fails nevertheless.
    FailsLate(i32),
    /// It does nothing, and says that it has done it.
    Lies,
    /// It does half of what was asked, and says so: the kernel may.
    DoesHalf,
    /// It does its work, and then a byte of what it wrote is another one.
    FlipsAByte,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::KillBefore => f.write_str("killed before"),
            Self::KillAfter => f.write_str("killed after"),
            Self::Fails(errno) => write!(f, "{} at", kind::name(*errno)),
            Self::FailsFromHere(errno) => write!(f, "{} from there on at", kind::name(*errno)),
            Self::FailsLate(errno) => write!(f, "{} after its work at", kind::name(*errno)),
            Self::Lies => f.write_str("nothing done, and success told, at"),
            Self::DoesHalf => f.write_str("half of it done at"),
            Self::FlipsAByte => f.write_str("a byte changed after"),
        }
    }
}

/// Which calls are counted.
pub type Counts = fn(&Call, Kind) -> bool;

/// Every call that can fail.
#[must_use]
pub fn all(_: &Call, kind: Kind) -> bool {
    kind != Kind::Idle
}

/// Calls that change something.
#[must_use]
pub fn changing(_: &Call, kind: Kind) -> bool {
    kind == Kind::Changes
}

/// Calls that bring something to the disk.
#[must_use]
pub fn syncing(_: &Call, kind: Kind) -> bool {
    kind == Kind::Syncs
}

/// How far the command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It looks and plans: there is no journal yet.
    Looks,
    /// It is at work: there is a journal without an end.
    Works,
    /// The journal has its end, which is on the disk: what is promised holds. What is left is housekeeping.
    Tidies,
}

/// A call that was met.
#[derive(Debug, Clone)]
pub struct Met {
    /// How far the command was.
    pub phase: Phase,
    /// What it was.
    pub call: Shown,
    /// What kind it is.
    pub kind: Kind,
    /// What it answered, if it was seen to.
    pub answer: Option<i64>,
    /// The errnos that it can have.
    pub errnos: Vec<i32>,
}

/// Looks on, and does one thing to the so-many-th call that counts. The program's own calls begin when it first opens its root: what
/// comes before belongs to its loader and its library.
struct Injector<'a> {
    root: &'a Path,
    counts: Counts,
    fault: Fault,
    /// Which call, counted from 0; without one all are written down.
    at: Option<usize>,
    next: usize,
    has_begun: bool,
    all: Vec<Met>,
    hit: Option<Met>,
    /// Which of all calls each thread is inside.
    answers: HashMap<Pid, usize>,
    /// The name that fails from here on.
    name: Option<Sysno>,
    /// The thread that is inside the call at hand.
    inside: Option<Pid>,
    /// The file to which the call at hand writes, and how much was there.
    written: Option<(PathBuf, u64)>,
    /// How far it is.
    phase: Phase,
    /// Descriptors on other processes in /proc.
    others: HashSet<u64>,
    /// Threads that are opening such a one.
    opening: HashSet<Pid>,
}

impl Injector<'_> {
    fn meets(&mut self, call: &Call, kind: Kind) -> Verdict {
        match self.fault {
            Fault::Nothing | Fault::KillAfter | Fault::FailsLate(_) => Verdict::Go,
            Fault::KillBefore => Verdict::Kill,
            Fault::Fails(errno) => Verdict::Fail(errno),
            Fault::FailsFromHere(errno) => {
                self.name = Some(call.number);
                Verdict::Fail(errno)
            }
            Fault::Lies => Verdict::Answer(claimed(call)),
            Fault::DoesHalf => match length_at(call.number) {
                Some(at) if call.args[at] > 1 => {
                    let mut args = call.args;
                    args[at] = args[at].div_ceil(2);
                    Verdict::GoWith(args)
                }
                _ => Verdict::Go,
            },
            Fault::FlipsAByte => {
                self.written = written(call, kind);
                Verdict::Go
            }
        }
    }
}

impl Injector<'_> {
    /// Sees from the names of journals how far the command is.
    fn follow(&mut self, call: &Call) {
        if !matches!(call.number, Sysno::renameat | Sysno::renameat2) {
            return;
        }
        let Some(to) = call.text(call.args[3]).filter(|to| to.extension().is_some_and(|e| e == "journal")) else {
            return;
        };
        let from = call.text(call.args[1]);
        // A new one gets its name, or one that has ended goes to the others.
        self.phase = if from.is_some_and(|from| from == to) { Phase::Tidies } else { Phase::Works };
    }

    /// Whether a call looks at another process. Who runs on the machine is not the same from run to run, so these are not counted.
    fn is_of_others(&mut self, call: &Call) -> bool {
        if call.number == Sysno::close {
            self.others.remove(&call.args[0]);
            return true;
        }
        let path = match call.number {
            Sysno::open | Sysno::readlink => call.text(call.args[0]),
            Sysno::openat | Sysno::openat2 | Sysno::statx | Sysno::readlinkat => call.text(call.args[1]),
            _ => None,
        };
        let begins = |path: &PathBuf| {
            let rest = path.strip_prefix("/proc").ok().and_then(|rest| rest.components().next());
            rest.is_some_and(|part| part.as_os_str().as_encoded_bytes()[0].is_ascii_digit())
        };
        let is = match &path {
            Some(path) if path.is_absolute() => begins(path),
            _ => !matches!(call.number, Sysno::open | Sysno::readlink) && self.others.contains(&call.args[0]),
        };
        if is && call.opens().is_some() {
            self.opening.insert(call.process);
        }
        is
    }
}

impl Watch for Injector<'_> {
    fn wants_threads(&self) -> bool {
        true
    }

    fn before(&mut self, call: &Call) -> Verdict {
        if self.inside == Some(call.process) {
            self.inside = None;
        }
        if !self.has_begun {
            let Some(path) = call.opens().and_then(|_| Shown::of(call).paths().last().cloned()) else {
                return Verdict::Go;
            };
            self.has_begun = path.starts_with(self.root);
            return Verdict::Go;
        }
        if self.is_of_others(call) {
            return Verdict::Go;
        }
        let kind = kind::of(call);
        self.follow(call);
        if let (Some(name), Fault::FailsFromHere(errno)) = (self.name, self.fault)
            && name == call.number
        {
            return Verdict::Fail(errno);
        }
        if !(self.counts)(call, kind) {
            return Verdict::Go;
        }
        let nth = self.next;
        self.next += 1;
        let phase = self.phase;
        let met = |call: &Call| {
            let errnos = kind::ERRNOS.iter().map(|(errno, _)| *errno);
            let errnos = errnos.filter(|errno| kind::can_fail(call, kind, *errno)).collect();
            Met { phase, call: Shown::of(call), kind, answer: None, errnos }
        };
        match self.at {
            None => {
                self.all.push(met(call));
                self.answers.insert(call.process, self.all.len() - 1);
                Verdict::Go
            }
            Some(at) if at == nth => {
                self.hit = Some(met(call));
                self.inside = Some(call.process);
                self.meets(call, kind)
            }
            Some(_) => Verdict::Go,
        }
    }

    fn after(&mut self, call: &Call, result: i64) -> Verdict {
        if self.opening.remove(&call.process)
            && let Ok(fd) = u64::try_from(result)
        {
            self.others.insert(fd);
        }
        if let Some(at) = self.answers.remove(&call.process) {
            self.all[at].answer = Some(result);
        }
        if self.inside != Some(call.process) {
            return Verdict::Go;
        }
        self.inside = None;
        if let Some(met) = &mut self.hit {
            met.answer = Some(result);
        }
        match self.fault {
            Fault::KillAfter => Verdict::Kill,
            Fault::FailsLate(errno) if result >= 0 => Verdict::Fail(errno),
            Fault::FlipsAByte => {
                if let (Some((path, at)), Ok(length)) = (self.written.take(), u64::try_from(result))
                    && length > 0
                {
                    flip(&path, at + length / 2);
                }
                Verdict::Go
            }
            _ => Verdict::Go,
        }
    }

    fn has_seen_enough(&self) -> bool {
        self.hit.is_some() && !matches!(self.fault, Fault::FailsFromHere(_))
    }
}

/// Which argument of a call says how much it is to read or write.
#[must_use]
pub fn length_at(number: Sysno) -> Option<usize> {
    match number {
        Sysno::read | Sysno::pread64 | Sysno::write | Sysno::pwrite64 => Some(2),
        Sysno::sendfile => Some(3),
        Sysno::copy_file_range => Some(4),
        _ => None,
    }
}

/// What a call answers that has done all that was asked.
fn claimed(call: &Call) -> i64 {
    length_at(call.number).map_or(0, |at| call.args[at].cast_signed())
}

/// The file that a call is about to write to, and where.
fn written(call: &Call, kind: Kind) -> Option<(PathBuf, u64)> {
    let fd = match call.number {
        Sysno::write | Sysno::pwrite64 | Sysno::sendfile => call.args[0],
        Sysno::copy_file_range => call.args[2],
        _ => return None,
    };
    if kind != Kind::Changes {
        return None;
    }
    let path = PathBuf::from(format!("/proc/{}/fd/{fd}", call.process));
    let at = match call.number {
        Sysno::pwrite64 => call.args[3],
        // Where its own offset stands.
        _ => std::fs::read_to_string(format!("/proc/{}/fdinfo/{fd}", call.process))
            .ok()?
            .lines()
            .find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok())?,
    };
    Some((path, at))
}

/// Makes another byte of one.
fn flip(path: &Path, at: u64) {
    let Ok(fd) = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, rustix::fs::Mode::empty()) else { return };
    let file = File::from(fd);
    let mut byte = [0];
    if file.read_exact_at(&mut byte, at).is_ok() {
        byte[0] ^= 0x40;
        file.write_all_at(&byte, at).expect("write the byte that was read");
    }
}

/// What came of a command with a fault in it.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub outcome: Outcome,
    /// The call that the fault was put into; `None` if the command made fewer.
    pub hit: Option<Met>,
}

/// Runs `datastore --root ROOT ARGUMENT...` with a fault in the so-many-th call that counts, from 0.
///
/// # Panics
/// If it cannot be traced.
#[must_use]
pub fn put(sandbox: &Sandbox, words: &[&str], counts: Counts, at: usize, fault: Fault) -> Ended {
    let (outcome, injector) = traced(sandbox, words, counts, Some(at), fault);
    Ended { outcome, hit: injector.hit }
}

/// Every call that counts of an undisturbed run, and how that ended.
///
/// # Panics
/// If it cannot be traced.
#[must_use]
pub fn record(sandbox: &Sandbox, words: &[&str], counts: Counts) -> (Outcome, Vec<Met>) {
    let (outcome, injector) = traced(sandbox, words, counts, None, Fault::Nothing);
    (outcome, injector.all)
}

fn traced<'a>(
    sandbox: &'a Sandbox,
    words: &[&str],
    counts: Counts,
    at: Option<usize>,
    fault: Fault,
) -> (Outcome, Injector<'a>) {
    let mut injector = Injector {
        root: sandbox.root(),
        counts,
        fault,
        at,
        next: 0,
        has_begun: false,
        all: Vec::new(),
        hit: None,
        name: None,
        answers: HashMap::new(),
        inside: None,
        written: None,
        phase: Phase::Looks,
        others: HashSet::new(),
        opening: HashSet::new(),
    };
    let command = sandbox.datastore_command(words);
    let outcome = tracer::run_with(command, &sandbox.input(), PATIENCE, &mut injector)
        .unwrap_or_else(|e| panic!("trace datastore {}: {e}", words.join(" ")));
    (outcome, injector)
}
