//! What the watcher tells everybody, for whoever cannot see as much as it does.

use std::collections::HashMap;

use datastore_core::AbsPath;
use datastore_core::state::{Reason, State};
use datastore_core::status::{Row, Status, VolumeRow};
use serde::Deserialize;

use super::{RUN, STATUS, VERSION};
use crate::observe;
use crate::root::Root;
use crate::sys::proc;

/// The file for everybody, as far as it is of use here.
#[derive(Debug, Deserialize)]
pub(crate) struct Told {
    version: u32,
    at: i64,
    pid: u32,
    #[serde(flatten)]
    status: Status,
}

/// Puts into a status that was seen without privilege what only root can see: the identity of stores and volumes, and how they are within. It is that of
/// the last time that something changed, if somebody watches.
pub(crate) fn complement(root: &Root, seen: &mut Status) {
    let path = AbsPath::literal(RUN).child(STATUS);
    let Some(bytes) = observe::read(root, &path).ok().flatten() else { return };
    let Ok(told) = serde_json::from_slice::<Told>(&bytes) else { return };
    if told.version != VERSION || !proc::is_alive(told.pid) {
        return;
    }
    let time = u64::try_from(told.at).map(|at| std::time::UNIX_EPOCH + std::time::Duration::from_secs(at));
    let Ok(time) = time else { return };
    let by_root = format!("root has seen this at {}", humantime::format_rfc3339_seconds(time));
    let add = |detail: &str| if detail.is_empty() { by_root.clone() } else { format!("{detail}; {by_root}") };
    let by_place: HashMap<_, &Row> =
        told.status.mappings.iter().map(|row| ((row.app.as_str(), row.mount_point.as_str()), row)).collect();
    for ours in &mut seen.mappings {
        let found = by_place.get(&(ours.app.as_str(), ours.mount_point.as_str()));
        let Some(theirs) = found.filter(|theirs| theirs.store == ours.store) else { continue };
        if is_more((ours.state, ours.reason), (theirs.state, theirs.reason)) {
            *ours = Row { detail: add(&theirs.detail), ..(*theirs).clone() };
        }
    }
    for ours in &mut seen.volumes {
        let is_same = |theirs: &&VolumeRow| (&theirs.volume, &theirs.path) == (&ours.volume, &ours.path);
        let Some(theirs) = told.status.volumes.iter().find(is_same) else { continue };
        if is_more((ours.state, ours.reason), (theirs.state, theirs.reason)) {
            (ours.state, ours.reason) = (theirs.state, theirs.reason);
            ours.detail = add(&theirs.detail);
            ours.hint.clone_from(&theirs.hint);
        }
        if ours.id.is_empty() {
            ours.id.clone_from(&theirs.id);
        }
    }
}

/// Whether root knows better: what the mount table shows to everybody is in order, and what only root sees is not. What the mount table shows now
/// is newer than any file.
fn is_more(ours: (State, Option<Reason>), theirs: (State, Option<Reason>)) -> bool {
    let looks_well = matches!(ours.0, State::Active | State::Drifted);
    let is_not = match theirs.0 {
        State::Refused => matches!(theirs.1, Some(Reason::WrongStore | Reason::WrongVolume | Reason::VolumeMissing)),
        State::Drifted => ours.0 == State::Active,
        _ => false,
    };
    looks_well && is_not
}
