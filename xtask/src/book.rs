//! `cargo xtask book`: the book of `docs/`, as pages for a browser.

use std::path::Path;

use crate::failure::{Failure, Result};
use crate::repo::Repo;
use crate::setup;
use crate::tool::Tool;

/// Builds it, and says where it is.
pub(crate) fn run(repo: &Repo) -> Result {
    let program = setup::mdbook(repo)?;
    let pages = repo.target().join("book");
    build(&program, &repo.path("docs"), &pages)?;
    println!("the book begins at {}", pages.join("index.html").display());
    Ok(())
}

/// Builds a book. Whatever mdbook warns of is a failure: it goes on without a page or a program that it does not find.
fn build(mdbook: &Path, book: &Path, pages: &Path) -> Result {
    let mut said = Vec::new();
    let tool = Tool::new(mdbook).called("mdbook").arg("build").arg("--dest-dir").arg(pages).arg(book);
    tool.env("MDBOOK_LOG", "warn").env("RUST_LOG", "warn").run_watching(|line| said.push(line.to_owned()))?;
    if said.is_empty() {
        return Ok(());
    }
    Err(Failure::new("mdbook warns of something in the book").hint("its warnings stand above"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_that_lacks_a_program_fails() {
        let repo = Repo::find().unwrap();
        let mdbook = setup::mdbook(&repo).unwrap();
        let dir = tempfile::tempdir_in(repo.target()).unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("book.toml", "[book]\nsrc = \".\"\n[build]\ncreate-missing = false\n");
        write("SUMMARY.md", "# Summary\n\n- [A page](page.md)\n");
        let build = || build(&mdbook, dir.path(), &dir.path().join("out"));
        build().unwrap_err();
        write("page.md", "# A page\n\n```rust\n{{#include program.rs}}\n```\n");
        build().unwrap_err();
        write("program.rs", "fn main() {}\n");
        build().unwrap();
        assert!(std::fs::read_to_string(dir.path().join("out/page.html")).unwrap().contains("main"));
    }
}
