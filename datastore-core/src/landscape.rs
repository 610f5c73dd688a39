//! Where the volumes lie in the kernel's mount table, so that the source of any bind can be told as a path.

use crate::mountinfo::{DELETED, Mount, MountTable};
use crate::path::AbsPath;
use crate::wanted::Wanted;

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
        let ground = |path: &AbsPath| {
            let mount = mounts.holding(path)?;
            Some(Ground {
                path: path.clone(),
                device: (mount.major(), mount.minor()),
                root: AbsPath::from_kernel(&mount.root_of(path)?).ok()?,
                mounted: mount.mount_point() == path.as_bytes(),
            })
        };
        Self { volumes: wanted.volumes.iter().map(|v| ground(&v.path)).collect() }
    }

    /// Whether something is mounted at exactly a volume's directory; the volume by its number in [`Wanted::volumes`].
    #[must_use]
    pub fn is_mounted(&self, volume: usize) -> bool {
        self.volumes.get(volume).and_then(Option::as_ref).is_some_and(|g| g.mounted)
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
