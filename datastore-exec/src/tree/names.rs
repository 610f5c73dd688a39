//! Names of one directory that wait to be dealt with.

use rustix::fs::FileType;

/// Names, packed: each with its kind before and NUL after it.
#[derive(Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    pub(super) count: usize,
}

impl Names {
    pub(super) fn push(&mut self, name: &[u8], kind: FileType) {
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
        self.bytes.push(code(kind));
        self.count += 1;
    }
    /// The last one.
    pub(super) fn pop(&mut self) -> Option<(Vec<u8>, FileType)> {
        let kind = kind(self.bytes.pop()?);
        self.bytes.pop();
        let start = self.bytes.iter().rposition(|&b| b == 0).map_or(0, |nul| nul + 2);
        let name = self.bytes.split_off(start.min(self.bytes.len()));
        self.count -= 1;
        Some((name, kind))
    }
    /// Takes away those that would come last, half of them or one more.
    pub(super) fn split(&mut self) -> Self {
        let count = self.count.div_ceil(2);
        let end = (0..count).fold(0, |start, _| {
            let length = self.bytes[start..].iter().position(|&b| b == 0);
            length.map_or(self.bytes.len(), |length| start + length + 2)
        });
        let first = self.bytes.split_off(end);
        self.count -= count;
        Self { bytes: std::mem::replace(&mut self.bytes, first), count }
    }
}

/// Names with the numbers of their inodes, in whose order they are taken: on most file systems that is the order on the disk.
#[derive(Default)]
pub(super) struct Ordered {
    bytes: Vec<u8>,
    order: Vec<(u64, usize, usize, FileType)>,
}

impl Ordered {
    pub(super) fn push(&mut self, name: &[u8], ino: u64, kind: FileType) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.order.push((ino, start, self.bytes.len(), kind));
    }
    pub(super) fn count(&self) -> usize {
        self.order.len()
    }
    /// All of them, in pieces of so many; empty afterwards.
    pub(super) fn take(&mut self, most: usize) -> Vec<Names> {
        self.order.sort_unstable_by_key(|&(ino, start, ..)| (ino, start));
        let pieces = self.order.chunks(most).map(|part| {
            let mut names = Names::default();
            // What is pushed last is popped first.
            for &(_, start, end, kind) in part.iter().rev() {
                names.push(&self.bytes[start..end], kind);
            }
            names
        });
        let pieces = pieces.collect();
        self.bytes.clear();
        self.order.clear();
        pieces
    }
}

/// A kind as one byte that is not NUL.
fn code(kind: FileType) -> u8 {
    u8::try_from(kind.as_raw_mode() >> 12).unwrap_or(15).max(1)
}

fn kind(code: u8) -> FileType {
    FileType::from_raw_mode(u32::from(code) << 12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_in_the_order_of_their_inodes() {
        let mut found = Ordered::default();
        for (name, ino) in [("c", 30), ("a", 10), ("d", 40), ("b", 20), ("e", 50)] {
            found.push(name.as_bytes(), ino, if ino == 40 { FileType::Symlink } else { FileType::RegularFile });
        }
        assert_eq!(found.count(), 5);
        let mut said = Vec::new();
        for mut names in found.take(2) {
            let count = names.count;
            while let Some((name, kind)) = names.pop() {
                said.push((count, String::from_utf8(name).unwrap(), kind.is_symlink()));
            }
        }
        let expected = [(2, "a", false), (2, "b", false), (2, "c", false), (2, "d", true), (1, "e", false)];
        assert_eq!(said, expected.map(|(count, name, link)| (count, name.to_owned(), link)));
        assert_eq!((found.count(), found.take(2).len()), (0, 0));
    }

    #[test]
    fn a_piece_is_shared_and_nothing_of_it_lost() {
        let mut names = Names::default();
        for name in ["e", "dd", "c", "bbb", "a"] {
            names.push(name.as_bytes(), if name == "c" { FileType::Fifo } else { FileType::RegularFile });
        }
        let mut said = Vec::new();
        while names.count > 0 {
            let mut last = names.split();
            said.push((names.count, last.count));
            while let Some((name, kind)) = last.pop() {
                said.push((name.len(), usize::from(kind == FileType::Fifo)));
            }
        }
        assert_eq!(said, [(2, 3), (1, 1), (2, 0), (1, 0), (1, 1), (3, 0), (0, 1), (1, 0)]);
        assert_eq!(names.pop(), None);
    }
}
