//! Makes the machine as the configuration asks for: shows the plan, applies exactly that plan, and tells how far it is.

use std::env;
use std::error::Error;
use std::path::PathBuf;

use datastore_core::goal::{Apps, Goal};
use datastore_exec::Engine;
use datastore_exec::event::{Event, Listener};

/// Prints what happens. Another program would move a progress bar.
struct Progress;

impl Listener for Progress {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Begin { plan, .. } => println!("begins: {} steps", plan.steps.len()),
            Event::Done { steps, of, what } => println!("{steps} of {of}: {what}"),
            Event::Failed { app, mount_point, why } => println!("failed: {app} {mount_point}: {why}"),
            Event::End { .. } => println!("ends"),
            // There are more, and there may be new ones.
            _ => {}
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = env::args_os().nth(1).map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let engine = Engine::open(&root)?;

    // Planning changes nothing. The plan that comes back has passed a second look by separate code: only such a plan can be
    // applied.
    let prepared = engine.plan(&Goal::Apply(Apps::default()))?;
    for row in &prepared.plan().notes {
        println!("not done: {} {}: {}", row.app, row.mount_point, row.detail);
    }
    if prepared.plan().is_empty() {
        println!("nothing to do");
        return Ok(());
    }
    for step in &prepared.plan().steps {
        println!("will {}", step.action);
    }

    // Exactly this plan: if the machine has changed meanwhile, nothing is done and the error says so.
    let report = engine.apply(prepared, &mut Progress)?;
    println!("{} of {} steps done", report.done, report.steps);
    if !report.failed.is_empty() {
        return Err("something failed and was taken back".into());
    }
    Ok(())
}
