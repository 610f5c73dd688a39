//! One finished command, and what to print when it is not what the test asked for.

use std::fmt::Write as _;
use std::fs;
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::mounts;

/// How many entries of a tree are printed on failure.
const TREE_LIMIT: usize = 300;

/// A command that has ended. Its checks panic with everything that one needs to understand the failure: the command,
/// its exit code, both outputs, the tree below the sandbox's root and its mount table.
#[derive(Debug, Clone)]
pub struct Run {
    /// The command as one would type it.
    pub line: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    root: PathBuf,
}

impl Run {
    /// Runs a command to its end, with no input. `root` is what a failure prints the tree of.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn new(command: &mut Command, root: &Path) -> Self {
        Self::with(command.stdin(Stdio::null()), root)
    }

    /// The same with this as its input.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn with_input(command: &mut Command, root: &Path, input: &[u8]) -> Self {
        let mut file = tempfile::tempfile().expect("a file for the input");
        file.write_all(input).and_then(|()| file.rewind()).expect("write the input");
        Self::with(command.stdin(Stdio::from(file)), root)
    }

    #[track_caller]
    fn with(command: &mut Command, root: &Path) -> Self {
        let line = line(command);
        let output = command.output().unwrap_or_else(|e| panic!("cannot start `{line}`: {e}"));
        // Hints name the root; tests speak of `datastore start shop` wherever the root lies.
        let given = format!("datastore --root {} ", root.display());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&given, "datastore ");
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Self { line, status: output.status, stdout, stderr, root: root.to_path_buf() }
    }

    /// Demands exit code 0.
    ///
    /// # Panics
    /// With the whole picture if it is another.
    #[track_caller]
    #[allow(clippy::return_self_not_must_use, reason = "the check alone is a use")]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// Demands this exit code.
    ///
    /// # Panics
    /// With the whole picture if it is another.
    #[track_caller]
    #[allow(clippy::return_self_not_must_use, reason = "the check alone is a use")]
    pub fn code(self, wanted: i32) -> Self {
        if self.status.code() != Some(wanted) {
            self.fail(&format!("exit code {wanted} was wanted"));
        }
        self
    }

    /// Demands any exit code but 0, and no death by signal: a crash is no refusal.
    ///
    /// # Panics
    /// With the whole picture if it is not so.
    #[track_caller]
    #[allow(clippy::return_self_not_must_use, reason = "the check alone is a use")]
    pub fn fails(self) -> Self {
        if !matches!(self.status.code(), Some(code) if code != 0 && code != 101) {
            self.fail("a refusal was wanted: an exit code other than 0, and no panic or signal");
        }
        self
    }

    /// Demands a text somewhere in either output.
    ///
    /// # Panics
    /// With the whole picture if it is not there.
    #[track_caller]
    #[allow(clippy::return_self_not_must_use, reason = "the check alone is a use")]
    pub fn says(self, text: &str) -> Self {
        if !self.stdout.contains(text) && !self.stderr.contains(text) {
            self.fail(&format!("{text:?} was wanted in the output"));
        }
        self
    }

    /// Demands that a text is in neither output.
    ///
    /// # Panics
    /// With the whole picture if it is there.
    #[track_caller]
    #[allow(clippy::return_self_not_must_use, reason = "the check alone is a use")]
    pub fn silent_about(self, text: &str) -> Self {
        if self.stdout.contains(text) || self.stderr.contains(text) {
            self.fail(&format!("{text:?} was not wanted in the output"));
        }
        self
    }

    /// Standard output as one JSON value, whatever the exit code.
    ///
    /// # Panics
    /// With the whole picture if it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => self.fail(&format!("JSON was wanted on standard output ({error})")),
        }
    }

    /// Fails the test with the whole picture.
    ///
    /// # Panics
    /// Always: that is what it is for.
    #[track_caller]
    pub fn fail(&self, why: &str) -> ! {
        panic!("{}", self.report(why))
    }

    /// The whole picture.
    fn report(&self, why: &str) -> String {
        let mut out = format!("\n{why}\n\n$ {}\n", self.line);
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => writeln!(out, "exit code: {code}"),
            (None, Some(signal)) => writeln!(out, "killed by signal {signal}"),
            (None, None) => writeln!(out, "{}", self.status),
        }
        .expect("writing to a string");
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            let text = if text.is_empty() { "(nothing)" } else { text.trim_end() };
            writeln!(out, "\n--- {name}\n{text}").expect("writing to a string");
        }
        let root = self.root.display();
        writeln!(out, "\n--- tree of {root}\n{}", tree(&self.root).trim_end()).expect("writing to a string");
        writeln!(out, "\n--- mounts below {root}").expect("writing to a string");
        for m in mounts::below(&mounts::all(), &self.root) {
            let point = m.mount_point.strip_prefix(&self.root).unwrap_or(&m.mount_point);
            let (point, dir) = (point.display(), m.root.display());
            writeln!(out, "/{point}  {} {}[{dir}] {}", m.fs_type, m.source, m.options).expect("writing to a string");
        }
        out
    }
}

/// The command as one would type it. Arguments with other than plain characters are quoted.
#[must_use]
pub fn line(command: &Command) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,%+@".contains(c);
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| {
            let word = word.to_string_lossy();
            if !word.is_empty() && word.chars().all(plain) {
                word.into_owned()
            } else {
                format!("'{}'", word.replace('\'', r"'\''"))
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// A directory tree as text: type and mode, owner, size and name of each entry, never following a link. Long ones are cut.
#[must_use]
pub fn tree(root: &Path) -> String {
    let mut out = String::new();
    let mut left = TREE_LIMIT;
    walk(root, Path::new(""), &mut out, &mut left);
    if left == 0 {
        let _ = writeln!(out, "... (cut at {TREE_LIMIT} entries)");
    }
    out
}

fn walk(dir: &Path, name: &Path, out: &mut String, left: &mut usize) {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            let _ = writeln!(out, "/{}: {error}", name.display());
            return;
        }
    };
    let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let name = name.join(entry.file_name());
        let Ok(meta) = entry.path().symlink_metadata() else {
            let _ = writeln!(out, "/{}: gone", name.display());
            continue;
        };
        let kind = meta.file_type();
        let letter = match kind {
            k if k.is_dir() => 'd',
            k if k.is_symlink() => 'l',
            k if k.is_block_device() => 'b',
            k if k.is_char_device() => 'c',
            k if k.is_fifo() => 'p',
            k if k.is_socket() => 's',
            _ => '-',
        };
        let mode = meta.mode() & 0o7777;
        let _ = write!(out, "{letter}{mode:04o} {}:{} {:>8} /{}", meta.uid(), meta.gid(), meta.len(), name.display());
        if kind.is_symlink() {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            let _ = write!(out, " -> {}", target.display());
        }
        out.push('\n');
        if kind.is_dir() {
            walk(&entry.path(), &name, out, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_prints_the_whole_picture() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("elsewhere", dir.path().join("etc/link")).unwrap();
        let run = Run::new(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 7"]), dir.path());
        let report = run.report("exit code 0 was wanted");
        for part in
            ["exit code 0 was wanted", "$ sh -c 'echo out; echo err >&2; exit 7'", "exit code: 7", "out\n", "err\n"]
        {
            assert!(report.contains(part), "{part:?} is not in {report}");
        }
        assert!(report.contains("/etc/link -> elsewhere"), "{report}");
    }

    #[test]
    fn checks_pass_and_fail() {
        let dir = tempfile::tempdir().unwrap();
        let run = |script: &str| Run::new(Command::new("sh").args(["-c", script]), dir.path());
        assert_eq!(run("echo '[1]'").ok().says("1").silent_about("2").json()[0], 1);
        run("exit 3").code(3).fails();
        let wrong = [
            std::panic::catch_unwind(|| drop(run("exit 3").ok())),
            std::panic::catch_unwind(|| drop(run("exit 0").fails())),
            std::panic::catch_unwind(|| drop(run("kill -9 $$").fails())),
            std::panic::catch_unwind(|| drop(run("exit 101").fails())),
            std::panic::catch_unwind(|| drop(run("echo a").says("b"))),
            std::panic::catch_unwind(|| drop(run("echo a").silent_about("a"))),
            std::panic::catch_unwind(|| drop(run("echo a").json())),
        ];
        for (number, result) in wrong.into_iter().enumerate() {
            assert!(result.is_err(), "check {number} let its failure pass");
        }
    }
}
