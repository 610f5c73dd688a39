//! Alarms: what an administrator must hear of at once. Which ones are open, which are new, which are over, and their words.
//!
//! An alarm is about one mapping and one reason, or about the services of an app. It is raised once, however often the same thing is
//! found again. One about a mapping is over when the mapping is bound again or not asked for any more; one about services when the app
//! starts again or is taken down on purpose. The open ones are kept in a [`Book`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::path::AbsPath;
use crate::state::{Reason, State, words};
use crate::status::Row;

/// The version of the book that is written; a higher one is refused.
const VERSION: u32 = 1;

/// Where alarms go (`[alarm]` in `/etc/datastore.conf`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sinks {
    /// To syslog(3), which is journald's too; `None` means: where this root is the machine itself.
    pub syslog: Option<bool>,
    /// A program and its arguments; empty for none.
    pub command: Vec<String>,
    /// Addresses for a mail; empty for none.
    pub mail: Vec<String>,
    /// The program that takes mails, as sendmail(8) does.
    pub sendmail: AbsPath,
}

impl Default for Sinks {
    fn default() -> Self {
        Self { syslog: None, command: Vec::new(), mail: Vec::new(), sendmail: AbsPath::literal("/usr/sbin/sendmail") }
    }
}

words! {
    /// What an alarm is about.
    Kind {
        /// A mapping, or the configuration that would say which there are.
        Mapping = "mapping",
        /// Services of an app, which could not be stopped or started around a move of its data.
        Service = "service",
    }
}

impl Kind {
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
    /// The app.
    pub app: String,
    /// The mount point; empty where the configuration cannot be read at all, and for services.
    pub mount_point: String,
    /// What the mapping was found to be; `refused` for services.
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
            mount_point: String::new(),
            state: State::Refused,
            reason: None,
            detail: failure.detail.clone(),
            hint: failure.hint.clone(),
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
        (self.kind, &self.app, &self.mount_point, self.reason)
    }

    /// The word for what it is about: the reason, or the state where there is none.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.kind {
            Kind::Service => "service-failed",
            Kind::Mapping => self.reason.map_or(self.state.as_str(), Reason::as_str),
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

impl Book {
    /// Reads it.
    ///
    /// # Errors
    /// A sentence if it is damaged or was written by a newer program.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let book: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if book.version > VERSION {
            return Err(format!("a newer datastore wrote it (version {})", book.version));
        }
        Ok(book)
    }

    /// Writes it.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("a book holds nothing that JSON cannot");
        text.push(b'\n');
        text
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
        let mut change = Change::default();
        let mut new = failed.map(|(app, failure)| Alarm::of_services(app, failure, now));
        self.alarms.retain_mut(|open| {
            if open.kind != Kind::Service {
                return true;
            }
            if let Some(found) = new.take_if(|found| found.app == open.app) {
                (open.detail, open.hint) = (found.detail, found.hint);
                return true;
            }
            let stays = !apps(&open.app);
            if !stays {
                change.cleared.push(open.clone());
            }
            stays
        });
        self.alarms.extend(new);
        change.raised.extend(self.untold());
        change
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

/// Whether an alarm begins or is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// It begins.
    Raised,
    /// It is over.
    Cleared,
    /// Somebody tries whether alarms arrive.
    Test,
}

impl Occasion {
    /// The word, as programs are told it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Cleared => "cleared",
            Self::Test => "test",
        }
    }
}

/// One line about an alarm: the subject of a mail, the line of a log. It holds no control character.
#[must_use]
pub fn subject(alarm: &Alarm, occasion: Occasion, host: &str) -> String {
    let what = match occasion {
        Occasion::Raised => alarm.word().to_owned(),
        Occasion::Cleared => format!("{} is over", alarm.word()),
        Occasion::Test => "test of the alarm".into(),
    };
    let host = if host.is_empty() { String::new() } else { format!(" on {host}") };
    clean(&format!("datastore: `{}`{host}: {what}", alarm.app))
}

/// The sentence of an alarm with its hint, on one line.
#[must_use]
pub fn line(alarm: &Alarm, occasion: Occasion) -> String {
    let mut text = match (occasion, alarm.mount_point.as_str()) {
        (Occasion::Test, _) => alarm.detail.clone(),
        (Occasion::Cleared, "") => format!("`{}`: {} is over", alarm.app, alarm.word()),
        (Occasion::Cleared, at) => format!("`{}`: {at}: {} is over", alarm.app, alarm.word()),
        (Occasion::Raised, "") if alarm.kind == Kind::Service => {
            format!("`{}`: {}: {}", alarm.app, alarm.word(), alarm.detail)
        }
        (Occasion::Raised, "") => format!("`{}` must not start: {}: {}", alarm.app, alarm.word(), alarm.detail),
        (Occasion::Raised, at) => format!("`{}` must not start: {at}: {}: {}", alarm.app, alarm.word(), alarm.detail),
    };
    if occasion == Occasion::Raised && !alarm.hint.is_empty() {
        let _ = write!(text, " (hint: {})", alarm.hint);
    }
    clean(&text)
}

/// The text of a mail.
#[must_use]
pub fn body(alarm: &Alarm, occasion: Occasion, host: &str) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{:<12} {}", format!("{name}:"), clean(value));
        }
    };
    match occasion {
        Occasion::Raised if alarm.kind == Kind::Service => {
            field("what", &format!("services of `{}` are not as they should be", alarm.app));
        }
        Occasion::Raised => field("what", &format!("`{}` must not start on its data", alarm.app)),
        Occasion::Cleared => field("what", &format!("this alarm of `{}` is over", alarm.app)),
        Occasion::Test => field("what", "a test of the alarm"),
    }
    field("host", host);
    field("app", &alarm.app);
    field("mount point", &alarm.mount_point);
    field("reason", if occasion == Occasion::Test { "" } else { alarm.word() });
    field("detail", &alarm.detail);
    field("hint", if occasion == Occasion::Raised { &alarm.hint } else { "" });
    text
}

fn clean(text: &str) -> String {
    crate::path::printable(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(app: &str, mount_point: &str, reason: Reason) -> Row {
        Row {
            app: app.into(),
            mount_point: mount_point.into(),
            store: String::new(),
            volume: String::new(),
            state: State::Refused,
            reason: Some(reason),
            detail: "a sentence".into(),
            hint: format!("datastore start {app}"),
        }
    }

    fn settle(book: &mut Book, bad: &[&Row], now: i64) -> (usize, usize) {
        let findings = Findings { bad: bad.to_vec(), unsure: BTreeSet::new(), covers: |_: &str| true };
        let change = book.settle(&findings, now);
        book.told(&change.raised);
        (change.raised.len(), change.cleared.len())
    }

    #[test]
    fn once_raised_it_is_quiet_until_it_is_over() {
        let mut book = Book::default();
        let (a, b) = (row("a", "/a", Reason::VolumeMissing), row("b", "/b", Reason::WrongStore));
        assert_eq!(settle(&mut book, &[&a], 1), (1, 0));
        assert_eq!(settle(&mut book, &[&a, &b], 2), (1, 0), "the old one is not raised again");
        assert_eq!(book.alarms.iter().map(|alarm| alarm.since).collect::<Vec<_>>(), [1, 2]);
        // Another reason for the same mapping is another alarm.
        let worse = row("a", "/a", Reason::WrongVolume);
        assert_eq!(settle(&mut book, &[&worse, &b], 3), (1, 1));
        assert_eq!(settle(&mut book, &[], 4), (0, 2));
        assert_eq!(book, Book::default());
    }

    #[test]
    fn what_was_not_looked_at_or_is_not_sure_stays_open() {
        let mut book = Book::default();
        let (a, b) = (row("a", "/a", Reason::HookFailed), row("b", "/b", Reason::WrongStore));
        settle(&mut book, &[&a, &b], 1);
        let only_a = Findings { bad: vec![], unsure: BTreeSet::new(), covers: |app: &str| app == "a" };
        assert_eq!(book.clone().settle(&only_a, 2).cleared.len(), 1);
        let unsure = Findings { bad: vec![], unsure: BTreeSet::from([("a", "/a")]), covers: |_: &str| true };
        let cleared = book.settle(&unsure, 2).cleared;
        assert_eq!(cleared.iter().map(|alarm| alarm.app.as_str()).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn that_a_mapping_is_not_bound_is_no_alarm_beside_the_one_that_says_why() {
        let mut book = Book::default();
        let failed = row("a", "/a", Reason::HookFailed);
        let pending = |at: &str| Row { state: State::Pending, reason: None, ..row("a", at, Reason::HookFailed) };
        settle(&mut book, &[&failed], 1);
        let (a, b) = (pending("/a"), pending("/b"));
        let guard = Findings { bad: vec![&a, &b], unsure: BTreeSet::new(), covers: |_: &str| false };
        let raised = book.settle(&guard, 2).raised;
        assert_eq!(raised.iter().map(|alarm| alarm.mount_point.as_str()).collect::<Vec<_>>(), ["/b"]);
        assert_eq!(book.alarms.len(), 2);
    }

    #[test]
    fn services_have_an_alarm_of_their_own() {
        let mut book = Book::default();
        let failure = |detail: &str| Failure { detail: detail.into(), hint: "journalctl -u a.service".into() };
        let only = |app: &'static str| move |other: &str| other == app;
        let first = book.settle_services(only("a"), Some(("a", &failure("a.service could not be started"))), 1);
        book.told(&first.raised);
        assert_eq!((first.raised.len(), first.cleared.len()), (1, 0));
        let again = book.settle_services(only("a"), Some(("a", &failure("b.service could not be started"))), 2);
        assert_eq!(again, Change::default(), "it is raised once");
        assert_eq!((book.alarms[0].since, book.alarms[0].detail.as_str()), (1, "b.service could not be started"));
        // That the mapping is bound, or is not, is another matter.
        let broken = row("a", "/a", Reason::WrongStore);
        assert_eq!(settle(&mut book, &[&broken], 3), (1, 0));
        assert_eq!(settle(&mut book, &[], 4), (0, 1));
        assert_eq!(Book::parse(&book.render()), Ok(book.clone()));
        assert_eq!(book.settle_services(only("b"), None, 5), Change::default());
        let over = book.settle_services(only("a"), None, 5);
        assert_eq!((over.raised.len(), over.cleared.len()), (0, 1));
        assert_eq!(book, Book::default());

        let alarm = &over.cleared[0];
        assert_eq!(
            line(alarm, Occasion::Raised),
            "`a`: service-failed: b.service could not be started (hint: journalctl -u a.service)"
        );
        assert_eq!(line(alarm, Occasion::Cleared), "`a`: service-failed is over");
        assert_eq!(subject(alarm, Occasion::Raised, "mail"), "datastore: `a` on mail: service-failed");
        assert!(
            body(alarm, Occasion::Raised, "").starts_with("what:        services of `a` are not as they should be\n")
        );
    }

    #[test]
    fn an_alarm_of_before_there_were_kinds_is_about_a_mapping() {
        let mut book = Book::default();
        settle(&mut book, &[&row("a", "/a", Reason::NoSpace)], 7);
        let text = String::from_utf8(book.render()).unwrap();
        let old = text.replace("      \"kind\": \"mapping\",\n", "");
        assert_ne!(old, text);
        assert_eq!(Book::parse(old.as_bytes()), Ok(book));
    }

    #[test]
    fn what_was_not_told_everywhere_is_told_again() {
        let mut book = Book::default();
        let a = row("a", "/a", Reason::VolumeMissing);
        let findings = Findings { bad: vec![&a], unsure: BTreeSet::new(), covers: |_: &str| true };
        assert_eq!(book.settle(&findings, 1).raised.len(), 1);
        assert_eq!(book.settle(&findings, 2).raised[0].since, 1);
    }

    #[test]
    fn the_book_is_read_as_it_was_written_and_a_newer_one_is_refused() {
        let mut book = Book::default();
        settle(&mut book, &[&row("a", "/a", Reason::NoSpace)], 7);
        assert_eq!(Book::parse(&book.render()), Ok(book));
        assert!(Book::parse(b"{\"version\":2,\"alarms\":[]}").unwrap_err().contains("version 2"));
        assert!(Book::parse(b"{\"version\":1").is_err());
    }

    #[test]
    fn every_reason_has_its_words_on_one_line() {
        for &reason in Reason::ALL {
            let alarm = Alarm::of(&row("mysqld", "/var/lib/mysql", reason), 1);
            let text = line(&alarm, Occasion::Raised);
            assert_eq!(
                text,
                format!("`mysqld` must not start: /var/lib/mysql: {reason}: a sentence (hint: datastore start mysqld)")
            );
            assert_eq!(subject(&alarm, Occasion::Raised, "mail"), format!("datastore: `mysqld` on mail: {reason}"));
            assert!(body(&alarm, Occasion::Raised, "mail").contains("hint:        datastore start mysqld\n"));
            assert!(line(&alarm, Occasion::Cleared).ends_with(&format!("{reason} is over")));
        }
        let mut evil = Alarm::of(&row("a", "/a\nb", Reason::NoSpace), 1);
        evil.detail = "x\n\u{1b}[31mBcc: all".into();
        let all = [subject(&evil, Occasion::Raised, "h\ni"), line(&evil, Occasion::Raised)];
        assert!(all.iter().all(|text| !text.contains(char::is_control)), "{all:?}");
        assert!(body(&evil, Occasion::Raised, "").lines().all(|l| !l.starts_with("Bcc") && !l.contains('\u{1b}')));
    }
}
