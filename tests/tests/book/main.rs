//! Every command that README.md and the book show is run, and what it really says is what is shown.
//!
//! Each page runs in its order on a small server of its own ([`machine`]); what may differ from one run to the next is in
//! [`compare`]. With `DATASTORE_BOOK=write` in the environment the pages are given the real output instead. How a page is
//! written is in [`page`].

mod compare;
mod inline;
mod machine;
mod page;

use std::fs;
use std::path::Path;

use datastore_tests::repository;

use compare::{Normal, difference, shortened};
use machine::{Machine, Outcome};
use page::{Block, Item, Page};

/// Every console block that is not run: the page, its commands, and the reason that the page gives. A block that is not in this list is run.
const NOT_RUN: &[(&str, &str, &str)] = &[
    (
        "README.md",
        "cargo xtask demo     # a tour on real mounts in a throwaway root; the machine stays as it was\n\
         cargo xtask test     # everything that a commit must pass",
        "both build the repository, and the second runs this block's test",
    ),
    (
        "docs/rust.md",
        "cargo build --package datastore-examples --examples",
        "it builds what the tests have built already",
    ),
];

/// What is wrong with a page, and the page as it should be.
struct Checked {
    findings: Vec<String>,
    text: String,
}

/// Runs a page. `allowed` has the commands and the reason of each block that may be left out.
fn check(text: &str, directory: &Path, allowed: &[(&str, &str)]) -> Checked {
    let page = Page::parse(text, directory);
    let mut findings = page.findings;
    findings.extend(inline::check(&page.inline));
    let normal = Normal::new();
    let mut machine: Option<Machine> = None;
    let mut left_out = Vec::new();
    let mut changes = Vec::new();
    for item in &page.items {
        if let Item::Console(Block { not_run: Some(why), commands, line, .. }) = item {
            let commands = commands.iter().map(|command| command.text.as_str()).collect::<Vec<_>>().join("\n");
            if !allowed.contains(&(commands.as_str(), why)) {
                findings
                    .push(format!("line {line}: `{commands}` is not run ({why}), and the test's list does not say so"));
            }
            left_out.push(commands);
            continue;
        }
        if matches!(item, Item::Fresh) {
            machine = None;
            continue;
        }
        let machine = machine.get_or_insert_with(|| Machine::new(text));
        match item {
            Item::Fresh => {}
            Item::Hidden(commands) => {
                for (line, command) in commands {
                    if let Err(said) = machine.prepare(command) {
                        findings.push(format!("line {line}: `{command}`, or a part of it, failed:\n{said}"));
                    }
                }
            }
            Item::File { path, mode, text } => machine.write(path, *mode, text),
            Item::Console(block) => {
                let (wrong, real) = console(block, machine, &normal);
                if !wrong.is_empty() {
                    changes.push((block.range.clone(), real));
                    findings.extend(wrong);
                }
            }
        }
    }
    for (commands, _) in allowed.iter().filter(|(commands, _)| !left_out.iter().any(|out| out == commands)) {
        findings.push(format!("the test's list says that `{commands}` is not run, and no block is marked so"));
    }
    // From the last to the first, so that the places of those before stay true.
    let mut text = text.to_owned();
    for (range, real) in changes.into_iter().rev() {
        text.replace_range(range, &real);
    }
    Checked { findings, text }
}

/// Runs the commands of a block. What is wrong with it, and its text as it should be.
fn console(block: &Block, machine: &mut Machine, normal: &Normal) -> (Vec<String>, String) {
    let mut findings = Vec::new();
    let mut text = Vec::new();
    let mut apart = false;
    for command in &block.commands {
        let Outcome { code, lines } = machine.run(&command.text);
        let same = code == command.code && normal.same(&command.shown, &lines);
        if !same {
            let (shown, real) = (with_code(&command.shown, command.code), with_code(&lines, code));
            let difference = difference(&shown, &real);
            findings.push(format!("line {}: `{}` says something else:\n{difference}", command.line, command.text));
        }
        let shown = if same { command.shown.clone() } else { shortened(normal, &command.shown, &lines) };
        let shown = with_code(&shown, code);
        if apart || !(text.is_empty() || shown.is_empty()) {
            text.push(String::new());
        }
        apart = !shown.is_empty();
        text.push(format!("$ {}", command.text));
        text.extend(shown);
    }
    (findings, text.join("\n") + "\n")
}

/// What is shown of a command, with its exit code if that is not 0.
fn with_code(lines: &[String], code: i32) -> Vec<String> {
    let code = (code != 0).then(|| format!("[exit code {code}]"));
    lines.iter().cloned().chain(code).collect()
}

/// Runs a page of the repository, or gives it the real output.
fn page(name: &str) {
    let path = repository(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("read {name}: {e}"));
    let allowed: Vec<_> = NOT_RUN.iter().filter(|(page, ..)| *page == name).map(|(_, c, why)| (*c, *why)).collect();
    let checked = check(&text, path.parent().expect("a page lies in a directory"), &allowed);
    let mut what_to_do = "DATASTORE_BOOK=write gives the page the real output";
    if std::env::var("DATASTORE_BOOK").is_ok_and(|how| how == "write") && checked.text != text {
        fs::write(&path, &checked.text).unwrap_or_else(|e| panic!("write {name}: {e}"));
        what_to_do = "the page has been given the real output: read the difference";
    }
    assert!(checked.findings.is_empty(), "{name}:\n{}\n({what_to_do})", checked.findings.join("\n"));
}

macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        $(#[test] fn $test() { page($page); })*
        const PAGES: &[&str] = &[$($page),*];
    };
}

pages! {
    readme: "README.md",
    architecture: "docs/architecture.md",
    configuration: "docs/configuration.md",
    decisions: "docs/decisions.md",
    doctor: "docs/doctor.md",
    exit_codes: "docs/exit-codes.md",
    introduction: "docs/introduction.md",
    kernel: "docs/kernel.md",
    packagers: "docs/packagers.md",
    packages: "docs/packages.md",
    proof: "docs/proof.md",
    recipes: "docs/recipes.md",
    recipe_dead_disk: "docs/recipes/dead-disk.md",
    recipe_elsewhere: "docs/recipes/elsewhere.md",
    recipe_full_disk: "docs/recipes/full-disk.md",
    recipe_guard: "docs/recipes/guard.md",
    recipe_hidden_data: "docs/recipes/hidden-data.md",
    recipe_new_disk: "docs/recipes/new-disk.md",
    recipe_own_program: "docs/recipes/own-program.md",
    recipe_reinstall: "docs/recipes/reinstall.md",
    recipe_rename: "docs/recipes/rename.md",
    recipe_undo: "docs/recipes/undo.md",
    rust: "docs/rust.md",
    c: "docs/c.md",
    php: "docs/php.md",
    states: "docs/states.md",
    tour: "docs/tour.md",
    usage: "docs/usage.md",
    boot: "docs/boot.md",
    watching: "docs/watching.md",
    web_page: "docs/web-page.md",
    webconfig: "docs/webconfig.md",
    words: "docs/words.md",
}

/// The Markdown files below a directory, as paths from the top of the repository.
fn markdown(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(repository(directory)).unwrap_or_else(|e| panic!("read {directory}: {e}"));
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.expect("an entry of a directory");
        let name = format!("{directory}/{}", entry.file_name().display());
        if entry.path().is_dir() {
            found.extend(markdown(&name));
        } else if name.ends_with(".md") {
            found.push(name);
        }
    }
    found
}

#[test]
fn no_page_is_left_out() {
    let mut pages: Vec<&str> = PAGES.iter().copied().filter(|page| *page != "README.md").collect();
    let mut found = markdown("docs");
    found.retain(|page| page != "docs/SUMMARY.md");
    pages.sort_unstable();
    found.sort_unstable();
    assert_eq!(pages, found, "the list of pages in this test, and the pages that there are");
    let summary = fs::read_to_string(repository("docs/SUMMARY.md")).expect("read docs/SUMMARY.md");
    for page in pages {
        let page = page.strip_prefix("docs/").expect("a page of the book");
        assert!(summary.contains(&format!("({page})")), "docs/SUMMARY.md has no {page}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Checked {
        check(text, Path::new("/"), &[])
    }

    #[test]
    fn a_page_that_is_true_passes() {
        let text = "<!-- run\nA=1; cd /tmp\n-->\n<!-- file: /tmp/x/y 0755 -->\n```text\nhello\n```\n\n\
                    ```console\n$ echo $A; pwd\n1\n/tmp\n\n$ cat x/y; stat -c %a x/y\n...\n755\n\n$ hostname\nserver1\n\n\
                    $ false\n[exit code 1]\n```\n";
        let Checked { findings, text: same } = checked(text);
        assert!(findings.is_empty(), "{findings:#?}");
        assert_eq!(same, text);
    }

    #[test]
    fn a_page_that_is_not_true_fails_and_is_mended() {
        for (shown, found, mended) in [
            ("$ echo a\nb\n", "`echo a` says something else:\n  - b\n  + a", "$ echo a\na\n"),
            ("$ echo a\n", "  + a", "$ echo a\na\n"),
            ("$ true\nb\n", "  - b", "$ true\n"),
            ("$ false\n", "  + [exit code 1]", "$ false\n[exit code 1]\n"),
            ("$ true\n[exit code 1]\n", "  - [exit code 1]", "$ true\n"),
            (
                "$ no-such-command\n",
                "command not found\n  + [exit code 127]",
                "$ no-such-command\nbash: no-such-command: command not found\n[exit code 127]\n",
            ),
            ("$ seq 4\n1\n...\n5\n", "  + 4", "$ seq 4\n1\n...\n4\n"),
            ("$ datastore guard x\n", "[exit code", ""),
        ] {
            let Checked { findings, text } = checked(&format!("```console\n{shown}```\n"));
            assert!(findings.len() == 1 && findings[0].contains(found), "{shown}: {findings:#?}");
            if !mended.is_empty() {
                assert_eq!(text, format!("```console\n{mended}```\n"));
            }
        }
    }

    #[test]
    fn nothing_is_hidden_silently() {
        for (text, found) in [
            ("<!-- not run: it takes a week -->\n```console\n$ reboot\n```\n", "the test's list does not say so"),
            ("```sh\n$ datastore status\n```\n", "is not `console`, so nobody runs it"),
            ("```text\ndatastore status\n```\n", "is not `console`, so nobody runs it"),
            ("```\nx\n```\n", "the languages are"),
            ("```console\ndatastore status\n```\n", "begins with a command"),
            ("<!-- rum\ntrue\n-->\n", "means nothing to this test"),
            ("<!-- run\nfalse; true\n-->\n", "`false; true`, or a part of it, failed"),
            ("Text. <!-- fresh machine -->\n", "has lines of its own"),
            ("<!-- not run: x -->\n\nText.\n", "no block follows"),
            ("Type `datastore stpo httpd` now.\n", "`datastore stpo httpd` is no command"),
            ("| a | `datastore volume add` |\n|--|--|\n| x | `datastore stop` |\n", "`datastore stop` is no command"),
        ] {
            let findings = checked(text).findings;
            assert!(findings.iter().any(|f| f.contains(found)), "{text}: {findings:#?}");
        }
        let gone = check("Text.\n", Path::new("/"), &[("reboot", "it takes a week")]).findings;
        assert!(gone[0].contains("no block is marked so"), "{gone:?}");
        let marked = "<!-- not run: it takes a week -->\n```console\n$ reboot\n```\n";
        let findings = |page: &str| check(page, Path::new("/"), &[("reboot", "it takes a week")]).findings;
        assert!(findings(marked).is_empty());
        assert!(!findings(&marked.replace("reboot", "reboot\n$ poweroff")).is_empty(), "a second command in the block");
        assert!(!findings(&marked.replace("a week", "a day")).is_empty(), "another reason");
    }
}
