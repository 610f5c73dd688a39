//! `/etc/fstab` as text (fstab(5)): bytes in, bytes out, and everything that is not ours stays byte for byte.
//!
//! Our lines stand between two marker lines ([`BEGIN`], [`END`]). Reading never fails; a file whose markers make no
//! sense can be read but not edited ([`Fstab::block`]). Which lines are ours:
//!
//! - an entry between the markers, with a mount point that is an absolute path, the first of its mount point there;
//! - anything else between the markers (a comment, a blank line, swap, a second line for one mount point) was put there
//!   by somebody else: it stays where it is, and if it is an entry it counts as foreign.
//!
//! New lines go to their place in the order (file systems, volumes that are bound directories, binds; then the bytes of
//! the mount point, so parents come first), and the others are not moved. So a block that only we wrote is always sorted.

mod block;
mod edit;
mod line;
mod text;

use rustc_hash::FxHashMap as HashMap;
use std::ops::Range;

use crate::AbsPath;

pub use block::{BEGIN, BlockError, END};
pub use edit::{Edit, EditError, Place, Stand};
pub use line::{Entry, escape, unescape};

use block::Block;

/// The text of a whole fstab, read.
#[derive(Debug, Clone)]
pub struct Fstab {
    bytes: Vec<u8>,
    /// Every line with its line end.
    lines: Vec<Range<usize>>,
    block: Result<Option<Block>, BlockError>,
    rows: Vec<Stored>,
    /// Mount point to its index in `rows`.
    ours: HashMap<AbsPath, usize>,
    foreign: HashMap<AbsPath, Vec<usize>>,
}

#[derive(Debug, Clone)]
struct Stored {
    /// From 0.
    line: usize,
    ours: bool,
    entry: Entry,
    mount_point: Option<AbsPath>,
}

/// One line that is an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// The number of the line in the file, from 1.
    pub line: u32,
    /// Whether it is ours.
    pub ours: bool,
    /// Its fields.
    pub entry: &'a Entry,
}

/// The number of a line for people, from its index.
fn number(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}

impl Fstab {
    /// Reads the bytes of a file. Never fails: what is no entry is kept as it is.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let bytes = bytes.to_vec();
        let mut lines = Vec::new();
        let mut start = 0;
        for newline in memchr::memchr_iter(b'\n', &bytes) {
            lines.push(start..newline + 1);
            start = newline + 1;
        }
        if start < bytes.len() {
            lines.push(start..bytes.len());
        }
        let block = block::find(lines.iter().map(|range| &bytes[range.clone()]));
        let mut table =
            Self { bytes, lines, block, rows: Vec::new(), ours: HashMap::default(), foreign: HashMap::default() };
        table.index();
        table
    }

    fn index(&mut self) {
        let inside = match self.block {
            Ok(Some(Block { begin, end })) => begin..end,
            Ok(None) | Err(_) => 0..0,
        };
        for (line, range) in self.lines.iter().enumerate() {
            let Some(entry) = Entry::parse(&self.bytes[range.clone()]) else {
                continue;
            };
            let mount_point = entry.mount_point();
            let mut ours = false;
            if let Some(path) = &mount_point {
                ours = inside.contains(&line) && !self.ours.contains_key(path);
                if ours {
                    self.ours.insert(path.clone(), self.rows.len());
                } else {
                    self.foreign.entry(path.clone()).or_default().push(self.rows.len());
                }
            }
            self.rows.push(Stored { line, ours, entry, mount_point });
        }
    }

    /// The bytes that were read.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// Whether our lines can be told from the others.
    ///
    /// # Errors
    /// The markers do not enclose exactly one block. Every line counts as foreign then, and [`Fstab::edit`] refuses.
    pub fn block(&self) -> Result<(), BlockError> {
        self.block.map(|_| ())
    }

    /// Every line that is an entry, in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(Stored::row)
    }

    /// Our line for a mount point.
    #[must_use]
    pub fn ours(&self, mount_point: &AbsPath) -> Option<Row<'_>> {
        self.ours.get(mount_point).map(|&i| self.rows[i].row())
    }

    /// Whether there is a line of ours for a mount point.
    #[must_use]
    pub fn has_ours(&self, mount_point: &[u8]) -> bool {
        self.ours.contains_key(mount_point)
    }

    /// The lines for a mount point that are not ours, in the order of the file.
    #[must_use]
    pub fn foreign(&self, mount_point: &AbsPath) -> Vec<Row<'_>> {
        self.foreign_rows(mount_point).map(Stored::row).collect()
    }

    fn foreign_rows(&self, mount_point: &AbsPath) -> impl Iterator<Item = &Stored> {
        self.foreign.get(mount_point).into_iter().flatten().map(|&i| &self.rows[i])
    }

    /// A change of one mount point's line, from what stands there now to a line of ours or to none.
    ///
    /// A foreign line is taken into the block (or removed, if `to` is `None`): the first, if there are several; whoever
    /// plans asks [`Fstab::foreign`] before whether he wants that.
    #[must_use]
    pub fn change(&self, mount_point: &AbsPath, to: Option<Entry>) -> Edit {
        edit::change(self, mount_point, to.map_or(Stand::Absent, Stand::Ours))
    }

    /// The bytes of the file with these changes made, all or none. The time is that of reading the file once.
    ///
    /// # Errors
    /// The markers are broken, a mount point does not stand as its edit says, or a line cannot be written.
    pub fn edit(&self, edits: &[Edit]) -> Result<Vec<u8>, EditError> {
        edit::apply(self, edits)
    }

    fn line(&self, index: usize) -> &[u8] {
        &self.bytes[self.lines[index].clone()]
    }
}

impl Stored {
    fn row(&self) -> Row<'_> {
        Row { line: number(self.line), ours: self.ours, entry: &self.entry }
    }
}

#[cfg(test)]
mod tests;
