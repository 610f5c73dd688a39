//! datastore for C, and for whatever can call C.
//!
//! What is bound where, and why not, and every change that the command `datastore` can make: the same code, the same words, the same
//! field names as in its JSON output.
//!
//! Conventions, for every function of this file:
//!
//! - A function that can fail returns `datastore_error_t *`: NULL is success. The caller frees the error.
//! - Outputs are the last parameters. They are written on success only.
//! - What a function hands out through a pointer to a pointer belongs to the caller, who gives it to the `_free` function of its type.
//!   Every `_free` takes NULL. What a function returns as `const` belongs to what it was asked of, and ends with it.
//! - Text is `datastore_text_t`: a pointer and a length in bytes. Texts that come out are UTF-8, and a NUL stands behind them. Texts that
//!   go in must be UTF-8, hold no NUL, and have no more than 65535 bytes. NULL with length 0 is no text.
//! - Of pointers that go in this is looked at: NULL, an address in the first page, a wrong alignment. All three are errors where the
//!   pointer is needed, and give nothing (no text, length 0, `DATASTORE_NULL`) where a function cannot fail. Any other pointer that this
//!   library did not give, or that was freed, cannot be told from a good one.
//! - A store, a value and an error may be used by several threads at once. A goal and a plan are one thread's at a time.
//! - After fork(2) a child may use all of it, if the parent was in no function of this library.
//! - Nothing is printed, no signal is handled, and umask, working directory, locale and environment of the process stay as they are.
//! - A defect of this library that would be a panic becomes an error of the kind `DATASTORE_ERROR_SYSTEM`.
//! - Functions, constants and fields may be added without a new number of the ABI. What is here stays as it is as long as
//!   `DATASTORE_ABI` does; `datastore_abi()` says which one the library has that was loaded.

#![allow(unsafe_code, reason = "this crate is the boundary to C")]
#![allow(clippy::missing_safety_doc, reason = "it is said once, above")]

mod build;
pub mod error;
pub mod goal;
mod guard;
pub mod plan;
pub mod progress;
pub mod store;
pub mod text;
pub mod value;
pub mod version;
