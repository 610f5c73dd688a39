//! The engine: each call is observe, then core, then act.

mod planning;

use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use datastore_core::alarm::Alarm;
use datastore_core::candidate::{Candidates, Setting};
use datastore_core::config::{Content, GLOBALS, Input, Role};
use datastore_core::doctor::{self, Diagnosis};
use datastore_core::edit::{self, DEFAULT_CONFIG};
use datastore_core::goal::{Apps, Goal};
use datastore_core::journal::OperationId;
use datastore_core::log::{LogDetail, LogRow, Query};
use datastore_core::names::Names;
use datastore_core::nesting::Nesting;
use datastore_core::observed::{Observed, Probe};
use datastore_core::peek::Peek;
use datastore_core::plan::{self, PlanId};
use datastore_core::progress::Progress;
use datastore_core::request::Asked;
use datastore_core::resolve::{incumbents, resolve};
use datastore_core::standing::View;
use datastore_core::status::{self, OperationRow, Status};
use datastore_core::usage::Usage;
use datastore_core::value::{AppName, HostName, Id};
use datastore_core::verify::CheckedPlan;
use datastore_core::wanted::Wanted;
use datastore_core::{AbsPath, Error, ErrorKind, Result};

use crate::adoption::{self, Wish as Adoption};
use crate::alarm::{self, Delivery};
use crate::event::Listener;
use crate::journal_file::Scan;
use crate::load;
use crate::observe::{self, Basis, Care};
use crate::operation::{self, Terms};
use crate::peek::Wish;
use crate::report::{Report, Timing};
use crate::root::Root;
use crate::sys::ids::Ids;
use crate::sys::thread;
use crate::{examine, guard, journal_file, log, moving, peek, recovery, run_files, saved, site, units, usage, watch};

/// datastore on one root. Every call looks at the machine anew; nothing is kept between calls but the root's descriptor, and the names of owners.
#[derive(Debug)]
pub struct Engine {
    root: Root,
    ids: OnceLock<Ids>,
}

/// A plan that was made and checked, and is not applied yet.
#[derive(Debug)]
#[must_use]
pub struct Prepared {
    /// The plan.
    pub checked: CheckedPlan,
    /// Where the time went so far.
    pub timing: Timing,
    /// The state of the journal when the machine was looked at.
    pub(crate) mark: u64,
    /// Whether operations were found that had stopped half-way.
    pub(crate) interrupted: bool,
    /// The volumes that it touches, by where they are.
    pub(crate) volumes: Vec<AbsPath>,
    /// The directories of stores that are there, each on its own volume.
    pub(crate) homes: Vec<AbsPath>,
    /// The volumes that are there, by where they are.
    pub(crate) carriers: Vec<AbsPath>,
}

/// The directories that the root keeps open during a call.
struct Kept<'a>(&'a Root);

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.0.forget();
    }
}

impl Prepared {
    /// The plan.
    pub fn plan(&self) -> &plan::Plan {
        self.checked.plan()
    }
}

impl Engine {
    /// Opens the root (`/` for the machine itself). Fails if it is no directory.
    pub fn open(root: &Path) -> Result<Self> {
        Ok(Self { root: Root::open(root)?, ids: OnceLock::new() })
    }

    /// The same root, and nothing that is known of owners: whoever lives long must not go by the names of yesterday.
    pub(crate) fn anew(&self) -> Self {
        Self { root: self.root.fork(), ids: OnceLock::new() }
    }

    /// The root.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Begins a call. What directories are kept open is of this call alone: in between they would keep volumes busy, and show what lies below a
    /// mount that has come since.
    fn begin(&self) -> Kept<'_> {
        self.root.forget();
        Kept(&self.root)
    }

    pub(crate) fn ids(&self) -> Result<&Ids> {
        if let Some(ids) = self.ids.get() {
            return Ok(ids);
        }
        let ids = Ids::new(&self.root)?;
        Ok(self.ids.get_or_init(|| ids))
    }

    /// Reads all configuration. Whatever is wrong with it stands in [`Wanted::diagnostics`].
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if there is no `/etc/datastore.conf` at all: `init` writes it.
    pub fn config(&self) -> Result<Wanted> {
        let inputs = load::load(&self.root, None)?;
        demand_globals(&inputs)?;
        Ok(resolve(inputs, &incumbents(&observe::fstab(&self.root)?)))
    }

    /// The same, as it will be after `init`: of a host of this name, unless it has one, and with the default mappings where there is no
    /// `/etc/datastore.conf` yet.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if that file cannot be edited.
    pub fn config_of(&self, host: &HostName) -> Result<Wanted> {
        let mut inputs = load::load(&self.root, None)?;
        let text = globals_text(&inputs).unwrap_or_else(|| DEFAULT_CONFIG.into());
        if resolve(inputs.clone(), &HashMap::new()).host.is_none() {
            let text = edit::host(GLOBALS, &text, host)?;
            inputs.retain(|input| input.path != GLOBALS);
            inputs.push(Input::read(GLOBALS, Role::Globals, "", text));
        }
        Ok(resolve(inputs, &incumbents(&observe::fstab(&self.root)?)))
    }

    /// The names of apps and volumes, for a shell that completes a word. It reads the global files and the names of the others, and
    /// nothing else; what cannot be read has no names.
    #[must_use]
    pub fn names(&self) -> Names {
        let files = load::names(&self.root);
        Names::of(load::globals(&self.root), files.iter().map(|(role, app)| (*role, app.as_str())))
    }

    /// What is, from the kernel. No app named means all.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for an app that nobody declares.
    pub fn status(&self, apps: &[AppName]) -> Result<Status> {
        Ok(self.look(apps, |_, _| ())?.0)
    }

    /// The same, with what somebody else makes of what was seen.
    pub(crate) fn look<T>(&self, apps: &[AppName], make: impl FnOnce(&View<'_>, &Status) -> T) -> Result<(Status, T)> {
        let _kept = self.begin();
        // A journal that cannot be used keeps nobody from seeing what is: the kernel tells that.
        let (journals, untold) = journal_file::look(&self.root)?;
        let (wanted, basis, ()) = self.read_after(journals, |inputs| demand_globals(inputs))?;
        let asked = Apps::named(apps.to_vec());
        asked.demand_known(&wanted, &basis.fstab)?;
        let probe = Probe::of(nesting(&wanted, &basis), |i| asked.has(&wanted.mappings[i].app));
        let mut observed = observe::observe(&self.root, self.ids()?, &probe, basis, Care::default())?;
        // Whoever may not read journals sees in /run what is running.
        let known = observed.privileged.then_some(observed.running.as_slice());
        observed.progress = run_files::running(&self.root, known);
        let view = View::new(&wanted, &observed);
        let mut told = status::tell(&view, |m| asked.has(&m.app));
        told.operations.extend(untold.iter().map(|u| OperationRow::untold(&u.operation, u.at, &u.error)));
        let made = make(&view, &told);
        let is_privileged = observed.privileged;
        release((wanted, observed));
        if !is_privileged {
            watch::told::complement(&self.root, &mut told);
        }
        told.mappings.retain(|row| apps.is_empty() || apps.iter().any(|a| a.as_str() == row.app));
        Ok((told, made))
    }

    /// The configuration, and what else must be known before it is clear what to look at; where there is
    /// much, the kernel writes its mount table while we read the rest. `edit` sees the files before they are resolved.
    fn read<T>(&self, edit: impl FnOnce(&mut Vec<Input>) -> Result<T>) -> Result<(Wanted, Basis, T)> {
        self.read_after(journal_file::scan(&self.root)?, edit)
    }

    /// The same when the journals have been looked at.
    fn read_after<T>(
        &self,
        journals: Scan,
        edit: impl FnOnce(&mut Vec<Input>) -> Result<T>,
    ) -> Result<(Wanted, Basis, T)> {
        std::thread::scope(|scope| {
            let look = || observe::mounts(&self.root);
            let mounts = observe::is_much(&self.root).then(|| thread::another(scope, look)).flatten();
            let fstab = observe::fstab(&self.root)?;
            let mut inputs = load::load(&self.root, None)?;
            let edited = edit(&mut inputs)?;
            let wanted = resolve(inputs, &incumbents(&fstab));
            let mounts = thread::join_or(mounts, look)?;
            Ok((wanted, Basis { journals, fstab, mounts }, edited))
        })
    }

    /// Holds everything against everything: configuration, fstab, the kernel, volumes, stores. Nothing is changed. No app named means
    /// all findings.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for an app that nobody declares; [`ErrorKind::Invalid`] if there is no `/etc/datastore.conf` at all. What
    /// cannot be read otherwise is a finding.
    pub fn doctor(&self, apps: &[AppName]) -> Result<Diagnosis> {
        let _kept = self.begin();
        if let Err(error) = observe::fstab(&self.root) {
            return Ok(Diagnosis::cut_short(&error, observe::FSTAB));
        }
        // A journal that cannot be used is told below, and must not keep the rest from being looked at.
        let (journals, _) = journal_file::look(&self.root)?;
        let (wanted, basis, ()) = self.read_after(journals, |inputs| demand_globals(inputs))?;
        Apps::named(apps.to_vec()).demand_known(&wanted, &basis.fstab)?;
        let probe = Probe::of(nesting(&wanted, &basis), |_| true);
        let observed = observe::observe(&self.root, self.ids()?, &probe, basis, Care { beneath: true })?;
        let view = View::new(&wanted, &observed);
        let seen = examine::look(&self.root, self.ids()?, &doctor::Probe::of(&view));
        Ok(doctor::examine(&view, &seen, apps))
    }

    /// What lies hidden under the live binds of an app, or under one path of them; a copy of it goes to `to`, if one is wanted. The binds and
    /// whoever uses them are not touched, and no other process sees anything of it.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for an app that nobody declares or a path that is not its own; [`ErrorKind::Privilege`] for whoever is not
    /// root; [`ErrorKind::Refused`] if nothing may be copied to `to`.
    pub fn peek(&self, app: &AppName, wish: &Wish) -> Result<Peek> {
        let _kept = self.begin();
        let (wanted, basis, ()) = self.read_after(Scan::default(), |inputs| demand_globals(inputs))?;
        Apps::named(vec![app.clone()]).demand_known(&wanted, &basis.fstab)?;
        let targets = datastore_core::peek::targets(&wanted, &basis.fstab, &basis.mounts, app, wish.path.as_ref())?;
        if let Some(to) = &wish.copy_to {
            datastore_core::peek::may_receive(&wanted, to)?;
        }
        peek::peek(self, app, &targets, wish)
    }

    /// Lets an app start, or refuses: every mapping of it must be bound to the store with the right identity.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] says which mapping is not so, and why; [`ErrorKind::Usage`] for an app that nobody declares.
    pub fn guard(&self, app: &AppName) -> Result<()> {
        let _kept = self.begin();
        guard::guard(self, app)
    }

    /// The same for whoever is about to start the services of an app. What is refused is started as soon as the data is there: by the
    /// operation that brings it, or by [`Engine::watch`] where it does so.
    ///
    /// # Errors
    /// As [`Engine::guard`].
    pub fn guard_at_start(&self, app: &AppName) -> Result<()> {
        let _kept = self.begin();
        guard::guard_at_start(self, app, None)
    }

    /// Lets a service start, or refuses: each app that names it in `services` must have its data, as [`Engine::guard`] sees it. Returns these apps; where
    /// there is none, nobody minds. One that is refused is started as soon as its data is there.
    ///
    /// # Errors
    /// The first refusal, as [`Engine::guard`].
    pub fn guard_service(&self, service: &str) -> Result<Vec<AppName>> {
        let _kept = self.begin();
        let apps = units::apps_of(&self.root, service);
        apps.iter().try_for_each(|app| guard::guard_at_start(self, app, Some(service)))?;
        Ok(apps)
    }

    /// Makes and checks a plan. Nothing is changed.
    pub fn plan(&self, goal: &Goal) -> Result<Prepared> {
        let mut seed = [0; 16];
        crate::sys::random::fill(&mut seed)?;
        self.plan_with(goal, Id::from_random(seed))
    }

    /// The same with a given seed: on the same machine it is the same plan.
    pub(crate) fn plan_with(&self, goal: &Goal, seed: Id) -> Result<Prepared> {
        let _kept = self.begin();
        match goal {
            Goal::VolumeAdd(request) | Goal::Init { volume: request, .. } => self.plan_volume(goal, request, seed),
            Goal::Adopt(request) => self.plan_adoption(goal, request, seed),
            Goal::Import(_)
            | Goal::Move(_)
            | Goal::Undo(_)
            | Goal::Settle { .. }
            | Goal::Reclaim(_)
            | Goal::Abort(_) => self.plan_moving(goal, seed),
            Goal::Declare(_) | Goal::Withdraw(_) => self.plan_declaration(goal, seed),
            _ => self.plan_mappings(goal, seed),
        }
    }

    /// What a wish to adopt a volume comes to: which disk, whose data, under which name.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] if no disk or several can be meant, or several hosts have data on it and nobody said which.
    pub fn adoption(&self, wish: Adoption) -> Result<Goal> {
        let _kept = self.begin();
        operation::demand_privilege("adopt a volume")?;
        let (wanted, basis, ()) = self.read(|_| Ok(()))?;
        demand_sound_globals(&wanted)?;
        adoption::goal(&self.root, &wanted, &basis.mounts, wish)
    }

    /// Applies a plan that was shown to somebody: exactly that plan, or nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] if the machine has changed since it was made; [`ErrorKind::Locked`] if somebody is at work on the same
    /// app or volume; [`ErrorKind::Interrupted`] if an earlier operation must be recovered first. If a step that all depend on fails,
    /// everything is taken back and that step's error is returned.
    pub fn apply(&self, prepared: Prepared, listener: &mut dyn Listener) -> Result<Report> {
        let _kept = self.begin();
        operation::execute(self, prepared, Terms::AsShown, listener)
    }

    /// Recovers what stopped half-way, then plans and applies a goal: what `--yes` does. Doing it again changes nothing.
    pub fn run(&self, goal: &Goal, listener: &mut dyn Listener) -> Result<Report> {
        let _kept = self.begin();
        let recovered = if operation::privileged() { self.recover(listener)? } else { Vec::new() };
        let prepared = self.plan(goal)?;
        let mut report = operation::execute(self, prepared, Terms::Anew, listener)?;
        report.recovered = recovered.into_iter().filter_map(|r| r.operation).collect();
        Ok(report)
    }

    /// Finishes operations that stopped half-way. Empty if there are none.
    pub fn recover(&self, listener: &mut dyn Listener) -> Result<Vec<Report>> {
        let _kept = self.begin();
        recovery::recover(self, listener)
    }

    /// The alarms that are open.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the file that holds them is damaged.
    pub fn alarms(&self) -> Result<Vec<Alarm>> {
        Ok(alarm::open(&self.root)?.alarms)
    }

    /// Sends a test through every way that is configured for alarms. Empty if there is none.
    pub fn test_alarm(&self) -> Result<Vec<Delivery>> {
        alarm::test(&self.root)
    }

    /// The operations that have run, oldest first, as their journals tell. A journal that cannot be understood has a row that says so.
    ///
    /// # Errors
    /// [`ErrorKind::Privilege`] for whoever is not root: the journals are root's.
    pub fn log(&self, query: &Query) -> Result<Vec<LogRow>> {
        log::log(self, query)
    }

    /// One operation with all of its steps.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if there is none of this name; [`ErrorKind::Invalid`] if its journal cannot be understood.
    pub fn log_of(&self, operation: &OperationId) -> Result<LogDetail> {
        log::log_of(self, operation)
    }

    /// Watches the machine until `each` says `false`, and hands over what changes: docs of [`crate::watch`].
    ///
    /// # Errors
    /// [`ErrorKind::Privilege`] for whoever is not root; [`ErrorKind::Locked`] if somebody watches already.
    pub fn watch(&self, span: watch::Span, each: &mut dyn FnMut(watch::Seen<'_>) -> Result<bool>) -> Result<()> {
        watch::watch(self, span, each)
    }

    /// How far an operation is, or was when it ended. Everybody may ask; the newest fifty are known.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if there is none of this name.
    pub fn operation(&self, operation: &OperationId) -> Result<Progress> {
        run_files::progress(&self.root, operation)?.ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("nothing is known of operation {operation}"))
                .hint("datastore log lists those that have run")
        })
    }

    /// Measures how much the store directories and the trees that were put aside take: of these apps, or of all if none is named. All of it is
    /// walked over, and nothing of it is changed. What was found is kept, for everybody to read: [`Engine::usage`]. A tree of which something cannot be
    /// looked at fails nothing; its row says so.
    ///
    /// # Errors
    /// [`ErrorKind::Privilege`] for whoever is not root; [`ErrorKind::Usage`] for an app that nobody declares.
    pub fn measure(&self, apps: &[AppName], listener: &mut dyn Listener) -> Result<Usage> {
        usage::measure(self, apps, listener)
    }

    /// How much there is in a directory: names in all, and what they take on the disk. `None` if it is not there or cannot be read to its end.
    #[must_use]
    pub fn weigh(&self, path: &AbsPath) -> Option<(u64, u64)> {
        let _kept = self.begin();
        usage::weigh(&self.root, path)
    }

    /// What was measured last, without looking again. Everybody may ask. A mapping that is new has a row without amounts, and one that is gone has
    /// none.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for an app that nobody declares; [`ErrorKind::Invalid`] if there is no `/etc/datastore.conf` at all.
    pub fn usage(&self, apps: &[AppName]) -> Result<Usage> {
        usage::usage(self, apps)
    }

    /// The block devices that nobody uses, with what is on each, and the command that makes a volume of it. Whoever is not root is told of devices, and not what
    /// is on them. A machine need not be set up for that.
    pub fn candidates(&self) -> Result<Candidates> {
        let setting = self.config().map_or_else(|_| Setting::default(), |wanted| Setting::of(&wanted));
        Ok(Candidates::of(site::candidates::look()?, &setting))
    }

    /// Hands over the operations that have run, as [`Engine::log`], and then each one that begins or ends, until `each` says `false`.
    pub fn follow_log(&self, query: &Query, each: &mut dyn FnMut(&LogRow) -> Result<bool>) -> Result<()> {
        log::follow(self, query, each)
    }

    /// The goal that a request comes to.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] if nothing is there to be resumed.
    pub fn goal(&self, asked: Asked) -> Result<Goal> {
        match asked {
            Asked::Goal(goal) => Ok(goal),
            Asked::Resume(app) => self.unfinished_move(&app),
        }
    }

    /// The import or the move of an app that failed or stopped half-way and was not done since: what was asked for then.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] if there is none.
    fn unfinished_move(&self, app: &AppName) -> Result<Goal> {
        moving::unfinished(&self.root, app)?.ok_or_else(|| {
            Error::new(
                ErrorKind::Refused,
                format!("no import or move of `{app}` failed or stopped half-way; nothing has been changed"),
            )
            .hint(format!("what was done is told by: datastore log {app}"))
        })
    }

    /// Keeps a plan, to be applied later by its id.
    pub fn save(&self, prepared: &Prepared) -> Result<PlanId> {
        saved::save(&self.root, prepared.plan())
    }

    /// Makes a kept plan again.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] if the machine has changed so that it would be another plan now.
    pub fn load(&self, id: &PlanId) -> Result<Prepared> {
        let (goal, seed) = saved::load(&self.root, id)?;
        let prepared = self.plan_with(&goal, seed)?;
        if prepared.plan().id() != *id {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("the machine has changed since plan {id} was made; nothing has been changed"),
            )
            .hint(format!("look at the new plan: datastore plan {goal} --save")));
        }
        Ok(prepared)
    }
}

fn nesting<'a>(wanted: &'a Wanted, basis: &'a Basis) -> Nesting<'a> {
    Nesting { wanted, mounts: &basis.mounts, fstab: &basis.fstab }
}

/// Gives memory back from another thread: what is known of ten thousand mappings takes as long to free as to plan for.
fn release(known: (Wanted, Observed)) {
    if known.0.mappings.len() >= 1024 {
        // Where there is no thread it is given back here.
        let _ = std::thread::Builder::new().spawn(move || drop(known));
    }
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

pub(crate) fn demand_globals(inputs: &[Input]) -> Result<()> {
    if inputs.iter().any(|i| i.path == GLOBALS) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, format!("there is no {GLOBALS}, so this machine has no data store yet"))
        .hint("datastore init"))
}

/// Nothing is known of host and volumes where `/etc/datastore.conf` cannot be read: what followed from that would be told as if it were so.
pub(crate) fn demand_readable_globals(inputs: &[Input]) -> Result<()> {
    match inputs.iter().find(|i| i.path == GLOBALS).map(|i| &i.content) {
        Some(Content::Unreadable(why)) => {
            Err(Error::new(ErrorKind::System, format!("{GLOBALS} cannot be read: {why}")).hint("dmesg | tail"))
        }
        _ => Ok(()),
    }
}

/// Nothing is known of volumes where `/etc/datastore.conf` cannot be understood.
fn demand_sound_globals(wanted: &Wanted) -> Result<()> {
    let mut found = wanted.diagnostics.iter();
    let broken = found.find(|d| d.is_error() && d.place.as_ref().is_some_and(|p| p.file == GLOBALS));
    match broken {
        Some(found) => Err(Error::new(ErrorKind::Invalid, found.one_line()).hint("datastore config check")),
        None => Ok(()),
    }
}

fn globals_text(inputs: &[Input]) -> Option<String> {
    inputs.iter().find(|i| i.path == GLOBALS).and_then(|i| match &i.content {
        Content::Bytes(bytes) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
