//! What a result means for whoever started the command: the one table of exit codes.

use std::process::ExitCode;

use datastore_core::ErrorKind;
use datastore_core::state::Reason;
use datastore_core::state::State;
use datastore_core::status::Row;
use datastore_exec::report::{Probed, Report};

/// How the command ended. The numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It is done, or was so already.
    Done = 0,
    /// Something failed, the answer to the question was no, or `doctor` found something wrong.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Something that was asked for was refused.
    Refused = 3,
    /// The caller may not.
    Privilege = 4,
    /// An earlier operation stopped half-way.
    Interrupted = 5,
    /// Somebody else is at work.
    Locked = 6,
}

/// What each code means.
pub(crate) const CODES: &[(u8, &str)] = &[
    (Exit::Done as u8, "done, or already so"),
    (Exit::Failed as u8, "something failed, you answered no, or doctor found more than notes"),
    (Exit::Usage as u8, "the command line is wrong, or --yes is missing"),
    (Exit::Refused as u8, "refused: what was asked for must not be done, or the configuration is wrong"),
    (Exit::Privilege as u8, "no privilege"),
    (Exit::Interrupted as u8, "an earlier operation stopped half-way: datastore recover"),
    (Exit::Locked as u8, "somebody else is at work on the same app or volume"),
];

/// What each code of `status APP` means.
pub(crate) const LSB: &[(u8, &str)] = &[
    (Lsb::Running as u8, "all active (or drifted)"),
    (Lsb::Dead as u8, "refused or interrupted"),
    (Lsb::NotRunning as u8, "not bound"),
    (Lsb::Unknown as u8, "no such app"),
];

/// Both tables as `datastore --help` shows them.
pub(crate) fn table() -> String {
    let lines =
        |table: &[(u8, &str)]| table.iter().map(|(code, means)| format!("\n  {code}  {means}")).collect::<String>();
    let status = "`datastore status APP...` has the codes of the LSB instead:";
    format!("Exit codes:{}\n\n{status}{}", lines(CODES), lines(LSB))
}

impl Exit {
    /// The code for an error.
    pub(crate) fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Usage => Self::Usage,
            ErrorKind::Invalid | ErrorKind::Refused => Self::Refused,
            ErrorKind::Privilege => Self::Privilege,
            ErrorKind::Interrupted => Self::Interrupted,
            ErrorKind::Locked => Self::Locked,
            // `System`, and what a later core may add: it failed.
            _ => Self::Failed,
        }
    }

    /// The code for what an operation came to.
    pub(crate) fn of_report(report: &Report) -> Self {
        // What was found at the last look before a step is a refusal like what was found by the plan.
        let refusal = |row: &Row| {
            use Reason::{Busy, ForeignMount, MountPointNotEmpty, WrongStore, WrongVolume};
            matches!(row.reason, Some(Busy | ForeignMount | MountPointNotEmpty | WrongStore | WrongVolume))
        };
        let is_well = report.probe.as_ref().is_none_or(Probed::is_well);
        if report.failed.iter().any(|row| !refusal(row)) || !is_well {
            Self::Failed
        } else if !report.failed.is_empty() || report.refused() {
            Self::Refused
        } else {
            Self::Done
        }
    }

    /// The first of two results that is no success: what a command exits with that did two things.
    pub(crate) fn or(self, later: Self) -> Self {
        if self == Self::Done { later } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What `status APP` says in the words of the LSB (Linux Standard Base Core 5.0, 22.2 Init Script Actions).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lsb {
    /// Every mapping is bound.
    Running = 0,
    /// One is refused, or an operation stopped half-way.
    Dead = 1,
    /// One is not bound, and that is no fault.
    NotRunning = 3,
    /// There is no such app.
    Unknown = 4,
}

impl Lsb {
    /// The worst of some rows.
    pub(crate) fn of(rows: &[Row]) -> Self {
        let code = |state| match state {
            // What is being moved goes on being served until the last moment.
            State::Active | State::Drifted | State::Moving => Self::Running,
            State::Refused | State::Interrupted => Self::Dead,
            State::Disabled | State::Inactive | State::Waiting | State::Pending => Self::NotRunning,
        };
        let codes: Vec<Self> = rows.iter().map(|row| code(row.state)).collect();
        let worst_first = [Self::Dead, Self::NotRunning];
        worst_first.into_iter().find(|worst| codes.contains(worst)).unwrap_or(Self::Running)
    }
}

/// What `main` returns: a code of either table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(pub(crate) u8);

impl From<Exit> for Code {
    fn from(exit: Exit) -> Self {
        Self(exit as u8)
    }
}
impl From<Lsb> for Code {
    fn from(lsb: Lsb) -> Self {
        Self(lsb as u8)
    }
}
impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind with its code. The list is held against the source, so that a new kind cannot be forgotten.
    #[test]
    fn every_kind_of_error_has_its_code() {
        let table = [
            ("Usage", ErrorKind::Usage, 2),
            ("Invalid", ErrorKind::Invalid, 3),
            ("Refused", ErrorKind::Refused, 3),
            ("System", ErrorKind::System, 1),
            ("Privilege", ErrorKind::Privilege, 4),
            ("Locked", ErrorKind::Locked, 6),
            ("Interrupted", ErrorKind::Interrupted, 5),
        ];
        let source = include_str!("../../datastore-core/src/error.rs");
        let body = source.split_once("pub enum ErrorKind {").unwrap().1.split_once("\n}").unwrap().0;
        let declared: Vec<&str> =
            body.lines().map(str::trim).filter(|l| !l.starts_with("//")).filter_map(|l| l.strip_suffix(',')).collect();
        assert_eq!(declared, table.map(|(name, _, _)| name));
        for (name, kind, code) in table {
            assert_eq!(Exit::of(kind) as u8, code, "{name}");
            assert!(CODES.iter().any(|(named, _)| *named == code), "the help names {code}");
        }
    }

    #[test]
    fn lsb_codes_of_every_state() {
        let row = |state| Row {
            app: "a".into(),
            mount_point: "/a".into(),
            store: String::new(),
            volume: String::new(),
            state,
            reason: None,
            detail: String::new(),
            hint: String::new(),
        };
        for &state in State::ALL {
            let code = match state.as_str() {
                "active" | "drifted" | "moving" => 0,
                "refused" | "interrupted" => 1,
                "inactive" | "disabled" | "pending" | "waiting" => 3,
                new => panic!("what does `{new}` mean for an init script?"),
            };
            assert_eq!(Lsb::of(&[row(State::Active), row(state)]) as u8, code, "{state}");
        }
        assert_eq!(Lsb::of(&[row(State::Pending), row(State::Refused)]), Lsb::Dead);
        assert_eq!(Lsb::of(&[]), Lsb::Running);
    }
}
