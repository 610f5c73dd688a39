//! `usage`.

use datastore_core::Result;

use super::Session;
use crate::args::Usage;
use crate::exit::Exit;
use crate::view::{self, progress::Progress};

/// Measures what fills the volumes, or shows what was measured last.
pub(crate) fn usage(session: &Session, args: &Usage) -> Result<Exit> {
    let engine = session.engine()?;
    let usage = if args.kept {
        engine.usage(&args.apps)?
    } else {
        let mut progress = Progress::new(session.global.json);
        let measured = engine.measure(&args.apps, &mut progress);
        progress.clear();
        measured?
    };
    view::usage(&usage, session.global.json)?;
    Ok(Exit::Done)
}
