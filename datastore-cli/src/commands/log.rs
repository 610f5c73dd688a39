//! `log`.

use std::time::SystemTime;

use datastore_core::Result;
use datastore_core::log::Query;

use super::Session;
use crate::args::Log;
use crate::exit::Exit;
use crate::view;

/// Shows the operations that have run; with `--follow` also those to come.
pub(crate) fn log(session: &Session, args: Log) -> Result<Exit> {
    let engine = session.engine()?;
    let as_json = session.global.json;
    if let Some(operation) = &args.operation {
        view::log_detail(&engine.log_of(operation)?, as_json)?;
        return Ok(Exit::Done);
    }
    let since = args.since.map(|since| since.operation(SystemTime::now())).transpose()?;
    let query = Query { apps: args.apps, since, last: args.last, failed: args.failed };
    if args.follow {
        engine.follow_log(&query, &mut |row| view::log_line(row, as_json))?;
    } else {
        view::log(&engine.log(&query)?, as_json)?;
    }
    Ok(Exit::Done)
}
