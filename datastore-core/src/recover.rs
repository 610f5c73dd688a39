//! What to do about operations that stopped half-way.
//!
//! Every goal converges: planning it again from what is now gives the steps that are missing. So recovery decides nothing
//! new; it says which goal to plan again, and which temporary files may still lie about.

use crate::goal::{Apps, Goal, Import, Move, Undo, VolumeRequest};
use crate::journal::{OperationId, Unfinished};

/// How one operation is finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The operation that stopped.
    pub operation: OperationId,
    /// What to plan and apply; `None` if nothing had begun.
    pub goal: Option<Goal>,
}

/// Says how to finish each operation, oldest first.
#[must_use]
pub fn recover(unfinished: &[Unfinished]) -> Vec<Recovery> {
    let mut all: Vec<&Unfinished> = unfinished.iter().collect();
    all.sort_by(|a, b| a.operation.cmp(&b.operation));
    all.into_iter()
        .map(|u| Recovery { operation: u.operation.clone(), goal: u.goal.as_ref().and_then(|goal| again(u, goal)) })
        .collect()
}

/// The goal that finishes a goal.
fn again(unfinished: &Unfinished, goal: &Goal) -> Option<Goal> {
    Some(match goal {
        // Copying goes on only when somebody asks. What is needed now is that the app has all of its data in one place.
        Goal::Import(Import { apps, .. }) | Goal::Move(Move { apps, .. }) | Goal::Undo(Undo { apps, .. }) => {
            Goal::Settle { apps: apps.clone(), operation: unfinished.operation.clone() }
        }
        // What is half gone is of no use; what is not is still there to be asked for.
        Goal::Reclaim(_) | Goal::Abort(_) => return None,
        // Half of it was `stop`, and what is left is `start`.
        Goal::Restart(apps) => Goal::Start(apps.clone()),
        // It said "take the stores as they are" of the stores as they were then; that does not hold for later ones.
        Goal::Apply(apps) => Goal::Apply(Apps { accept: false, ..apps.clone() }),
        Goal::Start(apps) => Goal::Start(Apps { accept: false, ..apps.clone() }),
        // A file system is made only when somebody asks. One that is there by now was made by the operation itself, since there was
        // none before, and is taken as it is; by force there may have been another one, which nobody may take for ours.
        Goal::VolumeAdd(VolumeRequest { format: Some(_), force: true, .. })
        | Goal::Init { volume: VolumeRequest { format: Some(_), force: true, .. }, .. } => return None,
        Goal::VolumeAdd(request) => Goal::VolumeAdd(VolumeRequest { format: None, ..request.clone() }),
        Goal::Init { host, volume } => {
            Goal::Init { host: host.clone(), volume: VolumeRequest { format: None, ..volume.clone() } }
        }
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goal::VolumeSource;
    use crate::path::AbsPath;
    use crate::value::{AppName, VolumeName};

    #[test]
    fn a_file_system_is_finished_but_never_made() {
        let request = |format: Option<&str>, force| VolumeRequest {
            name: VolumeName::parse("data0").unwrap(),
            source: VolumeSource::Device(AbsPath::literal("/disk.img")),
            format: format.map(Into::into),
            force,
            at: None,
            options: None,
            host: None,
        };
        let nothing = Unfinished::nothing(OperationId::new("2026-11-23T10:00:01.000Z", [0; 4]).unwrap(), 0);
        let add = |format, force| again(&nothing, &Goal::VolumeAdd(request(format, force)));
        assert_eq!(add(Some("ext4"), false), Some(Goal::VolumeAdd(request(None, false))));
        assert_eq!(add(Some("ext4"), true), None);
        assert_eq!(add(None, false), Some(Goal::VolumeAdd(request(None, false))));
    }

    #[test]
    fn oldest_first_and_restart_becomes_start() {
        let apps = Apps::named(vec![AppName::parse("httpd").unwrap()]);
        let unfinished = |time: &str, goal: Goal| Unfinished {
            operation: OperationId::new(time, [0; 4]).unwrap(),
            goal: Some(goal),
            plan: None,
            at: 0,
            mappings: vec![],
            steps: 1,
            done: 0,
            makes: vec![],
            owes: std::collections::BTreeSet::new(),
            rooms: std::collections::BTreeSet::new(),
            rest: None,
        };
        let all = [
            unfinished("2026-11-23T10:00:01.000Z", Goal::Stop(apps.clone())),
            unfinished("2026-11-23T10:00:00.000Z", Goal::Restart(apps.clone())),
        ];
        let plan: Vec<_> = recover(&all).into_iter().map(|r| r.goal).collect();
        assert_eq!(plan, [Some(Goal::Start(apps.clone())), Some(Goal::Stop(apps))]);
    }
}
