//! Builds for systems with an older C library than that of this machine: zig's linker carries those of all versions.

use std::env;
use std::path::PathBuf;

use crate::failure::{Doing as _, Failure, Result};
use crate::repo::Repo;
use crate::setup;
use crate::tool::Tool;

/// A version of the GNU C library that programs are to be content with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Older {
    glibc: String,
    zigbuild: PathBuf,
}

/// A version of the GNU C library, as two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Glibc(u32, u32);

impl Glibc {
    /// Reads `2.17`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl Older {
    /// Installs what builds for this version, unless the machine has it.
    pub(crate) fn new(repo: &Repo, glibc: &str) -> Result<Self> {
        if Glibc::parse(glibc).is_none_or(|wanted| wanted < Glibc(2, 17)) {
            return Err(Failure::new(format!("`{glibc}` is no version of the C library that Rust can build for"))
                .hint("2.17, that of CentOS 7, is the oldest"));
        }
        Ok(Self { glibc: glibc.to_owned(), zigbuild: setup::zigbuild(repo)? })
    }

    /// What Rust calls the machine that it builds for, which is of the same kind as this one.
    pub(crate) fn target(&self) -> String {
        format!("{}-unknown-linux-gnu", env::consts::ARCH)
    }

    /// What builds one package.
    pub(crate) fn cargo(&self, repo: &Repo, package: &str) -> Result<Tool> {
        let bin = self.zigbuild.parent().unwrap_or(&self.zigbuild);
        // It looks for zig, and for cargo, on the path.
        let path = env::var_os("PATH").unwrap_or_default();
        let path =
            env::join_paths([bin.to_path_buf()].into_iter().chain(env::split_paths(&path))).doing("make a path")?;
        let target = format!("{}.{}", self.target(), self.glibc);
        Ok(Tool::new(&self.zigbuild)
            .called("cargo-zigbuild")
            .args(["zigbuild", "--quiet", "--release", "--target", &target, "--package", package])
            .env("PATH", path)
            .current_dir(repo.root()))
    }

    /// The version that was asked for, as one types it.
    pub(crate) fn version(&self) -> &str {
        &self.glibc
    }

    /// That a program or library wants nothing newer.
    pub(crate) fn demand(&self, file: &std::path::Path) -> Result {
        let symbols = Tool::new("objdump").arg("-T").arg(file).output()?;
        match newest(&symbols) {
            Some(found) if Some(found) > Glibc::parse(&self.glibc) => Err(Failure::new(format!(
                "{} needs version {}.{} of the C library, not {}",
                file.display(),
                found.0,
                found.1,
                self.glibc
            ))),
            _ => Ok(()),
        }
    }
}

/// The newest version that is named in a table of symbols.
fn newest(symbols: &str) -> Option<Glibc> {
    let named = symbols.split("GLIBC_").skip(1);
    named.filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()).filter_map(short).max()
}

/// `2.2.5` is 2.2 here.
fn short(version: &str) -> Option<Glibc> {
    let mut numbers = version.split('.');
    Glibc::parse(&format!("{}.{}", numbers.next()?, numbers.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_found() {
        let table =
            "0 DF *UND* 0 (GLIBC_2.2.5) free\n0 DF *UND* 0 (GLIBC_2.17) clock_gettime\n0 (GLIBC_2.4) x\n0 g Base y";
        assert_eq!(newest(table), Some(Glibc(2, 17)));
        assert_eq!(newest("0 g Base y"), None);
        assert!(Glibc(2, 4) < Glibc(2, 17));
    }
}
