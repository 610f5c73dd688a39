//! What a volume keeps so that another machine can take it over: beside the manifest of each base lie the configlets of the apps that have data there, and
//! whose the numbers are that own its files.
//!
//! Neither is needed on the machine that wrote them, so neither is synced, and a failure to write one fails no operation: it is told.

use std::collections::{BTreeMap, BTreeSet};

use datastore_core::config::{Content, Input, Role};
use datastore_core::goal::Goal;
use datastore_core::manifest::{DIRECTORY as ROOM, Manifest};
use datastore_core::observed::Lookup;
use datastore_core::owners::{self, Owners, Table};
use datastore_core::plan::Remark;
use datastore_core::value::OwnerName;
use datastore_core::{AbsPath, Error, Result};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::engine::Engine;
use crate::report::Report;
use crate::root::{Root, if_there};
use crate::sys::ids::Ids;
use crate::sys::{Entry, fd, ids};
use crate::{load, observe, operation, run_files};

/// The directory of the copies, beside the manifest.
pub(crate) const DIRECTORY: &str = "etc";

/// After an operation: brings what these bases keep up to date. They are on their own volumes, as was seen a moment ago.
pub(crate) fn refresh(engine: &Engine, goal: &Goal, homes: &[AbsPath], report: &Report) -> Vec<Remark> {
    // What is bound and unbound changes none of it.
    let is_idle = matches!(goal, Goal::Start(_) | Goal::Stop(_) | Goal::Restart(_) | Goal::VolumeRemove { .. });
    if is_idle || homes.is_empty() || !operation::privileged() {
        return Vec::new();
    }
    let remark = |error: Error| Remark {
        detail: format!("what the volumes keep for another machine is not up to date: {}", error.chain()),
        hint: "look after the volume, then: datastore apply".into(),
    };
    // What is written about an app that was refused is not in force.
    let denied = report.notes.iter().filter(|row| row.is_denied()).chain(&report.failed);
    let denied: BTreeSet<&str> = denied.map(|row| row.app.as_str()).collect();
    match everywhere(engine, homes, &denied) {
        Ok(errors) => errors.into_iter().map(remark).collect(),
        Err(error) => vec![remark(error)],
    }
}

fn everywhere(engine: &Engine, homes: &[AbsPath], denied: &BTreeSet<&str>) -> Result<Vec<Error>> {
    let root = engine.root();
    let mut inputs = load::load(root, None)?;
    inputs.retain(|input| !denied.contains(input.app.as_str()));
    let all = |path: &'static str| -> Result<Table> {
        let names = ids::names(root, &AbsPath::literal(path))?.into_iter();
        Ok(names.filter_map(|(name, id)| Some((OwnerName::parse(&name).ok()?, id))).collect())
    };
    let now = Owners { users: all("/etc/passwd")?, groups: all("/etc/group")?, ..Owners::default() };
    // A volume that is read-only keeps what it has.
    let is_read_only = |error: &Error| error.errno() == Some(Errno::ROFS.raw_os_error());
    let kept = homes.iter().map(|home| keep(root, engine.ids()?, home, &inputs, now.clone()));
    Ok(kept.filter_map(Result::err).filter(|error| !is_read_only(error)).collect())
}

fn keep(root: &Root, ids: &Ids, home: &AbsPath, inputs: &[Input], mut now: Owners) -> Result<()> {
    let room = home.child(ROOM);
    // Without a manifest nothing is here yet.
    let manifest = observe::own(root, &room.child("manifest.toml"), Manifest::parse);
    let Some(manifest) = manifest.said() else { return Ok(()) };
    let mut apps = BTreeSet::new();
    for (_, entry) in manifest.iter() {
        apps.insert(entry.app.as_str());
        // Of a domain, perhaps, which is in no file.
        for (table, name, found) in [
            (&mut now.users, &entry.owner, ids.user(entry.owner.as_str())),
            (&mut now.groups, &entry.group, ids.group(entry.group.as_str())),
        ] {
            if let Lookup::Found(number) = found {
                table.entry(name.clone()).or_insert(number);
            }
        }
    }
    keep_owners(root, &room.child(owners::FILE), &now)?;
    let mut texts: BTreeMap<&str, &[u8]> = BTreeMap::new();
    for input in inputs {
        let is_kept = match input.role {
            Role::Configlet | Role::Local => apps.contains(input.app.as_str()),
            Role::Globals => true,
            Role::ClearOsGlobals | Role::ClearOsDefault | Role::ClearOsOverride => false,
        };
        if let (true, Content::Bytes(bytes), Some((_, name))) = (is_kept, &input.content, input.path.rsplit_once('/')) {
            texts.insert(name, bytes);
        }
    }
    keep_texts(root, &room.child(DIRECTORY), &texts, &apps)
}

fn keep_owners(root: &Root, path: &AbsPath, now: &Owners) -> Result<()> {
    let known = observe::own(root, path, Owners::parse);
    // Files have numbers that are on their way: `adopt` has not ended.
    if known.said().is_some_and(Owners::is_on_its_way) {
        return Ok(());
    }
    let known = known.said().cloned().unwrap_or_default();
    let renewed = known.renewed(now);
    if renewed != known {
        let room = path.parent().unwrap_or_else(AbsPath::root);
        let temporary = format!(".{}.config-copy.tmp", owners::FILE);
        let dir = root.open_dir(&room)?;
        run_files::put(&dir, &room.to_string(), owners::FILE, &temporary, renewed.render().as_bytes())?;
    }
    Ok(())
}

/// Copies these files, and removes those of apps that have no data here any more.
fn keep_texts(root: &Root, copies: &AbsPath, texts: &BTreeMap<&str, &[u8]>, apps: &BTreeSet<&str>) -> Result<()> {
    let place = root.place(copies)?;
    fd::make_dir_if_missing(place.entry(), 0o700).map_err(|e| e.because(format!("{copies} cannot be made")))?;
    for (name, bytes) in texts {
        if observe::read(root, &copies.child(name))?.as_deref() != Some(*bytes) {
            let dir = root.open_dir(copies)?;
            run_files::put(&dir, &copies.to_string(), name, &format!(".{name}.config-copy.tmp"), bytes)?;
        }
    }
    let Some(dir) = if_there(root.open_file(copies, OFlags::RDONLY | OFlags::DIRECTORY, 0))? else { return Ok(()) };
    let mut stale = Vec::new();
    fd::each_name(&dir, |name| {
        let text = std::str::from_utf8(name).unwrap_or_default();
        let app = text.strip_suffix(".conf").map(|stem| stem.strip_suffix(".local").unwrap_or(stem));
        // The configlet of an app that is merely broken, or whose package has gone, is what the next machine will want.
        let is_wanted = texts.contains_key(text) || app.is_some_and(|app| apps.contains(app));
        if !is_wanted {
            stale.push(name.to_vec());
        }
        true
    })?;
    for name in stale {
        fd::remove_file(Entry::new(&dir, &name))?;
    }
    Ok(())
}
