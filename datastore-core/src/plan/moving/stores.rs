//! Plans `move`: an app's stores come to other places, and are seen through the same binds.

use super::{Scene, Steps, fits, is_free, staging};
use crate::goal::{Goal, Move};
use crate::manifest;
use crate::mapping::{BindOptions, Mapping};
use crate::moving::{self, Moved, Probe, TreeFacts, TreeProbe};
use crate::observed::{DirFacts, FileFacts};
use crate::path::AbsPath;
use crate::plan::{Plan, Remark, Subject};
use crate::standing::{Ask, Standing, View, record};
use crate::state::{Reason, Refusal, State};
use crate::status::Row;
use crate::step::{Action, Bound, FstabEdit, ManifestEdit, Top};
use crate::value::Id;
use crate::wanted::Wanted;

/// One store that is to move.
struct Tree<'a> {
    old: &'a Mapping,
    new: &'a Mapping,
    standing: Standing,
    /// The store directory as it is.
    top: DirFacts,
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
    let bound = standing.bound.as_ref().is_some_and(|b| b.right);
    let movable = match standing.state {
        State::Active | State::Drifted => bound,
        State::Inactive => !bound,
        _ => false,
    };
    if standing.refusal.is_some() || standing.state == State::Disabled {
        return Err(Box::new(Row::of(old, &standing)));
    }
    if !movable {
        let detail = format!("{} is {}, so its data is not moved", old.mount_point, standing.state);
        return refuse(Reason::Busy, detail, format!("datastore apply {}, then run the command again", old.app));
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
fn parked(old: &Mapping, seed: Id) -> AbsPath {
    moving::parked_store(&old.home, &old.key(), seed)
}

pub(super) fn probe(goal: &Goal, view: &View<'_>, wanted: &Wanted, seed: Id) -> Probe {
    let mut probe = Probe::default();
    for tree in trees(goal, view, wanted).into_iter().flatten() {
        let staging = staging(tree.new);
        let parked = parked(tree.old, seed);
        probe.places.extend([staging.clone(), tree.new.store.clone(), parked]);
        probe.trees.push(TreeProbe { from: tree.old.store.clone(), to: tree.new.store.clone(), staging });
        if let Some(app) = wanted.app(&tree.old.app) {
            probe.services.clone_from(&app.services);
        }
    }
    probe
}

pub(super) fn plan(goal: &Goal, request: &Move, scene: Scene<'_>) -> Plan {
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
    let mut mover = Mover { after, steps: Steps::new(scene.facts), scene };
    mover.go(request, &good, &mut plan);
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
    if let Some(inner) = scene.observed.mounts.below(&tree.old.mount_point).first() {
        let inner = crate::path::printable(inner.mount_point());
        return Err(Refusal::new(
            Reason::Busy,
            format!("{inner} is mounted inside {}", tree.old.mount_point),
            format!("stop the app that it belongs to first, or: umount {inner}"),
        ));
    }
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
}

impl Mover<'_> {
    fn go(&mut self, request: &Move, trees: &[Tree<'_>], plan: &mut Plan) {
        let Some(first) = trees.first() else { return };
        let app = first.old.app.clone();
        let facts = self.scene.facts;
        plan.remarks.extend(facts.remarks.iter().cloned());
        let known = &facts.trees;
        let all = || trees.iter().zip(known);
        let copies = all().filter_map(|(tree, known)| self.steps.prepare(&tree.old.store, tree.new, known)).collect();
        let renames = all().filter(|(_, known)| known.renames).map(|(tree, _)| tree.old.store.clone()).collect();
        self.steps.close(&app, copies, renames, request.verify, request.max_downtime);
        for (n, (tree, known)) in all().enumerate() {
            plan.mappings.push(subject(tree));
            self.place(u32::try_from(n).unwrap_or(u32::MAX), tree, known);
        }
        let moved = all().map(|(tree, known)| self.moved(tree, known)).collect();
        self.steps.receipt("move", &app, moved);
        self.switch(trees, known);
        self.leave(trees, known);
        self.steps.open(&app);
        plan.remarks.extend(trees.iter().filter(|tree| tree.standing.state == State::Drifted).map(|tree| Remark {
            detail: format!("{} has drifted: {}", tree.old.mount_point, tree.standing.detail),
            hint: format!("datastore apply {}", tree.old.app),
        }));
    }

    /// What the store's top is to carry. One that is renamed stays what it is.
    fn id(&self, tree: &Tree<'_>, known: &TreeFacts) -> Option<Id> {
        if known.renames { tree.top.identity() } else { Some(self.scene.seed.derive(tree.new.store.as_bytes())) }
    }

    /// Gives the copy, or what is renamed, the name of the store, and the manifest there an entry.
    fn place(&mut self, number: u32, tree: &Tree<'_>, known: &TreeFacts) {
        let store = tree.new.store.clone();
        self.steps.clear(&store);
        let id = self.id(tree, known);
        let attrs = tree.standing.attrs.unwrap_or(tree.top.attrs);
        let from = if known.renames { tree.old.store.clone() } else { staging(tree.new) };
        let had = known.renames.then(|| Top { attrs: tree.top.attrs, id: tree.top.identity() });
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

    fn moved(&self, tree: &Tree<'_>, known: &TreeFacts) -> Moved {
        Moved {
            mount_point: tree.old.mount_point.clone(),
            from: tree.old.store.clone(),
            from_volume: Some(tree.old.volume.clone()),
            to: tree.new.store.clone(),
            to_volume: tree.new.volume.clone(),
            parked: (!known.renames).then(|| parked(tree.old, self.scene.seed)),
        }
    }

    /// From here on the new places count: for the next boot, for the bind, and for the configuration.
    fn switch(&mut self, trees: &[Tree<'_>], known: &[TreeFacts]) {
        let fstab = &self.scene.observed.fstab;
        let edit = |(n, tree): (usize, &Tree<'_>)| {
            let line = tree.standing.line.as_ref()?;
            let to = self.after.line_for(tree.new, line.noauto);
            let mapping = u32::try_from(n).ok();
            Some(FstabEdit { mapping, edit: fstab.change(&tree.old.mount_point, Some(to)) })
        };
        let edits: Vec<FstabEdit> = trees.iter().enumerate().filter_map(edit).collect();
        if !edits.is_empty() {
            self.steps.push(Action::Fstab { edits });
            if self.scene.observed.systemd {
                self.steps.push(Action::ReloadSystemd);
            }
        }
        for (tree, known) in trees.iter().zip(known) {
            // What is renamed is the same directory still, which its bind goes on to show.
            if let Some(bound) = tree.standing.bound.as_ref().filter(|_| !known.renames) {
                let options: BindOptions = bound.options;
                let from = Bound { store: tree.old.store.clone(), id: tree.top.identity() };
                let to = Bound { store: tree.new.store.clone(), id: self.id(tree, known) };
                self.steps.push(Action::Swap { mount_point: tree.old.mount_point.clone(), from, to, options });
            }
        }
        self.steps.steps.append(&mut self.scene.files);
    }

    /// Puts the old stores aside, and takes their entries out of the manifest.
    fn leave(&mut self, trees: &[Tree<'_>], known: &[TreeFacts]) {
        for (n, (tree, known)) in trees.iter().zip(known).enumerate() {
            if !known.renames {
                let to = parked(tree.old, self.scene.seed);
                self.steps.rooms_above(&to, true);
                self.steps.push(Action::MoveDir { from: tree.old.store.clone(), to, had: None, gets: None });
            }
            let manifest = self.scene.observed.manifests.get(&tree.old.home).and_then(FileFacts::said);
            if let Some(entry) = manifest.and_then(|m| m.get(&tree.old.key())) {
                let edit = manifest::Edit { store: tree.old.key(), from: Some(entry.clone()), to: None };
                let edits = vec![ManifestEdit { mapping: u32::try_from(n).ok(), edit }];
                self.steps.push(Action::Manifest { home: tree.old.home.clone(), edits });
            }
            self.steps.push(Action::Flush { path: tree.old.home.clone() });
        }
    }
}

fn subject(tree: &Tree<'_>) -> Subject {
    Subject {
        app: tree.new.app.clone(),
        mount_point: tree.new.mount_point.clone(),
        store: tree.new.store.clone(),
        volume: Some(tree.new.volume.clone()),
    }
}
