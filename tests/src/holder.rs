//! A process that keeps something busy.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::fs::FlockOperation;

use crate::sandbox::{Sandbox, plain_command};

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

/// Holds the lock of an app, as a run that is at work on it does, until the file is closed.
///
/// # Panics
/// If it cannot be taken.
#[must_use]
#[track_caller]
pub fn lock(sandbox: &Sandbox, app: &str) -> File {
    let path = sandbox.path(format!("/run/datastore/lock/app-{app}.lock"));
    let file = File::options().create(true).append(true).open(&path).expect("open a lock");
    rustix::fs::flock(&file, FlockOperation::LockExclusive).expect("take a lock");
    let line = format!(
        "{{\"pid\":{},\"command\":\"the other run\",\"since\":\"2026-11-23T10:00:00Z\",\"operation\":\"restart {app}\"}}\n",
        std::process::id()
    );
    std::fs::write(&path, line).expect("sign a lock");
    file
}
