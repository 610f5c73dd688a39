//! One call of the tool on the model: what `datastore-exec`'s `engine.rs`, `operation.rs`, `recovery.rs` and `guard.rs` do around
//! core. The journal is what [`Machine::unfinished`] tells.

use std::collections::BTreeSet;

use super::machine::Machine;
use super::run::{Crashed, carry_out};
use super::steps::Pulse;
use crate::config::{GLOBALS, Input};
use crate::error::{Error, ErrorKind};
use crate::fstab::Fstab;
use crate::goal::Goal;
use crate::journal::{OperationId, Unfinished};
use crate::nesting::Nesting;
use crate::observed::{Identity, Observed, Place, Probe};
use crate::plan::{self, Plan};
use crate::recover;
use crate::resolve::{Incumbents, incumbents, resolve};
use crate::standing::{Ask, View};
use crate::state::{Reason, State};
use crate::status::{self, Row, Status};
use crate::step::Step;
use crate::switch::switch;
use crate::value::{AppName, Id};
use crate::verify;
use crate::wanted::Wanted;

/// What a call came to.
#[derive(Debug, Default)]
pub struct Report {
    /// The plan that was carried out; `None` if there was nothing to do or it was refused as a whole.
    pub plan: Option<Plan>,
    /// How many of its steps hold.
    pub done: usize,
    /// Mappings that failed on the way and were taken back.
    pub failed: Vec<Row>,
    /// Mappings that were asked for and that no step makes so.
    pub notes: Vec<Row>,
    /// Why nothing was done, or everything was taken back.
    pub error: Option<Error>,
    /// Steps that could not be taken back.
    pub stuck: Vec<String>,
}

impl Report {
    /// The exit code of the command (README, "Exit codes").
    #[must_use]
    pub fn exit(&self) -> i32 {
        if let Some(error) = &self.error {
            return match error.kind() {
                ErrorKind::Usage => 2,
                ErrorKind::Invalid | ErrorKind::Refused => 3,
                ErrorKind::Privilege => 4,
                ErrorKind::Interrupted => 5,
                ErrorKind::Locked => 6,
                ErrorKind::System => 1,
            };
        }
        let refusal = |row: &Row| {
            use Reason::{Busy, ForeignMount, MountPointNotEmpty, WrongStore, WrongVolume};
            matches!(row.reason, Some(Busy | ForeignMount | MountPointNotEmpty | WrongStore | WrongVolume))
        };
        match () {
            () if self.failed.iter().any(|row| !refusal(row)) => 1,
            () if !self.failed.is_empty() || self.notes.iter().any(Row::is_denied) => 3,
            () => 0,
        }
    }

    /// Whether everything that was asked for is so.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.error.is_none() && self.failed.is_empty()
    }
}

/// What was read before planning.
struct Look {
    wanted: Wanted,
    observed: Observed,
    files: Vec<Step>,
}

fn demand_globals(inputs: &[Input]) -> Result<(), Error> {
    if inputs.iter().any(|i| i.path == GLOBALS) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, format!("there is no {GLOBALS}")).hint("datastore init"))
}

impl Machine {
    fn look_for(&self, goal: &Goal) -> Result<Look, Error> {
        let (mounts, fstab) = (self.mount_table(), self.fstab());
        let mut inputs = self.load(None);
        demand_globals(&inputs)?;
        let files = switch(goal, &mut inputs)?;
        let wanted = resolve(inputs, &incumbents(&fstab));
        goal.apps().map_or(Ok(()), |apps| apps.demand_known(&wanted, &fstab))?;
        let nesting = Nesting { wanted: &wanted, mounts: &mounts, fstab: &fstab };
        let probe = Probe::of(nesting, |i| goal.concerns(&wanted.mappings[i]));
        let observed = self.observe(&probe, mounts, fstab, goal.uncovers());
        Ok(Look { wanted, observed, files })
    }

    /// The plan for a goal, checked. Identities come from `seed`.
    ///
    /// # Errors
    /// The goal is refused as a whole, or ([`ErrorKind::Invalid`], caused by a [`verify::Violation`]) the planner is wrong.
    pub fn plan(&self, goal: &Goal, seed: Id) -> Result<verify::CheckedPlan, Error> {
        if goal.apps().is_none() {
            return Err(Error::new(ErrorKind::Usage, "volumes are not modelled").hint("ask about apps"));
        }
        let Look { wanted, observed, files } = self.look_for(goal)?;
        let plan = plan::make(goal, &View::new(&wanted, &observed), files, seed);
        verify::check(plan, &wanted, &observed)
    }

    /// What `datastore VERB` does: finishes what stopped half-way, then plans the goal and carries it out.
    ///
    /// # Errors
    /// The machine stopped, as `pulse` asked. What holds then is what it was stopped in.
    pub fn run(&mut self, goal: &Goal, seed: Id, pulse: &mut Pulse<'_>) -> Result<Report, Crashed> {
        if let Some(error) = self.recover(seed, pulse)? {
            return Ok(Report { error: Some(error), ..Report::default() });
        }
        self.execute(goal, seed.derive(b"goal"), pulse)
    }

    /// What `datastore recover` does. Returns why it could not finish, if so.
    ///
    /// # Errors
    /// As [`Machine::run`].
    pub fn recover(&mut self, seed: Id, pulse: &mut Pulse<'_>) -> Result<Option<Error>, Crashed> {
        for (i, recovery) in recover::recover(&self.unfinished).into_iter().enumerate() {
            if let Some(goal) = &recovery.goal {
                let report = self.execute(goal, seed.derive(&i.to_be_bytes()), pulse)?;
                match report.error {
                    Some(error) if !matches!(error.kind(), ErrorKind::Usage | ErrorKind::Refused) => {
                        return Ok(Some(error));
                    }
                    _ => {}
                }
            }
            self.unfinished.retain(|u| u.operation != recovery.operation);
        }
        Ok(None)
    }

    fn execute(&mut self, goal: &Goal, seed: Id, pulse: &mut Pulse<'_>) -> Result<Report, Crashed> {
        let checked = match self.plan(goal, seed) {
            Ok(checked) => checked,
            Err(error) => return Ok(Report { error: Some(error), ..Report::default() }),
        };
        let plan = checked.plan();
        if plan.is_empty() {
            return Ok(Report { notes: plan.notes.clone(), ..Report::default() });
        }
        self.operations += 1;
        let time = format!("2026-11-24T00:00:{:02}.{:03}Z", self.operations / 1000 % 60, self.operations % 1000);
        let operation = OperationId::new(&time, [0; 4]).expect("a time");
        self.unfinished.push(Unfinished {
            operation: operation.clone(),
            goal: Some(goal.clone()),
            plan: None,
            at: i64::from(self.operations),
            mappings: plan.mappings.clone(),
            steps: plan.steps.len(),
            done: 0,
            makes: Vec::new(),
            owes: BTreeSet::new(),
            rooms: BTreeSet::new(),
            rest: None,
        });
        let carried = carry_out(self, plan, pulse)?;
        self.unfinished.retain(|u| u.operation != operation);
        let row = |(number, failure): (&u32, &super::steps::Failure)| {
            plan.mappings[*number as usize].refused(failure.reason, &*failure.message, "datastore status")
        };
        Ok(Report {
            done: carried.done,
            failed: carried.failed.iter().map(row).collect(),
            notes: plan.notes.clone(),
            error: carried.aborted.map(|f| Error::new(f.kind, f.message)),
            stuck: carried.stuck,
            plan: Some(plan.clone()),
        })
    }

    /// What `datastore status` tells.
    ///
    /// # Errors
    /// There is no configuration at all.
    pub fn status(&self) -> Result<Status, Error> {
        let (mounts, fstab) = (self.mount_table(), self.fstab());
        let inputs = self.load(None);
        demand_globals(&inputs)?;
        let wanted = resolve(inputs, &incumbents(&fstab));
        let probe = Probe::of(Nesting { wanted: &wanted, mounts: &mounts, fstab: &fstab }, |_| true);
        let observed = self.observe(&probe, mounts, fstab, false);
        Ok(status::tell(&View::new(&wanted, &observed), |_| true))
    }

    /// What the configuration asks for.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        resolve(self.load(None), &incumbents(&self.fstab()))
    }

    /// Whether `datastore guard APP` lets an app start.
    #[must_use]
    pub fn guard(&self, app: &AppName) -> bool {
        let inputs = self.load(Some(app.as_str()));
        if demand_globals(&inputs).is_err() {
            return false;
        }
        let wanted = resolve(inputs, &Incumbents::new());
        let Some(declared) = wanted.app(app) else { return false };
        let (mounts, fstab) = (self.mount_table(), Fstab::parse(b""));
        let nesting = Nesting { wanted: &wanted, mounts: &mounts, fstab: &fstab };
        let probe = Probe::of(nesting, |i| wanted.mappings[i].app == *app);
        let mut observed = self.observe(&probe, mounts, fstab.clone(), false);
        observed.unfinished.clear();
        for facts in observed.mappings.iter_mut().flatten() {
            facts.beneath = Place::Hidden;
        }
        let view = View::new(&wanted, &observed);
        let mut mappings = wanted.of_app(app).peekable();
        let right = |i: usize| {
            let standing = view.assess(i, Ask { by_name: true, ..Ask::default() });
            let store = observed.mappings[i].as_ref().and_then(|f| f.store.dir());
            matches!(standing.state, State::Active | State::Drifted)
                && standing.bound.is_some_and(|b| b.right)
                && matches!(store.map(|dir| &dir.id), Some(Identity::Is(_)))
        };
        declared.problem.is_none() && mappings.peek().is_some() && mappings.all(|(i, _)| right(i))
    }
}
