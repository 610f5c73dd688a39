//! Where the directories are in which names have changed; and what a pass is about to look at is brought into memory.
//!
//! A pass takes one name after the other, and on a cold disk it would wait for each of them, in both trees. Here many threads wait at
//! once.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{Advice, OFlags};
use rustix::io::Errno;

use super::copy::Opened;
use super::copy::{READ, open};
use super::dirty::{Change, Changes};
use super::error::Fail;
use super::map::Map;
use super::resolver::{Found, Resolver};
use crate::sys::handle::Handle;
use crate::sys::{Entry, SysError};
use crate::sys::{attr, thread};

/// A thread is begun for so many directories and inodes.
const EACH: usize = 8;
/// So much of a file that was written is read ahead.
const AHEAD: u64 = 1 << 20;

/// Names that are dirty, by the path of their directory, from the top downwards.
pub(super) type Places<'c> = Vec<(Vec<u8>, &'c Names)>;

/// The dirty names of one directory.
pub(super) type Names = HashMap<Box<[u8]>, Change>;

/// Where the directories are now. One that is nowhere in the tree was removed or moved, and that is told of its name.
pub(super) fn places<'c>(
    source: &Resolver,
    target: &Resolver,
    changes: &'c Changes,
    threads: usize,
) -> Result<Places<'c>, Fail> {
    let dirs: Vec<(&Handle, &Names)> = changes.names.iter().collect();
    let inodes: Vec<&Handle> = changes.inodes.iter().collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Places::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(&(dir, names)) = dirs.get(at) else {
                let Some(inode) = inodes.get(at - dirs.len()) else { return Ok(found) };
                // What is wrong with it shows when it is used.
                let _ = source.open(inode, OFlags::PATH);
                continue;
            };
            match source.look(dir) {
                Ok(Some(place)) => {
                    touch(&place, target, names);
                    found.push((place.path.to_vec(), names));
                }
                Ok(None) => {}
                // It is moved all the while, and will be dirty as a whole.
                Err(error) if error.errno() == Errno::AGAIN => {}
                Err(error) => return Err(Fail::source(error)),
            }
        }
    };
    let others = threads.min((dirs.len() + inodes.len()) / EACH).saturating_sub(1);
    let mut found = std::thread::scope(|scope| {
        let others: Vec<_> = (0..others).map_while(|_| thread::another(scope, work)).collect();
        let mut found = work()?;
        for other in others {
            // What panics in a thread panics here.
            found.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(found)
    })?;
    found.sort_by_cached_key(|(path, _)| (depth(path), path.clone()));
    Ok(found)
}

pub(super) fn depth(path: &[u8]) -> usize {
    if path.is_empty() { 0 } else { 1 + path.iter().filter(|&&b| b == b'/').count() }
}

/// The path of something that has changed in a tree, if anything has. Of what is not in it nothing is told; what is moved all the while counts
/// as changed. The map knows the inodes of the tree.
pub(crate) fn within(top: &OwnedFd, changes: &Changes, map: &Map) -> Result<Option<Vec<u8>>, SysError> {
    let source = Resolver::new(top)?;
    for (dir, names) in &changes.names {
        match source.look(dir) {
            Ok(Some(place)) => {
                let mut path = place.path.to_vec();
                if let Some(name) = names.keys().find(|name| ***name != *b".") {
                    path.extend(if path.is_empty() { &b""[..] } else { b"/" });
                    path.extend(&**name);
                }
                return Ok(Some(path));
            }
            Ok(None) => {}
            Err(error) if error.errno() == Errno::AGAIN => {
                return Ok(Some(b"a directory that is being moved".to_vec()));
            }
            Err(error) => return Err(error),
        }
    }
    let mut inodes = HashSet::new();
    for handle in &changes.inodes {
        if let Some(inode) = source.open(handle, OFlags::PATH)? {
            let attr = attr::attr(Entry::itself(&inode))?;
            inodes.insert((attr.dev, attr.ino));
        }
    }
    let known = if inodes.is_empty() { HashMap::new() } else { map.find_all(&inodes)? };
    Ok(known.keys().next().map(|(_, ino)| format!("a file with several names (inode {ino})").into_bytes()))
}

/// Looks at names of a directory and of its copy, whatever comes of it.
fn touch(place: &Found, target: &Resolver, names: &Names) {
    let copy = target.open_beneath(&place.path).ok();
    for (name, change) in names.iter().filter(|(name, _)| &***name != b".") {
        let from = Entry::new(&*place.dir, name);
        let is_file = attr::attr(from).is_ok_and(|attr| attr.kind().is_file());
        if is_file
            && change.inode.is_some()
            && let Ok(Some(Opened::Fd(file))) = open(from, READ)
        {
            let _ = rustix::fs::fadvise(&file, 0, std::num::NonZeroU64::new(AHEAD), Advice::WillNeed);
        }
        if let Some(copy) = &copy {
            let _ = attr::attr(Entry::new(copy, name));
        }
    }
}
