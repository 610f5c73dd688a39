//! Plans `move`: an app's stores come to other places, and are seen through the same binds.

use super::{Fate, Load, Scene, Steps, load, unfit};
use crate::goal::{Goal, Move};
use crate::manifest;
use crate::mapping::{BindOptions, Mapping};
use crate::moving::{self, Moved, Probe, Receipt, TreeCopy, TreeFacts, TreeProbe, Verify};
use crate::observed::{DirFacts, FileFacts, Place};
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
        let refusal = Some(Refusal::new(reason, detail.clone(), hint.clone()));
        Err(Box::new(Row::of(old, &Standing { state: State::Refused, refusal, detail, hint, ..standing.clone() })))
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

pub(super) fn probe(goal: &Goal, view: &View<'_>, wanted: &Wanted, seed: Id) -> Probe {
    let mut probe = Probe::default();
    for tree in trees(goal, view, wanted).into_iter().flatten() {
        let staging = moving::staging(&tree.new.home, &tree.new.key());
        let parked = moving::parked_store(&tree.old.home, &tree.old.key(), seed);
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
    let mut plan = Plan {
        goal: goal.clone(),
        host: scene.wanted.host.clone(),
        seed: scene.seed,
        mappings: Vec::new(),
        steps: Vec::new(),
        notes: Vec::new(),
        remarks: Vec::new(),
        loads: Vec::new(),
    };
    let mut good = Vec::new();
    for tree in trees(goal, &before, scene.wanted) {
        match tree {
            Ok(tree) => good.push(tree),
            Err(row) => plan.notes.push(*row),
        }
    }
    for (tree, known) in good.iter().zip(&scene.facts.trees) {
        if let Err(refusal) = may(tree, known, &after, &scene) {
            let (detail, hint) = (refusal.detail.clone(), refusal.hint.clone());
            let standing =
                Standing { state: State::Refused, refusal: Some(refusal), detail, hint, ..tree.standing.clone() };
            plan.notes.push(Row::of(tree.new, &standing));
        }
    }
    if plan.refused() > 0 || good.is_empty() {
        return plan;
    }
    let mut mover = Mover { scene, after, steps: Steps::default(), loads: Vec::new() };
    mover.go(request, &good, &mut plan);
    plan.loads = mover.loads;
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
    match scene.facts.places.get(store) {
        Some(Place::Dir(DirFacts { empty: Some(true), .. }) | Place::Absent { .. }) => {}
        _ => {
            return Err(Refusal::new(
                Reason::ClaimedElsewhere,
                format!("{store} is there already and is not empty"),
                format!("choose another place, or move it away: ls -la {store}"),
            ));
        }
    }
    unfit(known, &tree.old.store).map_or(Ok(()), Err)
}

struct Mover<'v> {
    scene: Scene<'v>,
    after: View<'v>,
    steps: Steps,
    loads: Vec<Load>,
}

impl Mover<'_> {
    fn go(&mut self, request: &Move, trees: &[Tree<'_>], plan: &mut Plan) {
        let Some(first) = trees.first() else { return };
        let app = first.old.app.clone();
        let running = self.scene.facts.running.clone();
        plan.remarks.extend(self.scene.facts.remarks.iter().cloned());
        let known: Vec<TreeFacts> = self.scene.facts.trees.clone();
        let mut copies = Vec::new();
        for (tree, known) in trees.iter().zip(&known) {
            copies.extend(self.prepare(tree, known));
        }
        let bytes = self.loads.iter().filter(|load| load.fate == Fate::Copied).map(|load| load.bytes).sum();
        let verify = Verify::of(request.verify, bytes);
        if !copies.is_empty() {
            let max_downtime = request.max_downtime;
            self.steps.push(Action::Copy { trees: copies.clone(), verify, max_downtime });
        }
        self.steps.push(Action::StopServices { app: app.clone(), running: running.clone() });
        if !copies.is_empty() {
            self.steps.push(Action::FinishCopy { trees: copies, verify });
        }
        let renamed = trees.iter().zip(&known).filter(|(_, known)| known.renames);
        let renamed: Vec<AbsPath> = renamed.map(|(tree, _)| tree.old.store.clone()).collect();
        if !renamed.is_empty() {
            self.steps.push(Action::DemandQuiet { paths: renamed });
        }
        for (n, (tree, known)) in trees.iter().zip(&known).enumerate() {
            plan.mappings.push(subject(tree));
            self.place(u32::try_from(n).unwrap_or(u32::MAX), tree, known);
        }
        let moved = trees.iter().zip(&known).map(|(tree, known)| self.moved(tree, known));
        let receipt =
            Receipt { version: Receipt::VERSION, verb: "move".into(), app: app.clone(), trees: moved.collect() };
        self.steps.push(Action::WriteReceipt(Box::new(receipt)));
        self.switch(trees, &known);
        self.leave(trees, &known);
        self.steps.push(Action::StartServices { app, running });
        plan.remarks.extend(trees.iter().filter(|tree| tree.standing.state == State::Drifted).map(|tree| Remark {
            detail: format!("{} has drifted: {}", tree.old.mount_point, tree.standing.detail),
            hint: format!("datastore apply {}", tree.old.app),
        }));
    }

    /// The room for a copy, and the copy.
    fn prepare(&mut self, tree: &Tree<'_>, known: &TreeFacts) -> Option<TreeCopy> {
        self.loads.push(load(&tree.old.mount_point, &tree.old.store, known));
        let store = &tree.new.store;
        self.steps.rooms_above(store, self.scene.facts.places.get(store), true);
        if known.renames {
            return None;
        }
        let staging = moving::staging(&tree.new.home, &tree.new.key());
        self.steps.room_for(&staging, self.scene.facts.places.get(&staging));
        Some(TreeCopy { from: tree.old.store.clone(), to: staging })
    }

    /// What the store's top is to carry. One that is renamed stays what it is.
    fn id(&self, tree: &Tree<'_>, known: &TreeFacts) -> Option<Id> {
        if known.renames { tree.top.identity() } else { Some(self.scene.seed.derive(tree.new.store.as_bytes())) }
    }

    /// Gives the copy, or what is renamed, the name of the store, and the manifest there an entry.
    fn place(&mut self, number: u32, tree: &Tree<'_>, known: &TreeFacts) {
        let store = tree.new.store.clone();
        if let Some(Place::Dir(dir)) = self.scene.facts.places.get(&store) {
            let id = dir.identity();
            self.steps.push(Action::RemoveDir { path: store.clone(), attrs: dir.attrs, id });
        }
        let id = self.id(tree, known);
        let attrs = tree.standing.attrs.unwrap_or(tree.top.attrs);
        let from =
            if known.renames { tree.old.store.clone() } else { moving::staging(&tree.new.home, &tree.new.key()) };
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
        let parked = moving::parked_store(&tree.old.home, &tree.old.key(), self.scene.seed);
        Moved {
            mount_point: tree.old.mount_point.clone(),
            from: tree.old.store.clone(),
            from_volume: Some(tree.old.volume.clone()),
            to: tree.new.store.clone(),
            to_volume: tree.new.volume.clone(),
            parked: (!known.renames).then_some(parked),
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
                let to = moving::parked_store(&tree.old.home, &tree.old.key(), self.scene.seed);
                self.steps.rooms_above(&to, self.scene.facts.places.get(&to), true);
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
