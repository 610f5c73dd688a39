//! What must never happen, told when it did.

use std::sync::{Mutex, PoisonError};

/// So many are told in full.
const TOLD: usize = 20;

/// Everything that went wrong so far.
#[derive(Debug, Default)]
pub struct Violations(Mutex<(Vec<String>, u64)>);

impl Violations {
    /// Notes one.
    pub fn add(&self, what: impl Into<String>) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.1 += 1;
        if found.0.len() < TOLD {
            found.0.push(what.into());
        }
    }

    /// How many there are.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Whether there are so many that going on would tell nothing new.
    #[must_use]
    pub fn are_enough(&self) -> bool {
        self.number() >= TOLD as u64
    }

    /// Demands that there are none.
    ///
    /// # Panics
    /// With all that was noted.
    #[track_caller]
    pub fn verdict(&self) {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(found.1 == 0, "{} violations, among them:\n  {}", found.1, found.0.join("\n  "));
    }
}
