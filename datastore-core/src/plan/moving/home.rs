//! Plans the way back of an import: an app's data stands at its mount points again, in plain directories.

use super::stores::{Back, parked};
use super::{Scene, Steps, fits, movable, nothing_inside};
use crate::goal::Goal;
use crate::mapping::Mapping;
use crate::moving::{self, Keep, Moved, Probe, Receipt, TreeCopy, TreeFacts, TreeProbe};
use crate::observed::{DirFacts, Place};
use crate::path::AbsPath;
use crate::plan::{Plan, Remark, Subject};
use crate::standing::{Ask, Standing, View};
use crate::state::{Reason, Refusal};
use crate::status::Row;
use crate::step::{Action, FstabEdit};
use crate::value::{Attrs, Id};

/// One tree that comes home.
struct Tree<'a> {
    i: usize,
    mapping: &'a Mapping,
    was: &'a Moved,
    standing: Standing,
}

/// The trees, the last one first: what was imported into another one leaves it first.
fn trees<'a>(view: &View<'a>, back: Back<'a>) -> Vec<Tree<'a>> {
    let find = |was: &'a Moved| {
        let mut of_app = view.wanted.of_app(&back.receipt.app);
        let (i, mapping) = of_app.find(|(_, mapping)| mapping.mount_point == was.mount_point)?;
        let standing = view.assess(i, Ask { by_name: true, ..Ask::default() });
        Some(Tree { i, mapping, was, standing })
    };
    back.receipt.trees.iter().rev().filter_map(find).collect()
}

/// Where the copy comes into being, if what changed since is to come along: beside the tree that was put aside, of which it is made.
fn staging(parked: &AbsPath) -> AbsPath {
    let room = parked.parent().unwrap_or_else(AbsPath::root);
    room.join([b"incoming-", parked.file_name()].concat()).unwrap_or_else(|_| room.child("incoming"))
}

pub(super) fn probe(view: &View<'_>, back: Back<'_>, seed: Id) -> Probe {
    let mut probe = Probe::default();
    for tree in trees(view, back) {
        let (store, at) = (tree.mapping.store.clone(), &tree.mapping.mount_point);
        // What is bound there hides the file system on which it is to be.
        let to = moving::parked_beside(at, seed).unwrap_or_else(|| at.clone());
        probe.places.extend([store.clone(), parked(tree.mapping, seed)]);
        probe.trees.push(match &tree.was.parked {
            None => TreeProbe { from: store, staging: to.clone(), to, against: None },
            Some(aside) => {
                probe.places.extend([aside.clone(), staging(aside)]);
                let aside = aside.clone();
                match back.keep {
                    // What is there takes room already.
                    Some(Keep::New) => TreeProbe { from: store, to, staging: aside, against: None },
                    Some(Keep::Old) => TreeProbe { from: aside, staging: to.clone(), to, against: None },
                    None => TreeProbe { from: aside, staging: to.clone(), to, against: Some(store) },
                }
            }
        });
        if let Some(app) = view.wanted.app(&tree.mapping.app) {
            probe.services.clone_from(&app.services);
        }
    }
    probe
}

pub(super) fn plan(goal: &Goal, scene: Scene<'_>, back: Back<'_>) -> Plan {
    let view = View::new(scene.before, scene.observed);
    let mut plan = Plan::empty(goal, scene.wanted.host.clone(), scene.seed);
    let trees = trees(&view, back);
    for (tree, known) in trees.iter().zip(&scene.facts.trees) {
        if let Err(refusal) = may(tree, known, &scene) {
            plan.notes.push(Row::of(tree.mapping, &tree.standing.clone().refused(refusal)));
        }
    }
    if plan.refused() > 0 {
        return plan;
    }
    let mut bringer = Bringer { steps: Steps::new(scene.facts), scene, back };
    bringer.bring(&trees, &mut plan);
    plan.loads = bringer.steps.loads;
    plan.steps = bringer.steps.steps;
    plan
}

/// Whether a tree can come home.
fn may(tree: &Tree<'_>, known: &TreeFacts, scene: &Scene<'_>) -> Result<(), Refusal> {
    let at = &tree.mapping.mount_point;
    if let Some(refusal) = &tree.standing.refusal {
        return Err(refusal.clone());
    }
    movable(tree.mapping, &tree.standing)?;
    if tree.was.from != *at {
        return Err(Refusal::new(
            Reason::Busy,
            format!("{at} lay in another store when it was imported; that is not undone by itself"),
            format!("datastore stop {}, then move the data by hand: ls -la {}", tree.mapping.app, tree.was.from),
        ));
    }
    nothing_inside(scene.observed, at)?;
    if tree.was.parked.is_none() && !known.renames {
        return Err(Refusal::new(
            Reason::Busy,
            format!("{} is not on the file system of {at} any more, from which it was renamed", tree.mapping.store),
            format!("datastore disable {} gives the empty directory back; then copy by hand", tree.mapping.app),
        ));
    }
    fits(known, &tree.mapping.store)
}

struct Bringer<'v> {
    scene: Scene<'v>,
    steps: Steps<'v>,
    back: Back<'v>,
}

impl Bringer<'_> {
    fn bring(&mut self, trees: &[Tree<'_>], plan: &mut Plan) {
        let Some(first) = trees.first() else { return };
        let app = first.mapping.app.clone();
        plan.remarks.extend(self.scene.facts.remarks.iter().cloned());
        let (mut copies, mut quiet, mut alike) = (Vec::new(), Vec::new(), Vec::new());
        for (tree, known) in trees.iter().zip(&self.scene.facts.trees) {
            let store = || tree.mapping.store.clone();
            match (&tree.was.parked, self.back.keep) {
                (Some(aside), Some(Keep::New)) => {
                    self.steps.loads.push(super::load(&tree.mapping.mount_point, &store(), known));
                    let to = staging(aside);
                    self.steps.staging(&to, Some(aside));
                    copies.push(TreeCopy { from: store(), to });
                }
                (Some(aside), keep) => {
                    self.steps.loads.push(super::load(&tree.mapping.mount_point, aside, known));
                    quiet.extend([store(), aside.clone()]);
                    if keep.is_none() {
                        alike.push(TreeCopy { from: store(), to: aside.clone() });
                    }
                }
                (None, _) => {
                    self.steps.loads.push(super::load(&tree.mapping.mount_point, &store(), known));
                    quiet.push(store());
                }
            }
        }
        self.steps.close(&app, copies, quiet, None, None);
        if !alike.is_empty() {
            self.steps.push(Action::DemandAlike { app: app.clone(), trees: alike });
        }
        plan.mappings = trees.iter().map(|tree| Subject::of(tree.mapping)).collect();
        for tree in trees.iter().filter(|tree| tree.was.parked.is_some()) {
            self.steps.room_for(&parked(tree.mapping, self.scene.seed));
        }
        let moved = trees.iter().map(|tree| self.moved(tree)).collect();
        let files = std::mem::take(&mut self.scene.files);
        self.steps.receipt(Receipt::UNDO, &app, moved, &files);
        // From here on the plain directories count.
        for tree in trees {
            self.take_off(tree);
            self.place(tree);
        }
        self.lines(trees);
        self.steps.steps.extend(files);
        for (n, tree) in trees.iter().enumerate() {
            self.leave(n, tree);
        }
        self.steps.open(&app);
        plan.remarks.extend(self.left_bound(trees));
    }

    /// What the import bound besides, if nobody asks for the app any more.
    fn left_bound(&self, trees: &[Tree<'_>]) -> Option<Remark> {
        let app = &trees.first()?.mapping.app;
        if self.scene.wanted.of_app(app).any(|(_, mapping)| mapping.enabled) {
            return None;
        }
        let is_left = |at: &AbsPath| {
            self.scene.observed.mounts.at(at).is_some() && trees.iter().all(|tree| tree.mapping.mount_point != *at)
        };
        let mut points = self.scene.before.of_app(app).map(|(_, mapping)| &mapping.mount_point);
        let at = points.find(|at| is_left(at))?;
        let detail = format!("{at} stays bound, and `{app}` is not asked for any more");
        Some(Remark { detail, hint: format!("datastore disable {app}") })
    }

    /// The bare mount point goes, with the bind that covers it.
    fn take_off(&mut self, tree: &Tree<'_>) {
        let at = &tree.mapping.mount_point;
        if let Some(bound) = &tree.standing.bound {
            let (store, options) = (tree.mapping.store.clone(), bound.options);
            let id = self.top(tree).and_then(DirFacts::identity);
            self.steps.push(Action::Unbind { store, mount_point: at.clone(), id, options });
        }
        let facts = self.scene.observed.mappings.get(tree.i).and_then(Option::as_ref);
        let attrs = match facts.map(|facts| &facts.beneath) {
            // Before Linux 5.2 nobody can look under a bind; what we bound was sealed first.
            None | Some(Place::Hidden) => Some(Attrs::root(0)),
            Some(place) => place.dir().map(|dir| dir.attrs),
        };
        let Some(attrs) = attrs else { return };
        if attrs.mode.bits() == 0 {
            let to = Attrs::root(0o700);
            self.steps.push(Action::Unseal { path: at.clone(), to });
            self.steps.push(Action::RemoveDir { path: at.clone(), attrs: to, id: None });
        } else {
            self.steps.push(Action::RemoveDir { path: at.clone(), attrs, id: None });
        }
    }

    /// The store directory as it is.
    fn top(&self, tree: &Tree<'_>) -> Option<&DirFacts> {
        self.scene.facts.places.get(&tree.mapping.store).and_then(Place::dir)
    }

    fn place(&mut self, tree: &Tree<'_>) {
        let to = tree.mapping.mount_point.clone();
        let gets = tree.was.had;
        let (from, had, gets) = match (&tree.was.parked, self.back.keep) {
            (Some(aside), Some(Keep::New)) => (staging(aside), None, gets),
            (Some(aside), _) => (aside.clone(), None, None),
            (None, _) => (tree.mapping.store.clone(), self.top(tree).map(DirFacts::top), gets),
        };
        self.steps.push(Action::MoveDir { from, to: to.clone(), had, gets });
        self.steps.push(Action::Flush { path: to.parent().unwrap_or_else(AbsPath::root) });
    }

    fn lines(&mut self, trees: &[Tree<'_>]) {
        let fstab = &self.scene.observed.fstab;
        let edit = |(n, tree): (usize, &Tree<'_>)| {
            tree.standing.line.as_ref()?;
            let mapping = u32::try_from(n).ok();
            Some(FstabEdit { mapping, edit: fstab.change(&tree.mapping.mount_point, None) })
        };
        let edits: Vec<FstabEdit> = trees.iter().enumerate().filter_map(edit).collect();
        self.steps.lines(edits, self.scene.observed);
    }

    /// Puts the store aside, and takes its entry out of the manifest.
    fn leave(&mut self, n: usize, tree: &Tree<'_>) {
        if let Some(aside) = &tree.was.parked {
            let (from, to) = (tree.mapping.store.clone(), parked(tree.mapping, self.scene.seed));
            self.steps.push(Action::MoveDir { from, to, had: None, gets: None });
            self.steps.room_below(aside);
        }
        self.steps.forget(tree.mapping, n, self.scene.observed);
        self.steps.push(Action::Flush { path: tree.mapping.home.clone() });
    }

    fn moved(&self, tree: &Tree<'_>) -> Moved {
        Moved {
            mount_point: tree.mapping.mount_point.clone(),
            from: tree.mapping.store.clone(),
            from_volume: Some(tree.mapping.volume.clone()),
            to: tree.mapping.mount_point.clone(),
            to_volume: None,
            parked: tree.was.parked.as_ref().map(|_| parked(tree.mapping, self.scene.seed)),
            had: self.top(tree).map(DirFacts::top),
        }
    }
}
