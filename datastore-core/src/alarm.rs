//! Alarms: what an administrator must hear of at once. Which ones are open, which are new, which are over, and their words.
//!
//! An alarm is about one mapping and one reason, about the services of an app, or about a volume. It is raised once, however often the same
//! thing is found again. One about a mapping is over when the mapping is bound again or not asked for any more; one about services when the
//! app starts again or is taken down on purpose; one about a volume when whoever watches volumes finds it well. The open ones are kept in a
//! [`Book`].

mod sinks;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::checksum;
use crate::path::AbsPath;
use crate::state::{Reason, State, words};
use crate::status::Row;
use crate::value::VolumeName;

pub use sinks::Sinks;
pub use words::{Occasion, body, line, subject, token};

/// The version of the book that is written; a higher one is refused.
const VERSION: u32 = 1;

words! {
    /// What an alarm is about.
    Kind {
        /// A mapping, or the configuration that would say which there are.
        Mapping = "mapping",
        /// Services of an app, which could not be stopped or started around a move of its data.
        Service = "service",
        /// A volume that is missing, or is another one.
        Volume = "volume",
        /// A volume with few bytes left.
        Space = "space",
        /// A volume with few inodes left.
        Inodes = "inodes",
        /// A volume to which nothing can be written.
        ReadOnly = "read-only",
    }
}

impl Kind {
    /// Whether it is about a volume, and not about an app.
    #[must_use]
    pub const fn is_of_volume(self) -> bool {
        matches!(self, Self::Volume | Self::Space | Self::Inodes | Self::ReadOnly)
    }

    /// What alarms were about before there was another kind.
    const fn first() -> Self {
        Self::Mapping
    }
}

/// One alarm that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What it is about.
    #[serde(default = "Kind::first")]
    pub kind: Kind,
    /// The app; empty for an alarm about a volume.
    pub app: String,
    /// The volume; empty where it is not known.
    #[serde(default)]
    pub volume: String,
    /// The mount point, or where the volume is; empty where the configuration cannot be read at all, and for services.
    pub mount_point: String,
    /// What the mapping or the volume was found to be; `refused` for services.
    pub state: State,
    /// Why it is refused; `null` in any other state.
    pub reason: Option<Reason>,
    /// A sentence.
    pub detail: String,
    /// The command that mends it.
    pub hint: String,
    /// Seconds since 1970.
    pub since: i64,
    /// Whether every sink took it. One that was not told everywhere is told again.
    pub told: bool,
}

impl Alarm {
    fn of(row: &Row, now: i64) -> Self {
        Self {
            kind: Kind::Mapping,
            app: row.app.clone(),
            volume: row.volume.clone(),
            mount_point: row.mount_point.clone(),
            state: row.state,
            reason: row.reason,
            detail: row.detail.clone(),
            hint: row.hint.clone(),
            since: now,
            told: false,
        }
    }

    fn of_services(app: &str, failure: &Failure, now: i64) -> Self {
        Self {
            kind: Kind::Service,
            app: app.into(),
            volume: String::new(),
            mount_point: String::new(),
            state: State::Refused,
            reason: None,
            detail: failure.detail.clone(),
            hint: failure.hint.clone(),
            since: now,
            told: false,
        }
    }

    fn of_volume(trouble: &Trouble, now: i64) -> Self {
        Self {
            kind: trouble.kind,
            app: String::new(),
            volume: trouble.volume.to_string(),
            mount_point: trouble.path.to_string(),
            state: trouble.state,
            reason: trouble.reason,
            detail: trouble.detail.clone(),
            hint: trouble.hint.clone(),
            since: now,
            told: false,
        }
    }

    /// The alarm that `datastore alarm test` sends.
    #[must_use]
    pub fn test(now: i64) -> Self {
        Self {
            kind: Kind::Mapping,
            app: "test".into(),
            volume: String::new(),
            mount_point: String::new(),
            state: State::Active,
            reason: None,
            detail: "this is a test; nothing is wrong".into(),
            hint: String::new(),
            since: now,
            told: false,
        }
    }

    /// One alarm for so many others, which nobody wants to be called for one by one.
    #[must_use]
    pub fn many(others: usize, now: i64) -> Self {
        Self {
            kind: Kind::Mapping,
            app: format!("{others} more"),
            volume: String::new(),
            mount_point: String::new(),
            state: State::Refused,
            reason: None,
            detail: format!("{others} more mappings are in the same alarm"),
            hint: "datastore alarm list".into(),
            since: now,
            told: false,
        }
    }

    /// What makes two alarms the same one.
    fn key(&self) -> (Kind, &str, &str, Option<Reason>) {
        let whose = if self.kind.is_of_volume() { &self.volume } else { &self.app };
        (self.kind, whose, &self.mount_point, self.reason)
    }

    /// The word for what it is about: the reason, or the state where there is none.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.kind {
            Kind::Service => "service-failed",
            Kind::Space => "space-low",
            Kind::Inodes => "inodes-low",
            Kind::ReadOnly => "read-only",
            Kind::Mapping | Kind::Volume => self.reason.map_or(self.state.as_str(), Reason::as_str),
        }
    }
}

/// Why services could not be stopped or started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A sentence that names them.
    pub detail: String,
    /// What can be done.
    pub hint: String,
}

/// What is wrong with a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// One of the kinds that are about volumes.
    pub kind: Kind,
    /// The volume.
    pub volume: VolumeName,
    /// Where it is.
    pub path: AbsPath,
    /// Its state.
    pub state: State,
    /// Why it is refused, if it is.
    pub reason: Option<Reason>,
    /// A sentence.
    pub detail: String,
    /// What can be done.
    pub hint: String,
}

/// The open alarms, as `/var/lib/datastore/alarms.json` holds them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    version: u32,
    /// Oldest first.
    pub alarms: Vec<Alarm>,
}

impl Default for Book {
    fn default() -> Self {
        Self { version: VERSION, alarms: Vec::new() }
    }
}

/// What somebody has found out, for [`Book::settle`].
#[derive(Debug)]
pub struct Findings<'a, F> {
    /// The mappings that should be bound and are not, or are bound to something wrong.
    pub bad: Vec<&'a Row>,
    /// Mappings of which it was not found out whether they are well again: `(app, mount point)`.
    pub unsure: BTreeSet<(&'a str, &'a str)>,
    /// Whether an app was looked at.
    pub covers: F,
}

/// What changed by some findings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// To be told.
    pub raised: Vec<Alarm>,
    /// To be told as over.
    pub cleared: Vec<Alarm>,
}

impl Change {
    /// This change and another one that was made after it to the same book.
    #[must_use]
    pub fn and(mut self, later: Self) -> Self {
        // What was raised and is not told yet is raised by the second one again.
        self.raised = later.raised;
        self.cleared.extend(later.cleared);
        self
    }
}

impl Book {
    /// Reads it.
    ///
    /// # Errors
    /// A sentence if it is damaged or was written by a newer program.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        checksum::read_json(bytes, VERSION, |book: &Self| book.version)
    }

    /// Writes it.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        checksum::write_json(self)
    }

    /// Takes in what was found: opens what is new, closes what is over, and says which those are. An alarm that is open
    /// already keeps its time and is not raised again, but for one that was not told everywhere.
    pub fn settle<F: Fn(&str) -> bool>(&mut self, findings: &Findings<'_, F>, now: i64) -> Change {
        let found: Vec<Alarm> = findings.bad.iter().map(|row| Alarm::of(row, now)).collect();
        let places: BTreeMap<_, usize> = found.iter().enumerate().map(|(i, alarm)| (alarm.key(), i)).collect();
        let mut is_new = vec![true; found.len()];
        let mut change = Change::default();
        self.alarms.retain_mut(|open| {
            if let Some(&i) = places.get(&open.key()) {
                is_new[i] = false;
                // The words may be truer by now.
                open.detail.clone_from(&found[i].detail);
                open.hint.clone_from(&found[i].hint);
                return true;
            }
            let unsure = findings.unsure.contains(&(open.app.as_str(), open.mount_point.as_str()));
            // What is bound says nothing of services.
            let stays = open.kind != Kind::Mapping || !(findings.covers)(&open.app) || unsure;
            if !stays {
                change.cleared.push(open.clone());
            }
            stays
        });
        // One that was found twice is one alarm: the last, which has a place.
        let mut new = places.into_values().filter(|&i| is_new[i]).collect::<BTreeSet<_>>();
        // That a mapping is not bound is no news while it is known why.
        let is = |alarm: &Alarm, row: &Row| {
            (alarm.kind, &alarm.app, &alarm.mount_point) == (Kind::Mapping, &row.app, &row.mount_point)
        };
        let known = |row: &Row| self.alarms.iter().any(|alarm| is(alarm, row));
        new.retain(|&i| findings.bad[i].reason.is_some() || !known(findings.bad[i]));
        self.alarms.extend(new.into_iter().map(|i| found[i].clone()));
        change.raised.extend(self.untold());
        change
    }

    /// Takes in what became of the services of some apps: why they failed, or that they are as they should be.
    pub fn settle_services(
        &mut self,
        apps: impl Fn(&str) -> bool,
        failed: Option<(&str, &Failure)>,
        now: i64,
    ) -> Change {
        let found = failed.map(|(app, failure)| Alarm::of_services(app, failure, now));
        self.take_in(found.into_iter().collect(), |open| open.kind == Kind::Service, |open| apps(&open.app))
    }

    /// Takes in everything that is wrong with volumes, when all of them have been looked at.
    pub fn settle_volumes(&mut self, found: &[Trouble], now: i64) -> Change {
        let found = found.iter().map(|trouble| Alarm::of_volume(trouble, now)).collect();
        self.take_in(found, |open| open.kind.is_of_volume(), |_| true)
    }

    /// Takes in alarms of some kinds: what is open of these already keeps its time and gets the newer words, and what was looked at and not
    /// found again is over.
    fn take_in(
        &mut self,
        mut found: Vec<Alarm>,
        is_of: impl Fn(&Alarm) -> bool,
        was_looked_at: impl Fn(&Alarm) -> bool,
    ) -> Change {
        let mut change = Change::default();
        self.alarms.retain_mut(|open| {
            if !is_of(open) {
                return true;
            }
            if let Some(i) = found.iter().position(|found| found.key() == open.key()) {
                let found = found.remove(i);
                (open.detail, open.hint) = (found.detail, found.hint);
                return true;
            }
            let is_over = was_looked_at(open);
            if is_over {
                change.cleared.push(open.clone());
            }
            !is_over
        });
        self.alarms.extend(found);
        change.raised.extend(self.untold());
        change
    }

    /// Whether an alarm of this kind is open about a volume.
    #[must_use]
    pub fn has_of_volume(&self, kind: Kind, volume: &VolumeName) -> bool {
        self.alarms.iter().any(|open| open.kind == kind && open.volume == volume.as_str())
    }

    fn untold(&self) -> impl Iterator<Item = Alarm> + '_ {
        self.alarms.iter().filter(|open| !open.told).cloned()
    }

    /// Notes that some alarms were told to every sink.
    pub fn told(&mut self, which: &[Alarm]) {
        let which: BTreeSet<_> = which.iter().map(Alarm::key).collect();
        for open in &mut self.alarms {
            open.told |= which.contains(&open.key());
        }
    }
}

#[cfg(test)]
mod tests;
