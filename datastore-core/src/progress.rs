//! How far an operation is: what `/run/datastore/ops/<operation>.json` tells while it runs, and for some time after.

use serde::{Deserialize, Serialize};

use crate::amount::{count, size, time};
use crate::journal::OperationId;

/// The content of the file. Its field names are part of the interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The operation.
    pub operation: OperationId,
    /// What was asked for, as on the command line.
    pub goal: String,
    /// The plan that it carries out, as `plan --save` has printed it, so that whoever applied a kept plan finds its operation; empty in what
    /// an older program wrote.
    #[serde(default)]
    pub plan: String,
    /// [`Progress::RUNNING`], or how it ended.
    pub state: String,
    /// When it began, in seconds since 1970.
    pub since: i64,
    /// How many steps are done.
    pub done: usize,
    /// How many there are.
    pub steps: usize,
    /// The step that is under way, as a sentence; the last one that was done where each is over in an instant.
    pub what: String,
    /// The process that is at work.
    pub pid: u32,
    /// The mount points whose data it moves.
    #[serde(default)]
    pub mount_points: Vec<String>,
    /// How far the step is that walks a tree; `null` in any other.
    #[serde(default)]
    pub walk: Option<Walk>,
}

impl Progress {
    /// The state of one that has not ended.
    pub const RUNNING: &'static str = "running";
    /// The state of one that says that it runs, and whose process has gone. It is never written.
    pub const INTERRUPTED: &'static str = "interrupted";
}

/// How far a walk over trees is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// What is done: `copying`, `copying changes`, `comparing`, `removing`; `measuring` by `usage`.
    pub what: String,
    /// The tree that is being walked.
    pub tree: String,
    /// Which pass over the trees of the operation this is, from 1. The last one is made while the services are stopped.
    pub pass: u32,
    /// How many files, directories and other things so far, in all trees of this pass.
    pub entries: u64,
    /// How many there are, as far as that is known.
    pub entries_total: Option<u64>,
    /// How many bytes of files so far.
    pub bytes: u64,
    /// How many there are, where all of them count.
    pub bytes_total: Option<u64>,
    /// How many bytes a second in the last seconds.
    pub bytes_per_second: u64,
    /// About how many seconds this walk will still take, where that can be told.
    pub seconds_left: Option<u64>,
}

impl Walk {
    /// As much work as one entry is, in bytes: a disk has to go somewhere for each.
    const ENTRY: u64 = 10 << 10;

    /// How much of it is done, from 0 to 1; `None` where nobody knows how much there is. A tree that is in use may have grown.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        let work = |entries: u64, bytes: u64| (entries.saturating_mul(Self::ENTRY)).saturating_add(bytes);
        let (done, all) = match (self.entries_total?, self.bytes_total) {
            (entries, Some(bytes)) => (work(self.entries, self.bytes), work(entries, bytes)),
            (entries, None) => (self.entries, entries),
        };
        #[allow(clippy::cast_precision_loss, reason = "a few digits are shown")]
        let fraction = done as f64 / all.max(1) as f64;
        Some(fraction.min(1.0))
    }

    /// How much is done, of how much.
    #[must_use]
    pub fn amount(&self) -> String {
        let entries = |n: u64| count(usize::try_from(n).unwrap_or(usize::MAX), "entry");
        let entries = match self.entries_total {
            Some(all) => format!("{} of {}", self.entries, entries(all)),
            None => entries(self.entries),
        };
        let bytes = match self.bytes_total {
            Some(all) => format!("{} of {}", size(self.bytes), size(all)),
            None => size(self.bytes),
        };
        format!("{entries}, {bytes}")
    }

    /// How fast it is, and how long it will take.
    #[must_use]
    pub fn pace(&self) -> String {
        let rate = format!("{}/s", size(self.bytes_per_second));
        match self.seconds_left {
            Some(seconds) => format!("{rate}, about {} left", time(seconds)),
            None => rate,
        }
    }
}

/// One line.
impl std::fmt::Display for Walk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, tree, pass, .. } = self;
        write!(f, "{what} {tree} (pass {pass}): {}, {}", self.amount(), self.pace())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk() -> Walk {
        Walk {
            what: "copying".into(),
            tree: "/home".into(),
            pass: 1,
            entries: 5_000,
            entries_total: Some(20_000),
            bytes: 512 << 20,
            bytes_total: Some(2 << 30),
            bytes_per_second: 64 << 20,
            seconds_left: Some(25),
        }
    }

    #[test]
    fn a_walk_is_told_with_what_is_known() {
        let text = walk().to_string();
        assert_eq!(
            text,
            "copying /home (pass 1): 5000 of 20000 entries, 512 MiB of 2.0 GiB, 64 MiB/s, about 25 s left"
        );
        let little =
            Walk { entries: 1, entries_total: None, bytes: 10, bytes_total: None, seconds_left: None, ..walk() };
        assert_eq!(little.to_string(), "copying /home (pass 1): 1 entry, 10 B, 64 MiB/s");
    }

    #[test]
    fn the_fraction_counts_entries_and_bytes() {
        assert!((walk().fraction().unwrap() - 0.25).abs() < 0.001);
        assert_eq!(Walk { bytes_total: None, ..walk() }.fraction(), Some(0.25));
        assert_eq!(Walk { entries_total: None, ..walk() }.fraction(), None);
        // It has grown since it was counted, and an empty one is done.
        assert_eq!(Walk { entries: 30_000, bytes: 3 << 30, ..walk() }.fraction(), Some(1.0));
        assert_eq!(
            Walk { entries: 0, bytes: 0, entries_total: Some(0), bytes_total: Some(0), ..walk() }.fraction(),
            Some(0.0)
        );
    }

    #[test]
    fn what_an_older_program_wrote_is_read() {
        let text = r#"{"operation":"20261123T174301250Z-1a2b3c4d","goal":"apply","state":"running","since":1,"done":2,"steps":3,"what":"x","pid":4}"#;
        let told: Progress = serde_json::from_str(text).unwrap();
        assert_eq!((told.mount_points, told.walk, told.state.as_str()), (vec![], None, Progress::RUNNING));
        assert_eq!(told.plan, "");
    }
}
