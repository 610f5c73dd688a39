//! Whether a store directory may be bound, and a mount point covered.

use super::{Ask, Drift, Standing, View};
use crate::mapping::Mapping;
use crate::observed::{DirFacts, FileFacts, Identity, MappingFacts, Place};
use crate::path::AbsPath;
use crate::state::{Reason, Refusal};

impl View<'_> {
    pub(super) fn judge_store(
        &self,
        m: &Mapping,
        facts: &MappingFacts,
        ask: Ask,
        out: &mut Standing,
        waiting: bool,
    ) -> Result<(), Refusal> {
        let recorded = self.recorded(m);
        let accept = format!("datastore start {} --accept-store", m.app);
        if let Some(FileFacts::Damaged(why)) = self.observed.manifests.get(&m.home) {
            return Err(Refusal::new(
                Reason::WrongStore,
                format!("the manifest in {}/{} cannot be read: {why}", m.home, crate::manifest::DIRECTORY),
                "bring it back from a backup",
            ));
        }
        let wrong = |detail: String| {
            Err(Refusal::new(Reason::WrongStore, detail, format!("if it is meant to be so: {accept}")))
        };
        match &facts.store {
            Place::Hidden => Ok(()),
            Place::Failed(why) => Err(Refusal::new(
                Reason::MountFailed,
                format!("{} cannot be looked at: {why}", m.store),
                "dmesg | tail",
            )),
            Place::Other { at, what } => Err(Refusal::new(
                Reason::WrongStore,
                format!("{at} is {what}, not a directory"),
                format!("ls -ld {at}"),
            )),
            Place::Absent { .. } if recorded.is_some() && !ask.accept => wrong(format!(
                "the store directory {} is gone; restore it, with its extended attributes, from a backup",
                m.store
            )),
            Place::Absent { .. } => self.judge_space(m, waiting),
            Place::Dir(dir) => match (&dir.id, recorded) {
                _ if ask.accept => Ok(()),
                (Identity::Is(id), Some(entry)) if *id == entry.id => Ok(()),
                (Identity::Is(id), Some(_)) if self.is_former(m, *id) => {
                    if out.bound.as_ref().is_some_and(|b| b.right) {
                        out.drift.push(Drift::FormerIdentity);
                    }
                    Ok(())
                }
                (Identity::Is(id), Some(entry)) => {
                    wrong(format!("{} carries the identity {id}, not {}", m.store, entry.id))
                }
                (Identity::None, Some(entry)) => {
                    wrong(format!("{} carries no identity, and should carry {}", m.store, entry.id))
                }
                (Identity::Garbled(text), _) => wrong(format!("{} carries `{text}`, which is no identity", m.store)),
                (Identity::Unsupported, _) => Err(Refusal::new(
                    Reason::WrongStore,
                    format!("the file system of {} holds no extended attributes, so no identity", m.store),
                    "use a file system with extended attributes (ext4, xfs, btrfs)",
                )),
                (Identity::Is(_), None) => Ok(()),
                (Identity::None, None) => {
                    if out.bound.as_ref().is_some_and(|b| b.right) {
                        out.drift.push(Drift::NoIdentity);
                    }
                    Ok(())
                }
                (Identity::Hidden | Identity::Unasked, _) => Ok(()),
            },
        }
    }

    /// Whether the volume can take a new directory.
    pub(super) fn judge_space(&self, m: &Mapping, waiting: bool) -> Result<(), Refusal> {
        let (i, volume) = self.volume_of(m);
        let Some(facts) = self.observed.volumes.get(i) else { return Ok(()) };
        if waiting {
            return Ok(());
        }
        if facts.read_only {
            let detail = format!("volume `{}` is mounted read-only, so {} cannot be made", volume.name, m.store);
            return Err(Refusal::new(Reason::MountFailed, detail, format!("mount -o remount,rw {}", volume.path)));
        }
        let full = |what: &str| {
            let detail = format!("volume `{}` has no {what} left for {}", volume.name, m.store);
            Err(Refusal::new(
                Reason::NoSpace,
                detail,
                format!("free some room on {}: df -h {0}; df -i {0}", volume.path),
            ))
        };
        match facts.space {
            Some(space) if space.bytes_free < 64 << 10 => full("space"),
            Some(space) if space.inodes > 0 && space.inodes_free == 0 => full("inodes"),
            _ => Ok(()),
        }
    }

    /// Whether the bare mount point may be covered.
    pub(super) fn judge_mount_point(&self, m: &Mapping, facts: &MappingFacts) -> Result<(), Refusal> {
        let refuse = |detail: String, hint: String| Err(Refusal::new(Reason::MountPointNotEmpty, detail, hint));
        if let Some(between) = self.mounted_between(m) {
            let detail = format!("{between}, in which {} lies, is somebody else's mount", m.mount_point);
            let hint = format!(
                "look whose it is: findmnt {between}; if it may go: umount {between} && datastore start {}",
                m.app
            );
            return Err(Refusal::new(Reason::ForeignMount, detail, hint));
        }
        match &facts.beneath {
            Place::Absent { .. } | Place::Hidden => Ok(()),
            Place::Failed(why) => Err(Refusal::new(
                Reason::MountFailed,
                format!("{} cannot be looked at: {why}", m.mount_point),
                "dmesg | tail",
            )),
            Place::Other { at, what } => refuse(
                format!("{at} is {what}; a mount point and everything above it must be plain directories"),
                format!("ls -ld {at}; name the real path in the configlet"),
            ),
            Place::Dir(DirFacts { empty: Some(false), .. }) => refuse(
                format!("{} is not empty; binding would hide what is in it", m.mount_point),
                format!("datastore import {}", m.app),
            ),
            Place::Dir(_) => Ok(()),
        }
    }

    /// What is mounted between an outer mapping's mount point and that of one inside it, which the outer store's directory is then
    /// not seen at.
    fn mounted_between(&self, m: &Mapping) -> Option<AbsPath> {
        let nesting = self.nesting();
        let outer = nesting.forgotten_outer(&m.mount_point).map(|(outer, _)| outer);
        let outer = outer.or_else(|| nesting.outer_of(&m.mount_point).map(|outer| outer.mount_point.clone()))?;
        let holder = self.observed.mounts.holding(&m.mount_point.parent()?)?.path()?;
        holder.is_below(&outer).then_some(holder)
    }
}
