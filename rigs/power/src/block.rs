//! Blocks: the unit in which disks are written, and in which they tear.

use std::collections::HashMap;
use std::hash::{Hash, Hasher as _};
use std::sync::{Arc, LazyLock};

/// Bytes of a block; the loop devices have it as the size of their sectors, so that no write is smaller. (With sectors of 512 bytes btrfs
/// refuses a write that tore, which proves nothing about us.)
pub const SIZE: usize = 4096;

/// The content of one block.
#[derive(Debug, PartialEq, Eq)]
pub struct Content {
    bytes: Box<[u8]>,
    digest: u64,
}

/// A block that several states share.
pub type Block = Arc<Content>;

/// A block of zeros, as it is where nothing was ever written.
static ZEROS: LazyLock<Block> = LazyLock::new(|| new(&[0; SIZE]));

fn new(bytes: &[u8]) -> Block {
    let mut hasher = std::hash::DefaultHasher::new();
    bytes.hash(&mut hasher);
    Arc::new(Content { bytes: bytes.into(), digest: hasher.finish() })
}

impl Content {
    /// The bytes, [`SIZE`] of them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What this content at this place of a disk adds to the digest of a state.
    fn digest_at(&self, disk: usize, number: u64) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        (self.digest, disk, number).hash(&mut hasher);
        hasher.finish()
    }
}

/// The block with these bytes.
///
/// # Panics
/// If there are not [`SIZE`] of them.
#[must_use]
pub fn of(bytes: &[u8]) -> Block {
    assert_eq!(bytes.len(), SIZE, "the devices have sectors of a block");
    if bytes.iter().all(|&byte| byte == 0) { Arc::clone(&ZEROS) } else { new(bytes) }
}

/// The blocks of a disk, or of a layer over one, by their numbers.
#[derive(Debug, Clone, Default)]
pub struct Blocks(HashMap<u64, Block>);

impl Blocks {
    /// One of them.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Block> {
        self.0.get(&number)
    }

    /// Writes one.
    pub fn put(&mut self, number: u64, block: Block) {
        self.0.insert(number, block);
    }

    /// Writes all blocks of a layer over these.
    pub fn put_all(&mut self, layer: &Self) {
        self.0.extend(layer.0.iter().map(|(&number, block)| (number, Arc::clone(block))));
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// A number that says how these blocks, over those of a base, differ from it: 0 if they do not, and the same for equal layers. Those of
    /// several disks may be added up.
    #[must_use]
    pub fn digest_over(&self, base: &Self, disk: usize) -> u64 {
        self.0.iter().fold(0, |sum: u64, (&number, block)| {
            let below = base.get(number).unwrap_or(&ZEROS);
            if below.digest == block.digest {
                return sum;
            }
            sum.wrapping_add(block.digest_at(disk, number)).wrapping_sub(below.digest_at(disk, number))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(byte: u8) -> Block {
        of(&[byte; SIZE])
    }

    #[test]
    fn equal_layers_have_equal_digests_whatever_way_they_came() {
        let mut base = Blocks::default();
        base.put(1, block(1));
        let mut one = Blocks::default();
        one.put(1, block(2));
        one.put(7, block(3));
        let mut other = Blocks::default();
        other.put(7, block(9));
        other.put(7, block(3));
        other.put(1, block(2));
        assert_eq!(one.digest_over(&base, 0), other.digest_over(&base, 0));
        assert_ne!(one.digest_over(&base, 0), one.digest_over(&base, 1));
        // What is written over with the same, or zeros over nothing, is no difference.
        let mut same = Blocks::default();
        same.put(1, block(1));
        same.put(5, block(0));
        assert_eq!(same.digest_over(&base, 0), 0);
    }
}
