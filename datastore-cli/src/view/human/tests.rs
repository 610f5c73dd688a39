//! What people see, for every state and every reason.

use datastore_core::doctor::{Check, Diagnosis, Finding, Severity};
use datastore_core::goal::{Apps, Goal};
use datastore_core::log::{Ending, Failure, LogDetail, LogRow, LogStep, StepState};
use datastore_core::mapping::BindOptions;
use datastore_core::peek::{Copied, Entry, EntryKind, LeftOut, Peek, Peeked};
use datastore_core::plan::{Plan, Remark, Subject};
use datastore_core::state::{Reason, State};
use datastore_core::status::{OperationRow, Row, Status, VolumeRow};
use datastore_core::step::{Action, Step};
use datastore_core::value::{AppName, Attrs, HostName, Id, VolumeName};
use datastore_core::{AbsPath, Error, ErrorKind};
use datastore_exec::report::{Probed, Report, ServiceRow, ServiceState, Timing};

use super::*;
use crate::view::look::Look;

const PIPE: Look = Look { width: None, colour: false };

pub(in crate::view) fn row(app: &str, state: State, reason: Option<Reason>) -> Row {
    let word = reason.map_or(state.as_str(), Reason::as_str);
    let good = state == State::Active;
    Row {
        app: app.into(),
        mount_point: format!("/srv/{app}/{word}"),
        store: format!("/store/data0/live/server1/{app}/{word}"),
        volume: "data0".into(),
        state,
        reason,
        detail: if good { String::new() } else { format!("the sentence that explains {word}") },
        hint: if good { String::new() } else { format!("datastore mend {word}") },
    }
}

/// A row for each state, and one for each reason.
pub(in crate::view) fn every_row() -> Vec<Row> {
    let states = State::ALL.iter().filter(|s| **s != State::Refused).map(|s| row("web", *s, None));
    states.chain(Reason::ALL.iter().map(|r| row("mail", State::Refused, Some(*r)))).collect()
}

pub(in crate::view) fn volume(name: &str, state: State, bytes: Option<u64>) -> VolumeRow {
    let good = state == State::Active;
    VolumeRow {
        volume: name.into(),
        path: format!("/store/{name}"),
        state,
        reason: (state == State::Refused).then_some(Reason::VolumeMissing),
        detail: if good { String::new() } else { "nothing is mounted there".into() },
        hint: if good { String::new() } else { format!("mount /store/{name}") },
        source: if good { format!("LABEL={name}") } else { String::new() },
        fstype: if good { "ext4".into() } else { String::new() },
        id: String::new(),
        bytes,
        bytes_free: bytes.map(|b| b / 3),
        inodes: bytes.map(|_| 1000),
        inodes_free: bytes.map(|_| 500),
        read_only: false,
        mappings: 3,
    }
}

pub(in crate::view) fn everything() -> Status {
    Status {
        host: "server1".into(),
        mappings: every_row(),
        volumes: vec![
            volume("data0", State::Active, Some(2_000_000_000_000)),
            VolumeRow { read_only: true, inodes_free: Some(0), ..volume("data1", State::Active, Some(0)) },
            volume("data2", State::Refused, None),
            volume("data3", State::Pending, None),
        ],
        operations: vec![
            OperationRow {
                operation: "20261123T185123000Z-0a1b2c3d".into(),
                goal: "apply web".into(),
                plan: "1f0c2d3e4b5a6978".into(),
                state: State::Interrupted,
                since: 1_795_459_883,
                done: 17,
                steps: 200,
                trouble: String::new(),
                hint: "datastore recover".into(),
            },
            OperationRow {
                operation: "20261123T185124000Z-0a1b2c3e".into(),
                goal: "start mail".into(),
                plan: String::new(),
                state: State::Moving,
                since: -1,
                done: 1,
                steps: 2,
                trouble: String::new(),
                hint: String::new(),
            },
            OperationRow {
                operation: "20261123T185125000Z-0a1b2c3f".into(),
                goal: String::new(),
                plan: String::new(),
                state: State::Interrupted,
                since: 1_795_459_885,
                done: 0,
                steps: 0,
                trouble: "the journal cannot be used: line 2 is damaged".into(),
                hint: "move it away".into(),
            },
        ],
        complete: false,
    }
}

fn path(text: &str) -> AbsPath {
    AbsPath::parse(text).unwrap()
}

/// A plan for so many mappings, each with two steps, and one step for all.
pub(in crate::view) fn plan_of(mappings: usize) -> Plan {
    let subject = |i: usize| Subject {
        app: AppName::parse("web").unwrap(),
        mount_point: path(&format!("/srv/www/{i}")),
        store: path(&format!("/store/data0/live/server1/www/{i}")),
        volume: Some(VolumeName::parse("data0").unwrap()),
    };
    let mappings: Vec<Subject> = (0..mappings).map(subject).collect();
    let number = |i: usize| Some(u32::try_from(i).unwrap());
    let dirs = mappings.iter().enumerate().map(|(i, m)| Step {
        mapping: number(i),
        action: Action::MakeDir { path: m.store.clone(), attrs: Attrs::root(0o2775), id: None, shared: false },
    });
    let binds = mappings.iter().enumerate().map(|(i, m)| Step {
        mapping: number(i),
        action: Action::Bind {
            store: m.store.clone(),
            mount_point: m.mount_point.clone(),
            id: None,
            options: BindOptions::default(),
        },
    });
    let for_all = Step { mapping: None, action: Action::ReloadSystemd };
    let steps = dirs.chain(std::iter::once(for_all)).chain(binds).collect();
    Plan {
        goal: Goal::Apply(Apps::default()),
        host: Some(HostName::parse("server1").unwrap()),
        seed: Id::from_random([7; 16]),
        mappings,
        steps,
        notes: vec![row("mail", State::Refused, Some(Reason::MountPointNotEmpty)), row("db", State::Waiting, None)],
        remarks: vec![Remark { detail: "fstab has a line of nobody".into(), hint: "look at /etc/fstab".into() }],
        loads: Vec::new(),
    }
}

pub(in crate::view) fn report_of(plan: &Plan) -> Report {
    Report {
        goal: plan.goal.to_string(),
        operation: None,
        plan: plan.id(),
        outcome: None,
        steps: plan.steps.len(),
        done: plan.steps.len(),
        failed: Vec::new(),
        notes: plan.notes.clone(),
        probe: None,
        remarks: plan.remarks.clone(),
        recovered: Vec::new(),
        downtime: None,
        timing: Timing { apply_ms: 1234.0, ..Timing::default() },
        torn: false,
    }
}

#[test]
fn status_shows_every_state_and_reason() {
    let text = status(&everything(), false, PIPE);
    for word in State::ALL.iter().map(|s| s.as_str()).chain(Reason::ALL.iter().map(|r| r.as_str())) {
        assert!(text.contains(word), "{word} is not shown");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn status_fits_a_terminal() {
    let text = status(&everything(), true, Look { width: Some(72), colour: false });
    // The volumes have nine columns that are not cut below eight.
    let mappings = text.split("\n\n").nth(1).unwrap();
    assert!(mappings.lines().all(|l| text::width(l) <= 72), "{mappings}");
    insta::assert_snapshot!(mappings);
}

#[test]
fn status_of_nothing() {
    let nothing = Status { host: String::new(), mappings: vec![], volumes: vec![], operations: vec![], complete: true };
    assert_eq!(status(&nothing, false, PIPE), "HOST no host yet: datastore init\n\nno mappings\n");
}

#[test]
fn colours_do_not_change_the_text() {
    let plain = status(&everything(), false, PIPE);
    let coloured = status(&everything(), false, Look { width: None, colour: true });
    let mut stripped = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        stripped.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    stripped.push_str(rest);
    assert!(coloured.len() > plain.len());
    assert_eq!(stripped, plain);
}

#[test]
fn a_short_plan_is_shown_whole() {
    insta::assert_snapshot!(plan(&plan_of(2), Some(40), PIPE));
}

#[test]
fn a_long_plan_is_cut_and_counted() {
    let long = plan_of(300);
    let text = plan(&long, Some(40), PIPE);
    let shown = text.split_once("not done:").unwrap().0;
    // The head, the counts, what fits of the forty lines, and what is left out.
    assert!(shown.lines().count() <= 43 && shown.matches("    bind ").count() == 13, "{shown}");
    insta::assert_snapshot!(text);
    let whole = plan(&long, None, PIPE);
    assert_eq!(whole.matches("    bind ").count(), 300);
    assert!(!whole.contains("more step"));
}

#[test]
fn an_empty_plan_says_so() {
    let mut empty = plan_of(0);
    empty.steps.clear();
    empty.notes.clear();
    empty.remarks.clear();
    assert_eq!(plan(&empty, None, PIPE), "`apply`: nothing to do\n");
}

/// What became of an app's services, one for each way to be.
pub(in crate::view) fn probed() -> Probed {
    let service = |name: &str, state, detail: &str, hint: &str| ServiceRow {
        service: name.into(),
        state,
        detail: detail.into(),
        hint: hint.into(),
    };
    Probed {
        app: AppName::parse("web").unwrap(),
        ready: Some(true),
        detail: String::new(),
        hint: String::new(),
        services: vec![
            service("web.socket", ServiceState::Running, "", ""),
            service("prepare.service", ServiceState::Ended, "", ""),
            service(
                "web.service",
                ServiceState::Failed,
                "web.service could not be started: its program ended with status 7",
                "systemctl status web.service",
            ),
        ],
    }
}

#[test]
fn reports_of_services() {
    let operation = datastore_core::journal::OperationId::parse("20261123T185123000Z-0a1b2c3d").ok();
    let nothing = Report { operation, notes: vec![], remarks: vec![], ..report_of(&plan_of(2)) };
    let down = Report { probe: Some(probed()), done: 4, ..nothing.clone() };
    insta::assert_snapshot!(report(&down, PIPE));
    let mut well = probed();
    well.services.pop();
    let text = report(&Report { probe: Some(well.clone()), ..nothing.clone() }, PIPE);
    assert_eq!(text, "`apply`: 5 steps done in 1.2 s\nstarted again: web.socket, prepare.service\n");
    let none = Probed { services: Vec::new(), ..well.clone() };
    assert_eq!(report(&Report { probe: Some(none), ..nothing.clone() }, PIPE), "`apply`: 5 steps done in 1.2 s\n");
    let refused = Probed { ready: Some(false), detail: "it is not bound".into(), hint: "mend it".into(), ..well };
    insta::assert_snapshot!(report(&Report { probe: Some(refused), ..nothing }, PIPE));
}

#[test]
fn reports() {
    let made = plan_of(2);
    let operation = datastore_core::journal::OperationId::parse("20261123T185123000Z-0a1b2c3d").ok();
    let nothing = Report { notes: vec![], remarks: vec![], ..report_of(&made) };
    assert_eq!(report(&nothing, PIPE), "nothing to do: `apply`: all that it asks for is so already\n");
    assert!(operation.is_some(), "a name as the journal gives them");
    let done = Report { operation: operation.clone(), ..nothing };
    assert_eq!(report(&done, PIPE), "`apply`: 5 steps done in 1.2 s\n");
    let failed = vec![row("web", State::Refused, Some(Reason::MountFailed))];
    let recovered = operation.iter().cloned().collect();
    let partly = Report { operation, done: 3, failed, recovered, ..report_of(&made) };
    insta::assert_snapshot!(report(&partly, PIPE));
    assert_eq!(super::recovered(&[], PIPE), "nothing to do: no operation stopped half-way\n");
}

/// A row for each way to end.
pub(in crate::view) fn every_ending() -> Vec<LogRow> {
    let failure = |step| Failure {
        step,
        app: "web".into(),
        mount_point: "/srv/web".into(),
        text: "unbind /srv/web".into(),
        error: "/srv/web is in use".into(),
    };
    let row = |&outcome: &Ending| {
        let known = outcome != Ending::Damaged;
        let operation = datastore_core::journal::OperationId::parse("20261123T185123000Z-0a1b2c3d").unwrap();
        let bare = LogRow::bare(&operation, outcome, if known { "" } else { "line 2 is damaged" }.into());
        if !known {
            return bare;
        }
        LogRow {
            at: 1_795_459_883,
            ended: (!matches!(outcome, Ending::Running | Ending::Interrupted)).then_some(1_795_459_885),
            uid: Some(if outcome == Ending::Done { 0 } else { 1234 }),
            user: if outcome == Ending::Done { "root".into() } else { String::new() },
            host: "server1".into(),
            goal: if outcome == Ending::Done { "apply".into() } else { "stop web".into() },
            steps: 3,
            done: if outcome == Ending::Done { 3 } else { 1 },
            apps: if outcome == Ending::Done {
                (0..9).map(|i| format!("app{i}")).collect()
            } else {
                vec!["web".into()]
            },
            more_apps: usize::from(outcome == Ending::Done),
            failures: if outcome == Ending::Failed { (1..10).map(failure).collect() } else { vec![] },
            more_failures: usize::from(outcome == Ending::Failed),
            ..bare
        }
    };
    Ending::ALL.iter().map(row).collect()
}

/// A step in each state.
pub(in crate::view) fn every_step() -> LogDetail {
    let step = |(i, &state): (usize, &StepState)| LogStep {
        step: i + 1,
        kind: "unbind".into(),
        app: if i == 0 { String::new() } else { "web".into() },
        mount_point: "/srv/web".into(),
        text: "unbind /srv/web".into(),
        state,
        error: if matches!(state, StepState::Failed | StepState::Stuck) { "in use".into() } else { String::new() },
    };
    LogDetail { operation: every_ending().remove(2), steps: StepState::ALL.iter().enumerate().map(step).collect() }
}

#[test]
fn the_log_shows_every_ending_and_every_state_of_a_step() {
    let text = log(&every_ending(), PIPE);
    for word in Ending::ALL.iter().map(|e| e.as_str()) {
        assert!(text.contains(word), "{word} is not shown");
    }
    let lines: String = every_ending().iter().map(|row| log_line(row, PIPE)).collect();
    insta::assert_snapshot!(format!("{text}\n{lines}\n{}", log_detail(&every_step(), PIPE)));
    assert_eq!(log(&[], PIPE), "no operations\n");
}

/// A finding of every check, in every severity.
pub(in crate::view) fn every_finding() -> Diagnosis {
    let finding = |severity: Severity| {
        move |&check: &Check| Finding {
            check,
            severity,
            app: if severity == Severity::Note { String::new() } else { "web".into() },
            mount_point: if severity == Severity::Error { "/srv/web".into() } else { String::new() },
            path: "/srv/web".into(),
            detail: format!("the sentence that tells of {check}"),
            cause: if severity == Severity::Note { String::new() } else { "why it is so".into() },
            hint: if severity == Severity::Note { String::new() } else { "datastore mend web".into() },
        }
    };
    let (errors, rest) = Check::ALL.split_at(3);
    let (warnings, notes) = rest.split_at(1);
    let all = errors.iter().map(finding(Severity::Error));
    let all =
        all.chain(warnings.iter().map(finding(Severity::Warning))).chain(notes.iter().map(finding(Severity::Note)));
    Diagnosis { findings: all.collect(), complete: false }
}

#[test]
fn the_doctor_shows_every_check_by_severity() {
    let text = diagnosis(&every_finding(), PIPE);
    for check in Check::ALL {
        assert!(text.contains(&format!("\n  {check}")), "{check} is not shown");
    }
    insta::assert_snapshot!(text);
    let narrow = diagnosis(&every_finding(), Look { width: Some(30), colour: false });
    assert!(narrow.lines().filter(|l| l.starts_with("    ")).all(|l| text::width(l) <= 30), "{narrow}");
    let nothing = Diagnosis { findings: vec![], complete: true };
    assert_eq!(diagnosis(&nothing, PIPE), "nothing was found\n");
}

/// An entry of each kind, and a mount point with nothing.
pub(in crate::view) fn every_entry() -> Peek {
    let entry = |&kind: &EntryKind| Entry {
        path: format!("dir/{kind}"),
        kind,
        size: 2048,
        mode: "0644".into(),
        uid: 0,
        gid: 1234,
        user: "root".into(),
        group: String::new(),
        modified: 1_795_459_883,
        target: if kind == EntryKind::Link { "../x".into() } else { String::new() },
    };
    let hidden = Peeked {
        mount_point: "/srv/web".into(),
        hidden: true,
        detail: String::new(),
        entries: EntryKind::ALL.iter().map(entry).collect(),
        cut: true,
    };
    let nothing = Peeked {
        mount_point: "/srv/cgi".into(),
        hidden: false,
        detail: "nothing is hidden there".into(),
        entries: vec![],
        cut: false,
    };
    let copied = Copied {
        to: "/root/hidden".into(),
        files: 1,
        directories: 2,
        links: 1,
        bytes: 2048,
        left_out: vec![LeftOut { path: "/srv/web/dir/other".into(), why: "a FIFO is not copied".into() }],
        more_left_out: 3,
    };
    Peek { app: "web".into(), mappings: vec![hidden, nothing], copied: Some(copied) }
}

#[test]
fn peek_shows_every_kind_and_what_was_left_out() {
    let with = every_entry();
    let without = Peek { copied: None, ..every_entry() };
    insta::assert_snapshot!(format!("{}\n{}", peek(&with, PIPE), peek(&without, PIPE)));
}

#[test]
fn errors_show_causes_and_hint() {
    let cause = std::io::Error::from_raw_os_error(28);
    let error = Error::new(ErrorKind::System, "/etc/fstab cannot be written; it is as it was")
        .caused_by(cause)
        .hint("make room");
    assert_eq!(
        super::error(&error),
        "datastore: /etc/fstab cannot be written; it is as it was: No space left on device (os error 28)\nhint: make room\n"
    );
    assert_eq!(super::error(&Error::new(ErrorKind::Usage, "a\nb\u{1b}[2J")), "datastore: a\\x0ab\\x1b[2J\n");
}
