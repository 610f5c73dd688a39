//! Carrying out a checked plan: for each step intent, act, record. What to do when a step fails is fixed by what a step
//! is ([`Step::mapping`](datastore_core::step::Step::mapping)); there is no policy here.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use datastore_core::ErrorKind;
use datastore_core::goal::Goal;
use datastore_core::moving::{Downtime, Part};
use datastore_core::plan::Plan;
use datastore_core::step::{Action, Step};

use crate::event::Event;
use crate::journal_file::Journal;
use crate::steps::{self, Failure, Hands};
use crate::sys::clock::whole_ms as ms;

/// How many steps one synced intent covers.
const BATCH: usize = 512;

/// What became of the steps.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    /// How many steps hold.
    pub(crate) done: usize,
    /// Mappings that failed, by number, with the reason.
    pub(crate) failed: BTreeMap<u32, Failure>,
    /// Why everything was taken back, if so.
    pub(crate) aborted: Option<Failure>,
    /// What of it cannot be taken back, or need not be.
    pub(crate) stays: Option<&'static str>,
    /// Steps that could not be taken back, or finished by recovery.
    pub(crate) stuck: Vec<String>,
    /// Whether what holds now is neither old nor new there. A service that does not start again changes no data.
    pub(crate) torn: bool,
    /// The time that binds took.
    pub(crate) binding: Duration,
    /// How long an app was kept from starting, if data was moved.
    pub(crate) downtime: Option<Downtime>,
}

/// Carries out the steps of a plan.
pub(crate) fn carry_out(hands: &Hands<'_>, plan: &Plan, journal: &mut Journal) -> Carried {
    let mut run = Run {
        hands,
        plan,
        journal,
        carried: Carried::default(),
        done: vec![false; plan.steps.len()],
        out: HashSet::new(),
        failed_at: HashMap::new(),
        down: None,
    };
    run.go();
    run.settle();
    run.carried.done = run.done.iter().filter(|d| **d).count();
    run.carried
}

struct Run<'a, 'h> {
    hands: &'a Hands<'h>,
    plan: &'a Plan,
    journal: &'a mut Journal,
    carried: Carried,
    /// Which steps hold.
    done: Vec<bool>,
    /// Mappings that failed.
    out: HashSet<u32>,
    /// At which step each of them failed.
    failed_at: HashMap<u32, usize>,
    /// Since when an app is kept from starting, and what has been done meanwhile.
    down: Option<(Instant, Vec<(&'static str, Duration)>)>,
}

impl Run<'_, '_> {
    fn go(&mut self) {
        let steps = &self.plan.steps;
        let mut first = 0;
        while first < steps.len() {
            let last = if self.plan.goal.is_single() { first } else { batch_end(steps, first) - 1 };
            if let Err(error) = self.journal.intent(first, last) {
                self.abort(error.into(), None);
                return;
            }
            let mut begun = first;
            let mut clock = Clock::default();
            for (i, step) in steps.iter().enumerate().take(last + 1).skip(first) {
                let is_shared = matches!(step.action, Action::MakeDir { shared: true, .. });
                if !is_shared && step.mapping.is_some_and(|m| self.out.contains(&m)) {
                    self.record_done(begun, i);
                    begun = i + 1;
                    continue;
                }
                clock.enter(matches!(step.action, Action::Bind { .. }), &mut self.carried.binding);
                if self.plan.goal.is_single() {
                    self.hands.event(&Event::Doing { done: i, of: steps.len(), what: &step.action.to_string() });
                }
                let started = Instant::now();
                let outcome = steps::act(self.hands, &step.action, &self.out);
                self.timed(&step.action, started);
                match outcome {
                    Ok(()) => self.done[i] = true,
                    Err(failure) => {
                        self.record_done(begun, i);
                        begun = i + 1;
                        let _ = self.journal.failed(i, &failure.error.chain());
                        if !self.fail(i, failure) {
                            return;
                        }
                    }
                }
            }
            clock.enter(false, &mut self.carried.binding);
            self.record_done(begun, last + 1);
            self.hands.event(&Event::Done { steps: last + 1, of: steps.len(), what: &steps[last].action.to_string() });
            first = last + 1;
        }
    }

    /// Takes the time that a step took into the downtime, if the app was kept from starting.
    fn timed(&mut self, action: &Action, started: Instant) {
        let told = self.hands.parts();
        if matches!(action, Action::StopServices { .. }) && self.plan.goal.moves() {
            self.down = Some((started, Vec::new()));
        }
        let Some((since, parts)) = &mut self.down else { return };
        let word = match action {
            Action::StopServices { .. } => "stop services",
            Action::StartServices { .. } => "start services",
            Action::DemandQuiet { .. } => "find writers",
            Action::DemandAlike { .. } => "compare",
            _ => "switch",
        };
        let (whole, took) = (since.elapsed(), started.elapsed());
        let told = if told.is_empty() { vec![(word, took)] } else { told };
        let known: Duration = told.iter().map(|(_, took)| *took).sum();
        parts.extend(told);
        if matches!(action, Action::StartServices { .. }) {
            // What comes after the start is done while the app runs.
            self.carried.downtime = Some(downtime(whole.saturating_sub(took.saturating_sub(known)), parts));
            self.down = None;
        }
    }

    /// Records the steps from `begun` up to but not with `end`.
    fn record_done(&mut self, begun: usize, end: usize) {
        if begun < end {
            // A record that is lost costs nothing: recovery looks at the machine, not at this line.
            let _ = self.journal.done(begun, end - 1);
        }
    }

    /// A step failed. Says whether the others go on.
    fn fail(&mut self, at: usize, failure: Failure) -> bool {
        let step = &self.plan.steps[at];
        // The data is whole and in place; what does not start a person must look at, and the report tells of it.
        if matches!(step.action, Action::StartServices { .. }) {
            return true;
        }
        match self.plan.goal {
            Goal::Import(_) | Goal::Move(_) | Goal::Undo(_) => {
                self.abort(failure, Some(at));
                return false;
            }
            // As much as can be mended is.
            Goal::Settle { .. } => {
                self.stuck(failure.error.chain());
                return true;
            }
            _ => {}
        }
        let mut served: Vec<u32> = step.mapping.into_iter().chain(step.action.serves()).collect();
        served.retain(|m| !self.out.contains(m));
        served.sort_unstable();
        served.dedup();
        if served.is_empty() && step.mapping.is_some() {
            // A directory that others share, and the mapping that it was planned for has failed already.
            return true;
        }
        if served.is_empty() {
            self.abort(failure, Some(at));
            return false;
        }
        // What was bound before is not bound again without its hooks: the app must not start.
        let stays_off = matches!(step.action, Action::RunHook(_));
        let Failure { reason, error } = failure;
        let (kind, message) = (error.kind(), error.chain());
        let hint = error.get_hint().map(str::to_owned);
        for mapping in served {
            self.failed_at.insert(mapping, at);
            let mut copy = datastore_core::Error::new(kind, message.clone());
            if let Some(hint) = &hint {
                copy = copy.hint(hint.clone());
            }
            self.out(mapping, at, Failure { reason, error: copy }, stays_off);
        }
        true
    }

    /// Takes a mapping's own steps back, the last one first. One that is to stay off is not bound again.
    fn out(&mut self, mapping: u32, at: usize, failure: Failure, stays_off: bool) {
        let subject = &self.plan.mappings[mapping as usize];
        self.hands.event(&Event::Failed {
            app: subject.app.as_str(),
            mount_point: &subject.mount_point.to_string(),
            why: &failure.error.chain(),
        });
        self.out.insert(mapping);
        if self.plan.steps[at].mapping == Some(mapping) {
            self.undo_half(at, failure.error.kind());
        }
        self.carried.failed.insert(mapping, failure);
        for i in (0..self.plan.steps.len()).rev() {
            let step = &self.plan.steps[i];
            let stays = stays_off && matches!(step.action, Action::Unbind { .. });
            if self.done[i] && step.mapping == Some(mapping) && !stays {
                self.undo(i);
            }
        }
    }

    /// Takes everything back, but for what cannot be. Where that could not be written down any more, all stays as it is, and recovery decides:
    /// a way back of which nobody knows may end anywhere.
    fn abort(&mut self, failure: Failure, at: Option<usize>) {
        self.hands.event(&Event::Failed { app: "", mount_point: "", why: &failure.error.chain() });
        let kind = failure.error.kind();
        self.carried.aborted = Some(failure);
        if self.journal.is_broken() {
            self.stuck("what was done stands, for its journal cannot be written any more".into());
            return;
        }
        let begun = self.plan.steps.iter().enumerate().filter(|(i, _)| self.done[*i] || Some(*i) == at);
        self.carried.stays = begun.filter_map(|(i, step)| stays(&step.action, self.done[i])).next_back();
        if let Some(at) = at {
            self.undo_half(at, kind);
        }
        for i in (0..self.plan.steps.len()).rev() {
            if self.done[i] {
                self.undo(i);
            }
        }
    }

    /// Takes back what a step has done that failed. One that looked and refused has done nothing, and what takes it back may refuse too.
    fn undo_half(&mut self, i: usize, why: ErrorKind) {
        let action = &self.plan.steps[i].action;
        let Some(back) = action.inverse().filter(|_| action.is_gradual()) else { return };
        if let Err(failure) = steps::act(self.hands, &back, &HashSet::new())
            && (why, failure.error.kind()) != (ErrorKind::Refused, ErrorKind::Refused)
        {
            self.stuck(format!("{back}: {}", failure.error.chain()));
        }
    }

    fn stuck(&mut self, what: String) {
        self.carried.stuck.push(what);
        self.carried.torn = true;
    }

    /// Takes a step back, but for the parts of it that it left out.
    fn undo(&mut self, i: usize) {
        let Some(back) = self.plan.steps[i].action.inverse() else { return };
        if !self.carried.stuck.is_empty() && matches!(back, Action::RemoveDir { .. }) {
            // Something that could not be taken back may tell of it, and would be of a store that is gone.
            return;
        }
        let left_out: HashSet<u32> = self.out.iter().copied().filter(|m| self.left_out(i, *m)).collect();
        let outcome = steps::act(self.hands, &back, &left_out);
        if let Err(failure) = &outcome {
            self.carried.stuck.push(format!("{back}: {}", failure.error.chain()));
            self.carried.torn |= !matches!(back, Action::StartServices { .. });
        } else {
            self.done[i] = false;
        }
        let _ = self.journal.undone(i, outcome.err().map(|f| f.error.chain()).as_deref());
    }

    /// Takes the lines of failed mappings out of fstab and the manifests again: once for all of them, at the end.
    fn settle(&mut self) {
        if self.out.is_empty() || self.carried.aborted.is_some() {
            return;
        }
        let steps = &self.plan.steps;
        let whole = (0..steps.len()).rev().filter(|&i| self.done[i] && steps[i].mapping.is_none());
        let mut rewrote_fstab = false;
        for i in whole.collect::<Vec<_>>() {
            let Some(back) = steps[i].action.inverse() else { continue };
            // Only what was done for them before they failed; a step that came later left them out already.
            let was_done: HashSet<u32> =
                back.serves().filter(|m| self.out.contains(m) && !self.left_out(i, *m)).collect();
            if was_done.is_empty() {
                continue;
            }
            let others: HashSet<u32> = back.serves().filter(|m| !was_done.contains(m)).collect();
            if let Err(failure) = steps::act(self.hands, &back, &others) {
                self.stuck(format!("{back}: {}", failure.error.chain()));
            }
            rewrote_fstab |= matches!(back, Action::Fstab { .. });
        }
        if rewrote_fstab
            && steps.iter().any(|s| matches!(s.action, Action::ReloadSystemd))
            && let Err(failure) = steps::act(self.hands, &Action::ReloadSystemd, &HashSet::new())
        {
            self.carried.stuck.push(failure.error.chain());
        }
    }

    /// Whether a mapping had failed before a step was done, so that the step left it out.
    fn left_out(&self, step: usize, mapping: u32) -> bool {
        let failed_at = self.failed_at.get(&mapping).copied().unwrap_or(usize::MAX);
        failed_at < step
    }
}

/// What stays of a step that was begun, or done, in an operation of which everything else is taken back.
fn stays(action: &Action, is_done: bool) -> Option<&'static str> {
    match action {
        Action::RemoveTree { .. } => Some("what was removed is gone, and the same command removes the rest"),
        Action::RunHook(_) => Some("what its hooks have done stays, and everything else has been taken back"),
        Action::MakeFilesystem { .. } if is_done => {
            Some("the file system that was made stays, and the same command without --format goes on with it")
        }
        Action::SeedCopy { .. } if is_done => {
            Some("what was put aside stays as the beginning of a copy, with which the same command goes on")
        }
        Action::Renumber { exact: false, .. } => {
            Some("some files may have their new owners, which stay; the same command gives them to the rest")
        }
        _ => None,
    }
}

/// The parts by their words, each once, in the order in which they came first.
fn downtime(whole: Duration, all: &[(&'static str, Duration)]) -> Downtime {
    let mut parts: Vec<(&str, Duration)> = Vec::new();
    for (what, took) in all {
        match parts.iter_mut().find(|(known, _)| known == what) {
            Some((_, sum)) => *sum += *took,
            None => parts.push((what, *took)),
        }
    }
    // The rest went into the journal.
    let known: Duration = parts.iter().map(|(_, took)| *took).sum();
    parts.push(("journal", whole.saturating_sub(known)));
    let parts = parts.into_iter().map(|(what, took)| Part { what: what.into(), ms: ms(took) }).collect();
    Downtime { ms: ms(whole), parts }
}

/// Where the steps end that one intent covers. A hook has an intent of its own, so that after a crash the journal tells whether it
/// was begun, and whether it had ended.
fn batch_end(steps: &[Step], first: usize) -> usize {
    let is_hook = |step: &Step| matches!(step.action, Action::RunHook(_));
    let most = (first + BATCH).min(steps.len());
    if is_hook(&steps[first]) {
        return first + 1;
    }
    steps[first..most].iter().position(is_hook).map_or(most, |hook| first + hook)
}

/// Measures how long binds take, looking at the clock only where they begin and end.
#[derive(Default)]
struct Clock {
    since: Option<Instant>,
}

impl Clock {
    fn enter(&mut self, binds: bool, total: &mut Duration) {
        match (self.since, binds) {
            (None, true) => self.since = Some(Instant::now()),
            (Some(since), false) => {
                *total += since.elapsed();
                self.since = None;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datastore_core::AbsPath;
    use datastore_core::value::Id;

    #[test]
    fn only_a_file_system_that_was_made_is_told_to_stay() {
        let make = Action::MakeFilesystem {
            device: AbsPath::literal("/disk.img"),
            fstype: "ext4".into(),
            label: "data1".into(),
            uuid: Id::from_random([7; 16]),
            force: false,
        };
        assert!(stays(&make, true).is_some_and(|told| told.contains("without --format")));
        assert_eq!(stays(&make, false), None);
    }
}
