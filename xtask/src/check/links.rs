//! Every relative link of the documentation leads to a file, and to a heading in it if it names one; every path of the repository that is
//! named in a sentence is there.

use std::path::{Component, Path, PathBuf};

use super::{Finding, with_extension};
use crate::failure::Result;
use crate::repo::Repo;

/// The directory of the book: its pages are read without the rest of the repository, too.
const BOOK: &str = "docs";

/// Folders of the repository whose paths are checked wherever a sentence names one.
const FOLDERS: &[&str] = &[
    "benches",
    "datastore-cli",
    "datastore-core",
    "datastore-exec",
    "datastore-gate",
    "docs",
    "examples",
    "fuzz",
    "packaging",
    "tests",
    "xtask",
];

/// Finds the links and paths that lead nowhere, and links out of the repository or out of the book.
pub(super) fn check(repo: &Repo, files: &[PathBuf]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in with_extension(files, "md") {
        let text = repo.read(file)?;
        for (line, target) in links(&text) {
            let what = match resolve(file, &target) {
                None => format!("the link `{target}` leads out of the repository"),
                Some(path) if !repo.path(&path).exists() => format!("the link `{target}` leads to no file"),
                Some(path) if file.starts_with(BOOK) && !path.starts_with(BOOK) => {
                    format!("the link `{target}` leads out of the book; name the path instead")
                }
                Some(path) => match target.split_once('#') {
                    Some((_, heading)) if path.extension().is_some_and(|e| e == "md") => {
                        if headings(&repo.read(&path)?).iter().any(|slug| slug == heading) {
                            continue;
                        }
                        format!("the link `{target}` leads to no heading")
                    }
                    _ => continue,
                },
            };
            findings.push(Finding::at(file, line, what));
        }
        for (line, path) in paths(&text).into_iter().filter(|(_, path)| !repo.path(path).exists()) {
            findings.push(Finding::at(file, line, format!("`{path}` is not in the repository")));
        }
    }
    Ok(findings)
}

/// The lines of a Markdown text outside of blocks of code, with their numbers from 0.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fence = None;
    for (number, line) in text.lines().enumerate() {
        let mark = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => found.push((number, line)),
            _ => {}
        }
    }
    found
}

/// What links to the headings of a Markdown text say behind the `#`.
fn headings(text: &str) -> Vec<String> {
    let headings = prose(text).into_iter().filter_map(|(_, line)| line.strip_prefix('#'));
    headings.map(|line| slug(line.trim_start_matches('#').trim())).collect()
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// Paths of the repository between backquotes.
fn paths(text: &str) -> Vec<(usize, String)> {
    let plain = |path: &str| path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let is_path = |code: &&str| code.split_once('/').is_some_and(|(top, _)| FOLDERS.contains(&top)) && plain(code);
    let of_line = |(number, line): (usize, &str)| -> Vec<(usize, String)> {
        line.split('`').skip(1).step_by(2).filter(is_path).map(|path| (number, path.to_owned())).collect()
    };
    prose(text).into_iter().flat_map(of_line).collect()
}

/// The relative links of a Markdown text, with their lines from 0: `[text](target)` and `[label]: target`, outside
/// of code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let line = without_code(line);
        let inline = line.match_indices("](").filter_map(|(at, _)| line[at + 2..].split([')', ' ']).next());
        let label = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        let label = label.and_then(|(_, target)| target.split_whitespace().next());
        found.extend(inline.chain(label).filter(|t| is_relative(t)).map(|t| (number, t.to_owned())));
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
    !target.is_empty() && !has_scheme
}

/// Where a link of a file leads, from the top of the repository; `None` if out of it.
fn resolve(file: &Path, target: &str) -> Option<PathBuf> {
    let target = target.trim_matches(['<', '>']);
    let target = target.split('#').next().unwrap_or_default();
    if target.is_empty() {
        return Some(file.to_path_buf());
    }
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
        let wanted = [(0, "docs/a.md#x"), (4, "../e.md"), (5, "#top"), (6, "g.md")];
        assert_eq!(found, wanted.map(|(line, target)| (line, target.to_owned())));
    }

    #[test]
    fn headings_as_links_name_them() {
        let text = "# A B\n```\n# no\n```\n### config check, show, import\n## /etc/datastore.conf\n## ClearOS's form\n";
        assert_eq!(headings(text), ["a-b", "config-check-show-import", "etcdatastoreconf", "cleaross-form"]);
    }

    #[test]
    fn paths_between_backquotes() {
        let text =
            "see `datastore-exec/src/root.rs`, `tests/src`, `x/y`, `docs/<a>.md` and docs/z\n```text\n`docs/no`\n```";
        assert_eq!(paths(text), [(0, "datastore-exec/src/root.rs".into()), (0, "tests/src".into())]);
    }

    #[test]
    fn resolves_from_the_file() {
        assert_eq!(resolve(Path::new("docs/a.md"), "../README.md#top"), Some("README.md".into()));
        assert_eq!(resolve(Path::new("docs/a.md"), "b.md"), Some("docs/b.md".into()));
        assert_eq!(resolve(Path::new("docs/a.md"), "#x"), Some("docs/a.md".into()));
        assert_eq!(resolve(Path::new("docs/a.md"), "/LICENSE-MIT"), Some("LICENSE-MIT".into()));
        assert_eq!(resolve(Path::new("docs/a.md"), "../../etc"), None);
    }
}
