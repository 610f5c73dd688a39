//! Copies of trees that are in use: pass by pass, each shorter than the one before, and a last one when nobody writes any more.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use datastore_core::moving::{TreeCopy, Verify};
use datastore_core::plan::moving::has_changed;
use datastore_core::state::Reason;
use datastore_core::{AbsPath, Error, ErrorKind};

use super::tree::{demand_quiet, still_written};
use super::{Failure, Hands};
use crate::moving::{compare, open, told};
use crate::tree::account::{Account, Kind, Pass};
use crate::tree::delta::delta;
use crate::tree::dirty::Dirty;
use crate::tree::limits::{self, Holds};
use crate::tree::map::Map;
use crate::tree::update::{Changed, update};
use crate::tree::verify::{self, Contents, Verified};
use crate::tree::watch::Watch;
use crate::tree::{self, TreeError};

/// A pass that takes no longer than this leaves nothing worth another one.
const SHORT: Duration = Duration::from_millis(500);
/// So many passes are made at most, unless a time was asked for.
const PASSES: usize = 10;
/// So many, if one was.
const MOST_PASSES: usize = 100;

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
    /// Whether the services are stopped.
    stopped: bool,
}

/// Copies trees while they are in use, until a last pass would be short.
pub(super) fn copy(
    hands: &Hands<'_>,
    trees: &[TreeCopy],
    how: Verify,
    max_downtime: Option<u32>,
) -> Result<(), Failure> {
    let copied = trees.iter().try_for_each(|tree| {
        let mut copying = Copying::begin(hands, tree)?;
        copying.first_pass(hands)?;
        hands.copies.borrow_mut().push(copying);
        Ok::<_, Failure>(())
    });
    let copied = copied.and_then(|()| shrink(hands, how, max_downtime));
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

/// Passes over all trees until they are short, and a comparison while there is time for it.
fn shrink(hands: &Hands<'_>, how: Verify, max_downtime: Option<u32>) -> Result<(), Failure> {
    let fits = max_downtime.map_or(SHORT, |seconds| Duration::from_secs(seconds.into()));
    let most = if max_downtime.is_some() { MOST_PASSES } else { PASSES };
    let mut copies = hands.copies.borrow_mut();
    let mut before = Duration::MAX;
    let mut compared = false;
    for _ in 0..most {
        for copying in copies.iter_mut() {
            copying.pass(hands)?;
        }
        let took: Duration = copies.iter().map(Copying::took).sum();
        let shrinks = took < before.mul_f64(0.8);
        if took <= fits || !shrinks {
            if !compared {
                // This takes its time, so that there will be something to copy again.
                for copying in copies.iter_mut() {
                    copying.compare(hands, how)?;
                }
                compared = true;
                before = Duration::MAX;
                continue;
            }
            if took <= fits || max_downtime.is_none() {
                return Ok(());
            }
            break;
        }
        before = took;
    }
    let Some(seconds) = max_downtime else { return Ok(()) };
    let took: Duration = copies.iter().map(Copying::took).sum();
    let message = format!(
        "the data changes faster than it can be copied in {seconds} s: the last pass took {:.1} s and does not get shorter; \
         nothing was stopped",
        took.as_secs_f64()
    );
    let hint = "allow more with --max-downtime, or do it when less is written";
    Err(Failure { reason: Reason::Busy, error: Error::new(ErrorKind::Refused, message).hint(hint) })
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
    for copying in &mut copies {
        copying.finish(hands)?;
    }
    hands.accounts.replace(copies.into_iter().map(|copying| copying.account).collect());
    Ok(())
}

/// Fails if somebody has changed something since one of two trees was put aside.
pub(super) fn demand_alike(hands: &Hands<'_>, app: &str, trees: &[TreeCopy]) -> Result<(), Failure> {
    for TreeCopy { from, to } in trees {
        let walk = |control: &tree::Control<'_>| compare(hands.root, from, to, control);
        let found = hands.while_walking("comparing", &from.to_string(), walk)?;
        if found.differ > 0 {
            return Err(Failure { reason: Reason::Busy, error: has_changed(app, &told(&found)) });
        }
    }
    Ok(())
}

impl Copying {
    fn begin(hands: &Hands<'_>, tree: &TreeCopy) -> Result<Self, Failure> {
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
        Ok(Self { account, from, to, holds, map, watch, stopped: false })
    }

    fn walk<T: Send>(
        &self,
        hands: &Hands<'_>,
        what: &str,
        walk: impl FnOnce(&tree::Control<'_>) -> Result<T, TreeError> + Send,
    ) -> Result<T, Failure> {
        Ok(hands.while_walking(what, &self.account.from.to_string(), walk)?)
    }

    /// Brings the copy to the disk.
    fn sync(&self) -> Result<(), Failure> {
        Ok(tree::sync(&self.to).map_err(|e| e.because(format!("{} cannot be brought to the disk", self.account.to)))?)
    }

    fn first_pass(&mut self, hands: &Hands<'_>) -> Result<(), Failure> {
        let begun = Instant::now();
        let (from, to, map) = (&self.from, &self.to, Some(&self.map));
        if hands.root.is_empty_dir(&self.account.to)? {
            let copied = self.walk(hands, "copying", |control| {
                tree::copy(from, to, map, control)?;
                Ok((control.tally.entries(), control.tally.bytes.load(Ordering::Relaxed)))
            })?;
            self.sync()?;
            self.note(Kind::Copy, copied, begun);
        } else {
            // What an earlier run has copied.
            let changed = self.walk(hands, "copying", |control| update(from, to, map, control))?;
            self.sync()?;
            self.note(Kind::Scan, amount(&changed), begun);
        }
        Ok(())
    }

    /// Notes a pass that is on the disk.
    fn note(&mut self, kind: Kind, (entries, bytes): (u64, u64), begun: Instant) {
        self.account.passes.push(Pass { kind, entries, bytes, took: begun.elapsed(), stopped: self.stopped });
    }

    /// How long the last pass took.
    fn took(&self) -> Duration {
        self.account.passes.last().map_or(Duration::ZERO, |pass| pass.took)
    }

    /// Copies what has changed since the last pass. Returns the names that were touched; none if everything was compared.
    fn pass(&mut self, hands: &Hands<'_>) -> Result<Option<Vec<Vec<u8>>>, Failure> {
        let begun = Instant::now();
        let (from, to) = (&self.from, &self.to);
        let dirty = self.watch.as_ref().map(|watch| {
            watch.settle();
            watch.take()
        });
        let (mut touched, mut why) = (None, None);
        let (mut kind, mut done) = (Kind::Changes, (0, 0));
        match dirty {
            Some(Dirty::Some(changes)) => {
                let map = &self.map;
                let delta = self.walk(hands, "copying changes", |control| delta(from, to, &changes, map, control))?;
                why = delta.scan.map(|scan| scan.to_string());
                done = amount(&delta.changed);
                touched = why.is_none().then_some(delta.touched);
            }
            Some(Dirty::Everything(unknown)) => why = Some(unknown.to_string()),
            // That was told in the beginning.
            None => {}
        }
        if touched.is_none() {
            if let Some(why) = why {
                hands.remark(format!("{}: {why}; so everything was compared", self.account.from), "");
            }
            let map = Some(&self.map);
            let (entries, bytes) = amount(&self.walk(hands, "comparing", |control| update(from, to, map, control))?);
            (kind, done) = (Kind::Scan, (done.0 + entries, done.1 + bytes));
        }
        self.sync()?;
        self.note(kind, done, begun);
        Ok(touched)
    }

    /// Compares everything while it is in use. What differs then, and still does after a further pass, is wrong.
    fn compare(&mut self, hands: &Hands<'_>, how: Verify) -> Result<(), Failure> {
        let contents = if how == Verify::Content { Contents::All } else { Contents::Sample };
        let (from, to, holds) = (&self.from, &self.to, &self.holds);
        let found = self.walk(hands, "comparing", |control| verify::verify(from, to, holds, contents, control))?;
        self.account.whole(&found);
        if found.differ == 0 {
            return Ok(());
        }
        // It changed meanwhile, or in a way that nobody is told of (an inode flag).
        self.pass(hands)?;
        let (from, to, map) = (&self.from, &self.to, Some(&self.map));
        if found.differ > found.differences.len() as u64 {
            self.walk(hands, "comparing", |control| update(from, to, map, control))?;
        }
        let paths: Vec<Vec<u8>> = found.differences.into_iter().map(|difference| difference.path).collect();
        self.judge_live(hands, &paths)
    }

    /// What was found to differ must be alike by now, unless it has changed once more.
    fn judge_live(&mut self, hands: &Hands<'_>, paths: &[Vec<u8>]) -> Result<(), Failure> {
        for last in [false, true] {
            let (from, to, holds) = (&self.from, &self.to, &self.holds);
            let found = self.walk(hands, "comparing", |control| verify::entries(from, to, holds, paths, control))?;
            self.account.since(&found);
            if found.differ == 0 {
                return Ok(());
            }
            let changed = self.pass(hands)?.is_none_or(|touched| !touched.is_empty());
            if !changed || last {
                let contents = found.differences.iter().any(|d| d.what.contains(&"contents"));
                if contents && !changed {
                    return Err(self.wrong(&found));
                }
                let map = Some(&self.map);
                let (from, to) = (&self.from, &self.to);
                self.walk(hands, "comparing", |control| update(from, to, map, control))?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, hands: &Hands<'_>) -> Result<(), Failure> {
        self.stopped = true;
        let begun = Instant::now();
        let touched = self.pass(hands)?;
        hands.took("copy changes", begun);
        let begun = Instant::now();
        let (from, to, holds) = (&self.from, &self.to, &self.holds);
        let found = match &touched {
            Some(touched) => self.walk(hands, "comparing", |c| verify::entries(from, to, holds, touched, c))?,
            None => self.walk(hands, "comparing", |c| verify::verify(from, to, holds, Contents::Sample, c))?,
        };
        if touched.is_some() {
            self.account.since(&found);
        } else {
            self.account.whole(&found);
        }
        if touched.is_some()
            && let Some(again) = self.pass(hands)?
            // The top is looked at each time; what is made in it has a name.
            && let Some(first) = again.iter().find(|path| !path.is_empty())
        {
            let name = datastore_core::path::printable(first);
            return Err(still_written(format!("something still writes to {}: {name}", self.account.from)));
        }
        hands.took("compare", begun);
        if found.differ > 0 { Err(self.wrong(&found)) } else { Ok(()) }
    }

    fn wrong(&self, found: &Verified) -> Failure {
        let message = format!("the copy in {} is not the same as {}: {}", self.account.to, self.account.from, told(found));
        Error::new(ErrorKind::System, message)
            .hint("look after the disks (dmesg, smartctl); the original is as it was")
            .into()
    }
}

/// Entries and bytes of a pass.
fn amount(changed: &Changed) -> (u64, u64) {
    (changed.copied + changed.updated + changed.removed, changed.bytes)
}

#[cfg(test)]
mod tests;
