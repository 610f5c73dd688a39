//! Files that are made from the code and committed, so that a reader or a packager needs no build. To add one, add a
//! line to [`GENERATORS`].

use std::fs;
use std::path::Path;

use super::Finding;
use super::header;
use crate::failure::{Doing as _, Result};
use crate::repo::{Build, Repo};
use crate::tool::Tool;

/// A committed file and what makes it.
pub(super) struct Generator {
    /// What it is, for a message.
    pub(super) name: &'static str,
    /// Where it lies in the repository.
    pub(super) path: &'static str,
    /// Makes its whole content. The same code must give the same bytes everywhere.
    pub(super) content: fn(&Repo) -> Result<String>,
}

/// All of them.
pub(super) const GENERATORS: &[Generator] = &[
    Generator {
        name: "the manual of the command",
        path: "packaging/man/datastore.8",
        // In a pipe, `man` prints the page as it is.
        content: |repo| Tool::new(repo.build_cli(&Build::Debug)?).arg("man").output(),
    },
    Generator { name: "the C header", path: "include/datastore.h", content: header::content },
];

/// Writes those that are not fresh.
pub(super) fn write(repo: &Repo) -> Result {
    for generator in GENERATORS {
        write_one(repo, generator)?;
    }
    Ok(())
}

/// Compares all of them.
pub(super) fn check(repo: &Repo) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for generator in GENERATORS {
        findings.extend(check_one(repo, generator)?);
    }
    Ok(findings)
}

fn write_one(repo: &Repo, generator: &Generator) -> Result {
    let path = repo.path(generator.path);
    let content = (generator.content)(repo)?;
    if fs::read_to_string(&path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).doing(format_args!("make {}", parent.display()))?;
    }
    fs::write(&path, content).doing(format_args!("write {}", path.display()))?;
    println!("wrote {} ({})", generator.path, generator.name);
    Ok(())
}

fn check_one(repo: &Repo, generator: &Generator) -> Result<Option<Finding>> {
    let wanted = (generator.content)(repo)?;
    let file = Path::new(generator.path);
    let what = match fs::read_to_string(repo.path(file)) {
        Ok(found) if found == wanted => return Ok(None),
        Ok(_) => format!("{} is not fresh; `cargo xtask check --write` makes it", generator.name),
        Err(error) => format!("{}: {error}; `cargo xtask check --write` makes it", generator.name),
    };
    Ok(Some(Finding::in_file(file, what)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_file_is_found_and_written() {
        let repo = Repo::find().unwrap();
        let dir = tempfile::tempdir_in(repo.target()).unwrap();
        // An absolute path replaces the repository's.
        let path: &'static str = Box::leak(dir.path().join("sub/page.1").display().to_string().into_boxed_str());
        let generator = Generator { name: "a page", path, content: |_| Ok("new\n".into()) };
        let missing = check_one(&repo, &generator).unwrap().unwrap();
        assert!(missing.what.contains("a page: No such file"), "{missing:?}");
        write_one(&repo, &generator).unwrap();
        assert_eq!(check_one(&repo, &generator).unwrap(), None);
        fs::write(path, "old\n").unwrap();
        let stale = check_one(&repo, &generator).unwrap().unwrap();
        assert!(stale.what.contains("not fresh"), "{stale:?}");
    }
}
