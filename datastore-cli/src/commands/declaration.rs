//! `config add` and `config remove`.

use std::io::Read as _;

use datastore_core::declaration::{Declaration, MOST_BYTES};
use datastore_core::goal::{Apps, Goal};
use datastore_core::value::AppName;
use datastore_core::{Error, ErrorKind, Result};
use datastore_exec::document::Declared;

use super::{Session, change};
use crate::exit::Exit;
use crate::view;

/// Writes the configlet of the app that the document on standard input declares. There is nothing to ask: whoever sends a document has been
/// asked, and nothing is bound by it.
pub(crate) fn add(session: &Session) -> Result<Exit> {
    let engine = session.engine()?;
    let mut document = Vec::new();
    let limit = MOST_BYTES as u64 + 1;
    std::io::stdin().lock().take(limit).read_to_end(&mut document).map_err(|error| {
        Error::new(ErrorKind::System, "the document cannot be read; nothing has been changed").caused_by(error)
    })?;
    let declaration = Declaration::parse(&document)?;
    let app = declaration.app.clone();
    let report = change::at_once(session, &engine, &Goal::Declare(declaration.into()))?;
    // What has been written stays written, whatever becomes of this look at it.
    let rows = engine.status(std::slice::from_ref(&app)).map(|status| status.mappings).unwrap_or_default();
    view::declared(&Declared::added(&app, &report, &rows), session.global.json)?;
    Ok(Exit::of_report(&report))
}

/// Removes such a configlet.
pub(crate) fn remove(session: &Session, app: &AppName) -> Result<Exit> {
    let goal = Goal::Withdraw(Apps::named(vec![app.clone()]));
    let report = change::at_once(session, &session.engine()?, &goal)?;
    view::declared(&Declared::removed(app, &report), session.global.json)?;
    Ok(Exit::of_report(&report))
}
