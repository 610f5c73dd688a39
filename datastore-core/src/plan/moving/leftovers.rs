//! Plans `reclaim` and `move --abort`: trees that nobody needs any more are removed.

use super::Scene;
use crate::goal::Goal;
use crate::moving::Left;
use crate::plan::{Fate, Load, Plan, Subject};
use crate::step::{Action, Step};

/// Removes the trees of which `of` says so.
pub(super) fn plan(goal: &Goal, scene: &Scene<'_>, of: impl Fn(&Left) -> bool) -> Plan {
    let left: Vec<&Left> = scene.facts.left.iter().filter(|left| of(left)).collect();
    let step = |left: &&Left| Step { mapping: None, action: Action::RemoveTree { path: left.path.clone() } };
    let subject = |left: &&Left| Subject {
        app: left.app.clone(),
        mount_point: left.mount_point.clone(),
        store: left.path.clone(),
        volume: None,
    };
    let load = |left: &&Left| Load {
        fate: Fate::Removed,
        path: left.path.clone(),
        mount_point: left.mount_point.clone(),
        entries: left.entries,
        bytes: left.bytes,
        seconds: 0,
        until: left.until,
    };
    Plan {
        // Whoever moves them meanwhile may need them yet.
        mappings: left.iter().map(subject).collect(),
        steps: left.iter().map(step).collect(),
        loads: left.iter().map(load).collect(),
        ..Plan::empty(goal, scene.wanted.host.clone(), scene.seed)
    }
}
