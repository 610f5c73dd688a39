//! The kernel's mount table as text (`/proc/self/mountinfo`, proc(5)).
//!
//! # Which mount counts
//!
//! The table lists mounts that nobody can reach by a path any more, because a later mount covers them or a directory
//! above them. Every lookup by path ([`MountTable::at`], [`MountTable::holding`], [`MountTable::below`]) answers with the
//! mount that a walk from `/` meets, found by the parents' ids and not by the order of the lines
//! (`MOVE_MOUNT_BENEATH` puts a new mount under an old one). So with a mount on `/a/b` and then one on `/a`, `at("/a/b")`
//! is `None`: whoever opens `/a/b` gets a directory of the mount on `/a`. [`MountTable::iter`] gives all, and
//! [`Mount::is_visible`] tells.
//!
//! A mount whose parent the table does not show is taken to lie on what holds `/`: so it is for the topmost mount, and
//! in a chroot(2) that is not itself a mount point.

mod index;
mod parse;

use std::borrow::Cow;
use std::sync::OnceLock;

use crate::AbsPath;
use crate::fstab::{escape, unescape};
use crate::path::printable;

use index::{Spread, Tops, above, hash, within};
use parse::{Entry, Piece, piece};

pub use parse::MountinfoError;

/// What the kernel puts behind the root of a mount whose directory has been removed.
pub(crate) const DELETED: &[u8] = b"//deleted";

/// The whole table, read once.
#[derive(Debug, Clone)]
pub struct MountTable {
    /// The text, and behind it what had to be resolved.
    buffer: Vec<u8>,
    entries: Vec<Entry>,
    ids: Spread<u32>,
    tops: Tops,
    /// The visible mounts in the order of their mount points; made when first asked for.
    sorted: OnceLock<Vec<u32>>,
}

/// One mount of a [`MountTable`].
#[derive(Clone, Copy)]
pub struct Mount<'a> {
    table: &'a MountTable,
    entry: &'a Entry,
}

/// How mounts below a mount spread to others (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Propagation {
    /// `shared:N`: its peer group.
    pub shared: Option<u32>,
    /// `master:N`: the peer group that it follows.
    pub master: Option<u32>,
    /// `propagate_from:N`: the nearest group of that kind below the reader's root.
    pub propagate_from: Option<u32>,
    /// `unbindable`.
    pub unbindable: bool,
}

impl MountTable {
    /// Reads the text of `/proc/PID/mountinfo`. An empty text is an empty table.
    ///
    /// # Errors
    /// A line cannot be understood or the last one has no line end. The kernel writes neither.
    pub fn parse(bytes: impl Into<Vec<u8>>) -> Result<Self, MountinfoError> {
        let mut buffer = bytes.into();
        let mut entries = parse::parse(&mut buffer)?;
        let ids = index::by_id(&entries);
        index::mark_visible(&mut entries, &buffer, &ids);
        let tops = Tops::new(&entries);
        Ok(Self { buffer, entries, ids, tops, sorted: OnceLock::new() })
    }

    /// The same mounts as seen from a directory: only those at or below it, with mount points relative to it, so that
    /// all lookups take paths below it. The mount that holds the directory counts as the one on `/`, and its
    /// [`Mount::root`] becomes the directory itself. Which mounts are visible stays as it was.
    ///
    /// `root` must be as the kernel spells it: absolute and without symbolic links.
    #[must_use]
    pub fn rebased(self, root: &AbsPath) -> Self {
        if root.is_root() {
            return self;
        }
        let holder = self.find_holding(root.as_bytes());
        let Self { mut buffer, entries, .. } = self;
        let cut = root.as_bytes().len();
        // The first byte of any mount point is its slash.
        let slash = |point: Piece| Piece { start: point.start, end: point.start + 1 };
        let mut kept = Vec::with_capacity(entries.len());
        for (i, mut entry) in (0_u32..).zip(entries) {
            let point = entry.mount_point.of(&buffer);
            if within(point, root.as_bytes()) {
                // A slash at the end is no spelling of the kernel's: nobody finds such a mount, and it must not become the top.
                if point.len() == cut + 1 {
                    continue;
                }
                entry.mount_point = match point.len() == cut {
                    true => slash(entry.mount_point),
                    false => piece(entry.mount_point.start as usize + cut, entry.mount_point.end as usize),
                };
            } else if holder == Some(i) {
                let inside = below(&buffer, entry.root, &escape(rest(root.as_bytes(), point)));
                let from = buffer.len();
                buffer.extend_from_slice(&inside);
                entry.root = piece(from, buffer.len());
                entry.mount_point = slash(entry.mount_point);
            } else {
                continue;
            }
            entry.hash = hash(entry.mount_point.of(&buffer));
            kept.push(entry);
        }
        let (ids, tops) = (index::by_id(&kept), Tops::new(&kept));
        Self { buffer, entries: kept, ids, tops, sorted: OnceLock::new() }
    }

    /// Every mount in the order of the table, also those that cannot be seen.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Mount<'_>> {
        self.entries.iter().map(|entry| Mount { table: self, entry })
    }

    /// How many mounts there are, also those that cannot be seen.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn mount(&self, index: u32) -> Mount<'_> {
        Mount { table: self, entry: &self.entries[index as usize] }
    }

    /// The mount with this id, also if it cannot be seen.
    #[must_use]
    pub fn by_id(&self, id: u32) -> Option<Mount<'_>> {
        self.ids.get(&id).map(|&i| self.mount(i))
    }

    /// The mount that is seen at exactly this path: the top one of those stacked there.
    #[must_use]
    pub fn at(&self, path: &AbsPath) -> Option<Mount<'_>> {
        let path = path.as_bytes();
        self.tops.find(&self.entries, &self.buffer, path, hash(path)).map(|i| self.mount(i))
    }

    /// How many mounts are stacked at exactly this path, each on the top of the one below: 0 if none, and so many
    /// unmounts lay the directory bare.
    #[must_use]
    pub fn stacked(&self, path: &AbsPath) -> usize {
        let down = |mount: &Mount<'_>| {
            let below = self.by_id(mount.parent()).filter(|below| below.id() != mount.id())?;
            (below.mount_point() == path.as_bytes()).then_some(below)
        };
        // Parents of a visible mount never run in a circle, but a table has no more mounts than lines in any case.
        std::iter::successors(self.at(path), down).take(self.len()).count()
    }

    /// The mount in which a path lies: the one at the path or at the nearest directory above it. `None` only if nothing
    /// is mounted on `/`.
    #[must_use]
    pub fn holding(&self, path: &AbsPath) -> Option<Mount<'_>> {
        self.find_holding(path.as_bytes()).map(|i| self.mount(i))
    }

    fn find_holding(&self, path: &[u8]) -> Option<u32> {
        let at = |path, hash| self.tops.find(&self.entries, &self.buffer, path, hash);
        at(path, hash(path)).or_else(|| {
            let mut nearest = None;
            above(path, |directory, hash| {
                nearest = at(directory, hash).or(nearest);
                false
            });
            nearest
        })
    }

    /// The visible mounts strictly below a path, each after the one that holds it.
    #[must_use]
    pub fn below(&self, path: &AbsPath) -> Vec<Mount<'_>> {
        let point = |i: u32| self.entries[i as usize].mount_point.of(&self.buffer);
        let sorted = self.sorted.get_or_init(|| {
            let mut all: Vec<u32> =
                (0_u32..).zip(&self.entries).filter(|(_, entry)| entry.visible).map(|(i, _)| i).collect();
            all.sort_unstable_by(|&a, &b| point(a).cmp(point(b)));
            all
        });
        // What lies below a directory begins with its path and a slash, and so stands together in this order.
        let mut prefix = path.as_bytes().to_vec();
        if !path.is_root() {
            prefix.push(b'/');
        }
        let first = sorted.partition_point(|&i| point(i) <= &prefix[..]);
        sorted[first..].iter().take_while(|&&i| point(i).starts_with(&prefix)).map(|&i| self.mount(i)).collect()
    }
}

/// What remains of a path within another, with its slash; empty if they are equal.
fn rest<'p>(path: &'p [u8], other: &[u8]) -> &'p [u8] {
    if other == b"/" { if path == b"/" { b"" } else { path } } else { &path[other.len()..] }
}

/// A root (as the kernel escaped it) and a way below it.
fn below(buffer: &[u8], root: Piece, way: &[u8]) -> Vec<u8> {
    match root.of(buffer) {
        b"/" if !way.is_empty() => way.to_vec(),
        root => [root, way].concat(),
    }
}

impl<'a> Mount<'a> {
    fn text(&self, piece: Piece) -> &'a [u8] {
        piece.of(&self.table.buffer)
    }

    /// The id, unique while the mount exists; the kernel gives it away again later.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.entry.id
    }

    /// The id of the mount that it lies on. The table need not show that one.
    #[must_use]
    pub fn parent(&self) -> u32 {
        self.entry.parent
    }

    /// The major number of the device (`st_dev` of what lies in it, unless the file system has several).
    #[must_use]
    pub fn major(&self) -> u32 {
        self.entry.major
    }

    /// The minor number of the device.
    #[must_use]
    pub fn minor(&self) -> u32 {
        self.entry.minor
    }

    /// The directory of the file system that is mounted: `/` for a whole one, for a bind its source's path inside the
    /// file system. Of namespaces something like `net:[4026531840]`.
    #[must_use]
    pub fn root(&self) -> Cow<'a, [u8]> {
        unescape(self.text(self.entry.root))
    }

    /// Whether the directory that is mounted has been removed from its file system (the kernel adds `//deleted`).
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.text(self.entry.root).ends_with(DELETED)
    }

    /// Where the directory at `path` lies in this mount's file system: what [`Mount::root`] of a bind of it would be.
    /// `None` if the path is not at or below the mount point, or the mounted directory was removed.
    #[must_use]
    pub fn root_of(&self, path: &AbsPath) -> Option<Vec<u8>> {
        if self.is_deleted() || !within(path.as_bytes(), self.mount_point()) {
            return None;
        }
        let way = escape(rest(path.as_bytes(), self.mount_point()));
        Some(unescape(&below(&self.table.buffer, self.entry.root, &way)).into_owned())
    }

    /// The mount point.
    #[must_use]
    pub fn mount_point(&self) -> &'a [u8] {
        self.text(self.entry.mount_point)
    }

    /// The mount point as a path; `None` if it is longer than any that can be asked for.
    #[must_use]
    pub fn path(&self) -> Option<AbsPath> {
        AbsPath::from_kernel(self.mount_point()).ok()
    }

    /// The options of this mount, such as `rw,nosuid,nodev,relatime`.
    #[must_use]
    pub fn options(&self) -> &'a [u8] {
        self.text(self.entry.options)
    }

    /// Whether this mount has an option, such as `nosuid`.
    #[must_use]
    pub fn has_option(&self, name: &str) -> bool {
        self.options().split(|&b| b == b',').any(|option| option == name.as_bytes())
    }

    /// How mounts below it spread. Optional fields that we do not know are passed over, as proc(5) asks.
    #[must_use]
    pub fn propagation(&self) -> Propagation {
        let mut all = Propagation::default();
        for field in self.text(self.entry.optional).split(|&b| b == b' ') {
            let (tag, value) = match memchr::memchr(b':', field) {
                Some(colon) => {
                    (&field[..colon], std::str::from_utf8(&field[colon + 1..]).ok().and_then(|n| n.parse().ok()))
                }
                None => (field, None),
            };
            match tag {
                b"shared" => all.shared = value,
                b"master" => all.master = value,
                b"propagate_from" => all.propagate_from = value,
                b"unbindable" => all.unbindable = true,
                _ => {}
            }
        }
        all
    }

    /// The type of the file system, such as `ext4` or `fuse.glusterfs`.
    #[must_use]
    pub fn fstype(&self) -> Cow<'a, [u8]> {
        unescape(self.text(self.entry.fstype))
    }

    /// The source as the file system names it, such as `/dev/sda1`; `none` or anything else where it has none.
    #[must_use]
    pub fn source(&self) -> Cow<'a, [u8]> {
        unescape(self.text(self.entry.source))
    }

    /// The options of the file system, which all of its mounts share. As the kernel wrote them, escapes included.
    #[must_use]
    pub fn super_options(&self) -> &'a [u8] {
        self.text(self.entry.super_options)
    }

    /// Whether a walk from `/` to the mount point ends in this mount.
    #[must_use]
    pub fn is_visible(&self) -> bool {
        self.entry.visible
    }
}

impl std::fmt::Debug for Mount<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hidden = if self.is_visible() { "" } else { " (hidden)" };
        let (id, parent) = (self.id(), self.parent());
        write!(f, "Mount({id} on {parent}: {} at {}{hidden})", printable(&self.root()), printable(self.mount_point()))
    }
}

#[cfg(test)]
mod tests;
