//! What happens while something is done, told to a function of the caller.

use std::ffi::c_void;

use datastore_exec::event::{Event, Listener};
use serde_json::json;

use crate::value::Value;

/// Called for each event, from the thread that called the library, with what the caller gave as `data`. The event is a map; its field
/// `event` says what happened: `recovering`, `given-up`, `begin`, `doing`, `done`, `walking`, `failed`, `end`. It ends when the function
/// returns. The function must not unwind or jump out.
pub type Progress = Option<unsafe extern "C" fn(data: *mut c_void, event: *const Value)>;

/// Tells events on.
pub(crate) struct Teller {
    to: Progress,
    data: *mut c_void,
}

impl Teller {
    pub(crate) fn new(to: Progress, data: *mut c_void) -> Self {
        Self { to, data }
    }
}

impl Listener for Teller {
    fn event(&mut self, event: &Event<'_>) {
        let Some(to) = self.to else { return };
        let document = match event {
            Event::Recovering { operation, goal } => {
                json!({"event": "recovering", "operation": operation, "goal": goal})
            }
            Event::GivenUp { operation, why } => json!({"event": "given-up", "operation": operation, "why": why}),
            Event::Begin { operation, plan } => {
                json!({"event": "begin", "operation": operation, "goal": plan.goal.to_string(), "steps": plan.steps.len()})
            }
            Event::Doing { done, of, what } => json!({"event": "doing", "done": done, "steps": of, "what": what}),
            Event::Done { steps, of, what } => json!({"event": "done", "done": steps, "steps": of, "what": what}),
            Event::Walking { walk } => json!({"event": "walking", "walk": walk}),
            Event::Failed { app, mount_point, why } => {
                json!({"event": "failed", "app": app, "mount_point": mount_point, "why": why})
            }
            Event::End { operation } => json!({"event": "end", "operation": operation}),
            // One that this library does not know how to tell yet.
            _ => return,
        };
        if let Ok(value) = Value::of(&document) {
            // SAFETY: the caller gave a function that takes these.
            unsafe { to(self.data, &raw const value) };
        }
    }
}
