//! All faults of one kind, of one scene: which are tried, how many came to what, and every violation.

#![allow(clippy::print_stderr, reason = "violations and counts belong to the test's output")]

use std::collections::BTreeSet;

use datastore_rigs::{Effort, Evidence};
use datastore_tests::random::Random;
use datastore_tests::scenes::Scene;

use crate::fault::{self, Counts, Fault};
use crate::kind::{self, Kind};
use crate::trial::{Came, Trial};
use crate::{copies, ledger, lint};

/// How many lines of a violation are printed.
const LINES: usize = 16;

/// One fault that is to be tried.
#[derive(Debug, Clone, Copy)]
struct Case {
    at: usize,
    fault: Fault,
}

/// What a campaign gathers.
struct Campaign {
    evidence: Evidence,
    violations: Vec<String>,
    used: BTreeSet<usize>,
    not_met: u64,
}

impl Campaign {
    fn new(what: String, invariants: &[u32]) -> Self {
        let evidence = Evidence::new("calls", what, invariants);
        Self { evidence, violations: Vec::new(), used: BTreeSet::new(), not_met: 0 }
    }

    /// Tries one.
    fn run(&mut self, trial: &Trial, counts: Counts, case: Case) {
        self.evidence.count("runs", 1);
        match trial.one(counts, case.at, case.fault) {
            Ok(Came::NotMet) => self.not_met += 1,
            Ok(Came::Killed) => self.evidence.count("kills", 1),
            Ok(Came::Refused) => self.evidence.count("refused before a change", 1),
            Ok(Came::Failed) => self.evidence.count("failed half-way", 1),
            Ok(Came::Harmless(entry)) => {
                self.used.insert(entry);
                self.evidence.count("harmless", 1);
            }
            Err(why) => self.violations.push(why),
        }
    }

    /// Tells everything, and fails if anything did not hold.
    fn conclude(self, scene: &Scene) {
        for why in &self.violations {
            eprintln!("- {}", why.lines().take(LINES).collect::<Vec<_>>().join("\n"));
        }
        let runs = self.evidence.counted("runs");
        assert!(self.violations.is_empty(), "{}: {} violations in {runs} runs", scene.name, self.violations.len());
        // Numbers shift a little from run to run, where several threads are at work or progress is told now and then.
        assert!(self.not_met * 10 <= runs + 20, "{}: {} of {runs} calls were not met", scene.name, self.not_met);
        assert!(runs > 0, "{}: nothing was tried", scene.name);
        self.evidence.conclude();
    }
}

/// As many of some cases as a commit's share allows, evenly; all of them for a release.
fn share<T>(mut cases: Vec<T>, most: usize) -> Vec<T> {
    if Effort::asked() == Effort::Release || cases.len() <= most {
        return cases;
    }
    let offset = usize::try_from(Random::seeded().below(cases.len() as u64)).expect("a place in a list");
    let length = cases.len();
    let chosen: BTreeSet<usize> = (0..most).map(|i| (offset + i * length / most) % length).collect();
    let mut at = 0;
    cases.retain(|_| {
        at += 1;
        chosen.contains(&(at - 1))
    });
    cases
}

/// The command killed before and after each of its changes.
///
/// # Panics
/// If something does not hold.
pub fn kills(name: &str) {
    let trial = Trial::of(Scene::named(name));
    let mut campaign = Campaign::new(format!("kills: {name}"), &[1, 2, 4, 27]);
    let changes = trial.record(fault::changing).len();
    campaign.evidence.count("changing calls", changes as u64);
    let both = |at| [Fault::KillBefore, Fault::KillAfter].map(|fault| Case { at, fault });
    for case in share((0..changes).flat_map(both).collect(), 40) {
        campaign.run(&trial, fault::changing, case);
    }
    campaign.conclude(trial.scene);
}

/// The command killed, then its recovery, then the recovery after that, and the one after that.
///
/// # Panics
/// If something does not hold.
pub fn recoveries(name: &str) {
    let trial = Trial::of(Scene::named(name));
    let mut campaign = Campaign::new(format!("recoveries: {name}"), &[4]);
    let changes = trial.record(fault::changing).len();
    let mut random = Random::seeded();
    let mut below = |most: u64| usize::try_from(random.below(most)).expect("a small number");
    for at in share((0..changes).collect(), 8) {
        // Each recovery is killed a little later, until it ends by itself; those behind it at any place.
        let step = Effort::asked().of(17, 9);
        for first in (below(step)..).step_by(usize::try_from(step).expect("a small number")) {
            campaign.evidence.count("runs", 1);
            match trial.nested(at, &[first, below(60), below(60)]) {
                Ok(killed) => {
                    campaign.evidence.count("recoveries killed", killed as u64);
                    campaign.evidence.count("three deep", u64::from(killed == 3));
                    if killed == 0 {
                        break;
                    }
                }
                Err(why) => {
                    campaign.violations.push(why);
                    break;
                }
            }
        }
    }
    campaign.conclude(trial.scene);
}

/// Every call failed with every errno that it can have.
///
/// # Panics
/// If something does not hold.
pub fn errnos(name: &str) {
    let trial = Trial::of(Scene::named(name));
    let mut campaign = Campaign::new(format!("errnos: {name}"), &[7, 8, 27]);
    let calls = trial.record(fault::all);
    campaign.evidence.count("calls", calls.len() as u64);
    let few: Vec<i32> = kind::ERRNOS.iter().take(kind::FEW).map(|(errno, _)| *errno).collect();
    let is_asked = |errno: &i32| Effort::asked() == Effort::Release || few.contains(errno);
    let (mut always, mut reading, mut changing) = (Vec::new(), Vec::new(), Vec::new());
    for (at, met) in calls.iter().enumerate() {
        let list = if met.kind == Kind::Reads { &mut reading } else { &mut changing };
        for errno in met.errnos.iter().copied().filter(is_asked) {
            let case = Case { at, fault: Fault::Fails(errno) };
            if met.kind == Kind::Syncs && errno == libc::EIO { always.push(case) } else { list.push(case) }
        }
        if met.kind == Kind::Changes && Effort::asked() == Effort::Release {
            list.push(Case { at, fault: Fault::FailsLate(libc::EIO) });
        }
        let is_partial = fault::length_at(met.call.number).is_some() && met.answer.is_some_and(|n| n > 1);
        if is_partial {
            list.push(Case { at, fault: Fault::DoesHalf });
        }
    }
    // What only looks is a release's: there are many such calls, and little hangs on each.
    let reading = if Effort::asked() == Effort::Release { reading } else { Vec::new() };
    for case in [always, share(changing, 90), reading].concat() {
        campaign.run(&trial, fault::all, case);
    }
    // A disk that is broken from one sync on.
    let syncs = calls.iter().filter(|met| met.kind == Kind::Syncs).count();
    for at in share((0..syncs).collect(), 8) {
        campaign.run(&trial, fault::syncing, Case { at, fault: Fault::FailsFromHere(libc::EIO) });
    }
    let used = std::mem::take(&mut campaign.used);
    campaign.conclude(trial.scene);
    ledger::used(&used);
}

/// Copies that say they are made, and are not, or not rightly.
///
/// # Panics
/// If something does not hold.
pub fn lies(name: &str) {
    let trial = Trial::of(Scene::named(name));
    let mut campaign = Campaign::new(format!("silent corruption: {name}"), &[2]);
    let calls = trial.record(copies::counts);
    let mut cases = Vec::new();
    for (at, met) in calls.iter().enumerate() {
        cases.push(Case { at, fault: Fault::Lies });
        if fault::length_at(met.call.number).is_some() {
            cases.push(Case { at, fault: Fault::FlipsAByte });
        }
    }
    assert!(calls.iter().any(|met| fault::length_at(met.call.number).is_some()), "{name}: no copy is made");
    campaign.evidence.count("calls of copies", calls.len() as u64);
    for case in share(cases, 40) {
        campaign.evidence.count("runs", 1);
        match copies::lied(&trial, case.at, case.fault) {
            Ok(is_caught) => campaign.evidence.count(if is_caught { "caught" } else { "without effect" }, 1),
            Err(why) => campaign.violations.push(why),
        }
    }
    campaign.conclude(trial.scene);
}

/// What the command does undisturbed: no path of a user's is followed; and a second run changes nothing.
///
/// # Panics
/// If something does not hold.
pub fn manners(name: &str) {
    let trial = Trial::of(Scene::named(name));
    let mut campaign = Campaign::new(format!("paths and second runs: {name}"), &[5, 18, 20]);
    let (root, calls) = trial.perform(|sandbox| {
        let (outcome, calls) = fault::record(sandbox, trial.scene.command, fault::all);
        assert_eq!(outcome.code, Some(0), "{name}: {}", outcome.stderr);
        (sandbox.root().to_path_buf(), calls)
    });
    campaign.evidence.count("runs", 2);
    campaign.evidence.count("calls", calls.len() as u64);
    campaign.violations.extend(calls.iter().filter_map(|met| lint::path(&met.call, &root)));
    let (outcome, again) = trial.record_again(fault::all);
    campaign.evidence.count("calls", again.len() as u64);
    campaign.violations.extend(again.iter().filter_map(|met| lint::path(&met.call, &root)));
    // One that begins anew each time is no second run, and one of what is gone is refused.
    if name != "restart" {
        let changes = again.iter().filter_map(|met| lint::change(met, &root));
        campaign
            .violations
            .extend(changes.map(|told| format!("the second run (exit code {:?}): {told}", outcome.code)));
    }
    campaign.conclude(trial.scene);
}
