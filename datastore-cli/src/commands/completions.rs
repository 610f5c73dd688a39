//! `completions`.

use datastore_core::Result;
use datastore_exec::Engine;

use super::Session;
use crate::args::{Completions, Shell, complete};
use crate::exit::Exit;
use crate::view;

/// Prints what a shell reads once; with `--word`, what may stand there.
pub(crate) fn completions(session: &Session, args: &Completions) -> Result<Exit> {
    let Some(word) = args.word else {
        view::script(args.shell, session.global.json)?;
        return Ok(Exit::Done);
    };
    // Behind the word is nothing that counts.
    let words = args.words.get(..=word).unwrap_or_default();
    let (words, known) = if args.shell == Shell::Bash { complete::joined(words) } else { (words.to_vec(), 0) };
    // Whoever presses a key wants no error: what cannot be looked at has no names.
    let names = Engine::open(&complete::root(&words)).map(|engine| engine.names()).unwrap_or_default();
    let cwd = std::env::current_dir().ok();
    let found = complete::candidates(&words, &names, cwd.as_deref());
    view::candidates(&found, args.shell, known, session.global.json)?;
    Ok(Exit::Done)
}
