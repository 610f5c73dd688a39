//! Plans `import`: what stands at an app's mount points comes into the store, and is seen there through the bind.

use super::{Fate, Load, Scene, Steps, load, unfit};
use crate::goal::{Goal, Import};
use crate::mapping::Mapping;
use crate::moving::{self, Facts, Moved, Probe, Receipt, TreeCopy, TreeFacts, TreeProbe, Verify};
use crate::observed::{DirFacts, Identity, Observed, Place};
use crate::path::AbsPath;
use crate::plan::{Plan, mappings};
use crate::standing::{Ask, Standing, View};
use crate::state::{Reason, Refusal};
use crate::status::Row;
use crate::step::{Action, Step, Top};
use crate::value::Id;

const ASK: Ask = Ask { by_name: true, new_store: true, accept: false, comes_off: false };

/// One tree that is to be imported.
struct Tree<'a> {
    /// Its mapping, by its number.
    i: usize,
    mapping: &'a Mapping,
    /// Where the data is.
    from: AbsPath,
    /// The directory at its top.
    top: DirFacts,
    standing: Standing,
}

/// The mappings of the app at whose mount points data stands, and nothing else is wrong.
fn trees<'a>(goal: &Goal, view: &View<'a>) -> Vec<Tree<'a>> {
    let Some(app) = goal.apps().and_then(|apps| apps.names.first()) else { return Vec::new() };
    let wanted = view.wanted;
    let of_app = wanted.mappings.iter().enumerate().filter(|(_, m)| m.app == *app);
    let tree = |(i, mapping): (usize, &'a Mapping)| {
        let standing = view.assess(i, ASK);
        let in_the_way = standing.refusal.as_ref().is_some_and(|r| r.reason == Reason::MountPointNotEmpty);
        let facts = view.observed.mappings.get(i)?.as_ref()?;
        let top = facts.beneath.dir().filter(|dir| in_the_way && dir.empty == Some(false))?.clone();
        let from = view.nesting().beneath(&mapping.mount_point);
        Some(Tree { i, mapping, from, top, standing })
    };
    of_app.filter_map(tree).collect()
}

/// Where a tree is put aside: in the home of the store in which it lies, else beside its place.
fn parked(tree: &Tree<'_>, view: &View<'_>, seed: Id) -> Option<AbsPath> {
    if tree.from == tree.mapping.mount_point {
        return moving::parked_beside(&tree.from, seed);
    }
    let homes = view.wanted.mappings.iter().map(|m| &m.home);
    let home = homes.filter(|home| tree.from.is_below(home)).max_by_key(|home| home.depth())?;
    let key = crate::path::printable(tree.from.below(home)?.relative());
    Some(moving::parked_store(home, &key, seed))
}

pub(super) fn probe(goal: &Goal, view: &View<'_>, seed: Id) -> Probe {
    let mut probe = Probe::default();
    for tree in trees(goal, view) {
        let staging = moving::staging(&tree.mapping.home, &tree.mapping.key());
        probe.places.extend([staging.clone(), tree.mapping.store.clone()]);
        probe.places.extend(parked(&tree, view, seed));
        probe.trees.push(TreeProbe { from: tree.from, to: tree.mapping.store.clone(), staging });
        if let Some(app) = view.wanted.app(&tree.mapping.app) {
            probe.services.clone_from(&app.services);
        }
    }
    probe
}

pub(super) fn plan(goal: &Goal, request: &Import, scene: Scene<'_>) -> Plan {
    let Scene { wanted, observed, facts, files, seed, .. } = scene;
    let view = View::new(wanted, observed);
    let trees = trees(goal, &view);
    let mut refused = Vec::new();
    for (tree, known) in trees.iter().zip(&facts.trees) {
        if let Err(refusal) = may(tree, known, facts) {
            refused.push(row(tree, &refusal));
        }
    }
    let after = afterwards(observed, &trees, seed);
    let mut plan = mappings::plan(goal, &View::new(wanted, &after), Vec::new(), seed);
    plan.notes.extend(refused);
    if plan.refused() > 0 {
        // Half of an app's data in the store is worse than none.
        plan.steps.clear();
        plan.mappings.clear();
        return plan;
    }
    if trees.is_empty() {
        plan.steps.splice(0..0, files);
        return plan;
    }
    let mut importer = Importer { view: &view, facts, seed, steps: Steps::default(), loads: Vec::new() };
    importer.import(&trees, request, &mut plan, files);
    plan.loads = importer.loads;
    plan.steps = importer.steps.steps;
    plan
}

/// The facts as they will be when the data is in the store and its place is free.
fn afterwards(observed: &Observed, trees: &[Tree<'_>], seed: Id) -> Observed {
    let mut after = observed.clone();
    for tree in trees {
        let Some(Some(facts)) = after.mappings.get_mut(tree.i) else { continue };
        let attrs = tree.standing.attrs.unwrap_or(tree.top.attrs);
        let id = Identity::Is(identity(tree.mapping, seed));
        facts.store = Place::Dir(DirFacts { attrs, empty: Some(false), immutable: None, id, ..tree.top.clone() });
        facts.beneath = Place::Absent { missing: tree.from.clone() };
        facts.mount_point = facts.beneath.clone();
    }
    after
}

/// The identity that the store is to carry.
fn identity(mapping: &Mapping, seed: Id) -> Id {
    seed.derive(mapping.store.as_bytes())
}

/// Whether a tree can be imported.
fn may(tree: &Tree<'_>, known: &TreeFacts, facts: &Facts) -> Result<(), Refusal> {
    let (from, store) = (&tree.mapping.mount_point, &tree.mapping.store);
    match facts.places.get(store) {
        Some(Place::Dir(DirFacts { empty: Some(true), .. }) | Place::Absent { .. }) => {}
        _ => {
            return Err(Refusal::new(
                Reason::MountPointNotEmpty,
                format!("{from} is not empty, and neither is {store}; which of them counts cannot be told"),
                format!("look at both; then move one of them away, and run the command again: ls -la {from} {store}"),
            ));
        }
    }
    unfit(known, from).map_or(Ok(()), Err)
}

fn row(tree: &Tree<'_>, refusal: &Refusal) -> Row {
    let standing = Standing {
        refusal: Some(refusal.clone()),
        detail: refusal.detail.clone(),
        hint: refusal.hint.clone(),
        ..tree.standing.clone()
    };
    Row::of(tree.mapping, &standing)
}

struct Importer<'v> {
    view: &'v View<'v>,
    facts: &'v Facts,
    seed: Id,
    steps: Steps,
    loads: Vec<Load>,
}

impl Importer<'_> {
    fn import(&mut self, trees: &[Tree<'_>], request: &Import, plan: &mut Plan, files: Vec<Step>) {
        let Some(first) = trees.first() else { return };
        let app = &first.mapping.app;
        let running = self.facts.running.clone();
        plan.remarks.extend(self.facts.remarks.iter().cloned());
        self.steps.steps = files;
        let copies: Vec<TreeCopy> =
            trees.iter().zip(&self.facts.trees).filter_map(|(t, k)| self.copy_of(t, k)).collect();
        let bytes = self.loads.iter().filter(|load| load.fate == Fate::Copied).map(|load| load.bytes).sum();
        let verify = Verify::of(request.verify, bytes);
        if !copies.is_empty() {
            self.steps.push(Action::Copy { trees: copies.clone(), verify, max_downtime: None });
        }
        self.steps.push(Action::StopServices { app: app.clone(), running: running.clone() });
        if !copies.is_empty() {
            self.steps.push(Action::FinishCopy { trees: copies, verify });
        }
        let renamed = |(tree, known): &(&Tree<'_>, &TreeFacts)| known.renames.then(|| tree.from.clone());
        let renames: Vec<AbsPath> = trees.iter().zip(&self.facts.trees).filter_map(|pair| renamed(&pair)).collect();
        if !renames.is_empty() {
            self.steps.push(Action::DemandQuiet { paths: renames });
        }
        let mut moved = Vec::new();
        for (tree, known) in trees.iter().zip(&self.facts.trees) {
            self.store(tree, known);
            moved.push(self.moved(tree, known));
        }
        let receipt =
            Receipt { version: Receipt::VERSION, verb: "import".into(), app: app.clone(), trees: moved.clone() };
        self.steps.push(Action::WriteReceipt(Box::new(receipt)));
        // From here on the store counts.
        for ((tree, known), moved) in trees.iter().zip(&self.facts.trees).zip(&moved) {
            self.leave(tree, known, moved);
        }
        self.steps.steps.append(&mut plan.steps);
        self.steps.push(Action::StartServices { app: app.clone(), running });
    }

    /// The copy of a tree that must be copied, with the place for it.
    fn copy_of(&mut self, tree: &Tree<'_>, known: &TreeFacts) -> Option<TreeCopy> {
        self.loads.push(load(&tree.mapping.mount_point, &tree.from, known));
        let store = &tree.mapping.store;
        self.steps.rooms_above(store, self.facts.places.get(store), true);
        if known.renames {
            return None;
        }
        let staging = moving::staging(&tree.mapping.home, &tree.mapping.key());
        self.steps.room_for(&staging, self.facts.places.get(&staging));
        Some(TreeCopy { from: tree.from.clone(), to: staging })
    }

    fn top(&self, tree: &Tree<'_>) -> Top {
        let attrs = tree.standing.attrs.unwrap_or(tree.top.attrs);
        Top { attrs, id: Some(identity(tree.mapping, self.seed)) }
    }

    /// Gives a copy the name of the store.
    fn store(&mut self, tree: &Tree<'_>, known: &TreeFacts) {
        let store = tree.mapping.store.clone();
        if let Some(Place::Dir(dir)) = self.facts.places.get(&store) {
            let id = dir.identity();
            self.steps.push(Action::RemoveDir { path: store.clone(), attrs: dir.attrs, id });
        }
        if !known.renames {
            let from = moving::staging(&tree.mapping.home, &tree.mapping.key());
            self.steps.push(Action::MoveDir { from, to: store, had: None, gets: Some(self.top(tree)) });
            self.steps.push(Action::Flush { path: tree.mapping.home.clone() });
        }
    }

    fn moved(&self, tree: &Tree<'_>, known: &TreeFacts) -> Moved {
        Moved {
            mount_point: tree.mapping.mount_point.clone(),
            from: tree.from.clone(),
            from_volume: None,
            to: tree.mapping.store.clone(),
            to_volume: tree.mapping.volume.clone(),
            parked: if known.renames { None } else { parked(tree, self.view, self.seed) },
        }
    }

    /// Frees the place of a tree: it is put aside, or becomes the store itself.
    fn leave(&mut self, tree: &Tree<'_>, known: &TreeFacts, moved: &Moved) {
        let from = tree.from.clone();
        match &moved.parked {
            Some(parked) => {
                self.steps.rooms_above(parked, self.facts.places.get(parked), false);
                self.steps.push(Action::MoveDir { from, to: parked.clone(), had: None, gets: None });
            }
            None => {
                debug_assert!(known.renames, "every tree that is copied has a place to be put aside");
                let had = Top { attrs: tree.top.attrs, id: tree.top.identity() };
                let (had, gets) = (Some(had), Some(self.top(tree)));
                self.steps.push(Action::MoveDir { from, to: tree.mapping.store.clone(), had, gets });
            }
        }
        // On the disk before fstab names the store.
        self.steps.push(Action::Flush { path: tree.from.parent().unwrap_or_else(AbsPath::root) });
    }
}
