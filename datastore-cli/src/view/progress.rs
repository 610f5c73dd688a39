//! How far a long operation has come: a bar on a terminal, plain lines in a pipe, nothing beside JSON. All on standard error.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use datastore_core::amount::{count, size};
use datastore_exec::event::{Event, Listener};
use indicatif::{ProgressBar, ProgressStyle};

use super::human::{clean, cut};
use super::tell;

/// Fewer steps than this are over before anybody has read a line about them.
const FEW: usize = 20;
/// A line at most so often, unless a tenth is done.
const PAUSE: Duration = Duration::from_secs(1);

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
            Mode::Lines(Pace::new(Instant::now()))
        })
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
                Event::Begin { .. } => *pace = Pace::new(Instant::now()),
                Event::Walking { what, tree, entries, bytes } if pace.is_slow(Instant::now()) => {
                    let so_far = walked(*entries, *bytes);
                    tell(&format!("{what} {}: {so_far}\n", clean(tree)));
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
            let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len} {elapsed} {msg}");
            let style = style.map_or_else(|_| ProgressStyle::default_bar(), |s| s.progress_chars("#> "));
            *bar = Some(ProgressBar::new(plan.steps.len() as u64).with_style(style));
        }
        Event::Done { steps, of, what } => {
            if let Some(bar) = bar {
                bar.set_length(*of as u64);
                bar.set_position(*steps as u64);
                bar.set_message(cut(&clean(what), 40));
            }
        }
        Event::Walking { what, entries, bytes, .. } => {
            if let Some(bar) = bar {
                bar.set_message(cut(&format!("{what} {}", walked(*entries, *bytes)), 40));
            }
        }
        Event::End { .. } => {
            // The report says the rest.
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
        }
        _ => {}
    }
}

/// How far a walk has come.
fn walked(entries: u64, bytes: u64) -> String {
    format!("{}, {}", count(usize::try_from(entries).unwrap_or(usize::MAX), "entry"), size(bytes))
}

/// When a plain line is due.
#[derive(Debug)]
struct Pace {
    last: Instant,
    tenth: usize,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { last: now, tenth: 0 }
    }

    /// Within a long step: every few seconds.
    fn is_slow(&mut self, now: Instant) -> bool {
        let due = now.duration_since(self.last) >= 5 * PAUSE;
        if due {
            self.last = now;
        }
        due
    }

    fn is_due(&mut self, steps: usize, of: usize, now: Instant) -> bool {
        let tenth = steps * 10 / of.max(1);
        let due = (of >= FEW && tenth > self.tenth) || now.duration_since(self.last) >= PAUSE;
        if due {
            *self = Self { last: now, tenth };
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
        let mut pace = Pace::new(begun);
        let at = |n: usize| (1..=n).filter(|&i| pace.is_due(i, n, begun)).count();
        assert_eq!([5, 1000].map(at), [0, 10]);
        // Slow steps: one line a second.
        let mut pace = Pace::new(begun);
        let mut slow = |i: u32| pace.is_due(i as usize, 1_000_000, begun + Duration::from_millis(300) * i);
        assert_eq!((1..=20).filter(|&i| slow(i)).count(), 5);
    }
}
