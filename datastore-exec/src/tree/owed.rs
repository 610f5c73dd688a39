//! What passes have changed in a copy since all of it was compared: it is owed a comparison of its own, and stays so until it was
//! found alike. What that takes is in proportion to what was changed.

use std::collections::HashSet;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::Control;
use super::copy::READ;
use super::error::TreeError;
use super::limits::Holds;
use super::meta::unlock;
use super::verify::{self, Contents, Difference, Verified};
use super::written::File;
use crate::sys::attr::{self, LOCKS, Time};
use crate::sys::{Entry, SysError, handle};

/// What is still to be compared.
#[derive(Debug, Default)]
pub struct Owed {
    /// Everything, contents as well.
    all: bool,
    /// The attributes of everything.
    attributes: bool,
    /// Names, by their paths below the top: their attributes.
    names: Vec<Vec<u8>>,
    /// Directories: the attributes of everything below them.
    below: Vec<Vec<u8>>,
    /// Files: their contents too.
    files: Vec<File>,
}

impl Owed {
    /// Nothing was found alike so far.
    #[must_use]
    pub fn everything() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// Whether that is still so.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.all
    }

    /// Whether everything was found alike.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.all && !self.attributes && self.names.is_empty() && self.below.is_empty() && self.files.is_empty()
    }

    /// A pass has looked at these names, and at everything below these directories; without names at everything.
    pub fn looked(&mut self, names: Option<&[Vec<u8>]>, below: &[Vec<u8>]) {
        let Some(names) = names else {
            self.attributes = true;
            return;
        };
        self.names.extend_from_slice(names);
        self.below.extend_from_slice(below);
    }

    /// A pass has written these files, or nobody knows which.
    pub fn wrote(&mut self, files: Option<Vec<File>>) {
        match files {
            Some(files) => self.files.extend(files),
            None => self.all = true,
        }
    }

    /// What was found to differ is to be looked at again, with its contents.
    pub fn found(&mut self, found: &Verified) {
        if found.differ > found.differences.len() as u64 {
            self.all = true;
        }
        let file = |d: &Difference| File { path: d.path.clone(), inodes: d.inodes.clone() };
        self.files.extend(found.differences.iter().map(file));
    }

    /// Compares what is owed. What differs stays owed.
    pub fn settle(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        holds: &Holds,
        contents: Contents,
        control: &Control<'_>,
    ) -> Result<Verified, TreeError> {
        let found = if self.all {
            verify::verify(from, to, holds, contents, control)?
        } else {
            verify::some(from, to, holds, contents, self, control)?
        };
        *self = Self::default();
        self.found(&found);
        Ok(found)
    }

    /// Makes the copies that differ such that whoever compares the trees next copies them anew: a copy with the length and the time
    /// of its original counts as alike.
    pub fn distrust(&self, to: &OwnedFd) -> Result<(), SysError> {
        // A file of several names is one of them for each name; its time must be changed once.
        let mut seen = HashSet::new();
        for file in &self.files {
            let Some((_, copy)) = &file.inodes else { continue };
            if !seen.insert(copy) {
                continue;
            }
            let copy = match handle::open(to, copy, READ) {
                Err(error) if matches!(error.errno(), Errno::STALE | Errno::NOENT) => continue,
                other => other?,
            };
            unlock(Entry::itself(&copy), LOCKS)?;
            let attr = attr::attr(Entry::itself(&copy))?;
            let changed = Time { sec: attr.mtime.sec ^ 1, ..attr.mtime };
            attr::set_times(Entry::itself(&copy), attr.atime, changed)?;
        }
        Ok(())
    }

    pub(super) fn attributes(&self) -> bool {
        self.attributes
    }
    pub(super) fn names(&self) -> &[Vec<u8>] {
        &self.names
    }
    pub(super) fn below(&self) -> &[Vec<u8>] {
        &self.below
    }
    pub(super) fn files(&self) -> &[File] {
        &self.files
    }
}
