//! Plans that are kept for later (`/var/lib/datastore/plans`): made by root, shown to somebody, applied by id.
//!
//! What is kept is what was asked for and the seed. Whoever applies it makes the plan again, and it must be the same one.

use datastore_core::goal::Goal;
use datastore_core::plan::{Plan, PlanId};
use datastore_core::value::{Attrs, Id};
use datastore_core::{AbsPath, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::durable::{self, Expect};
use crate::root::Root;
use crate::{observe, operation, run_files};

const DIR: &str = "/var/lib/datastore/plans";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
pub(crate) struct Saved {
    version: u32,
    id: PlanId,
    goal: Goal,
    seed: Id,
}

/// Keeps a plan.
pub(crate) fn save(root: &Root, plan: &Plan) -> Result<PlanId> {
    operation::demand_privilege("keep a plan")?;
    run_files::make_dirs(root, DIR, 0o700)?;
    let saved = Saved { version: VERSION, id: plan.id(), goal: plan.goal.clone(), seed: plan.seed };
    let text = serde_json::to_vec(&saved).unwrap_or_default();
    let id = saved.id;
    let _ = durable::replace(root, &path(&id), &text, id.as_str(), Attrs::root(0o600), Expect::Anything)?;
    Ok(id)
}

/// What a kept plan was for.
pub(crate) fn load(root: &Root, id: &PlanId) -> Result<(Goal, Id)> {
    operation::demand_privilege("apply a plan")?;
    let Some(bytes) = observe::read(root, &path(id))? else {
        return Err(
            Error::new(ErrorKind::Usage, format!("there is no plan {id}")).hint("make one: datastore plan --save")
        );
    };
    let wrong = |why: String| {
        Error::new(ErrorKind::Invalid, format!("{} cannot be understood: {why}", path(id)))
            .hint("make a new one: datastore plan --save")
    };
    let saved: Saved = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
    if saved.version != VERSION || saved.id != *id {
        return Err(wrong(format!("version {}, plan {}", saved.version, saved.id)));
    }
    Ok((saved.goal, saved.seed))
}

fn path(id: &PlanId) -> AbsPath {
    AbsPath::literal(DIR).child(&format!("{id}.json"))
}
