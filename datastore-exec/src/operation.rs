//! One operation: locks, journal, the steps, and what it came to.

use std::time::{Duration, Instant, SystemTime};

use datastore_core::goal::{Apps, Goal};
use datastore_core::journal::{Begin, OperationId, Outcome, VERSION};
use datastore_core::moving::{self, Receipt};
use datastore_core::plan::{Plan, Remark, Subject};
use datastore_core::progress::{Progress, Walk};
use datastore_core::state::{Reason, State};
use datastore_core::status::Row;
use datastore_core::step::{Action, Step};
use datastore_core::{Error, ErrorKind, Result};

use crate::apply::{Carried, carry_out};
use crate::engine::{Engine, Prepared, ms};
use crate::event::{Event, Listener};
use crate::journal_file::{self, Journal};
use crate::lock::{self, Attempt, Held, Lock, Share};
use crate::receipts;
use crate::report::{Probed, Report, ServiceState};
use crate::root::Root;
use crate::run_files::{self, ProgressFile};
use crate::steps::{Failure, Hands};
use crate::sys::clock;
use crate::{alarm, config_copy, guard, kept, recovery, tool_copy, units, usage};

/// How long a second caller waits for the first one before it is told who that is.
const PATIENCE: Duration = Duration::from_secs(3);

/// On what terms a plan is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terms {
    /// Somebody has seen it: exactly this plan or nothing.
    AsShown,
    /// Nobody has seen it: if the machine has changed meanwhile, it is made again.
    Anew,
    /// The same, to finish an operation that stopped half-way.
    Recovering,
}

/// Whether the caller may change the machine.
pub(crate) fn privileged() -> bool {
    rustix::process::geteuid().is_root()
}

/// Refuses a caller who may not.
pub(crate) fn demand_privilege(what: &str) -> Result<()> {
    if privileged() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Privilege, format!("only root may {what}; nothing has been changed"))
        .hint("run it with sudo"))
}

/// Applies a plan, and tells the alarms that follow from what came of it.
pub(crate) fn execute(
    engine: &Engine,
    prepared: Prepared,
    terms: Terms,
    listener: &mut dyn Listener,
) -> Result<Report> {
    let goal = prepared.plan().goal.clone();
    let homes = prepared.homes.clone();
    let volumes = if goal.new_volume().is_some() { prepared.volumes.clone() } else { prepared.carriers.clone() };
    let mut report = attempt(engine, prepared, terms, listener)?;
    alarm::after(engine.root(), &goal, &mut report);
    report.remarks.extend(units::refresh(engine.root()));
    report.remarks.extend(config_copy::refresh(engine, &goal, &homes, &report));
    report.remarks.extend(tool_copy::refresh(engine.root(), &goal, &volumes));
    report.remarks.extend(waited(engine, &goal));
    Ok(report)
}

/// What becomes of services that wait for the data that an operation was about.
fn waited(engine: &Engine, goal: &Goal) -> Vec<Remark> {
    let Some(apps) = goal.apps() else { return Vec::new() };
    if matches!(goal, Goal::Stop(_) | Goal::Disable(_)) {
        let taken_down = kept::apps(engine.root()).into_iter().filter(|app| apps.has(app));
        taken_down.for_each(|app| kept::forget(engine.root(), &app));
        return Vec::new();
    }
    kept::release(engine, |app| apps.has(app))
}

fn attempt(engine: &Engine, mut prepared: Prepared, terms: Terms, listener: &mut dyn Listener) -> Result<Report> {
    if prepared.plan().is_empty() {
        return Ok(report(&prepared, None, None, &Carried::default()));
    }
    demand_privilege(prepared.plan().goal.verb())?;
    let mut locked = Vec::new();
    let locks = loop {
        let locks = match take_locks(engine, prepared.plan()).map_err(|why| not_begun(&prepared.plan().goal, why))? {
            Ok(locks) => locks,
            Err(held) => {
                // A run over everything leaves out what somebody else has in hand; one that was named is refused.
                let Some(goal) = leave_out(&prepared.plan().goal, &held, terms) else { return Err(held.into()) };
                locked.push(held);
                prepared = engine.plan(&goal)?;
                continue;
            }
        };
        if journal_file::scan(engine.root())?.mark == prepared.mark {
            break locks;
        }
        // Somebody began or finished an operation between our look and our locks.
        let again = engine.plan_with(&prepared.plan().goal, prepared.plan().seed)?;
        if terms == Terms::AsShown && again.plan().id() != prepared.plan().id() {
            return Err(Error::new(
                ErrorKind::Refused,
                "the machine has changed since the plan was made; nothing has been changed",
            )
            .hint("run the command again"));
        }
        let taken = wanted_locks(prepared.plan());
        let is_locked = wanted_locks(again.plan()).iter().all(|lock| taken.contains(lock));
        prepared = again;
        if prepared.plan().is_empty() {
            return Ok(report(&prepared, None, None, &Carried::default()));
        }
        if is_locked {
            break locks;
        }
        // What is to be done now concerns apps that were left alone before, and that somebody may have in hand.
    };
    if prepared.interrupted && terms == Terms::AsShown {
        return Err(Error::new(
            ErrorKind::Interrupted,
            "an earlier operation stopped half-way; nothing has been changed",
        )
        .hint("datastore recover"));
    }
    let mut report = journaled(engine, &prepared, listener)?;
    drop(locks);
    report.notes.extend(locked.iter().map(locked_row));
    Ok(report)
}

/// The error for a goal whose locks cannot be taken, because `/run` is full for example.
fn not_begun(goal: &Goal, why: Error) -> Error {
    let hint = why.get_hint().unwrap_or("look after /run, then run the command again").to_owned();
    Error::new(why.kind(), format!("`{goal}` could not begin; nothing has been changed"))
        .with_errno(why.errno().unwrap_or(0))
        .hint(hint)
        .caused_by(why)
}

/// The locks for a plan, in the order in which they are taken: that of their names.
fn wanted_locks(plan: &Plan) -> Vec<(String, Share)> {
    let mut wanted: Vec<(String, Share)> = plan.apps().iter().map(|a| (format!("app-{a}"), Share::Exclusive)).collect();
    wanted.extend(plan.volumes().iter().map(|v| (format!("volume-{v}"), Share::Shared)));
    match &plan.goal {
        Goal::VolumeRemove { name } => wanted.push((format!("volume-{name}"), Share::Exclusive)),
        // Two that want one place must not look at the same time.
        Goal::Declare(_) | Goal::Withdraw(_) => wanted.push(("config-add".into(), Share::Exclusive)),
        _ => {}
    }
    if let Some(request) = plan.goal.new_volume() {
        let name = format!("volume-{}", request.name);
        // Mappings on it, of which `adopt` knows some, want no more.
        wanted.retain(|(other, _)| *other != name);
        wanted.push((name, Share::Exclusive));
    }
    wanted.sort_by(|a, b| a.0.cmp(&b.0));
    wanted
}

/// The locks for a plan, or who has one of them.
fn take_locks(engine: &Engine, plan: &Plan) -> Result<std::result::Result<Vec<Lock>, Held>> {
    let wanted = wanted_locks(plan);
    let what = plan.goal.to_string();
    let mut locks = Vec::with_capacity(wanted.len());
    for (name, share) in wanted {
        match lock::take(engine.root(), &name, share, &what, PATIENCE)? {
            Attempt::Taken(lock) => locks.push(lock),
            Attempt::Held(held) => return Ok(Err(held)),
        }
    }
    Ok(Ok(locks))
}

/// The goal without the app that is locked, if it named none.
fn leave_out(goal: &Goal, held: &Held, terms: Terms) -> Option<Goal> {
    let app = datastore_core::value::AppName::parse(held.name.strip_prefix("app-")?).ok()?;
    match goal {
        Goal::Apply(apps) if apps.names.is_empty() && terms != Terms::AsShown => {
            let mut apps: Apps = apps.clone();
            apps.except.push(app);
            Some(Goal::Apply(apps))
        }
        _ => None,
    }
}

fn locked_row(held: &Held) -> Row {
    Row {
        app: held.name.trim_start_matches("app-").to_owned(),
        mount_point: String::new(),
        store: String::new(),
        volume: String::new(),
        state: State::Refused,
        reason: Some(Reason::Busy),
        detail: held.to_string(),
        hint: "wait until it has finished, then run the command again".into(),
    }
}

/// A new operation's name, and the time in seconds since 1970.
fn name() -> Result<(OperationId, i64, String)> {
    let now = SystemTime::now();
    let text = humantime::format_rfc3339_millis(now).to_string();
    let mut random = [0; 4];
    crate::sys::random::fill(&mut random)?;
    let seconds =
        now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
    let id = OperationId::new(&text, random).map_err(|e| Error::new(ErrorKind::System, e.to_string()))?;
    Ok((id, seconds, text))
}

/// The steps between the first and the last line of the journal.
fn journaled(engine: &Engine, prepared: &Prepared, listener: &mut dyn Listener) -> Result<Report> {
    let begun = Instant::now();
    let plan = prepared.plan();
    let (operation, at, time) = name()?;
    let begin = Begin {
        version: VERSION,
        operation: operation.clone(),
        program: env!("CARGO_PKG_VERSION").into(),
        at,
        uid: rustix::process::getuid().as_raw(),
        host: plan.host.clone(),
        boot: clock::boot(),
        goal: plan.goal.clone(),
        plan: plan.id(),
        mappings: Vec::new(),
        steps: Vec::new(),
    };
    let mut journal = Journal::begin_with(engine.root(), &begin, &plan.mappings, &plan.steps)?;
    listener.event(&Event::Begin { operation: operation.as_str(), plan });
    let mut shown = Shown::new(engine.root(), listener, &begin, plan);
    shown.tell(true);
    let hands = Hands::new(engine.root(), engine.ids()?, operation.tag(), &mut shown).knowing(&plan.loads);
    let carried = carry_out(&hands, plan, &mut journal);
    let probed =
        hands.probed.take().filter(|_| carried.aborted.is_none()).map(|probed| ask_guard(engine, plan, probed));
    // Before the receipts forget what is gone, and before the end is told: after a power cut nobody would do it again.
    let durable = hands.touched.take().sync(engine.root());
    let mut remarks = hands.finish();
    let is_well = probed.as_ref().is_none_or(Probed::is_well);
    let is_whole = carried.failed.is_empty() && carried.stuck.is_empty() && is_well;
    let outcome = match (&carried.aborted, is_whole) {
        (Some(_), _) => Outcome::Failed,
        (None, false) => Outcome::Partly,
        (None, true) => Outcome::Done,
    };
    // Neither old nor new is for recovery to put right, which looks at what is there.
    let is_torn = carried.aborted.is_some() && carried.torn;
    // Before the end, so that what is cut off here is finished by `recover`.
    if durable.is_ok()
        && !is_torn
        && let Err(error) = receipted(engine.root(), plan, &operation, &carried)
    {
        let detail = format!("the receipts could not be brought up to date: {}", error.chain());
        remarks.push(Remark { detail, hint: "datastore plan reclaim".into() });
    }
    remarks.extend(kept(&carried, plan));
    let failed = carried.failed.len().max(usize::from(!is_whole || carried.aborted.is_some()));
    let ended = match durable {
        Ok(()) if is_torn => Ok(()),
        Ok(()) => journal.end(outcome, failed),
        Err(Failure { error, .. }) => Err(Error::new(
            error.kind(),
            "what was done holds, but may not survive a power cut, so it does not count as ended",
        )
        .with_errno(error.errno().unwrap_or(0))
        .hint("look after the disk, then run: datastore recover")
        .caused_by(error)),
    };
    let word = match outcome {
        Outcome::Done => "done",
        Outcome::Partly => "partly",
        Outcome::Failed | Outcome::Recovered => "failed",
    };
    shown.end(word, carried.done);
    shown.inner.event(&Event::End { operation: operation.as_str() });
    if plan.goal.is_single() {
        usage::note_parked(engine);
    }
    let line = format!(
        "{time} {operation} {word} uid={} {} ({} of {} steps, {} failed)",
        rustix::process::getuid().as_raw(),
        plan.goal,
        carried.done,
        plan.steps.len(),
        failed
    );
    for volume in &prepared.volumes {
        if let Err(error) = run_files::log(engine.root(), volume, &line) {
            remarks.push(Remark {
                detail: format!("the log of {volume} could not be written: {}", error.chain()),
                hint: String::new(),
            });
        }
    }
    ended?;
    if let Some(Failure { error, .. }) = carried.aborted {
        let (kind, holds) = if carried.stuck.is_empty() {
            let holds = carried.stays.unwrap_or("everything that was done before has been taken back").to_owned();
            (error.kind(), holds)
        } else {
            // More than a refusal: something is not as it was.
            (ErrorKind::System, format!("not everything could be taken back: {}", carried.stuck.join("; ")))
        };
        let hint =
            if is_torn { "datastore recover" } else { error.get_hint().unwrap_or("datastore status") }.to_owned();
        let told =
            Error::new(kind, format!("{}; {holds}", error.message())).with_errno(error.errno().unwrap_or(0)).hint(hint);
        // What it was caused by, but not itself once more.
        let chain = error.chain();
        return Err(match chain.strip_prefix(error.message()).map(|rest| rest.trim_start_matches(": ")) {
            Some("") => told,
            Some(causes) => told.caused_by(Cause(causes.to_owned())),
            None => told.caused_by(Cause(chain)),
        });
    }
    let mut report = report(prepared, Some(operation), Some(outcome), &carried);
    report.timing.apply_ms = ms(begun.elapsed());
    report.probe = probed;
    report.remarks.extend(remarks);
    Ok(report)
}

/// Brings the receipts up to date with what was done, and removes the empty places that a failure left.
fn receipted(root: &Root, plan: &Plan, operation: &OperationId, carried: &Carried) -> Result<()> {
    if carried.aborted.is_some() && plan.goal.moves() {
        // Nothing was moved, so there is nothing to tell of it.
        receipts::settle(root, operation)?;
    }
    if let Some(downtime) = &carried.downtime {
        receipts::add_downtime(root, operation, downtime)?;
    }
    // An undo that failed may be asked for once more, and goes on with what its receipt tells.
    if matches!(plan.goal, Goal::Reclaim(_)) || (matches!(plan.goal, Goal::Undo(_)) && carried.aborted.is_none()) {
        receipts::prune(root)?;
    }
    if carried.aborted.is_some() {
        recovery::sweep(root, &moving::rooms(&plan.steps))?;
    }
    Ok(())
}

/// What is said of the trees that were put aside.
fn kept(carried: &Carried, plan: &Plan) -> Option<Remark> {
    let receipt = plan.steps.iter().find_map(|step| match &step.action {
        Action::WriteReceipt(receipt) if carried.downtime.is_some() => Some(receipt),
        _ => None,
    })?;
    let parked: Vec<String> =
        receipt.trees.iter().filter_map(|tree| tree.parked.as_ref()).map(ToString::to_string).collect();
    let (app, days) = (&receipt.app, Receipt::KEPT / (24 * 60 * 60));
    (!parked.is_empty()).then(|| Remark {
        detail: format!("what was there before is kept for {days} days at least: {}", parked.join(", ")),
        hint: if receipt.is_undone() {
            format!("datastore reclaim {app} removes it")
        } else {
            format!("datastore move {app} --undo takes it back; datastore reclaim {app} removes it")
        },
    })
}

/// Asks the guard about an app whose data has been moved. What stopped half-way and is finished now counts as unfinished until that is
/// over, so then nobody is asked.
fn ask_guard(engine: &Engine, plan: &Plan, mut probed: Probed) -> Probed {
    // In a plain directory again it is nothing that the guard knows.
    let is_home = |step: &Step| matches!(&step.action, Action::WriteReceipt(receipt) if receipt.trees.iter().any(|tree| tree.to_volume.is_none()));
    if matches!(plan.goal, Goal::Settle { .. }) || plan.steps.iter().any(is_home) {
        return probed;
    }
    match guard::probe(engine, &probed.app) {
        Ok(ready) => probed.ready = ready,
        Err(why) => {
            probed.ready = Some(false);
            probed.detail = why.chain();
            probed.hint = why.get_hint().unwrap_or("datastore status").to_owned();
        }
    }
    let undo = format!("if the new data is the reason: datastore move {} --undo", probed.app);
    for row in probed.services.iter_mut().filter(|row| row.state == ServiceState::Failed) {
        row.hint = format!("{}; {undo}", row.hint);
    }
    probed
}

/// The chain of an error that has been taken apart.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Cause(String);

fn report(prepared: &Prepared, operation: Option<OperationId>, outcome: Option<Outcome>, carried: &Carried) -> Report {
    let plan = prepared.plan();
    let mut remarks = plan.remarks.clone();
    remarks.extend(
        carried
            .stuck
            .iter()
            .map(|what| Remark { detail: format!("could not be taken back: {what}"), hint: "datastore status".into() }),
    );
    let mut timing = prepared.timing;
    timing.bind_ms = ms(carried.binding);
    Report {
        goal: plan.goal.to_string(),
        operation,
        plan: plan.id(),
        outcome,
        steps: plan.steps.len(),
        done: carried.done,
        failed: carried.failed.iter().map(|(i, failure)| failed_row(&plan.mappings[*i as usize], failure)).collect(),
        notes: plan.notes.clone(),
        probe: None,
        remarks,
        recovered: Vec::new(),
        downtime: carried.downtime.clone(),
        timing,
        torn: carried.torn,
    }
}

fn failed_row(subject: &Subject, failure: &Failure) -> Row {
    let hint = failure.error.get_hint().unwrap_or("datastore status");
    subject.refused(failure.reason, failure.error.chain(), hint)
}

/// Hands events on, and keeps the progress file.
struct Shown<'a> {
    inner: &'a mut dyn Listener,
    file: ProgressFile<'a>,
    progress: Progress,
}

impl<'a> Shown<'a> {
    fn new(root: &'a Root, inner: &'a mut dyn Listener, begin: &Begin, plan: &Plan) -> Self {
        let moves = plan.goal.moves() || matches!(plan.goal, Goal::Settle { .. });
        let moved = plan.mappings.iter().filter(|_| moves);
        let progress = Progress {
            operation: begin.operation.clone(),
            goal: plan.goal.to_string(),
            plan: begin.plan.to_string(),
            state: Progress::RUNNING.into(),
            since: begin.at,
            done: 0,
            steps: plan.steps.len(),
            what: String::new(),
            pid: std::process::id(),
            mount_points: moved.map(|subject| subject.mount_point.to_string()).collect(),
            walk: None,
        };
        Self { inner, file: ProgressFile::new(root), progress }
    }

    fn tell(&mut self, is_news: bool) {
        // Progress is for onlookers: that it cannot be written must not stop the work.
        let _ = self.file.write(&self.progress, is_news);
    }

    fn end(&mut self, state: &str, done: usize) {
        (self.progress.state, self.progress.done) = (state.into(), done);
        (self.progress.what, self.progress.walk) = (String::new(), None);
        self.tell(true);
    }
}

impl Listener for Shown<'_> {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Doing { done, what, .. } => {
                (self.progress.done, self.progress.walk) = (*done, None);
                (*what).clone_into(&mut self.progress.what);
                self.tell(true);
            }
            Event::Walking { walk } => {
                let is = |told: &Walk| (told.pass, &told.what, &told.tree) == (walk.pass, &walk.what, &walk.tree);
                let is_news = !self.progress.walk.as_ref().is_some_and(is);
                self.progress.walk = Some((*walk).clone());
                self.tell(is_news);
            }
            Event::Done { steps, what, .. } => {
                (self.progress.done, self.progress.walk) = (*steps, None);
                (*what).clone_into(&mut self.progress.what);
                self.tell(false);
            }
            _ => {}
        }
        self.inner.event(event);
    }
}
