//! Plans what becomes of an operation that moved data and stopped half-way: it is finished if all of its trees have left their places
//! already, else taken back. Nothing is copied.

use super::Scene;
use crate::fstab::Stand;
use crate::goal::Goal;
use crate::journal::{OperationId, Rest, Unfinished};
use crate::manifest::Edit;
use crate::moving::{self, Facts, Moved, Probe, Running};
use crate::observed::{FileFacts, Observed, Place};
use crate::path::AbsPath;
use crate::plan::{Plan, Remark};
use crate::planted::{self, Bug};
use crate::standing::View;
use crate::step::{Action, FstabEdit, ManifestEdit, Step};

/// The operation, with what it left.
fn find<'o>(observed: &'o Observed, operation: &OperationId) -> Option<(&'o Unfinished, &'o Rest)> {
    let unfinished = observed.unfinished.iter().find(|u| u.operation == *operation)?;
    Some((unfinished, unfinished.rest.as_ref()?))
}

pub(super) fn probe(view: &View<'_>, operation: &OperationId) -> Probe {
    let mut probe = Probe::default();
    let Some((_, rest)) = find(view.observed, operation) else { return probe };
    for step in &rest.steps {
        match &step.action {
            Action::MoveDir { from, to, .. } => probe.places.extend([from.clone(), to.clone()]),
            Action::MakeDir { path, .. } | Action::RemoveDir { path, .. } | Action::Unseal { path, .. } => {
                probe.places.insert(path.clone());
            }
            Action::Copy { trees, .. } => probe.places.extend(trees.iter().map(|tree| tree.to.clone())),
            _ => {}
        }
    }
    probe
}

pub(super) fn plan(goal: &Goal, operation: &OperationId, scene: &Scene<'_>) -> Plan {
    let Scene { wanted, observed, facts, seed, .. } = *scene;
    let mut plan = Plan::empty(goal, wanted.host.clone(), seed);
    let Some((unfinished, rest)) = find(observed, operation) else { return plan };
    plan.mappings.clone_from(&unfinished.mappings);
    let settler = Settler { view: View::new(wanted, observed), facts, rest };
    let actions: Vec<Action> = if let Some(first) = settler.counts() {
        settler.forward(first)
    } else {
        plan.remarks.extend(settler.left());
        let begun = &rest.steps[..rest.begun.min(rest.steps.len())];
        begun.iter().rev().filter_map(|step| settler.back(&step.action)).collect()
    };
    let app = goal.apps().and_then(|apps| apps.names.first());
    if let (Some(app), false) = (app, actions.is_empty()) {
        // It stays closed as long as its data is on the way, and is opened in any case.
        let (app, running) = (app.clone(), Running::default());
        let opens = actions.iter().any(|action| matches!(action, Action::StartServices { .. }));
        let close = Action::StopServices { app: app.clone(), running: running.clone() };
        let open = (!opens).then_some(Action::StartServices { app, running });
        let all = [close].into_iter().chain(actions).chain(open);
        plan.steps = all.map(|action| Step { mapping: None, action }).collect();
    }
    plan
}

struct Settler<'v> {
    view: View<'v>,
    facts: &'v Facts,
    rest: &'v Rest,
}

impl Settler<'_> {
    /// The step with which to go on, if the new places count: every tree has left its old one.
    fn counts(&self) -> Option<usize> {
        let receipt = |step: &Step| matches!(step.action, Action::WriteReceipt(_));
        let at = self.rest.steps.iter().position(receipt)?;
        let Action::WriteReceipt(receipt) = &self.rest.steps[at].action else { return None };
        (at < self.rest.begun && receipt.trees.iter().all(|tree| self.has_left(tree))).then_some(at + 1)
    }

    fn has_left(&self, tree: &Moved) -> bool {
        if tree.to_volume.is_none() {
            // Brought home: what stood aside, or was the store, has left its place.
            let comes = |step: &&Step| matches!(&step.action, Action::MoveDir { to, .. } if *to == tree.to);
            return self.rest.steps.iter().find(comes).is_some_and(|step| match &step.action {
                Action::MoveDir { from, .. } => !self.is_dir(from),
                _ => false,
            });
        }
        match (&tree.parked, &tree.from_volume) {
            // Imported: what stood at the mount point stands aside, or is the store by now.
            (parked, None) => self.is_dir(parked.as_ref().unwrap_or(&tree.to)),
            // Moved: what the next boot would bind.
            (_, Some(_)) => {
                let line = self.view.observed.fstab.ours(&tree.mount_point);
                line.is_some_and(|row| row.entry.spec == tree.to.as_bytes())
            }
        }
    }

    fn is_dir(&self, path: &AbsPath) -> bool {
        matches!(self.facts.places.get(path), Some(Place::Dir(_)))
    }

    /// Whether a directory that was called `to` is called `from` by now.
    fn has_come(&self, from: &AbsPath, to: &AbsPath) -> bool {
        // What the operation itself made in that place does not count.
        let made = |step: &Step| matches!(&step.action, Action::MakeDir { path, .. } if path == to);
        self.is_dir(from) && (!self.is_dir(to) || self.rest.steps.iter().any(made))
    }

    /// Whether it is called `to` still. Mode, owner and identity may have been changed by then.
    fn has_stayed(&self, from: &AbsPath, to: &AbsPath) -> bool {
        self.is_dir(to) && !self.is_dir(from)
    }

    /// Whether a store, or anything if none is named, is bound at a mount point.
    fn is_bound(&self, mount_point: &AbsPath, store: Option<&AbsPath>) -> bool {
        let Some(mount) = self.view.observed.mounts.at(mount_point) else { return false };
        store.is_none_or(|store| self.view.landscape.source_of(&mount).as_ref() == Some(store))
    }

    /// What is still to be done from a step on. A disk that lost what it had promised, or a way back that stopped half-way, may have undone
    /// earlier ones: a tree that is still where it was copied to is brought into its place, with the directories above.
    fn forward(&self, first: usize) -> Vec<Action> {
        let (before, after) = self.rest.steps.split_at(first);
        let is_move = |action: &&Action| matches!(action, Action::MoveDir { .. });
        let moves: Vec<Action> =
            before.iter().map(|step| &step.action).filter(is_move).filter_map(|action| self.again(action)).collect();
        let mut later: Vec<Action> = after.iter().filter_map(|step| self.again(&step.action)).collect();
        let goes_below = |dir: &AbsPath| {
            let into = |action: &Action| matches!(action, Action::MoveDir { to, .. } if to.is_below(dir));
            moves.iter().chain(&later).any(into)
        };
        let rooms = before.iter().filter(|step| match &step.action {
            Action::MakeDir { path, .. } => !self.is_dir(path) && goes_below(path),
            _ => false,
        });
        let mut all: Vec<Action> = rooms.map(|step| step.action.clone()).collect();
        all.extend(moves);
        all.append(&mut later);
        all
    }

    /// A step that is still to be done.
    fn again(&self, action: &Action) -> Option<Action> {
        let needed = match action {
            Action::MakeDir { path, .. } => !self.is_dir(path),
            // Where both are there, the first has been made anew since.
            Action::MoveDir { from, to, .. } => self.is_dir(from) && !self.is_dir(to),
            Action::Seal { path, .. } => !self.is_bound(path, None),
            Action::Bind { mount_point, .. } => !self.is_bound(mount_point, None),
            // A boot has bound it once more.
            Action::Unbind { mount_point, store, .. } => self.is_bound(mount_point, Some(store)),
            // What stood at a mount point that is a plain directory again has gone before that could be.
            Action::Unseal { .. } => false,
            Action::RemoveDir { path, .. } => moving::is_room(path) && self.is_dir(path),
            Action::Fstab { edits } => return self.fstab(edits, |edit| edit.to.clone()),
            Action::Manifest { home, edits } => return self.manifest(home, edits, |edit| edit.to.clone()),
            Action::StartServices { .. } => return Some(self.start(action.clone())),
            Action::StopServices { .. }
            | Action::Copy { .. }
            | Action::FinishCopy { .. }
            | Action::SeedCopy { .. }
            | Action::DemandAlike { .. }
            | Action::DemandQuiet { .. } => false,
            _ => true,
        };
        (needed || planted::has(Bug::RepeatedRecovery)).then(|| action.clone())
    }

    /// The way back of a step that may have been done.
    fn back(&self, action: &Action) -> Option<Action> {
        match action {
            Action::Fstab { edits } => return self.fstab(edits, |edit| edit.from.clone()),
            Action::Manifest { home, edits } => return self.manifest(home, edits, |edit| edit.from.clone()),
            _ => {}
        }
        let back = action.inverse()?;
        let needed = match &back {
            Action::RemoveDir { path, .. } => self.is_dir(path),
            Action::MakeDir { path, .. } => !self.is_dir(path),
            Action::MoveDir { from, to, gets, .. } => {
                self.has_come(from, to) || (gets.is_some() && self.has_stayed(from, to))
            }
            Action::Unbind { mount_point, store, .. } => self.is_bound(mount_point, Some(store)),
            Action::Bind { mount_point, .. } => !self.is_bound(mount_point, None),
            Action::Swap { mount_point, to, .. } => !self.is_bound(mount_point, Some(&to.store)),
            Action::Seal { path, .. } | Action::Unseal { path, .. } => self.is_dir(path) && !self.is_bound(path, None),
            Action::StartServices { .. } => return Some(self.start(back)),
            _ => true,
        };
        needed.then_some(back)
    }

    /// The services are started again, unless the machine has: a new boot starts what is to run.
    fn start(&self, action: Action) -> Action {
        match action {
            Action::StartServices { app, .. } if self.rest.boot != self.view.observed.boot => {
                Action::StartServices { app, running: Running::default() }
            }
            other => other,
        }
    }

    /// Lines of fstab as they are to be, from what they are.
    fn fstab(&self, edits: &[FstabEdit], to: impl Fn(&crate::fstab::Edit) -> Stand) -> Option<Action> {
        let fstab = &self.view.observed.fstab;
        let edits: Vec<FstabEdit> = edits
            .iter()
            .filter_map(|FstabEdit { mapping, edit }| {
                let now = fstab.ours(&edit.mount_point).map(|row| row.entry);
                let edit = match to(edit) {
                    Stand::Ours(entry) if now == Some(&entry) => return None,
                    Stand::Ours(entry) => fstab.change(&edit.mount_point, Some(entry)),
                    Stand::Absent if now.is_none() => return None,
                    Stand::Absent => fstab.change(&edit.mount_point, None),
                    Stand::Foreign { .. } if now.is_none() => return None,
                    Stand::Foreign { .. } => edit.inverse(),
                };
                Some(FstabEdit { mapping: *mapping, edit })
            })
            .collect();
        (!edits.is_empty()).then_some(Action::Fstab { edits })
    }

    /// Entries of a manifest as they are to be, from what they are.
    fn manifest(
        &self,
        home: &AbsPath,
        edits: &[ManifestEdit],
        to: impl Fn(&Edit) -> Option<crate::manifest::Entry>,
    ) -> Option<Action> {
        let manifest = self.view.observed.manifests.get(home).and_then(FileFacts::said);
        let edits: Vec<ManifestEdit> = edits
            .iter()
            .filter_map(|ManifestEdit { mapping, edit }| {
                let from = manifest.and_then(|m| m.get(&edit.store)).cloned();
                let to = to(edit);
                let edit = Edit { store: edit.store.clone(), from, to };
                (edit.from != edit.to).then_some(ManifestEdit { mapping: *mapping, edit })
            })
            .collect();
        (!edits.is_empty()).then(|| Action::Manifest { home: home.clone(), edits })
    }

    /// What is left of copies that nothing came of.
    fn left(&self) -> Vec<Remark> {
        let copies = self.rest.steps.iter().filter_map(|step| match &step.action {
            Action::Copy { trees, .. } => Some(trees),
            _ => None,
        });
        let stays = |to: &&AbsPath| self.is_dir(to);
        copies
            .flatten()
            .map(|tree| &tree.to)
            .filter(stays)
            .map(|to| Remark {
                detail: format!("what had been copied stays in {to}; another run goes on from it"),
                hint: "run the command again".into(),
            })
            .collect()
    }
}
