//! A program that is run for its effect or for its output.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::failure::{Doing as _, Failure, Result};

/// A program with its arguments, and the name to print for it.
pub(crate) struct Tool {
    command: Command,
    name: String,
}

impl Tool {
    /// A program, by name or path.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let name = program.as_ref().to_string_lossy().into_owned();
        Self { command: Command::new(program), name }
    }
    /// Prints it under another name.
    pub(crate) fn called(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }
    /// Adds arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }
    /// Adds one argument.
    pub(crate) fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args([arg])
    }
    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, key: &str, value: impl Into<OsString>) -> Self {
        self.command.env(key, value.into());
        self
    }
    /// Runs it in this directory.
    pub(crate) fn current_dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }
    /// The command as one would type it.
    pub(crate) fn line(&self) -> String {
        let mut line = self.name.clone();
        for arg in self.command.get_args() {
            let arg = arg.to_string_lossy();
            let plain = !arg.is_empty() && arg.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,%+@".contains(c));
            line.push(' ');
            line.push_str(&if plain { arg.into_owned() } else { format!("'{}'", arg.replace('\'', r"'\''")) });
        }
        line
    }

    /// Runs it on our terminal; anything but exit code 0 is a failure.
    pub(crate) fn run(mut self) -> Result {
        let status = self.command.status().map_err(|e| self.not_started(&e))?;
        self.demand(status)
    }

    /// Runs it quietly and gives its standard output; what it said is shown only if it fails.
    pub(crate) fn output(mut self) -> Result<String> {
        let output = self.command.stdin(Stdio::null()).output().map_err(|e| self.not_started(&e))?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            eprint!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
        }
        self.demand(output.status)?;
        Ok(stdout)
    }

    /// Whether it can be run and ends with exit code 0. Its output is thrown away.
    pub(crate) fn succeeds(mut self) -> bool {
        self.command.stdin(Stdio::null()).output().is_ok_and(|output| output.status.success())
    }

    /// Runs it on our terminal and shows each line of its standard error to `see` on the way.
    pub(crate) fn run_watching(mut self, mut see: impl FnMut(&str)) -> Result {
        let mut child = self.command.stderr(Stdio::piped()).spawn().map_err(|e| self.not_started(&e))?;
        let mut lines = BufReader::new(child.stderr.take().expect("standard error is a pipe"));
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).doing(format_args!("read the output of `{}`", self.line()))? > 0 {
            std::io::stderr().write_all(&line).doing("write to standard error")?;
            see(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
        let status = child.wait().doing(format_args!("wait for `{}`", self.line()))?;
        self.demand(status)
    }

    fn not_started(&self, error: &std::io::Error) -> Failure {
        let failure = Failure::new(format!("cannot start `{}`: {error}", self.line()));
        if error.kind() == ErrorKind::NotFound {
            failure.hint("`cargo xtask setup` installs what is needed")
        } else {
            failure
        }
    }

    fn demand(&self, status: ExitStatus) -> Result {
        if status.success() {
            return Ok(());
        }
        Err(Failure::new(format!("`{}` ended with {status}", self.line())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_and_failure() {
        assert_eq!(Tool::new("sh").args(["-c", "echo out"]).output().unwrap(), "out\n");
        let error = Tool::new("sh").args(["-c", "exit 3"]).run().unwrap_err().to_string();
        assert!(error.contains("`sh -c 'exit 3'` ended with exit status: 3"), "{error}");
        let error = Tool::new("no-such-program-here").run().unwrap_err().to_string();
        assert!(error.contains("cannot start `no-such-program-here`") && error.contains("xtask setup"), "{error}");
        assert!(!Tool::new("false").succeeds() && !Tool::new("no-such-program-here").succeeds());
    }

    #[test]
    fn every_line_is_seen() {
        let mut seen = Vec::new();
        let tool = Tool::new("sh").args(["-c", "printf 'a\nb' >&2; exit 1"]);
        assert!(tool.run_watching(|line| seen.push(line.to_owned())).is_err());
        assert_eq!(seen, ["a", "b"]);
    }
}
