//! Plans that move data. All of their steps stand or fall together.
//!
//! What comes after the move is what makes any mapping active, so it is planned by the planner of mappings: on facts in which the
//! move has been made already.

mod home;
mod import;
mod leftovers;
mod settle;
mod stores;
mod undo;

pub use undo::has_changed;

use std::collections::BTreeSet;

use super::{Fate, Load, Plan, missing_above};
use crate::amount::{count, size};
use crate::error::{Error, ErrorKind};
use crate::goal::{self, Goal};
use crate::manifest;
use crate::mapping::Mapping;
use crate::moving::{self, Facts, Moved, Probe, Receipt, Rewritten, TreeCopy, TreeFacts, Verify};
use crate::observed::{DirFacts, FileFacts, Observed, Place};
use crate::path::{AbsPath, printable};
use crate::standing::{Standing, View};
use crate::state::{Reason, Refusal, State};
use crate::step::{Action, FstabEdit, ManifestEdit, Step};
use crate::value::{AppName, Attrs, Id};
use crate::wanted::Wanted;

/// What a plan that moves data is made from.
pub struct Scene<'a> {
    /// What the configuration asked for before the goal changed it.
    pub before: &'a Wanted,
    /// What it asks for now.
    pub wanted: &'a Wanted,
    /// The machine.
    pub observed: &'a Observed,
    /// What was asked for by [`probe`].
    pub facts: &'a Facts,
    /// The receipt of what is to be undone.
    pub receipt: Option<&'a Receipt>,
    /// The changes of configuration, which `wanted` already takes as made.
    pub files: Vec<Step>,
    /// Decides new identities, and the names of trees that are put aside.
    pub seed: Id,
}

/// What must be known to plan for a goal that moves data, or settles such a one. `view` is of what was wanted before the goal changed
/// it, `wanted` what is wanted now, `receipt` that of what is to be undone.
pub fn probe(goal: &Goal, view: &View<'_>, wanted: &Wanted, receipt: Option<&Receipt>, seed: Id) -> Probe {
    match goal {
        Goal::Import(_) => import::probe(goal, view, seed),
        Goal::Move(_) => stores::probe(goal, view, wanted, None, seed),
        Goal::Undo(request) => undo::probe(goal, request, view, wanted, receipt, seed),
        Goal::Settle { operation, .. } => settle::probe(view, operation),
        Goal::Reclaim(goal::Reclaim { apps, .. }) | Goal::Abort(apps) => {
            Probe { left: Some(apps.names.clone()), ..Probe::default() }
        }
        _ => Probe::default(),
    }
}

/// Makes the plan.
///
/// # Errors
/// [`ErrorKind::Usage`] for a goal that moves nothing; [`ErrorKind::Refused`] if there is nothing to undo, or it cannot be undone.
pub fn make(goal: &Goal, scene: Scene<'_>) -> Result<Plan, Error> {
    match goal {
        Goal::Import(request) => Ok(import::plan(goal, request, scene)),
        Goal::Move(request) => Ok(stores::plan(goal, stores::Asked::of(request), scene, None)),
        Goal::Undo(request) => undo::plan(goal, request, scene),
        Goal::Settle { operation, .. } => Ok(settle::plan(goal, operation, &scene)),
        Goal::Reclaim(request) => {
            Ok(leftovers::plan(goal, &scene, |left| left.parked && (left.expired || !request.expired)))
        }
        Goal::Abort(_) => Ok(leftovers::plan(goal, &scene, |left| !left.parked)),
        _ => Err(Error::new(ErrorKind::Usage, format!("`{goal}` moves nothing"))),
    }
}

/// Steps that all stand or fall together, and how much they move.
struct Steps<'f> {
    facts: &'f Facts,
    steps: Vec<Step>,
    made: BTreeSet<AbsPath>,
    loads: Vec<Load>,
}

impl<'f> Steps<'f> {
    fn new(facts: &'f Facts) -> Self {
        Self { facts, steps: Vec::new(), made: BTreeSet::new(), loads: Vec::new() }
    }

    fn push(&mut self, action: Action) {
        self.steps.push(Step { mapping: None, action });
    }

    /// The directories above a path that are missing, closed to everybody but root. Where others use them too, they stay.
    fn rooms_above(&mut self, path: &AbsPath, shared: bool) {
        self.rooms(path, |_| shared);
    }

    /// The directory in which a store is put aside. It is this operation's alone, unlike those above it.
    fn room_for(&mut self, parked: &AbsPath) {
        let room = parked.parent();
        self.rooms(parked, |path| Some(path) != room.as_ref());
    }

    fn rooms(&mut self, path: &AbsPath, shared: impl Fn(&AbsPath) -> bool) {
        let Some(Place::Absent { missing }) = self.facts.places.get(path) else { return };
        for path in missing_above(path, missing) {
            if self.made.insert(path.clone()) {
                let shared = shared(&path);
                self.push(Action::MakeDir { path, attrs: Attrs::root(0o700), id: None, shared });
            }
        }
    }

    /// The room for a tree that is to be the store of a mapping, and for the copy of it, if it must be copied. What an earlier run has
    /// copied is used.
    fn prepare(&mut self, from: &AbsPath, to: &Mapping, known: &TreeFacts) -> Option<TreeCopy> {
        if known.renames {
            self.renamed(from, to, known);
            return None;
        }
        Some(self.copied(from, to, known, None))
    }

    /// The room for a tree that is renamed to be the store of a mapping.
    fn renamed(&mut self, from: &AbsPath, to: &Mapping, known: &TreeFacts) {
        self.loads.push(load(&to.mount_point, from, known));
        self.rooms_above(&to.store, true);
    }

    /// The room for a tree that is copied to be the store of a mapping, and for its copy. What an earlier run has copied is used, else
    /// a tree that was put aside, if there is one.
    fn copied(&mut self, from: &AbsPath, to: &Mapping, known: &TreeFacts, seed: Option<&AbsPath>) -> TreeCopy {
        self.loads.push(load(&to.mount_point, from, known));
        self.rooms_above(&to.store, true);
        let staging = staging(to);
        self.rooms_above(&staging, true);
        self.staging(&staging, seed);
        TreeCopy { from: from.clone(), to: staging }
    }

    /// Where a copy comes into being.
    fn staging(&mut self, staging: &AbsPath, seed: Option<&AbsPath>) {
        if !matches!(self.facts.places.get(staging), Some(Place::Absent { .. })) {
            return;
        }
        let seed = seed.filter(|seed| matches!(self.facts.places.get(*seed), Some(Place::Dir(_))));
        self.push(match seed {
            Some(seed) => Action::SeedCopy { from: seed.clone(), to: staging.clone() },
            None => Action::MakeDir { path: staging.clone(), attrs: Attrs::root(0o700), id: None, shared: false },
        });
    }

    /// Copies while the app goes on, then closes it, copies the rest, and makes sure that nobody writes to what is renamed.
    fn close(
        &mut self,
        app: &AppName,
        copies: Vec<TreeCopy>,
        renames: Vec<AbsPath>,
        how: Option<Verify>,
        max_downtime: Option<u32>,
    ) {
        let bytes = self.loads.iter().filter(|load| load.fate == Fate::Copied).map(|load| load.bytes).sum();
        let verify = Verify::of(how, bytes);
        if !copies.is_empty() {
            self.push(Action::Copy { trees: copies.clone(), verify, max_downtime });
        }
        self.push(Action::StopServices { app: app.clone(), running: self.facts.running.clone() });
        if !copies.is_empty() {
            self.push(Action::FinishCopy { trees: copies });
        }
        if !renames.is_empty() {
            self.push(Action::DemandQuiet { paths: renames });
        }
    }

    /// Lets the app start again, with what ran.
    fn open(&mut self, app: &AppName) {
        self.push(Action::StartServices { app: app.clone(), running: self.facts.running.clone() });
    }

    /// Removes the directory in which a tree was put aside that has come back, unless something else is in it.
    fn room_below(&mut self, aside: &AbsPath) {
        if let Some(room) = aside.parent().filter(moving::is_room) {
            let removes = |step: &Step| matches!(&step.action, Action::RemoveDir { path, .. } if *path == room);
            if !self.steps.iter().any(removes) {
                self.push(Action::RemoveDir { path: room, attrs: Attrs::root(0o700), id: None });
            }
        }
    }

    /// Takes an empty directory out of the place of a store.
    fn clear(&mut self, store: &AbsPath) {
        if let Some(Place::Dir(dir)) = self.facts.places.get(store) {
            let id = dir.identity();
            self.push(Action::RemoveDir { path: store.clone(), attrs: dir.attrs, id });
        }
    }

    /// Keeps a receipt, which holds changes of configuration too.
    fn receipt(&mut self, verb: &str, app: &AppName, trees: Vec<Moved>, files: &[Step]) {
        let rewritten = |step: &Step| match &step.action {
            Action::WriteFile { path, from, to, .. } => {
                Some(Rewritten { path: path.clone(), from: from.clone(), to: to.clone() })
            }
            _ => None,
        };
        let receipt = Receipt {
            version: Receipt::VERSION,
            verb: verb.into(),
            app: app.clone(),
            trees,
            files: files.iter().filter_map(rewritten).collect(),
            at: None,
            expires: None,
            copies: Vec::new(),
            downtime: None,
        };
        self.push(Action::WriteReceipt(Box::new(receipt)));
    }

    /// Writes the lines of fstab that change, if any do.
    fn lines(&mut self, edits: Vec<FstabEdit>, observed: &Observed) {
        if edits.is_empty() {
            return;
        }
        self.push(Action::Fstab { edits });
        if observed.systemd {
            self.push(Action::ReloadSystemd);
        }
    }

    /// Takes one entry out of a manifest, if there is one.
    fn forget(&mut self, mapping: &Mapping, number: usize, observed: &Observed) {
        let manifest = observed.manifests.get(&mapping.home).and_then(FileFacts::said);
        if let Some(entry) = manifest.and_then(|m| m.get(&mapping.key())) {
            let edit = manifest::Edit { store: mapping.key(), from: Some(entry.clone()), to: None };
            let edits = vec![ManifestEdit { mapping: u32::try_from(number).ok(), edit }];
            self.push(Action::Manifest { home: mapping.home.clone(), edits });
        }
    }
}

/// Where the copy that is to be a mapping's store comes into being.
fn staging(mapping: &Mapping) -> AbsPath {
    moving::staging(&mapping.home, &mapping.key())
}

/// Whether nothing that counts stands in the place of a store.
fn is_free(place: Option<&Place>) -> bool {
    matches!(place, Some(Place::Dir(DirFacts { empty: Some(true), .. }) | Place::Absent { .. }))
}

/// Whether a mapping is in a state in which its store can move.
fn movable(mapping: &Mapping, standing: &Standing) -> Result<(), Refusal> {
    let bound = standing.bound.as_ref().is_some_and(|b| b.right);
    let movable = match standing.state {
        State::Active | State::Drifted => bound,
        State::Inactive => !bound,
        _ => false,
    };
    if movable {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::Busy,
        format!("{} is {}, so its data is not moved", mapping.mount_point, standing.state),
        format!("datastore apply {}, then run the command again", mapping.app),
    ))
}

/// Whether nothing is mounted inside what is seen at a mount point.
fn nothing_inside(observed: &Observed, at: &AbsPath) -> Result<(), Refusal> {
    let Some(inner) = observed.mounts.below(at).first().map(|mount| printable(mount.mount_point())) else {
        return Ok(());
    };
    Err(Refusal::new(
        Reason::Busy,
        format!("{inner} is mounted inside {at}"),
        format!("stop the app that it belongs to first, or: umount {inner}"),
    ))
}

/// Whether a tree can be copied to where it is to come.
fn fits(tree: &TreeFacts, from: &AbsPath) -> Result<(), Refusal> {
    if let Some(inner) = tree.mounts.first() {
        return Err(Refusal::new(
            Reason::Busy,
            format!("{inner} is mounted in {from}, and a mount is not moved along"),
            format!("unmount it, or stop the app that it belongs to, then run the command again: findmnt {inner}"),
        ));
    }
    let Some(first) = tree.unfit.first() else { return Ok(()) };
    let more = match tree.unfit.len() {
        1 => String::new(),
        n => format!(" (and {})", count(n - 1, "more reason")),
    };
    Err(Refusal::new(first.reason, format!("{}{more}", first.detail), first.hint.clone()))
}

/// So many entries and bytes a slow disk copies in a second, for a guess.
const SLOW: (u64, u64) = (10_000, 100 << 20);

/// How much there is of a tree that stands at `path`.
fn load(mount_point: &AbsPath, path: &AbsPath, tree: &TreeFacts) -> Load {
    let (fate, seconds) =
        if tree.renames { (Fate::Renamed, 0) } else { (Fate::Copied, tree.entries / SLOW.0 + tree.bytes / SLOW.1 + 1) };
    let (mount_point, path) = (mount_point.clone(), path.clone());
    Load { fate, path, mount_point, entries: tree.entries, bytes: tree.bytes, seconds, until: None }
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entries = count(usize::try_from(self.entries).unwrap_or(usize::MAX), "entry");
        write!(f, "{}: {} in {entries}, to be {}", self.path, size(self.bytes), self.fate)?;
        match (self.fate, self.seconds) {
            (Fate::Copied, n) if n < 120 => write!(f, " in about {n} s"),
            (Fate::Copied, n) => write!(f, " in about {} min", n / 60),
            _ => Ok(()),
        }
    }
}
