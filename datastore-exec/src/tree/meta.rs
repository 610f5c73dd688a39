//! The attributes of one entry: read whole, set in the order that keeps them all, compared.

use std::cell::RefCell;
use std::ffi::{CStr, CString};

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::sys::attr::{self, Attr, EXTRA_SETTINGS, Extra, LOCKS, SETTINGS};
use crate::sys::{Entry, SysError, fd, name, xattrs};

/// The identity of a store directory (`sys/xattr.rs`): the copy gets its own.
const IDENTITY: [&[u8]; 2] = [b"trusted.datastore.id", b"user.datastore.id"];
/// `posix_acl(5)` as the kernel hands it out.
const ACLS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];

/// The same ACLs as xfs shows them once more, in a form of its own.
const SHADOWS: [&[u8]; 2] = [b"trusted.SGI_ACL_FILE", b"trusted.SGI_ACL_DEFAULT"];

/// Whether an attribute is a property of the data. What the file system makes up by itself (the rest of `system.*`) is not,
/// nor is our mark on the top directory.
#[must_use]
pub fn is_kept(attribute: &[u8], top: bool) -> bool {
    if attribute.starts_with(b"system.") {
        return ACLS.contains(&attribute);
    }
    !(SHADOWS.contains(&attribute) || top && IDENTITY.contains(&attribute))
}

/// Everything that an entry carries beside its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// What statx says.
    pub attr: Attr,
    /// Extended attributes and ACLs, sorted by name.
    pub xattrs: Vec<(CString, Vec<u8>)>,
    /// Inode flags, of [`SETTINGS`] only. Links and special files show none.
    pub flags: u32,
    /// Project and hints for allocation, where there are any.
    pub extra: Option<Extra>,
}

/// What is known of an entry that is about to get its attributes.
#[derive(Debug, Clone, Copy)]
pub enum Now {
    /// It was made a moment ago, has this owner, group and these permission bits, and carries nothing else.
    New {
        /// Owner and group, where they are known.
        owner: Option<(u32, u32)>,
        /// Permission bits, where they are known.
        bits: Option<u32>,
    },
    /// Anything: it is looked at, and what the original lacks is taken away.
    Old,
}

/// What a target holds of the settings, and which entry of the tree this is.
#[derive(Debug, Clone, Copy)]
pub struct Fit {
    /// The inode flags that the target takes.
    pub flags: u32,
    /// Whether it takes a project and hints for allocation.
    pub extra: bool,
    /// Whether this is the top of the tree, whose identity stays its own.
    pub top: bool,
    /// Whether the locks (immutable, append-only) are set by somebody else later.
    pub unlocked: bool,
}

thread_local! {
    static NAMES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Meta {
    /// Reads what an entry carries. A file or a directory is given open (not with `O_PATH`), anything else by its name.
    /// `attr` was read before the contents are: so a change in between shows later.
    pub fn read(entry: Entry<'_>, attr: Attr, top: bool) -> Result<Self, SysError> {
        Self::read_for(entry, attr, top, true)
    }

    /// The same for a target that may not take a project and hints for allocation (`extra`): they are not asked for then.
    pub fn read_for(entry: Entry<'_>, attr: Attr, top: bool, extra: bool) -> Result<Self, SysError> {
        let xattrs = NAMES.with_borrow_mut(|names| read_xattrs(entry, top, names))?;
        let mut meta = Self { attr, xattrs, flags: 0, extra: None };
        let kind = attr.kind();
        if entry.name().is_empty() && (kind.is_file() || kind.is_dir()) {
            meta.flags = attr::flags(entry.dir())?.unwrap_or(0) & SETTINGS;
            if extra {
                meta.extra = attr::extra(entry.dir())?.filter(|x| x.project != 0 || x.flags & EXTRA_SETTINGS != 0);
            }
        }
        Ok(meta)
    }

    /// What must be set while a file is empty: whether its contents are copied on write or compressed, and the length of its
    /// extents. `plain` says that the file has no settings yet.
    pub fn set_early(&self, file: impl std::os::fd::AsFd, fit: Fit, plain: bool) -> Result<(), SysError> {
        const EARLY: u32 = attr::NOCOW | 0x4 | 0x400;
        let wanted = self.flags & fit.flags & EARLY;
        if (wanted != 0 || !plain)
            && let Some(old) = attr::flags(&file)?
            && old & EARLY != wanted
        {
            attr::set_flags(&file, old & !EARLY | wanted)?;
        }
        if fit.extra
            && let Some(extra) = &self.extra
        {
            set_extra(&file, extra)?;
        }
        Ok(())
    }

    /// Gives an entry these attributes, in this order: owner, mode (a new owner takes bits away), extended attributes and
    /// ACLs (a new owner takes capabilities away), times, and flags, with which nothing else could be changed.
    pub fn set(&self, entry: Entry<'_>, now: Now, fit: Fit) -> Result<(), SysError> {
        let (old, owner, bits) = match now {
            Now::New { owner, bits } => (None, owner, bits),
            Now::Old => {
                let old = Self::read(entry, attr::attr(entry)?, fit.top)?;
                unlock(entry, old.flags)?;
                let owner = (old.attr.uid, old.attr.gid);
                let bits = old.attr.bits();
                (Some(old), Some(owner), Some(bits))
            }
        };
        let (wanted, kind) = (&self.attr, self.attr.kind());
        let owned = owner == Some((wanted.uid, wanted.gid));
        if !owned {
            attr::set_owner(entry, wanted.uid, wanted.gid)?;
        }
        let kept = bits == Some(wanted.bits()) && (owned || wanted.bits() & 0o7000 == 0);
        if !kept && !kind.is_symlink() {
            if entry.name().is_empty() {
                fd::set_mode(entry.dir(), wanted.bits())?;
            } else {
                name::set_mode(entry, wanted.bits())?;
            }
        }
        let had = old.as_ref().map_or(&[][..], |old| &old.xattrs);
        for (attribute, _) in had.iter().filter(|(name, _)| !self.xattrs.iter().any(|(n, _)| n == name)) {
            xattrs::remove(entry, attribute)?;
        }
        for (attribute, value) in self.xattrs.iter().filter(|pair| !had.contains(pair)) {
            match xattrs::set(entry, attribute, value) {
                // A property of one file system, such as `btrfs.compression`, which other ones have in no form.
                Err(error) if error.errno() == Errno::OPNOTSUPP && attribute.to_bytes().starts_with(b"btrfs.") => {}
                other => other?,
            }
        }
        attr::set_times(entry, wanted.atime, wanted.mtime)?;
        if entry.name().is_empty() && (kind.is_file() || kind.is_dir()) {
            self.set_settings(entry, old.as_ref(), fit)?;
        }
        Ok(())
    }

    fn set_settings(&self, entry: Entry<'_>, old: Option<&Self>, fit: Fit) -> Result<(), SysError> {
        let mut wanted = self.flags & fit.flags;
        if fit.unlocked {
            wanted &= !LOCKS;
        }
        if fit.extra && (self.extra.is_some() || old.is_some_and(|old| old.extra.is_some())) {
            set_extra(entry.dir(), &self.extra.unwrap_or_default())?;
        }
        let had = old.map_or(0, |old| old.flags & !LOCKS);
        if wanted == had && self.extra.is_none() {
            return Ok(());
        }
        let Some(all) = attr::flags(entry.dir())? else { return Ok(()) };
        let new = all & !(SETTINGS & fit.flags) | wanted;
        if new != all {
            attr::set_flags(entry.dir(), new)?;
        }
        Ok(())
    }

    /// In what another entry differs, as words for a message; nothing if they are alike. Flags that the target does not hold
    /// are not counted, nor is the length of a directory.
    #[must_use]
    pub fn differences(&self, other: &Self, fit: Fit) -> Vec<&'static str> {
        let (a, b) = (&self.attr, &other.attr);
        let kind = a.kind();
        let device = matches!(kind, FileType::BlockDevice | FileType::CharacterDevice);
        let common = |meta: &Self| -> Vec<(CString, Vec<u8>)> {
            meta.xattrs.iter().filter(|(name, _)| !name.to_bytes().starts_with(b"btrfs.")).cloned().collect()
        };
        let extra = |meta: &Self| meta.extra.map(|x| (x.project, x.flags & EXTRA_SETTINGS));
        let checks = [
            ("type", kind != b.kind()),
            ("mode", a.bits() != b.bits() && !kind.is_symlink()),
            ("owner", a.uid != b.uid),
            ("group", a.gid != b.gid),
            ("length", a.size != b.size && !kind.is_dir()),
            ("device", device && a.rdev != b.rdev),
            ("time of change", a.mtime != b.mtime),
            ("time of reading", a.atime != b.atime),
            ("extended attributes", common(self) != common(other)),
            ("inode flags", (self.flags ^ other.flags) & fit.flags != 0),
            ("project", fit.extra && extra(self) != extra(other)),
        ];
        checks.into_iter().filter(|(_, differs)| *differs).map(|(word, _)| word).collect()
    }
}

/// Takes the locks off an open file or directory, so that it can be changed or removed.
pub fn unlock(entry: Entry<'_>, flags: u32) -> Result<(), SysError> {
    if flags & LOCKS == 0 || !entry.name().is_empty() {
        return Ok(());
    }
    match attr::flags(entry.dir())? {
        Some(all) if all & LOCKS != 0 => attr::set_flags(entry.dir(), all & !LOCKS),
        _ => Ok(()),
    }
}

/// The project is set for certain; the hints as far as the file system takes them.
fn set_extra(file: impl std::os::fd::AsFd, wanted: &Extra) -> Result<(), SysError> {
    let Some(mut now) = attr::extra(&file)? else { return Ok(()) };
    let hints = Extra {
        flags: now.flags & !EXTRA_SETTINGS | wanted.flags & EXTRA_SETTINGS,
        extent_size: wanted.extent_size,
        cow_extent_size: wanted.cow_extent_size,
        project: wanted.project,
        ..now
    };
    if hints == now {
        return Ok(());
    }
    match attr::set_extra(&file, hints) {
        Err(error) if matches!(error.errno(), Errno::INVAL | Errno::OPNOTSUPP) && now.project == wanted.project => {
            Ok(())
        }
        Err(error) if matches!(error.errno(), Errno::INVAL | Errno::OPNOTSUPP) => {
            now.project = wanted.project;
            attr::set_extra(&file, now)
        }
        other => other,
    }
}

fn read_xattrs(entry: Entry<'_>, top: bool, names: &mut Vec<u8>) -> Result<Vec<(CString, Vec<u8>)>, SysError> {
    xattrs::list(entry, names)?;
    let mut found = Vec::new();
    for attribute in names.split_inclusive(|&b| b == 0) {
        let Ok(attribute) = CStr::from_bytes_with_nul(attribute) else { continue };
        if is_kept(attribute.to_bytes(), top)
            && let Some(value) = xattrs::get(entry, attribute)?
        {
            found.push((attribute.to_owned(), value));
        }
    }
    found.sort();
    Ok(found)
}
