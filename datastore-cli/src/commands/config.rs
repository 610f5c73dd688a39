//! `config check` and `config show`.

use datastore_core::Result;
use datastore_core::diag::Diagnostic;
use datastore_core::value::AppName;
use datastore_core::wanted::Wanted;

use super::{Session, no_such_app};
use crate::exit::Exit;
use crate::view::{self, effective::Effective};

/// Says everything that is wrong with the configuration, or with that of one app.
pub(crate) fn check(session: &Session, app: Option<&AppName>) -> Result<Exit> {
    let wanted = session.engine()?.config()?;
    let found = match app {
        None => wanted.diagnostics.iter().collect(),
        Some(name) => of_app(&wanted, name)?,
    };
    let errors = found.iter().filter(|d| d.is_error()).count();
    view::diagnostics(&found, &wanted, session.global.json)?;
    Ok(if errors > 0 { Exit::Refused } else { Exit::Done })
}

/// What was found in the files that declare an app, and the errors in the global one, which concern every app.
fn of_app<'w>(wanted: &'w Wanted, name: &AppName) -> Result<Vec<&'w Diagnostic>> {
    let Some(app) = wanted.app(name) else { return Err(no_such_app(name, wanted.nearest_app(name.as_str()))) };
    let concerns = |d: &&Diagnostic| match &d.place {
        None => true,
        Some(place) => app.files.contains(&place.file) || (d.is_error() && place.file == "/etc/datastore.conf"),
    };
    Ok(wanted.diagnostics.iter().filter(concerns).collect())
}

/// Shows what all files together come to.
pub(crate) fn show(session: &Session, app: Option<&AppName>, origin: bool) -> Result<Exit> {
    let wanted = session.engine()?.config()?;
    if let Some(name) = app
        && wanted.app(name).is_none()
    {
        return Err(no_such_app(name, wanted.nearest_app(name.as_str())));
    }
    view::effective::print(&Effective::of(&wanted, app), origin, session.global.json)?;
    Ok(Exit::Done)
}
