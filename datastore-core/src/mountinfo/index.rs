//! Looking mounts up by path, and which of them can be seen.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::parse::Entry;

/// A map whose keys are spread already.
pub(super) type Spread<K> = HashMap<K, u32, BuildHasherDefault<Direct>>;

/// Takes a number as its own hash.
#[derive(Default)]
pub(super) struct Direct(u64);

impl Hasher for Direct {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.0 = spread(self.0 ^ u64::from(b));
        }
    }
    fn write_u32(&mut self, n: u32) {
        self.0 = spread(u64::from(n));
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

/// Makes every bit of a number count in all of its bits.
fn spread(n: u64) -> u64 {
    let n = (n ^ (n >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    n ^ (n >> 29)
}

/// The hash of a path (FNV-1a, spread). Chosen because the hashes of all directories above a path fall out on the way.
/// Lookups compare the bytes as well, so that two paths with one hash only cost time.
pub(super) fn hash(path: &[u8]) -> u64 {
    spread(path.iter().fold(BASIS, |state, &b| (state ^ u64::from(b)).wrapping_mul(PRIME)))
}

/// Calls `see` with every directory above the path, `/` first, and its hash; stops when it says so.
pub(super) fn above<'p>(path: &'p [u8], mut see: impl FnMut(&'p [u8], u64) -> bool) {
    let mut state = BASIS;
    for (i, &b) in path.iter().enumerate() {
        if b == b'/' && i > 0 && see(&path[..i], spread(state)) {
            return;
        }
        state = (state ^ u64::from(b)).wrapping_mul(PRIME);
        if i == 0 && path.len() > 1 && see(&path[..1], spread(state)) {
            return;
        }
    }
}

/// Whether a path is another or lies below it, by components.
pub(super) fn within(path: &[u8], other: &[u8]) -> bool {
    other == b"/" || (path.starts_with(other) && matches!(path.get(other.len()), None | Some(b'/')))
}

/// No entry.
pub(super) const NONE: u32 = u32::MAX;

/// Mount id to the index of its entry. If an id stands twice (the table changed while it was read), the later line counts.
pub(super) fn by_id(entries: &[Entry]) -> Spread<u32> {
    let mut ids = Spread::with_capacity_and_hasher(entries.len(), BuildHasherDefault::default());
    for (i, entry) in (0_u32..).zip(entries) {
        ids.insert(entry.id, i);
    }
    ids
}

/// The visible mounts by the hash of their mount point; there is one for each path. Two paths of one hash are chained
/// through `next`.
#[derive(Debug, Clone, Default)]
pub(super) struct Tops {
    first: Spread<u64>,
    next: Spread<u32>,
}

impl Tops {
    pub(super) fn new(entries: &[Entry]) -> Self {
        let mut first = Spread::with_capacity_and_hasher(entries.len(), BuildHasherDefault::default());
        let mut next = Spread::default();
        for (i, entry) in (0_u32..).zip(entries).filter(|(_, entry)| entry.visible) {
            if let Some(other) = first.insert(entry.hash, i) {
                next.insert(i, other);
            }
        }
        Self { first, next }
    }

    pub(super) fn find(&self, entries: &[Entry], buffer: &[u8], path: &[u8], hash: u64) -> Option<u32> {
        let mut at = *self.first.get(&hash)?;
        while entries[at as usize].mount_point.of(buffer) != path {
            at = *self.next.get(&at)?;
        }
        Some(at)
    }
}

/// Finds out which mounts a walk from `/` can reach, and marks them.
pub(super) fn mark_visible(entries: &mut [Entry], buffer: &[u8], ids: &Spread<u32>) {
    let sight = Sight::new(entries, buffer, ids);
    let mut reached = vec![Reach::Unknown; entries.len()];
    let mut way = Vec::new();
    for start in 0..entries.len() {
        // Up to the first mount of which it is known, then down again.
        let mut at = start;
        let mut result = loop {
            match reached[at] {
                Reach::Yes => break true,
                Reach::No | Reach::Asked => break false,
                Reach::Unknown => {}
            }
            reached[at] = Reach::Asked;
            way.push(at);
            match sight.parent[at] {
                NONE => break true,
                parent => at = parent as usize,
            }
        };
        for i in way.drain(..).rev() {
            result = result && sight.open(entries, i);
            reached[i] = if result { Reach::Yes } else { Reach::No };
        }
    }
    let seen: Vec<bool> = (0..entries.len()).map(|i| reached[i] == Reach::Yes && !sight.covered(entries, i)).collect();
    for (entry, seen) in entries.iter_mut().zip(seen) {
        entry.visible = seen;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Unknown,
    /// On the way up just now; met again only if parents run in a circle.
    Asked,
    Yes,
    No,
}

/// Which mount lies directly on which place of which mount.
struct Sight<'b> {
    buffer: &'b [u8],
    /// The index of each mount's parent; [`NONE`] if the table does not show it: then it is mounted on what holds `/`.
    parent: Vec<u32>,
    /// Parent and mount point to the last such line.
    on: Spread<u64>,
    /// The line before it with the same key, if any.
    before: Vec<u32>,
}

impl<'b> Sight<'b> {
    fn new(entries: &[Entry], buffer: &'b [u8], ids: &Spread<u32>) -> Self {
        let parent: Vec<u32> = (0_u32..)
            .zip(entries)
            .map(|(i, entry)| ids.get(&entry.parent).copied().filter(|&p| p != i).unwrap_or(NONE))
            .collect();
        let mut on = Spread::with_capacity_and_hasher(entries.len(), BuildHasherDefault::default());
        let mut before = vec![NONE; entries.len()];
        for (i, entry) in (0_u32..).zip(entries) {
            if ids.get(&entry.id) == Some(&i)
                && let Some(other) = on.insert(Self::key(parent[i as usize], entry.hash), i)
            {
                before[i as usize] = other;
            }
        }
        Self { buffer, parent, on, before }
    }

    fn key(parent: u32, hash: u64) -> u64 {
        spread(hash.wrapping_add(u64::from(parent).wrapping_mul(PRIME)))
    }

    /// The mount directly on a place of a mount; the last line, should there be several.
    fn on(&self, entries: &[Entry], parent: u32, path: &[u8], hash: u64) -> Option<u32> {
        let mut at = *self.on.get(&Self::key(parent, hash))?;
        while self.parent[at as usize] != parent || entries[at as usize].mount_point.of(self.buffer) != path {
            at = self.before[at as usize];
            if at == NONE {
                return None;
            }
        }
        Some(at)
    }

    /// Whether a walk which is in this mount's parent comes to the mount: nothing else is mounted in the parent on a
    /// directory above the mount point, the parent's own top included, nor by a later line on the same place.
    fn open(&self, entries: &[Entry], i: usize) -> bool {
        let (parent, entry) = (self.parent[i], &entries[i]);
        let path = entry.mount_point.of(self.buffer);
        let top = match parent {
            NONE => b"/",
            parent => entries[parent as usize].mount_point.of(self.buffer),
        };
        if !within(path, top) || self.on(entries, parent, path, entry.hash).map(|i| i as usize) != Some(i) {
            return false;
        }
        let mut open = true;
        above(path, |directory, hash| {
            open = directory.len() < top.len() || self.on(entries, parent, directory, hash).is_none();
            !open
        });
        open
    }

    /// Whether another mount lies on the top of this one.
    fn covered(&self, entries: &[Entry], i: usize) -> bool {
        let entry = &entries[i];
        u32::try_from(i).is_ok_and(|at| self.on(entries, at, entry.mount_point.of(self.buffer), entry.hash).is_some())
    }
}
