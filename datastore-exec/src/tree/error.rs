//! Why a walk over a tree ended: on which path, and by whose fault.

use std::fmt;

use datastore_core::{Error, ErrorKind};
use rustix::io::Errno;

use crate::sys::SysError;

/// By whose fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The source cannot be read.
    Source,
    /// The target has no room left: bytes, inodes or quota.
    Full,
    /// The target cannot hold this: a name, an attribute, an owner, a length.
    Unfit,
    /// The target fails in another way.
    Target,
    /// It cannot be removed.
    Remains,
    /// It cannot be given to somebody else.
    Owner,
    /// Somebody asked to stop.
    Stopped,
}

/// What failed on one entry, before its path is known.
#[derive(Debug, Clone)]
pub struct Fail {
    /// By whose fault.
    pub fault: Fault,
    /// The call that failed.
    pub error: SysError,
}

impl Fail {
    /// A call on the source.
    #[must_use]
    pub fn source(error: SysError) -> Self {
        Self { fault: Fault::Source, error }
    }
    /// A call on the target. Its number says whether it is full, cannot hold this, or fails.
    #[must_use]
    pub fn target(error: SysError) -> Self {
        let fault = match error.errno() {
            Errno::NOSPC | Errno::DQUOT => Fault::Full,
            Errno::PERM
            | Errno::OPNOTSUPP
            | Errno::INVAL
            | Errno::TOOBIG
            | Errno::RANGE
            | Errno::FBIG
            | Errno::NAMETOOLONG
            | Errno::OVERFLOW
            | Errno::MLINK
            | Errno::NODEV => Fault::Unfit,
            _ => Fault::Target,
        };
        Self { fault, error }
    }
    /// The same with the path.
    #[must_use]
    pub fn at(self, path: String) -> TreeError {
        TreeError { path, fault: self.fault, cause: Some(self.error) }
    }
}

/// Why a walk ended. Prints the path and the fault; the call is its source.
#[derive(Debug, Clone)]
pub struct TreeError {
    path: String,
    fault: Fault,
    cause: Option<SysError>,
}

impl TreeError {
    pub(crate) fn stopped(path: String) -> Self {
        Self { path, fault: Fault::Stopped, cause: None }
    }
    /// What failed, without the path; nothing where somebody asked to stop.
    pub(super) fn fail(self) -> Option<Fail> {
        self.cause.map(|error| Fail { fault: self.fault, error })
    }
    /// The path of the entry, as it is named in the source; safe to print.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
    /// By whose fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }
    /// The call that failed; none where somebody asked to stop.
    #[must_use]
    pub fn cause(&self) -> Option<&SysError> {
        self.cause.as_ref()
    }
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match self.fault {
            Fault::Source => write!(f, "`{path}` cannot be read"),
            Fault::Full => write!(f, "there is no room for the copy of `{path}`"),
            Fault::Unfit => write!(f, "the target cannot hold `{path}` as it is"),
            Fault::Target => write!(f, "the copy of `{path}` cannot be written"),
            Fault::Remains => write!(f, "`{path}` cannot be removed"),
            Fault::Owner => write!(f, "`{path}` cannot be given its new owner"),
            Fault::Stopped => write!(f, "stopped at `{path}`"),
        }
    }
}

impl std::error::Error for TreeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}

impl From<TreeError> for Error {
    fn from(error: TreeError) -> Self {
        let denied = error.fault == Fault::Source && error.cause.as_ref().is_some_and(SysError::is_privilege);
        let (kind, hint) = match error.fault {
            Fault::Source if denied => (ErrorKind::Privilege, "run it as root"),
            Fault::Source => {
                (ErrorKind::System, "look into the kernel's log: the disk or its file system has an error")
            }
            Fault::Full => (ErrorKind::System, "make room there, or choose another volume"),
            Fault::Unfit => (ErrorKind::Refused, "choose a volume whose file system holds it, or take it away"),
            Fault::Target => (ErrorKind::System, "look after the disk of the target, then run the command again"),
            Fault::Remains => (ErrorKind::System, "what was not removed yet is as it was; run the command again"),
            Fault::Owner => (ErrorKind::System, "look after the disk, then run the command again"),
            Fault::Stopped => (ErrorKind::Interrupted, "run the command again"),
        };
        let message = match error.fault {
            Fault::Remains | Fault::Owner => error.to_string(),
            _ => format!("{error}; the source is as it was"),
        };
        let mut public = Self::new(kind, message).hint(hint);
        if let Some(cause) = error.cause {
            public = public.with_errno(cause.errno().raw_os_error()).caused_by(cause);
        }
        public
    }
}
