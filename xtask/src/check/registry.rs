//! No committed file names a package registry of the machine on which somebody worked: a build elsewhere would look
//! for it there.

use std::path::{Path, PathBuf};

use super::Finding;
use crate::repo::Repo;

/// The only sources of packages that a lock file may name: the public registries.
const PUBLIC: &[&str] = &["registry+https://github.com/rust-lang/crates.io-index", "https://registry.npmjs.org/"];

/// Settings that send a package manager to another registry.
const SETTINGS: &[(&str, &[&str])] = &[
    ("Cargo.toml", &["registry-index"]),
    ("config.toml", &["replace-with", "[source.", "[registries.", "[registry]"]),
    ("pip.conf", &["index-url", "find-links", "trusted-host"]),
    ("requirements.txt", &["--index-url", "--extra-index-url", "--find-links", "--trusted-host"]),
    (".npmrc", &["registry="]),
];

/// Finds such names. A file that is not text holds none.
pub(super) fn check(repo: &Repo, files: &[PathBuf]) -> Vec<Finding> {
    files.iter().flat_map(|file| repo.read(file).map(|text| find(file, &text)).unwrap_or_default()).collect()
}

fn find(file: &Path, text: &str) -> Vec<Finding> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let settings = SETTINGS.iter().find(|(file, _)| *file == name).map_or(&[][..], |(_, words)| *words);
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(word) = settings.iter().find(|word| line.contains(**word)) {
            findings.push(Finding::at(
                file,
                number,
                format!("`{word}` names a package registry; leave it to the machine"),
            ));
        }
        let source = match &*name {
            "Cargo.lock" => line.trim().strip_prefix("source = "),
            "package-lock.json" => line.trim().strip_prefix("\"resolved\": "),
            _ => None,
        };
        let Some(source) = source.map(|s| s.trim_matches([',', '"'])) else { continue };
        if !PUBLIC.iter().any(|public| source.starts_with(public)) {
            findings.push(Finding::at(file, number, format!("the package comes from `{source}`, no public registry")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_registries() {
        let found = |file: &str, text: &str| find(Path::new(file), text).len();
        assert_eq!(found("Cargo.lock", "source = \"registry+https://github.com/rust-lang/crates.io-index\""), 0);
        assert_eq!(found("fuzz/Cargo.lock", "source = \"registry+https://mirror.example/index\""), 1);
        assert_eq!(found("package-lock.json", "  \"resolved\": \"https://mirror.example/a.tgz\","), 1);
        assert_eq!(found(".cargo/config.toml", "[alias]\nxtask = \"run\""), 0);
        assert_eq!(found(".cargo/config.toml", "[source.crates-io]\nreplace-with = \"mirror\""), 2);
        assert_eq!(found("a/pip.conf", "[global]\nindex-url = https://mirror.example/simple"), 1);
    }
}
