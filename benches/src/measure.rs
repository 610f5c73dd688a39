//! One command, timed from fork to exit.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a finished command cost, and said.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// From before the fork until it was reaped.
    pub(crate) wall: Duration,
    /// The most memory that it held, in KiB (`ru_maxrss`, getrusage(2)). It cannot be below that of this program,
    /// from which it was started: a few MiB.
    pub(crate) peak_kib: u64,
    /// Its standard output.
    pub(crate) stdout: String,
}

/// Runs a command that must end with exit code 0. Its output goes to files, so that no pipe fills up.
pub(crate) fn run(command: &mut Command) -> Result<Sample, String> {
    let line = datastore_tests::command::line(command);
    let io = |e: std::io::Error| format!("run `{line}`: {e}");
    let (mut stdout, mut stderr) = (tempfile::tempfile().map_err(io)?, tempfile::tempfile().map_err(io)?);
    command.stdin(Stdio::null()).stdout(stdout.try_clone().map_err(io)?).stderr(stderr.try_clone().map_err(io)?);
    let start = Instant::now();
    let child = command.spawn().map_err(io)?;
    let (status, peak_kib) = reap(child.id()).map_err(io)?;
    let wall = start.elapsed();
    let stdout = text(&mut stdout).map_err(io)?;
    if status != 0 {
        let stderr = text(&mut stderr).map_err(io)?;
        return Err(format!("`{line}` ended with wait status {status:#x}\n{stdout}{stderr}"));
    }
    Ok(Sample { wall, peak_kib, stdout })
}

fn text(file: &mut File) -> std::io::Result<String> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Waits for a child; gives its wait status and the most memory that it held, which std does not ask for.
fn reap(pid: u32) -> std::io::Result<(i32, u64)> {
    let pid = libc::pid_t::try_from(pid).map_err(std::io::Error::other)?;
    let mut status = 0;
    #[allow(unsafe_code, reason = "wait4(2) has no safe form that gives the resource usage of one child")]
    // SAFETY: rusage is plain data, for which zero is a value; both pointers are to live variables of the right types.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        while libc::wait4(pid, &raw mut status, 0, &raw mut usage) == -1 {
            let error = std::io::Error::last_os_error();
            if error.kind() != std::io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        usage
    };
    Ok((status, u64::try_from(usage.ru_maxrss).unwrap_or(0)))
}

/// The middle of some numbers; of an even count the mean of the two middle ones. `None` of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn a_sample_has_time_memory_and_output() {
        let sample = run(Command::new("sh").args(["-c", "sleep 0.05; echo done"])).unwrap();
        assert!(sample.wall >= Duration::from_millis(50));
        assert!(sample.peak_kib > 100);
        assert_eq!(sample.stdout, "done\n");
        let error = run(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err();
        assert!(error.contains("0x300") && error.contains("why"), "{error}");
    }
}
