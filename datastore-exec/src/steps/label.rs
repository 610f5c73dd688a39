//! Labels of SELinux: that of a mount point for its store, and what the policy is told of both. An app without the right label is denied its
//! data and sees nothing wrong, so nothing here fails a step: what did not come about is told.

use std::path::Path;
use std::time::Duration;

use datastore_core::label::Label;
use datastore_core::state::Reason;
use datastore_core::{AbsPath, Error};
use rustix::fs::OFlags;

use super::{Failure, Hands};
use crate::label::TOOL;
use crate::lock::{self, Attempt, Share};
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
        Label::Of(from) | Label::Policy(from) => {
            let bare = open(from)?;
            if stat::facts(Entry::itself(&bare))?.mount_root {
                return Err(Failure::changed(Reason::ForeignMount, format!("something is mounted at {from} now")));
            }
            let has = matches!(gets, Label::Policy(_)).then(|| of_policy(hands, from)).flatten();
            has.map_or_else(|| xattr::label(Entry::itself(&bare)), |label| Ok(Some(label)))
        }
    };
    let given = label.and_then(|label| label.map_or(Ok(()), |label| xattr::set_label(Entry::itself(&store), &label)));
    if let Err(error) = given {
        let hint = match gets {
            Label::Of(from) | Label::Policy(from) => format!("chcon --reference={from} {path}"),
            Label::Is(label) => format!("chcon {} {path}", label.trim_end_matches('\0')),
        };
        hands.remark(format!("{path} did not get the SELinux label {gets}: {error}"), hint);
    }
    Ok(())
}

/// What the policy has for a directory; `None` if it has nothing, or cannot be asked.
fn of_policy(hands: &Hands<'_>, path: &AbsPath) -> Option<Vec<u8>> {
    // The policy of the machine is that of its kernel; below another root lies one that nobody follows now.
    let at = path.to_str().filter(|_| hands.root.is_machine())?;
    let asked = program::run("matchpathcon", "selinux-utils", &["-n", "-m", "dir", at]).ok()?;
    let label = asked.stdout.trim_ascii_end();
    let is_label = asked.status.success() && !label.is_empty() && !label.starts_with(b"<<");
    is_label.then(|| [label, b"\0"].concat())
}

/// Tells the policy that a store directory is to be labelled like its mount point.
pub(super) fn keep(hands: &Hands<'_>, mount_point: &AbsPath, store: &AbsPath) {
    let (at, store) = (mount_point.to_string(), store.to_string());
    let Err(failed) = told(hands, &["fcontext", "-a", "-e", &at, &store]) else { return };
    let detail = format!("SELinux's policy could not be told that {store} is labelled like {at}: {failed}");
    hands.remark(detail, format!("semanage fcontext -a -e {at} {store}"));
}

/// Runs the tool, one at a time: it reads what it was told before it waits for others, so of two that run at once one forgets what the other
/// was told.
fn told(hands: &Hands<'_>, arguments: &[&str]) -> Result<(), String> {
    let _lock = match lock::take(hands.root, "policy", Share::Exclusive, hands.tag, LIMIT).map_err(|e| e.chain())? {
        Attempt::Taken(lock) => lock,
        Attempt::Held(held) => return Err(Error::from(held).chain()),
    };
    let limits = Limits { input: b"", time: LIMIT };
    let ended = program::run_within(Path::new(TOOL), arguments, &[], &limits).map_err(|e| e.chain())?;
    if ended.status.success() {
        Ok(())
    } else if ended.timed_out {
        Err(format!("it was killed after {} s", LIMIT.as_secs()))
    } else {
        Err(ended.complaint())
    }
}
