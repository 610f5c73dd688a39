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
    /// point itself. A bind that only our lines in fstab still know is one above it too.
    #[must_use]
    pub fn beneath(self, mount_point: &AbsPath) -> AbsPath {
        let inside = |(outer, store): (AbsPath, AbsPath)| store.join(mount_point.below(&outer)?.relative()).ok();
        let outer = || self.outer_of(mount_point).map(|outer| (outer.mount_point.clone(), self.store_of(outer)));
        self.forgotten_outer(mount_point).or_else(outer).and_then(inside).unwrap_or_else(|| mount_point.clone())
    }

    /// The store in which what lies in a mapping has its directory: after an edit the new one, unless the mapping is not asked for any
    /// more, and will never be bound to that.
    fn store_of(self, outer: &Mapping) -> AbsPath {
        let held = if outer.enabled { None } else { self.source_at(&outer.mount_point) };
        held.unwrap_or_else(|| outer.store.clone())
    }

    /// The bind in which a mount point lies if only our lines in fstab still know that bind, with its store: it is there, or a run that
    /// stopped half-way has taken both off.
    #[must_use]
    pub fn forgotten_outer(self, mount_point: &AbsPath) -> Option<(AbsPath, AbsPath)> {
        let (above, store) = self.forgotten_above(mount_point)?;
        let depth = self.outer_of(mount_point).map_or(0, |outer| outer.mount_point.depth());
        (above.depth() > depth).then_some((above, store))
    }

    fn forgotten_above(self, mount_point: &AbsPath) -> Option<(AbsPath, AbsPath)> {
        let ours = mount_point.above().filter(|above| self.fstab.has_ours(above));
        let mut lost =
            ours.filter_map(|above| AbsPath::from_kernel(above).ok()).filter(|above| self.at(above).is_none());
        lost.find_map(|above| {
            let line = self.fstab.ours(&above)?.entry;
            let store = AbsPath::from_kernel(&line.spec).ok()?;
            let holds = match self.mounts.at(&above) {
                Some(_) => self.source_at(&above)? == store,
                None => self.mounts.at(mount_point).is_none() && !line.has_option("noauto"),
            };
            holds.then_some((above, store))
        })
    }

    /// The nearest mapping above a mount point that is asked for, still bound, or still in fstab.
    ///
    /// A mount point that was there before the one above it lies in no store: what is bound now while the outer mapping is not, and
    /// what the next boot would bind while fstab does not name the outer one. A configlet that is dropped in around others changes
    /// nothing for them.
    #[must_use]
    pub fn outer_of(self, mount_point: &AbsPath) -> Option<&'a Mapping> {
        let declared = |above: &&[u8]| self.wanted.index.contains_key(*above);
        let outer = mount_point.above().filter(declared).filter_map(|above| AbsPath::from_kernel(above).ok());
        let counts = |outer: &&Mapping| self.is_held(outer) || !self.was_first(mount_point, &outer.mount_point);
        outer.take_while(|above| !above.is_root()).find_map(|above| self.at(&above).filter(counts))
    }

    /// Whether a mount point has been in use since before the one above it, which is not bound.
    fn was_first(self, inner: &AbsPath, outer: &AbsPath) -> bool {
        let at_boot = self.fstab.ours(inner).is_some_and(|row| !row.entry.has_option("noauto"));
        self.mounts.at(inner).is_some() || (at_boot && self.fstab.ours(outer).is_none())
    }

    /// Whether the store of a mapping, and nothing else, is what is seen at its mount point.
    #[must_use]
    pub fn is_bound(self, mapping: &Mapping) -> bool {
        self.source_at(&mapping.mount_point).as_ref() == Some(&mapping.store)
    }

    /// The same, or the store that it had before an edit.
    fn is_held(self, mapping: &Mapping) -> bool {
        let Some(source) = self.source_at(&mapping.mount_point) else { return false };
        let line = self.fstab.ours(&mapping.mount_point);
        source == mapping.store || line.is_some_and(|row| row.entry.spec == source.as_bytes())
    }

    fn source_at(self, mount_point: &AbsPath) -> Option<AbsPath> {
        let mount = self.mounts.at(mount_point)?;
        Landscape::new(self.wanted, self.mounts).source_of(&mount)
    }

    /// The mapping at a mount point that is asked for; else the one that is still bound there or that fstab still names, which a
    /// `disable` that stopped half-way has left: the one whose store that is.
    fn at(self, at: &AbsPath) -> Option<&'a Mapping> {
        let wanted = self.wanted;
        let all = || wanted.at(at).iter().map(|&i| &wanted.mappings[i]).filter(|m| m.problem.is_none());
        if let Some(asked_for) = all().find(|m| m.enabled) {
            return Some(asked_for);
        }
        if self.mounts.at(at).is_none() {
            let line = self.fstab.ours(at)?;
            return all().find(|m| m.store.as_bytes() == line.entry.spec);
        }
        let source = self.source_at(at)?;
        let app = self.fstab.ours(at).and_then(|row| row.entry.option_value("X-datastore"));
        // After an edit it is not the store that tells, but whose line it is.
        all().find(|m| m.store == source).or_else(|| all().find(|m| Some(m.app.as_str().as_bytes()) == app))
    }
}
