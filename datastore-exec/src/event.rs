//! What leaves the engine while it works: for a progress bar, a log, a web page. Nothing comes back.

use datastore_core::plan::Plan;
use datastore_core::progress::Walk;

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An operation that had stopped half-way is being finished.
    Recovering {
        /// Its name.
        operation: &'a str,
        /// What was asked for.
        goal: &'a str,
    },
    /// An operation that had stopped half-way cannot be finished: what it was about is gone, or is another thing by now. What it
    /// had done stays as it is.
    GivenUp {
        /// Its name.
        operation: &'a str,
        /// Why.
        why: &'a str,
    },
    /// An operation begins.
    Begin {
        /// Its name.
        operation: &'a str,
        /// What it will do.
        plan: &'a Plan,
    },
    /// Some steps were done.
    Done {
        /// How many so far.
        steps: usize,
        /// How many in all.
        of: usize,
        /// The last one, as a sentence.
        what: &'a str,
    },
    /// A step begins. Told only where steps take their time: when data is moved.
    Doing {
        /// How many steps come before it.
        done: usize,
        /// How many there are.
        of: usize,
        /// What it is, as a sentence.
        what: &'a str,
    },
    /// A tree is being walked, within one step.
    Walking {
        /// How far that is.
        walk: &'a Walk,
    },
    /// A mapping, or the whole operation, failed and was taken back.
    Failed {
        /// The app; empty for the whole operation.
        app: &'a str,
        /// The mount point; empty for the whole operation.
        mount_point: &'a str,
        /// Why.
        why: &'a str,
    },
    /// An operation ended.
    End {
        /// Its name.
        operation: &'a str,
    },
}

/// Takes events.
pub trait Listener {
    /// Called for each event, from the thread that works. It must return soon.
    fn event(&mut self, event: &Event<'_>);
}

/// A listener that listens to nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Listener for Silent {
    fn event(&mut self, _: &Event<'_>) {}
}
