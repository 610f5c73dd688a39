//! `watch`.

use datastore_core::Result;
use datastore_exec::watch::{Seen, Span};

use super::Session;
use crate::args::Watch;
use crate::exit::Exit;
use crate::view;

/// Shows what changes, until it is ended; whoever started it is told when nothing is missed any more (sd_notify(3)).
pub(crate) fn watch(session: &Session, args: &Watch) -> Result<Exit> {
    let engine = session.engine()?;
    let span = if args.once { Span::Once } else { Span::Always };
    engine.watch(span, &mut |seen| {
        if matches!(seen, Seen::Ready { .. }) {
            // Nobody listens where it was not started by systemd.
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        }
        view::seen(seen, session.global.json)
    })?;
    Ok(Exit::Done)
}
