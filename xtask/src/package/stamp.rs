//! The one time that everything in a package has: that of the commit, so that who builds it again gets the same bytes.

use std::env;

use crate::failure::{Failure, Result};
use crate::repo::Repo;
use crate::tool::Tool;

/// What tools that pack read: <https://reproducible-builds.org/specs/source-date-epoch/>.
const VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// Seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp(u64);

impl Stamp {
    /// What the environment says, else the time of the last commit.
    pub(super) fn of(repo: &Repo) -> Result<Self> {
        let text = match env::var(VARIABLE) {
            Ok(text) => text,
            Err(_) => Tool::new("git")
                .args(["-c", "safe.directory=*", "log", "-1", "--format=%ct"])
                .current_dir(repo.root())
                .output()
                .map_err(|e| e.context("find the time of the last commit").hint(format!("or set {VARIABLE}")))?,
        };
        let seconds = text.trim().parse();
        seconds.map(Self).map_err(|_| Failure::new(format!("{VARIABLE} is `{}`, which is no time", text.trim())))
    }

    #[cfg(test)]
    pub(super) fn at(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Tells a tool.
    pub(super) fn told(self, tool: Tool) -> Tool {
        tool.env(VARIABLE, self.0.to_string())
    }

    /// As date(1) writes it in this format.
    pub(super) fn format(self, format: &str) -> Result<String> {
        let date = Tool::new("date").env("LC_ALL", "C").args(["--utc", &format!("--date=@{}", self.0), format]);
        Ok(date.output()?.trim().to_owned())
    }
}
