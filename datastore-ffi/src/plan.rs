//! Plans, and what is made of them.

use std::ffi::c_void;

use datastore_core::plan::PlanId;
use datastore_core::request::unparsable;
use datastore_core::{Error as CoreError, ErrorKind, Result};
use datastore_exec::document;
use datastore_exec::engine::Prepared;

use crate::error::Error;
use crate::goal::Goal;
use crate::guard::{Out, calm, free, guard, handle, handle_mut, maybe};
use crate::progress::{Progress, Teller};
use crate::store::Store;
use crate::text::Text;
use crate::value::Value;

/// A plan: what would be done, step by step. It can be applied once.
#[derive(Debug)]
pub struct Plan {
    /// None once it was applied.
    prepared: Option<Prepared>,
    document: Value,
}

impl Plan {
    fn new(prepared: Prepared, saved: bool) -> Result<Self> {
        let document = Value::of(&document::Plan::of(prepared.plan(), saved))?;
        Ok(Self { prepared: Some(prepared), document })
    }
}

fn applied() -> CoreError {
    CoreError::new(ErrorKind::Usage, "this plan has been applied; make a new one")
}

/// Plans a goal. Nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_plan(store: *const Store, goal: *const Goal, plan: *mut *mut Plan) -> *mut Error {
    guard(|| {
        // SAFETY: as said at the top of the header.
        let (store, goal, out) = unsafe { (handle(store, "store")?, handle(goal, "goal")?, Out::new(plan, "plan")?) };
        let goal = store.0.goal(goal.0.clone().asked()?)?;
        out.put(Plan::new(store.0.plan(&goal)?, false)?);
        Ok(())
    })
}

/// Returns what a plan says: id, goal, steps (each with kind, app, mount_point, text), notes, remarks, loads. It ends with the plan.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_plan_value(plan: *const Plan) -> *const Value {
    calm(std::ptr::null(), || {
        // SAFETY: as said at the top of the header.
        let plan = unsafe { maybe(plan) };
        plan.map_or(std::ptr::null(), |plan| std::ptr::from_ref(&plan.document))
    })
}

/// Keeps a plan, to be applied later by its id, by this or another process. It takes root.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_plan_save(store: *const Store, plan: *mut Plan) -> *mut Error {
    guard(|| {
        // SAFETY: as said at the top of the header.
        let (store, plan) = unsafe { (handle(store, "store")?, handle_mut(plan, "plan")?) };
        let prepared = plan.prepared.as_ref().ok_or_else(applied)?;
        store.0.save(prepared)?;
        plan.document = Value::of(&document::Plan::of(prepared.plan(), true))?;
        Ok(())
    })
}

/// Makes a plan again that was kept. It is refused (`DATASTORE_ERROR_REFUSED`) if the machine has changed so that it would be another
/// one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_plan_load(store: *const Store, id: Text, plan: *mut *mut Plan) -> *mut Error {
    guard(|| {
        // SAFETY: as said at the top of the header.
        let (store, id, out) = unsafe { (handle(store, "store")?, id.needed("id")?, Out::new(plan, "plan")?) };
        let id = PlanId::parse(id).map_err(|why| unparsable(id, &why))?;
        out.put(Plan::new(store.0.load(&id)?, true)?);
        Ok(())
    })
}

/// Applies exactly this plan, or nothing. `progress` may be NULL. The plan is used up, whatever comes of it, and is still to be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_plan_apply(
    store: *const Store,
    plan: *mut Plan,
    progress: Progress,
    data: *mut c_void,
    report: *mut *mut Value,
) -> *mut Error {
    guard(|| {
        // SAFETY: as said at the top of the header.
        let (store, plan, out) =
            unsafe { (handle(store, "store")?, handle_mut(plan, "plan")?, Out::new(report, "report")?) };
        let prepared = plan.prepared.take().ok_or_else(applied)?;
        out.put(Value::of(&store.0.apply(prepared, &mut Teller::new(progress, data))?)?);
        Ok(())
    })
}

/// Finishes what stopped half-way, plans a goal and applies it: what the command does with `--yes`. Doing it again changes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_run(
    store: *const Store,
    goal: *const Goal,
    progress: Progress,
    data: *mut c_void,
    report: *mut *mut Value,
) -> *mut Error {
    guard(|| {
        // SAFETY: as said at the top of the header.
        let (store, goal, out) =
            unsafe { (handle(store, "store")?, handle(goal, "goal")?, Out::new(report, "report")?) };
        let goal = store.0.goal(goal.0.clone().asked()?)?;
        out.put(Value::of(&store.0.run(&goal, &mut Teller::new(progress, data))?)?);
        Ok(())
    })
}

/// Frees a plan.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_plan_free(plan: *mut Plan) {
    // SAFETY: as said at the top of the header.
    unsafe { free(plan) }
}
