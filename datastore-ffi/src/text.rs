//! Text on its way in and out.

use std::ffi::c_char;

use datastore_core::{Error, ErrorKind, Result};

use crate::guard::looks_wrong;

/// The longest text that is taken, in bytes.
const LONGEST: usize = 65_535;

/// Text: a pointer, and how many bytes there are. `data` is NULL where there is no text.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text {
    /// The first byte.
    pub data: *const c_char,
    /// How many bytes, without the NUL that stands behind texts of this library.
    pub len: usize,
}

impl Text {
    pub(crate) const NONE: Self = Self { data: std::ptr::null(), len: 0 };

    /// A literal with a NUL at its end.
    pub(crate) fn of_static(text: &'static str) -> Self {
        Self { data: text.as_ptr().cast(), len: text.len().saturating_sub(1) }
    }

    /// What a caller has given; none for NULL with length 0.
    ///
    /// # Safety
    /// Unless it looks wrong, `data` points to `len` bytes that nobody changes meanwhile.
    pub(crate) unsafe fn read<'a>(self, what: &str) -> Result<Option<&'a str>> {
        let wrong = |why: &str| Err(Error::new(ErrorKind::Usage, format!("`{what}` {why}")));
        if self.data.is_null() && self.len == 0 {
            return Ok(None);
        }
        if looks_wrong(self.data) {
            return wrong("has a length, but no pointer that can be one");
        }
        if self.len > LONGEST {
            return wrong("is longer than 65535 bytes");
        }
        // SAFETY: the caller promises it, and the length is far below isize::MAX.
        let bytes = unsafe { std::slice::from_raw_parts(self.data.cast::<u8>(), self.len) };
        if bytes.contains(&0) {
            return wrong("holds a NUL byte");
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => wrong("is not UTF-8"),
        }
    }

    /// The same where there must be a text.
    ///
    /// # Safety
    /// As for [`Text::read`].
    pub(crate) unsafe fn needed<'a>(self, what: &str) -> Result<&'a str> {
        // SAFETY: as said above.
        unsafe { self.read(what) }?.ok_or_else(|| Error::new(ErrorKind::Usage, format!("`{what}` is missing")))
    }
}

/// A text of ours, with a NUL behind it.
#[derive(Debug)]
pub(crate) struct Owned(Box<[u8]>);

impl Owned {
    pub(crate) fn new(text: &str) -> Self {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
        Self(bytes.into_boxed_slice())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0[..self.0.len() - 1]
    }

    pub(crate) fn text(&self) -> Text {
        Text { data: self.0.as_ptr().cast(), len: self.0.len() - 1 }
    }
}
