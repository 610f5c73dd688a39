//! One line of the mount table: where its fields are.

use super::index::hash;
use crate::fstab::unescape;

/// A piece of the table's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Piece {
    pub(super) fn of(self, buffer: &[u8]) -> &[u8] {
        &buffer[self.start as usize..self.end as usize]
    }
}

/// One line. The fields are as the kernel escaped them, but for the mount point.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: u32,
    pub(super) parent: u32,
    pub(super) major: u32,
    pub(super) minor: u32,
    pub(super) root: Piece,
    /// Without escapes; behind the text of the file if there were any.
    pub(super) mount_point: Piece,
    pub(super) options: Piece,
    /// The optional fields, without the `-` that ends them.
    pub(super) optional: Piece,
    pub(super) fstype: Piece,
    pub(super) source: Piece,
    pub(super) super_options: Piece,
    /// Of the mount point.
    pub(super) hash: u64,
    pub(super) visible: bool,
}

/// Why a text is no mount table. The kernel writes no such line, so the text was cut off or is something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MountinfoError {
    /// A line without one of its fields.
    #[error("line {line} of mountinfo has no {field}")]
    Line {
        /// The number of the line, from 1.
        line: usize,
        /// What is missing or has the wrong form.
        field: &'static str,
    },
    /// The last line has no line end.
    #[error("line {line} of mountinfo, the last, is cut off; read the file again")]
    CutOff {
        /// The number of the line, from 1.
        line: usize,
    },
    /// More than 2 GiB.
    #[error("mountinfo is larger than 2 GiB")]
    TooLarge,
}

/// Reads all lines. What is appended to the buffer are mount points without their escapes.
pub(super) fn parse(buffer: &mut Vec<u8>) -> Result<Vec<Entry>, MountinfoError> {
    if buffer.len() > i32::MAX as usize {
        return Err(MountinfoError::TooLarge);
    }
    let mut entries = Vec::with_capacity(buffer.len() / 96);
    let mut plain = Vec::new();
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', buffer) {
        let mut reader = Reader { buffer, at: start, end, line: entries.len() + 1 };
        let mut entry = reader.entry()?;
        let escaped = entry.mount_point.of(buffer);
        if memchr::memchr(b'\\', escaped).is_some() {
            let from = buffer.len() + plain.len();
            plain.extend_from_slice(&unescape(escaped));
            entry.mount_point = piece(from, buffer.len() + plain.len());
            entry.hash = hash(&plain[from - buffer.len()..]);
        } else {
            entry.hash = hash(escaped);
        }
        entries.push(entry);
        start = end + 1;
    }
    if start != buffer.len() {
        return Err(MountinfoError::CutOff { line: entries.len() + 1 });
    }
    buffer.append(&mut plain);
    Ok(entries)
}

/// The text is at most 2 GiB, and what is appended is shorter than it, so both numbers fit.
#[expect(clippy::cast_possible_truncation, reason = "checked in parse")]
pub(super) fn piece(start: usize, end: usize) -> Piece {
    Piece { start: start as u32, end: end as u32 }
}

struct Reader<'a> {
    buffer: &'a [u8],
    at: usize,
    /// The line end.
    end: usize,
    line: usize,
}

impl Reader<'_> {
    fn missing<T>(&self, field: &'static str) -> Result<T, MountinfoError> {
        Err(MountinfoError::Line { line: self.line, field })
    }

    /// A number and the byte that must follow it.
    fn number(&mut self, after: u8, field: &'static str) -> Result<u32, MountinfoError> {
        let mut value = 0_u64;
        let mut i = self.at;
        while let digit @ b'0'..=b'9' = self.buffer[i] {
            value = value * 10 + u64::from(digit - b'0');
            if value > u64::from(u32::MAX) {
                return self.missing(field);
            }
            i += 1;
        }
        // At the latest the line end has stopped the loop.
        if i == self.at || self.buffer[i] != after {
            return self.missing(field);
        }
        self.at = i + 1;
        Ok(u32::try_from(value).unwrap_or(u32::MAX))
    }

    /// The text up to the next space.
    fn field(&mut self, field: &'static str) -> Result<Piece, MountinfoError> {
        let start = self.at;
        let mut i = start;
        loop {
            match self.buffer[i] {
                b' ' => break,
                b'\n' => return self.missing(field),
                _ => i += 1,
            }
        }
        self.at = i + 1;
        Ok(piece(start, i))
    }

    fn entry(&mut self) -> Result<Entry, MountinfoError> {
        let id = self.number(b' ', "mount id")?;
        let parent = self.number(b' ', "parent id")?;
        let major = self.number(b':', "device number")?;
        let minor = self.number(b' ', "device number")?;
        let root = self.field("root")?;
        let mount_point = self.field("mount point")?;
        if self.buffer[mount_point.start as usize] != b'/' {
            return self.missing("mount point");
        }
        let options = self.field("mount options")?;
        let start = self.at;
        let optional = loop {
            let field = self.field("`-` after the optional fields")?;
            if field.of(self.buffer) == b"-" {
                break piece(start, (field.start as usize).saturating_sub(1).max(start));
            }
        };
        let fstype = self.field("file system type")?;
        // Empty if somebody mounted with an empty source: two spaces follow each other then.
        let source = self.field("source")?;
        let super_options = piece(self.at, self.end);
        Ok(Entry {
            id,
            parent,
            major,
            minor,
            root,
            mount_point,
            options,
            optional,
            fstype,
            source,
            super_options,
            hash: 0,
            visible: false,
        })
    }
}
