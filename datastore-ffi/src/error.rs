//! What failed.

use datastore_core::ErrorKind;

use crate::guard::{calm, free, maybe};
use crate::text::{Owned, Text};

/// The caller asked for something that does not exist or makes no sense.
pub const DATASTORE_ERROR_USAGE: u32 = 1;
/// Configuration, a journal or another file of datastore cannot be understood.
pub const DATASTORE_ERROR_INVALID: u32 = 2;
/// It could be done, but it must not: the machine is not as it has to be.
pub const DATASTORE_ERROR_REFUSED: u32 = 3;
/// A system call or a program failed.
pub const DATASTORE_ERROR_SYSTEM: u32 = 4;
/// The caller may not.
pub const DATASTORE_ERROR_PRIVILEGE: u32 = 5;
/// Somebody else is at work on the same app or volume.
pub const DATASTORE_ERROR_LOCKED: u32 = 6;
/// An earlier operation stopped half-way and must be recovered first.
pub const DATASTORE_ERROR_INTERRUPTED: u32 = 7;

/// What failed, on what, what holds now, and what to do.
#[derive(Debug)]
pub struct Error {
    kind: u32,
    errno: i32,
    message: Owned,
    chain: Owned,
    hint: Option<Owned>,
}

impl Error {
    pub(crate) fn of(error: &datastore_core::Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Usage => DATASTORE_ERROR_USAGE,
            ErrorKind::Invalid => DATASTORE_ERROR_INVALID,
            ErrorKind::Refused => DATASTORE_ERROR_REFUSED,
            ErrorKind::Privilege => DATASTORE_ERROR_PRIVILEGE,
            ErrorKind::Locked => DATASTORE_ERROR_LOCKED,
            ErrorKind::Interrupted => DATASTORE_ERROR_INTERRUPTED,
            // A kind that this header does not know yet.
            _ => DATASTORE_ERROR_SYSTEM,
        };
        Self {
            kind,
            errno: error.errno().unwrap_or(0),
            message: Owned::new(error.message()),
            chain: Owned::new(&error.chain()),
            hint: error.get_hint().map(Owned::new),
        }
    }
}

/// Returns by whose fault it failed, one of `DATASTORE_ERROR_...`; 0 for NULL. There may be others later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_error_kind(error: *const Error) -> u32 {
    // SAFETY: as said at the top of the header.
    calm(0, || unsafe { maybe(error) }.map_or(0, |error| error.kind))
}

/// Returns the number of the system call's error (errno(3)); 0 if no call failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_error_errno(error: *const Error) -> i32 {
    // SAFETY: as said at the top of the header.
    calm(0, || unsafe { maybe(error) }.map_or(0, |error| error.errno))
}

/// Returns what failed and on what, without the causes below it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_error_message(error: *const Error) -> Text {
    // SAFETY: as said at the top of the header.
    calm(Text::NONE, || unsafe { maybe(error) }.map_or(Text::NONE, |error| error.message.text()))
}

/// Returns the message with everything that caused it, on one line.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_error_chain(error: *const Error) -> Text {
    // SAFETY: as said at the top of the header.
    calm(Text::NONE, || unsafe { maybe(error) }.map_or(Text::NONE, |error| error.chain.text()))
}

/// Returns the command or the edit that mends it; no text where there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_error_hint(error: *const Error) -> Text {
    let hint = |error: &Error| error.hint.as_ref().map_or(Text::NONE, Owned::text);
    // SAFETY: as said at the top of the header.
    calm(Text::NONE, || unsafe { maybe(error) }.map_or(Text::NONE, hint))
}

/// Frees an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_error_free(error: *mut Error) {
    // SAFETY: as said at the top of the header.
    unsafe { free(error) }
}
