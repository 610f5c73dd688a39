//! Directories and whole trees that change place.

use datastore_core::state::Reason;
use datastore_core::step::Top;
use datastore_core::{AbsPath, Error, ErrorKind, moving};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Failure, Hands, dir};
use crate::gauge::Counts;
use crate::root::{Root, if_there};
use crate::sys::stat::Kind;
use crate::sys::{Entry, fd, name};
use crate::{crossing, holders, tree};

/// Gives a directory another name, on the same file system, where nothing may be. What is to change of it changes first. Where it
/// has that name already, nothing is left to do.
pub(super) fn move_dir(root: &Root, from: &AbsPath, to: &AbsPath, gets: Option<Top>) -> Result<(), Failure> {
    root.forget_within(from);
    root.forget_within(to);
    let (here, there) = (is_dir(root, from)?, is_dir(root, to)?);
    let now = match (here, there) {
        (true, false) => from,
        (false, true) => to,
        (true, true) => return Err(Failure::changed(Reason::Busy, format!("{to} is there now, beside {from}"))),
        (false, false) => return Err(Failure::changed(Reason::Busy, format!("{from} is gone"))),
    };
    if let Some(top) = gets {
        dir::set_top(root, now, top)?;
    }
    if there {
        return Ok(());
    }
    let (old, new) = (root.place(from)?, root.place(to)?);
    let renamed = match name::rename(old.entry(), new.entry()) {
        Err(error) if error.errno() == Errno::XDEV => {
            match crossing::on_one_mount(old.entry().dir(), new.entry().dir())? {
                Some([a, b]) => name::rename(Entry::new(&a, old.entry().name()), Entry::new(&b, new.entry().name())),
                None => Err(error),
            }
        }
        other => other,
    };
    renamed.map_err(|error| {
        let across = error.errno() == Errno::XDEV;
        let told = error.because(format!("{from} cannot be renamed to {to}"));
        // Both lie on one mount. Only an overlay (of a container, of a live system) cannot rename there, and only what comes from a
        // lower layer; mv(1) copies it.
        let anew = format!("mv {from} {from}.new && mv {from}.new {from}");
        let hint = format!("an overlay cannot rename this directory; make it anew while the app is stopped: {anew}");
        if across { told.hint(hint) } else { told }
    })?;
    root.forget_within(from);
    Ok(())
}

fn is_dir(root: &Root, path: &AbsPath) -> Result<bool, Failure> {
    match if_there(root.stat(path))? {
        None => Ok(false),
        Some(facts) if facts.kind == Kind::Dir => Ok(true),
        Some(_) => Err(Failure::changed(Reason::Busy, format!("{path} is no directory"))),
    }
}

/// Removes a tree with all that is in it, and the directory that held it if that is empty then. It gets another name first.
pub(super) fn remove(hands: &Hands<'_>, path: &AbsPath) -> Result<(), Failure> {
    let root = hands.root;
    let going = moving::going(path);
    root.forget_within(path);
    if if_there(root.stat(path))?.is_some() {
        // What an earlier run left half gone must go first.
        gone(hands, &going)?;
        name::rename(root.place(path)?.entry(), root.place(&going)?.entry())?;
    }
    gone(hands, &going)?;
    if let Some(room) = path.parent()
        && moving::is_room(&room)
    {
        dir::remove(root, &room)?;
    }
    Ok(())
}

fn gone(hands: &Hands<'_>, path: &AbsPath) -> Result<(), Failure> {
    let root = hands.root;
    root.forget_within(path);
    let Some(top) = if_there(root.open_file(path, OFlags::RDONLY | OFlags::DIRECTORY, 0))? else { return Ok(()) };
    hands.while_walking("removing", &path.to_string(), Counts::Entries, |control| tree::remove(&top, control))?;
    drop(top);
    root.forget_within(path);
    Ok(fd::remove_dir(root.place(path)?.entry())?)
}

/// Fails if somebody could still change something in a directory.
pub(super) fn demand_quiet(hands: &Hands<'_>, paths: &[AbsPath]) -> Result<(), Failure> {
    for path in paths {
        let found = holders::tree::users(hands.ids, hands.root, path)?;
        let writers: Vec<String> = found.processes.iter().filter(|p| p.writes()).map(ToString::to_string).collect();
        if writers.is_empty() {
            continue;
        }
        let more = if writers.len() > 5 { format!(" and {} more", writers.len() - 5) } else { String::new() };
        let who = writers.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        return Err(still_written(format!("{path} is still written to: {who}{more}")));
    }
    Ok(())
}

/// Somebody writes although the services are stopped.
pub(super) fn still_written(message: String) -> Failure {
    let hint = "name the service that it belongs to in `services` of the app, or stop it; then run the command again";
    Failure { reason: Reason::Busy, error: Error::new(ErrorKind::Refused, message).hint(hint) }
}
