//! Mount points inside mount points: the directory under an inner bind lies in the outer mapping's store, and is the same
//! directory whether or not the outer one is bound.

use crate::fstab::Fstab;
use crate::landscape::Landscape;
use crate::mapping::Mapping;
use crate::mountinfo::MountTable;
use crate::path::AbsPath;
use crate::wanted::Wanted;

/// What tells which mappings lie in which.
#[derive(Debug, Clone, Copy)]
pub struct Nesting<'a> {
    /// What the configuration asks for.
    pub wanted: &'a Wanted,
    /// What is bound.
    pub mounts: &'a MountTable,
    /// What fstab remembers.
    pub fstab: &'a Fstab,
}

impl<'a> Nesting<'a> {
    /// Where the directory under a mount point's bind really is: inside the store of the nearest mapping above it, or the mount
    /// point itself.
    #[must_use]
    pub fn beneath(self, mount_point: &AbsPath) -> AbsPath {
        let inside = |outer: &Mapping| outer.store.join(mount_point.below(&outer.mount_point)?.relative()).ok();
        self.outer_of(mount_point).and_then(inside).unwrap_or_else(|| mount_point.clone())
    }

    /// The nearest mapping above a mount point that is asked for, still bound, or still in fstab.
    #[must_use]
    pub fn outer_of(self, mount_point: &AbsPath) -> Option<&'a Mapping> {
        let declared = |above: &&[u8]| self.wanted.index.contains_key(*above);
        let outer = mount_point.above().filter(declared).filter_map(|above| AbsPath::from_kernel(above).ok());
        outer.take_while(|above| !above.is_root()).find_map(|above| self.at(&above))
    }

    /// The mapping at a mount point that is asked for; else the one that is still bound there or that fstab still names, which a
    /// `disable` that stopped half-way has left. Of several apps that declare it, it is the one whose store that is.
    fn at(self, at: &AbsPath) -> Option<&'a Mapping> {
        let wanted = self.wanted;
        let all = || wanted.at(at).iter().map(|&i| &wanted.mappings[i]).filter(|m| m.problem.is_none());
        if let Some(asked_for) = all().find(|m| m.enabled) {
            return Some(asked_for);
        }
        let Some(mount) = self.mounts.at(at) else {
            let line = self.fstab.ours(at)?;
            return all().find(|m| m.store.as_bytes() == line.entry.spec);
        };
        if all().nth(1).is_none() {
            return all().next();
        }
        let source = Landscape::new(wanted, self.mounts).source_of(&mount)?;
        all().find(|m| m.store == source)
    }
}
