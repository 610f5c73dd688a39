//! The order of the steps, and what cannot be done because something else is in the way of it.

use std::collections::{BTreeSet, HashSet};

use super::Builder;
use crate::goal::Goal;
use crate::path::{AbsPath, printable};
use crate::plan::{Plan, hooks};
use crate::state::Reason;
use crate::step::{Action, Step};

impl Builder<'_, '_> {
    /// Refuses to unbind what something else is mounted in.
    fn check_nesting(&mut self) -> HashSet<u32> {
        let mut blocked = HashSet::new();
        for (mount_point, step) in &self.unbinds {
            let inner = self.view.observed.mounts.below(mount_point);
            let stays =
                inner.iter().find(|m| AbsPath::from_kernel(m.mount_point()).is_ok_and(|p| !self.going.contains(&p)));
            if let (Some(stays), Some(subject)) = (stays, step.mapping) {
                blocked.insert(subject);
                let inner = printable(stays.mount_point());
                self.notes.push(self.subjects[subject as usize].refused(
                    Reason::Busy,
                    format!("{inner} is mounted inside {mount_point}"),
                    format!("stop the app that it belongs to first, or: umount {inner}"),
                ));
            }
        }
        blocked
    }

    pub(super) fn finish(mut self, goal: &Goal, files: Vec<Step>) -> Plan {
        let blocked = self.check_nesting();
        let keep = |step: &Step| step.mapping.is_none_or(|m| !blocked.contains(&m));
        self.unbinds.sort_by(|a, b| b.0.cmp(&a.0));
        let mut steps = files;
        steps.extend(self.labels.into_iter().filter(|s| keep(s)));
        for (_, unbind) in self.unbinds.into_iter().filter(|(_, step)| keep(step)) {
            // What lies beneath it comes at once, while the outer bind is there: should that fail, it is bound again, and the outer one stays.
            let subject = unbind.mapping;
            steps.push(unbind);
            steps.extend(self.unseals.extract_if(.., |step| step.mapping == subject));
        }
        // Before fstab forgets an outer mapping: its line is what tells a second run, after a crash, where the inner ones lie. And before
        // directories are made, of which one may lie in what was a mount point.
        steps.extend(self.unseals.into_iter().filter(|s| keep(s)));
        steps.extend(self.dirs.into_iter().filter(|s| keep(s)));
        let binds = self.binds.into_iter().filter(|s| keep(s)).collect();
        let woven = hooks::weave(self.view, &self.subjects, &self.made, binds);
        steps.extend(woven.before);
        self.remarks.extend(woven.remarks);
        let whole = |action| Step { mapping: None, action };
        let flush = self.flush.into_iter().filter(|(_, subject)| !blocked.contains(subject));
        for path in flush.map(|(path, _)| path).collect::<BTreeSet<_>>() {
            steps.push(whole(Action::Flush { path }));
        }
        for (home, mut edits) in self.manifests {
            edits.retain(|e| e.mapping.is_none_or(|m| !blocked.contains(&m)));
            if !edits.is_empty() {
                steps.push(whole(Action::Manifest { home, edits }));
            }
        }
        self.fstab.retain(|e| e.mapping.is_none_or(|m| !blocked.contains(&m)));
        if !self.fstab.is_empty() {
            steps.push(whole(Action::Fstab { edits: self.fstab }));
            if self.view.observed.systemd {
                steps.push(whole(Action::ReloadSystemd));
            }
        }
        steps.extend(woven.binds);
        Plan {
            mappings: self.subjects,
            steps,
            notes: self.notes,
            remarks: self.remarks,
            ..Plan::empty(goal, self.view.wanted.host.clone(), self.seed)
        }
    }
}
