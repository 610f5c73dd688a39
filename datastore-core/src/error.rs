//! The one error type of the public interface: opaque, with a kind, a message and a hint.

use std::fmt;

use crate::path::printable;

/// By whose fault something failed. Every kind has its exit code (`datastore-cli`) and its exception (PHP).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller asked for something that does not exist or makes no sense.
    Usage,
    /// Configuration, journal or another of our files cannot be understood.
    Invalid,
    /// It could be done, but it must not: the machine is not as it has to be.
    Refused,
    /// A system call or a program failed.
    System,
    /// The caller may not.
    Privilege,
    /// Somebody else is at work on the same app or volume.
    Locked,
    /// An earlier operation stopped half-way and must be recovered first.
    Interrupted,
}

/// What failed, on what, what holds now, and what to do.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    errno: Option<i32>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A result with our [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind. The message is a sentence without a full stop that names the object. Whatever the object is called, it stays
    /// one line that drives no terminal: what does not print is escaped.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = printable(message.into().as_bytes());
        Self { kind, message, hint: None, errno: None, source: None }
    }
    /// The same with a command or a sentence that mends it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// The same with the number of the failed system call's error (errno(3)).
    #[must_use]
    pub fn with_errno(mut self, errno: i32) -> Self {
        self.errno = Some(errno);
        self
    }
    /// The same with what caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }
    /// By whose fault.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
    /// What failed and on what, without the causes below it.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
    /// What to do.
    #[must_use]
    pub fn get_hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
    /// The number of the failed system call's error, where one failed.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        self.errno
    }
    /// The message with everything that caused it, on one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut out = self.message.clone();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            out.push_str(": ");
            out.push_str(&cause.to_string());
            next = cause.source();
        }
        printable(out.as_bytes())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|s| &**s as _)
    }
}
