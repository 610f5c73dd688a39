//! Plans that move data. All of their steps stand or fall together.
//!
//! What comes after the move is what makes any mapping active, so it is planned by the planner of mappings: on facts in which the
//! move has been made already.

mod import;
mod settle;

use std::collections::BTreeSet;

use super::{Load, Plan, missing_above};
use crate::amount::{count, size};
use crate::error::{Error, ErrorKind, Result};
use crate::goal::Goal;
use crate::moving::{Facts, Probe, TreeFacts};
use crate::observed::{Observed, Place};
use crate::path::AbsPath;
use crate::standing::View;
use crate::state::{Reason, Refusal};
use crate::step::{Action, Step};
use crate::value::{Attrs, Id};
use crate::wanted::Wanted;

/// What must be known to plan for a goal that moves data, or settles such a one.
pub fn probe(goal: &Goal, view: &View<'_>, seed: Id) -> Probe {
    match goal {
        Goal::Import(_) => import::probe(goal, view, seed),
        Goal::Settle { operation, .. } => settle::probe(view, operation),
        _ => Probe::default(),
    }
}

/// Makes the plan. `files` are changes of configuration that the goal implies and that `wanted` already takes as made.
///
/// # Errors
/// [`ErrorKind::Usage`] for a goal that moves nothing.
pub fn make(
    goal: &Goal,
    wanted: &Wanted,
    observed: &Observed,
    facts: &Facts,
    files: Vec<Step>,
    seed: Id,
) -> Result<Plan> {
    match goal {
        Goal::Import(request) => Ok(import::plan(goal, request, wanted, observed, facts, files, seed)),
        Goal::Settle { operation, .. } => Ok(settle::plan(goal, operation, wanted, observed, facts, seed)),
        _ => Err(Error::new(ErrorKind::Usage, format!("`{goal}` moves nothing"))),
    }
}

/// Steps that all stand or fall together.
#[derive(Default)]
struct Steps {
    steps: Vec<Step>,
    made: BTreeSet<AbsPath>,
}

impl Steps {
    fn push(&mut self, action: Action) {
        self.steps.push(Step { mapping: None, action });
    }

    /// The directories above a path that are missing, closed to everybody but root. Where others use them too, they stay.
    fn rooms_above(&mut self, path: &AbsPath, place: Option<&Place>, shared: bool) {
        let Some(Place::Absent { missing }) = place else { return };
        for path in missing_above(path, missing) {
            if self.made.insert(path.clone()) {
                self.push(Action::MakeDir { path, attrs: Attrs::root(0o700), id: None, shared });
            }
        }
    }
}

/// Why a tree cannot be copied to where it is to come, if so.
fn unfit(tree: &TreeFacts, from: &AbsPath) -> Option<Refusal> {
    if let Some(inner) = tree.mounts.first() {
        return Some(Refusal::new(
            Reason::Busy,
            format!("{inner} is mounted in {from}, and a mount is not moved along"),
            format!("unmount it, or stop the app that it belongs to, then run the command again: findmnt {inner}"),
        ));
    }
    let first = tree.unfit.first()?;
    let more = match tree.unfit.len() {
        1 => String::new(),
        n => format!(" (and {})", count(n - 1, "more reason")),
    };
    Some(Refusal::new(first.reason, format!("{}{more}", first.detail), first.hint.clone()))
}

/// So many entries and bytes a slow disk copies in a second, for a guess.
const SLOW: (u64, u64) = (10_000, 100 << 20);

fn load(mount_point: &AbsPath, tree: &TreeFacts, is_copied: bool) -> Load {
    let seconds = if is_copied { tree.entries / SLOW.0 + tree.bytes / SLOW.1 + 1 } else { 0 };
    Load { mount_point: mount_point.clone(), entries: tree.entries, bytes: tree.bytes, seconds }
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entries = count(usize::try_from(self.entries).unwrap_or(usize::MAX), "entry");
        write!(f, "{}: {} in {entries}", self.mount_point, size(self.bytes))?;
        match self.seconds {
            0 => write!(f, ", to be renamed"),
            n if n < 120 => write!(f, ", to be copied in about {n} s"),
            n => write!(f, ", to be copied in about {} min", n / 60),
        }
    }
}
