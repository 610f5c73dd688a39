//! `peek`.

use datastore_core::Result;
use datastore_exec::peek::Wish;

use super::{Session, volume};
use crate::args::Peek;
use crate::exit::Exit;
use crate::view;

/// Shows what lies under live binds, and copies it out.
pub(crate) fn peek(session: &Session, args: Peek) -> Result<Exit> {
    let engine = session.engine()?;
    let copy_to = args.copy_to.as_deref().map(|to| volume::below_root(&engine, to)).transpose()?;
    let peek = engine.peek(&args.app, &Wish { path: args.path, deep: args.list, copy_to })?;
    view::peek(&peek, session.global.json)?;
    // Whoever goes on as if all had been copied would lose what was not.
    let complete = peek.copied.as_ref().is_none_or(|copied| copied.left_out.is_empty());
    Ok(if complete { Exit::Done } else { Exit::Failed })
}
