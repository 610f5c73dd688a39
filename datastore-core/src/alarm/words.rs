//! The words of an alarm: the subject of a mail, the line of a log, a text.

use std::fmt::Write as _;

use super::{Alarm, Kind};
use crate::path::printable;

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
    clean(&format!("datastore: {}{host}: {what}", about(alarm)))
}

/// The sentence of an alarm with its hint, on one line.
#[must_use]
pub fn line(alarm: &Alarm, occasion: Occasion) -> String {
    let (about, word, detail) = (about(alarm), alarm.word(), &alarm.detail);
    let at = if alarm.kind == Kind::Mapping && !alarm.mount_point.is_empty() {
        format!("{}: ", alarm.mount_point)
    } else {
        String::new()
    };
    let mut text = match occasion {
        Occasion::Test => detail.clone(),
        Occasion::Cleared => format!("{about}: {at}{word} is over"),
        Occasion::Raised if alarm.kind == Kind::Mapping => format!("{about} must not start: {at}{word}: {detail}"),
        Occasion::Raised => format!("{about}: {word}: {detail}"),
    };
    if occasion == Occasion::Raised && !alarm.hint.is_empty() {
        let _ = write!(text, " (hint: {})", alarm.hint);
    }
    clean(&text)
}

/// What tells one alarm from another for programs that keep a list of them: the same when it is over as when it was raised.
#[must_use]
pub fn token(alarm: &Alarm) -> String {
    let (kind, whose, mount_point, reason) = alarm.key();
    let parts = [kind.as_str(), whose, mount_point, reason.map_or("", |reason| reason.as_str())];
    let said: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    clean(&format!("datastore:{}", said.join(":")))
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
    let about = about(alarm);
    let what = match (occasion, alarm.kind) {
        (Occasion::Test, _) => "a test of the alarm".into(),
        (Occasion::Cleared, _) => format!("this alarm of {about} is over"),
        (Occasion::Raised, Kind::Mapping) => format!("{about} must not start on its data"),
        (Occasion::Raised, Kind::Service) => format!("services of {about} are not as they should be"),
        (Occasion::Raised, Kind::Volume) => format!("{about} is not there, or is not the one that it must be"),
        (Occasion::Raised, Kind::Space | Kind::Inodes) => format!("{about} is nearly full"),
        (Occasion::Raised, Kind::ReadOnly) => format!("nothing can be written to {about}"),
    };
    field("what", &what);
    field("host", host);
    field("app", &alarm.app);
    field("volume", &alarm.volume);
    field(if alarm.kind.is_of_volume() { "path" } else { "mount point" }, &alarm.mount_point);
    field("reason", if occasion == Occasion::Test { "" } else { alarm.word() });
    field("detail", &alarm.detail);
    field("hint", if occasion == Occasion::Raised { &alarm.hint } else { "" });
    text
}

/// What an alarm is about.
fn about(alarm: &Alarm) -> String {
    if alarm.kind.is_of_volume() { format!("volume `{}`", alarm.volume) } else { format!("`{}`", alarm.app) }
}

fn clean(text: &str) -> String {
    printable(text.as_bytes())
}
