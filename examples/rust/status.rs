//! Shows every mapping of this machine that is asked for, and what to do about those that are not as they should be.

use std::env;
use std::error::Error;
use std::path::PathBuf;

use datastore_core::state::State;
use datastore_exec::Engine;

fn main() -> Result<(), Box<dyn Error>> {
    // The directory under which everything lies: `/`, or a mounted image.
    let root = env::args_os().nth(1).map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let engine = Engine::open(&root)?;

    // No names means every app. What comes back is what the kernel says now.
    let status = engine.status(&[])?;
    let asked: Vec<_> = status.mappings.iter().filter(|row| row.state != State::Disabled).collect();
    for row in &asked {
        println!("{:<9} {:<12} {}", row.state, row.app, row.mount_point);
        if row.state == State::Refused {
            // The same words that `datastore status` shows.
            println!("          {}", row.detail);
            println!("          to mend it: {}", row.hint);
        }
    }
    let active = asked.iter().filter(|row| row.state == State::Active).count();
    println!("{active} of {} mappings are active", asked.len());
    Ok(())
}
