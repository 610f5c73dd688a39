//! Which library this is.

use crate::text::Text;

/// The number of the ABI that this header describes.
pub const DATASTORE_ABI: u32 = 0;

/// Returns the number of the ABI of the library that was loaded. A program goes on only if it is `DATASTORE_ABI`.
#[unsafe(no_mangle)]
pub extern "C" fn datastore_abi() -> u32 {
    DATASTORE_ABI
}

/// Returns the version of the library, such as `0.1.0`. It lives as long as the library.
#[unsafe(no_mangle)]
pub extern "C" fn datastore_version() -> Text {
    Text::of_static(concat!(env!("CARGO_PKG_VERSION"), "\0"))
}

/// Panics, so that a test can see what becomes of it. No release has it, nor has the header.
#[cfg(debug_assertions)]
#[unsafe(no_mangle)]
pub extern "C" fn datastore_forced_panic() -> *mut crate::error::Error {
    crate::guard::guard(|| panic!("forced by a test"))
}
