//! Rows: what a person or a program is shown of a mapping, a volume, an operation. The only place where field names are chosen.

use serde::{Deserialize, Serialize};

use crate::amount::{count, time};
use crate::error::Error;
use crate::goal::Goal;
use crate::journal::{OperationId, Unfinished};
use crate::mapping::Mapping;
use crate::mountinfo::Mount;
use crate::observed::{FileFacts, Observed, Space};
use crate::progress::Progress;
use crate::standing::{Ask, Standing, View};
use crate::state::{Reason, Refusal, State};
use crate::value::AppName;
use crate::wanted::App;

/// One mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The app.
    pub app: String,
    /// The mount point; empty where the configuration cannot be read at all.
    pub mount_point: String,
    /// The store directory; empty where it is not known.
    pub store: String,
    /// The volume; empty where it is not known.
    pub volume: String,
    /// The state.
    pub state: State,
    /// Why it is refused; `null` in any other state.
    pub reason: Option<Reason>,
    /// A sentence.
    pub detail: String,
    /// The command that mends it.
    pub hint: String,
}

impl Row {
    /// The row of a mapping.
    #[must_use]
    pub fn of(mapping: &Mapping, standing: &Standing) -> Self {
        Self {
            app: mapping.app.to_string(),
            mount_point: mapping.mount_point.to_string(),
            store: mapping.store.to_string(),
            volume: mapping.volume.to_string(),
            state: standing.state,
            reason: standing.refusal.as_ref().map(|r| r.reason),
            detail: standing.detail.clone(),
            hint: standing.hint.clone(),
        }
    }

    /// Whether something that was asked for is denied, for a row in the notes of a plan: it is refused, or its app is
    /// disabled (which is noted only of apps that were asked for by name).
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self.state, State::Refused | State::Disabled)
    }

    /// The rows of what an app names and nobody could resolve. An app of which nothing could be read has one row without a mount point.
    #[must_use]
    pub fn of_unresolved(app: &App) -> Vec<Self> {
        let Some(problem) = &app.problem else { return Vec::new() };
        let row = |mount_point: &str| Self {
            app: app.name.to_string(),
            mount_point: mount_point.into(),
            store: String::new(),
            volume: String::new(),
            state: if app.enabled { State::Refused } else { State::Disabled },
            reason: app.enabled.then_some(problem.reason),
            detail: problem.detail.clone(),
            hint: problem.hint.clone(),
        };
        app.unresolved.iter().map(|m| row(m)).collect()
    }
}

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRow {
    /// Its name.
    pub volume: String,
    /// Where it is.
    pub path: String,
    /// `active` or `refused`; `pending` for one that is only named by a mapping.
    pub state: State,
    /// Why it is refused.
    pub reason: Option<Reason>,
    /// A sentence.
    pub detail: String,
    /// The command that mends it.
    pub hint: String,
    /// What is mounted there, in fstab's words; empty for a plain directory.
    pub source: String,
    /// The file system; empty where not known.
    pub fstype: String,
    /// Its identity; empty where not known.
    pub id: String,
    /// Bytes in all; `null` where not known.
    pub bytes: Option<u64>,
    /// Bytes free.
    pub bytes_free: Option<u64>,
    /// Inodes in all; 0 where the file system does not count them.
    pub inodes: Option<u64>,
    /// Inodes free.
    pub inodes_free: Option<u64>,
    /// Whether nothing can be written to it.
    pub read_only: bool,
    /// How many mappings have their store on it.
    pub mappings: usize,
}

/// One operation that is running or stopped half-way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationRow {
    /// Its name.
    pub operation: String,
    /// What was asked for, as on the command line.
    pub goal: String,
    /// The plan that it carries out, as `plan --save` has printed it; empty where that is not known.
    #[serde(default)]
    pub plan: String,
    /// `moving` while it runs, `interrupted` if it stopped half-way.
    pub state: State,
    /// When it began, in seconds since 1970.
    pub since: i64,
    /// How many of its steps are done.
    pub done: usize,
    /// How many there are.
    pub steps: usize,
    /// Why nothing is known of it; empty if its journal can be read.
    pub trouble: String,
    /// The command that finishes it; empty while it runs.
    pub hint: String,
}

impl OperationRow {
    /// One whose journal cannot be used: newer than we know, or damaged.
    #[must_use]
    pub fn untold(operation: &OperationId, since: i64, error: &Error) -> Self {
        Self {
            operation: operation.to_string(),
            goal: String::new(),
            plan: String::new(),
            state: State::Interrupted,
            since,
            done: 0,
            steps: 0,
            trouble: error.chain(),
            hint: error.get_hint().unwrap_or_default().to_owned(),
        }
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The host that presents the data; empty before `init`.
    pub host: String,
    /// Every mapping, by mount point.
    pub mappings: Vec<Row>,
    /// Every volume, by name.
    pub volumes: Vec<VolumeRow>,
    /// Operations that run or stopped half-way.
    pub operations: Vec<OperationRow>,
    /// Whether everything could be seen; without privilege identity and mode of the stores cannot.
    pub complete: bool,
}

/// Tells what is, of the mappings of which `of` says so.
#[must_use]
pub fn tell(view: &View<'_>, mut of: impl FnMut(&Mapping) -> bool) -> Status {
    let View { wanted, observed, .. } = view;
    let mut mappings = Vec::new();
    let mut on_volume = vec![0; wanted.volumes.len()];
    for mapping in wanted.mappings.iter().filter(|m| m.enabled) {
        on_volume[view.volume_of(mapping).0] += 1;
    }
    let which: Vec<usize> = (0..wanted.mappings.len()).filter(|&i| of(&wanted.mappings[i])).collect();
    view.assess_all(&which, Ask::default(), |i, standing| row_of(view, i, &standing), |row| mappings.push(row));
    mappings.extend(wanted.apps.iter().flat_map(Row::of_unresolved));
    mappings.extend(forgotten(view));
    Status {
        host: wanted.host.as_ref().map(ToString::to_string).unwrap_or_default(),
        mappings,
        volumes: wanted.volumes.iter().enumerate().map(|(i, _)| volume_row(view, i, on_volume[i])).collect(),
        operations: operations(observed),
        complete: observed.privileged,
    }
}

/// The row of a mapping, which an operation may have in hand, or may have left half-way.
pub(crate) fn row_of(view: &View<'_>, i: usize, standing: &Standing) -> Row {
    let mapping = &view.wanted.mappings[i];
    let mut row = Row::of(mapping, standing);
    if let Some(how) = moving(view.observed, mapping) {
        row.state = State::Moving;
        row.reason = None;
        row.detail = how;
        row.hint = format!("watch datastore status {}", mapping.app);
    } else if let Some(unfinished) = interrupted(view.observed, mapping) {
        row.state = State::Interrupted;
        row.reason = None;
        row.detail = format!(
            "`{}` stopped half-way ({} of {} steps done); {}",
            unfinished.goal.as_ref().map_or_else(|| "an operation".into(), ToString::to_string),
            unfinished.done,
            unfinished.steps,
            if row.detail.is_empty() { "what is bound now is right" } else { &row.detail },
        );
        row.hint = "datastore recover".into();
    }
    row
}

/// The rows of our lines in fstab that no configuration names any more: the bind is there all the same.
pub(crate) fn forgotten(view: &View<'_>) -> Vec<Row> {
    let View { wanted, observed, landscape } = view;
    let mut rows = Vec::new();
    for line in observed.fstab.entries().filter(|r| r.ours) {
        let Some(tag) = line.entry.option_value("X-datastore") else { continue };
        let is = |name: &AppName| name.as_str().as_bytes() == tag;
        let declares = |which: &[usize]| which.iter().any(|&i| is(&wanted.mappings[i].app));
        // Nearly every line is that of a mapping, and as we have written it.
        if wanted.index.get(&*line.entry.file).is_some_and(|which| declares(which)) {
            continue;
        }
        let Some(mount_point) = line.entry.mount_point() else { continue };
        if declares(wanted.at(&mount_point)) {
            continue;
        }
        let known = wanted.apps.iter().find(|a| is(&a.name));
        if known.is_some_and(|a| a.problem.is_some() || !a.unresolved.is_empty()) {
            continue;
        }
        let app = crate::path::printable(tag);
        let source = observed.mounts.at(&mount_point).and_then(|m| landscape.source_of(&m));
        let bound = source.as_ref().is_some_and(|s| s.as_bytes() == line.entry.spec);
        rows.push(Row {
            app: app.clone(),
            mount_point: mount_point.to_string(),
            store: crate::path::printable(&line.entry.spec),
            volume: String::new(),
            state: if bound { State::Drifted } else { State::Inactive },
            reason: None,
            detail: format!(
                "no configuration names it any more; {}",
                if bound { "it is still bound" } else { "only its line in fstab is left" }
            ),
            hint: format!("bring the configlet of `{app}` back, or: datastore disable {app}"),
        });
    }
    rows
}

/// What is told of a mapping whose data is being moved.
fn moving(observed: &Observed, mapping: &Mapping) -> Option<String> {
    let moves =
        |u: &&Unfinished| u.goal.as_ref().is_some_and(|goal| goal.moves() || matches!(goal, Goal::Settle { .. }));
    let running = observed.running.iter().filter(moves).find(|u| has(u, mapping));
    let place = mapping.mount_point.to_string();
    let mut at_work = observed.progress.iter().filter(|told| told.state == Progress::RUNNING);
    let progress = at_work.find(|told| match running {
        Some(running) => told.operation == running.operation,
        None => told.mount_points.contains(&place),
    });
    let of_journal = |u: &Unfinished| (u.goal.as_ref().map(ToString::to_string).unwrap_or_default(), u.at);
    let of_file = |told: &Progress| (told.goal.clone(), told.since);
    let (goal, since) = running.map(of_journal).or_else(|| progress.map(of_file))?;
    let far = match (progress, running) {
        (Some(Progress { walk: Some(walk), .. }), _) => walk.to_string(),
        (Some(told), _) => format!("step {} of {}: {}", told.done + 1, told.steps, told.what),
        (None, running) => {
            let (done, steps) = running.map_or((0, 0), |u| (u.done, u.steps));
            format!("{done} of {} done", count(steps, "step"))
        }
    };
    let took = u64::try_from(observed.now - since).unwrap_or(0);
    Some(format!("`{goal}` has been running for {}; {far}", time(took)))
}

/// Whether an operation serves a mapping.
fn has(unfinished: &Unfinished, mapping: &Mapping) -> bool {
    unfinished.mappings.iter().any(|s| s.mount_point == mapping.mount_point && s.app == mapping.app)
}

/// The operation that stopped half-way with this mapping in hand.
fn interrupted<'o>(observed: &'o Observed, mapping: &Mapping) -> Option<&'o Unfinished> {
    observed.unfinished.iter().find(|u| has(u, mapping))
}

fn volume_row(view: &View<'_>, i: usize, mappings: usize) -> VolumeRow {
    let volume = &view.wanted.volumes[i];
    let facts = view.observed.volumes.get(i);
    let judged = view.judge_volume_itself(i, volume);
    let mount = view.observed.mounts.holding(&volume.path);
    let space: Option<Space> = facts.and_then(|f| f.space).filter(|_| judged.is_ok());
    let (state, reason, detail, hint) = match &judged {
        Ok(()) => (State::Active, None, String::new(), String::new()),
        Err(Refusal { reason, detail, hint }) if volume.declared || mappings > 0 => {
            (State::Refused, Some(*reason), detail.clone(), hint.clone())
        }
        Err(Refusal { detail, hint, .. }) => (State::Pending, None, detail.clone(), hint.clone()),
    };
    let id = match facts.map(|f| &f.file) {
        Some(FileFacts::Is(file)) => file.id.to_string(),
        _ => String::new(),
    };
    VolumeRow {
        volume: volume.name.to_string(),
        path: volume.path.to_string(),
        state,
        reason,
        detail,
        hint,
        source: volume.source.clone().unwrap_or_default(),
        fstype: mount.filter(|_| judged.is_ok()).map(|m| crate::path::printable(&m.fstype())).unwrap_or_default(),
        id,
        bytes: space.map(|s| s.bytes),
        bytes_free: space.map(|s| s.bytes_free),
        inodes: space.map(|s| s.inodes),
        inodes_free: space.map(|s| s.inodes_free),
        read_only: facts.is_some_and(|f| f.read_only) || mount.is_some_and(|m| is_read_only_by_emergency(&m)),
        mappings,
    }
}

/// Whether the file system lets nothing be written since it found an error. Since Linux 6.15 ext4 says that in a word of its own, and not that it
/// is mounted read-only.
fn is_read_only_by_emergency(mount: &Mount<'_>) -> bool {
    mount.super_options().split(|&b| b == b',').any(|option| option == b"emergency_ro")
}

fn operations(observed: &Observed) -> Vec<OperationRow> {
    let row = |u: &Unfinished, running: bool| OperationRow {
        operation: u.operation.to_string(),
        goal: u.goal.as_ref().map(ToString::to_string).unwrap_or_default(),
        plan: u.plan.as_ref().map(ToString::to_string).unwrap_or_default(),
        state: if running { State::Moving } else { State::Interrupted },
        since: u.at,
        done: u.done,
        steps: u.steps,
        trouble: String::new(),
        hint: if running { String::new() } else { "datastore recover".into() },
    };
    let known = |told: &&Progress| observed.running.iter().any(|u| u.operation == told.operation);
    let told = |told: &Progress| {
        let running = told.state == Progress::RUNNING;
        OperationRow {
            operation: told.operation.to_string(),
            goal: told.goal.clone(),
            plan: told.plan.clone(),
            state: if running { State::Moving } else { State::Interrupted },
            since: told.since,
            done: told.done,
            steps: told.steps,
            trouble: String::new(),
            hint: if running { String::new() } else { "datastore recover".into() },
        }
    };
    let running = observed.running.iter().map(|u| row(u, true));
    let others = observed.progress.iter().filter(|p| !known(p)).map(told);
    running.chain(others).chain(observed.unfinished.iter().map(|u| row(u, false))).collect()
}
