//! One story on one file system, told in all ways, cut everywhere.

#![allow(clippy::print_stderr, reason = "violations and counts belong to the test's output")]

use datastore_rigs::tracer::Outcome;
use datastore_rigs::{Effort, Evidence};
use datastore_tests::random::Random;

use crate::check::{self, Wanted};
use crate::disks::{Event, Fault};
use crate::machine::{FileSystem, Machine};
use crate::states::{self, Counting, Left, Sample};
use crate::stepping::{self, Stepping};
use crate::story::Story;

/// The invariants that a power cut is about, by their numbers in SECURITY.md.
const INVARIANTS: &[u32] = &[1, 2, 3, 4, 6, 12];
/// After so many violations of one telling the rest would say the same.
const ENOUGH: usize = 10;
/// Each so-many-th state is taken to the end of the road.
const AGAIN: usize = 4;

/// How many states are looked at, for a commit and for a release.
#[derive(Debug, Clone, Copy)]
pub struct Most(pub usize, pub usize);

impl Most {
    fn asked(self) -> usize {
        Effort::asked().of(self.0, self.1)
    }
}

/// A story on its machine.
struct Stage {
    story: &'static Story,
    machine: Machine,
    wanted: Wanted,
    random: Random,
}

impl Stage {
    fn set(story: &'static Story, kind: FileSystem) -> Self {
        let machine = Machine::new(kind);
        story.set(&machine);
        let wanted = Wanted::of(story, &machine);
        Self { story, machine, wanted, random: Random::seeded() }
    }

    fn name(&self, how: &str) -> String {
        format!("{}, {}, {how}", self.story.name, self.machine.kind.name())
    }

    /// Boots the machine from where it begins and runs a command on it, with a record of both: a boot writes too, and what it wrote is not
    /// flushed when the command begins.
    fn recorded(&self, stepping: Stepping, args: &[&str]) -> (Outcome, Vec<Event>) {
        self.machine.reset();
        self.machine.disks.record();
        self.machine.boot().unwrap_or_else(|e| panic!("{}: boot: {e}", self.story.name));
        let outcome = stepping::run(&self.machine, stepping, args);
        let record = self.machine.disks.recorded();
        self.machine.off();
        (outcome, record)
    }

    /// At most so many states of a record, spread over all of it.
    fn states(&mut self, record: &[Event], most: usize) -> Vec<Left> {
        let bases = self.machine.disks.bases();
        let seed = self.random.below(u64::MAX);
        let mut all = Counting::default();
        states::each(record, &bases, seed, &mut all, &mut |_| ());
        let mut sample = Sample::new(all.0, most, &mut self.random);
        let mut chosen = Vec::new();
        states::each(record, &bases, seed, &mut sample, &mut |left| chosen.push(left));
        chosen
    }

    fn check(&self, left: &Left, again: bool) -> Result<(), String> {
        check::check(self.story, &self.machine, &self.wanted, left, again)
    }
}

/// Ends an experiment.
fn conclude(evidence: Evidence, what: &str, found: &[String]) {
    for violation in found {
        eprintln!("{what}: {violation}\n");
    }
    if found.is_empty() {
        evidence.conclude();
    }
}

/// The power fails at any moment of a story; of each telling at most so many states are looked at.
///
/// # Panics
/// With every state that was not what it must be.
pub fn cuts(story: &'static Story, kind: FileSystem, most: Most) {
    let mut stage = Stage::set(story, kind);
    let mut violations = 0;
    for stepping in Stepping::ALL {
        let what = stage.name(stepping.name());
        let mut evidence = Evidence::new("power", &what, INVARIANTS);
        let (outcome, record) = stage.recorded(stepping, &story.command(&stage.machine));
        assert_eq!(outcome.code, Some(0), "{what}: {}{}", outcome.stdout, outcome.stderr);
        evidence.count("calls", outcome.calls as u64);
        evidence.count("writes and flushes", record.len() as u64);
        let (mut found, states) = (Vec::new(), stage.states(&record, most.asked()));
        assert!(!states.is_empty(), "{what}: nothing was recorded");
        for (at, left) in states.iter().enumerate() {
            evidence.count("power states", 1);
            evidence.count("of them after the end", u64::from(left.done));
            found.extend(stage.check(left, at % AGAIN == 0).err());
            if found.len() >= ENOUGH {
                break;
            }
        }
        conclude(evidence, &what, &found);
        violations += found.len();
    }
    assert_eq!(violations, 0, "violations");
}

/// The power fails again while `recover` is at work on what a first cut left, and once more, and once more.
///
/// # Panics
/// With every state that was not what it must be.
pub fn recoveries(story: &'static Story, kind: FileSystem, most: Most) {
    /// So many states of each recovery are looked at, and the last of them is recovered again.
    const EACH: usize = 4;
    const DEEPEST: usize = 3;
    let mut stage = Stage::set(story, kind);
    let what = stage.name("power fails during recover");
    let mut evidence = Evidence::new("power", &what, INVARIANTS);
    let (outcome, record) = stage.recorded(Stepping::Eager, &story.command(&stage.machine));
    assert_eq!(outcome.code, Some(0), "{what}: {}{}", outcome.stdout, outcome.stderr);
    let bases = stage.machine.disks.bases();
    let mut found = Vec::new();
    for first in stage.states(&record, most.asked()) {
        evidence.count("states that were recovered", 1);
        let mut left = first;
        for depth in 1..=DEEPEST {
            // What was left is where the next story begins.
            stage.machine.show(&left.state);
            stage.machine.disks.rebase();
            let (_, record) = stage.recorded(Stepping::Eager, &["recover"]);
            let states = stage.states(&record, EACH);
            let every = states.len().div_ceil(2 * EACH).max(1);
            let states: Vec<Left> = states.into_iter().step_by(every).collect();
            for state in &states {
                evidence.count("power states during recovery", 1);
                // What the command would have promised is not promised by its recovery, which may take it back.
                let state = &Left { done: false, ..state.clone() };
                found
                    .extend(stage.check(state, true).err().map(|e| format!("{depth} deep, first {}: {e}", left.after)));
            }
            match states.into_iter().next_back() {
                Some(last) if found.len() < ENOUGH => left = last,
                _ => break,
            }
        }
        stage.machine.disks.restore(&bases);
        if found.len() >= ENOUGH {
            break;
        }
    }
    conclude(evidence, &what, &found);
    assert_eq!(found.len(), 0, "violations");
}

/// A write to a disk fails, once or from then on; then the machine is switched off and on again, with disks that work.
///
/// # Panics
/// With everything that was not what it must be.
pub fn failing_writes(story: &'static Story, kind: FileSystem, most: Most) {
    let mut stage = Stage::set(story, kind);
    let what = stage.name("writes that fail");
    let mut evidence = Evidence::new("power", &what, &[1, 2, 6, 7]);
    let command: Vec<String> = story.command(&stage.machine).iter().map(ToString::to_string).collect();
    let told = |stage: &Stage, fault: Option<Fault>| {
        stage.machine.reset();
        stage.machine.boot().unwrap_or_else(|e| panic!("boot: {e}"));
        stage.machine.disks.fail(fault);
        let run = stage.machine.sandbox.datastore(&command);
        let writes = stage.machine.disks.fail(None);
        stage.machine.off();
        (run, writes)
    };
    let (_, writes) = told(&stage, None);
    let mut found = Vec::new();
    let step = (2 * writes).div_ceil(most.asked()).max(1);
    let offset = usize::try_from(stage.random.below(step as u64)).expect("below a usize");
    for at in (offset..2 * writes).step_by(step) {
        let fault = Fault { after: at / 2, stays: at % 2 == 1 };
        let (run, _) = told(&stage, Some(fault));
        evidence.count("failed writes", 1);
        evidence.count("of them told", u64::from(!run.status.success()));
        let state = stage.machine.disks.state();
        let left = Left { state, cut: states::Cut::Prefix, after: format!("{fault:?}"), done: run.status.success() };
        found.extend(stage.check(&left, true).err().map(|e| format!("{e}\nit had said: {}{}", run.stdout, run.stderr)));
        if found.len() >= ENOUGH {
            break;
        }
    }
    conclude(evidence, &what, &found);
    assert_eq!(found.len(), 0, "violations");
}
