//! Starts a program only if all data of its app is in place: `guard APP PROGRAM [ARGUMENT...]`.

use std::env;
use std::error::Error;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use datastore_core::value::AppName;
use datastore_exec::Engine;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = env::args().skip(1);
    let (Some(app), Some(program)) = (words.next(), words.next()) else {
        return Err("usage: guard APP PROGRAM [ARGUMENT...]".into());
    };

    // Names are checked once, where they come in.
    let app = AppName::parse(&app)?;
    let engine = Engine::open(Path::new("/"))?;

    if let Err(refusal) = engine.guard(&app) {
        // An error has a kind for the program, a message for a person, and often a hint that can be typed.
        eprintln!("{program} is not started: {refusal}");
        if let Some(hint) = refusal.get_hint() {
            eprintln!("try: {hint}");
        }
        std::process::exit(1);
    }

    // From here on this process is the program. `exec` returns only if that fails.
    Err(Command::new(program).args(words).exec().into())
}
