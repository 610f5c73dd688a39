//! Labels of SELinux: that of a mount point for its store, and what the policy is told of both. An app without the right label is denied its
//! data and sees nothing wrong, so nothing here fails a step: what did not come about is told.

use std::path::Path;
use std::time::Duration;

use datastore_core::AbsPath;
use datastore_core::label::Label;
use datastore_core::state::Reason;
use rustix::fs::OFlags;

use super::{Failure, Hands};
use crate::label::TOOL;
use crate::site::program::{self, Limits};
use crate::sys::stat;
use crate::sys::{Entry, fd, xattr};

/// It builds the whole policy anew, which takes seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// Gives a store directory a label. A mount point that has it must be bare.
pub(super) fn set(hands: &Hands<'_>, path: &AbsPath, gets: &Label) -> Result<(), Failure> {
    let open = |path: &AbsPath| {
        let place = hands.root.place(path)?;
        let dir = fd::open(place.entry(), OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW, 0);
        dir.map_err(|e| Failure::from(e.because(format!("{path} cannot be opened"))))
    };
    let store = open(path)?;
    let label = match gets {
        Label::Is(label) => Ok(Some(label.clone().into_bytes())),
        Label::Of(from) => {
            let bare = open(from)?;
            if stat::facts(Entry::itself(&bare))?.mount_root {
                return Err(Failure::changed(Reason::ForeignMount, format!("something is mounted at {from} now")));
            }
            xattr::label(Entry::itself(&bare))
        }
    };
    let given = label.and_then(|label| label.map_or(Ok(()), |label| xattr::set_label(Entry::itself(&store), &label)));
    if let Err(error) = given {
        let hint = match gets {
            Label::Of(from) => format!("chcon --reference={from} {path}"),
            Label::Is(label) => format!("chcon {} {path}", label.trim_end_matches('\0')),
        };
        hands.remark(format!("{path} did not get the SELinux label {gets}: {error}"), hint);
    }
    Ok(())
}

/// Tells the policy that a store directory is to be labelled like its mount point.
pub(super) fn keep(hands: &Hands<'_>, mount_point: &AbsPath, store: &AbsPath) {
    let (at, store) = (mount_point.to_string(), store.to_string());
    let arguments = ["fcontext", "-a", "-e", &at, &store];
    let failed = match program::run_within(Path::new(TOOL), &arguments, &[], &Limits { input: b"", time: LIMIT }) {
        Ok(ended) if ended.status.success() => return,
        Ok(ended) if ended.timed_out => format!("it was killed after {} s", LIMIT.as_secs()),
        Ok(ended) => ended.complaint(),
        Err(error) => error.chain(),
    };
    let detail = format!("SELinux's policy could not be told that {store} is labelled like {at}: {failed}");
    hands.remark(detail, format!("semanage fcontext -a -e {at} {store}"));
}
