//! How far a long operation has come: a bar on a terminal, plain lines in a pipe, nothing beside JSON. All on standard error.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use datastore_core::progress::Walk;
use datastore_exec::event::{Event, Listener};
use indicatif::{ProgressBar, ProgressStyle};

use super::human::{clean, cut};
use super::tell;

/// Fewer steps than this are over before anybody has read a line about them.
const FEW: usize = 20;
/// A line at most so often, unless a tenth of many steps is done.
const PAUSE: Duration = Duration::from_secs(3);
/// Parts of the bar of a walk.
const PARTS: f64 = 1000.0;

/// Listens to the engine and shows.
#[derive(Debug)]
pub(crate) struct Progress(Mode);

#[derive(Debug)]
enum Mode {
    Quiet,
    Bar(Option<ProgressBar>),
    Lines(Pace),
}

impl Progress {
    /// What standard error is good for; quiet beside JSON.
    pub(crate) fn new(is_json: bool) -> Self {
        Self(if is_json {
            Mode::Quiet
        } else if std::io::stderr().is_terminal() {
            Mode::Bar(None)
        } else {
            Mode::Lines(Pace::new(Instant::now(), false))
        })
    }
}

impl Progress {
    /// Takes the bar away; the result says the rest.
    pub(crate) fn clear(&mut self) {
        if let Mode::Bar(bar) = &mut self.0
            && let Some(bar) = bar.take()
        {
            bar.finish_and_clear();
        }
    }
}

impl Listener for Progress {
    fn event(&mut self, event: &Event<'_>) {
        if matches!(self.0, Mode::Quiet) {
            return;
        }
        match event {
            Event::Recovering { operation, goal } => {
                tell(&format!("finishing `{}`, which had stopped half-way ({operation})\n", clean(goal)));
            }
            Event::GivenUp { why, .. } => tell(&format!("it cannot be finished: {}\n", clean(why))),
            _ => {}
        }
        match &mut self.0 {
            Mode::Quiet => {}
            Mode::Bar(bar) => draw(bar, event),
            Mode::Lines(pace) => match event {
                Event::Begin { plan, .. } => *pace = Pace::new(Instant::now(), plan.goal.is_single()),
                Event::Walking { walk } if pace.is_slow(Instant::now()) => {
                    tell(&format!("{}\n", clean(&walk.to_string())));
                }
                // What takes its time is told when it begins.
                Event::Doing { done, of, what } if pace.is_slow(Instant::now()) => {
                    tell(&format!("{}/{of} {}\n", done + 1, clean(what)));
                }
                Event::Done { steps, of, what } if pace.is_due(*steps, *of, Instant::now()) => {
                    tell(&format!("{steps}/{of} {}\n", clean(what)));
                }
                _ => {}
            },
        }
    }
}

fn draw(bar: &mut Option<ProgressBar>, event: &Event<'_>) {
    match event {
        Event::Begin { plan, .. } => {
            *bar = Some(ProgressBar::new(plan.steps.len() as u64).with_style(style(OF_STEPS)));
        }
        Event::Done { steps: done, of, what } | Event::Doing { done, of, what } => {
            if let Some(bar) = bar {
                bar.set_style(style(OF_STEPS));
                bar.set_length(*of as u64);
                bar.set_position(*done as u64);
                bar.set_message(cut(&clean(what), 40));
            }
        }
        // Of an operation, or of a measure, which has no beginning.
        Event::Walking { walk } => follow(bar.get_or_insert_with(|| ProgressBar::new(PARTS as u64)), walk),
        Event::End { .. } => {
            // The report says the rest.
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
        }
        _ => {}
    }
}

/// Steps that are done, of all.
const OF_STEPS: &str = "[{bar:30}] {pos}/{len} {elapsed} {msg}";
/// How far a walk is whose end is known.
const OF_WALK: &str = "[{bar:20}] {percent}% {wide_msg}";
/// One whose end is not.
const OPEN: &str = "{elapsed} {wide_msg}";

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style.map_or_else(|_| ProgressStyle::default_bar(), |style| style.progress_chars("#> "))
}

/// Shows how far a walk is, how fast, and how long it will still take.
fn follow(bar: &ProgressBar, walk: &Walk) {
    if let Some(fraction) = walk.fraction() {
        bar.set_style(style(OF_WALK));
        bar.set_length(PARTS as u64);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a thousand")]
        bar.set_position((fraction * PARTS) as u64);
    } else {
        bar.set_style(style(OPEN));
    }
    // The line is cut at the end: what a person waits for comes first.
    bar.set_message(format!("{}: {}, {}", walk.what, walk.pace(), walk.amount()));
}

/// When a plain line is due.
#[derive(Debug)]
struct Pace {
    last: Instant,
    tenth: usize,
    /// Whether steps take their time, so that it alone counts.
    slow: bool,
}

impl Pace {
    fn new(now: Instant, slow: bool) -> Self {
        Self { last: now, tenth: 0, slow }
    }

    /// Where steps take their time: every few seconds.
    fn is_slow(&mut self, now: Instant) -> bool {
        let due = now.duration_since(self.last) >= PAUSE;
        if due {
            self.last = now;
        }
        due
    }

    fn is_due(&mut self, steps: usize, of: usize, now: Instant) -> bool {
        let tenth = steps * 10 / of.max(1);
        let due = (of >= FEW && tenth > self.tenth && !self.slow) || now.duration_since(self.last) >= PAUSE;
        if due {
            (self.last, self.tenth) = (now, tenth);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_few() {
        let begun = Instant::now();
        let mut pace = Pace::new(begun, false);
        let at = |n: usize| (1..=n).filter(|&i| pace.is_due(i, n, begun)).count();
        assert_eq!([5, 1000].map(at), [0, 10]);
        // Slow steps: one line in three seconds.
        let mut pace = Pace::new(begun, false);
        let mut slow = |i: u32| pace.is_due(i as usize, 1_000_000, begun + Duration::from_secs(1) * i);
        assert_eq!((1..=20).filter(|&i| slow(i)).count(), 6);
        // Where data is moved nothing but time counts, whether a step begins, is done, or walks.
        let mut pace = Pace::new(begun, true);
        assert!(!(1..=30).any(|i| pace.is_due(i, 30, begun)));
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        assert!(pace.is_slow(at(3)) && !pace.is_slow(at(5)) && !pace.is_due(1, 30, at(5)) && pace.is_due(2, 30, at(6)));
    }

    #[test]
    fn a_walk_has_a_bar_as_far_as_its_end_is_known() {
        let walk = Walk {
            what: "copying".into(),
            tree: "/home".into(),
            pass: 1,
            entries: 250,
            entries_total: Some(1000),
            bytes: 0,
            bytes_total: None,
            bytes_per_second: 5 << 20,
            seconds_left: Some(90),
        };
        let bar = ProgressBar::hidden();
        follow(&bar, &walk);
        assert_eq!((bar.position(), bar.length()), (250, Some(1000)));
        assert_eq!(bar.message(), "copying: 5.0 MiB/s, about 1 min 30 s left, 250 of 1000 entries, 0 B");
        follow(&bar, &Walk { entries_total: None, seconds_left: None, ..walk });
        assert_eq!(bar.message(), "copying: 5.0 MiB/s, 250 entries, 0 B");
    }
}
