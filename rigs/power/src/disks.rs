//! The disks of a machine, in memory, with a record of what is written to them.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::block::{self, Block, Blocks, SIZE};

/// What happened to the disks, in the one order in which it did.
#[derive(Debug, Clone)]
pub enum Event {
    /// Blocks that lie side by side were written; without a flush nobody knows whether they lasted.
    Write {
        /// To which disk.
        disk: usize,
        /// The number of the first of them.
        first: u64,
        /// Their contents.
        blocks: Vec<Block>,
    },
    /// Everything that was written to this disk before lasts.
    Flush {
        /// Which.
        disk: usize,
    },
    /// The story told us something.
    Mark(Mark),
}

/// What a story tells of itself while it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// A system call was made.
    Call(String),
    /// The command has said that it is done.
    Done,
}

/// A write that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// How many writes, of all disks together, go well before it.
    pub after: usize,
    /// Whether every later one fails too.
    pub stays: bool,
}

/// A disk: what it holds at the beginning of the story, the state that is looked at, and what was written since.
#[derive(Debug)]
struct Disk {
    bytes: u64,
    base: Arc<Blocks>,
    state: Arc<Blocks>,
    top: Blocks,
}

impl Disk {
    fn block(&self, number: u64) -> Option<&Block> {
        [&self.top, &self.state, &self.base].into_iter().find_map(|layer| layer.get(number))
    }
}

#[derive(Debug, Default)]
struct Shelf {
    disks: Vec<Disk>,
    log: Option<Vec<Event>>,
    fault: Option<Fault>,
    writes: usize,
}

/// The disks, shared between who serves them and who looks on.
#[derive(Debug, Clone, Default)]
pub struct Disks(Arc<Mutex<Shelf>>);

/// What a power cut left: over the base of each disk these blocks.
#[derive(Debug, Clone)]
pub struct State {
    /// The layers, one for each disk.
    pub layers: Vec<Arc<Blocks>>,
    /// What tells it from others: equal states have equal digests.
    pub digest: u64,
}

impl Disks {
    /// Empty disks of these sizes, in bytes.
    #[must_use]
    pub fn new(sizes: &[u64]) -> Self {
        let empty = Arc::new(Blocks::default());
        let disk = |&bytes| Disk { bytes, base: Arc::clone(&empty), state: Arc::clone(&empty), top: Blocks::default() };
        Self(Arc::new(Mutex::new(Shelf { disks: sizes.iter().map(disk).collect(), ..Shelf::default() })))
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // Whoever panicked held it between two whole changes.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// How many there are.
    #[must_use]
    pub fn number(&self) -> usize {
        self.shelf().disks.len()
    }

    /// The size of one, in bytes; `None` if there is no such disk.
    #[must_use]
    pub fn bytes(&self, disk: usize) -> Option<u64> {
        self.shelf().disks.get(disk).map(|disk| disk.bytes)
    }

    /// Reads from one. What lies beyond its end is left out.
    #[must_use]
    pub fn read(&self, disk: usize, offset: u64, length: usize) -> Vec<u8> {
        let shelf = self.shelf();
        let disk = &shelf.disks[disk];
        let end = (offset + length as u64).min(disk.bytes);
        let mut out = Vec::with_capacity(length);
        let mut at = offset;
        while at < end {
            let (number, skipped) = (at / SIZE as u64, (at % SIZE as u64) as usize);
            let wanted = (SIZE - skipped).min((end - at) as usize);
            match disk.block(number) {
                Some(block) => out.extend_from_slice(&block.bytes()[skipped..skipped + wanted]),
                None => out.resize(out.len() + wanted, 0),
            }
            at += wanted as u64;
        }
        out
    }

    /// Writes whole blocks to one; `false` if this is a write that fails.
    #[must_use]
    pub fn write(&self, disk: usize, offset: u64, bytes: &[u8]) -> bool {
        assert!(offset.is_multiple_of(SIZE as u64), "a write at {offset}, in the middle of a block");
        self.put(disk, offset / SIZE as u64, bytes.chunks(SIZE).map(block::of).collect())
    }

    /// Writes zeros.
    #[must_use]
    pub fn zero(&self, disk: usize, offset: u64, bytes: u64) -> bool {
        let zeros = block::of(&[0; SIZE]);
        let number = bytes.div_ceil(SIZE as u64) as usize;
        self.put(disk, offset / SIZE as u64, vec![zeros; number])
    }

    fn put(&self, disk: usize, first: u64, blocks: Vec<Block>) -> bool {
        let mut shelf = self.shelf();
        let number = shelf.writes;
        shelf.writes += 1;
        if shelf.fault.is_some_and(|fault| number == fault.after || (fault.stays && number > fault.after)) {
            return false;
        }
        for (number, block) in (first..).zip(&blocks) {
            shelf.disks[disk].top.put(number, Arc::clone(block));
        }
        if let Some(log) = &mut shelf.log {
            log.push(Event::Write { disk, first, blocks });
        }
        true
    }

    /// What was written to one before lasts.
    pub fn flush(&self, disk: usize) {
        if let Some(log) = &mut self.shelf().log {
            log.push(Event::Flush { disk });
        }
    }

    /// Puts a mark into the record.
    pub fn mark(&self, mark: Mark) {
        if let Some(log) = &mut self.shelf().log {
            log.push(Event::Mark(mark));
        }
    }

    /// What the disks hold now is where every story begins from now on.
    pub fn rebase(&self) {
        for disk in &mut self.shelf().disks {
            let mut base = (*disk.base).clone();
            base.put_all(&disk.state);
            base.put_all(&disk.top);
            disk.base = Arc::new(base);
            disk.state = Arc::default();
            disk.top.clear();
        }
    }

    /// Puts older bases in the place of those that there are, with nothing over them.
    pub fn restore(&self, bases: &[Arc<Blocks>]) {
        for (disk, base) in self.shelf().disks.iter_mut().zip(bases) {
            disk.base = Arc::clone(base);
        }
        self.reset();
    }

    /// The bases, for [`crate::states`].
    #[must_use]
    pub fn bases(&self) -> Vec<Arc<Blocks>> {
        self.shelf().disks.iter().map(|disk| Arc::clone(&disk.base)).collect()
    }

    /// What the disks hold now, as a state over the base.
    #[must_use]
    pub fn state(&self) -> State {
        let layer = |disk: &Disk| {
            let mut layer = (*disk.state).clone();
            layer.put_all(&disk.top);
            Arc::new(layer)
        };
        State { layers: self.shelf().disks.iter().map(layer).collect(), digest: 0 }
    }

    /// Takes everything back to the base.
    pub fn reset(&self) {
        let empty = Arc::new(Blocks::default());
        let layers = vec![empty; self.number()];
        self.show(&State { layers, digest: 0 });
    }

    /// Makes the disks what a power cut left.
    pub fn show(&self, state: &State) {
        let mut shelf = self.shelf();
        for (disk, layer) in shelf.disks.iter_mut().zip(&state.layers) {
            disk.state = Arc::clone(layer);
            disk.top.clear();
        }
        shelf.fault = None;
    }

    /// Begins a record.
    pub fn record(&self) {
        self.shelf().log = Some(Vec::new());
    }

    /// Ends the record.
    #[must_use]
    pub fn recorded(&self) -> Vec<Event> {
        self.shelf().log.take().unwrap_or_default()
    }

    /// Lets writes fail from now on, or none; says how many were made since it was told last.
    pub fn fail(&self, fault: Option<Fault>) -> usize {
        let mut shelf = self.shelf();
        shelf.fault = fault;
        std::mem::take(&mut shelf.writes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_a_reset_takes_it_back() {
        let disks = Disks::new(&[64 << 10, 64 << 10]);
        assert!(disks.write(0, 4096, &[7; 8192]));
        disks.rebase();
        disks.record();
        assert!(disks.write(0, 8192, &[8; 4096]));
        disks.flush(0);
        assert!(disks.zero(1, 0, 5000));
        assert_eq!(disks.read(0, 8190, 4), [7, 7, 8, 8]);
        assert_eq!(disks.read(0, (64 << 10) - 2, 10), [0, 0]);
        let kinds: Vec<usize> = disks
            .recorded()
            .iter()
            .map(|event| match event {
                Event::Write { blocks, .. } => blocks.len(),
                Event::Flush { .. } => 0,
                Event::Mark(_) => 9,
            })
            .collect();
        assert_eq!(kinds, [1, 0, 2]);
        disks.reset();
        assert_eq!(disks.read(0, 8190, 4), [7; 4]);
    }

    #[test]
    fn a_write_fails_once_or_from_then_on() {
        for (stays, wanted) in [(false, [true, false, true]), (true, [true, false, false])] {
            let disks = Disks::new(&[64 << 10]);
            disks.fail(Some(Fault { after: 1, stays }));
            let went: Vec<bool> = (0..3).map(|n| disks.write(0, n * 4096, &[1; 4096])).collect();
            assert_eq!(went, wanted);
            assert_eq!(disks.fail(None), 3);
        }
    }
}
