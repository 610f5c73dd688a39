//! The files of one file system in the memory of a process (proc(5), `/proc/PID/maps`).
//!
//! Since Linux 6.11 the kernel can be asked for the next file (`PROCMAP_QUERY`); before, and for threads, the text is read, of which
//! most is about other things.

use std::collections::HashSet;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::fd;

/// The most that is read of a text: one of 65530 mappings (`vm.max_map_count`) with long paths.
const LIMIT: usize = 1 << 28;

/// `PROCMAP_QUERY`, and its flags (linux/fs.h).
const QUERY: libc::Ioctl = 0xC068_6611_u32 as libc::Ioctl;
const WRITABLE: u64 = 0x2;
const SHARED: u64 = 0x8;
const THIS_OR_NEXT: u64 = 0x10;
const OF_A_FILE: u64 = 0x20;

/// A file in the memory of a process.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// As `map_files` spells it.
    pub range: String,
    /// The inode's number.
    pub inode: u64,
    /// As the kernel shows it; empty if it is longer than any path may be.
    pub path: Vec<u8>,
    /// Whether what is written to it gets to the file: it is shared.
    pub writable: bool,
}

/// What a process has mapped of the file system with these numbers, of several mappings of one file one that is writable and one that is
/// not; `None` if it has no memory: a kernel thread, or one that has ended. `process` is what stands between `/proc/` and `/maps`.
pub fn of_device(process: &str, device: (u32, u32)) -> Result<Option<Vec<Mapping>>, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let maps = match rustix::fs::open(format!("/proc/{process}/maps"), flags, Mode::empty()) {
        Err(Errno::SRCH) => return Ok(None),
        other => other?,
    };
    match queried(&maps, device) {
        Err(Errno::NOTTY | Errno::NOSYS | Errno::INVAL) => {
            let text = fd::read_all(maps, LIMIT).map_err(|error| error.errno())?;
            Ok((!text.is_empty()).then(|| listed(&text, device)))
        }
        other => other,
    }
}

/// `struct procmap_query`.
#[repr(C)]
#[derive(Default)]
struct Query {
    size: u64,
    flags: u64,
    address: u64,
    start: u64,
    end: u64,
    rights: u64,
    page_size: u64,
    offset: u64,
    inode: u64,
    major: u32,
    minor: u32,
    name_size: u32,
    build_id_size: u32,
    name: u64,
    build_id: u64,
}

fn queried(maps: &OwnedFd, device: (u32, u32)) -> Result<Option<Vec<Mapping>>, Errno> {
    let (mut seen, mut read, mut found) = (HashSet::new(), HashSet::new(), Vec::new());
    let mut address = 0;
    loop {
        let next = match ask(maps, address, &mut []) {
            Ok(next) => next,
            // There is none behind this address.
            Err(Errno::NOENT) => return Ok(Some(found)),
            Err(Errno::SRCH) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        address = next.end;
        let writable = next.rights & (WRITABLE | SHARED) == WRITABLE | SHARED;
        // A library has several pieces, and the path is the dear part of an answer. Of what cannot be written to one piece will do.
        if (next.major, next.minor) != device || !writable && !read.insert(next.inode) {
            continue;
        }
        let mut name = [0; libc::PATH_MAX as usize];
        let path = match ask(maps, next.start, &mut name) {
            Ok(again) if (again.start, again.inode) == (next.start, next.inode) => {
                name.split(|&b| b == 0).next().unwrap_or_default().to_vec()
            }
            Ok(_) | Err(Errno::NAMETOOLONG | Errno::NOENT) => Vec::new(),
            Err(errno) => return Err(errno),
        };
        // What is written to may be mapped by several names, of which one is in a tree and one is not.
        if seen.insert((next.inode, path.clone(), writable)) {
            let range = format!("{:x}-{:x}", next.start, next.end);
            found.push(Mapping { range, inode: next.inode, path, writable });
        }
    }
}

/// The file at an address or the next one behind it.
#[allow(unsafe_code, reason = "neither rustix nor nix has PROCMAP_QUERY")]
fn ask(maps: &OwnedFd, address: u64, name: &mut [u8]) -> Result<Query, Errno> {
    let mut query = Query {
        size: size_of::<Query>() as u64,
        flags: THIS_OR_NEXT | OF_A_FILE,
        address,
        name_size: u32::try_from(name.len()).unwrap_or(0),
        name: if name.is_empty() { 0 } else { name.as_mut_ptr() as u64 },
        ..Query::default()
    };
    // SAFETY: `query` has the length that it says it has, the kernel writes no more than `name_size` bytes to `name`, and both outlive
    // the call.
    super::raw(unsafe { libc::ioctl(maps.as_raw_fd(), QUERY, &raw mut query) }.into())?;
    Ok(query)
}

/// Reads the text: `START-END PERMS OFFSET DEV INODE      PATH`.
pub(crate) fn listed(text: &[u8], device: (u32, u32)) -> Vec<Mapping> {
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    for line in text.split(|&b| b == b'\n') {
        let mut words = line.splitn(6, |&b| b == b' ').map(|word| std::str::from_utf8(word).map_err(|_| word));
        let (Some(Ok(range)), Some(Ok(rights))) = (words.next(), words.next()) else { continue };
        let (Some(Ok(numbers)), Some(Ok(inode))) = (words.nth(1), words.next()) else { continue };
        let path = words.next().map_or(b"".as_slice(), |path| path.map_or_else(|bytes| bytes, str::as_bytes));
        let path = path.trim_ascii_start();
        let number = |text: &str| u32::from_str_radix(text, 16).ok();
        let of = numbers.split_once(':').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
        let (Some((start, end)), Ok(inode)) = (range.split_once('-'), inode.parse()) else { continue };
        if of != Some(device) || inode == 0 || !path.starts_with(b"/") {
            continue;
        }
        let writable = rights.as_bytes().get(1) == Some(&b'w') && rights.as_bytes().get(3) == Some(&b's');
        if seen.insert((inode, path.to_vec(), writable)) {
            // `maps` fills short addresses with zeros, `map_files` does not.
            let plain = |address: &str| address.trim_start_matches('0').to_owned();
            let range = format!("{}-{}", plain(start), plain(end));
            found.push(Mapping { range, inode, path: path.to_vec(), writable });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::testing::{Sandbox, without};

    #[test]
    fn a_mapped_file_is_found_with_and_without_the_query() {
        Sandbox::run(|sandbox| {
            let path = sandbox.file("a b", &"x".repeat(9000));
            let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
            let dev = file.metadata().unwrap().dev();
            let device = (rustix::fs::major(dev), rustix::fs::minor(dev));
            let own = "self";
            assert_eq!(of_device(own, device).unwrap(), Some(Vec::new()));
            #[allow(unsafe_code, reason = "a mapping for the test")]
            let map = |rights, kind| {
                // SAFETY: the kernel chooses where, and nothing is read or written there.
                let address = unsafe { libc::mmap(std::ptr::null_mut(), 9000, rights, kind, file.as_raw_fd(), 0) };
                assert_ne!(address, libc::MAP_FAILED);
                address as usize
            };
            let read = libc::PROT_READ;
            map(read, libc::MAP_PRIVATE);
            let writable_one = map(read | libc::PROT_WRITE, libc::MAP_SHARED);
            map(read, libc::MAP_SHARED);
            for calls in [&[][..], &[libc::SYS_ioctl]] {
                let found = without(calls, || of_device(own, device)).unwrap().unwrap();
                assert_eq!(found.len(), 2, "{found:?}");
                assert!(found.iter().all(|m| m.path == path.as_os_str().as_encoded_bytes()), "{found:?}");
                assert!(found.iter().all(|m| m.inode == file.metadata().unwrap().ino()), "{found:?}");
                let writable: Vec<&Mapping> = found.iter().filter(|m| m.writable).collect();
                assert_eq!(writable.len(), 1, "{found:?}");
                assert!(writable[0].range.starts_with(&format!("{writable_one:x}-")), "{found:?}");
            }
        });
    }

    #[test]
    fn what_has_ended_has_no_memory() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id().to_string();
        let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        while !state().contains(") Z ") {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        for calls in [&[][..], &[libc::SYS_ioctl]] {
            assert_eq!(without(calls, || of_device(&pid, (8, 1))), Ok(None));
        }
        child.wait().unwrap();
        assert_eq!(of_device(&pid, (8, 1)), Err(Errno::NOENT));
    }

    #[test]
    fn texts_of_the_kernel() {
        let text = b"00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/a b\n\
            7f00-7f10 rw-s 00000000 fd:0a 12 /d/x\n7f10-7f20 r--s 00010000 fd:0a 12 /d/x\n7f20-7f30 rw-s 00020000 fd:0a 12 /d/x\n\
            7f30-7f40 rw-p 00000000 00:00 0   [heap]\n7f40-7f50 r--p 00000000 fd:0a 13 /d/\xff\nbad\n";
        let found: Vec<_> = listed(text, (0xfd, 10)).into_iter().map(|m| (m.range, m.path, m.writable)).collect();
        let wanted =
            [("7f00-7f10", b"/d/x".as_slice(), true), ("7f10-7f20", b"/d/x", false), ("7f40-7f50", b"/d/\xff", false)];
        assert_eq!(found, wanted.map(|(range, path, writable)| (range.to_owned(), path.to_vec(), writable)));
        assert_eq!(listed(text, (8, 2))[0].range, "400000-452000");
    }
}
