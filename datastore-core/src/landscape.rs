//! Where the volumes lie in the kernel's mount table, so that the source of any bind can be told as a path.

use crate::mountinfo::{DELETED, Mount, MountTable};
use crate::path::AbsPath;
use crate::wanted::Wanted;

/// File systems that no other machine changes.
const LOCAL: [&[u8]; 7] = [b"ext2", b"ext3", b"ext4", b"xfs", b"btrfs", b"f2fs", b"tmpfs"];

/// The volumes as the mount table has them.
#[derive(Debug)]
pub struct Landscape {
    volumes: Vec<Option<Ground>>,
}

/// What lies under a volume's directory.
#[derive(Debug, Clone)]
struct Ground {
    /// The volume's directory.
    path: AbsPath,
    /// The device of the file system.
    device: (u32, u32),
    /// Where in that file system the volume's directory is.
    root: AbsPath,
    /// Whether something is mounted at exactly the volume's directory.
    mounted: bool,
}

impl Landscape {
    /// Looks every volume up.
    #[must_use]
    pub fn new(wanted: &Wanted, mounts: &MountTable) -> Self {
        Self::of(wanted.volumes.iter().map(|v| &v.path), mounts)
    }

    /// The same for the volumes at these places.
    pub fn of<'p>(paths: impl Iterator<Item = &'p AbsPath>, mounts: &MountTable) -> Self {
        let ground = |path: &AbsPath| {
            let mount = mounts.holding(path)?;
            Some(Ground {
                path: path.clone(),
                device: (mount.major(), mount.minor()),
                root: AbsPath::from_kernel(&mount.root_of(path)?).ok()?,
                mounted: mount.mount_point() == path.as_bytes(),
            })
        };
        Self { volumes: paths.map(ground).collect() }
    }

    /// Whether something is mounted at exactly a volume's directory; the volume by its number in [`Wanted::volumes`].
    #[must_use]
    pub fn is_mounted(&self, volume: usize) -> bool {
        self.volumes.get(volume).and_then(Option::as_ref).is_some_and(|g| g.mounted)
    }

    /// Whether the mount table tells for certain that a mount shows this very directory: on a file system that only this machine
    /// changes, where a directory that was renamed or replaced has another path in the table by now. The same as a comparison of inodes.
    #[must_use]
    pub fn shows(&self, mount: &Mount<'_>, store: &AbsPath) -> bool {
        let holds = |g: &&Ground| store.is_within(&g.path);
        let Some(ground) = self.volumes.iter().flatten().filter(holds).max_by_key(|g| g.path.depth()) else {
            return false;
        };
        let within = &store.as_bytes()[ground.path.as_bytes().len()..];
        let top = if ground.root.is_root() { &[] } else { ground.root.as_bytes() };
        (mount.major(), mount.minor()) == ground.device
            && LOCAL.contains(&&*mount.fstype())
            && mount.root().strip_prefix(top) == Some(within)
    }

    /// The path of what a mount shows, if that lies on one of the volumes.
    #[must_use]
    pub fn source_of(&self, mount: &Mount<'_>) -> Option<AbsPath> {
        self.place_of(mount, &mount.root())
    }

    /// Where the directory was that a mount shows, if it has been deleted since and lay on one of the volumes.
    #[must_use]
    pub fn deleted_source_of(&self, mount: &Mount<'_>) -> Option<AbsPath> {
        self.place_of(mount, mount.root().strip_suffix(DELETED)?)
    }

    fn place_of(&self, mount: &Mount<'_>, root: &[u8]) -> Option<AbsPath> {
        // What is deleted ends in two slashes and a word, which is no path in its only spelling.
        let root = AbsPath::from_kernel(root).ok().filter(|path| path.as_bytes() == root)?;
        let device = (mount.major(), mount.minor());
        let nearest = self
            .volumes
            .iter()
            .flatten()
            .filter(|g| g.device == device && root.is_within(&g.root))
            .max_by_key(|g| g.root.depth())?;
        nearest.path.join(root.below(&nearest.root)?.relative()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
20 1 8:1 / / rw - ext4 /dev/sda1 rw
21 20 8:17 / /store/data0 rw - ext4 /dev/sdb1 rw
22 20 8:1 /srv/data1 /store/data1 rw - ext4 /dev/sda1 rw
23 20 0:40 / /store/data2 rw - nfs4 server:/export rw
30 20 8:17 /live/a /srv/a rw - ext4 /dev/sdb1 rw
31 20 8:1 /srv/data1/live/b /srv/b rw - ext4 /dev/sda1 rw
32 20 0:40 /live/c /srv/c rw - nfs4 server:/export rw
33 20 8:17 /live/gone//deleted /srv/d rw - ext4 /dev/sdb1 rw
34 20 8:1 /live/a /srv/e rw - ext4 /dev/sda1 rw
";

    #[test]
    fn a_mount_shows_a_store_if_device_and_path_say_so_and_nobody_else_changes_the_disk() {
        let path = AbsPath::literal;
        let mounts = MountTable::parse(TABLE.as_bytes().to_vec()).unwrap();
        let volumes = [path("/store/data0"), path("/store/data1"), path("/store/data2")];
        let landscape = Landscape::of(volumes.iter(), &mounts);
        let shows = |at: &'static str, store: &'static str| {
            landscape.shows(&mounts.at(&path(at)).expect("a mount"), &path(store))
        };
        assert!(shows("/srv/a", "/store/data0/live/a"));
        assert!(shows("/srv/b", "/store/data1/live/b"));
        // Renamed, replaced, deleted, of another disk, or on a disk that others change behind our back.
        assert!(!shows("/srv/a", "/store/data0/live/b"));
        assert!(!shows("/srv/b", "/store/data0/live/b"));
        assert!(!shows("/srv/c", "/store/data2/live/c"));
        assert!(!shows("/srv/d", "/store/data0/live/gone"));
        assert!(!shows("/srv/e", "/store/data0/live/a"));
        assert!(!shows("/srv/a", "/elsewhere/live/a"));
        for at in ["/srv/a", "/srv/b"] {
            let mount = mounts.at(&path(at)).unwrap();
            let source = landscape.source_of(&mount).unwrap();
            assert!(landscape.shows(&mount, &source), "{at}");
        }
    }
}
