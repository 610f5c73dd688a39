//! The way back of each step.

use super::{Action, FstabEdit, ManifestEdit};
use crate::label::Label;
use crate::owners::Renumber;

impl Action {
    /// The way back; `None` where there is nothing to take back (a flush) or no way (a new file system).
    #[must_use]
    pub fn inverse(&self) -> Option<Self> {
        Some(match self.clone() {
            Self::MakeDir { shared: true, .. } => return None,
            Self::MakeDir { path, attrs, id, shared: false } => Self::RemoveDir { path, attrs, id },
            Self::RemoveDir { path, attrs, id } => Self::MakeDir { path, attrs, id, shared: false },
            Self::SetAttrs { path, from, to } => Self::SetAttrs { path, from: to, to: from },
            Self::SetId { path, from, to } => Self::SetId { path, from: to, to: from },
            Self::Seal { path, from } => Self::Unseal { path, to: from },
            Self::Unseal { path, to } => Self::Seal { path, from: to },
            Self::Bind { store, mount_point, id, options } => Self::Unbind { store, mount_point, id, options },
            Self::Unbind { store, mount_point, id, options } => Self::Bind { store, mount_point, id, options },
            Self::SetOptions { mount_point, from, to } => Self::SetOptions { mount_point, from: to, to: from },
            Self::Fstab { edits } => Self::Fstab {
                edits: edits
                    .into_iter()
                    .rev()
                    .map(|e| FstabEdit { mapping: e.mapping, edit: e.edit.inverse() })
                    .collect(),
            },
            Self::Manifest { home, edits } => Self::Manifest {
                home,
                edits: edits
                    .into_iter()
                    .rev()
                    .map(|e| ManifestEdit { mapping: e.mapping, edit: e.edit.inverse() })
                    .collect(),
            },
            Self::WriteFile { path, from, to, mode } => Self::WriteFile { path, from: to, to: from, mode },
            Self::Mount { source, path, fstype, options } => Self::Unmount { source, path, fstype, options },
            Self::Unmount { source, path, fstype, options } => Self::Mount { source, path, fstype, options },
            Self::ReloadSystemd => Self::ReloadSystemd,
            Self::StopServices { app, running } => Self::StartServices { app, running },
            Self::MoveDir { from, to, had, gets } => Self::MoveDir { from: to, to: from, had: gets, gets: had },
            Self::Swap { mount_point, from, to, options } => Self::Swap { mount_point, from: to, to: from, options },
            Self::RenameBase { from, to } => Self::RenameBase { from: to, to: from },
            Self::Renumber { stores, users, groups, exact: true } => {
                let back = |pairs: Vec<Renumber>| {
                    pairs.into_iter().map(|Renumber { from, to }| Renumber { from: to, to: from }).collect()
                };
                Self::Renumber { stores, users: back(users), groups: back(groups), exact: true }
            }
            Self::Renumber { exact: false, .. } => return None,
            Self::SetLabel { path, had, .. } => Self::SetLabel { path, had: None, gets: Label::Is(had?) },
            // What a service has done by the time that something else fails is not taken back by stopping it.
            Self::StartServices { .. }
            | Self::KeepLabels { .. }
            | Self::Flush { .. }
            | Self::MakeFilesystem { .. }
            | Self::RunHook(_)
            | Self::Copy { .. }
            | Self::FinishCopy { .. }
            | Self::SeedCopy { .. }
            | Self::DemandAlike { .. }
            | Self::DemandQuiet { .. }
            | Self::RemoveTree { .. }
            | Self::WriteReceipt(_) => return None,
        })
    }

    /// Whether it changes several things one after the other, so that a failure may leave half of it. What takes it back takes half of it
    /// back too.
    #[must_use]
    pub fn is_gradual(&self) -> bool {
        matches!(
            self,
            Self::SetAttrs { .. }
                | Self::Seal { .. }
                | Self::Unseal { .. }
                | Self::MoveDir { .. }
                | Self::Swap { .. }
                | Self::Renumber { .. }
        )
    }
}
