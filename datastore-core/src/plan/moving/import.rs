//! Plans `import`: what stands at an app's mount points comes into the store, and is seen there through the bind.

use std::collections::BTreeSet;

use super::{Scene, Steps, fits, is_free, staging};
use crate::goal::{Goal, Import};
use crate::mapping::Mapping;
use crate::moving::{self, Facts, Moved, Probe, TreeFacts, TreeProbe};
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
        let staging = staging(tree.mapping);
        probe.places.extend([staging.clone(), tree.mapping.store.clone()]);
        probe.places.extend(parked(&tree, view, seed));
        probe.trees.push(TreeProbe { from: tree.from, to: tree.mapping.store.clone(), staging, against: None });
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
            refused.push(Row::of(tree.mapping, &tree.standing.clone().refused(refusal)));
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
    let mut importer = Importer { view: &view, seed, steps: Steps::new(facts) };
    importer.import(&trees, request, &mut plan, &files);
    plan.loads = importer.steps.loads;
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
    if !is_free(facts.places.get(store)) {
        return Err(Refusal::new(
            Reason::MountPointNotEmpty,
            format!("{from} is not empty, and neither is {store}; which of them counts cannot be told"),
            format!("look at both; then move one of them away, and run the command again: ls -la {from} {store}"),
        ));
    }
    fits(known, from)
}

struct Importer<'v> {
    view: &'v View<'v>,
    seed: Id,
    steps: Steps<'v>,
}

impl Importer<'_> {
    fn import(&mut self, trees: &[Tree<'_>], request: &Import, plan: &mut Plan, files: &[Step]) {
        let Some(first) = trees.first() else { return };
        let app = &first.mapping.app;
        let facts = self.steps.facts;
        plan.remarks.extend(facts.remarks.iter().cloned());
        self.steps.steps.extend_from_slice(files);
        // What takes its time is done while the services run.
        let is_early = |step: &mut Step| matches!(step.action, Action::KeepLabels { .. });
        self.steps.steps.extend(plan.steps.extract_if(.., is_early));
        let all = || trees.iter().zip(&facts.trees);
        let copies = all().filter_map(|(tree, known)| self.steps.prepare(&tree.from, tree.mapping, known)).collect();
        let renames = all().filter(|(_, known)| known.renames).map(|(tree, _)| tree.from.clone()).collect();
        self.steps.close(app, copies, renames, request.verify, None);
        let mut moved = Vec::new();
        for (tree, known) in all() {
            self.store(tree, known);
            moved.push(self.moved(tree, known));
        }
        let copied = all().filter(|(_, known)| !known.renames);
        self.flush(copied.map(|(tree, _)| tree.mapping.home.clone()).collect());
        self.steps.receipt("import", app, moved.clone(), files);
        // From here on the store counts.
        for ((tree, known), moved) in all().zip(&moved) {
            self.leave(tree, known, moved);
        }
        // On the disk before fstab names the store. Where the same is brought to the disk again before that, once is enough.
        let above = trees.iter().map(|tree| tree.from.parent().unwrap_or_else(AbsPath::root));
        let beside = above.map(|path| self.view.file_system_of(&path));
        let again: Vec<&AbsPath> = plan.steps.iter().map_while(flushes).flatten().collect();
        self.flush(beside.filter(|path| !again.contains(&path)).collect());
        self.steps.steps.append(&mut plan.steps);
        self.steps.open(app);
    }

    fn top(&self, tree: &Tree<'_>) -> Top {
        let attrs = tree.standing.attrs.unwrap_or(tree.top.attrs);
        Top { attrs, id: Some(identity(tree.mapping, self.seed)) }
    }

    /// Gives a copy the name of the store.
    fn store(&mut self, tree: &Tree<'_>, known: &TreeFacts) {
        let store = tree.mapping.store.clone();
        self.steps.clear(&store);
        if !known.renames {
            let from = staging(tree.mapping);
            self.steps.push(Action::MoveDir { from, to: store, had: None, gets: Some(self.top(tree)) });
        }
    }

    /// Brings what lies there to the disk.
    fn flush(&mut self, paths: BTreeSet<AbsPath>) {
        paths.into_iter().for_each(|path| self.steps.push(Action::Flush { path }));
    }

    fn moved(&self, tree: &Tree<'_>, known: &TreeFacts) -> Moved {
        Moved {
            mount_point: tree.mapping.mount_point.clone(),
            from: tree.from.clone(),
            from_volume: None,
            to: tree.mapping.store.clone(),
            to_volume: Some(tree.mapping.volume.clone()),
            had: Some(tree.top.top()),
            parked: if known.renames { None } else { parked(tree, self.view, self.seed) },
        }
    }

    /// Frees the place of a tree: it is put aside, or becomes the store itself.
    fn leave(&mut self, tree: &Tree<'_>, known: &TreeFacts, moved: &Moved) {
        let from = tree.from.clone();
        match &moved.parked {
            Some(parked) => {
                self.steps.rooms_above(parked, false);
                self.steps.push(Action::MoveDir { from, to: parked.clone(), had: None, gets: None });
            }
            None => {
                debug_assert!(known.renames, "every tree that is copied has a place to be put aside");
                let had = tree.top.top();
                let (had, gets) = (Some(had), Some(self.top(tree)));
                self.steps.push(Action::MoveDir { from, to: tree.mapping.store.clone(), had, gets });
            }
        }
    }
}

/// What a step brings to the disk, if it and those before it only prepare directories; a hook, a manifest and fstab are more than that.
fn flushes(step: &Step) -> Option<Option<&AbsPath>> {
    match &step.action {
        Action::Flush { path } => Some(Some(path)),
        Action::MakeDir { .. }
        | Action::SetAttrs { .. }
        | Action::SetId { .. }
        | Action::SetLabel { .. }
        | Action::Seal { .. } => Some(None),
        _ => None,
    }
}
