//! The table: what was measured, its peer, and the bound that the project promises.

use std::fmt;

use crate::copies::{Copies, Figures};
use crate::series::Series;
use crate::{boot, delta, php, watch, writer};

/// Whether a bound is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Nothing is promised at this size.
    None,
    Ok,
    Missed,
}

/// One line.
#[derive(Debug)]
struct Row {
    what: String,
    ours: String,
    peer: String,
    /// The number that the bound is about.
    figure: String,
    bound: String,
    verdict: Verdict,
}

/// All lines.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
}

/// A bound on a figure.
#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn verdict(self, figure: f64) -> Verdict {
        let met = match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
        };
        if met { Verdict::Ok } else { Verdict::Missed }
    }
    fn text(self, unit: &str) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {least}{unit}"),
            Self::AtMost(most) => format!("<= {most}{unit}"),
        }
    }
}

/// The size for which the project promises its figures.
const PROMISED: usize = 10_000;

impl Report {
    /// Judges binds, sizes ascending. What is promised for 10,000 mappings is judged there alone; smaller
    /// sizes are shown.
    pub(crate) fn binds(&mut self, all: &[Series]) {
        for series in all {
            self.add_series(series);
        }
        for pair in all.windows(2) {
            if pair[1].size == PROMISED && pair[0].size * 10 == PROMISED {
                self.add_growth(&pair[0], &pair[1]);
            }
        }
    }

    /// Judges copies.
    pub(crate) fn copies(&mut self, figures: &Figures) {
        for copies in &figures.copies {
            self.add_copies(copies, figures.promised);
        }
        let (entries, mib) = figures.peak;
        self.figure(&format!("peak memory, {entries} entries"), mib, "MiB", Bound::AtMost(64.0), figures.promised);
        self.notes.push(format!(
            "copies: median of {} runs in turn, ext4 to a new ext4, both in images, until all is on the disk",
            figures.runs
        ));
    }

    /// Judges last passes.
    pub(crate) fn delta(&mut self, figures: &delta::Figures) {
        for p in &figures.passes {
            let what = format!("{} changes in {} files, {}", p.changes, p.files, if p.warm { "warm" } else { "cold" });
            let promised = figures.promised;
            let (rsync, told) = (Bound::AtLeast(60.0), Bound::AtMost(3.0));
            self.ratio(&format!("{what} / rsync"), p.ours, p.rsync, p.rsync / p.ours, rsync, promised);
            self.ratio(&format!("{what} / told"), p.ours, p.told, p.ours / p.told, told, promised);
            self.notes.push(format!("{what}: what was touched is compared in {}", seconds(p.compared)));
        }
        self.notes.push(format!(
            "changes: median of {} runs in turn, ext4 to ext4, both in images, until all is on the disk; told: a program that knows what \
             was changed",
            figures.runs
        ));
    }

    /// Judges a writer.
    pub(crate) fn writer(&mut self, f: &writer::Figures) {
        let what = format!("writer of {} files, watched / alone", f.files);
        let (slowed, bound) = (f.watched / f.alone, Bound::AtMost(1.15));
        self.rows.push(Row {
            what,
            ours: seconds(f.watched),
            peer: seconds(f.alone),
            figure: format!("{slowed:.2}x"),
            bound: if f.promised { bound.text("x") } else { String::new() },
            verdict: if f.promised { bound.verdict(slowed) } else { Verdict::None },
        });
        self.notes.push(format!("writer: median of {} runs in turn, files of 4 to 64 KiB on a new ext4", f.runs));
    }

    /// Judges what a watcher costs.
    pub(crate) fn watch(&mut self, f: &watch::Figures) {
        #[allow(clippy::cast_precision_loss, reason = "kibibytes of memory are far below 2^52")]
        let (resident, own, wakeups) = (f.resident as f64 / 1024.0, f.own as f64 / 1024.0, f.wakeups as f64);
        let what = format!("memory of a watcher of {} mappings", f.mappings);
        self.figure(&what, resident, "MiB", Bound::AtMost(10.0), true);
        self.figure(&format!("how often it is woken in {} s", f.seconds), wakeups, "", Bound::AtMost(0.0), true);
        self.notes.push(format!("watcher: {own:.1} MiB are its own, the rest is the program file, which all share"));
    }

    /// Judges boots.
    pub(crate) fn boot(&mut self, f: &boot::Figures) {
        let what = format!("boot with {} mappings and no disk / without datastore", f.mappings);
        let (slowed, bound) = (f.ours / f.plain, Bound::AtMost(1.1));
        self.rows.push(Row {
            what,
            ours: seconds(f.ours),
            peer: seconds(f.plain),
            figure: format!("{slowed:.2}x"),
            bound: bound.text("x"),
            verdict: bound.verdict(slowed),
        });
        let what = format!("the generator with {} mappings", f.mappings);
        self.figure(&what, f.generator, "s", Bound::AtMost(0.02), true);
        self.notes.push(format!(
            "boot: medians of {} boots each in turn, from the start of systemd in a container to multi-user.target; the disk is an image that is \
             missing",
            f.boots
        ));
    }

    /// Judges what PHP is told.
    pub(crate) fn php(&mut self, f: &php::Figures) {
        let ([few, rows], ours, peer) = f.few;
        let what = format!("status() of {few} ({rows} rows) / shell_exec");
        self.ratio(&what, ours, peer, peer / ours, Bound::AtLeast(20.0), f.promised);
        let ([many, rows], ours) = f.many;
        self.figure(&format!("status() of {many} ({rows} rows)"), ours, "s", Bound::AtMost(0.3), f.promised);
        let (calls, early, late) = f.memory;
        #[allow(clippy::cast_precision_loss, reason = "kibibytes of memory are far below 2^52")]
        let more = late.saturating_sub(early) as f64 / 1024.0;
        self.figure(&format!("memory that {calls} calls leave behind"), more, "MiB", Bound::AtMost(1.0), f.promised);
        let (shown, page) = f.page;
        self.figure(
            &format!("PHP's time for the overview of {shown} mappings"),
            page,
            "s",
            Bound::AtMost(0.05),
            f.promised,
        );
        self.notes.push(format!(
            "PHP: medians; shell_exec: json_decode(shell_exec(\"datastore status --json\")) in turn with it; memory: {early} KiB after 1000 \
             calls, {late} KiB after all"
        ));
    }

    fn add_copies(&mut self, c: &Copies, promised: bool) {
        let (warm, cold) = (if c.warm { "warm" } else { "cold" }, !c.warm);
        let what = format!("{}, {warm}", c.set);
        #[allow(clippy::cast_precision_loss, reason = "the bytes of these trees are far below 2^52")]
        let mib = c.bytes as f64 / f64::from(1 << 20);
        self.notes.push(format!(
            "{what}: {} entries, {mib:.0} MiB; {:.0} MiB/s, cp -a {:.0}, rsync {:.0}",
            c.entries,
            mib / c.ours,
            mib / c.cp,
            mib / c.rsync
        ));
        let small = c.set.contains("small");
        let of = |peer: f64| if small { c.ours / peer } else { peer / c.ours };
        let bounds = match (small, cold) {
            (true, false) => [Some(Bound::AtMost(0.55)), Some(Bound::AtMost(0.5))],
            (true, true) => [Some(Bound::AtMost(0.4)), Some(Bound::AtMost(0.4))],
            // The rate that is promised is that beside cp.
            (false, _) => [Some(Bound::AtLeast(1.4)), None],
        };
        for ((name, peer), bound) in [("cp -a", c.cp), ("rsync", c.rsync)].into_iter().zip(bounds) {
            let bound = bound.filter(|_| promised);
            self.rows.push(Row {
                what: format!("{what} / {name}"),
                ours: seconds(c.ours),
                peer: seconds(peer),
                figure: format!("{:.2}x", of(peer)),
                bound: bound.map_or_else(String::new, |bound| bound.text("x")),
                verdict: bound.map_or(Verdict::None, |bound| bound.verdict(of(peer))),
            });
        }
    }

    fn add_series(&mut self, s: &Series) {
        let n = s.size;
        let promised = n == PROMISED;
        self.ratio(
            &format!("first apply of {n} / mount -a"),
            s.first,
            s.peer_first,
            s.peer_first / s.first,
            Bound::AtLeast(15.0),
            promised,
        );
        self.ratio(
            &format!("its binding part / raw loop, {n}"),
            s.bind,
            s.raw,
            s.bind / s.raw,
            Bound::AtMost(2.0),
            promised,
        );
        self.ratio(
            &format!("apply with nothing to do, {n} / mount -a"),
            s.again,
            s.peer_again,
            s.peer_again / s.again,
            Bound::AtLeast(200.0),
            promised,
        );
        self.figure(&format!("apply with nothing to do, {n}"), s.again, "s", Bound::AtMost(0.15), promised);
        self.figure(&format!("status of {n}"), s.status, "s", Bound::AtMost(0.15), promised);
        self.figure(&format!("peak memory, {n}"), s.peak_mib, "MiB", Bound::AtMost(64.0), promised);
        if let Some((guard, nothing)) = s.guard {
            let over = (guard - nothing) * 1000.0;
            let bound = Bound::AtMost(3.0);
            self.rows.push(Row {
                what: format!("guard over /bin/true, {n} binds present"),
                ours: seconds(guard),
                peer: seconds(nothing),
                figure: format!("{over:.2} ms"),
                bound: bound.text(" ms"),
                verdict: bound.verdict(over),
            });
        }
        self.notes.push(format!(
            "{n} mappings: median of {} runs, each in a fresh root; mount(8) in {} of them, on the same directories",
            s.runs, s.peer_runs
        ));
    }

    fn add_growth(&mut self, small: &Series, large: &Series) {
        for (what, from, to) in [
            ("first apply", small.first, large.first),
            ("apply with nothing to do", small.again, large.again),
            ("status", small.status, large.status),
        ] {
            let bound = Bound::AtMost(12.0);
            self.rows.push(Row {
                what: format!("growth of {what}, {} to {}", small.size, large.size),
                ours: seconds(to),
                peer: seconds(from),
                figure: format!("{:.1}x", to / from),
                bound: bound.text("x"),
                verdict: bound.verdict(to / from),
            });
        }
    }

    fn ratio(&mut self, what: &str, ours: f64, peer: f64, figure: f64, bound: Bound, promised: bool) {
        self.rows.push(Row {
            what: what.to_owned(),
            ours: seconds(ours),
            peer: seconds(peer),
            figure: format!("{figure:.1}x"),
            bound: if promised { bound.text("x") } else { String::new() },
            verdict: if promised { bound.verdict(figure) } else { Verdict::None },
        });
    }

    fn figure(&mut self, what: &str, figure: f64, unit: &str, bound: Bound, promised: bool) {
        self.rows.push(Row {
            what: what.to_owned(),
            ours: if unit == "s" { seconds(figure) } else { format!("{figure:.1} {unit}") },
            peer: String::new(),
            figure: format!("{figure:.3} {unit}"),
            bound: if promised { bound.text(&format!(" {unit}")) } else { String::new() },
            verdict: if promised { bound.verdict(figure) } else { Verdict::None },
        });
    }

    /// Whether no bound is missed.
    pub(crate) fn all_met(&self) -> bool {
        self.rows.iter().all(|row| row.verdict != Verdict::Missed)
    }
}

/// A time for people.
fn seconds(seconds: f64) -> String {
    if seconds < 0.1 { format!("{:.2} ms", seconds * 1000.0) } else { format!("{seconds:.3} s") }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, c: [&str; 6]| {
            let text = format!("{:<46} {:>11} {:>11} {:>11} {:>11}  {}", c[0], c[1], c[2], c[3], c[4], c[5]);
            writeln!(f, "{}", text.trim_end())
        };
        line(f, ["what", "datastore", "peer", "figure", "bound", ""])?;
        for row in &self.rows {
            let verdict = match row.verdict {
                Verdict::None => "",
                Verdict::Ok => "ok",
                Verdict::Missed => "MISSED",
            };
            line(f, [&row.what, &row.ours, &row.peer, &row.figure, &row.bound, verdict])?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        if self.rows.iter().all(|row| row.verdict == Verdict::None) {
            writeln!(
                f,
                "no bound was judged: they are promised for {PROMISED} mappings, and for trees that are not shrunk"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Spoil = fn(&mut Series);

    fn series(size: usize, time: f64) -> Series {
        Series {
            size,
            runs: 3,
            peer_runs: 1,
            first: time,
            bind: time / 4.0,
            raw: time / 6.0,
            peer_first: time * 20.0,
            again: time / 8.0,
            peer_again: time * 40.0,
            status: time / 8.0,
            peak_mib: 20.0,
            guard: None,
        }
    }

    fn binds(all: &[Series]) -> Report {
        let mut report = Report::default();
        report.binds(all);
        report
    }

    #[test]
    fn bounds_are_judged_where_they_are_promised() {
        let report = binds(&[series(1_000, 0.09), series(10_000, 0.8)]);
        assert!(report.all_met(), "{report}");
        assert_eq!(report.rows.iter().filter(|row| row.verdict == Verdict::Ok).count(), 9);
        let text = report.to_string();
        assert!(text.contains("growth of status, 1000 to 10000"), "{text}");
    }

    #[test]
    fn each_bound_can_be_missed() {
        let good = || Series { guard: Some((0.004, 0.002)), ..series(10_000, 0.8) };
        assert!(binds(&[good()]).all_met());
        let spoilt: [(&str, Spoil); 7] = [
            ("first", |s| s.first = 2.0),
            ("bind", |s| s.bind = s.raw * 2.1),
            ("again", |s| s.again = 0.16),
            ("peer again", |s| s.peer_again = s.again * 199.0),
            ("status", |s| s.status = 0.16),
            ("peak", |s| s.peak_mib = 65.0),
            ("guard", |s| s.guard = Some((0.0061, 0.003))),
        ];
        for (name, spoil) in spoilt {
            let mut series = good();
            spoil(&mut series);
            assert!(!binds(&[series]).all_met(), "{name}");
        }
        assert!(!binds(&[series(1_000, 0.06), good()]).all_met(), "growth");
    }
    fn figures() -> Figures {
        let copies =
            |set, warm, [ours, cp, rsync]: [f64; 3]| Copies { set, entries: 9, bytes: 1 << 30, warm, ours, cp, rsync };
        Figures {
            runs: 3,
            promised: true,
            copies: vec![
                copies("50 small files", true, [1.0, 2.0, 2.1]),
                copies("50 small files", false, [1.0, 2.6, 2.7]),
                copies("mails", true, [1.0, 1.5, 0.9]),
            ],
            peak: (1_000_000, 12.0),
        }
    }

    #[test]
    fn each_bound_of_copies_can_be_missed() {
        let met = |spoil: fn(&mut Figures)| {
            let (mut figures, mut report) = (figures(), Report::default());
            spoil(&mut figures);
            report.copies(&figures);
            report.all_met()
        };
        assert!(met(|_| {}));
        let spoilt: [fn(&mut Figures); 6] = [
            |f| f.copies[0].cp = 1.8,
            |f| f.copies[0].rsync = 1.99,
            |f| f.copies[1].cp = 2.4,
            |f| f.copies[1].rsync = 2.4,
            |f| f.copies[2].cp = 1.39,
            |f| f.peak.1 = 64.1,
        ];
        for (number, spoil) in spoilt.into_iter().enumerate() {
            assert!(!met(spoil), "{number}");
        }
        assert!(met(|f| {
            f.promised = false;
            f.copies[0].cp = 0.1;
        }));
    }

    #[test]
    fn each_bound_of_what_php_is_told_can_be_missed() {
        let met = |ours, many, late, page| {
            let mut report = Report::default();
            let (few, many, memory) = (([12, 24], ours, 0.002), ([10_000, 10_012], many), (1_000_000, 20_000, late));
            report.php(&php::Figures { promised: true, few, many, memory, page: (100, page) });
            report.all_met()
        };
        assert!(met(0.0001, 0.3, 21_024, 0.05));
        assert!(met(0.0001, 0.1, 19_000, 0.01));
        assert!(!met(0.000_101, 0.3, 21_024, 0.05));
        assert!(!met(0.0001, 0.31, 21_024, 0.05));
        assert!(!met(0.0001, 0.3, 21_100, 0.05));
        assert!(!met(0.0001, 0.3, 21_024, 0.051));
    }

    #[test]
    fn each_bound_of_last_passes_and_of_writers_can_be_missed() {
        let met = |rsync, told, watched| {
            let passes = vec![delta::Passes {
                files: 200_000,
                warm: true,
                changes: 140,
                ours: 0.1,
                compared: 0.01,
                rsync,
                told,
            }];
            let mut report = Report::default();
            report.delta(&delta::Figures { runs: 3, promised: true, passes });
            report.writer(&writer::Figures { runs: 3, promised: true, files: 20_000, alone: 1.0, watched });
            report.all_met()
        };
        assert!(met(6.1, 0.04, 1.14));
        assert!(!met(5.9, 0.04, 1.14));
        assert!(!met(6.1, 0.03, 1.14));
        assert!(!met(6.1, 0.04, 1.16));
    }
}
