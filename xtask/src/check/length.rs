//! No module grows beyond what one can hold in mind.

use std::path::PathBuf;

use super::{Finding, with_extension};
use crate::failure::Result;
use crate::repo::Repo;

/// The most lines that a file of Rust or PHP may have. It is split at its second responsibility, mostly long before.
const MOST_LINES: usize = 600;

/// Finds the files that are longer.
pub(super) fn check(repo: &Repo, files: &[PathBuf]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in with_extension(files, "rs").chain(with_extension(files, "php")) {
        let lines = repo.read(file)?.lines().count();
        if lines > MOST_LINES {
            findings.push(Finding::in_file(file, format!("{lines} lines; split it, {MOST_LINES} is the most")));
        }
    }
    Ok(findings)
}
