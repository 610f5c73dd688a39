//! Where the directories are in which names have changed; and what a pass is about to look at is brought into memory.
//!
//! A pass takes one name after the other, and on a cold disk it would wait for each of them, in both trees. Here many threads wait at
//! once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{Advice, OFlags};
use rustix::io::Errno;

use super::copy::Opened;
use super::copy::{READ, open};
use super::dirty::{Change, Changes};
use super::error::Fail;
use super::resolver::{Found, Resolver};
use crate::sys::Entry;
use crate::sys::attr;
use crate::sys::handle::Handle;

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
        let others: Vec<_> = (0..others).map(|_| scope.spawn(work)).collect();
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
