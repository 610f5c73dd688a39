//! Other programs that datastore runs: a fixed list of words, no shell, a clean environment, nothing to read.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use datastore_core::path::printable;
use datastore_core::{Error, ErrorKind};

/// How much of what a program complained of stands in an error.
const SHOWN: usize = 600;
/// Where programs are looked for.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs a program to its end. `package` is the Debian package that holds it. If this process dies meanwhile, the program dies too:
/// a mkfs that went on would work on a disk that the next run has in hand.
///
/// # Errors
/// Only if it could not be run; how it ended is in the output.
pub(crate) fn run<A: AsRef<OsStr>>(program: &str, package: &str, args: &[A]) -> Result<Output, Error> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).env_clear();
    command.env("PATH", PATH).env("LC_ALL", "C");
    die_with_us(&mut command);
    command.output().map_err(|error| {
        let message = format!("cannot run `{program}`");
        let failed = match error.kind() {
            std::io::ErrorKind::NotFound => Error::new(ErrorKind::System, format!("{message}: it is not installed"))
                .hint(format!("install the package {package} (that is its name on Debian)")),
            std::io::ErrorKind::PermissionDenied => Error::new(ErrorKind::Privilege, message).hint("run it as root"),
            _ => Error::new(ErrorKind::System, message),
        };
        failed.caused_by(error)
    })
}

/// What a program is given, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits<'a> {
    /// Its standard input.
    pub(crate) input: &'a [u8],
    /// After this it is killed.
    pub(crate) time: Duration,
}

/// How a program ended that ran within limits.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its status.
    pub(crate) status: ExitStatus,
    /// Whether it was killed because it took too long.
    pub(crate) timed_out: bool,
    stderr: Vec<u8>,
}

impl Ended {
    /// How it ended and what it complained of.
    pub(crate) fn complaint(&self) -> String {
        told(self.status, &self.stderr)
    }
}

/// Runs a program with an environment and an input of its own, for no longer than it may take. What it prints is dropped, but for
/// the beginning of what it complains of. Programs that it leaves behind are not waited for.
///
/// # Errors
/// Only if it could not be run.
pub(crate) fn run_within(
    program: &Path,
    args: &[&str],
    environment: &[(&str, &str)],
    limits: &Limits<'_>,
) -> Result<Ended, Error> {
    let shown = printable(program.as_os_str().as_encoded_bytes());
    let failed = |error: std::io::Error| Error::new(ErrorKind::System, format!("cannot run {shown}")).caused_by(error);
    let mut command = Command::new(program);
    command.args(args).env_clear().env("PATH", PATH).env("LC_ALL", "C").envs(environment.iter().copied());
    command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    // A group of its own, so that what it starts can be ended with it.
    command.process_group(0);
    die_with_us(&mut command);
    let mut child = command.spawn().map_err(failed)?;
    let heard = Arc::new(Mutex::new(Vec::new()));
    // The threads are not waited for: a program that was left behind may keep the pipes open.
    if let Some(mut pipe) = child.stdin.take() {
        let input = limits.input.to_vec();
        std::thread::spawn(move || drop(std::io::Write::write_all(&mut pipe, &input)));
    }
    if let Some(pipe) = child.stderr.take() {
        let heard = Arc::clone(&heard);
        std::thread::spawn(move || listen(pipe, &heard));
    }
    let (status, timed_out) = wait_within(&mut child, limits.time).map_err(failed)?;
    // What was written just before the end may still be on its way to the thread.
    std::thread::sleep(Duration::from_millis(5));
    let stderr = heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Ended { status, timed_out, stderr })
}

/// Waits for a program that leads a process group of its own. After the time it is killed, with what it has started; says whether it was.
pub(crate) fn wait_within(child: &mut Child, time: Duration) -> std::io::Result<(ExitStatus, bool)> {
    let begun = Instant::now();
    let mut timed_out = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, timed_out));
        }
        if begun.elapsed() >= time && !timed_out {
            timed_out = true;
            let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
            let _ = group.map(|group| rustix::process::kill_process_group(group, rustix::process::Signal::KILL));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads to the end, so that nobody waits at a full pipe, and keeps the beginning.
fn listen(mut pipe: impl std::io::Read, heard: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 4096];
    while let Ok(count) = pipe.read(&mut bytes) {
        if count == 0 {
            return;
        }
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        let room = (4 * SHOWN).saturating_sub(heard.len()).min(count);
        heard.extend_from_slice(&bytes[..room]);
    }
}

/// Makes the kernel kill a program when this process dies; not what the program itself has started.
#[allow(unsafe_code, reason = "the signal can only be asked for by the child itself, between fork and exec")]
pub(crate) fn die_with_us(command: &mut Command) {
    let us = rustix::process::getpid();
    let ask = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // Whoever lost its parent before it could ask is told by nobody.
        if rustix::process::getppid() == Some(us) { Ok(()) } else { Err(std::io::ErrorKind::Interrupted.into()) }
    };
    // SAFETY: `ask` makes two system calls (prctl(2), getppid(2)) and allocates nothing, so it may run after fork(2).
    unsafe { command.pre_exec(ask) };
}

/// How a program ended and what it complained of, on one line and safe to print.
pub(crate) fn complaint(output: &Output) -> String {
    told(output.status, &output.stderr)
}

fn told(status: ExitStatus, stderr: &[u8]) -> String {
    let text: Vec<&[u8]> =
        stderr.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect();
    let mut text = printable(&text.join(&b"; "[..]));
    if let Some((cut, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(cut);
        text.push_str(" ...");
    }
    if text.is_empty() { status.to_string() } else { format!("{text} ({status})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_clean_and_the_input_empty() {
        let output = run("sh", "dash", &["-c", "env; cat; echo 'a  b\nc' >&2; exit 3"]).unwrap();
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let mut names: Vec<&str> = text.lines().filter_map(|l| l.split('=').next()).collect();
        names.retain(|name| !matches!(*name, "PWD" | "OLDPWD" | "SHLVL" | "_"));
        names.sort_unstable();
        assert_eq!(names, ["LC_ALL", "PATH"]);
        assert_eq!(complaint(&output), "a  b; c (exit status: 3)");
    }

    #[test]
    fn a_program_is_told_to_die_with_us() {
        // PR_GET_PDEATHSIG answers for the caller alone, so the program looks at itself.
        let look = "import ctypes; n = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(n)); print(n.value)";
        let output = run("python3", "python3", &["-c", look]).unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "9\n", "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn a_missing_program_names_its_package() {
        let error = run("no-such-program", "the-package", &[""; 0]).unwrap_err();
        assert_eq!(error.message(), "cannot run `no-such-program`: it is not installed");
        assert!(error.get_hint().unwrap().contains("the-package"));
    }
}
