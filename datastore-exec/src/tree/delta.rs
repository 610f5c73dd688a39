//! A copy is brought up to date from what has changed, without a walk over the tree.
//!
//! Every dirty name of the target is made what it is in the source, from the top downwards; a directory that was made or moved is
//! compared as a whole. Inodes that were written under another name are filled by way of the map. In the end the directories
//! whose entries were touched get their times back.
//!
//! The kernel tells nobody of inode flags (chattr(1)): a flag that is all that changed comes with the next change of its inode, or
//! with a scan.

use std::collections::{BTreeMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::copy::{Opened, READ, READ_DIR, open};
use super::dirty::{Changes, Limit};
use super::error::{Fail, TreeError};
use super::known::Known;
use super::links::Place;
use super::map::{Inode, Map};
use super::meta::Meta;
use super::places::{Names, Places, depth, places};
use super::resolver::Resolver;
use super::survey::still_there;
use super::update::{Changed, State, Updater, loosen};
use super::walk::{Dir, Entered, Met, Visit, walk};
use super::written::Written;
use super::{Control, Tally};
use crate::sys::attr::{self, Attr};
use crate::sys::handle::{self, Handle};
use crate::sys::{Entry, SysError};

/// So often a name is looked at that changes its kind.
const TRIES: usize = 5;

/// What a delta did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delta {
    /// How much.
    pub changed: Changed,
    /// The paths below the top that were looked at, the top itself as an empty one. Of a directory that was made or moved: itself only.
    pub touched: Vec<Vec<u8>>,
    /// The directories that were compared as a whole.
    pub walked: Vec<Vec<u8>>,
    /// Why both trees have to be compared all the same ([`super::update::update`]), if they have.
    pub scan: Option<Scan>,
}

/// Why a delta is not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// The target cannot find an inode by its handle.
    Handles,
    /// The directories that were made or moved hold more than a scan takes.
    Size,
    /// An inode got a name while it was copied, and is there twice.
    Split,
    /// A link or a special file was changed by a name that is gone, and has others that nobody knows of.
    Nameless,
}

impl std::fmt::Display for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Handles => "the file system of the target cannot find a file by its handle",
            Self::Size => "large directories were made or moved",
            Self::Split => "a file got another name while it was copied",
            Self::Nameless => "a link or a special file was changed by a name that is gone",
        })
    }
}

/// Makes everything in `to` that is dirty equal to `from`. Both are open for reading; `to` is a copy of `from`, made with this map,
/// as it was when the changes began. Nothing is brought to the disk: see [`super::sync`]. What is written is noted in `written`.
pub fn delta(
    from: &OwnedFd,
    to: &OwnedFd,
    changes: &Changes,
    map: &Map,
    written: Option<&Written>,
    control: &Control<'_>,
) -> Result<Delta, TreeError> {
    let here = |fail: Fail| fail.at(control.label.to_owned());
    let scan = |why| Delta { scan: Some(why), ..Delta::default() };
    let found = handle::of(Entry::itself(to)).and_then(|(own, _)| handle::open(to, &own, OFlags::PATH));
    if !map.is_whole() || found.is_err() {
        return Ok(scan(Scan::Handles));
    }
    let resolver = Resolver::new(from).map_err(|error| here(Fail::source(error)))?;
    map.read_ahead();
    let target = Resolver::new(to).map_err(|error| here(Fail::target(error)))?;
    let dirs = places(&resolver, &target, changes, control.threads).map_err(here)?;
    let Some((wanted, inodes)) = gather(&resolver, &dirs, changes, control)? else { return Ok(scan(Scan::Size)) };
    let known = Known::new(to, map, control, wanted, inodes.keys().copied().collect())
        .map_err(|error| here(Fail::target(error)))?;
    loosen(to).map_err(|error| here(Fail::target(error)))?;
    let updater = Updater::new(from, to, Some(map), written, *control, &known).map_err(here)?;
    let mut pass = Pass {
        resolver,
        control,
        known: &known,
        updater: &updater,
        written,
        touched: Vec::new(),
        walked: HashSet::new(),
        dressed: BTreeMap::new(),
        dressed_anew: 0,
        nameless: false,
    };
    let outcome = pass.run(&dirs, &inodes);
    // After a failure too: it may be room that is lacking.
    let cleared = known.clear().map_err(here);
    outcome?;
    cleared?;
    let mut changed = updater.changed();
    changed.updated += pass.dressed_anew;
    let scan = match known.has_split().map_err(here)? {
        true => Some(Scan::Split),
        false => pass.nameless.then_some(Scan::Nameless),
    };
    let walked = pass.walked.into_iter().collect();
    Ok(Delta { changed, touched: pass.touched, walked, scan })
}

/// Inodes that were written, each with its handle.
type Inodes = BTreeMap<Inode, Handle>;

fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() }
}

/// Whether a path, or one above it, is in a set.
fn is_below(set: &HashSet<Vec<u8>>, path: &[u8]) -> bool {
    !set.is_empty()
        && (set.contains(path) || path.iter().enumerate().any(|(at, &b)| b == b'/' && set.contains(&path[..at])))
}

/// A directory of either tree; none if it is not there (any more).
fn beneath(resolver: &Resolver, path: &[u8]) -> Result<Option<OwnedFd>, SysError> {
    match resolver.open_beneath(path) {
        Ok(dir) => Ok(Some(dir)),
        Err(error)
            if matches!(
                error.errno(),
                Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::AGAIN | Errno::STALE
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn look(entry: Entry<'_>) -> Result<Option<Attr>, Fail> {
    match attr::attr(entry) {
        Ok(attr) => Ok(Some(attr)),
        Err(error) if error.errno() == Errno::NOENT => Ok(None),
        Err(error) => Err(Fail::source(error)),
    }
}

/// Collects every inode that the map is to be asked for, and those that were written; none if there are too many.
fn gather(
    resolver: &Resolver,
    dirs: &Places<'_>,
    changes: &Changes,
    control: &Control<'_>,
) -> Result<Option<(HashSet<Inode>, Inodes)>, TreeError> {
    let full = AtomicBool::new(false);
    let gather =
        Gather { stop: control.stop, full: &full, limit: 2 * Limit::default().entries, found: Mutex::default() };
    let mut written = Inodes::new();
    let mut walked = HashSet::new();
    let top = |fail: Fail| fail.at(control.label.to_owned());
    for (path, names) in dirs {
        if is_below(&walked, path) {
            continue;
        }
        let Some(dir) = beneath(resolver, path).map_err(|error| top(Fail::source(error)))? else { continue };
        for (name, change) in names.iter().filter(|(name, _)| &***name != b".") {
            let Some(attr) = look(Entry::new(&dir, name)).map_err(|fail| fail.at(control.shown(&join(path, name))))?
            else {
                continue;
            };
            gather.note(&attr);
            if attr.kind().is_dir() && change.whole {
                let below = join(path, name);
                if let Ok(Some(Opened::Fd(source))) = open(Entry::new(&dir, name), READ_DIR) {
                    let (label, tally) = (control.shown(&below), Tally::default());
                    let inner = Control { label: &label, stop: &full, tally: &tally, ..*control };
                    match walk(&gather, (source, None, ()), &inner) {
                        Err(_) if control.stop.load(Ordering::Relaxed) => return Err(TreeError::stopped(label)),
                        Err(_) if full.load(Ordering::Relaxed) => return Ok(None),
                        other => other?,
                    }
                    walked.insert(below);
                }
            }
        }
    }
    let named = changes.names.values().flat_map(|names| names.values()).filter_map(|change| change.inode.as_ref());
    for handle in named.chain(&changes.inodes) {
        let opened = resolver.open(handle, OFlags::PATH).map_err(|error| top(Fail::source(error)))?;
        if let Some(opened) = opened {
            let attr = attr::attr(Entry::itself(&opened)).map_err(|error| top(Fail::source(error)))?;
            gather.note(&attr);
            written.insert((attr.dev, attr.ino), handle.clone());
        }
    }
    let found = gather.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Some((found, written)))
}

struct Gather<'a> {
    stop: &'a AtomicBool,
    /// Ends the walk.
    full: &'a AtomicBool,
    limit: usize,
    found: Mutex<HashSet<Inode>>,
}

impl Gather<'_> {
    fn note(&self, attr: &Attr) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.insert((attr.dev, attr.ino));
        if found.len() > self.limit || self.stop.load(Ordering::Relaxed) {
            self.full.store(true, Ordering::Relaxed);
        }
    }
}

impl Visit for Gather<'_> {
    type State = ();

    fn enter(&self, above: &Dir<()>, name: &[u8]) -> Result<Entered<()>, Fail> {
        let Some(dir) = still_there(above)? else { return Ok(Entered::Done) };
        let Some(Opened::Fd(source)) = open(Entry::new(&*dir, name), READ_DIR)? else { return Ok(Entered::Done) };
        self.note(&attr::attr(Entry::itself(&source)).map_err(Fail::source)?);
        Ok(Entered::Dir { source, target: None, state: () })
    }

    fn entry(&self, dir: &Dir<()>, name: &[u8], _: FileType) -> Result<Met, Fail> {
        let Some(fd) = still_there(dir)? else { return Ok(Met::Done) };
        if let Some(attr) = look(Entry::new(&*fd, name))? {
            self.note(&attr);
        }
        Ok(Met::Done)
    }

    fn leave(&self, _: &Dir<()>) -> Result<(), Fail> {
        Ok(())
    }
}

/// A directory of the source, its copy, and what to remember of it.
type Walked = (OwnedFd, Option<OwnedFd>, State);

struct Pass<'a> {
    resolver: Resolver,
    control: &'a Control<'a>,
    known: &'a Known<'a>,
    updater: &'a Updater<'a, Known<'a>>,
    written: Option<&'a Written>,
    touched: Vec<Vec<u8>>,
    /// Directories that were compared as a whole.
    walked: HashSet<Vec<u8>>,
    /// Directories that get their attributes in the end, and whether these are dirty themselves.
    dressed: BTreeMap<(usize, Vec<u8>), bool>,
    /// How many of these were dirty and differed.
    dressed_anew: u64,
    /// Whether something was changed that only its name could lead to.
    nameless: bool,
}

impl Pass<'_> {
    fn run(&mut self, dirs: &Places<'_>, written: &Inodes) -> Result<(), TreeError> {
        let top = self.control.label.to_owned();
        self.dress_later(b"", false);
        for (path, names) in dirs {
            self.directory(path, names)?;
        }
        self.known.clear().map_err(|fail| fail.at(top.clone()))?;
        for (&inode, handle) in written {
            self.go_on()?;
            if !self.known.is_done(inode) {
                self.fill(handle).map_err(|fail| fail.at(format!("{top}: an inode that was changed, {handle}")))?;
            }
        }
        self.updater.end().map_err(|fail| fail.at(top))?;
        // From below upwards: what is set in a directory changes nothing above it, but nothing is to be locked too early.
        while let Some(((_, path), dirty)) = self.dressed.pop_last() {
            self.judge(&path, |pass| pass.dress(&path, dirty))?;
            self.touched.push(path);
        }
        self.go_on()
    }

    /// The dirty names of one directory.
    fn directory(&mut self, path: &[u8], names: &Names) -> Result<(), TreeError> {
        self.go_on()?;
        if is_below(&self.walked, path) {
            self.touched.extend(names.keys().filter(|name| &***name != b".").map(|name| join(path, name)));
            return Ok(());
        }
        let Some((source, target)) = self.judge(path, |pass| pass.both(path))? else { return Ok(()) };
        self.dress_later(path, false);
        for (name, change) in names {
            self.go_on()?;
            if **name == *b"." {
                self.dress_later(path, true);
                continue;
            }
            let below = join(path, name);
            let (from, to) = (Entry::new(&source, name), Entry::new(&target, name));
            if let Some(dir) = self.judge(&below, |pass| pass.name(from, to, &below, change.whole))? {
                let label = self.control.shown(&below);
                self.written.inspect(|written| written.within(&below));
                walk(self.updater, dir, &Control { label: &label, ..*self.control })?;
                self.written.inspect(|written| written.within(b""));
                self.walked.insert(below.clone());
            }
            self.touched.push(below);
        }
        Ok(())
    }

    /// A directory and its copy, if both are there; entries of the copy can be changed.
    fn both(&self, path: &[u8]) -> Result<Option<(OwnedFd, OwnedFd)>, Fail> {
        let Some(source) = beneath(&self.resolver, path).map_err(Fail::source)? else { return Ok(None) };
        let Some(target) = beneath(&self.known.resolver, path).map_err(Fail::target)? else { return Ok(None) };
        loosen(&target).map_err(Fail::target)?;
        Ok(Some((source, target)))
    }

    /// One dirty name; a directory that is to be compared as a whole is handed back.
    fn name(&mut self, from: Entry<'_>, to: Entry<'_>, path: &[u8], whole: bool) -> Result<Option<Walked>, Fail> {
        for _ in 0..TRIES {
            let Some(attr) = look(from)? else {
                self.updater.take_away(to)?;
                return Ok(None);
            };
            if !attr.kind().is_dir() {
                match self.updater.entry(from, attr.kind(), to, || path.to_vec())? {
                    Met::Done => return Ok(None),
                    Met::Is(_) => continue,
                }
            }
            if !whole && self.known.is_at(&attr, to)? {
                self.dress_later(path, true);
                return Ok(None);
            }
            match self.updater.directory(from, to, || path.to_vec())? {
                Entered::Dir { source, target, state } => return Ok(Some((source, target, state))),
                Entered::Done => return Ok(None),
                Entered::Is(_) => {}
            }
        }
        // It changes its kind all the while, and will be dirty again.
        Ok(None)
    }

    /// An inode that was written by a name that is not dirty, or is gone.
    fn fill(&mut self, handle: &Handle) -> Result<(), Fail> {
        let Some(found) = self.resolver.open(handle, OFlags::PATH).map_err(Fail::source)? else { return Ok(()) };
        let attr = attr::attr(Entry::itself(&found)).map_err(Fail::source)?;
        let Some(target) = self.known.live(&attr)? else { return Ok(()) };
        if !attr.kind().is_file() {
            // A link or a special file cannot be changed without a name. As a rule it has only lost one.
            let copy = handle::open(self.known.to, &target, OFlags::PATH).map_err(Fail::target)?;
            let there = attr::attr(Entry::itself(&copy)).map_err(Fail::target)?;
            let meta = Meta::read(Entry::itself(&found), attr, false).map_err(Fail::source)?;
            let old = Meta::read(Entry::itself(&copy), there, false).map_err(Fail::target)?;
            let differs = meta.differences(&old, self.updater.copier.fit(false));
            self.nameless |= differs.iter().any(|what| *what != "time of reading");
            return Ok(());
        }
        let Some(source) = self.resolver.open(handle, READ | OFlags::NOATIME).map_err(Fail::source)? else {
            return Ok(());
        };
        let attr = attr::attr(Entry::itself(&source)).map_err(Fail::source)?;
        let copy = handle::open(self.known.to, &target, READ).map_err(Fail::target)?;
        let write = || handle::open(self.known.to, &target, OFlags::WRONLY | OFlags::NONBLOCK);
        self.updater.bring_file(&source, &attr, &copy, write, || Place::Handle(target.clone()), Vec::new)
    }

    /// The attributes of a directory whose entries were touched, or which is dirty itself.
    fn dress(&mut self, path: &[u8], dirty: bool) -> Result<(), Fail> {
        let Some((source, target)) = self.both(path)? else { return Ok(()) };
        let attr = attr::attr(Entry::itself(&source)).map_err(Fail::source)?;
        let top = path.is_empty();
        let meta = Meta::read(Entry::itself(&source), attr, top).map_err(Fail::source)?;
        if self.updater.dress(&State { meta, top }, &target)? && dirty {
            self.dressed_anew += 1;
        }
        Ok(())
    }

    fn go_on(&self) -> Result<(), TreeError> {
        if self.control.stop.load(Ordering::Relaxed) {
            return Err(TreeError::stopped(self.control.label.to_owned()));
        }
        Ok(())
    }

    fn dress_later(&mut self, path: &[u8], dirty: bool) {
        *self.dressed.entry((depth(path), path.to_vec())).or_default() |= dirty;
    }

    /// Says where something failed, and whether the pass goes on without it.
    fn judge<R: Default>(
        &mut self,
        path: &[u8],
        what: impl FnOnce(&mut Self) -> Result<R, Fail>,
    ) -> Result<R, TreeError> {
        match what(self) {
            Ok(done) => Ok(done),
            Err(fail) => {
                let error = fail.at(self.control.shown(path));
                if self.control.watch.left_out(&error) { Ok(R::default()) } else { Err(error) }
            }
        }
    }
}
