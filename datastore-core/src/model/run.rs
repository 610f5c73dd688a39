//! Carrying out a checked plan on the model, with the rules of `datastore-exec/src/apply.rs`: what a failed step takes with
//! it, and what is taken back.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::machine::Machine;
use super::steps::{Failure, Halt, Hands, Pulse};
use crate::plan::Plan;
use crate::step::Action;

/// The machine stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crashed;

/// What became of the steps.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// How many steps hold.
    pub(super) done: usize,
    /// Mappings that failed, by number.
    pub(super) failed: BTreeMap<u32, Failure>,
    /// Why everything was taken back, if so.
    pub(super) aborted: Option<Failure>,
    /// Steps that could not be taken back.
    pub(super) stuck: Vec<String>,
}

/// Carries out the steps of a plan.
pub(super) fn carry_out(machine: &mut Machine, plan: &Plan, pulse: &mut Pulse<'_>) -> Result<Carried, Crashed> {
    let mut run = Run {
        hands: Hands { machine, pulse },
        plan,
        carried: Carried::default(),
        done: vec![false; plan.steps.len()],
        failed_at: HashMap::new(),
    };
    run.go()?;
    run.settle()?;
    run.carried.done = run.done.iter().filter(|d| **d).count();
    Ok(run.carried)
}

struct Run<'a, 'p, 'w> {
    hands: Hands<'a, 'p, 'w>,
    plan: &'a Plan,
    carried: Carried,
    /// Which steps hold.
    done: Vec<bool>,
    /// At which step each mapping failed that did.
    failed_at: HashMap<u32, usize>,
}

impl Run<'_, '_, '_> {
    /// Carries out one action; the outer error is the end of the machine.
    fn act(&mut self, action: &Action, without: &HashSet<u32>) -> Result<Result<(), Failure>, Crashed> {
        match self.hands.act(action, without) {
            Ok(()) => Ok(Ok(())),
            Err(Halt::Failed(failure)) => Ok(Err(failure)),
            Err(Halt::Crashed) => Err(Crashed),
        }
    }

    fn out(&self) -> HashSet<u32> {
        self.failed_at.keys().copied().collect()
    }

    fn go(&mut self) -> Result<(), Crashed> {
        let plan = self.plan;
        for (i, step) in plan.steps.iter().enumerate() {
            let is_shared = matches!(step.action, Action::MakeDir { shared: true, .. });
            if !is_shared && step.mapping.is_some_and(|m| self.failed_at.contains_key(&m)) {
                continue;
            }
            let out = self.out();
            match self.act(&step.action, &out)? {
                Ok(()) => self.done[i] = true,
                Err(failure) => {
                    if !self.fail(i, &failure)? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// A step failed. Says whether the others go on.
    fn fail(&mut self, at: usize, failure: &Failure) -> Result<bool, Crashed> {
        let step = &self.plan.steps[at];
        let mut served: Vec<u32> = step.mapping.into_iter().chain(step.action.serves()).collect();
        served.retain(|m| !self.failed_at.contains_key(m));
        served.sort_unstable();
        served.dedup();
        if served.is_empty() && step.mapping.is_some() {
            return Ok(true);
        }
        if served.is_empty() {
            self.take_back(|_| true)?;
            self.carried.aborted = Some(failure.clone());
            return Ok(false);
        }
        for mapping in served {
            self.failed_at.insert(mapping, at);
            self.carried.failed.insert(mapping, failure.clone());
            self.take_back(|step| step == Some(mapping))?;
        }
        Ok(true)
    }

    /// Takes steps that were done back, the last one first: those of which `of` says so, by the mapping that they serve.
    fn take_back(&mut self, of: impl Fn(Option<u32>) -> bool) -> Result<(), Crashed> {
        for i in (0..self.plan.steps.len()).rev() {
            let step = &self.plan.steps[i];
            if !self.done[i] || !of(step.mapping) {
                continue;
            }
            let Some(back) = step.action.inverse() else { continue };
            let left_out: HashSet<u32> = self.out().into_iter().filter(|m| self.left_out(i, *m)).collect();
            match self.act(&back, &left_out)? {
                Ok(()) => self.done[i] = false,
                Err(failure) => self.carried.stuck.push(format!("{back}: {}", failure.message)),
            }
        }
        Ok(())
    }

    /// Takes the lines of failed mappings out of fstab and the manifests again.
    fn settle(&mut self) -> Result<(), Crashed> {
        if self.failed_at.is_empty() || self.carried.aborted.is_some() {
            return Ok(());
        }
        for i in (0..self.plan.steps.len()).rev() {
            let step = &self.plan.steps[i];
            let Some(back) = step.action.inverse().filter(|_| self.done[i] && step.mapping.is_none()) else { continue };
            let was_done: HashSet<u32> =
                back.serves().filter(|m| self.failed_at.contains_key(m) && !self.left_out(i, *m)).collect();
            if was_done.is_empty() {
                continue;
            }
            let others: HashSet<u32> = back.serves().filter(|m| !was_done.contains(m)).collect();
            if let Err(failure) = self.act(&back, &others)? {
                self.carried.stuck.push(format!("{back}: {}", failure.message));
            }
        }
        Ok(())
    }

    /// Whether a mapping had failed before a step was done, so that the step left it out.
    fn left_out(&self, step: usize, mapping: u32) -> bool {
        self.failed_at.get(&mapping).is_some_and(|&at| at < step)
    }
}
