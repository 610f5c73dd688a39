//! Other programs that datastore runs: a fixed list of words, no shell, a clean environment, nothing to read.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

use datastore_core::path::printable;
use datastore_core::{Error, ErrorKind};

/// How much of what a program complained of stands in an error.
const SHOWN: usize = 600;

/// Runs a program to its end. `package` is the Debian package that holds it.
///
/// # Errors
/// Only if it could not be run; how it ended is in the output.
pub(crate) fn run<A: AsRef<OsStr>>(program: &str, package: &str, args: &[A]) -> Result<Output, Error> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).env_clear();
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
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
    fn a_missing_program_names_its_package() {
        let error = run("no-such-program", "the-package", &[""; 0]).unwrap_err();
        assert_eq!(error.message(), "cannot run `no-such-program`: it is not installed");
        assert!(error.get_hint().unwrap().contains("the-package"));
    }
}
