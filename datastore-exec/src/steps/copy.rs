//! Copies of trees that are in use: pass by pass, each shorter than the one before, and a last one when nobody writes any more.

mod switch;

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use datastore_core::moving::{Account, Compared, Led, Pass, TreeCopy, Verify};
use datastore_core::path::printable;
use datastore_core::plan::moving::has_changed;
use datastore_core::planted::{self, Bug};
use datastore_core::state::Reason;
use datastore_core::{AbsPath, Error, ErrorKind};

use super::tree::{demand_quiet, still_written};
use super::{Failure, Hands};
use crate::gauge::Counts;
use crate::moving::{compare, open, told};
use crate::sys::clock::whole_ms as ms;
use crate::tree::delta::delta;
use crate::tree::dirty::Dirty;
use crate::tree::limits::{self, Holds};
use crate::tree::map::Map;
use crate::tree::owed::Owed;
use crate::tree::update::{Changed, update};
use crate::tree::verify::{self, Contents, Verified};
use crate::tree::watch::Watch;
use crate::tree::written::Written;
use crate::tree::{self, TreeError};

pub(super) use switch::{move_dir, swap};

/// A pass that takes no longer than this leaves nothing worth another one.
const SHORT: Duration = Duration::from_millis(500);
/// So many passes are made at most, unless a time was asked for.
const PASSES: usize = 10;
/// So many, if one was.
const MOST_PASSES: usize = 100;
/// So often everything is compared that changes while it is.
const COMPARISONS: usize = 3;
/// So many passes are made to find alike what differed.
const ROUNDS: usize = 2;

/// A copy that is being made.
pub(crate) struct Copying {
    /// What the passes came to so far; it names the tree and its copy.
    account: Account,
    from: OwnedFd,
    to: OwnedFd,
    holds: Holds,
    map: Map,
    /// What follows the changes; none where the kernel cannot.
    watch: Option<Watch>,
    /// How contents are compared.
    contents: Contents,
    /// Whether a part of the copy is from an earlier run. Whatever that run has seen to fail, contents may be other than length and time
    /// of a file say: the kernel tells only once that something did not get to the disk.
    reused: bool,
    /// What is still to be found alike; none before everything was compared.
    owed: Option<Owed>,
    /// Whether the services are stopped.
    stopped: bool,
}

/// What a pass has looked at.
struct Looked {
    /// The names below the top; none if it was everything.
    names: Option<Vec<Vec<u8>>>,
    /// Whether it has found nothing to do.
    idle: bool,
}

impl Looked {
    /// A name that somebody has changed. The top is looked at each time.
    fn changed(&self) -> Option<&[u8]> {
        self.names.iter().flatten().map(Vec::as_slice).find(|path| !path.is_empty())
    }

    /// Whether nobody has changed anything.
    fn is_quiet(&self) -> bool {
        self.idle && self.changed().is_none()
    }
}

/// Copies trees while they are in use, until a last pass would be short.
pub(super) fn copy(
    hands: &Hands<'_>,
    trees: &[TreeCopy],
    how: Verify,
    max_downtime: Option<u32>,
) -> Result<(), Failure> {
    hands.gauge.borrow_mut().trees(trees.iter().map(|tree| &tree.from));
    hands.copies.borrow_mut().clear();
    let copied = trees.iter().try_for_each(|tree| {
        let mut copying = Copying::begin(hands, tree, how)?;
        copying.first_pass(hands)?;
        hands.copies.borrow_mut().push(copying);
        Ok::<_, Failure>(())
    });
    let copied = copied.and_then(|()| shrink(hands, max_downtime));
    copied.inspect_err(|failure| {
        hands.copies.borrow_mut().clear();
        if failure.reason == Reason::NoSpace {
            // A full volume is of use to nobody.
            for tree in trees {
                if let Err(error) = super::tree::remove(hands, &tree.to) {
                    hands.remark(error.error.chain(), format!("rm -rf {}", tree.to));
                }
            }
        }
    })
}

/// What comes after a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// One more.
    Pass,
    /// The comparison of everything, while there is time for it. It takes its time, so that there will be something to copy again.
    Compare,
    /// A last one would be short.
    Last,
    /// They do not get shorter, and more time was not allowed.
    Hopeless,
}

/// What comes after a pass that took so long. `before` is how long the one before took.
fn next(took: Duration, before: Duration, compared: bool, passes: usize, max_downtime: Option<Duration>) -> Next {
    let most = if max_downtime.is_some() { MOST_PASSES } else { PASSES };
    let (fits, shrinks) = (took <= max_downtime.unwrap_or(SHORT), took < before.mul_f64(0.8));
    if !fits && shrinks && passes < most {
        return Next::Pass;
    }
    match (compared, fits || max_downtime.is_none()) {
        (false, _) => Next::Compare,
        (true, true) => Next::Last,
        (true, false) => Next::Hopeless,
    }
}

/// Passes over all trees until they are short, and a comparison while there is time for it.
fn shrink(hands: &Hands<'_>, max_downtime: Option<u32>) -> Result<(), Failure> {
    let mut copies = hands.copies.borrow_mut();
    let (mut before, mut compared) = (Duration::MAX, false);
    for passes in 1.. {
        hands.gauge.borrow_mut().pass += 1;
        for copying in copies.iter_mut() {
            copying.pass(hands)?;
        }
        let took: Duration = copies.iter().map(Copying::took).sum();
        match next(took, before, compared, passes, max_downtime.map(|seconds| Duration::from_secs(seconds.into()))) {
            Next::Pass => before = took,
            Next::Compare => {
                for copying in copies.iter_mut() {
                    copying.compare(hands)?;
                }
                (before, compared) = (Duration::MAX, true);
            }
            Next::Last => break,
            Next::Hopeless => return Err(too_fast(took, max_downtime.unwrap_or_default())),
        }
    }
    Ok(())
}

fn too_fast(took: Duration, seconds: u32) -> Failure {
    let message = format!(
        "the data changes faster than it can be copied in {seconds} s: the last pass took {:.1} s and does not get shorter; \
         nothing was stopped",
        took.as_secs_f64()
    );
    let hint = "allow more with --max-downtime, or do it when less is written";
    Failure { reason: Reason::Busy, error: Error::new(ErrorKind::Refused, message).hint(hint) }
}

/// Copies what has changed since, now that nobody writes any more, and makes sure that the copies are right and on the disk.
pub(super) fn finish(hands: &Hands<'_>, trees: &[TreeCopy]) -> Result<(), Failure> {
    let paths: Vec<AbsPath> = trees.iter().map(|tree| tree.from.clone()).collect();
    let begun = Instant::now();
    demand_quiet(hands, &paths)?;
    hands.took("find writers", begun);
    let mut copies = hands.copies.take();
    if copies.len() != trees.len() {
        return Err(Failure::changed(Reason::Busy, "the copy was not begun by this run"));
    }
    hands.gauge.borrow_mut().pass += 1;
    let begun = Instant::now();
    for copying in &mut copies {
        copying.stopped = true;
        copying.pass(hands)?;
    }
    hands.took("copy changes", begun);
    // While one was copied somebody may have written to another.
    let begun = Instant::now();
    for copying in &mut copies {
        copying.close(hands)?;
    }
    hands.took("compare", begun);
    hands.accounts.replace(copies.iter().map(|copying| copying.account.clone()).collect());
    // Whoever writes from now on is noticed when the copies are about to count.
    hands.copies.replace(copies);
    Ok(())
}

/// Fails if somebody has changed something since one of two trees was put aside.
pub(super) fn demand_alike(hands: &Hands<'_>, app: &str, trees: &[TreeCopy]) -> Result<(), Failure> {
    for TreeCopy { from, to } in trees {
        let walk = |control: &tree::Control<'_>| compare(hands.root, from, to, control);
        let found = hands.while_walking("comparing", &from.to_string(), Counts::Entries, walk)?;
        if found.differ > 0 {
            return Err(Failure { reason: Reason::Busy, error: has_changed(app, &told(&found)) });
        }
    }
    Ok(())
}

impl Copying {
    fn begin(hands: &Hands<'_>, tree: &TreeCopy, how: Verify) -> Result<Self, Failure> {
        let (from, to) = (open(hands.root, &tree.from)?, open(hands.root, &tree.to)?);
        let watch = match Watch::start(&from) {
            Ok(watch) => Some(watch),
            Err(why) => {
                let detail = format!("{}: {why}; so the last pass compares everything", tree.from);
                hands.remark(detail, "");
                None
            }
        };
        let holds = limits::holds(&to).map_err(|e| e.because(format!("{} cannot be tried out", tree.to)))?;
        // Beside the copy: a file in it would be compared.
        let beside = tree.to.parent().unwrap_or_else(AbsPath::root);
        let map = Map::new(&open(hands.root, &beside)?)?;
        let account = Account::new(tree.from.clone(), tree.to.clone());
        let contents = if how == Verify::Content { Contents::All } else { Contents::Sample };
        Ok(Self { account, from, to, holds, map, watch, contents, reused: false, owed: None, stopped: false })
    }

    fn walk<T: Send>(
        &self,
        hands: &Hands<'_>,
        what: &str,
        counts: Counts,
        walk: impl FnOnce(&tree::Control<'_>) -> Result<T, TreeError> + Send,
    ) -> Result<T, Failure> {
        Ok(hands.while_walking(what, &self.account.from.to_string(), counts, walk)?)
    }

    /// What a comparison of everything counts.
    fn counts(&self) -> Counts {
        if self.contents == Contents::All { Counts::All } else { Counts::Entries }
    }

    /// Brings the copy to the disk.
    fn sync(&self) -> Result<(), Failure> {
        if planted::has(Bug::UnsyncedCopy) {
            return Ok(());
        }
        Ok(tree::sync(&self.to).map_err(|e| e.because(format!("{} cannot be brought to the disk", self.account.to)))?)
    }

    fn first_pass(&mut self, hands: &Hands<'_>) -> Result<(), Failure> {
        let begun = Instant::now();
        let empty = hands.root.is_empty_dir(&self.account.to)?;
        let (from, to, map) = (&self.from, &self.to, Some(&self.map));
        if empty {
            let copied = self.walk(hands, "copying", Counts::All, |control| {
                tree::copy(from, to, map, control)?;
                Ok((control.tally.entries(), control.tally.bytes.load(Ordering::Relaxed)))
            })?;
            self.sync()?;
            self.note(Led::All, copied, begun);
        } else {
            // What an earlier run has copied: all of it is read once.
            (self.reused, self.contents) = (true, Contents::All);
            let changed =
                self.walk(hands, "copying", Counts::Entries, |control| update(from, to, map, None, control))?;
            self.sync()?;
            self.note(Led::Scan, amount(&changed), begun);
        }
        Ok(())
    }

    /// Notes a pass that is on the disk.
    fn note(&mut self, led: Led, (entries, bytes): (u64, u64), begun: Instant) {
        self.account.passes.push(Pass { led, entries, bytes, ms: ms(begun.elapsed()), stopped: self.stopped });
    }

    /// How long the last pass took.
    fn took(&self) -> Duration {
        self.account.passes.last().map_or(Duration::ZERO, |pass| Duration::from_millis(pass.ms))
    }

    /// Copies what has changed since the last pass, and compares it if everything else was compared already.
    fn pass(&mut self, hands: &Hands<'_>) -> Result<Looked, Failure> {
        let begun = Instant::now();
        let (looked, led, done) = self.bring(hands)?;
        self.settle(hands)?;
        self.note(led, done, begun);
        Ok(looked)
    }

    /// Copies what has changed since the last pass, and brings it to the disk.
    fn bring(&mut self, hands: &Hands<'_>) -> Result<(Looked, Led, (u64, u64)), Failure> {
        let (from, to) = (&self.from, &self.to);
        let dirty = self.watch.as_ref().map(|watch| {
            watch.settle();
            watch.take()
        });
        let written = Written::default();
        // Before everything was compared nothing has to be compared by itself.
        let note = self.owed.as_ref().map(|_| &written);
        let (mut names, mut below, mut why) = (None, Vec::new(), None);
        let (mut led, mut done) = (Led::Changes, (0, 0));
        match dirty {
            Some(Dirty::Some(changes)) if changes.is_empty() => names = Some(Vec::new()),
            Some(Dirty::Some(changes)) => {
                let map = &self.map;
                let delta =
                    self.walk(hands, "copying changes", Counts::Some, |c| delta(from, to, &changes, map, note, c))?;
                why = delta.scan.map(|scan| scan.to_string());
                done = amount(&delta.changed);
                (names, below) = (why.is_none().then_some(delta.touched), delta.walked);
            }
            Some(Dirty::Everything(unknown)) => why = Some(unknown.to_string()),
            // That was told in the beginning.
            None => {}
        }
        if names.is_none() {
            if let Some(why) = why {
                hands.remark(format!("{}: {why}; so everything was compared", self.account.from), "");
            }
            let map = Some(&self.map);
            let changed =
                self.walk(hands, "comparing", Counts::Entries, |control| update(from, to, map, note, control))?;
            let (entries, bytes) = amount(&changed);
            (led, done) = (Led::Scan, (done.0 + entries, done.1 + bytes));
        }
        self.sync()?;
        if let Some(owed) = &mut self.owed {
            owed.looked(names.as_deref(), &below);
            owed.wrote(written.take());
        }
        Ok((Looked { names, idle: done == (0, 0) }, led, done))
    }

    /// Compares what is owed. What differs stays owed: it may have changed once more.
    fn settle(&mut self, hands: &Hands<'_>) -> Result<Verified, Failure> {
        let Some(mut owed) = self.owed.take() else { return Ok(Verified::default()) };
        if owed.is_empty() {
            self.owed = Some(owed);
            return Ok(Verified::default());
        }
        let (from, to, holds, contents) = (&self.from, &self.to, &self.holds, self.contents);
        let found =
            self.walk(hands, "comparing", Counts::Some, |control| owed.settle(from, to, holds, contents, control))?;
        self.owed = Some(owed);
        self.account.add(Compared::from(&found));
        Ok(found)
    }

    /// Compares everything while it is in use. What differs then, and still does when nobody has changed it, is wrong.
    fn compare(&mut self, hands: &Hands<'_>) -> Result<(), Failure> {
        if planted::has(Bug::UnverifiedCopy) {
            self.owed = Some(Owed::default());
            return Ok(());
        }
        for _ in 0..COMPARISONS {
            let (from, to, holds, contents) = (&self.from, &self.to, &self.holds, self.contents);
            // What is copied from now on is compared by itself.
            self.owed = None;
            let found = self.walk(hands, "comparing", self.counts(), |control| {
                verify::verify(from, to, holds, contents, control)
            })?;
            found.settle(&mut self.account);
            let mut owed = Owed::default();
            owed.found(&found);
            let again = owed.is_everything();
            self.owed = Some(owed);
            if !again {
                break;
            }
            // So much has changed meanwhile that it is not worth comparing by itself.
            self.owed = None;
            self.pass(hands)?;
            self.owed = Some(Owed::everything());
        }
        self.judge(hands)
    }

    /// What was found to differ must be alike by now, unless it has changed once more. What still differs stays owed, and is judged
    /// when nobody can write any more: somebody who writes through a mapping of a file is not noticed before.
    fn judge(&mut self, hands: &Hands<'_>) -> Result<(), Failure> {
        for _ in 0..ROUNDS {
            if !self.is_owed() {
                return Ok(());
            }
            if self.pass(hands)?.is_quiet() && self.is_owed() {
                if self.reused {
                    // What did not get to the disk is copied once more.
                    self.distrust()?;
                }
                // Nobody is told of the settings of an inode (chattr(1)).
                let (from, to, map, written) = (&self.from, &self.to, Some(&self.map), Written::default());
                self.walk(hands, "comparing", Counts::Entries, |control| {
                    update(from, to, map, Some(&written), control)
                })?;
                self.sync()?;
                if let Some(owed) = &mut self.owed {
                    owed.wrote(written.take());
                }
                return self.settle(hands).map(drop);
            }
        }
        Ok(())
    }

    /// Whether there is something that was not found alike so far.
    fn is_owed(&self) -> bool {
        self.owed.as_ref().is_none_or(|owed| !owed.is_empty())
    }

    /// Demands that nobody has written since the last pass, and that nothing is owed.
    fn close(&mut self, hands: &Hands<'_>) -> Result<(), Failure> {
        if self.watch.is_some() {
            self.demand_unchanged(hands)?;
        }
        let found = self.settle(hands)?;
        if self.is_owed() {
            // Whoever has written while it was compared is to be told of, and not the disk.
            self.demand_unchanged(hands)?;
        }
        if self.is_owed() { Err(self.wrong(hands, &found)) } else { Ok(()) }
    }

    /// Makes a pass, which must find that nobody has written since the last one.
    fn demand_unchanged(&mut self, hands: &Hands<'_>) -> Result<(), Failure> {
        let looked = self.pass(hands)?;
        if looked.is_quiet() {
            return Ok(());
        }
        let name = looked.changed().map_or(String::new(), |path| format!(": {}", printable(path)));
        Err(still_written(format!("something still writes to {}{name}", self.account.from)))
    }

    /// Makes what still differs such that the next comparison of the trees copies it anew.
    fn distrust(&self) -> Result<(), Failure> {
        self.owed.as_ref().map_or(Ok(()), |owed| Ok(owed.distrust(&self.to)?))
    }

    fn wrong(&self, hands: &Hands<'_>, found: &Verified) -> Failure {
        if let Err(failure) = self.distrust() {
            hands.remark(failure.error.chain(), format!("remove the copy: rm -rf {}", self.account.to));
        }
        let message =
            format!("the copy in {} is not the same as {}: {}", self.account.to, self.account.from, told(found));
        Error::new(ErrorKind::System, message)
            .hint("look after the disks (dmesg, smartctl); the original is as it was, and the next run copies anew what differs")
            .into()
    }
}

/// Entries and bytes of a pass.
fn amount(changed: &Changed) -> (u64, u64) {
    (changed.copied + changed.updated + changed.removed, changed.bytes)
}

#[cfg(test)]
mod tests;
