//! Plans `move --undo`: what the last import or move of an app did is taken back. What it put aside comes back to its place, and what
//! stands there now is put aside in turn, so that nothing is lost whichever side counts.

use super::stores::{self, Asked, Back};
use super::{Scene, home};
use crate::error::{Error, ErrorKind};
use crate::goal::{Goal, Undo};
use crate::moving::{Probe, Receipt};
use crate::plan::{Plan, Remark};
use crate::standing::View;
use crate::value::Id;
use crate::wanted::Wanted;

pub(super) fn probe(
    goal: &Goal,
    request: &Undo,
    view: &View<'_>,
    wanted: &Wanted,
    receipt: Option<&Receipt>,
    seed: Id,
) -> Probe {
    match receipt {
        None => Probe::default(),
        Some(receipt) if receipt.is_undone() || demand_in_place(receipt, view.wanted).is_err() => Probe::default(),
        Some(receipt) if is_import(receipt) => home::probe(view, Back { receipt, keep: request.keep }, seed),
        Some(receipt) => stores::probe(goal, view, wanted, Some(Back { receipt, keep: request.keep }), seed),
    }
}

pub(super) fn plan(goal: &Goal, request: &Undo, scene: Scene<'_>) -> Result<Plan, Error> {
    let refused = |message: String, hint: String| Err(Error::new(ErrorKind::Refused, message).hint(hint));
    let app = goal.apps().and_then(|apps| apps.names.first()).map(ToString::to_string).unwrap_or_default();
    let Some(receipt) = scene.receipt else {
        return refused(
            format!("no import or move of `{app}` is known that could be undone; nothing has been changed"),
            format!("what was done is told by: datastore log {app}"),
        );
    };
    if receipt.is_undone() {
        // Doing it again must not take it back.
        let mut plan = Plan::empty(goal, scene.wanted.host.clone(), scene.seed);
        plan.remarks.push(Remark {
            detail: format!("the last import or move of `{app}` has been undone already"),
            hint: format!("what was put aside then is listed by: datastore plan reclaim {app}"),
        });
        return Ok(plan);
    }
    demand_in_place(receipt, scene.before)?;
    if let Some(differs) = scene.facts.trees.iter().find_map(|tree| tree.differs.as_ref()) {
        return Err(has_changed(&app, differs));
    }
    let back = Back { receipt, keep: request.keep };
    if is_import(receipt) {
        return Ok(home::plan(goal, scene, back));
    }
    Ok(stores::plan(goal, Asked::default(), scene, Some(back)))
}

/// It was written to since, and nobody said which side counts.
#[must_use]
pub fn has_changed(app: &str, differs: &str) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!("the data of `{app}` has changed since: {differs}; which side is to be kept must be said; nothing has been changed"),
    )
    .hint(format!(
        "datastore move {app} --undo --keep new takes the data as it is now; --keep old the data as it was then; \
         the other side is put aside"
    ))
}

fn is_import(receipt: &Receipt) -> bool {
    receipt.trees.iter().all(|tree| tree.from_volume.is_none())
}

/// The data must be where that operation left it.
fn demand_in_place(receipt: &Receipt, wanted: &Wanted) -> Result<(), Error> {
    for tree in &receipt.trees {
        let mut mappings = wanted.of_app(&receipt.app).map(|(_, mapping)| mapping);
        let mapping = mappings.find(|mapping| mapping.mount_point == tree.mount_point);
        if mapping.is_none_or(|mapping| mapping.store != tree.to) {
            let now = mapping.map_or_else(|| "nowhere".into(), |mapping| mapping.store.to_string());
            let (at, to, verb) = (&tree.mount_point, &tree.to, &receipt.verb);
            return Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "the store of {at} is {now} by now, and not {to}, where the last {verb} had put it; nothing has been changed"
                ),
            )
            .hint(format!("datastore move {} --to VOLUME|DIR brings it to another place", receipt.app)));
        }
    }
    Ok(())
}
