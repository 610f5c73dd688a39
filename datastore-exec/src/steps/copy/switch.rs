//! The moment from which the copy counts. Between the last pass and it there are steps that take their time (files that are replaced,
//! brought to the disk), and whoever is no service goes on writing. So nobody is let in any more first, and then it is looked at once
//! more whether anything was written since the last pass: if so, everything is taken back.
//!
//! A tree that is bound is closed by making its bind read-only, which the kernel refuses while anybody writes through it. A tree in its
//! own place is closed by the rename that puts it aside: whoever has opened something before is found by looking at all processes.

use datastore_core::AbsPath;
use datastore_core::mapping::BindOptions;
use datastore_core::path::printable;
use datastore_core::step::{Bound, Top};
use rustix::fs::OFlags;

use super::{Copying, Failure, Hands};
use crate::gauge::Counts;
use crate::steps::{bind, tree as trees};
use crate::sys::fd;
use crate::sys::mount::{self, Seal};
use crate::tree::dirty::Dirty;
use crate::tree::places::within;
use crate::tree::verify::{self, Contents};

/// Shows another store at a mount point. If it is the copy of what is shown, nobody may have written since it was made.
pub(crate) fn swap(
    hands: &Hands<'_>,
    mount_point: &AbsPath,
    from: &Bound,
    to: &Bound,
    options: BindOptions,
) -> Result<(), Failure> {
    let exchange = || bind::swap(hands.root, mount_point, from, to, options);
    if !is_copied(hands, &from.store) {
        return exchange();
    }
    hands.root.forget_within(mount_point);
    let place = hands.root.place(mount_point)?;
    let shown = fd::open(place.entry(), OFlags::PATH | OFlags::DIRECTORY, 0)?;
    let closed = mount::seal_writes(&shown)
        .map_err(|e| e.because(format!("what is bound at {mount_point} cannot be closed to writers")))?;
    if closed == Seal::Writer {
        return Err(trees::still_written(format!("{mount_point} is still written to")));
    }
    let done = demand_still(hands, &from.store).and_then(|()| exchange());
    if done.is_err() && closed == Seal::Sealed {
        let opened = mount::unseal_writes(&shown);
        if let Err(error) = opened {
            hands.remark(error.to_string(), format!("mount -o remount,rw {mount_point}"));
        }
    }
    done
}

/// Gives a directory another name. If a copy was made of it, nobody may have written since.
pub(crate) fn move_dir(hands: &Hands<'_>, from: &AbsPath, to: &AbsPath, gets: Option<Top>) -> Result<(), Failure> {
    trees::move_dir(hands.root, from, to, gets)?;
    if !is_copied(hands, from) {
        return Ok(());
    }
    let quiet = trees::demand_quiet(hands, std::slice::from_ref(to)).and_then(|()| demand_still(hands, from));
    quiet.inspect_err(|_| {
        if let Err(failure) = trees::move_dir(hands.root, to, from, None) {
            hands.remark(failure.error.chain(), format!("mv {to} {from}"));
        }
    })
}

fn is_copied(hands: &Hands<'_>, tree: &AbsPath) -> bool {
    hands.copies.borrow().iter().any(|copying| copying.account.from == *tree)
}

/// Fails if somebody has written to a tree since the last pass over it. Nobody can any more; so it is asked once.
fn demand_still(hands: &Hands<'_>, tree: &AbsPath) -> Result<(), Failure> {
    let mut copies = hands.copies.borrow_mut();
    let Some(at) = copies.iter().position(|copying| copying.account.from == *tree) else { return Ok(()) };
    let copying = copies.swap_remove(at);
    match copying.changed(hands)? {
        None => Ok(()),
        Some(what) => Err(trees::still_written(format!("something still writes to {tree}: {what}"))),
    }
}

impl Copying {
    /// What has changed in the tree since the last pass; the copy is left as it is.
    fn changed(&self, hands: &Hands<'_>) -> Result<Option<String>, Failure> {
        let Some(watch) = &self.watch else {
            let (from, to, holds) = (&self.from, &self.to, &self.holds);
            let found = self.walk(hands, "comparing", Counts::Entries, |control| {
                verify::verify(from, to, holds, Contents::Nothing, control)
            })?;
            return Ok(found.differences.first().map(ToString::to_string));
        };
        watch.settle();
        Ok(match watch.take() {
            Dirty::Everything(unknown) => Some(unknown.to_string()),
            Dirty::Some(changes) => within(&self.from, &changes, &self.map)?.map(|path| printable(&path)),
        })
    }
}
