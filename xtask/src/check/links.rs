//! Every relative link of the documentation leads to a file.

use std::path::{Component, Path, PathBuf};

use super::{Finding, with_extension};
use crate::failure::Result;
use crate::repo::Repo;

/// Finds the links that lead nowhere, or out of the repository.
pub(super) fn check(repo: &Repo, files: &[PathBuf]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in with_extension(files, "md") {
        for (line, target) in links(&repo.read(file)?) {
            let what = match resolve(file, &target) {
                None => format!("the link `{target}` leads out of the repository"),
                Some(path) if !repo.path(&path).exists() => format!("the link `{target}` leads to no file"),
                Some(_) => continue,
            };
            findings.push(Finding::at(file, line, what));
        }
    }
    Ok(findings)
}

/// The relative links of a Markdown text, with their lines from 0: `[text](target)` and `[label]: target`, outside
/// of code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fence = None;
    for (number, line) in text.lines().enumerate() {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => {
                let line = without_code(line);
                let inline = line.match_indices("](").filter_map(|(at, _)| line[at + 2..].split([')', ' ']).next());
                let label = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: "));
                let label = label.and_then(|(_, target)| target.split_whitespace().next());
                found.extend(inline.chain(label).filter(|t| is_relative(t)).map(|t| (number, t.to_owned())));
            }
            _ => {}
        }
    }
    found
}

/// The line with everything between backquotes blanked.
fn without_code(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    let closed = parts.len() - usize::from(parts.len().is_multiple_of(2));
    let keep = |(i, part): (usize, &&str)| if i % 2 == 0 || i >= closed { (*part).to_owned() } else { String::new() };
    parts.iter().enumerate().map(keep).collect::<Vec<_>>().join("`")
}

fn is_relative(target: &str) -> bool {
    let has_scheme =
        target.split_once(':').is_some_and(|(scheme, _)| scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+'));
    !target.is_empty() && !target.starts_with('#') && !has_scheme
}

/// Where a link of a file leads, from the top of the repository; `None` if out of it.
fn resolve(file: &Path, target: &str) -> Option<PathBuf> {
    let target = target.trim_matches(['<', '>']);
    let target = target.split('#').next().unwrap_or_default();
    let base = if target.starts_with('/') { Path::new("") } else { file.parent().unwrap_or(Path::new("")) };
    let mut path = PathBuf::new();
    for component in base.join(target.trim_start_matches('/')).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::ParentDir if !path.pop() => return None,
            _ => {}
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_links_outside_of_code() {
        let text = "see [a](docs/a.md#x \"A\") and [b](https://example.org) `[c](c.md)`\n```\n[d](d.md)\n```\n[e]: ../e.md\n[f](#top)\na ` [g](g.md)";
        let found = links(text);
        let wanted = [(0, "docs/a.md#x"), (4, "../e.md"), (6, "g.md")];
        assert_eq!(found, wanted.map(|(line, target)| (line, target.to_owned())));
    }

    #[test]
    fn resolves_from_the_file() {
        assert_eq!(resolve(Path::new("docs/a.md"), "../README.md#top"), Some("README.md".into()));
        assert_eq!(resolve(Path::new("docs/a.md"), "b.md"), Some("docs/b.md".into()));
        assert_eq!(resolve(Path::new("docs/a.md"), "/LICENSE-MIT"), Some("LICENSE-MIT".into()));
        assert_eq!(resolve(Path::new("docs/a.md"), "../../etc"), None);
    }
}
