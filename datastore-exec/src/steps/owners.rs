//! Store directories whose files get other owners.

use std::sync::atomic::Ordering;

use datastore_core::owners::Renumber;
use datastore_core::state::Reason;
use datastore_core::{AbsPath, Error, ErrorKind};
use rustix::fs::OFlags;

use super::{Failure, Hands};
use crate::gauge::Counts;
use crate::root::if_there;
use crate::tree::owners::Renumbering;

/// Gives everything in some store directories other numbers.
pub(super) fn renumber(
    hands: &Hands<'_>,
    stores: &[AbsPath],
    users: &[Renumber],
    groups: &[Renumber],
) -> Result<(), Failure> {
    let root = hands.root;
    let numbers = Renumbering::new(users, groups);
    for store in stores {
        root.forget_within(store);
        let Some(top) = if_there(root.open_file(store, OFlags::RDONLY | OFlags::DIRECTORY, 0))? else {
            return Err(Failure::changed(Reason::MountFailed, format!("{store} is gone")));
        };
        let mounts = hands.while_walking("new owners", &store.to_string(), Counts::Entries, |control| {
            numbers.run(&top, control).map(|()| control.tally.mounts.load(Ordering::Relaxed))
        })?;
        drop(top);
        root.forget_within(store);
        if mounts > 0 {
            let message = format!("something is mounted inside of {store}, and was left as it is");
            return Err(Error::new(ErrorKind::Refused, message).hint(format!("findmnt -R {store}")).into());
        }
    }
    let left = numbers.left();
    if left > 0 {
        let detail = format!("{left} files have other names outside of what is adopted, and keep their owners");
        hands.remark(detail, format!("find {} -links +1 -ls", stores[0]));
    }
    Ok(())
}
