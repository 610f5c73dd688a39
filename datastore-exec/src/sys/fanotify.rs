//! What happens on a whole file system, as fanotify(7) tells it: which name in which directory was changed, and which inode.
//!
//! Since Linux 5.9 (`FAN_REPORT_DFID_NAME`). There is nothing to fall back on before: [`group`] answers EINVAL or ENOSYS, and the
//! caller scans.
//!
//! The kernel puts an event into the queue before the call that caused it returns, in the order of the changes; equal events that
//! wait there become one. These give no event at all: reading, a change of the time of the last access alone, and a change of the
//! inode flags (chattr(1)).

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

use super::error::{Call, FdName, SysError};
use super::handle::Handle;

/// Everything that changes an entry, its contents or its attributes.
///
/// `FAN_MODIFY` is there although most writers close their files: truncate(2), and utimensat(2) of the modification time alone,
/// tell nothing else. `FAN_CLOSE_WRITE` is there for those who write through a mapping, which `FAN_MODIFY` does not tell.
pub const CHANGES: u64 = libc::FAN_CREATE
    | libc::FAN_DELETE
    | libc::FAN_MOVED_FROM
    | libc::FAN_MOVED_TO
    | libc::FAN_CLOSE_WRITE
    | libc::FAN_MODIFY
    | libc::FAN_ATTRIB
    | libc::FAN_ONDIR;

/// The file system has found an error in itself (Linux 5.16; which file systems tell depends on the kernel: ext4 was the first).
pub const ERRORS: u64 = libc::FAN_FS_ERROR;

/// `FAN_EVENT_METADATA_LEN`: the size of `struct fanotify_event_metadata`, and what `FIONREAD` counts for each event.
const HEAD: usize = 24;

/// An open fanotify group.
#[derive(Debug)]
pub struct Group {
    fd: OwnedFd,
}

/// How many events may wait in the queue. More are lost, and an overflow is told in their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// As many as there is memory for.
    Unlimited,
    /// `fs.fanotify.max_queued_events`, 16384 as a rule.
    Limited,
}

/// Opens a group that reads without waiting. EPERM without CAP_SYS_ADMIN of the machine; EINVAL before Linux 5.9.
#[allow(unsafe_code, reason = "neither rustix nor nix hands out events with handles")]
pub fn group(queue: Queue) -> Result<Group, SysError> {
    let mut flags = libc::FAN_CLASS_NOTIF
        | libc::FAN_CLOEXEC
        | libc::FAN_NONBLOCK
        | libc::FAN_REPORT_FID
        | libc::FAN_REPORT_DFID_NAME
        | libc::FAN_UNLIMITED_MARKS;
    if queue == Queue::Unlimited {
        flags |= libc::FAN_UNLIMITED_QUEUE;
    }
    let event_flags = libc::O_RDONLY | libc::O_LARGEFILE | libc::O_CLOEXEC;
    // SAFETY: the call takes two numbers.
    let answer = super::raw(unsafe { libc::fanotify_init(flags, event_flags.cast_unsigned()) }.into());
    let number = answer.map_err(|errno| SysError::new(Call::FanotifyInit, errno))?;
    let number = i32::try_from(number).map_err(|_| SysError::new(Call::FanotifyInit, Errno::BADF))?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(Group { fd: unsafe { OwnedFd::from_raw_fd(number) } })
}

impl Group {
    /// Watches for `what` on the whole file system that `dir` is on, through whichever mount it is changed. EXDEV for a subvolume of btrfs,
    /// ENODEV or EOPNOTSUPP for a file system that cannot name its files by handles; EINVAL for events that this kernel does not know.
    #[allow(unsafe_code, reason = "neither rustix nor nix marks a file system by descriptor")]
    pub fn mark_filesystem(&self, dir: impl AsFd, what: u64) -> Result<(), SysError> {
        let flags = libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM;
        let (group, of) = (self.fd.as_raw_fd(), dir.as_fd().as_raw_fd());
        // SAFETY: the call takes numbers and a C string, which is constant.
        let answer = super::raw(unsafe { libc::fanotify_mark(group, flags, what, of, c".".as_ptr()) }.into());
        answer.map(drop).map_err(|errno| SysError::new(Call::FanotifyMark { dir: FdName::of(dir) }, errno))
    }

    /// Watches no file system any more. What waits in the queue can still be read.
    #[allow(unsafe_code, reason = "neither rustix nor nix forgets the marks of file systems")]
    pub fn forget_filesystems(&self) {
        let flags = libc::FAN_MARK_FLUSH | libc::FAN_MARK_FILESYSTEM;
        // SAFETY: the call takes numbers, and no path where all marks are meant. It cannot fail for a group that is open.
        let _ = super::raw(
            unsafe { libc::fanotify_mark(self.fd.as_raw_fd(), flags, 0, libc::AT_FDCWD, std::ptr::null()) }.into(),
        );
    }

    /// Reads everything that waits and throws it away.
    pub fn drain(&self) -> Result<(), SysError> {
        let mut buffer = [0; 4096];
        while self.read(&mut buffer)?.is_some() {}
        Ok(())
    }

    /// Reads events, as many as fit; `None` if none is waiting.
    pub fn read<'b>(&self, buffer: &'b mut [u8]) -> Result<Option<Events<'b>>, SysError> {
        loop {
            match rustix::io::read(&self.fd, &mut *buffer) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(None),
                Ok(length) => return Ok(Some(Events::of(&buffer[..length]))),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(SysError::new(Call::Read { fd: FdName::of(&self.fd) }, errno)),
            }
        }
    }

    /// How many events are waiting in the queue.
    pub fn waiting(&self) -> Result<u64, SysError> {
        let bytes = rustix::io::ioctl_fionread(&self.fd)
            .map_err(|errno| SysError::new(Call::Read { fd: FdName::of(&self.fd) }, errno))?;
        Ok(bytes / HEAD as u64)
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// One event, or several equal ones that became one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    mask: u64,
    /// The directory and the name in it; `.` for the directory itself. None if the kernel knew none, as for a file that was opened
    /// by its handle, and for the inode that lost or won a name.
    pub name: Option<(Handle, &'a [u8])>,
    /// The inode whose contents or attributes were changed. None where only a name came, went or moved.
    pub inode: Option<Handle>,
}

impl Event<'_> {
    /// Events before this one were lost.
    #[must_use]
    pub fn is_overflow(&self) -> bool {
        self.mask & libc::FAN_Q_OVERFLOW != 0
    }
    /// A directory was moved, from here or to here.
    #[must_use]
    pub fn moves_directory(&self) -> bool {
        self.mask & libc::FAN_ONDIR != 0 && self.mask & (libc::FAN_MOVED_FROM | libc::FAN_MOVED_TO) != 0
    }
    /// A directory came to have this name: it was made, or moved here with all that is in it.
    #[must_use]
    pub fn brings_directory(&self) -> bool {
        self.mask & libc::FAN_ONDIR != 0 && self.mask & (libc::FAN_CREATE | libc::FAN_MOVED_TO) != 0
    }
    /// It is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.mask & libc::FAN_ONDIR != 0
    }
}

/// What was read is not what fanotify(7) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garbled;

/// The events of one read, in order.
#[derive(Debug)]
pub struct Events<'a> {
    rest: &'a [u8],
}

impl<'a> Events<'a> {
    /// The events in what was read.
    #[must_use]
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<Event<'a>, Garbled>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let event = take_event(&mut self.rest).ok_or(Garbled);
        if event.is_err() {
            self.rest = &[];
        }
        Some(event)
    }
}

/// `struct fanotify_event_metadata` and the records behind it (linux/fanotify.h).
fn take_event<'a>(bytes: &mut &'a [u8]) -> Option<Event<'a>> {
    let length = usize::try_from(u32::from_ne_bytes(array(bytes, 0)?)).ok()?;
    let (version, head) = (*bytes.get(4)?, usize::from(u16::from_ne_bytes(array(bytes, 6)?)));
    if version != libc::FANOTIFY_METADATA_VERSION || head < HEAD || length < head || length > bytes.len() {
        return None;
    }
    let (event, rest) = bytes.split_at(length);
    *bytes = rest;
    let mask = u64::from_ne_bytes(array(event, 8)?);
    let mut found = Event { mask, name: None, inode: None };
    let mut records = &event[head..];
    while !records.is_empty() {
        // `struct fanotify_event_info_header`: the type, a byte of padding, and the length of the record.
        let (kind, length) = (*records.first()?, usize::from(u16::from_ne_bytes(array(records, 2)?)));
        if length < 4 || length > records.len() {
            return None;
        }
        let (record, rest) = records.split_at(length);
        records = rest;
        match kind {
            libc::FAN_EVENT_INFO_TYPE_FID => found.inode = Some(handle(record)?.0),
            libc::FAN_EVENT_INFO_TYPE_DFID_NAME => {
                let (dir, name) = handle(record)?;
                let end = name.iter().position(|&b| b == 0)?;
                let name = &name[..end];
                if name.is_empty() || name == b".." || name.contains(&b'/') {
                    return None;
                }
                found.name = Some((dir, name));
            }
            // A directory without a name: the directory itself.
            libc::FAN_EVENT_INFO_TYPE_DFID => found.name = Some((handle(record)?.0, b".")),
            // What a later kernel adds without being asked says nothing about names.
            _ => {}
        }
    }
    Some(found)
}

/// `struct file_handle` of a record, and what follows it. Before it stand the header and the file system's number, which is the same
/// in all events of a group that watches one.
fn handle(record: &[u8]) -> Option<(Handle, &[u8])> {
    const AT: usize = 4 + 8;
    let length = usize::try_from(u32::from_ne_bytes(array(record, AT)?)).ok()?;
    let kind = i32::from_ne_bytes(array(record, AT + 4)?);
    let bytes = record.get(AT + 8..)?.get(..length)?;
    Some((Handle::new(kind, bytes)?, &record[AT + 8 + length..]))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.get(..N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sys::handle;

    /// An event as the kernel writes it.
    fn event(mask: u64, records: &[(u8, &[u8], &[u8])]) -> Vec<u8> {
        let mut tail = Vec::new();
        for (kind, handle, name) in records {
            let length = (4 + 8 + 8 + handle.len() + name.len()).next_multiple_of(4);
            let mut record = vec![*kind, 0];
            record.extend(u16::try_from(length).unwrap().to_ne_bytes());
            record.extend([9; 8]);
            record.extend(u32::try_from(handle.len()).unwrap().to_ne_bytes());
            record.extend(1_i32.to_ne_bytes());
            record.extend(*handle);
            record.extend(*name);
            record.resize(length, 0);
            tail.extend(record);
        }
        let mut bytes = u32::try_from(HEAD + tail.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend([3, 0, 24, 0]);
        bytes.extend(mask.to_ne_bytes());
        bytes.extend((-1_i32).to_ne_bytes());
        bytes.extend(7_i32.to_ne_bytes());
        bytes.extend(tail);
        bytes
    }

    fn parse(bytes: &[u8]) -> Vec<Result<Event<'_>, Garbled>> {
        Events::of(bytes).collect()
    }

    #[test]
    fn events_are_read_as_they_are_written() {
        let (dir, file) = (Handle::new(1, &[1; 8]).unwrap(), Handle::new(1, &[2; 12]).unwrap());
        let mut bytes = event(libc::FAN_MODIFY, &[(2, &[1; 8], b"a\n\xff\0"), (1, &[2; 12], b"")]);
        bytes.extend(event(libc::FAN_MOVED_TO | libc::FAN_ONDIR, &[(2, &[1; 8], b"sub\0")]));
        bytes.extend(event(libc::FAN_ATTRIB | libc::FAN_ONDIR, &[(3, &[1; 8], b"")]));
        bytes.extend(event(libc::FAN_Q_OVERFLOW, &[]));
        let events: Vec<_> = parse(&bytes).into_iter().map(Result::unwrap).collect();
        assert_eq!(events[0].name, Some((dir.clone(), b"a\n\xff".as_slice())));
        assert_eq!(events[0].inode, Some(file));
        assert!(events[1].moves_directory() && events[1].brings_directory() && events[1].inode.is_none());
        assert_eq!(events[2].name, Some((dir, b".".as_slice())));
        assert!(events[3].is_overflow() && events.len() == 4);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [b"..\0".as_slice(), b"a/b\0", b"\0"] {
            let bytes = event(libc::FAN_CREATE, &[(2, &[1; 8], name)]);
            assert_eq!(parse(&bytes), [Err(Garbled)]);
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let events = parse(&bytes);
            prop_assert!(events.len() <= bytes.len() / HEAD + 1);
        }

        #[test]
        fn whatever_is_written_is_read(
            all in prop::collection::vec(
                (
                    any::<u64>(),
                    prop::collection::vec(any::<u8>(), 0..=handle::LONGEST),
                    prop::collection::vec((1_u8..).prop_filter("no slash", |&b| b != b'/'), 1..=255),
                    prop::option::of(prop::collection::vec(any::<u8>(), 0..=handle::LONGEST)),
                ),
                0..5,
            ),
            cut in 1..HEAD,
        ) {
            let names = all.iter().map(|(_, _, name, _)| if name == b".." { b"...".to_vec() } else { name.clone() });
            let names: Vec<Vec<u8>> = names.collect();
            let mut bytes = Vec::new();
            for ((mask, dir, _, inode), name) in all.iter().zip(&names) {
                let ended = [name, b"\0".as_slice()].concat();
                let mut records = vec![(2, dir.as_slice(), ended.as_slice())];
                records.extend(inode.iter().map(|inode| (1, inode.as_slice(), b"".as_slice())));
                bytes.extend(event(*mask, &records));
            }
            let of = |bytes: &[u8]| Handle::new(1, bytes).unwrap();
            let events = parse(&bytes);
            prop_assert_eq!(events.len(), all.len());
            for (((mask, dir, _, inode), name), event) in all.iter().zip(&names).zip(&events) {
                let (name, inode) = (Some((of(dir), name.as_slice())), inode.as_deref().map(of));
                prop_assert_eq!(event, &Ok(Event { mask: *mask, name, inode }));
            }
            // Of one that is cut off nothing is believed, and of those before it everything.
            if !bytes.is_empty() {
                let cut = parse(&bytes[..bytes.len() - cut]);
                prop_assert_eq!(cut.last(), Some(&Err(Garbled)));
                prop_assert_eq!(&cut[..cut.len() - 1], &events[..events.len() - 1]);
            }
        }

        #[test]
        fn a_damaged_event_never_panics(
            at in 0_usize..60, value: u8, cut in 0_usize..60, name in prop::collection::vec(1_u8.., 1..20),
        ) {
            let mut name = name;
            name.push(0);
            let mut bytes = event(libc::FAN_MODIFY, &[(2, &[1; 8], &name), (1, &[2; 8], b"")]);
            let at = at % bytes.len();
            bytes[at] = value;
            for event in parse(&bytes).into_iter().chain(parse(&bytes[..cut.min(bytes.len())])).flatten() {
                if let Some((_, name)) = event.name {
                    prop_assert!(!name.is_empty() && !name.contains(&b'/') && name != b"..");
                }
            }
        }
    }
}
