//! Long stretches of data, written past the page cache (`O_DIRECT`, open(2)).
//!
//! What goes through the cache is copied into it page by page, and copied again or at least looked for when it is written out; and it
//! drives out what programs have there. The room is asked for first: otherwise each write takes what is free just then, and where
//! several files grow at once none of them lies in one piece.

use std::cell::RefCell;
use std::os::fd::OwnedFd;

use rustix::fs::{Advice, OFlags};
use rustix::io::Errno;

use super::error::Fail;
use crate::sys::data;

/// Shorter stretches are not worth the calls.
pub(super) const LEAST: u64 = 1 << 20;
/// How much is read and written at once. Every thread that has come to a long file keeps one such buffer.
const BLOCK: usize = 1 << 20;
/// Offset, length and memory are multiples of this: the largest logical block of disks, and the page of most machines.
const ALIGN: usize = 4096;
/// ext4 (and its older brothers) and xfs, as statfs(2) names them.
const KNOWN: [u64; 2] = [0xEF53, 0x5846_5342];

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Whether it pays on this file system. On btrfs it takes compression away; over a network it waits for every block.
pub(super) fn pays(to: &OwnedFd) -> bool {
    rustix::fs::fstatfs(to).is_ok_and(|fs| u64::try_from(fs.f_type).is_ok_and(|kind| KNOWN.contains(&kind)))
}

/// Where a copy came to, and whether the target can be written to in this way.
pub(super) struct Came {
    pub(super) to: u64,
    pub(super) works: bool,
}

/// Copies what it can between two offsets where the source has no hole, and says where it came to: what is left is a bit at the end,
/// or everything after the place where the source was cut. `each` is told how far it is.
pub(super) fn copy(from: &OwnedFd, to: &OwnedFd, at: u64, end: u64, mut each: impl FnMut(u64)) -> Result<Came, Fail> {
    let end = end - end % ALIGN as u64;
    let refused = Ok(Came { to: at, works: false });
    if !at.is_multiple_of(ALIGN as u64) || at >= end {
        return Ok(Came { to: at, works: true });
    }
    match data::reserve(to, at, end - at) {
        Ok(true) => {}
        Ok(false) => return refused,
        Err(error) => {
            // It may have taken the last block, and whoever makes room needs some.
            let _ = data::set_length(to, at);
            return Err(Fail::target(error));
        }
    }
    let Some(_direct) = Direct::on(to) else { return refused };
    BUFFER.with_borrow_mut(|buffer| {
        let block = aligned(buffer);
        let mut at = at;
        while at < end {
            let length = usize::try_from(end - at).map_or(BLOCK, |left| left.min(BLOCK));
            let got = data::read_at(from, &mut block[..length], at).map_err(Fail::source)?;
            if got < length {
                break;
            }
            // The disk of the source works while this waits for that of the target.
            let next = std::num::NonZeroU64::new((end - at - length as u64).min(BLOCK as u64));
            if let Some(next) = next {
                let _ = rustix::fs::fadvise(from, at + length as u64, Some(next), Advice::WillNeed);
            }
            match data::write_at(to, &block[..length], at) {
                // This disk wants another alignment.
                Err(error) if error.errno() == Errno::INVAL => return Ok(Came { to: at, works: false }),
                other => other.map_err(Fail::target)?,
            }
            at += length as u64;
            each(at);
        }
        Ok(Came { to: at, works: true })
    })
}

/// A file that is written past the cache until this goes.
struct Direct<'a> {
    file: &'a OwnedFd,
    before: OFlags,
}

impl<'a> Direct<'a> {
    fn on(file: &'a OwnedFd) -> Option<Self> {
        let before = rustix::fs::fcntl_getfl(file).ok()?;
        rustix::fs::fcntl_setfl(file, before | OFlags::DIRECT).ok()?;
        Some(Self { file, before })
    }
}

impl Drop for Direct<'_> {
    fn drop(&mut self) {
        // It was just set; the kernel has no reason to refuse the way back.
        let _ = rustix::fs::fcntl_setfl(self.file, self.before);
    }
}

/// A block of memory that begins at a multiple of [`ALIGN`].
fn aligned(buffer: &mut Vec<u8>) -> &mut [u8] {
    buffer.resize(BLOCK + ALIGN, 0);
    let skip = buffer.as_ptr().align_offset(ALIGN).min(ALIGN);
    &mut buffer[skip..skip + BLOCK]
}
