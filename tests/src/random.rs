//! Numbers that look random, and can be had again.

#![allow(clippy::print_stderr, reason = "the seed belongs to the test's output")]

use std::time::SystemTime;

/// xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators" (2014).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// From `DATASTORE_TEST_SEED`, or the clock; the seed is printed, so that a failure can be had again.
    ///
    /// # Panics
    /// If the clock is far off.
    #[must_use]
    pub fn seeded() -> Self {
        let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos();
        let seed = std::env::var("DATASTORE_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::try_from(clock()).expect("before 2554"));
        eprintln!("DATASTORE_TEST_SEED={seed}");
        Self::of(seed)
    }

    /// The series that begins with a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next one, from 0 up to but not with a limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit.max(1)
    }
}
