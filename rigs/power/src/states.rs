//! From a record to the states in which a power cut may have left the disks.
//!
//! What was written before the last flush of its disk is there. Of what was written after it, any part may be: a disk writes in the order
//! that it likes. Between two flushes lie more choices than anybody can try, so these are: every prefix of the record (the disk
//! wrote in order), the last write torn in its middle, nothing of what was not flushed, some choices by chance, and, with several disks, one that
//! kept everything where the others lost all.

use std::collections::HashSet;
use std::sync::Arc;

use datastore_tests::random::Random;

use crate::block::{Block, Blocks};
use crate::disks::{Event, Mark, State};

/// How a state came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cut {
    /// Everything that was written before it lasted.
    Prefix,
    /// The same, but the last write, to this disk, came half-way.
    Torn(usize),
    /// Nothing lasted but what was flushed.
    Flushed,
    /// Of what was not flushed, some.
    Some,
    /// One disk kept all, the others only what was flushed.
    Only(usize),
}

/// A state with its story.
#[derive(Debug, Clone)]
pub struct Left {
    /// The disks.
    pub state: State,
    /// How it came about.
    pub cut: Cut,
    /// The last call of the command before the cut.
    pub after: String,
    /// Whether the command had said before that it was done.
    pub done: bool,
}

/// One write that was not flushed yet.
#[derive(Debug, Clone)]
struct Pending {
    first: u64,
    blocks: Vec<Block>,
}

impl Pending {
    fn put(&self, on: &mut Blocks, most: usize) {
        for (number, block) in (self.first..).zip(self.blocks.iter().take(most)) {
            on.put(number, Arc::clone(block));
        }
    }
}

/// Which of all states are made.
pub trait Choose {
    /// Whether the next one is.
    fn next(&mut self) -> bool;
}

/// Counts them, and makes none.
#[derive(Debug, Default)]
pub struct Counting(pub usize);

impl Choose for Counting {
    fn next(&mut self) -> bool {
        self.0 += 1;
        false
    }
}

/// Makes so many of so many, evenly, the first by chance.
#[derive(Debug)]
pub struct Sample {
    every: usize,
    left: usize,
}

impl Sample {
    /// At most about `most` out of `all`.
    #[must_use]
    pub fn new(all: usize, most: usize, random: &mut Random) -> Self {
        let every = all.div_ceil(most.max(1)).max(1);
        Self { every, left: usize::try_from(random.below(every as u64)).expect("below a usize") }
    }
}

impl Choose for Sample {
    fn next(&mut self) -> bool {
        let is_chosen = self.left == 0;
        self.left = if is_chosen { self.every - 1 } else { self.left - 1 };
        is_chosen
    }
}

/// The disks between two events of the record.
struct Standing<'a> {
    bases: &'a [Arc<Blocks>],
    durable: Vec<Arc<Blocks>>,
    pending: Vec<Vec<Pending>>,
    after: String,
    done: bool,
    random: Random,
    met: HashSet<u64>,
}

impl Standing<'_> {
    /// The state that a cut leaves here; `None` if there was the same before.
    fn left(&mut self, cut: Cut) -> Option<Left> {
        let mut layers = self.durable.clone();
        for (disk, pending) in self.pending.iter().enumerate() {
            if pending.is_empty() || cut == Cut::Flushed || matches!(cut, Cut::Only(only) if only != disk) {
                continue;
            }
            let layer = Arc::make_mut(&mut layers[disk]);
            for (at, write) in pending.iter().enumerate() {
                let is_last = at + 1 == pending.len();
                if cut == Cut::Some && self.random.below(2) == 0 {
                    continue;
                }
                let most = match cut {
                    // Its first block is there, and its last one is not.
                    Cut::Torn(torn) if torn == disk && is_last => {
                        1 + usize::try_from(self.random.below(write.blocks.len() as u64 - 1)).expect("below a usize")
                    }
                    _ => usize::MAX,
                };
                write.put(layer, most);
            }
        }
        let digest = layers
            .iter()
            .zip(self.bases)
            .enumerate()
            .fold(0_u64, |sum, (disk, (layer, base))| sum.wrapping_add(layer.digest_over(base, disk)));
        // After its end a command has promised more than before, so the same state counts once for each.
        let is_new = self.met.insert(digest.wrapping_add(u64::from(self.done)));
        is_new.then(|| Left { state: State { layers, digest }, cut, after: self.after.clone(), done: self.done })
    }
}

/// Who makes states, and who takes them.
struct Maker<'a> {
    choose: &'a mut dyn Choose,
    take: &'a mut dyn FnMut(Left),
}

impl Maker<'_> {
    fn make(&mut self, standing: &mut Standing<'_>, cut: Cut) {
        // What holds after the end is what was promised: of that nothing is left out.
        if (self.choose.next() || standing.done)
            && let Some(left) = standing.left(cut)
        {
            (self.take)(left);
        }
    }

    /// All kinds, at a moment at which a disk is about to give a promise.
    fn all(&mut self, standing: &mut Standing<'_>) {
        for cut in [Cut::Prefix, Cut::Flushed, Cut::Some, Cut::Some, Cut::Some, Cut::Some] {
            self.make(standing, cut);
        }
        let holding: Vec<usize> =
            (0..standing.pending.len()).filter(|&disk| !standing.pending[disk].is_empty()).collect();
        if holding.len() > 1 {
            holding.into_iter().for_each(|disk| self.make(standing, Cut::Only(disk)));
        }
    }
}

/// Makes the chosen ones of all states of a record, each distinct one once, and gives them to `take`.
pub fn each(record: &[Event], bases: &[Arc<Blocks>], seed: u64, choose: &mut dyn Choose, take: &mut dyn FnMut(Left)) {
    let empty: Arc<Blocks> = Arc::default();
    let mut standing = Standing {
        bases,
        durable: vec![empty; bases.len()],
        pending: vec![Vec::new(); bases.len()],
        after: "the begin".to_owned(),
        done: false,
        random: Random::of(seed),
        met: HashSet::new(),
    };
    let mut maker = Maker { choose, take };
    for event in record {
        match event {
            Event::Write { disk, first, blocks } => {
                standing.pending[*disk].push(Pending { first: *first, blocks: blocks.clone() });
                maker.make(&mut standing, Cut::Prefix);
                if blocks.len() > 1 {
                    maker.make(&mut standing, Cut::Torn(*disk));
                }
            }
            Event::Flush { disk } => {
                maker.all(&mut standing);
                let pending = std::mem::take(&mut standing.pending[*disk]);
                let layer = Arc::make_mut(&mut standing.durable[*disk]);
                pending.iter().for_each(|write| write.put(layer, usize::MAX));
            }
            Event::Mark(Mark::Call(call)) => standing.after.clone_from(call),
            Event::Mark(Mark::Done) => {
                standing.done = true;
                maker.all(&mut standing);
            }
        }
    }
    maker.all(&mut standing);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block;

    fn write(disk: usize, first: u64, bytes: &[u8]) -> Event {
        Event::Write { disk, first, blocks: bytes.iter().map(|&byte| block::of(&[byte; block::SIZE])).collect() }
    }

    /// Every choice.
    struct Every;

    impl Choose for Every {
        fn next(&mut self) -> bool {
            true
        }
    }

    /// What the first three blocks of a disk hold in each state.
    fn states(record: &[Event], disks: usize) -> Vec<(Cut, Vec<[u8; 3]>, bool)> {
        let bases = std::iter::repeat_n(Arc::new(Blocks::default()), disks).collect::<Vec<_>>();
        let mut out = Vec::new();
        each(record, &bases, 7, &mut Every, &mut |left| {
            let byte = |layer: &Blocks, at| layer.get(at).map_or(0, |block| block.bytes()[0]);
            let disks = left.state.layers.iter().map(|layer| [0, 1, 2].map(|at| byte(layer, at))).collect();
            out.push((left.cut, disks, left.done));
        });
        out
    }

    #[test]
    fn what_was_flushed_is_in_every_later_state() {
        let record = [write(0, 0, &[1]), Event::Flush { disk: 0 }, write(0, 1, &[2]), write(0, 2, &[3])];
        let states = states(&record, 1);
        let contents: Vec<[u8; 3]> = states.iter().map(|(_, disks, _)| disks[0]).collect();
        assert!(contents.contains(&[0, 0, 0]) && contents.contains(&[1, 0, 0]) && contents.contains(&[1, 2, 3]));
        let first = contents.iter().position(|content| content[1] > 0 || content[2] > 0).unwrap();
        assert!(contents[first..].iter().all(|content| content[0] == 1), "{contents:?}");
        let distinct: HashSet<_> = contents.iter().collect();
        assert_eq!(distinct.len(), contents.len(), "none is made twice");
    }

    #[test]
    fn a_write_tears_between_its_blocks() {
        let states = states(&[write(0, 0, &[1, 2, 3])], 1);
        let torn: Vec<[u8; 3]> =
            states.iter().filter(|(cut, ..)| *cut == Cut::Torn(0)).map(|(_, disks, _)| disks[0]).collect();
        assert!(torn.iter().all(|content| [[1, 0, 0], [1, 2, 0]].contains(content)) && !torn.is_empty(), "{states:?}");
    }

    #[test]
    fn one_disk_keeps_all_where_another_lost_all() {
        let states = states(&[write(0, 0, &[1]), write(1, 0, &[2])], 2);
        assert!(states.iter().any(|(_, disks, _)| disks[0][0] == 0 && disks[1][0] == 2), "{states:?}");
        assert!(states.iter().any(|(_, disks, _)| disks[0][0] == 1 && disks[1][0] == 0), "{states:?}");
    }

    #[test]
    fn a_state_after_the_end_counts_apart() {
        let states = states(&[write(0, 0, &[1]), Event::Mark(Mark::Done)], 1);
        assert!(states.contains(&(Cut::Flushed, vec![[0; 3]], true)), "{states:?}");
    }

    #[test]
    fn a_sample_is_spread_over_all() {
        let record: Vec<Event> = (0..100).map(|at| write(0, at, &[1])).collect();
        let bases = [Arc::new(Blocks::default())];
        let mut counting = Counting::default();
        each(&record, &bases, 7, &mut counting, &mut |_| panic!("only counted"));
        assert!(counting.0 > 100, "{}", counting.0);
        let mut made = 0;
        each(&record, &bases, 7, &mut Sample::new(counting.0, 10, &mut Random::of(5)), &mut |_| made += 1);
        assert!((8..=11).contains(&made), "{made}");
    }
}
