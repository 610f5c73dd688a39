//! A moment as people type it.

use std::time::{Duration, SystemTime};

use datastore_core::journal::OperationId;
use datastore_core::{Error, ErrorKind, Result};

/// A moment, or a time that counts from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// This moment.
    At(SystemTime),
    /// So long ago.
    Ago(Duration),
}

impl Since {
    /// Reads `2026-11-23`, `2026-11-23T17:43:01Z`, `2026-11-23 17:43:01` (all UTC), `2h`, `3d`, `1h 30m`.
    pub(super) fn parse(text: &str) -> std::result::Result<Self, String> {
        if let Ok(long) = humantime::parse_duration(text) {
            return Ok(Self::Ago(long));
        }
        let midnight = format!("{text}T00:00:00Z");
        let moment = humantime::parse_rfc3339_weak(text).or_else(|_| humantime::parse_rfc3339(&midnight));
        moment.map(Self::At).map_err(|_| "a time was wanted, such as 2026-11-23, 2026-11-23T17:43:01Z, 2h or 3d".into())
    }

    /// The first name that an operation of that time can have.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for a time before 1970 or after the year 9999.
    pub(crate) fn operation(self, now: SystemTime) -> Result<OperationId> {
        let far = || Error::new(ErrorKind::Usage, "`--since` is too far away").hint("give a date, such as 2026-11-23");
        let moment = match self {
            Self::At(moment) => moment,
            Self::Ago(long) => now.checked_sub(long).ok_or_else(far)?,
        };
        let seconds = moment.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| far())?.as_secs();
        // humantime knows years up to 9999.
        if seconds >= 253_402_300_800 {
            return Err(far());
        }
        OperationId::new(&humantime::format_rfc3339_millis(moment).to_string(), [0; 4]).map_err(|_| far())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_typed() {
        let now = humantime::parse_rfc3339("2026-11-23T17:43:01.250Z").unwrap();
        for (text, first) in [
            ("2026-11-23", "20261123T000000000Z-00000000"),
            ("2026-11-23T17:43:01Z", "20261123T174301000Z-00000000"),
            ("2026-11-23 17:43:01", "20261123T174301000Z-00000000"),
            ("2h", "20261123T154301250Z-00000000"),
            ("1d 30m", "20261122T171301250Z-00000000"),
        ] {
            let since = Since::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(since.operation(now).unwrap().as_str(), first, "{text}");
        }
        for wrong in ["", "yesterday", "2026-13-01", "17:43"] {
            assert!(Since::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Since::parse("500y").unwrap().operation(now).unwrap_err().kind(), ErrorKind::Usage);
    }
}
