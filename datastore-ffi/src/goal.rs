//! What is asked for.

use datastore_core::request::{Request, app_name};

use crate::error::Error;
use crate::guard::{Out, free, guard, handle_mut};
use crate::text::Text;

/// What is asked for: a verb, apps, options. The words are those of the command line.
#[derive(Debug)]
pub struct Goal(pub(crate) Request);

/// Begins a goal with a verb: `apply`, `start`, `stop`, `restart`, `enable`, `disable`, `remap`, `import`, `move` or `reclaim`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_goal_new(verb: Text, goal: *mut *mut Goal) -> *mut Error {
    guard(|| {
        // SAFETY: as said at the top of the header.
        let (verb, out) = unsafe { (verb.needed("verb")?, Out::new(goal, "goal")?) };
        out.put(Goal(Request::named(verb)?));
        Ok(())
    })
}

/// Names an app. `apply` and `reclaim` without any are about all of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_goal_add_app(goal: *mut Goal, app: Text) -> *mut Error {
    guard(|| {
        // SAFETY: as said at the top of the header.
        let (goal, app) = unsafe { (handle_mut(goal, "goal")?, app.needed("app")?) };
        goal.0.apps.push(app_name(app)?);
        Ok(())
    })
}

/// Sets an option: `to` (a volume or a directory), `max-downtime` (seconds), `verify` (`sample` or `content`), `keep` (`old` or `new`);
/// or one that takes no value: `undo`, `resume`, `abort`, `expired`, `accept-store`. Whether the verb takes it is said when the goal is
/// planned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_goal_set(goal: *mut Goal, option: Text, value: Text) -> *mut Error {
    guard(|| {
        // SAFETY: as said at the top of the header.
        let (goal, option) = unsafe { (handle_mut(goal, "goal")?, option.needed("option")?) };
        // SAFETY: as said at the top of the header.
        goal.0.set(option, unsafe { value.read("value")? }.unwrap_or_default())
    })
}

/// Frees a goal.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_goal_free(goal: *mut Goal) {
    // SAFETY: as said at the top of the header.
    unsafe { free(goal) }
}
