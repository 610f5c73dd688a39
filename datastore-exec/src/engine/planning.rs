//! One plan for each kind of goal: what is read, what is observed, which planner is asked.

use std::time::Instant;

use datastore_core::goal::{Adopt, Apps, Goal, VolumeRequest};
use datastore_core::observed::{Observed, Probe, VolumeFacts};
use datastore_core::plan;
use datastore_core::resolve::{incumbents, resolve};
use datastore_core::standing::View;
use datastore_core::switch::{switch, switch_back};
use datastore_core::value::Id;
use datastore_core::verify;
use datastore_core::wanted::{Volume, Wanted};
use datastore_core::{AbsPath, Error, ErrorKind, Result};

use super::{
    Engine, Prepared, demand_globals, demand_readable_globals, demand_sound_globals, globals_text, ms, nesting, release,
};
use crate::observe::{self, Care};
use crate::report::Timing;
use crate::{adoption, load, moving, receipts, site};

impl Engine {
    pub(super) fn plan_mappings(&self, goal: &Goal, seed: Id) -> Result<Prepared> {
        let begun = Instant::now();
        let (wanted, basis, (files, config)) = self.read(|inputs| {
            demand_globals(inputs)?;
            Ok((switch(goal, inputs)?, globals_text(inputs)))
        })?;
        let loaded = Instant::now();
        let all = Apps::default();
        let apps = goal.apps().unwrap_or(&all);
        apps.demand_known(&wanted, &basis.fstab)?;
        let probe = Probe::of(nesting(&wanted, &basis), |i| goal.concerns(&wanted.mappings[i]));
        let care = Care { beneath: goal.uncovers() };
        let observed = observe::observe(&self.root, self.ids()?, &probe, basis, care)?;
        let seen = Instant::now();
        let view = View::new(&wanted, &observed);
        let plan = match goal {
            Goal::VolumeRemove { name } => plan::volume::remove(name, &view, config.as_deref(), seed)?,
            _ => plan::make(goal, &view, files, seed),
        };
        let prepared = self.finish(plan, &wanted, &observed, [begun, loaded, seen]);
        release((wanted, observed));
        prepared
    }

    pub(super) fn plan_moving(&self, goal: &Goal, seed: Id) -> Result<Prepared> {
        let begun = Instant::now();
        let receipt = match goal {
            Goal::Undo(request) => request.apps.names.first().map(|app| receipts::last(&self.root, app)),
            _ => None,
        };
        let receipt = receipt.transpose()?.flatten();
        let (wanted, basis, (files, inputs)) = self.read(|inputs| {
            demand_globals(inputs)?;
            if goal.moves() {
                demand_readable_globals(inputs)?;
            }
            // Where data is now is told by the configuration as it was.
            let before = matches!(goal, Goal::Move(_) | Goal::Undo(_)).then(|| inputs.clone());
            let files = match &receipt {
                Some(receipt) => switch_back(receipt, inputs)?,
                None => switch(goal, inputs)?,
            };
            Ok((files, before))
        })?;
        let before = inputs.map(|inputs| resolve(inputs, &incumbents(&basis.fstab)));
        let before = before.as_ref().unwrap_or(&wanted);
        let loaded = Instant::now();
        let all = Apps::default();
        goal.apps().unwrap_or(&all).demand_known(before, &basis.fstab)?;
        if goal.moves() {
            demand_readable(goal, before)?;
        }
        let probe = Probe::of(nesting(before, &basis), |i| goal.concerns(&before.mappings[i]));
        let care = Care { beneath: goal.uncovers() };
        let observed = observe::observe(&self.root, self.ids()?, &probe, basis, care)?;
        let view = View::new(before, &observed);
        let receipt = receipt.as_ref();
        let facts = moving::look(&self.root, &plan::moving::probe(goal, &view, &wanted, receipt, seed))?;
        let seen = Instant::now();
        let scene =
            plan::moving::Scene { before, wanted: &wanted, observed: &observed, facts: &facts, receipt, files, seed };
        let plan = plan::moving::make(goal, scene)?;
        self.finish(plan, &wanted, &observed, [begun, loaded, seen])
    }

    pub(super) fn plan_declaration(&self, goal: &Goal, seed: Id) -> Result<Prepared> {
        let begun = Instant::now();
        let (wanted, basis, (files, inputs)) = self.read(|inputs| {
            demand_globals(inputs)?;
            let before = inputs.clone();
            Ok((switch(goal, inputs)?, before))
        })?;
        let before = resolve(inputs, &incumbents(&basis.fstab));
        let loaded = Instant::now();
        let probe = Probe::of(nesting(&wanted, &basis), |i| goal.concerns(&wanted.mappings[i]));
        let observed = observe::observe(&self.root, self.ids()?, &probe, basis, Care::default())?;
        let ways = plan::declaration::ways(goal, &wanted);
        let doubts: Vec<Option<String>> = ways.iter().map(|way| load::doubt(&self.root, way)).collect();
        let seen = Instant::now();
        let view = View::new(&wanted, &observed);
        let plan = plan::declaration::make(goal, &before, &view, &doubts, files, seed)?;
        self.finish(plan, &wanted, &observed, [begun, loaded, seen])
    }

    pub(super) fn plan_volume(&self, goal: &Goal, request: &VolumeRequest, seed: Id) -> Result<Prepared> {
        let begun = Instant::now();
        let (wanted, basis, ()) = self.read(|_| Ok(()))?;
        demand_sound_globals(&wanted)?;
        let loaded = Instant::now();
        let probe = Probe::of(nesting(&wanted, &basis), |_| false);
        let observed = observe::observe(&self.root, self.ids()?, &probe, basis, Care::default())?;
        let host = plan::volume::host_of(goal, &wanted)?;
        let site = site::observe(&self.root, &wanted, &observed.mounts, request, &host)?;
        let seen = Instant::now();
        let view = View::new(&wanted, &observed);
        let plan = plan::volume::add(goal, &view, &site, seed)?;
        self.finish(plan, &wanted, &observed, [begun, loaded, seen])
    }

    pub(super) fn plan_adoption(&self, goal: &Goal, request: &Adopt, seed: Id) -> Result<Prepared> {
        let begun = Instant::now();
        let (wanted, basis, inputs) = self.read(|inputs| Ok(inputs.clone()))?;
        demand_sound_globals(&wanted)?;
        let loaded = Instant::now();
        let probe = Probe::of(nesting(&wanted, &basis), |_| false);
        let observed = observe::observe(&self.root, self.ids()?, &probe, basis, Care::default())?;
        let brought = adoption::observe(&self.root, self.ids()?, &wanted, &observed.mounts, request)?;
        let site = site::observe(&self.root, &wanted, &observed.mounts, &request.volume, &request.host)?;
        let seen = Instant::now();
        let view = View::new(&wanted, &observed);
        let plan = plan::volume::adopt(goal, &view, &site, &brought, &inputs, seed)?;
        self.finish(plan, &wanted, &observed, [begun, loaded, seen])
    }

    fn finish(&self, plan: plan::Plan, wanted: &Wanted, observed: &Observed, at: [Instant; 3]) -> Result<Prepared> {
        let mut volumes: Vec<AbsPath> =
            plan.volumes().iter().filter_map(|name| wanted.volume(name)).map(|v| v.path.clone()).collect();
        if let Some(request) = plan.goal.new_volume() {
            volumes.push(plan::volume::path_of(&wanted.store, request));
        }
        let is_right = |(volume, facts): &(&Volume, &VolumeFacts)| {
            volume.declared && facts.file.said().is_some_and(|file| volume.id.is_none_or(|id| id == file.id))
        };
        let there: Vec<&Volume> =
            wanted.volumes.iter().zip(&observed.volumes).filter(is_right).map(|(volume, _)| volume).collect();
        let homes = there.iter().filter_map(|volume| wanted.base(volume)).collect();
        let carriers = there.iter().map(|volume| volume.path.clone()).collect();
        let checked = verify::check(plan, wanted, observed)?;
        let timing = Timing {
            load_ms: ms(at[1] - at[0]),
            observe_ms: ms(at[2] - at[1]),
            plan_ms: ms(at[2].elapsed()),
            ..Timing::default()
        };
        let interrupted = !observed.unfinished.is_empty();
        Ok(Prepared { checked, timing, mark: observed.mark, interrupted, volumes, homes, carriers })
    }
}

/// Refuses to move the data of an app of which nothing can be read: it would count as one that has none.
fn demand_readable(goal: &Goal, known: &Wanted) -> Result<()> {
    for name in goal.apps().iter().flat_map(|apps| &apps.names) {
        let problem = known.app(name).and_then(|app| app.problem.as_ref());
        if let Some(problem) = problem.filter(|_| known.of_app(name).next().is_none()) {
            let message = format!("{}; nothing has been changed", problem.detail);
            return Err(Error::new(ErrorKind::Refused, message).hint(problem.hint.clone()));
        }
    }
    Ok(())
}
