//! Measures walks over trees: how fast they are, and how long they will take.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use datastore_core::plan::Load;
use datastore_core::progress::Walk;

/// The rate is that of so long.
const WINDOW: Duration = Duration::from_secs(5);
/// Before this a guess would be one.
const SOON: Duration = Duration::from_secs(1);

/// What a walk counts of what is known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// Everything in the trees.
    All,
    /// Every entry, but the bytes of some files only.
    Entries,
    /// Nobody knows how much.
    Some,
}

/// What was counted, and when.
#[derive(Debug)]
pub(crate) struct Gauge<'a> {
    loads: &'a [Load],
    /// How much the trees hold that are walked together.
    all: (u64, u64),
    /// Which pass this is.
    pub(crate) pass: u32,
    /// What is measured: one kind of walk in one pass, over all trees.
    stage: (u32, String),
    begun: Instant,
    /// What trees came to that have been walked.
    before: (u64, u64),
    /// Bytes at some times, the oldest first.
    samples: VecDeque<(Instant, u64)>,
}

impl<'a> Gauge<'a> {
    /// One that knows how much there is of each tree.
    pub(crate) fn new(loads: &'a [Load]) -> Self {
        let begun = Instant::now();
        Self { loads, all: (0, 0), pass: 1, stage: (0, String::new()), begun, before: (0, 0), samples: VecDeque::new() }
    }

    /// These trees are walked together from now on.
    pub(crate) fn trees<'t>(&mut self, paths: impl Iterator<Item = &'t datastore_core::AbsPath>) {
        let paths: Vec<_> = paths.collect();
        let of_these = self.loads.iter().filter(|load| paths.contains(&&load.path));
        self.all = of_these.fold((0, 0), |all, load| (all.0 + load.entries, all.1 + load.bytes));
        self.pass = 1;
    }

    /// How far a walk is that has come to so many entries and bytes of a tree.
    pub(crate) fn read(&mut self, what: &str, tree: &str, counts: Counts, now: (u64, u64)) -> Walk {
        self.at(Instant::now(), what, tree, counts, now)
    }

    fn at(&mut self, time: Instant, what: &str, tree: &str, counts: Counts, now: (u64, u64)) -> Walk {
        if self.stage != (self.pass, what.to_owned()) {
            self.stage = (self.pass, what.to_owned());
            (self.begun, self.before) = (time, (0, 0));
            self.samples.clear();
        }
        let (entries, bytes) = (self.before.0 + now.0, self.before.1 + now.1);
        self.samples.push_back((time, bytes));
        while self.samples.len() > 2 && time.duration_since(self.samples[1].0) >= WINDOW {
            self.samples.pop_front();
        }
        // How much there is was never asked.
        let is_known = self.all.0 > 0;
        let mut walk = Walk {
            what: what.into(),
            tree: tree.into(),
            pass: self.pass,
            entries,
            entries_total: (is_known && counts != Counts::Some).then_some(self.all.0.max(entries)),
            bytes,
            bytes_total: (is_known && counts == Counts::All).then_some(self.all.1.max(bytes)),
            bytes_per_second: self.rate(),
            seconds_left: None,
        };
        let took = time.duration_since(self.begun);
        walk.seconds_left = walk.fraction().filter(|&done| done > 0.0 && took >= SOON).map(|done| {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is a guess, and not negative"
            )]
            let seconds = (took.as_secs_f64() * (1.0 - done) / done).ceil() as u64;
            seconds
        });
        walk
    }

    /// The tree has been walked, and came to this.
    pub(crate) fn walked(&mut self, now: (u64, u64)) {
        self.before = (self.before.0 + now.0, self.before.1 + now.1);
    }

    fn rate(&self) -> u64 {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else { return 0 };
        let took = last.0.duration_since(first.0).as_millis();
        let bytes = u128::from(last.1.saturating_sub(first.1));
        (bytes * 1000).checked_div(took).map_or(0, |rate| u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use datastore_core::AbsPath;
    use datastore_core::plan::Fate;

    use super::*;

    fn load(path: &'static str, entries: u64, bytes: u64) -> Load {
        let path = AbsPath::literal(path);
        Load { fate: Fate::Copied, mount_point: path.clone(), path, entries, bytes, seconds: 1, until: None }
    }

    #[test]
    fn two_trees_are_one_pass() {
        let loads = [load("/a", 100, 1000), load("/b", 300, 3000), load("/c", 7, 7)];
        let mut gauge = Gauge::new(&loads);
        gauge.trees([AbsPath::literal("/a"), AbsPath::literal("/b")].iter());
        let begun = Instant::now();
        let after = |seconds: u64| begun + Duration::from_secs(seconds);
        let first = gauge.at(after(0), "copying", "/a", Counts::All, (0, 0));
        assert_eq!((first.entries_total, first.bytes_total, first.seconds_left), (Some(400), Some(4000), None));
        let half = gauge.at(after(2), "copying", "/a", Counts::All, (50, 500));
        assert_eq!((half.bytes_per_second, half.seconds_left), (250, Some(14)));
        gauge.walked((100, 1000));
        let second = gauge.at(after(4), "copying", "/b", Counts::All, (100, 1000));
        assert_eq!((second.entries, second.bytes, second.seconds_left), (200, 2000, Some(4)));
        assert_eq!(second.tree, "/b");
        // The rate follows the last seconds; the tree has grown.
        let last = gauge.at(after(60), "copying", "/b", Counts::All, (400, 4000));
        assert_eq!((last.entries_total, last.seconds_left), (Some(500), Some(0)));
        gauge.walked((400, 4000));
        gauge.pass = 2;
        let next = gauge.at(after(70), "copying changes", "/a", Counts::Some, (3, 30));
        assert_eq!((next.entries, next.pass, next.entries_total, next.bytes_total), (3, 2, None, None));
        let compared = gauge.at(after(71), "comparing", "/a", Counts::Entries, (100, 8));
        assert_eq!((compared.entries_total, compared.bytes_total), (Some(400), None));
    }

    #[test]
    fn without_knowledge_nothing_is_guessed() {
        let mut gauge = Gauge::new(&[]);
        let walk = gauge.read("removing", "/a", Counts::Entries, (5, 0));
        assert_eq!((walk.entries, walk.entries_total, walk.seconds_left), (5, None, None));
    }
}
