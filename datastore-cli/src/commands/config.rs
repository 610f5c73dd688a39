//! `config check` and `config show`.

use datastore_core::Result;
use datastore_core::value::AppName;

use super::Session;
use crate::exit::Exit;
use crate::view::{self, effective::Effective};

/// Says everything that is wrong with the configuration, or with that of one app.
pub(crate) fn check(session: &Session, app: Option<&AppName>) -> Result<Exit> {
    let wanted = session.engine()?.config()?;
    let found = wanted.diagnostics_of(app)?;
    let errors = found.iter().filter(|d| d.is_error()).count();
    view::diagnostics(&found, &wanted, session.global.json)?;
    Ok(if errors > 0 { Exit::Refused } else { Exit::Done })
}

/// Shows what all files together come to.
pub(crate) fn show(session: &Session, app: Option<&AppName>, origin: bool) -> Result<Exit> {
    let wanted = session.engine()?.config()?;
    app.map_or(Ok(()), |name| wanted.demand_app(name).map(drop))?;
    view::effective::print(&Effective::of(&wanted, app), origin, session.global.json)?;
    Ok(Exit::Done)
}
