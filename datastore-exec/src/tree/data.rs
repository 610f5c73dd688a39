//! The contents of one file: shared where the file system can, else copied, holes and all.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use super::Counter;
use super::direct;
use super::error::Fail;
use super::walk::count;
use crate::sys::data;

/// How much is read and written at once. Every thread keeps one such buffer.
const BLOCK: usize = 256 << 10;
/// Files up to this length are read at once, and asked for holes only if they look so.
const SMALL: u64 = 64 << 10;
/// The least hole that is looked for in them.
const HOLE: usize = 4096;
/// How much is asked for in one call of copy_file_range(2).
const RANGE: u64 = 8 << 20;
/// So much of a file is written before the kernel is asked to bring it to the disk. Left to itself it begins when a tenth of the memory
/// waits to be written, or after half a minute: until then the disk has nothing to do, and after that everybody waits for it. With two
/// cores and ext4 in images the same reads and writes came to 2.2 times the rate of cp(1) with it, and to 1.6 times without.
const BEHIND: u64 = 8 << 20;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The ways of copying that may work between a source and a target; those that do not are given up.
#[derive(Debug)]
pub struct Ways {
    share: AtomicBool,
    range: AtomicBool,
    direct: AtomicBool,
}

/// A file that is being copied.
struct File<'a> {
    from: &'a OwnedFd,
    to: &'a OwnedFd,
    /// Up to here it is on its way to the disk.
    begun: u64,
    /// Up to here it was counted.
    counted: u64,
    bytes: &'a Counter,
}

/// What was copied of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Contents {
    /// Bytes that were written.
    pub written: u64,
    /// Bytes that the copy shares with the original.
    pub shared: u64,
}

impl Ways {
    /// For files within one file system, or of two, and for a target that is open.
    #[must_use]
    pub fn new(one_file_system: bool, to: &OwnedFd) -> Self {
        Self {
            share: AtomicBool::new(one_file_system),
            range: AtomicBool::new(one_file_system),
            direct: AtomicBool::new(direct::pays(to)),
        }
    }

    /// Copies the contents of `from`, which had this length and took so many blocks, to `to`, which is empty, and counts its bytes
    /// as it goes. What is added to the file meanwhile is not in the copy; what is cut is missing.
    pub fn copy(
        &self,
        from: &OwnedFd,
        to: &OwnedFd,
        (size, blocks): (u64, u64),
        bytes: &Counter,
    ) -> Result<Contents, Fail> {
        let mut file = File { from, to, begun: 0, counted: 0, bytes };
        let contents = self.contents(&mut file, size, blocks)?;
        file.count(size);
        Ok(contents)
    }

    fn contents(&self, file: &mut File<'_>, size: u64, blocks: u64) -> Result<Contents, Fail> {
        let (from, to) = (file.from, file.to);
        if size == 0 {
            return Ok(Contents::default());
        }
        if self.share.load(Ordering::Relaxed) {
            match data::share(from, to) {
                Ok(()) => return Ok(Contents { written: 0, shared: size }),
                Err(error) => match error.errno() {
                    // Of this file only: contents inside the inode, or copied on write in one of the two.
                    Errno::INVAL | Errno::TXTBSY => {}
                    Errno::NOSPC | Errno::DQUOT => return Err(Fail::target(error)),
                    _ => self.share.store(false, Ordering::Relaxed),
                },
            }
        }
        // The blocks count those of attributes too, so that only zeros tell that there may be a hole.
        if size <= SMALL
            && blocks.saturating_mul(512) >= size
            && let Some(contents) = small(from, to, size)?
        {
            return Ok(contents);
        }
        let mut contents = Contents::default();
        let mut at = 0;
        let mut long = false;
        while at < size {
            let run = data::data_after(from, at, size).map_err(Fail::source)?.filter(|(data, _)| *data < size);
            let dense = at == 0 && run.is_some_and(|(data, hole)| data == 0 && hole >= size);
            if !dense && !long {
                // Before anything is written: xfs fills a hole that appears behind its last write.
                data::set_length(to, size).map_err(Fail::target)?;
                long = true;
            }
            let Some((data, hole)) = run else { break };
            at = hole.min(size);
            let reached = self.run(file, data, at)?;
            contents.written += reached - data;
            if reached < at {
                // It was cut meanwhile.
                data::set_length(to, reached).map_err(Fail::target)?;
                break;
            }
        }
        Ok(contents)
    }

    /// Copies from `at` to `end`, where there is no hole; says where it came to.
    fn run(&self, file: &mut File<'_>, mut at: u64, end: u64) -> Result<u64, Fail> {
        while at < end && self.range.load(Ordering::Relaxed) {
            match data::copy_range(file.from, file.to, at, (end - at).min(RANGE)) {
                // The end; or a file system that answers so when it means that it cannot.
                Ok(0) => break,
                Ok(done) => {
                    at += done;
                    file.wrote(at)?;
                }
                Err(Errno::INTR) => {}
                Err(errno) => {
                    if matches!(errno, Errno::NOSYS | Errno::XDEV | Errno::OPNOTSUPP | Errno::INVAL | Errno::PERM) {
                        self.range.store(false, Ordering::Relaxed);
                    }
                    // Reading and writing tells which of the two files fails.
                    break;
                }
            }
        }
        if end - at >= direct::LEAST && self.direct.load(Ordering::Relaxed) {
            let came = direct::copy(file.from, file.to, at, end, |at| file.count(at))?;
            if !came.works {
                self.direct.store(false, Ordering::Relaxed);
            }
            (at, file.begun) = (came.to, came.to);
        }
        BUFFER.with_borrow_mut(|buffer| {
            while at < end {
                let length = usize::try_from(end - at).map_or(BLOCK, |left| left.min(BLOCK));
                let got = data::read_at(file.from, &mut block(buffer)[..length], at).map_err(Fail::source)?;
                data::write_at(file.to, &buffer[..got], at).map_err(Fail::target)?;
                at += got as u64;
                file.wrote(at)?;
                if got < length {
                    break;
                }
            }
            Ok(at)
        })
    }
}

impl File<'_> {
    /// It is copied up to here: counts that, and begins to bring it to the disk, if that is much.
    fn wrote(&mut self, at: u64) -> Result<(), Fail> {
        self.count(at);
        if at.saturating_sub(self.begun) >= BEHIND {
            data::start_writing(self.to, self.begun, at - self.begun).map_err(Fail::target)?;
            self.begun = at;
        }
        Ok(())
    }

    fn count(&mut self, at: u64) {
        count(self.bytes, at.saturating_sub(self.counted));
        self.counted = self.counted.max(at);
    }
}

/// Copies a small file at once, unless something in it may be a hole.
fn small(from: &OwnedFd, to: &OwnedFd, size: u64) -> Result<Option<Contents>, Fail> {
    BUFFER.with_borrow_mut(|buffer| {
        let length = usize::try_from(size).unwrap_or(BLOCK);
        let got = data::read_at(from, &mut block(buffer)[..length], 0).map_err(Fail::source)?;
        let bytes = &buffer[..got];
        if bytes.chunks(HOLE).any(|part| part.iter().all(|&byte| byte == 0)) {
            return Ok(None);
        }
        data::write_at(to, bytes, 0).map_err(Fail::target)?;
        Ok(Some(Contents { written: got as u64, shared: 0 }))
    })
}

fn block(buffer: &mut Vec<u8>) -> &mut [u8] {
    buffer.resize(BLOCK, 0);
    buffer
}
