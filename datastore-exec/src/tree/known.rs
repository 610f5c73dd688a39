//! What a delta knows of a target: which of its inodes belong to the inodes of the source that have changed.
//!
//! An inode of the target is used for an inode of the source only if the map says so. So nothing is ever written into an
//! inode that has another name elsewhere for something else.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::Control;
use super::copy::READ;
use super::error::Fail;
use super::links::{Links, Place};
use super::map::{Inode, Map};
use super::meta::unlock;
use super::resolver::Resolver;
use super::update::{Targets, Turn, discard, loosen, there};
use crate::sys::attr::{self, Attr, LOCKS};
use crate::sys::handle::{self, Handle};
use crate::sys::{Entry, SysError, fd, name, random};

/// The inodes of the target.
pub(super) struct Known<'a> {
    pub(super) to: &'a OwnedFd,
    /// Finds directories of the target.
    pub(super) resolver: Resolver,
    map: &'a Map,
    control: &'a Control<'a>,
    /// Inodes that were written to, under whatever name.
    pub(super) written: HashSet<Inode>,
    state: Mutex<State>,
    /// Held by whoever moves something in the target: a path that was looked up leads to the same place until it is used.
    aside: Mutex<Option<Aside>>,
}

#[derive(Default)]
struct State {
    /// Of each inode that was looked for, those that the map has, the first in front.
    targets: HashMap<Inode, Vec<Handle>>,
    /// All of them that must not be lost.
    kept: HashSet<Handle>,
    /// The inodes that were looked for.
    looked: HashSet<Inode>,
    /// Inodes whose contents are up to date, and other ones that were met.
    done: HashSet<Inode>,
    /// Those that had several names when they were met the last time, as they were then.
    several: HashMap<Inode, Attr>,
}

/// A directory in the target's top for what is taken from its place and may be needed at another one.
struct Aside {
    dir: OwnedFd,
    name: String,
    count: u64,
}

impl<'a> Known<'a> {
    /// Looks for these inodes in the map.
    pub(super) fn new(
        to: &'a OwnedFd,
        map: &'a Map,
        control: &'a Control<'a>,
        wanted: HashSet<Inode>,
        written: HashSet<Inode>,
    ) -> Result<Self, SysError> {
        let targets = map.find_all(&wanted)?;
        let kept = targets.values().flatten().cloned().collect();
        let state = Mutex::new(State { targets, kept, looked: wanted, done: HashSet::new(), several: HashMap::new() });
        Ok(Self { to, resolver: Resolver::new(to)?, map, control, written, state, aside: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an inode was met, and its contents brought up to date.
    pub(super) fn is_done(&self, inode: Inode) -> bool {
        self.state().done.contains(&inode)
    }

    /// The target's inode for one of the source: the first one that is still there and of its kind. An inode number that was
    /// freed and used again leads to what is about to lose all its names, and may as well be filled anew.
    pub(super) fn live(&self, source: &Attr) -> Result<Option<Handle>, Fail> {
        let inode = (source.dev, source.ino);
        let mut state = self.state();
        if source.nlink > 1 && !source.kind().is_dir() {
            state.several.insert(inode, *source);
        } else {
            // The number may have been another inode's.
            state.several.remove(&inode);
        }
        // It came after everything was looked for; with a single name it is new, or will be met again.
        if source.nlink > 1 && !source.kind().is_dir() && state.looked.insert(inode) {
            let found = self.map.find_all(&HashSet::from([inode])).map_err(Fail::target)?;
            for (inode, handles) in found {
                state.kept.extend(handles.iter().cloned());
                state.targets.insert(inode, handles);
            }
        }
        let candidates = state.targets.get(&inode).cloned().unwrap_or_default();
        drop(state);
        for handle in candidates {
            if let Some(attr) = self.look(&handle)?
                && attr.kind() == source.kind()
                && attr.rdev == source.rdev
            {
                return Ok(Some(handle));
            }
        }
        Ok(None)
    }

    /// Whether an entry of the target is the inode for this one of the source.
    pub(super) fn is_at(&self, source: &Attr, to: Entry<'_>) -> Result<bool, Fail> {
        let Some(handle) = self.live(source)? else { return Ok(false) };
        Ok(there(to)?.is_some() && handle::of(to).map_err(Fail::target)?.0 == handle)
    }

    /// An inode of the target, if it has a name.
    fn look(&self, handle: &Handle) -> Result<Option<Attr>, Fail> {
        let Some(opened) = self.resolver.open(handle, OFlags::PATH).map_err(Fail::target)? else { return Ok(None) };
        let attr = attr::attr(Entry::itself(&opened)).map_err(Fail::target)?;
        Ok((attr.nlink > 0).then_some(attr))
    }

    /// Whether the names of one inode lead to several in the target: a name was made while it was copied, and the other one is
    /// not known.
    ///
    /// More often two inodes of the target belong to one number because it was freed and used again, and the old name has not gone
    /// yet: those are not alike, or the inode has one name, so that every other one goes when its own change is told.
    pub(super) fn has_split(&self) -> Result<bool, Fail> {
        let state = self.state();
        let handles = |(inode, source): (&Inode, &Attr)| {
            let all = state.targets.get(inode).filter(|all| all.len() > 1)?;
            Some((all.clone(), source.kind(), source.rdev))
        };
        let several: Vec<_> = state.several.iter().filter_map(handles).collect();
        drop(state);
        for (handles, kind, rdev) in several {
            let mut texts = HashSet::new();
            for handle in &handles {
                if !self.look(handle)?.is_some_and(|attr| attr.kind() == kind && attr.rdev == rdev) {
                    continue;
                }
                let text = if kind.is_symlink() { self.text(handle)? } else { Vec::new() };
                if !texts.insert(text) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether two links lead to the same place. The one of the source is held.
    fn is_same_link(&self, from: Entry<'_>, to: &Handle) -> Result<bool, Fail> {
        Ok(self.text(to)? == name::read_symlink(from).map_err(Fail::source)?)
    }

    /// Where a link of the target leads.
    fn text(&self, link: &Handle) -> Result<Vec<u8>, Fail> {
        let opened = handle::open(self.to, link, OFlags::PATH | OFlags::NOFOLLOW).map_err(Fail::target)?;
        name::read_symlink(Entry::itself(&opened)).map_err(Fail::target)
    }

    /// Moves a directory from wherever it is; says whether that was possible.
    fn fetch(&self, dir: &Handle, to: Entry<'_>) -> Result<bool, Fail> {
        let _moving = self.aside();
        let Some(found) = self.resolver.look(dir).map_err(Fail::target)? else { return Ok(false) };
        let at = found.path.iter().rposition(|&b| b == b'/');
        let (above, last) = at.map_or((&[][..], &found.path[..]), |at| (&found.path[..at], &found.path[at + 1..]));
        if last.is_empty() {
            return Ok(false);
        }
        let above = self.resolver.open_beneath(above).map_err(Fail::target)?;
        loosen(&above).map_err(Fail::target)?;
        loosen(&found.dir).map_err(Fail::target)?;
        match name::rename(Entry::new(&above, last), to) {
            Ok(()) => Ok(true),
            // Into something below it, or of another project.
            Err(error) if matches!(error.errno(), Errno::INVAL | Errno::XDEV | Errno::NOENT) => Ok(false),
            Err(error) => Err(Fail::target(error)),
        }
    }

    fn aside(&self) -> MutexGuard<'_, Option<Aside>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes everything that was put aside.
    pub(super) fn clear(&self) -> Result<(), Fail> {
        let aside = self.aside().take();
        aside.map_or(Ok(()), |aside| discard(Entry::new(self.to, aside.name.as_bytes()), self.control))
    }

    fn put_aside(&self, aside: &mut Option<Aside>, entry: Entry<'_>) -> Result<(), Fail> {
        let aside = match aside {
            Some(aside) => aside,
            none => none.insert(Aside::new(self.to).map_err(Fail::target)?),
        };
        aside.count += 1;
        let number = aside.count.to_string();
        let new = Entry::new(&aside.dir, number.as_bytes());
        let moved = match name::rename(entry, new) {
            Err(error) if error.errno() == Errno::PERM => {
                let locked = fd::open(entry, READ, 0).map_err(Fail::target)?;
                loosen(&locked).map_err(Fail::target)?;
                name::rename(entry, new)
            }
            other => other,
        };
        match moved {
            Err(error) if error.errno() == Errno::NOENT => Ok(()),
            other => other.map_err(Fail::target),
        }
    }
}

impl Aside {
    fn new(to: &OwnedFd) -> Result<Self, SysError> {
        let mut bytes = [0; 8];
        // Without random numbers a name that is taken is refused, no more.
        let _ = random::fill(&mut bytes);
        let name = format!(".datastore-aside-{:016x}", u64::from_ne_bytes(bytes));
        let dir = fd::make_dir(Entry::new(to, name.as_bytes()), 0o700)?;
        loosen(&dir)?;
        Ok(Self { dir, name, count: 0 })
    }
}

impl Targets for Known<'_> {
    fn turn<'l>(
        &self,
        links: &'l Links,
        from: Entry<'_>,
        source: &Attr,
        to: Entry<'_>,
        there: Option<&Attr>,
    ) -> Result<Turn<'l>, Fail> {
        let inode = (source.dev, source.ino);
        if !source.kind().is_file() {
            self.state().done.insert(inode);
        }
        let Some(handle) = self.live(source)? else { return Ok(Turn::New) };
        let place = Place::Handle(handle);
        if there.is_some() && links.is(&place, to).map_err(Fail::target)? {
            return Ok(Turn::Keep(None));
        }
        let Place::Handle(handle) = &place else { return Ok(Turn::New) };
        match source.kind() {
            FileType::RegularFile => {
                let opened = handle::open(self.to, handle, READ).map_err(Fail::target)?;
                unlock(Entry::itself(&opened), LOCKS).map_err(Fail::target)?;
            }
            // Nothing is saved with those, unless there are other names.
            _ if source.nlink < 2 => return Ok(Turn::New),
            // One whose number was used before had another text.
            FileType::Symlink if !self.is_same_link(from, handle)? => return Ok(Turn::New),
            _ => {}
        }
        Ok(Turn::Link(place, true))
    }

    fn directory(&self, source: &Attr, to: Entry<'_>, there: Option<&Attr>) -> Result<bool, Fail> {
        let handle = self.live(source)?;
        if let (Some(handle), Some(there)) = (&handle, there)
            && there.kind().is_dir()
            && handle::of(to).map_err(Fail::target)?.0 == *handle
        {
            return Ok(true);
        }
        if there.is_some() {
            self.displace(to)?;
        }
        handle.map_or(Ok(false), |handle| self.fetch(&handle, to))
    }

    fn made(&self, source: &Attr, to: Entry<'_>) {
        let inode = (source.dev, source.ino);
        let made = handle::of(to);
        let mut state = self.state();
        state.done.insert(inode);
        if let Ok((handle, _)) = made {
            state.kept.insert(handle.clone());
            let all = state.targets.entry(inode).or_default();
            if !all.contains(&handle) {
                all.push(handle);
            }
        }
    }

    fn is_written(&self, source: &Attr) -> bool {
        let inode = (source.dev, source.ino);
        self.written.contains(&inode) && self.state().done.insert(inode)
    }

    fn displace(&self, to: Entry<'_>) -> Result<(), Fail> {
        let mut aside = self.aside();
        let Some(there) = there(to)? else { return Ok(()) };
        let (handle, _) = handle::of(to).map_err(Fail::target)?;
        if there.kind().is_dir() || self.state().kept.contains(&handle) {
            return self.put_aside(&mut aside, to);
        }
        discard(to, self.control)
    }
}
