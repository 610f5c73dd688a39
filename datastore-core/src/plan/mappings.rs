//! The planner of goals about mappings. Each mapping gets an aim; the steps follow from the aim and from what is.

mod forgotten;
mod order;

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Plan, Remark, Subject};
use crate::fstab::Entry;
use crate::goal::{Apps, Goal};
use crate::hook::When;
use crate::label::{self, Label};
use crate::manifest;
use crate::mapping::{BindOptions, Mapping};
use crate::observed::{DirFacts, FileFacts, Identity, Place};
use crate::owners::Renumber;
use crate::path::{AbsPath, printable};
use crate::standing::{Ask, Standing, View, record};
use crate::state::{Reason, State};
use crate::status::Row;
use crate::step::{Action, FstabEdit, ManifestEdit, Step};
use crate::value::{Attrs, Id};

/// What is to become of one mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    /// Bound and in fstab.
    Up,
    /// Unbound, `noauto`, sealed.
    Down,
    /// Down, and then up again.
    Around,
    /// Down, with the new store made and named in fstab.
    Remapped,
    /// A plain directory again, not in fstab.
    Gone,
}

pub(super) fn plan(goal: &Goal, view: &View<'_>, files: Vec<Step>, seed: Id) -> Plan {
    let all = Apps::default();
    let apps = goal.apps().unwrap_or(&all);
    let mut builder = Builder::new(view, seed, apps.accept);
    let by_name = !apps.names.is_empty();
    let (aim, new_store) = match goal {
        Goal::Start(_) | Goal::Import(_) => (Aim::Up, true),
        Goal::Stop(_) => (Aim::Down, true),
        Goal::Restart(_) => (Aim::Around, true),
        Goal::Remap(_) => (Aim::Remapped, true),
        Goal::Disable(_) => (Aim::Gone, true),
        _ => (Aim::Up, false),
    };
    // An app that is enabled before its package is installed waits for its owner; only `start` and its like insist.
    let insists = by_name && !matches!(goal, Goal::Enable(_));
    let ask = Ask { by_name: insists, new_store, accept: apps.accept, comes_off: false };
    let takes_down = by_name && matches!(aim, Aim::Down | Aim::Gone);
    // A typo must not keep anybody from stopping an app: what our lines in fstab say is enough for that.
    let concerned = |m: &Mapping| apps.has(&m.app) && (m.enabled || by_name) && !(takes_down && m.problem.is_some());
    let mappings = &view.wanted.mappings;
    let which: Vec<usize> = (0..mappings.len()).filter(|&i| concerned(&mappings[i])).collect();
    let both = |i: usize, standing: Standing| (i, standing);
    view.assess_all(&which, ask, both, |(i, standing)| builder.mapping(i, &mappings[i], &standing, aim, ask));
    for app in view.wanted.apps.iter().filter(|a| apps.has(&a.name) && (a.enabled || by_name)) {
        if !takes_down {
            builder.notes.extend(Row::of_unresolved(app));
        }
    }
    builder.forgotten(aim, apps, by_name);
    builder.finish(goal, files)
}

struct Builder<'v, 'a> {
    view: &'v View<'a>,
    seed: Id,
    accept: bool,
    subjects: Vec<Subject>,
    unbinds: Vec<(AbsPath, Step)>,
    /// What SELinux's policy is to be told. It takes its time, so that comes first, while everything still runs.
    labels: Vec<Step>,
    dirs: Vec<Step>,
    manifests: BTreeMap<AbsPath, Vec<ManifestEdit>>,
    fstab: Vec<FstabEdit>,
    unseals: Vec<Step>,
    binds: Vec<Step>,
    /// File systems to bring to the disk, each by a directory, with the mapping for which.
    flush: Vec<(AbsPath, u32)>,
    /// Directories that steps of this plan make.
    made: HashSet<AbsPath>,
    /// What store directories with the setgid bit are to have.
    setgid: HashMap<AbsPath, Attrs>,
    notes: Vec<Row>,
    remarks: Vec<Remark>,
    going: HashSet<AbsPath>,
}

impl<'v, 'a> Builder<'v, 'a> {
    fn new(view: &'v View<'a>, seed: Id, accept: bool) -> Self {
        Self {
            view,
            seed,
            accept,
            subjects: Vec::new(),
            unbinds: Vec::new(),
            labels: Vec::new(),
            dirs: Vec::new(),
            manifests: BTreeMap::new(),
            fstab: Vec::new(),
            unseals: Vec::new(),
            binds: Vec::new(),
            flush: Vec::new(),
            made: HashSet::new(),
            setgid: HashMap::new(),
            notes: Vec::new(),
            remarks: Vec::new(),
            going: HashSet::new(),
        }
    }

    fn note(&mut self, mapping: &Mapping, standing: &Standing) {
        self.notes.push(Row::of(mapping, standing));
    }

    fn mapping(&mut self, i: usize, mapping: &Mapping, standing: &Standing, aim: Aim, ask: Ask) {
        // What is taken down need only be known for what it is: neither its volume nor its owner must be there.
        let goes_down = matches!(aim, Aim::Down | Aim::Gone | Aim::Around | Aim::Remapped);
        let ours = standing.bound.as_ref().is_some_and(|b| b.ours);
        let bound_to_other = goes_down && ours && standing.bound.as_ref().is_some_and(|b| !b.right);
        if !mapping.enabled && aim != Aim::Gone && aim != Aim::Down {
            self.note(mapping, standing);
            return;
        }
        let refused = standing.refusal.as_ref().map(|r| r.reason);
        let may = match refused {
            None => true,
            // An old store is bound after an edit: that is what these verbs are for.
            Some(Reason::WrongStore) if bound_to_other => true,
            // `stop` and `disable` of what cannot be bound anyway still settle the line in fstab.
            Some(reason) => {
                matches!(aim, Aim::Down | Aim::Gone)
                    && mapping.problem.is_none()
                    && (ours
                        || (standing.bound.is_none() && (reason != Reason::ForeignMount || standing.line.is_some())))
            }
        };
        // What is right already may go over from an app that is not asked for any more.
        let takes_over = aim == Aim::Up && standing.bound.as_ref().is_some_and(|b| b.right);
        if !may || (standing.bound.is_some() && !ours && !takes_over) {
            // Somebody else's mount, and nothing of ours left: taking down is done already.
            let settled = matches!(aim, Aim::Down | Aim::Gone) && refused.is_none() && standing.line.is_none();
            if !settled {
                self.note(mapping, standing);
            }
            return;
        }
        match aim {
            // A hook was cut off: what is bound does not count, for a bind stands or falls with its hooks.
            Aim::Up if self.owes_hooks(mapping, standing) => {
                self.around(i, mapping, standing, Aim::Around, ask);
            }
            Aim::Up => match standing.state {
                State::Pending | State::Drifted => self.up(i, mapping, standing),
                State::Active => {}
                _ => self.note(mapping, standing),
            },
            Aim::Down | Aim::Gone => self.down(i, mapping, standing, aim),
            Aim::Around | Aim::Remapped => self.around(i, mapping, standing, aim, ask),
        }
    }

    /// Takes a mapping off, and makes it active again or remaps it. Whatever comes off, what is to be bound then must be right for
    /// itself, and so must its hooks.
    fn around(&mut self, i: usize, mapping: &Mapping, standing: &Standing, aim: Aim, ask: Ask) {
        let mut target = View::assess(self.view, i, Ask { new_store: true, comes_off: true, ..ask });
        if aim == Aim::Around
            && target.refusal.is_none()
            && let Err(refusal) = self.view.judge_hooks(mapping)
        {
            target = target.refused(refusal);
        }
        if target.refusal.is_some() || target.state == State::Waiting {
            self.note(mapping, &target);
        } else if aim == Aim::Remapped {
            self.remap(i, mapping, standing);
        } else if self.take_off(mapping, standing).is_some() || standing.bound.is_none() {
            self.up(i, mapping, standing);
        }
    }

    /// Whether a mapping is bound by an operation that stopped before its hooks had run to their end.
    fn owes_hooks(&self, mapping: &Mapping, standing: &Standing) -> bool {
        let bound = matches!(standing.state, State::Active | State::Drifted)
            && standing.bound.as_ref().is_some_and(|b| b.right);
        bound
            && self.view.hooks_of(mapping).next().is_some()
            && self.view.observed.unfinished.iter().any(|u| u.owes.contains(&mapping.mount_point))
    }

    fn subject(&mut self, mapping: &Mapping) -> u32 {
        self.subject_of(Subject::of(mapping))
    }

    fn subject_of(&mut self, subject: Subject) -> u32 {
        // Mappings come one after the other, so only the last one can be the same.
        if self.subjects.last().is_none_or(|s| s.mount_point != subject.mount_point || s.app != subject.app) {
            self.subjects.push(subject);
        }
        u32::try_from(self.subjects.len() - 1).unwrap_or(u32::MAX)
    }

    /// Everything that makes a mapping active.
    fn up(&mut self, i: usize, mapping: &Mapping, standing: &Standing) {
        let Some(attrs) = standing.attrs else {
            self.note(mapping, standing);
            return;
        };
        if let Some((detail, hint)) = self.outer_that_is_down(mapping) {
            let waits = Standing { state: State::Waiting, detail, hint, ..standing.clone() };
            self.note(mapping, &waits);
            return;
        }
        let subject = self.subject(mapping);
        if attrs.mode.is_setgid() {
            self.setgid.insert(mapping.store.clone(), attrs);
        }
        let id = self.store(i, subject, mapping, attrs);
        self.record(subject, mapping, attrs, id);
        self.write_line(subject, mapping, standing, Some(self.view.line_for(mapping, false)));
        let coming_off = self.going.contains(&mapping.mount_point);
        match &standing.bound {
            Some(bound) if !coming_off => {
                if bound.options != mapping.options {
                    let action = Action::SetOptions {
                        mount_point: mapping.mount_point.clone(),
                        from: bound.options,
                        to: mapping.options,
                    };
                    self.binds.push(Step { mapping: Some(subject), action });
                }
            }
            _ => {
                self.bare_mount_point(i, subject, mapping);
                self.label(i, subject, mapping);
                if self.view.hooks_of(mapping).any(|(_, when, _)| when == When::Premount) {
                    // What a hook has put into the store is on the disk before fstab names it.
                    self.flush.push((mapping.home.clone(), subject));
                }
                let action = Action::Bind {
                    store: mapping.store.clone(),
                    mount_point: mapping.mount_point.clone(),
                    id,
                    options: mapping.options,
                };
                self.binds.push(Step { mapping: Some(subject), action });
            }
        }
    }

    /// What to say if the bind in which a mapping lies is neither there nor about to be, and what to do.
    fn outer_that_is_down(&self, mapping: &Mapping) -> Option<(String, String)> {
        let nesting = self.view.nesting();
        let told = |at: &AbsPath, app: &str| format!("{at} of `{app}`, in which it lies, is not bound");
        if let Some((at, _)) = nesting.forgotten_outer(&mapping.mount_point) {
            let down = self.view.observed.mounts.at(&at).is_none() || self.going.contains(&at);
            let line = self.view.observed.fstab.ours(&at).filter(|_| down)?;
            let app = printable(line.entry.option_value("X-datastore")?);
            let hint = format!("the configuration no longer names it: datastore disable {app}");
            return Some((told(&at, &app), hint));
        }
        let outer = nesting.outer_of(&mapping.mount_point)?;
        let stays = nesting.is_bound(outer) && !self.going.contains(&outer.mount_point);
        let comes =
            |s: &Step| matches!(&s.action, Action::Bind { mount_point, .. } if *mount_point == outer.mount_point);
        let down = !stays && !self.binds.iter().any(comes);
        down.then(|| (told(&outer.mount_point, outer.app.as_str()), format!("datastore start {}", outer.app)))
    }

    fn facts(&self, i: usize) -> Option<&'a crate::observed::MappingFacts> {
        self.view.observed.mappings.get(i).and_then(Option::as_ref)
    }

    /// The store directory: made, or given what it lacks. Returns the identity that it will carry.
    fn store(&mut self, i: usize, subject: u32, mapping: &Mapping, attrs: Attrs) -> Option<Id> {
        let place = self.facts(i).map(|f| &f.store)?;
        let step = |action| Step { mapping: Some(subject), action };
        let fresh = self.seed.derive(mapping.store.as_bytes());
        match place {
            Place::Absent { missing } => {
                self.parents(subject, &mapping.store, missing, Attrs::root(0o700));
                let path = mapping.store.clone();
                self.made.insert(path.clone());
                self.dirs.push(step(Action::MakeDir { path, attrs, id: Some(fresh), shared: false }));
                self.flush.push((mapping.home.clone(), subject));
                Some(fresh)
            }
            Place::Dir(dir) => {
                let recorded = self.view.recorded(mapping).map(|entry| entry.id);
                let id = match (&dir.id, self.accept) {
                    // A copy of the store of before carries that one's identity; each has its own.
                    (Identity::Is(id), false) if recorded.is_some_and(|own| own != *id) => {
                        let path = mapping.store.clone();
                        self.dirs.push(step(Action::SetId { path, from: Some(*id), to: recorded }));
                        self.flush.push((mapping.home.clone(), subject));
                        recorded?
                    }
                    (Identity::Is(id), _) => *id,
                    // An identity that a user namespace cannot see may be there, but not one that a manifest knows.
                    (Identity::Hidden, _) if recorded.is_some() => return None,
                    (Identity::None | Identity::Garbled(_) | Identity::Hidden, _) => {
                        let path = mapping.store.clone();
                        self.dirs.push(step(Action::SetId { path, from: None, to: Some(fresh) }));
                        self.flush.push((mapping.home.clone(), subject));
                        fresh
                    }
                    _ => return None,
                };
                let now = self.follow_owner(subject, mapping, dir.attrs, attrs);
                if now != attrs {
                    let path = mapping.store.clone();
                    self.dirs.push(step(Action::SetAttrs { path, from: now, to: attrs }));
                    self.flush.push((mapping.home.clone(), subject));
                }
                Some(id)
            }
            _ => None,
        }
    }

    /// Where the name of the owner has another number than when the manifest was written (the machine was reinstalled, or the volume is another one's, and the
    /// package that makes the user came after `adopt`), the files follow the name. Returns what the store directory has then.
    fn follow_owner(&mut self, subject: u32, mapping: &Mapping, now: Attrs, to: Attrs) -> Attrs {
        let is_used = self.view.observed.mounts.at(&mapping.mount_point).is_some();
        let Some(entry) = self.view.recorded(mapping).filter(|_| !is_used) else {
            return now;
        };
        let pair = |same: bool, from: u32, to: u32| -> Vec<Renumber> {
            (same && from != to && from != 0 && to != 0).then_some(Renumber { from, to }).into_iter().collect()
        };
        let users = pair(entry.owner == mapping.owner, entry.uid, to.uid);
        let groups = pair(entry.group == mapping.group, entry.gid, to.gid);
        if users.is_empty() && groups.is_empty() {
            return now;
        }
        let new = |pairs: &[Renumber], old: u32| pairs.iter().find(|p| p.from == old).map_or(old, |p| p.to);
        let after = Attrs { uid: new(&users, now.uid), gid: new(&groups, now.gid), ..now };
        let action = Action::Renumber { stores: vec![mapping.store.clone()], users, groups, exact: false };
        self.dirs.push(Step { mapping: Some(subject), action });
        self.flush.push((mapping.home.clone(), subject));
        after
    }

    /// Directories above `path` that are missing, from the top.
    fn parents(&mut self, subject: u32, path: &AbsPath, missing: &AbsPath, attrs: Attrs) {
        for dir in super::missing_above(path, missing) {
            if self.made.insert(dir.clone()) {
                // Others may need it too, so it stays when this mapping fails.
                let action = Action::MakeDir { path: dir, attrs, id: None, shared: true };
                self.dirs.push(Step { mapping: Some(subject), action });
            }
        }
    }

    /// What is made of a mount point that is missing. In a setgid store it has the group and the bit, as the kernel gives them
    /// (mkdir(2)): so it is right from the first instant on, also if the machine stops in the next.
    fn bare(&self, mapping: &Mapping) -> Attrs {
        let plain = Attrs::root(0o755);
        let Some(outer) = self.view.nesting().outer_of(&mapping.mount_point) else { return plain };
        let passes_on = |attrs: &Attrs| attrs.mode.is_setgid();
        let as_it_is = || {
            let i = *self.view.wanted.at(&outer.mount_point).first()?;
            self.facts(i)?.store.dir().map(|dir| dir.attrs).filter(passes_on)
        };
        let above = self.setgid.get(&outer.store).copied().filter(passes_on).or_else(as_it_is);
        above.map_or(plain, |above| Attrs { mode: plain.mode.with_setgid(), gid: above.gid, ..plain })
    }

    /// The mount point: made where missing, and sealed.
    fn bare_mount_point(&mut self, i: usize, subject: u32, mapping: &Mapping) {
        let beneath = self.view.nesting().beneath(&mapping.mount_point);
        let Some(facts) = self.facts(i) else { return };
        let seal = |from| Step { mapping: Some(subject), action: Action::Seal { path: beneath.clone(), from } };
        match &facts.beneath {
            Place::Absent { missing } => {
                let attrs = self.bare(mapping);
                self.parents(subject, &beneath, missing, attrs);
                if self.made.insert(beneath.clone()) {
                    let action = Action::MakeDir { path: beneath.clone(), attrs, id: None, shared: false };
                    self.dirs.push(Step { mapping: Some(subject), action });
                    self.dirs.push(seal(attrs));
                    // The mount point of an inner mapping lies in the outer one's store.
                    let inner = beneath != mapping.mount_point;
                    let above = || mapping.mount_point.parent().unwrap_or_else(AbsPath::root);
                    let made = if inner { beneath.clone() } else { self.view.file_system_of(&above()) };
                    self.flush.push((made, subject));
                }
            }
            Place::Dir(dir) if !dir.is_sealed() => self.dirs.push(seal(dir.attrs)),
            _ => {}
        }
    }

    /// The label of a new store directory, once there is a mount point to take it from, and what the policy is told of both.
    fn label(&mut self, i: usize, subject: u32, mapping: &Mapping) {
        let labels = &self.view.observed.labels;
        if !labels.on {
            return;
        }
        let step = |action| Step { mapping: Some(subject), action };
        // What no manifest knows may have been made by a run that stopped; and if somebody put it there, it is new as a store all the
        // same. Into what is known not to be empty data was brought, with its own label.
        let is_new = match self.facts(i).map(|facts| &facts.store) {
            Some(Place::Absent { .. }) => true,
            Some(Place::Dir(dir)) => {
                dir.empty != Some(false) && label::is_new(&self.view.observed.manifests, &mapping.store)
            }
            _ => false,
        };
        if is_new {
            let from = self.view.nesting().beneath(&mapping.mount_point);
            let path = mapping.store.clone();
            let had = labels.stores.get(&path).cloned();
            // Inside another mapping the mount point is made under a path of which the policy knows nothing.
            let is_made = self.made.contains(&from) && from == mapping.mount_point;
            let gets = if is_made { Label::Policy(from) } else { Label::Of(from) };
            self.dirs.push(step(Action::SetLabel { path, had, gets }));
        }
        self.labels.extend(super::keep_labels(labels, mapping).map(step));
    }

    /// The entry in the manifest.
    fn record(&mut self, subject: u32, mapping: &Mapping, attrs: Attrs, id: Option<Id>) {
        let Some(id) = id else { return };
        if matches!(self.view.observed.manifests.get(&mapping.home), Some(FileFacts::Hidden | FileFacts::Damaged(_))) {
            return;
        }
        let from = self.view.recorded(mapping).cloned();
        let to = record(mapping, attrs, id);
        if from.as_ref() != Some(&to) {
            let edit = manifest::Edit { store: mapping.key(), from, to: Some(to) };
            self.manifests.entry(mapping.home.clone()).or_default().push(ManifestEdit { mapping: Some(subject), edit });
        }
    }

    /// Our line in fstab, unless it stands there already.
    fn write_line(&mut self, subject: u32, mapping: &Mapping, standing: &Standing, to: Option<Entry>) {
        let now = standing.line.as_ref().map(|l| &l.entry);
        if now == to.as_ref() && standing.hand_made.is_none() {
            return;
        }
        // A line of somebody else for the same mount point stays, unless it is a hand-made one for the very same bind.
        if now.is_none() && self.view.is_foreign(mapping) {
            return;
        }
        let edit = self.view.observed.fstab.change(&mapping.mount_point, to);
        self.fstab.push(FstabEdit { mapping: Some(subject), edit });
    }

    /// Takes the bind off, if there is one. `None` if that is refused.
    fn take_off(&mut self, mapping: &Mapping, standing: &Standing) -> Option<u32> {
        let subject = self.subject(mapping);
        let Some(bound) = &standing.bound else { return Some(subject) };
        let store = bound.source.clone().unwrap_or_else(|| mapping.store.clone());
        let id = if bound.right { self.identity_of(mapping) } else { None };
        self.unbind(subject, &mapping.mount_point, store, id, bound.options);
        Some(subject)
    }

    fn identity_of(&self, mapping: &Mapping) -> Option<Id> {
        let i = *self.view.wanted.at(&mapping.mount_point).first()?;
        self.facts(i).and_then(|f| f.store.dir()).and_then(DirFacts::identity)
    }

    fn unbind(&mut self, subject: u32, mount_point: &AbsPath, store: AbsPath, id: Option<Id>, options: BindOptions) {
        self.going.insert(mount_point.clone());
        let action = Action::Unbind { store, mount_point: mount_point.clone(), id, options };
        self.unbinds.push((mount_point.clone(), Step { mapping: Some(subject), action }));
    }

    fn down(&mut self, i: usize, mapping: &Mapping, standing: &Standing, aim: Aim) {
        let settled = match (&standing.line, aim) {
            (None, _) => standing.bound.is_none() && (aim == Aim::Gone || standing.state == State::Disabled),
            (Some(line), Aim::Down) => standing.bound.is_none() && line.noauto,
            _ => false,
        };
        // Unsealing takes the flag off first and gives the mode last: a run that was killed in between leaves mode 0000.
        let is_closed = |dir: &DirFacts| dir.is_sealed() || dir.attrs.mode.bits() == 0;
        let plain = self.facts(i).and_then(|f| f.beneath.dir()).is_none_or(|d| !is_closed(d));
        // What another app has is not for this one to seal or to unseal.
        if (settled && (aim == Aim::Down || plain))
            || (standing.bound.is_none() && self.view.anothers(mapping).is_some())
        {
            return;
        }
        if standing.bound.is_none() && standing.line.is_none() && self.view.is_foreign(mapping) {
            self.note(mapping, standing);
            return;
        }
        let Some(subject) = self.take_off(mapping, standing) else { return };
        let to = (aim == Aim::Down).then(|| {
            // The line keeps the store that was bound, so that `start` can tell an edit.
            let mut entry = self.view.line_for(mapping, true);
            if let Some(line) = &standing.line {
                entry.spec.clone_from(&line.entry.spec);
            }
            entry
        });
        if aim == Aim::Down || standing.line.is_some() {
            self.write_line(subject, mapping, standing, to);
        }
        let Some(place) = self.facts(i).map(|f| &f.beneath) else { return };
        let path = self.view.nesting().beneath(&mapping.mount_point);
        match (place, aim) {
            (Place::Dir(dir), Aim::Down) if !dir.is_sealed() => self.seal_known(subject, mapping, path, dir),
            (Place::Dir(dir), Aim::Gone) if is_closed(dir) => {
                let to = standing.attrs.unwrap_or(Attrs::root(mapping.mode.bits()));
                self.unseals.push(Step { mapping: Some(subject), action: Action::Unseal { path, to } });
            }
            // Before Linux 5.2 nobody can look under a bind. What we bound was sealed first; should the seal have gone since, the
            // step changes nothing.
            (Place::Hidden, Aim::Gone) if standing.bound.is_some() => {
                let to = standing.attrs.unwrap_or(Attrs::root(mapping.mode.bits()));
                self.unseals.push(Step { mapping: Some(subject), action: Action::Unseal { path, to } });
            }
            _ => {}
        }
    }

    /// Seals a directory if it is known to be empty; says so if it is not.
    fn seal_known(&mut self, subject: u32, mapping: &Mapping, path: AbsPath, dir: &DirFacts) {
        if dir.empty == Some(false) {
            self.remarks.push(Remark {
                detail: format!("{} is not sealed: under the bind it is not empty", mapping.mount_point),
                hint: format!("datastore import {}", mapping.app),
            });
        } else {
            self.unseals.push(Step { mapping: Some(subject), action: Action::Seal { path, from: dir.attrs } });
        }
    }

    fn remap(&mut self, i: usize, mapping: &Mapping, standing: &Standing) {
        let Some(attrs) = standing.attrs else {
            self.note(mapping, standing);
            return;
        };
        let Some(subject) = self.take_off(mapping, standing) else { return };
        let id = self.store(i, subject, mapping, attrs);
        self.record(subject, mapping, attrs, id);
        let line = self.view.line_for(mapping, true);
        self.write_line(subject, mapping, standing, Some(line));
        // What is seen of a mount point inside another mapping lies in that one's old store as long as it is bound. `start` makes it
        // in the new one.
        if self.view.nesting().beneath(&mapping.mount_point) == mapping.mount_point {
            self.bare_mount_point(i, subject, mapping);
            self.label(i, subject, mapping);
        }
    }
}
