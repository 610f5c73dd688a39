//! Pages of the manual: opened by man(1) on a terminal, printed as they are in a pipe.

use std::io::{IsTerminal as _, Write as _};
use std::process::{Command, Stdio};

use datastore_core::Result;
use serde::Serialize;

use super::{json, print};
use crate::manual::{Page, plain};

#[derive(Serialize)]
struct Pages<'a> {
    pages: Vec<Listed<'a>>,
}

#[derive(Serialize)]
struct Listed<'a> {
    page: &'a str,
    section: u8,
    title: &'a str,
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    page: Listed<'a>,
    /// Its source, in man(7).
    roff: &'a str,
}

fn listed(page: &Page) -> Listed<'_> {
    Listed { page: page.name, section: page.section, title: page.title }
}

/// Which pages there are.
pub(crate) fn pages(pages: &[Page], as_json: bool) -> Result<()> {
    if as_json {
        return json::print(&Pages { pages: pages.iter().map(listed).collect() });
    }
    let line = |page: &Page| format!("{:24}{}\n", format!("{}({})", page.name, page.section), page.title);
    print(&pages.iter().map(line).collect::<String>())
}

/// One page.
pub(crate) fn page(page: &Page, as_json: bool) -> Result<()> {
    let source = page.source();
    if as_json {
        return json::print(&Whole { page: listed(page), roff: &source });
    }
    if !std::io::stdout().is_terminal() {
        return print(&source);
    }
    if opened(&source) { Ok(()) } else { print(&plain(&source)) }
}

/// Hands the source to man(1), which finds width and pager by itself; `false` if there is none that can show it.
fn opened(source: &str) -> bool {
    let Ok(mut man) = Command::new("man").args(["-l", "-"]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn() else {
        return false;
    };
    if let Some(mut input) = man.stdin.take() {
        // A pager that was left early does not read to the end.
        let _ = input.write_all(source.as_bytes());
    }
    man.wait().is_ok_and(|status| status.success())
}
