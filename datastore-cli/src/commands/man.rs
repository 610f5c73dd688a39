//! `man`.

use datastore_core::{Error, ErrorKind, Result};

use super::Session;
use crate::args::Man;
use crate::exit::Exit;
use crate::{manual, view};

/// Shows a page of the manual, or which there are.
pub(crate) fn man(session: &Session, args: &Man) -> Result<Exit> {
    if args.list {
        view::pages(manual::PAGES, session.global.json)?;
        return Ok(Exit::Done);
    }
    let page = manual::find(&args.page).ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("no page is called `{}`", args.page)).hint("datastore man --list")
    })?;
    view::page(page, session.global.json)?;
    Ok(Exit::Done)
}
