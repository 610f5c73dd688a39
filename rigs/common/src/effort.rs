//! How much is to be done.

use std::time::{Duration, Instant};

/// The variable that asks for more than a commit's share.
const RIGS: &str = "DATASTORE_RIGS";

/// How thorough a rig is. What is tried is the same; how much of it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// A sample that fits into every commit's tests.
    Share,
    /// Everything (`cargo xtask prove`).
    Release,
}

impl Effort {
    /// What this run was asked for: `DATASTORE_RIGS=release`, or nothing.
    ///
    /// # Panics
    /// If the variable says something else.
    #[must_use]
    pub fn asked() -> Self {
        match std::env::var(RIGS).as_deref() {
            Err(_) | Ok("share") => Self::Share,
            Ok("release") => Self::Release,
            Ok(other) => panic!("{RIGS}={other}: `share` and `release` are known"),
        }
    }

    /// One of two amounts.
    #[must_use]
    pub fn of<T>(self, share: T, release: T) -> T {
        match self {
            Self::Share => share,
            Self::Release => release,
        }
    }
}

/// How long an experiment that can go on for ever goes on: a commit's share for some time, a release's until enough was done.
#[derive(Debug)]
pub struct Budget {
    effort: Effort,
    begun: Instant,
    share: Duration,
}

impl Budget {
    /// Begins now. `share` is a commit's.
    #[must_use]
    pub fn of(share: Duration) -> Self {
        Self { effort: Effort::asked(), begun: Instant::now(), share }
    }

    /// Whether to stop; `is_enough` says so for a release.
    #[must_use]
    pub fn is_spent(&self, is_enough: bool) -> bool {
        match self.effort {
            Effort::Share => self.begun.elapsed() > self.share,
            Effort::Release => is_enough,
        }
    }
}
