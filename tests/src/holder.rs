//! A process that keeps something busy.

use std::path::Path;
use std::process::{Child, Stdio};

use crate::sandbox::plain_command;

/// A process that keeps something busy; it ends when this is dropped.
#[derive(Debug)]
pub struct Holder(Child);

impl Holder {
    /// Starts `sleep` with its working directory somewhere.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    #[track_caller]
    pub fn in_directory(directory: &Path) -> Self {
        let mut command = plain_command("sleep");
        command.arg("600").current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null());
        // The child is in the directory before it executes anything, and `spawn` returns after that.
        Self(command.spawn().unwrap_or_else(|e| panic!("cannot start sleep in {}: {e}", directory.display())))
    }

    /// Takes a process that runs.
    #[must_use]
    pub fn of(child: Child) -> Self {
        Self(child)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
