//! Choices: what a random scenario is made of, so that proptest can shrink one by shrinking a list of numbers, and the
//! conformance test can make the same ones from a seed.

/// A list of numbers, used one after the other. Where it ends, every choice is the first one: the simplest.
#[derive(Debug, Clone)]
pub struct Choices<'c> {
    rest: std::slice::Iter<'c, u16>,
}

impl<'c> Choices<'c> {
    /// From the first number on.
    #[must_use]
    pub fn new(numbers: &'c [u16]) -> Self {
        Self { rest: numbers.iter() }
    }

    /// One of so many.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.rest.next().copied().unwrap_or(0)) % count.max(1)
    }

    /// Yes, once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    /// One of a list.
    ///
    /// # Panics
    /// If the list is empty.
    pub fn of<'l, T>(&mut self, list: &'l [T]) -> &'l T {
        &list[self.below(list.len())]
    }
}

/// Numbers from a seed (Steele, Lea and Flood's SplitMix).
#[must_use]
pub fn numbers(seed: u64, count: usize) -> Vec<u16> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 48) as u16
    };
    (0..count).map(|_| next()).collect()
}
