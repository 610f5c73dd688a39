//! Plans `move`: an app's stores come to other places, and are seen through the same binds.

use super::{Scene, Steps, fits, is_free, movable, nothing_inside, staging};
use crate::goal::{Goal, Move};
use crate::manifest;
use crate::mapping::{BindOptions, Mapping};
use crate::moving::{self, Keep, Moved, Probe, Receipt, TreeCopy, TreeFacts, TreeProbe, Verify};
use crate::observed::{DirFacts, Place};
use crate::path::AbsPath;
use crate::plan::{Plan, Remark, Subject, keep_labels};
use crate::standing::{Ask, Standing, View, record};
use crate::state::{Reason, Refusal, State};
use crate::status::Row;
use crate::step::{Action, Bound, FstabEdit, ManifestEdit, Step, Top};
use crate::value::Id;
use crate::wanted::Wanted;

/// How, as far as that was said.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked {
    pub(super) verify: Option<Verify>,
    pub(super) max_downtime: Option<u32>,
}

impl Asked {
    pub(super) fn of(request: &Move) -> Self {
        Self { verify: request.verify, max_downtime: request.max_downtime }
    }
}

/// A move that is taken back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Back<'a> {
    pub(super) receipt: &'a Receipt,
    pub(super) keep: Option<Keep>,
}

impl Back<'_> {
    /// Where the tree of a mount point was put aside, if it was, with the side that counts.
    fn aside(&self, mount_point: &AbsPath) -> Option<(Option<Keep>, AbsPath)> {
        let tree = self.receipt.trees.iter().find(|tree| tree.mount_point == *mount_point)?;
        Some((self.keep, tree.parked.clone()?))
    }
}

/// How a store comes to its new place.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// It is copied. What an earlier move put aside is the beginning of the copy, if it is there.
    Copied { seed: Option<AbsPath> },
    /// It is renamed, and its bind goes on to show it.
    Renamed,
    /// What an earlier move put aside comes back.
    Back { parked: AbsPath },
}

/// One store that is to move.
struct Tree<'a> {
    old: &'a Mapping,
    new: &'a Mapping,
    standing: Standing,
    /// The store directory as it is.
    top: DirFacts,
}

impl Tree<'_> {
    fn way(&self, known: &TreeFacts, back: Option<Back<'_>>) -> Way {
        match back.and_then(|back| back.aside(&self.old.mount_point)) {
            Some((Some(Keep::New), parked)) if !known.renames => Way::Copied { seed: Some(parked) },
            Some((keep, parked)) if keep != Some(Keep::New) => Way::Back { parked },
            _ if known.renames => Way::Renamed,
            _ => Way::Copied { seed: None },
        }
    }
}

/// An app's mappings with where each is and where it is to be; `Err` for one that cannot be moved as it is.
fn trees<'a>(goal: &Goal, view: &View<'a>, wanted: &'a Wanted) -> Vec<Result<Tree<'a>, Box<Row>>> {
    let Some(app) = goal.apps().and_then(|apps| apps.names.first()) else { return Vec::new() };
    let old = view.wanted.mappings.iter().enumerate().filter(|(_, m)| m.app == *app);
    let pair = |(i, old): (usize, &'a Mapping)| {
        let new = wanted.mappings.iter().find(|m| m.app == *app && m.mount_point == old.mount_point)?;
        (new.store != old.store).then(|| tree(view, i, old, new))
    };
    old.filter_map(pair).collect()
}

fn tree<'a>(view: &View<'a>, i: usize, old: &'a Mapping, new: &'a Mapping) -> Result<Tree<'a>, Box<Row>> {
    let standing = view.assess(i, Ask { by_name: true, new_store: false, ..Ask::default() });
    let refuse = |reason, detail: String, hint: String| {
        Err(Box::new(Row::of(old, &standing.clone().refused(Refusal::new(reason, detail, hint)))))
    };
    if standing.refusal.is_some() || standing.state == State::Disabled {
        return Err(Box::new(Row::of(old, &standing)));
    }
    if let Err(refusal) = movable(old, &standing) {
        return Err(Box::new(Row::of(old, &standing.refused(refusal))));
    }
    let facts = view.observed.mappings.get(i).and_then(Option::as_ref);
    match facts.and_then(|facts| facts.store.dir()) {
        Some(top) => Ok(Tree { old, new, top: top.clone(), standing }),
        None => {
            refuse(Reason::WrongStore, format!("{} cannot be looked at", old.store), format!("ls -ld {}", old.store))
        }
    }
}

/// Where an old store is put aside.
pub(super) fn parked(old: &Mapping, seed: Id) -> AbsPath {
    moving::parked_store(&old.home, &old.key(), seed)
}

pub(super) fn probe(goal: &Goal, view: &View<'_>, wanted: &Wanted, back: Option<Back<'_>>, seed: Id) -> Probe {
    let mut probe = Probe::default();
    for tree in trees(goal, view, wanted).into_iter().flatten() {
        let staging = staging(tree.new);
        let parked = parked(tree.old, seed);
        probe.places.extend([staging.clone(), tree.new.store.clone(), parked]);
        let (to, store) = (tree.new.store.clone(), tree.old.store.clone());
        let aside = back.and_then(|back| back.aside(&tree.old.mount_point));
        probe.places.extend(aside.iter().map(|(_, parked)| parked.clone()));
        probe.trees.push(match aside {
            // What is there takes room already.
            Some((Some(Keep::New), parked)) => TreeProbe { from: store, to, staging: parked, against: None },
            Some((Some(Keep::Old), parked)) => TreeProbe { from: parked, to, staging, against: None },
            Some((None, parked)) => TreeProbe { from: parked, to, staging, against: Some(store) },
            None => TreeProbe { from: store, to, staging, against: None },
        });
        if let Some(app) = wanted.app(&tree.old.app) {
            probe.services.clone_from(&app.services);
        }
    }
    probe
}

pub(super) fn plan(goal: &Goal, asked: Asked, scene: Scene<'_>, back: Option<Back<'_>>) -> Plan {
    let before = View::new(scene.before, scene.observed);
    let after = View::new(scene.wanted, scene.observed);
    let mut plan = Plan::empty(goal, scene.wanted.host.clone(), scene.seed);
    let mut good = Vec::new();
    for tree in trees(goal, &before, scene.wanted) {
        match tree {
            Ok(tree) => good.push(tree),
            Err(row) => plan.notes.push(*row),
        }
    }
    for (tree, known) in good.iter().zip(&scene.facts.trees) {
        if let Err(refusal) = may(tree, known, &after, &scene) {
            plan.notes.push(Row::of(tree.new, &tree.standing.clone().refused(refusal)));
        }
    }
    if plan.refused() > 0 || good.is_empty() {
        return plan;
    }
    let ways = good.iter().zip(&scene.facts.trees).map(|(tree, known)| tree.way(known, back)).collect();
    let mut mover = Mover { after, steps: Steps::new(scene.facts), scene, ways };
    mover.go(asked, &good, back, &mut plan);
    plan.loads = mover.steps.loads;
    plan.steps = mover.steps.steps;
    plan
}

/// Whether a store can come to its new place.
fn may(tree: &Tree<'_>, known: &TreeFacts, after: &View<'_>, scene: &Scene<'_>) -> Result<(), Refusal> {
    if let Some(problem) = &tree.new.problem {
        return Err(Refusal::clone(problem));
    }
    after.judge_volume(tree.new)?;
    nothing_inside(scene.observed, &tree.old.mount_point)?;
    let store = &tree.new.store;
    if !is_free(scene.facts.places.get(store)) {
        return Err(Refusal::new(
            Reason::ClaimedElsewhere,
            format!("{store} is there already and is not empty"),
            format!("choose another place, or move it away: ls -la {store}"),
        ));
    }
    fits(known, &tree.old.store)
}

struct Mover<'v> {
    scene: Scene<'v>,
    after: View<'v>,
    steps: Steps<'v>,
    /// For each tree.
    ways: Vec<Way>,
}

impl Mover<'_> {
    fn go(&mut self, asked: Asked, trees: &[Tree<'_>], back: Option<Back<'_>>, plan: &mut Plan) {
        let Some(first) = trees.first() else { return };
        let app = first.old.app.clone();
        plan.remarks.extend(self.scene.facts.remarks.iter().cloned());
        let ways = self.ways.clone();
        let all = || trees.iter().zip(&ways);
        let (mut copies, mut quiet, mut alike) = (Vec::new(), Vec::new(), Vec::new());
        for ((tree, way), known) in all().zip(&self.scene.facts.trees) {
            let old = || tree.old.store.clone();
            match way {
                Way::Copied { seed } => copies.push(self.steps.copied(&tree.old.store, tree.new, known, seed.as_ref())),
                Way::Renamed => {
                    self.steps.renamed(&tree.old.store, tree.new, known);
                    quiet.push(old());
                }
                Way::Back { parked } => {
                    self.steps.renamed(parked, tree.new, known);
                    quiet.extend([old(), parked.clone()]);
                    alike.push(TreeCopy { from: old(), to: parked.clone() });
                }
            }
        }
        self.tell_policy(trees);
        self.steps.close(&app, copies, quiet, asked.verify, asked.max_downtime);
        if !alike.is_empty() && back.is_some_and(|back| back.keep.is_none()) {
            self.steps.push(Action::DemandAlike { app: app.clone(), trees: alike });
        }
        for (n, (tree, way)) in all().enumerate() {
            plan.mappings.push(Subject::of(tree.new));
            self.place(u32::try_from(n).unwrap_or(u32::MAX), tree, way);
        }
        let moved = all().map(|(tree, way)| self.moved(tree, way)).collect();
        let verb = if back.is_some() { Receipt::UNDO } else { "move" };
        let files = std::mem::take(&mut self.scene.files);
        self.steps.receipt(verb, &app, moved, &files);
        self.switch(trees, files);
        self.leave(trees);
        self.steps.open(&app);
        plan.remarks.extend(trees.iter().filter(|tree| tree.standing.state == State::Drifted).map(|tree| Remark {
            detail: format!("{} has drifted: {}", tree.old.mount_point, tree.standing.detail),
            hint: format!("datastore apply {}", tree.old.app),
        }));
    }

    /// Tells SELinux's policy of the new places. That takes its time, so it is done while the services run.
    fn tell_policy(&mut self, trees: &[Tree<'_>]) {
        for action in trees.iter().filter_map(|tree| keep_labels(&self.scene.observed.labels, tree.new)) {
            self.steps.push(action);
        }
    }

    /// The directory that was put aside.
    fn aside(&self, parked: &AbsPath) -> Option<&DirFacts> {
        self.scene.facts.places.get(parked).and_then(Place::dir)
    }

    /// What the store's top is to carry. One that is renamed stays what it is.
    fn id(&self, tree: &Tree<'_>, way: &Way) -> Option<Id> {
        let fresh = || Some(self.scene.seed.derive(tree.new.store.as_bytes()));
        match way {
            Way::Renamed => tree.top.identity(),
            Way::Back { parked } => self.aside(parked).and_then(DirFacts::identity).or_else(fresh),
            Way::Copied { .. } => fresh(),
        }
    }

    /// Gives the copy, or what is renamed, the name of the store, and the manifest there an entry.
    fn place(&mut self, number: u32, tree: &Tree<'_>, way: &Way) {
        let store = tree.new.store.clone();
        self.steps.clear(&store);
        let id = self.id(tree, way);
        let attrs = tree.standing.attrs.unwrap_or(tree.top.attrs);
        let (from, had) = match way {
            Way::Copied { .. } => (staging(tree.new), None),
            Way::Renamed => (tree.old.store.clone(), Some(tree.top.top())),
            Way::Back { parked } => (parked.clone(), self.aside(parked).map(DirFacts::top)),
        };
        self.steps.push(Action::MoveDir { from, to: store, had, gets: Some(Top { attrs, id }) });
        if let Some(id) = id {
            let from = self.after.recorded(tree.new).cloned();
            let to = Some(record(tree.new, attrs, id));
            let edit = manifest::Edit { store: tree.new.key(), from, to };
            let edits = vec![ManifestEdit { mapping: Some(number), edit }];
            self.steps.push(Action::Manifest { home: tree.new.home.clone(), edits });
        }
        self.steps.push(Action::Flush { path: tree.new.home.clone() });
    }

    fn moved(&self, tree: &Tree<'_>, way: &Way) -> Moved {
        Moved {
            mount_point: tree.old.mount_point.clone(),
            from: tree.old.store.clone(),
            from_volume: Some(tree.old.volume.clone()),
            to: tree.new.store.clone(),
            to_volume: Some(tree.new.volume.clone()),
            parked: (*way != Way::Renamed).then(|| parked(tree.old, self.scene.seed)),
            had: Some(tree.top.top()),
        }
    }

    /// From here on the new places count: for the next boot, for the bind, and for the configuration.
    fn switch(&mut self, trees: &[Tree<'_>], mut files: Vec<Step>) {
        let fstab = &self.scene.observed.fstab;
        let edit = |(n, tree): (usize, &Tree<'_>)| {
            let line = tree.standing.line.as_ref()?;
            let to = self.after.line_for(tree.new, line.noauto);
            let mapping = u32::try_from(n).ok();
            Some(FstabEdit { mapping, edit: fstab.change(&tree.old.mount_point, Some(to)) })
        };
        let edits: Vec<FstabEdit> = trees.iter().enumerate().filter_map(edit).collect();
        self.steps.lines(edits, self.scene.observed);
        for (tree, way) in trees.iter().zip(self.ways.clone()) {
            // What is renamed is the same directory still, which its bind goes on to show.
            if let Some(bound) = tree.standing.bound.as_ref().filter(|_| way != Way::Renamed) {
                let options: BindOptions = bound.options;
                let from = Bound { store: tree.old.store.clone(), id: tree.top.identity() };
                let to = Bound { store: tree.new.store.clone(), id: self.id(tree, &way) };
                self.steps.push(Action::Swap { mount_point: tree.old.mount_point.clone(), from, to, options });
            }
        }
        self.steps.steps.append(&mut files);
    }

    /// Puts the old stores aside, and takes their entries out of the manifest.
    fn leave(&mut self, trees: &[Tree<'_>]) {
        for (n, (tree, way)) in trees.iter().zip(self.ways.clone()).enumerate() {
            if way != Way::Renamed {
                let to = parked(tree.old, self.scene.seed);
                self.steps.room_for(&to);
                self.steps.push(Action::MoveDir { from: tree.old.store.clone(), to, had: None, gets: None });
            }
            if let Way::Back { parked } | Way::Copied { seed: Some(parked) } = &way {
                self.steps.room_below(parked);
            }
            self.steps.forget(tree.old, n, self.scene.observed);
            self.steps.push(Action::Flush { path: tree.old.home.clone() });
        }
    }
}
