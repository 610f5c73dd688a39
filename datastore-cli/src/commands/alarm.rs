//! `alarm list` and `alarm test`.

use datastore_core::Result;

use super::Session;
use crate::exit::Exit;
use crate::view;

pub(crate) fn list(session: &Session) -> Result<Exit> {
    view::alarms(&session.engine()?.alarms()?, session.global.json)?;
    Ok(Exit::Done)
}

pub(crate) fn test(session: &Session) -> Result<Exit> {
    let told = session.engine()?.test_alarm()?;
    view::deliveries(&told, session.global.json)?;
    Ok(if told.iter().any(|d| d.error.is_some()) { Exit::Failed } else { Exit::Done })
}
