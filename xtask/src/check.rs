//! `cargo xtask check`: what no compiler sees. Each check adds its findings; all are printed before it fails.

mod arginfo;
mod generated;
mod header;
mod length;
mod links;
mod registry;
mod versions;

use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::repo::Repo;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write the generated files instead of comparing them
    #[arg(long)]
    pub(crate) write: bool,
}

/// One thing that is not as it should be.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// Where, as `file` or `file:line`.
    place: String,
    /// What is wrong and what to do: a sentence without a full stop.
    what: String,
}

impl Finding {
    fn in_file(file: &Path, what: impl Into<String>) -> Self {
        Self { place: file.display().to_string(), what: what.into() }
    }
    /// `line` counts from 0.
    fn at(file: &Path, line: usize, what: impl Into<String>) -> Self {
        Self { place: format!("{}:{}", file.display(), line + 1), what: what.into() }
    }
}

/// Runs every check.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result {
    if args.write {
        generated::write(repo)?;
    }
    let files = repo.files()?;
    let mut findings = generated::check(repo)?;
    findings.extend(arginfo::check(repo)?);
    findings.extend(links::check(repo, &files)?);
    findings.extend(versions::check(repo)?);
    findings.extend(length::check(repo, &files)?);
    findings.extend(registry::check(repo, &files));
    for finding in &findings {
        eprintln!("{}: {}", finding.place, finding.what);
    }
    if findings.is_empty() {
        println!("{} files checked, {} of them generated", files.len(), generated::GENERATORS.len());
        return Ok(());
    }
    Err(Failure::new(format!("{} things are not as they should be", findings.len())))
}

/// Those of the files that end so.
fn with_extension<'a>(files: &'a [PathBuf], extension: &str) -> impl Iterator<Item = &'a PathBuf> {
    files.iter().filter(move |file| file.extension().is_some_and(|e| e == extension))
}
