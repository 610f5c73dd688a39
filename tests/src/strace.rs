//! Faults at one chosen system call of a command, through strace(1) (`-e inject`).
//!
//! Only the command's first thread is traced: it is the one that changes things, and its calls come in the same order each
//! time. A kill comes when the call begins, which is after everything before it.

use std::ffi::OsStr;
use std::fs;
use std::process::Command;

use crate::{Run, Sandbox};

/// One run under strace.
#[derive(Debug)]
pub struct Traced {
    /// How the command ended.
    pub run: Run,
    /// The call into which the fault was injected, with its arguments and paths; `None` if the run came to its end first.
    pub hit: Option<String>,
}

/// Runs `datastore --root ROOT ARGUMENT...` and kills it (SIGKILL) when it makes a system call for the `nth` time (from 1).
///
/// # Panics
/// If strace cannot be started.
#[track_caller]
pub fn kill<S: AsRef<OsStr>>(sandbox: &Sandbox, call: &str, nth: usize, args: &[S]) -> Traced {
    let command = sandbox.datastore_command(args);
    traced(sandbox, call, &format!("signal=KILL:when={nth}"), &command)
}

/// The same, but the `nth` call of one name fails with this error, such as `ENOSPC`.
///
/// # Panics
/// If strace cannot be started.
#[track_caller]
pub fn fail<S: AsRef<OsStr>>(sandbox: &Sandbox, call: &str, error: &str, nth: usize, args: &[S]) -> Traced {
    let command = sandbox.datastore_command(args);
    traced(sandbox, call, &format!("error={error}:when={nth}"), &command)
}

#[track_caller]
fn traced(sandbox: &Sandbox, calls: &str, fault: &str, command: &Command) -> Traced {
    let log = sandbox.path("trace");
    let mut strace = sandbox.command("strace");
    strace.args(["-qq", "-y", "-s", "64", "-o"]).arg(&log);
    strace.args(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:{fault}")]);
    strace.arg("--").arg(command.get_program()).args(command.get_args());
    let run = sandbox.run(strace);
    let text = fs::read(&log).unwrap_or_else(|e| run.fail(&format!("strace left no {}: {e}", log.display())));
    let text = String::from_utf8_lossy(&text);
    fs::remove_file(&log).expect("remove the log of strace");
    let hit = if fault.starts_with("signal") {
        // The call at which it died has no result.
        text.contains("+++ killed by SIGKILL").then(|| {
            text.lines()
                .rfind(|line| !line.starts_with("+++") && !line.starts_with("---"))
                .unwrap_or_default()
                .to_owned()
        })
    } else {
        text.lines().find(|line| line.ends_with("(INJECTED)")).map(str::to_owned)
    };
    Traced { run, hit }
}
