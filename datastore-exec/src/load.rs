//! Reading the configuration: which files there are, who could have changed them, and their bytes. What they mean is
//! core's business.
//!
//! A file is believed only if nobody but root (or, for a caller that is not root, the caller itself) could have written it: the
//! file and every directory above it up to the root belong to root and cannot be written by group or others, as sudo(8)
//! demands of sudoers. The owner is checked on the very descriptor that is read.

use std::os::fd::{AsFd, OwnedFd};

use datastore_core::config::{CONFIGLETS, Content, GLOBALS, Input, MAX_FILE, Role, role_of};
use datastore_core::path::printable;
use datastore_core::planted::{self, Bug};
use datastore_core::value::AppName;
use datastore_core::{AbsPath, Error, ErrorKind, Result};
use rustix::fs::OFlags;

use crate::root::{Miss, Root};
use crate::sys::fd::{self, Entry};
use crate::sys::stat::{self, Facts, Kind};

const CLEAROS_GLOBALS: &str = "/etc/clearos/storage.conf";
const CLEAROS: &str = "/etc/clearos/storage.d";
/// More files than this in one directory are no configuration.
const MOST_FILES: usize = 50_000;

/// Reads every file of the configuration, or only what concerns one app.
///
/// A file that cannot be read is an input too, with the reason: core reports it and refuses what depends on it.
pub(crate) fn load(root: &Root, only: Option<&AppName>) -> Result<Vec<Input>> {
    let mut inputs = globals(root);
    for path in [CONFIGLETS, CLEAROS] {
        let Some(directory) = Directory::open(root, &AbsPath::literal(path)) else { continue };
        for name in directory.names(only)? {
            let Some((role, app)) = std::str::from_utf8(&name).ok().and_then(|n| role_of(path, n)) else { continue };
            inputs.extend(directory.read(&name, role, app));
        }
    }
    Ok(inputs)
}

/// Reads what concerns no app alone.
pub(crate) fn globals(root: &Root) -> Vec<Input> {
    let mut inputs = Vec::new();
    for (path, role) in [(GLOBALS, Role::Globals), (CLEAROS_GLOBALS, Role::ClearOsGlobals)] {
        let path = AbsPath::literal(path);
        let above = path.parent().unwrap_or_else(AbsPath::root);
        if let Some(directory) = Directory::open(root, &above) {
            inputs.extend(directory.read(path.file_name(), role, ""));
        }
    }
    inputs
}

/// What the files in the directories of configuration are called; none is opened. What cannot be read has no names.
pub(crate) fn names(root: &Root) -> Vec<(Role, String)> {
    let mut names = Vec::new();
    for path in [CONFIGLETS, CLEAROS] {
        let Some(directory) = Directory::open(root, &AbsPath::literal(path)) else { continue };
        for name in directory.names(None).unwrap_or_default() {
            let file = std::str::from_utf8(&name).ok().and_then(|n| role_of(path, n));
            names.extend(file.map(|(role, app)| (role, app.to_owned())));
        }
    }
    names
}

/// A directory of configuration, open, with what is wrong with it.
struct Directory {
    path: AbsPath,
    /// The directory, or why it cannot be read.
    opened: std::result::Result<OwnedFd, Unopened>,
    /// Why its files cannot be believed.
    doubt: Option<String>,
}

/// Why a directory cannot be read.
struct Unopened {
    why: String,
    /// Whether that is for want of privilege: then what it holds is hidden from this caller only.
    is_hidden: bool,
}

impl From<Miss> for Unopened {
    fn from(miss: Miss) -> Self {
        Self { why: miss.to_string(), is_hidden: matches!(miss, Miss::Denied(..)) }
    }
}

impl Directory {
    /// `None` if it is not there.
    fn open(root: &Root, path: &AbsPath) -> Option<Self> {
        let (opened, mut doubt) = match descend(root, path) {
            Ok((dir, doubt)) => (Ok(dir), doubt),
            // Once more from the root, to say which component it is.
            Err(error) => match root.open_file(path, OFlags::RDONLY | OFlags::DIRECTORY, 0) {
                Err(Miss::Absent(_)) => return None,
                Err(other) => (Err(other.into()), None),
                Ok(_) => (Err(error.into()), None),
            },
        };
        if planted::has(Bug::UncheckedParent) {
            doubt = None;
        }
        Some(Self { path: path.clone(), opened, doubt })
    }

    /// The names in it; for one app, just those that the app can have, without reading the directory.
    fn names(&self, only: Option<&AppName>) -> Result<Vec<Vec<u8>>> {
        if let Some(app) = only {
            let suffixes = ["", ".local", "_default", "-system"];
            return Ok(suffixes.iter().map(|s| format!("{app}{s}.conf").into_bytes()).collect());
        }
        let mut names = Vec::new();
        if let Err(Unopened { why, is_hidden: false }) = &self.opened {
            // What is in it is not known, and it must not be taken for nothing.
            let what = format!("{} cannot be read: {why}; nothing has been changed", self.path);
            return Err(Error::new(ErrorKind::System, what).hint("dmesg | tail"));
        }
        if let Ok(fd) = &self.opened {
            fd::each_name(fd, |name| {
                names.push(name.to_vec());
                names.len() <= MOST_FILES
            })?;
        }
        // Which of them the directory gives first is nobody's choice, so none may be left out.
        if names.len() > MOST_FILES {
            let what = format!("{} holds more than {MOST_FILES} files, which is no configuration", self.path);
            return Err(Error::new(ErrorKind::Refused, what).hint("remove what does not belong there"));
        }
        names.sort();
        Ok(names)
    }

    /// One file of it; `None` if it is not there.
    fn read(&self, name: &[u8], role: Role, app: &str) -> Option<Input> {
        let input = |content| Input {
            path: self.path.join(name).map_or_else(|_| printable(name), |p| p.to_string()),
            role,
            app: app.to_owned(),
            content,
        };
        let dir = match &self.opened {
            Ok(fd) => fd,
            Err(Unopened { why, .. }) => {
                return Some(input(Content::Unreadable(format!("{} cannot be read: {why}", self.path))));
            }
        };
        // Not blocking: a FIFO in the directory must not hold anybody up.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match fd::open(Entry::new(dir, name), flags, 0) {
            Ok(file) => file,
            Err(error) => match error.errno() {
                rustix::io::Errno::NOENT => return None,
                rustix::io::Errno::LOOP => {
                    return Some(input(Content::Unsafe(
                        "the file is a symbolic link; put the file itself here".into(),
                    )));
                }
                _ if error.is_privilege() => {
                    let why = "it may not be read without privilege; run the command as root";
                    return Some(input(Content::Unreadable(why.into())));
                }
                _ => return Some(input(Content::Unreadable(error.to_string()))),
            },
        };
        Some(input(self.content(&file)))
    }

    fn content(&self, file: &OwnedFd) -> Content {
        let facts = match stat::facts(Entry::itself(file)) {
            Ok(facts) => facts,
            Err(error) => return Content::Unreadable(error.to_string()),
        };
        if facts.kind != Kind::File {
            return Content::Unsafe("it is no regular file".into());
        }
        if let Some(why) = changeable(&facts, "the file").or_else(|| self.doubt.clone()) {
            return Content::Unsafe(why);
        }
        if facts.size > MAX_FILE {
            return Content::Unreadable(format!(
                "the file has {} bytes; configuration has at most {MAX_FILE}",
                facts.size
            ));
        }
        match fd::read_all(file.as_fd(), usize::try_from(MAX_FILE).unwrap_or(usize::MAX)) {
            Ok(bytes) => Content::Bytes(bytes),
            Err(error) => Content::Unreadable(error.to_string()),
        }
    }
}

/// Opens a directory for reading, and says who other than root could change it or one above it. Each is opened from the one before and
/// looked at on its own descriptor: so what was looked at is what the files come from, whoever renames what meanwhile.
fn descend(root: &Root, path: &AbsPath) -> std::result::Result<(OwnedFd, Option<String>), Miss> {
    let mut dir = root.open_dir(&AbsPath::root())?;
    let mut reached = AbsPath::root();
    let mut doubts = Vec::new();
    let count = path.depth();
    for (number, name) in path.components().enumerate() {
        doubts.push(changeable(&stat::facts(Entry::itself(&dir))?, &reached.to_string()));
        let access = if number + 1 == count { OFlags::RDONLY } else { OFlags::PATH };
        dir = fd::open(Entry::new(&dir, name), access | OFlags::DIRECTORY, 0)?;
        reached = reached.child(&printable(name));
    }
    doubts.push(changeable(&stat::facts(Entry::itself(&dir))?, &reached.to_string()));
    // The nearest one is told first: it is the one that a package has made.
    Ok((dir, doubts.into_iter().rev().flatten().next()))
}

/// Who other than root could change the way to a path, or the path itself, as far as it is there; `None` if nobody.
pub(crate) fn doubt(root: &Root, path: &AbsPath) -> Option<String> {
    let mut way: Vec<AbsPath> = std::iter::once(path.clone()).chain(path.ancestors()).collect();
    way.reverse();
    for at in way {
        let facts = match root.stat(&at) {
            Ok(facts) => facts,
            Err(Miss::Absent(_)) => return None,
            Err(miss) => return Some(miss.to_string()),
        };
        match facts.kind {
            Kind::Dir => {}
            Kind::Symlink => return Some(format!("{at} is a symbolic link")),
            Kind::File | Kind::Other => return Some(format!("{at} is no directory")),
        }
        if let Some(why) = changeable(&facts, &at.to_string()) {
            return Some(why);
        }
    }
    None
}

/// Who other than root could change it, as a sentence; `None` if nobody.
pub(crate) fn changeable(facts: &Facts, what: &str) -> Option<String> {
    let me = rustix::process::geteuid().as_raw();
    if facts.uid != 0 && facts.uid != me {
        return Some(format!("{what} belongs to user {}, not to root", facts.uid));
    }
    match facts.mode.bits() & 0o022 {
        0 => None,
        0o020 => Some(format!("{what} is writable by its group (mode {})", facts.mode)),
        _ => Some(format!("{what} is writable by others (mode {})", facts.mode)),
    }
}
