//! What has passed already: `target/proof/COMMIT/passed`, a line for each test, and `evidence/`, a file for each experiment.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use crate::failure::{Doing as _, Result};
use crate::repo::Repo;
use crate::tool::Tool;

/// The state of one commit.
pub(super) struct State {
    dir: PathBuf,
    /// The commit, and whether there is more than it.
    pub(super) version: String,
}

/// A test, as nextest names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Test {
    /// `datastore-rigs-power::cuts`.
    binary: String,
    /// `apply::ext4`.
    name: String,
}

impl Test {
    /// What chooses it.
    pub(super) fn filter(&self) -> String {
        format!("binary_id(={}) & test(={})", self.binary, self.name)
    }
}

/// The test that a line of nextest says has passed: `        PASS [   4.562s] ( 3/42) datastore-rigs-power::cuts apply::ext4`.
pub(super) fn passed(line: &str) -> Option<Test> {
    let line = crate::test::plain(line);
    let rest = line.trim_start().strip_prefix("PASS [")?.split_once(']')?.1;
    let mut words = rest.split_whitespace().rev();
    let (name, binary) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some(Test { binary, name })
}

impl State {
    /// That of the commit at hand.
    pub(super) fn open(repo: &Repo, again: bool) -> Result<Self> {
        let git = |args: &[&str]| {
            let tool = Tool::new("git").args(["-c", "safe.directory=*"]).args(args).current_dir(repo.root());
            tool.output().map_err(|e| e.context("ask git for the commit"))
        };
        let commit = git(&["rev-parse", "--short=12", "HEAD"])?.trim().to_owned();
        // The page itself is what this makes.
        let changes = git(&["status", "--porcelain", "--", ".", ":!docs/proof.md"])?;
        let version = if changes.trim().is_empty() { commit } else { format!("{commit}-changed") };
        let dir = repo.target().join("proof").join(&version);
        if again && dir.exists() {
            fs::remove_dir_all(&dir).doing(format_args!("remove {}", dir.display()))?;
        }
        let state = Self { dir, version };
        fs::create_dir_all(state.evidence()).doing(format_args!("make {}", state.evidence().display()))?;
        Ok(state)
    }

    /// Where experiments write what they counted.
    pub(super) fn evidence(&self) -> PathBuf {
        self.dir.join("evidence")
    }

    fn ledger(&self) -> PathBuf {
        self.dir.join("passed")
    }

    /// The tests that have passed.
    pub(super) fn passed(&self) -> Result<Vec<Test>> {
        let ledger = self.ledger();
        if !ledger.exists() {
            return Ok(Vec::new());
        }
        let text = fs::read_to_string(&ledger).doing(format_args!("read {}", ledger.display()))?;
        let test = |line: &str| line.split_once(' ').map(|(b, n)| Test { binary: b.to_owned(), name: n.to_owned() });
        Ok(text.lines().filter_map(test).collect())
    }

    /// Writes down that one has.
    pub(super) fn note(&self, test: &Test) -> Result {
        let ledger = self.ledger();
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&ledger)
            .doing(format_args!("open {}", ledger.display()))?;
        writeln!(file, "{} {}", test.binary, test.name).doing(format_args!("write to {}", ledger.display()))
    }

    /// What the experiments have counted.
    pub(super) fn told(&self) -> Result<Vec<serde_json::Value>> {
        let dir = self.evidence();
        let mut files = Vec::new();
        for entry in fs::read_dir(&dir).doing(format_args!("read {}", dir.display()))? {
            files.push(entry.doing(format_args!("read {}", dir.display()))?.path());
        }
        files.sort();
        let read = |path: &PathBuf| {
            let text = fs::read_to_string(path).doing(format_args!("read {}", path.display()))?;
            serde_json::from_str(&text).doing(format_args!("understand {}", path.display()))
        };
        files.iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_which_test_has_passed() {
        let test = passed("        PASS [   4.562s] ( 3/42) datastore-rigs-power::cuts apply::ext4").unwrap();
        assert_eq!((test.binary.as_str(), test.name.as_str()), ("datastore-rigs-power::cuts", "apply::ext4"));
        assert_eq!(passed("        PASS [   0.1s] datastore-rigs tracer::x").unwrap().binary, "datastore-rigs");
        assert_eq!(passed("        FAIL [   0.1s] datastore-rigs tracer::x"), None);
        assert_eq!(passed("     Summary [   0.1s] 3 tests run: 3 passed"), None);
    }
}
