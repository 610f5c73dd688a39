//! Looking under live binds: a private view of the directory that a bind covers, listed and copied out by descriptors alone. No link
//! is followed, and no mount table shows anything of it.

mod copy;
mod list;
mod view;

use std::os::fd::OwnedFd;

use datastore_core::path::printable;
use datastore_core::peek::{Copied, Peek, Peeked, Target};
use datastore_core::value::AppName;
use datastore_core::{AbsPath, Error, ErrorKind, Result};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::engine::Engine;
use crate::sys::stat::{self, Kind};
use crate::sys::{Entry, fd};

/// So many entries are listed of one mount point.
const MOST: usize = 10_000;
/// A list does not enter directories deeper than this: each level holds a descriptor or two.
const DEEPEST: usize = 200;

/// What is wished for.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Only what lies at this path; else at every mount point of the app.
    pub path: Option<AbsPath>,
    /// Whether to list what is in directories too.
    pub deep: bool,
    /// Where to copy what is hidden.
    pub copy_to: Option<AbsPath>,
}

/// Looks under each target; copies what is hidden, if that is wished for.
pub(crate) fn peek(engine: &Engine, app: &AppName, targets: &[Target], wish: &Wish) -> Result<Peek> {
    let mut mappings = Vec::new();
    let mut hidden: Vec<(AbsPath, Found)> = Vec::new();
    for target in targets {
        let mut peeked = Peeked {
            mount_point: target.mount_point.to_string(),
            hidden: false,
            detail: String::new(),
            entries: Vec::new(),
            cut: false,
        };
        let found = if target.covered { find(engine, target)? } else { None };
        match found {
            None if !target.covered => peeked.detail = "nothing is mounted there, so nothing is hidden".into(),
            None => peeked.detail = "nothing is hidden there".into(),
            Some(found) => {
                peeked.hidden = true;
                let ids = engine.ids()?;
                let mut lister = list::Lister { ids, deep: wish.deep, entries: Vec::new(), cut: false };
                match &found {
                    Found::Directory(dir) => lister.directory(dir, b"", DEEPEST)?,
                    Found::Entry { dir, name } => lister.one(Entry::new(dir, name), name, DEEPEST)?,
                }
                (peeked.entries, peeked.cut) = (lister.entries, lister.cut);
                let place = match &target.below {
                    Some(below) => target.mount_point.join(below.relative()),
                    None => Ok(target.mount_point.clone()),
                };
                hidden.push((place.map_err(|e| Error::new(ErrorKind::Usage, e.to_string()))?, found));
            }
        }
        mappings.push(peeked);
    }
    let copied = match &wish.copy_to {
        Some(to) if !hidden.is_empty() => Some(copy_all(engine, to, &hidden)?),
        _ => None,
    };
    Ok(Peek { app: app.to_string(), mappings, copied })
}

/// Something that is hidden.
enum Found {
    /// A directory that is not empty.
    Directory(OwnedFd),
    /// Anything else, by the directory that holds it.
    Entry {
        /// The directory.
        dir: OwnedFd,
        /// The name in it.
        name: Vec<u8>,
    },
}

/// What lies under a target; `None` if there is nothing, or an empty directory.
fn find(engine: &Engine, target: &Target) -> Result<Option<Found>> {
    let why = |error: crate::sys::SysError| {
        let place = &target.mount_point;
        if error.is_privilege() && !rustix::process::geteuid().is_root() {
            return Error::new(ErrorKind::Privilege, format!("what lies under {place} is for root alone"))
                .hint("run it as root");
        }
        error.because(format!("what lies under {place} cannot be looked at"))
    };
    let Some(mut dir) = view::beneath(engine.root(), &target.mount_point)? else { return Ok(None) };
    let names: Vec<&[u8]> = target.below.iter().flat_map(AbsPath::components).collect();
    for (i, name) in names.iter().enumerate() {
        let entry = Entry::new(&dir, name);
        let facts = match stat::facts(entry) {
            Ok(facts) => facts,
            Err(error) if error.errno() == Errno::NOENT => return Ok(None),
            Err(error) => return Err(why(error)),
        };
        if facts.kind != Kind::Dir {
            // A link on the way is not followed: there is nothing below it.
            let is_last = i + 1 == names.len();
            return Ok(is_last.then(|| Found::Entry { name: name.to_vec(), dir }));
        }
        dir = fd::open(entry, OFlags::RDONLY | OFlags::DIRECTORY, 0).map_err(why)?;
    }
    // A fresh descriptor: the position of this one moves.
    let again = fd::open(Entry::itself(&dir), OFlags::RDONLY | OFlags::DIRECTORY, 0).map_err(why)?;
    Ok((!fd::is_empty(&again).map_err(why)?).then_some(Found::Directory(dir)))
}

/// Copies everything that is hidden, each to its own path below `to`.
fn copy_all(engine: &Engine, to: &AbsPath, hidden: &[(AbsPath, Found)]) -> Result<Copied> {
    let top = copy::receive(engine.root(), to)?;
    let mut copier = copy::Copier::new(to);
    for (place, found) in hidden {
        let above: Vec<&[u8]> = place.components().collect();
        let (last, above) =
            above.split_last().ok_or_else(|| Error::new(ErrorKind::Usage, "nothing can be hidden at /"))?;
        let holder = copy::directories(&top, above)?;
        copier.shown = printable(place.as_bytes());
        match found {
            Found::Entry { dir, name } => copier.entry(dir, name, &holder, last)?,
            Found::Directory(dir) => copier.directory(dir, &holder, last)?,
        }
    }
    copier.finish(&top)
}
