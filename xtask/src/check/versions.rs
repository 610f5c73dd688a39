//! The versions that README.md quotes are those of Cargo.toml.

use std::path::Path;

use super::Finding;
use crate::failure::{Failure, Result};
use crate::repo::Repo;

const README: &str = "README.md";

/// Finds versions of ours, and of Rust, that are not the workspace's. Without a README there is nothing to find.
pub(super) fn check(repo: &Repo) -> Result<Vec<Finding>> {
    if !repo.path(README).exists() {
        return Ok(Vec::new());
    }
    let manifest = repo.read("Cargo.toml")?;
    let ours = value(&manifest, "version")?;
    let rust = value(&manifest, "rust-version")?;
    Ok(find(&repo.read(README)?, ours, rust))
}

/// The first `key = "value"` of the workspace's manifest, which is that of `[workspace.package]`.
fn value<'a>(manifest: &'a str, key: &str) -> Result<&'a str> {
    let found = manifest.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim().trim_matches('"'))
    });
    found.ok_or_else(|| Failure::new(format!("Cargo.toml has no `{key}`")))
}

/// A version is ours if `datastore` or `version` stands right before it (`datastore 0.1.0`,
/// `datastore-core = "0.1.0"`, `datastore_0.1.0-1_amd64.deb`), and Rust's if `Rust` does (`Rust 1.89`).
fn find(text: &str, ours: &str, rust: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words: Vec<&str> = line
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '.')
            .map(|w| w.trim_matches('.'))
            .filter(|w| !w.is_empty())
            .collect();
        for (at, word) in words.iter().enumerate() {
            let word = word.strip_prefix('v').unwrap_or(word);
            let parts = word.split('.').take_while(|p| p.parse::<u32>().is_ok()).count();
            if parts < 2 {
                continue;
            }
            let version = word.split('.').take(parts).collect::<Vec<_>>().join(".");
            let before: Vec<String> = words[..at].iter().rev().take(2).map(|w| w.to_ascii_lowercase()).collect();
            let near = |name: &str| before.iter().any(|w| w == name);
            let first = |name: &str| before.first().is_some_and(|w| w == name);
            let wanted = if near("rust") || near("rustc") {
                rust
            } else if near("datastore") || first("version") {
                ours
            } else {
                continue;
            };
            // `0.1` stands for 0.1.0, in a dependency for example.
            if version != wanted && !wanted.starts_with(&format!("{version}.")) {
                let what = format!("`{version}` is quoted, but Cargo.toml says {wanted}");
                findings.push(Finding::at(Path::new(README), number, what));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_versions() {
        let good = "datastore 0.1.0\ndatastore-core = \"0.1\"\ndpkg -i datastore_0.1.0-1_amd64.deb\nRust 1.89 or later\nkernel 5.12, mount 2.38.1";
        assert_eq!(find(good, "0.1.0", "1.89"), []);
        for bad in [
            "datastore 0.2.0",
            "datastore-core = \"0.2\"",
            "datastore_0.0.9-1_amd64.deb",
            "Rust 1.85",
            "version v1.0.0",
        ] {
            assert_eq!(find(bad, "0.1.0", "1.89").len(), 1, "{bad}");
        }
    }

    #[test]
    fn the_workspace_has_both() {
        let manifest = Repo::find().unwrap().read("Cargo.toml").unwrap();
        assert_eq!(value(&manifest, "version").unwrap(), env!("CARGO_PKG_VERSION"));
        assert_eq!(value(&manifest, "rust-version").unwrap(), env!("CARGO_PKG_RUST_VERSION"));
    }
}
