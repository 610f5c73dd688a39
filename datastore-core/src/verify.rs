//! The plan checker: only a plan that passed it can be applied. It shares no code with the planners and knows nothing of
//! goals; it holds the steps against what is wanted and what was observed, and against the rules that no plan may break.

use std::collections::{HashMap, HashSet};

use crate::error::{Error, ErrorKind};
use crate::fstab::{self, Stand};
use crate::goal::Goal;
use crate::hook::{HookRun, MOST_SECONDS, Scope, When};
use crate::label::Label;
use crate::moving::{self, TreeCopy};
use crate::nesting::Nesting;
use crate::observed::{Observed, Place};
use crate::owners::Renumber;
use crate::path::AbsPath;
use crate::plan::Plan;
use crate::step::{Action, Step};
use crate::wanted::Wanted;

/// A plan that keeps the rules. There is no other way to make one than [`check`].
#[derive(Debug, Clone)]
pub struct CheckedPlan(Plan);

impl CheckedPlan {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.0
    }
}

/// A rule that a plan breaks. This is always a defect of the program, never the user's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step {step} ({action}) {rule}")]
pub struct Violation {
    /// The step, from 1.
    pub step: usize,
    /// What it would do.
    pub action: String,
    /// The rule.
    pub rule: &'static str,
}

/// Holds a plan against the rules.
pub fn check(plan: Plan, wanted: &Wanted, observed: &Observed) -> Result<CheckedPlan, Error> {
    if let Some(why) = &observed.fstab_fixed
        && plan.steps.iter().any(|s| matches!(s.action, Action::Fstab { .. }))
    {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("/etc/fstab cannot be written: {why}; nothing has been changed"),
        )
        .hint("make /etc and /etc/fstab writable, then run the command again"));
    }
    if let Err(error) = observed.fstab.block()
        && plan.steps.iter().any(|s| matches!(s.action, Action::Fstab { .. }))
    {
        let hint = error.hint();
        return Err(Error::new(ErrorKind::Refused, format!("{error}; nothing has been changed")).hint(hint));
    }
    let mut checker = Checker::new(wanted, observed);
    checker.settles = matches!(plan.goal, Goal::Settle { .. });
    if let Goal::Adopt(adopt) = &plan.goal {
        let usual = || wanted.store.child(adopt.volume.name.as_str());
        let live = adopt.volume.at.clone().unwrap_or_else(usual).child("live");
        checker.homes.push(live.child(adopt.host.as_str()));
    }
    checker.coming = plan.steps.iter().filter_map(|s| bind_of(&s.action)).collect();
    for (i, step) in plan.steps.iter().enumerate() {
        let outside = step.mapping.into_iter().chain(step.action.serves()).any(|m| m as usize >= plan.mappings.len());
        let rule = if outside {
            Err("names a mapping that is not in the plan")
        } else {
            hook_of_mapping(&plan, step).and_then(|()| checker.step(&step.action))
        };
        if let Err(rule) = rule {
            let violation = Violation { step: i + 1, action: step.action.to_string(), rule };
            return Err(Error::new(
                ErrorKind::Invalid,
                "the plan breaks a rule of datastore, so it is not applied; nothing has been changed",
            )
            .hint("this is a defect of datastore: please report the output of `datastore plan --json`")
            .caused_by(violation));
        }
    }
    Ok(CheckedPlan(plan))
}

type Rule = Result<(), &'static str>;

/// What a step binds where.
fn bind_of(action: &Action) -> Option<(AbsPath, AbsPath)> {
    match action {
        Action::Bind { store, mount_point, .. } => Some((mount_point.clone(), store.clone())),
        _ => None,
    }
}

/// A hook is told of the mappings that its step serves, and of no others.
fn hook_of_mapping(plan: &Plan, step: &Step) -> Rule {
    let Action::RunHook(run) = &step.action else { return Ok(()) };
    let own = match run.scope {
        Scope::App => step.mapping.is_none(),
        Scope::Mapping => run.binds.len() == 1 && step.mapping == Some(run.binds[0].mapping),
    };
    rule(own, "runs a hook for another mapping than its own")?;
    let agrees = run.binds.iter().all(|bind| {
        let subject = &plan.mappings[bind.mapping as usize];
        (&subject.app, &subject.mount_point, &subject.store, &subject.volume)
            == (&run.app, &bind.mount_point, &bind.store, &Some(bind.volume.clone()))
    });
    rule(agrees, "tells a hook of a mapping that is not in the plan")
}

/// What the steps so far have made of the machine, as far as the rules ask.
struct Checker<'a> {
    wanted: &'a Wanted,
    observed: &'a Observed,
    /// The binds of the plan, by mount point.
    coming: HashMap<AbsPath, AbsPath>,
    /// Hooks that were run: when, and for which mount points.
    ran: HashSet<(When, Scope, AbsPath)>,
    /// Whether fstab was written.
    fstab_written: bool,
    /// Directories that hold data: a store must lie in one of them.
    homes: Vec<AbsPath>,
    volumes: HashSet<&'a AbsPath>,
    /// What is known of directories: made by a step, or seen before.
    known: HashMap<AbsPath, Known>,
    made: HashSet<AbsPath>,
    bound: HashMap<AbsPath, AbsPath>,
    off: HashSet<AbsPath>,
    binds_began: bool,
    last_bound: Option<AbsPath>,
    /// Whether the plan settles what another one began.
    settles: bool,
    /// Whether the app is kept from starting.
    closed: bool,
    /// Copies that are whole, and trees that nobody writes to.
    copied: HashSet<AbsPath>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Empty,
    Filled,
    Unsure,
}

impl<'a> Checker<'a> {
    fn new(wanted: &'a Wanted, observed: &'a Observed) -> Self {
        let mut known = HashMap::new();
        let nesting = Nesting { wanted, mounts: &observed.mounts, fstab: &observed.fstab };
        for (mapping, facts) in wanted.mappings.iter().zip(&observed.mappings) {
            let state = match facts.as_ref().map(|facts| &facts.beneath) {
                Some(Place::Dir(dir)) => match dir.empty {
                    Some(true) => Some(Known::Empty),
                    Some(false) => Some(Known::Filled),
                    None if dir.is_sealed() => Some(Known::Empty),
                    None => Some(Known::Unsure),
                },
                // Before Linux 5.2 nobody can look under a bind.
                Some(Place::Hidden) => Some(Known::Unsure),
                _ => None,
            };
            if let Some(state) = state {
                known.insert(nesting.beneath(&mapping.mount_point), state);
            }
        }
        Self {
            wanted,
            observed,
            coming: HashMap::new(),
            ran: HashSet::new(),
            fstab_written: false,
            homes: homes(wanted),
            volumes: wanted.volumes.iter().map(|v| &v.path).collect(),
            known,
            made: HashSet::new(),
            bound: HashMap::new(),
            off: HashSet::new(),
            binds_began: false,
            last_bound: None,
            settles: false,
            closed: false,
            copied: HashSet::new(),
        }
    }

    fn is_mounted(&self, path: &AbsPath) -> bool {
        !self.off.contains(path) && (self.bound.contains_key(path) || self.observed.mounts.at(path).is_some())
    }

    fn is_store(&self, path: &AbsPath) -> bool {
        self.homes.iter().any(|home| path.is_below(home))
    }

    /// Whether a store directory is bound, as far as this plan leaves it so.
    fn is_used(&self, store: &AbsPath) -> bool {
        let shows = |m: &crate::mapping::Mapping| m.store == *store && self.is_mounted(&m.mount_point);
        self.wanted.mappings.iter().any(shows) || self.bound.values().any(|bound| bound == store)
    }

    /// Whether a directory in a store is a mount point that our lines in fstab name: of the one in the other's store.
    fn is_forgotten_point(&self, path: &AbsPath) -> bool {
        let ours = || self.observed.fstab.entries().filter(|row| row.ours);
        let lies = |outer: &AbsPath, store: &[u8]| {
            let within = ours().filter_map(|row| row.entry.mount_point()?.below(outer));
            within.filter(|rest| !rest.is_root()).any(|rest| [store, rest.as_bytes()].concat() == path.as_bytes())
        };
        ours().any(|row| row.entry.mount_point().is_some_and(|outer| lies(&outer, &row.entry.spec)))
    }

    fn step(&mut self, action: &Action) -> Rule {
        match action {
            Action::MakeDir { path, attrs, .. } => {
                rule(!path.is_root(), "makes the root directory")?;
                rule(self.made.insert(path.clone()), "makes a directory a second time")?;
                rule(
                    attrs.mode.bits() & 0o002 == 0 || self.is_store(path),
                    "makes a directory that everybody can write to",
                )?;
                self.known.insert(path.clone(), Known::Empty);
            }
            Action::RemoveDir { path, .. } => {
                let may = self.made.contains(path) || self.may_stand(path) || moving::is_room(path);
                rule(may, "removes a directory that the plan did not make")?;
            }
            Action::SetAttrs { path, .. } | Action::SetId { path, .. } => {
                rule(self.is_store(path), "changes a directory that is no store directory")?;
            }
            Action::SetLabel { path, gets, .. } => {
                rule(self.is_store(path), "labels a directory that is no store directory")?;
                rule(!self.bound.values().any(|store| store == path), "labels a store after it was bound")?;
                let (Label::Of(from) | Label::Policy(from)) = gets else {
                    return Err("gives a label that no mount point has");
                };
                rule(self.known.contains_key(from), "takes a label from what is no mount point")?;
                rule(!self.is_mounted(from), "takes a label from what is mounted, and not from what is beneath")?;
            }
            Action::KeepLabels { mount_point, store } => {
                let is_ours = self.is_store(store) && !self.wanted.at(mount_point).is_empty();
                rule(is_ours, "tells the policy of directories that are of no mapping")?;
            }
            Action::Seal { path, .. } => {
                let state = self.known.get(path).copied();
                rule(
                    matches!(state, Some(Known::Empty | Known::Unsure)),
                    "seals a directory that is not known to be empty",
                )?;
            }
            Action::Unseal { path, .. } => {
                let is_point = self.known.contains_key(path) || self.is_forgotten_point(path);
                rule(!self.is_store(path) || is_point, "unseals a store directory")?;
            }
            Action::Bind { store, mount_point, .. } => {
                rule(self.is_store(store), "binds a directory that lies on no volume")?;
                rule(!self.is_mounted(mount_point), "binds on a mount point where something is mounted")?;
                rule(
                    !self.is_mounted(store) || self.volumes.contains(store),
                    "binds a directory on which something is mounted",
                )?;
                let sure = |path: &AbsPath| !matches!(self.known.get(path), Some(Known::Filled));
                rule(sure(mount_point), "covers a directory that is not empty")?;
                if self.binds_began
                    && let Some(last) = &self.last_bound
                {
                    rule(!last.is_below(mount_point), "binds a directory after one that lies inside it")?;
                }
                self.binds_began = true;
                self.last_bound = Some(mount_point.clone());
                self.off.remove(mount_point);
                self.bound.insert(mount_point.clone(), store.clone());
            }
            Action::Unbind { mount_point, .. } => {
                rule(self.is_mounted(mount_point), "unbinds where nothing is mounted")?;
                rule(!self.volumes.contains(mount_point), "unbinds a volume")?;
                let inner = self.observed.mounts.below(mount_point);
                let inside = inner.iter().filter_map(crate::mountinfo::Mount::path).all(|p| self.off.contains(&p));
                rule(inside, "unbinds a directory in which something is still mounted")?;
                self.off.insert(mount_point.clone());
                self.bound.remove(mount_point);
            }
            Action::SetOptions { mount_point, .. } => {
                rule(self.is_mounted(mount_point), "changes the options of something that is not mounted")?;
            }
            Action::RunHook(run) => self.hook(run)?,
            Action::Fstab { edits } => {
                self.fstab_written = true;
                let mut seen = HashSet::new();
                for FstabRef { mount_point, to, takes } in edits.iter().map(|e| FstabRef::of(&e.edit)) {
                    rule(seen.insert(mount_point.clone()), "changes the line of one mount point twice")?;
                    rule(!mount_point.is_root(), "writes a line for the root file system")?;
                    if let Some(entry) = to {
                        rule(entry.has_option("nofail"), "writes a line without nofail, which could stop the boot")?;
                        rule(
                            entry.mount_point().as_ref() == Some(mount_point),
                            "writes a line for another mount point",
                        )?;
                    }
                    // The line of a volume may name the same disk in other words; that of a mapping may not.
                    let same = |taken: &fstab::Entry, to: &fstab::Entry| {
                        to.option_value("X-datastore").is_none() || (taken.is_bind() && taken.spec == to.spec)
                    };
                    let may = takes.is_none_or(|taken| to.is_some_and(|to| same(taken, to)));
                    rule(may, "takes a line of fstab that is not ours")?;
                }
            }
            Action::Manifest { home, .. } => {
                rule(
                    self.homes.contains(home) || self.volumes.contains(home),
                    "writes a manifest outside of a volume",
                )?;
            }
            Action::WriteFile { path, .. } => {
                let etc = [AbsPath::literal("/etc/datastore.conf"), AbsPath::literal("/etc/datastore.d")];
                let ours = etc.iter().any(|e| path.is_within(e))
                    || path.parent().is_some_and(|p| p.file_name() == crate::manifest::DIRECTORY.as_bytes());
                rule(ours, "writes a file that is not datastore's")?;
            }
            Action::Mount { path, .. } => {
                rule(!self.is_mounted(path), "mounts a volume where something is mounted")?;
                self.bound.insert(path.clone(), path.clone());
                self.off.remove(path);
            }
            Action::Unmount { path, .. } => {
                rule(self.is_mounted(path), "unmounts what is not mounted")?;
                self.off.insert(path.clone());
                self.bound.remove(path);
            }
            Action::MakeFilesystem { fstype, .. } => {
                rule(matches!(fstype.as_str(), "ext4" | "xfs" | "btrfs"), "makes a file system of an unknown kind")?;
            }
            Action::Flush { .. } | Action::ReloadSystemd => {}
            Action::Copy { .. }
            | Action::FinishCopy { .. }
            | Action::SeedCopy { .. }
            | Action::DemandAlike { .. }
            | Action::DemandQuiet { .. }
            | Action::StopServices { .. }
            | Action::StartServices { .. }
            | Action::MoveDir { .. }
            | Action::Swap { .. }
            | Action::RemoveTree { .. }
            | Action::WriteReceipt(_) => self.moving(action)?,
            Action::RenameBase { from, to } => {
                let is_base = |path: &AbsPath| self.homes.iter().any(|home| home.parent() == path.parent());
                rule(from != to && is_base(from) && is_base(to), "renames what holds no stores")?;
            }
            Action::Renumber { stores, users, groups, .. } => {
                rule(stores.iter().all(|store| self.is_store(store)), "changes owners of what is no store directory")?;
                rule(stores.iter().all(|store| !self.is_used(store)), "changes owners of data that is in use")?;
                rule(is_sound(users) && is_sound(groups), "changes owners so that nobody could tell how far it came")?;
            }
        }
        Ok(())
    }

    /// Whether a directory of data may stand there: a store, a mount point, or one of the places for trees on their way.
    fn may_stand(&self, path: &AbsPath) -> bool {
        let in_fstab = || self.observed.fstab.entries().any(|row| row.ours && row.entry.spec == path.as_bytes());
        let is_point = || self.known.contains_key(path) || !self.wanted.at(path).is_empty();
        self.is_store(path) || moving::is_ours(path) || is_point() || in_fstab()
    }

    /// The steps that move data.
    fn moving(&mut self, action: &Action) -> Rule {
        match action {
            Action::Copy { trees, .. } | Action::FinishCopy { trees, .. } => {
                rule(!trees.is_empty(), "copies nothing")?;
                for TreeCopy { from, to } in trees {
                    rule(self.may_stand(from), "copies what is neither a store nor a mount point")?;
                    rule(moving::is_ours(to), "copies to a place that is not closed to others")?;
                    rule(!to.is_within(from) && !from.is_within(to), "copies a tree into itself")?;
                }
                if matches!(action, Action::FinishCopy { .. }) {
                    rule(self.closed, "ends a copy while the app may still write")?;
                    self.copied.extend(trees.iter().map(|t| t.to.clone()));
                }
            }
            Action::SeedCopy { from, to } => {
                rule(moving::is_ours(from), "copies into a tree that was not put aside")?;
                rule(moving::is_ours(to), "copies to a place that is not closed to others")?;
            }
            Action::DemandAlike { .. } => rule(self.closed, "compares while the app may still write")?,
            Action::DemandQuiet { paths } => {
                rule(paths.iter().all(|path| self.may_stand(path)), "looks for writers where no data is")?;
                self.copied.extend(paths.iter().cloned());
            }
            Action::StopServices { app, running } | Action::StartServices { app, running } => {
                let names_some = self.wanted.app(app).is_some_and(|app| !app.services.is_empty());
                rule(running.is_empty() || names_some || self.settles, "stops services of an app that names none")?;
                self.closed = matches!(action, Action::StopServices { .. });
            }
            Action::MoveDir { from, to, gets, .. } => {
                rule(
                    self.may_stand(from) && self.may_stand(to),
                    "moves a directory that is neither store nor mount point",
                )?;
                rule(!self.volumes.contains(from) && !self.volumes.contains(to), "moves a volume")?;
                rule(self.closed, "moves a directory while the app may still write")?;
                // What settles looks at both names when it acts: the directory may have the one or the other.
                let free = self.settles || !matches!(self.known.get(to), Some(Known::Filled));
                rule(free, "gives a directory the name of another one")?;
                // What becomes a store is what was copied whole, or what nobody writes to.
                let becomes_store = self.is_store(to) && !moving::is_ours(to) && gets.is_some();
                rule(
                    !becomes_store || self.settles || self.copied.contains(from),
                    "makes a store of an unfinished copy",
                )?;
                self.known.remove(from);
                self.made.remove(from);
            }
            Action::Swap { mount_point, to, .. } => {
                rule(self.is_mounted(mount_point) || self.settles, "swaps a bind where nothing is mounted")?;
                rule(self.is_store(&to.store), "binds a directory that lies on no volume")?;
                rule(self.closed, "swaps a bind while the app may still write")?;
                self.bound.insert(mount_point.clone(), to.store.clone());
            }
            Action::RemoveTree { path } => rule(moving::is_ours(path), "removes a tree that was not put aside")?,
            _ => {}
        }
        Ok(())
    }
}

impl Checker<'_> {
    /// A hook that the configuration names, around binds of this plan, on the right side of them, and once.
    fn hook(&mut self, run: &HookRun) -> Rule {
        rule((1..=MOST_SECONDS).contains(&run.seconds), "runs a hook without a time limit that is allowed")?;
        rule(!run.binds.is_empty(), "runs a hook for nothing")?;
        let app = self.wanted.app(&run.app).ok_or("runs a hook of an app that nobody declares")?;
        for bind in &run.binds {
            let at = self.wanted.at(&bind.mount_point).iter().map(|&i| &self.wanted.mappings[i]);
            let mapping =
                at.into_iter().find(|m| m.app == run.app).ok_or("runs a hook for a mapping of another app")?;
            let named = match run.scope {
                Scope::App => app.hooks.at(run.when),
                Scope::Mapping => mapping.hooks.at(run.when),
            };
            let is_named = named.is_some_and(|hook| hook.program == run.program);
            rule(is_named, "runs a program that the configuration does not name as this hook")?;
            rule(
                self.coming.get(&bind.mount_point) == Some(&bind.store),
                "runs a hook around a bind that is not made",
            )?;
            match run.when {
                When::Premount => {
                    rule(!self.is_mounted(&bind.mount_point), "runs a premount hook after the bind")?;
                    rule(!self.fstab_written, "runs a premount hook after fstab names the store")?;
                }
                When::Postmount => {
                    let is_bound = self.bound.get(&bind.mount_point) == Some(&bind.store);
                    rule(is_bound, "runs a postmount hook before the bind")?;
                }
            }
            let once = self.ran.insert((run.when, run.scope, bind.mount_point.clone()));
            rule(once, "runs a hook for one bind a second time")?;
        }
        Ok(())
    }
}

/// The directories that hold stores: those of mappings, and those of volumes that none is on, for one may have been.
fn homes(wanted: &Wanted) -> Vec<AbsPath> {
    let of_mappings = wanted.mappings.iter().map(|m| m.home.clone());
    let of_volumes = wanted.volumes.iter().filter_map(|volume| wanted.base(volume));
    of_mappings.chain(of_volumes).collect::<HashSet<_>>().into_iter().collect()
}

/// What the checker looks at in an edit of fstab.
struct FstabRef<'a> {
    mount_point: &'a AbsPath,
    to: Option<&'a fstab::Entry>,
    /// The line of somebody else that it takes away.
    takes: Option<&'a fstab::Entry>,
}

impl<'a> FstabRef<'a> {
    fn of(edit: &'a fstab::Edit) -> Self {
        let to = match &edit.to {
            Stand::Ours(entry) => Some(entry),
            Stand::Absent | Stand::Foreign { .. } => None,
        };
        let takes = if let Stand::Foreign { entry, .. } = &edit.from { Some(entry) } else { None };
        Self { mount_point: &edit.mount_point, to, takes }
    }
}

/// Whether a change of numbers can be made once more after it was cut off: no number is both old and new, and root stays root.
fn is_sound(pairs: &[Renumber]) -> bool {
    let new: HashSet<u32> = pairs.iter().map(|pair| pair.to).collect();
    let old: HashSet<u32> = pairs.iter().map(|pair| pair.from).collect();
    let is_number = |n: u32| n != 0 && n != u32::MAX;
    old.len() == pairs.len() && old.is_disjoint(&new) && old.iter().chain(&new).all(|&n| is_number(n))
}

fn rule(holds: bool, rule: &'static str) -> Rule {
    if holds { Ok(()) } else { Err(rule) }
}
