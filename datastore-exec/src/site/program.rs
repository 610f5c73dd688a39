//! Other programs that datastore runs: a fixed list of words, no shell, a clean environment, nothing to read.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use datastore_core::path::printable;
use datastore_core::{Error, ErrorKind};

/// How much of what a program complained of stands in an error.
const SHOWN: usize = 600;

/// Runs a program to its end. `package` is the Debian package that holds it. If this process dies meanwhile, the program dies too:
/// a mkfs that went on would work on a disk that the next run has in hand.
///
/// # Errors
/// Only if it could not be run; how it ended is in the output.
pub(crate) fn run<A: AsRef<OsStr>>(program: &str, package: &str, args: &[A]) -> Result<Output, Error> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).env_clear();
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
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

#[allow(unsafe_code, reason = "the signal can only be asked for by the child itself, between fork and exec")]
fn die_with_us(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
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
    let text: Vec<&[u8]> =
        output.stderr.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect();
    let mut text = printable(&text.join(&b"; "[..]));
    if let Some((cut, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(cut);
        text.push_str(" ...");
    }
    if text.is_empty() { output.status.to_string() } else { format!("{text} ({})", output.status) }
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
