//! What a rig has counted, for the page of proofs.

#![allow(clippy::print_stderr, reason = "the counts belong to the test's output")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// The variable that names the directory for evidence; without it the counts are only printed.
const DIRECTORY: &str = "DATASTORE_EVIDENCE";

/// What one experiment did. It is written down at its end; one that fails leaves none.
#[derive(Debug)]
pub struct Evidence {
    told: Told,
    begun: Instant,
}

/// The same as it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The rig: `power`, `calls`, `races`.
    pub rig: String,
    /// The experiment in a few words: `move, ext4, lazy`.
    pub what: String,
    /// The invariants that it speaks for, by their numbers in the list of `SECURITY.md`.
    pub invariants: Vec<u32>,
    /// What was counted: `states` and how many.
    pub counts: BTreeMap<String, u64>,
    /// How long it took, in whole seconds.
    pub seconds: u64,
}

impl Evidence {
    /// Begins an experiment.
    #[must_use]
    pub fn new(rig: &str, what: impl Into<String>, invariants: &[u32]) -> Self {
        let told = Told {
            rig: rig.to_owned(),
            what: what.into(),
            invariants: invariants.to_vec(),
            counts: BTreeMap::new(),
            seconds: 0,
        };
        Self { told, begun: Instant::now() }
    }

    /// Adds to a count.
    pub fn count(&mut self, what: &str, number: u64) {
        *self.told.counts.entry(what.to_owned()).or_default() += number;
    }

    /// What was counted so far.
    #[must_use]
    pub fn counted(&self, what: &str) -> u64 {
        self.told.counts.get(what).copied().unwrap_or_default()
    }

    /// Ends the experiment well: prints what was counted, and writes it down where that is asked for.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn conclude(mut self) {
        self.told.seconds = self.begun.elapsed().as_secs();
        let counts: Vec<String> = self.told.counts.iter().map(|(what, number)| format!("{number} {what}")).collect();
        let Told { rig, what, seconds, .. } = &self.told;
        eprintln!("{rig}: {what}: {} ({seconds} s)", counts.join(", "));
        let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
        let plain: String = what.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let path = directory.join(format!("{rig}-{plain}.json"));
        let text = serde_json::to_string_pretty(&self.told).expect("plain values");
        std::fs::write(&path, text + "\n").unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
    }
}
