//! What is shown of operations that have run: rows and steps out of their journals. As in [`status`](crate::status), the field names
//! are part of the interface.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::journal::{Begin, OperationId, Outcome, Record, Told};
use crate::state::words;
use crate::value::AppName;

/// So many apps and failures are told of one operation; a journal of ten thousand mappings names as many. The rest is counted.
pub const MOST: usize = 100;

words! {
    /// How an operation ended, or that it did not.
    Ending {
        /// Every step was done.
        Done = "done",
        /// Some mappings failed and were taken back; the others were done.
        Partly = "partly",
        /// It failed and was taken back.
        Failed = "failed",
        /// It stopped half-way, and a later operation finished it.
        Recovered = "recovered",
        /// Somebody is at work on it.
        Running = "running",
        /// It stopped half-way, and nobody has finished it yet.
        Interrupted = "interrupted",
        /// Its journal cannot be understood.
        Damaged = "damaged",
    }
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::Partly => Self::Partly,
            Outcome::Failed => Self::Failed,
            Outcome::Recovered => Self::Recovered,
        }
    }
}

/// Which operations are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Only those that name one of these apps; none means all.
    pub apps: Vec<AppName>,
    /// Only those that began at or after the time of this name.
    pub since: Option<OperationId>,
    /// Only the newest so many of them.
    pub last: Option<usize>,
    /// Only those that did not end as they should.
    pub failed: bool,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRow {
    /// Its name.
    pub operation: String,
    /// When it began, in seconds since 1970; 0 where not known.
    pub at: i64,
    /// When it ended; `null` if it did not.
    pub ended: Option<i64>,
    /// Who asked, as a number; `null` where not known.
    pub uid: Option<u32>,
    /// Who asked, by name; empty where the number has none.
    pub user: String,
    /// The host.
    pub host: String,
    /// What was asked for, as on the command line.
    pub goal: String,
    /// The plan that it carried out, as `plan --save` has printed it; empty where not known.
    pub plan: String,
    /// How it ended.
    pub outcome: Ending,
    /// How many steps there were.
    pub steps: usize,
    /// How many of them were done and were not taken back.
    pub done: usize,
    /// The apps that it served or that were asked for, at most [`MOST`].
    pub apps: Vec<String>,
    /// How many more apps there were.
    pub more_apps: usize,
    /// What failed and why, at most [`MOST`].
    pub failures: Vec<Failure>,
    /// How much more failed.
    pub more_failures: usize,
    /// Why the journal cannot be understood; else empty.
    pub detail: String,
}

/// A step that failed, or that could not be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its number, from 1.
    pub step: usize,
    /// The app that it served; empty for all.
    pub app: String,
    /// The mount point that it served; empty for all.
    pub mount_point: String,
    /// What it was to do.
    pub text: String,
    /// Why it failed.
    pub error: String,
}

words! {
    /// What became of one step.
    StepState {
        /// Nobody had come to it.
        Open = "open",
        /// It was about to be done when the journal ends.
        Begun = "begun",
        /// It was done.
        Done = "done",
        /// It failed.
        Failed = "failed",
        /// It was done, and taken back.
        Undone = "undone",
        /// It was done, and taking it back failed.
        Stuck = "stuck",
    }
}

/// One step of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStep {
    /// Its number, from 1.
    pub step: usize,
    /// The word for what it does.
    pub kind: String,
    /// The app that it served; empty for all.
    pub app: String,
    /// The mount point that it served; empty for all.
    pub mount_point: String,
    /// What it does, as a sentence.
    pub text: String,
    /// What became of it.
    pub state: StepState,
    /// Why it failed, or could not be taken back; else empty.
    pub error: String,
}

/// One operation with all of its steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogDetail {
    /// The operation.
    pub operation: LogRow,
    /// Its steps, in order.
    pub steps: Vec<LogStep>,
}

impl Query {
    /// Whether an operation is meant by the name alone.
    #[must_use]
    pub fn may_have(&self, operation: &OperationId) -> bool {
        self.since.as_ref().is_none_or(|since| operation >= since)
    }

    /// Whether a row is meant; `apps` are all of its apps, of which the row names only so many.
    #[must_use]
    pub fn has(&self, row: &LogRow, apps: &[String]) -> bool {
        let named = self.apps.is_empty() || self.apps.iter().any(|a| apps.iter().any(|b| a.as_str() == b));
        let wrong = !matches!(row.outcome, Ending::Done | Ending::Running);
        named && (!self.failed || wrong)
    }
}

/// The apps that an operation served or that were asked for, each once, by name.
#[must_use]
pub fn apps_of(begin: &Begin) -> Vec<String> {
    let asked = begin.goal.apps().into_iter().flat_map(|apps| &apps.names);
    let mut all: Vec<&AppName> = begin.mappings.iter().map(|m| &m.app).chain(asked).collect();
    all.sort();
    all.dedup();
    all.into_iter().map(ToString::to_string).collect()
}

impl LogRow {
    /// An operation of which nothing is known but its name.
    #[must_use]
    pub fn bare(operation: &OperationId, outcome: Ending, detail: String) -> Self {
        Self {
            operation: operation.to_string(),
            at: 0,
            ended: None,
            uid: None,
            user: String::new(),
            host: String::new(),
            goal: String::new(),
            plan: String::new(),
            outcome,
            steps: 0,
            done: 0,
            apps: Vec::new(),
            more_apps: 0,
            failures: Vec::new(),
            more_failures: 0,
            detail,
        }
    }

    /// The row of an operation. `running` says whether somebody is at work on it; `user` finds the name of a number.
    #[must_use]
    pub fn of(told: &Told, apps: &[String], running: bool, user: impl Fn(u32) -> Option<String>) -> Self {
        let begin = &told.begin;
        let unended = if running { Ending::Running } else { Ending::Interrupted };
        let ended =
            told.records.iter().rev().find_map(|r| if let Record::End { at, .. } = r { Some(*at) } else { None });
        let mut row = Self {
            at: begin.at,
            ended,
            uid: Some(begin.uid),
            user: user(begin.uid).unwrap_or_default(),
            host: begin.host.as_ref().map(ToString::to_string).unwrap_or_default(),
            goal: begin.goal.to_string(),
            plan: begin.plan.to_string(),
            steps: begin.steps.len(),
            apps: apps.iter().take(MOST).cloned().collect(),
            more_apps: apps.len().saturating_sub(MOST),
            ..Self::bare(&begin.operation, told.outcome().map_or(unended, Ending::from), String::new())
        };
        for fate in fates(told).values().filter(|f| f.state.is_wrong()) {
            if row.failures.len() < MOST {
                let LogStep { step, app, mount_point, text, .. } = step_of(begin, fate.step);
                row.failures.push(Failure { step, app, mount_point, text, error: fate.error.clone() });
            } else {
                row.more_failures += 1;
            }
        }
        row.done = told.done().saturating_sub(told.records.iter().filter(|r| is_taken_back(r)).count());
        row
    }
}

impl StepState {
    fn is_wrong(self) -> bool {
        matches!(self, Self::Failed | Self::Stuck)
    }
}

fn is_taken_back(record: &Record) -> bool {
    matches!(record, Record::Undone { error: None, .. })
}

/// What became of a step of which the journal says more than that it was done.
struct Fate {
    step: usize,
    state: StepState,
    error: String,
}

/// The steps that failed or were taken back, by number.
fn fates(told: &Told) -> BTreeMap<usize, Fate> {
    let mut fates = BTreeMap::new();
    for record in &told.records {
        let (step, state, error) = match record {
            Record::Failed { step, error } => (*step, StepState::Failed, error.clone()),
            Record::Undone { step, error: None } => (*step, StepState::Undone, String::new()),
            Record::Undone { step, error: Some(error) } => (*step, StepState::Stuck, error.clone()),
            _ => continue,
        };
        fates.insert(step, Fate { step, state, error });
    }
    fates
}

/// A step as it was planned; one that the plan does not have (a journal's checksums hold, so nobody wrote it by accident) has no text.
fn step_of(begin: &Begin, step: usize) -> LogStep {
    let planned = begin.steps.get(step);
    let subject = planned.and_then(|s| s.mapping).and_then(|m| begin.mappings.get(m as usize));
    LogStep {
        step: step + 1,
        kind: planned.map(|s| s.action.kind().to_owned()).unwrap_or_default(),
        app: subject.map(|s| s.app.to_string()).unwrap_or_default(),
        mount_point: subject.map(|s| s.mount_point.to_string()).unwrap_or_default(),
        text: planned.map(|s| s.action.to_string()).unwrap_or_default(),
        state: StepState::Open,
        error: String::new(),
    }
}

/// All steps of an operation, with what became of each.
#[must_use]
pub fn steps(told: &Told) -> Vec<LogStep> {
    let mut states = vec![StepState::Open; told.begin.steps.len()];
    for record in &told.records {
        let (range, state) = match *record {
            Record::Intent { first, last } => (first..=last, StepState::Begun),
            Record::Done { first, last } => (first..=last, StepState::Done),
            _ => continue,
        };
        range.for_each(|i| states.get_mut(i).into_iter().for_each(|s| *s = state));
    }
    let mut fates = fates(told);
    let with_fate = |(i, state)| {
        let step = LogStep { state, ..step_of(&told.begin, i) };
        match fates.remove(&i) {
            Some(fate) => LogStep { state: fate.state, error: fate.error, ..step },
            None => step,
        }
    };
    states.into_iter().enumerate().map(with_fate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goal::{Apps, Goal};
    use crate::path::AbsPath;
    use crate::plan::{PlanId, Subject};
    use crate::step::{Action, Step};

    fn told(records: Vec<Record>) -> Told {
        let app = |i: usize| AppName::parse(&format!("app{i:04}")).unwrap();
        let subject = |i| Subject {
            app: app(i),
            mount_point: AbsPath::parse(format!("/srv/{i}")).unwrap(),
            store: AbsPath::parse(format!("/store/data0/live/s/{i}")).unwrap(),
            volume: None,
        };
        let flush = |i: u32| Step { mapping: Some(i), action: Action::Flush { path: AbsPath::literal("/srv") } };
        let begin = Begin {
            version: 1,
            operation: OperationId::new("2026-11-23T17:43:01.250Z", [0; 4]).unwrap(),
            program: "0".into(),
            at: 7,
            uid: 1000,
            host: None,
            boot: None,
            goal: Goal::Stop(Apps::named(vec![app(0), app(9999)])),
            plan: PlanId::of(b"x"),
            mappings: (0..150).map(subject).collect(),
            steps: (0..150).map(flush).collect(),
        };
        Told { begin, records, torn: false }
    }

    fn row(records: Vec<Record>, running: bool) -> LogRow {
        let told = told(records);
        LogRow::of(&told, &apps_of(&told.begin), running, |uid| (uid == 1000).then(|| "alice".into()))
    }

    #[test]
    fn the_words_are_fixed() {
        let endings: Vec<_> = Ending::ALL.iter().map(|e| e.as_str()).collect();
        assert_eq!(endings.join(" "), "done partly failed recovered running interrupted damaged");
        let states: Vec<_> = StepState::ALL.iter().map(|e| e.as_str()).collect();
        assert_eq!(states.join(" "), "open begun done failed undone stuck");
    }

    #[test]
    fn a_row_says_who_what_and_how_far() {
        let end = |outcome| Record::End { at: 9, outcome, failed: 1 };
        let seen = row(
            vec![
                Record::Intent { first: 0, last: 9 },
                Record::Done { first: 0, last: 4 },
                Record::Failed { step: 5, error: "no".into() },
                Record::Undone { step: 4, error: None },
                Record::Undone { step: 3, error: Some("stays".into()) },
                end(Outcome::Partly),
            ],
            false,
        );
        assert_eq!((seen.at, seen.ended, seen.uid, seen.user.as_str()), (7, Some(9), Some(1000), "alice"));
        assert_eq!((seen.outcome, seen.steps, seen.done), (Ending::Partly, 150, 4));
        assert_eq!(seen.plan, PlanId::of(b"x").as_str());
        let failures: Vec<_> = seen.failures.iter().map(|f| (f.step, f.app.as_str(), f.error.as_str())).collect();
        assert_eq!(failures, [(4, "app0003", "stays"), (6, "app0005", "no")]);
        assert_eq!((seen.apps.len(), seen.more_apps), (MOST, 51), "150 served, and one that was only asked for");
        assert_eq!(row(vec![], true).outcome, Ending::Running);
        assert_eq!(row(vec![], false).outcome, Ending::Interrupted);
        let many = (0..150).map(|step| Record::Failed { step, error: String::new() }).collect();
        assert_eq!((row(many, false).failures.len(), row(vec![], false).more_failures), (MOST, 0));
    }

    #[test]
    fn every_state_of_a_step_is_told() {
        let told = told(vec![
            Record::Intent { first: 0, last: 4 },
            Record::Done { first: 0, last: 2 },
            Record::Failed { step: 3, error: "no".into() },
            Record::Undone { step: 2, error: None },
            Record::Undone { step: 1, error: Some("stays".into()) },
        ]);
        let steps = steps(&told);
        let states: Vec<_> = steps.iter().take(6).map(|s| s.state.as_str()).collect();
        assert_eq!(states, ["done", "stuck", "undone", "failed", "begun", "open"]);
        assert_eq!((steps.len(), steps[3].error.as_str(), steps[3].step), (150, "no", 4));
    }

    #[test]
    fn what_is_asked_for() {
        let good = row(vec![Record::End { at: 1, outcome: Outcome::Done, failed: 0 }], false);
        let bad = row(vec![], false);
        let apps = apps_of(&told(vec![]).begin);
        let of = |name: &str| Query { apps: vec![AppName::parse(name).unwrap()], ..Query::default() };
        assert!(of("app0149").has(&good, &apps), "also one beyond those that the row names");
        assert!(of("app9999").has(&good, &apps) && !of("app0150").has(&good, &apps));
        let failed = Query { failed: true, ..Query::default() };
        assert!(!failed.has(&good, &apps) && failed.has(&bad, &apps));
        let since = Query { since: OperationId::new("2026-11-23T17:43:01.251Z", [0; 4]).ok(), ..Query::default() };
        assert!(!since.may_have(&told(vec![]).begin.operation));
    }
}
