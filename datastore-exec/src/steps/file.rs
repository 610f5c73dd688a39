//! Files that are replaced as a whole: fstab, manifests, our own configuration.

use std::time::Duration;

use datastore_core::fstab::{self, Fstab};
use datastore_core::manifest::{self, DIRECTORY, Manifest};
use datastore_core::state::Reason;
use datastore_core::value::{Attrs, Mode};
use datastore_core::{AbsPath, Error, ErrorKind};

use super::{Failure, Hands, dir};
use crate::durable::{self, Expect, Replaced};
use crate::lock::{self, Attempt, Lock, Share};
use crate::observe::{self, FSTAB};
use crate::root::if_there;
use crate::sys::fd;

/// How long a step waits for another run that is writing the same file: that takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

fn short_lock(hands: &Hands<'_>, name: &str) -> Result<Lock, Failure> {
    match lock::take(hands.root, name, Share::Exclusive, hands.tag, PATIENCE)? {
        Attempt::Taken(lock) => Ok(lock),
        Attempt::Held(held) => Err(Failure { reason: Reason::Busy, error: held.into() }),
    }
}

/// Replaces a file. `old` is what it holds now; `None` if it is not there.
fn replace(
    hands: &Hands<'_>,
    path: &AbsPath,
    bytes: &[u8],
    new: Attrs,
    expect: Expect,
    old: Option<&[u8]>,
) -> Result<(), Failure> {
    match durable::replace(hands.root, path, bytes, hands.tag, new, expect) {
        Ok(Replaced::Done | Replaced::AlreadySo) => Ok(()),
        Ok(Replaced::Changed) if expect == Expect::Absent => {
            Err(Failure::changed(Reason::Busy, format!("{path} is there, which was not seen when this was planned")))
        }
        Ok(Replaced::Changed) => {
            Err(Failure::changed(Reason::Busy, format!("{path} was changed by somebody else meanwhile")))
        }
        Err(error) => {
            let errno = error.errno().unwrap_or(0);
            let is_there = observe::read(hands.root, path).is_ok_and(|now| now.as_deref() == Some(bytes));
            // Only the last sync has failed. A step that fails must have changed nothing.
            if is_there && old != Some(bytes) && put_back(hands, path, Some(bytes), new, old).is_ok() {
                let message = format!(
                    "{path} cannot be written, because its directory cannot be brought to the disk; it has been put back as it was"
                );
                return Err(Error::new(error.kind(), message).with_errno(errno).into());
            }
            Err(Error::new(error.kind(), format!("{path} cannot be written")).with_errno(errno).caused_by(error).into())
        }
    }
}

/// Gives a file that holds `now`, or is not there, its old content again, or removes it if there was none.
fn put_back(
    hands: &Hands<'_>,
    path: &AbsPath,
    now: Option<&[u8]>,
    new: Attrs,
    old: Option<&[u8]>,
) -> Result<(), Error> {
    if let Some(old) = old {
        let expect = now.map_or(Expect::Absent, |now| Expect::Content(durable::digest(now)));
        return durable::replace(hands.root, path, old, hands.tag, new, expect).map(drop);
    }
    fd::remove_file(hands.root.place(path)?.entry())?;
    sync_parent(hands, path)
}

/// Makes changes of fstab, all or none.
pub(super) fn fstab(hands: &Hands<'_>, edits: &[fstab::Edit]) -> Result<(), Failure> {
    if edits.is_empty() {
        return Ok(());
    }
    let _lock = short_lock(hands, "fstab")?;
    let path = AbsPath::literal(FSTAB);
    let old = observe::read(hands.root, &path)?;
    let table = Fstab::parse(old.as_deref().unwrap_or_default());
    let new = table.edit(edits).map_err(|e| {
        Error::new(ErrorKind::Refused, "/etc/fstab is not as the plan expects it; it was not touched")
            .hint("run the command again")
            .caused_by(e)
    })?;
    let expect = old.as_ref().map_or(Expect::Absent, |old| Expect::Content(durable::digest(old)));
    replace(hands, &path, &new, Attrs::root(0o644), expect, old.as_deref())
}

/// Makes changes of a manifest, all or none.
pub(super) fn manifest(hands: &Hands<'_>, home: &AbsPath, edits: &[manifest::Edit]) -> Result<(), Failure> {
    if edits.is_empty() {
        return Ok(());
    }
    let _lock = short_lock(hands, "manifest")?;
    let directory = home.child(DIRECTORY);
    dir::make(hands.root, &directory, Attrs::root(0o700), None, true)?;
    let path = directory.child("manifest.toml");
    let old = observe::read(hands.root, &path)?;
    let damaged = |why: String| {
        Error::new(ErrorKind::Invalid, format!("{path} cannot be understood, so it was not touched: {why}"))
            .hint("bring it back from a backup")
    };
    let mut manifest = match &old {
        None => Manifest::default(),
        Some(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|e| damaged(e.to_string()))?;
            Manifest::parse(text).map_err(|e| damaged(e.to_string()))?
        }
    };
    if let Err(store) = manifest.edit(edits.iter()) {
        return Err(Failure::changed(Reason::WrongStore, format!("the manifest says something else of `{store}` now")));
    }
    let expect = old.as_ref().map_or(Expect::Absent, |old| Expect::Content(durable::digest(old)));
    replace(hands, &path, manifest.render().as_bytes(), Attrs::root(0o600), expect, old.as_deref())
}

/// Writes or removes a file of ours.
pub(super) fn write(
    hands: &Hands<'_>,
    path: &AbsPath,
    from: Option<&str>,
    to: Option<&str>,
    mode: Mode,
) -> Result<(), Failure> {
    let _lock = short_lock(hands, "config")?;
    let Some(to) = to else {
        let now = observe::read(hands.root, path)?;
        return match (now, from) {
            (None, _) => Ok(()),
            (Some(now), Some(from)) if now == from.as_bytes() => {
                let place = hands.root.place(path)?;
                fd::remove_file(place.entry())?;
                let Err(error) = sync_parent(hands, path) else { return Ok(()) };
                // A step that fails must have changed nothing.
                let back = put_back(hands, path, None, Attrs::root(mode.bits()), Some(from.as_bytes()));
                let holds = if back.is_ok() { "it has been put back" } else { "it is gone" };
                Err(Error::new(error.kind(), format!("that {path} was removed cannot be brought to the disk; {holds}"))
                    .with_errno(error.errno().unwrap_or(0))
                    .caused_by(error)
                    .into())
            }
            _ => Err(Failure::changed(Reason::Busy, format!("{path} was changed by somebody else meanwhile"))),
        };
    };
    let expect = from.map_or(Expect::Absent, |from| Expect::Content(durable::digest(from.as_bytes())));
    // A second run after a crash finds the new content there already.
    if let Some(now) = observe::read(hands.root, path)?
        && now == to.as_bytes()
    {
        return replace(hands, path, to.as_bytes(), Attrs::root(mode.bits()), Expect::Anything, Some(to.as_bytes()));
    }
    replace(hands, path, to.as_bytes(), Attrs::root(mode.bits()), expect, from.map(str::as_bytes))
}

fn sync_parent(hands: &Hands<'_>, path: &AbsPath) -> Result<(), Error> {
    let Some(parent) = path.parent() else { return Ok(()) };
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
    if let Some(dir) = if_there(hands.root.open_file(&parent, flags, 0))? {
        fd::sync(dir)?;
    }
    Ok(())
}
