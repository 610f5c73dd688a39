//! One experiment: root works, the user attacks, until enough was tried.

use std::time::{Duration, Instant};

use datastore_rigs::{Budget, Effort, Evidence};
use datastore_tests::random::Random;

use crate::{Arena, Vault, Violations};

/// A commit's share of each race.
const SHARE: Duration = Duration::from_secs(5);
/// A release's races end at the latest after this.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// The vault is looked at after so many rounds at the latest.
const ROUNDS: u64 = 16;

/// What one round of root's work came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Round {
    /// Names that were dealt with.
    pub tries: u64,
    /// Of these, where something else stood than in the beginning.
    pub swapped: u64,
    /// Whether it failed, as it may when the ground moves under it.
    pub failed: bool,
}

/// What is raced for.
#[derive(Debug)]
pub struct Race<'a> {
    /// What root does, in a few words.
    pub what: &'a str,
    /// What it speaks for.
    pub invariants: &'a [u32],
    /// Where.
    pub arena: &'a Arena,
    /// What must not be reached.
    pub vault: &'a Vault,
    /// So many tries make a release's race.
    pub tries: u64,
}

/// Tells the attackers to end, whatever becomes of the race.
struct Ending<'a>(&'a Arena);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Race<'_> {
    /// Lets root work until enough was tried; then demands that nothing was reached, and that the race was one.
    ///
    /// # Panics
    /// With all violations, or if too little was tried or met.
    pub fn run(&self, violations: &Violations, mut round: impl FnMut(u64) -> Round) {
        let budget = Budget::of(SHARE);
        let mut evidence = Evidence::new("races", self.what, self.invariants);
        let mut seeds = Random::seeded();
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let _ending = Ending(self.arena);
            for number in 0..self.arena.attackers() {
                let random = Random::of(seeds.below(u64::MAX));
                scope.spawn(move || self.arena.attack(number, random));
            }
            for number in 0.. {
                let done = round(number);
                evidence.count("tries", done.tries);
                evidence.count("swapped", done.swapped);
                evidence.count("rounds", 1);
                evidence.count("failed rounds", done.failed.into());
                if number % ROUNDS == 0 {
                    self.vault.check(violations, &format!("{}, round {number}", self.what));
                }
                let is_enough = evidence.counted("tries") >= self.tries;
                if budget.is_spent(is_enough) || violations.are_enough() || begun.elapsed() > LONGEST {
                    break;
                }
            }
        });
        self.vault.check(violations, self.what);
        violations.verdict();
        evidence.count("swaps", self.arena.swaps());
        let (tries, swapped) = (evidence.counted("tries"), evidence.counted("swapped"));
        let least = Effort::asked().of(2_000, self.tries);
        assert!(tries >= least, "{}: {tries} tries, {least} were wanted", self.what);
        assert!(swapped * 1000 >= tries, "{}: of {tries} tries only {swapped} met the attacker", self.what);
        evidence.conclude();
    }
}
