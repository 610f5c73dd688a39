//! The boundary: what comes in is looked at, and no panic goes out.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::Once;

use datastore_core::{ErrorKind, Result};

use crate::error::Error;

/// Addresses below this are never given out: they come from a field of a structure that was NULL.
const FIRST: usize = 4096;

/// Keeps panics from being printed: standard error is the caller's. The hook is that of the Rust inside this library, and of no other.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| set_hook(Box::new(|_| {})));
}

/// Runs a function that can fail. NULL is success.
pub(crate) fn guard(body: impl FnOnce() -> Result<()>) -> *mut Error {
    silence();
    let error = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return std::ptr::null_mut(),
        Ok(Err(error)) => error,
        Err(panic) => {
            let said = panic.downcast_ref::<&str>().copied().map(ToOwned::to_owned);
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            datastore_core::Error::new(ErrorKind::System, format!("a defect of datastore: {said}"))
                .hint("please report it; what it was at is told by: datastore doctor")
        }
    };
    Box::into_raw(Box::new(Error::of(&error)))
}

/// Runs a function that cannot fail, and gives this if it panics.
pub(crate) fn calm<R>(otherwise: R, body: impl FnOnce() -> R) -> R {
    silence();
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

/// Whether a pointer cannot be one that this library gave.
pub(crate) fn looks_wrong<T>(pointer: *const T) -> bool {
    pointer.addr() < FIRST || !pointer.is_aligned()
}

/// What a handle leads to.
///
/// # Safety
/// Unless it looks wrong, the pointer is one that this library gave and that was not freed.
pub(crate) unsafe fn handle<'a, T>(pointer: *const T, what: &str) -> Result<&'a T> {
    check(pointer, what)?;
    // SAFETY: the caller promises it.
    Ok(unsafe { &*pointer })
}

/// The same where it is changed.
///
/// # Safety
/// As for [`handle`], and nobody else uses it meanwhile.
pub(crate) unsafe fn handle_mut<'a, T>(pointer: *mut T, what: &str) -> Result<&'a mut T> {
    check(pointer, what)?;
    // SAFETY: the caller promises it.
    Ok(unsafe { &mut *pointer })
}

/// What a handle leads to, for functions that cannot fail.
///
/// # Safety
/// As for [`handle`].
pub(crate) unsafe fn maybe<'a, T>(pointer: *const T) -> Option<&'a T> {
    // SAFETY: the caller promises it.
    (!looks_wrong(pointer)).then(|| unsafe { &*pointer })
}

/// A place for an output.
pub(crate) struct Out<T>(*mut *mut T);

impl<T> Out<T> {
    /// # Safety
    /// Unless it looks wrong, a pointer can be written there.
    pub(crate) unsafe fn new(place: *mut *mut T, what: &str) -> Result<Self> {
        check(place, what)?;
        Ok(Self(place))
    }

    /// Hands something out.
    pub(crate) fn put(self, what: T) {
        // SAFETY: whoever made this has promised it.
        unsafe { self.0.write(Box::into_raw(Box::new(what))) };
    }
}

/// Takes back what was handed out.
///
/// # Safety
/// Unless it looks wrong, the pointer was given by [`Out::put`] or [`guard`] and was not freed.
pub(crate) unsafe fn free<T>(pointer: *mut T) {
    if !looks_wrong(pointer) {
        // SAFETY: the caller promises it.
        calm((), || drop(unsafe { Box::from_raw(pointer) }));
    }
}

fn check<T>(pointer: *const T, what: &str) -> Result<()> {
    let wrong = |why: &str| Err(datastore_core::Error::new(ErrorKind::Usage, format!("`{what}` {why}")));
    if pointer.is_null() {
        return wrong("is NULL");
    }
    if looks_wrong(pointer) { wrong("is no pointer that this library gave") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use crate::store::Store;
    use crate::value::Value;

    #[test]
    fn what_the_header_says_of_threads_holds() {
        fn shared<T: Send + Sync>() {}
        shared::<Store>();
        shared::<Value>();
        shared::<crate::error::Error>();
    }
}
