//! How many inputs a target has had, over all sessions of one version: `target/fuzz/tally/VERSION/TARGET.json`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::failure::{Doing as _, Result};
use crate::repo::Repo;

/// The count of one target.
pub(super) struct Tally {
    target: String,
    file: PathBuf,
    /// Inputs that were tried.
    pub(super) runs: u64,
    /// How long that took.
    seconds: f64,
    /// Processes that did not end well.
    crashes: u64,
    sessions: u64,
    /// Of the last session.
    last: Option<(u64, f64)>,
}

impl Tally {
    /// What is known; zero if nothing is, or if the file was cut.
    pub(super) fn read(repo: &Repo, target: &str) -> Result<Self> {
        let file = repo.target().join("fuzz/tally").join(env!("CARGO_PKG_VERSION")).join(format!("{target}.json"));
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).doing(format_args!("read {}", file.display())),
        };
        let known: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let number = |key: &str| known[key].as_u64().unwrap_or(0);
        Ok(Self {
            target: target.to_owned(),
            runs: number("runs"),
            seconds: known["seconds"].as_f64().unwrap_or(0.0),
            crashes: number("crashes"),
            sessions: number("sessions"),
            last: None,
            file,
        })
    }

    /// Adds a session.
    pub(super) fn add(&mut self, runs: u64, time: Duration, crashes: u64) {
        self.runs += runs;
        self.seconds += time.as_secs_f64();
        self.crashes += crashes;
        self.sessions += 1;
        self.last = Some((runs, time.as_secs_f64()));
    }

    /// Keeps it, whole or not at all.
    pub(super) fn write(&self) -> Result {
        let dir = self.file.parent().expect("it lies in a directory");
        fs::create_dir_all(dir).doing(format_args!("make {}", dir.display()))?;
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, format!("{:#}\n", self.value())).doing(format_args!("write {}", fresh.display()))?;
        fs::rename(&fresh, &self.file).doing(format_args!("rename {}", fresh.display()))
    }

    /// A line for programs.
    pub(super) fn line(&self) -> String {
        let mut value = self.value();
        if let Some((runs, seconds)) = self.last {
            #[allow(clippy::cast_precision_loss, reason = "a rate, rounded anyway")]
            let rate = (runs as f64 / seconds.max(0.001)).round();
            value["session"] = json!({"runs": runs, "seconds": seconds, "per_second": rate});
        }
        format!("fuzz: {value}")
    }

    /// The same as a value.
    pub(super) fn value(&self) -> serde_json::Value {
        let Self { target, runs, seconds, crashes, sessions, .. } = self;
        json!({"target": target, "runs": runs, "seconds": seconds, "crashes": crashes, "sessions": sessions})
    }
}
