//! Answers the doctor's probe: what lies where nobody looks. Everything is opened for reading alone, and there is no opinion here.

mod services;

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use datastore_core::AbsPath;
use datastore_core::doctor::{BadJournal, Leftover, LiveFacts, LiveProbe, Probe, Seen, StoreSeen, Twin};
use datastore_core::journal::OperationId;
use datastore_core::manifest::DIRECTORY;
use datastore_core::observed::{FileFacts, Identity, Place};
use rustix::fs::{AtFlags, OFlags};

use crate::journal_file::list::{Found, list};
use crate::moving;
use crate::observe;
use crate::place::{Want, look as look_at};
use crate::root::{Miss, Root};
use crate::sys::fd;
use crate::sys::ids::Ids;

/// So many directories are looked at in one base; a base holds stores and the directories above them.
const MOST: usize = 20_000;
/// Stores lie no deeper below a base than this.
const DEEPEST: usize = 8;

/// Looks at everything that the probe asks for. What the caller may not see stands in [`Seen::unseen`].
pub(crate) fn look(root: &Root, ids: &Ids, probe: &Probe) -> Seen {
    let mut seen = Seen::default();
    for live in &probe.lives {
        match hosts(root, live) {
            Ok(facts) => seen.lives.push(facts),
            Err(Miss::Denied(..)) => drop(seen.unseen.insert("the stores of volumes")),
            Err(_) => {}
        }
    }
    let bare = |path: &AbsPath| (path.clone(), look_at(root, path, Want { empty: true, id: false }));
    seen.bare = probe.bare.iter().map(bare).collect();
    for path in &probe.others {
        let file = observe::volume_file(root, &path.child(DIRECTORY).child("volume.toml"));
        match file {
            FileFacts::Absent => {}
            FileFacts::Hidden => drop(seen.unseen.insert("other file systems")),
            file => seen.twins.push(Twin { path: path.clone(), file }),
        }
    }
    for dir in &probe.work {
        match names(root, dir) {
            Ok(names) => seen.leftovers.extend(names.iter().filter_map(|name| leftover(dir, name))),
            Err(Miss::Denied(..)) => drop(seen.unseen.insert("temporary files")),
            Err(_) => {}
        }
    }
    seen.leftovers.sort_by(|a, b| a.path.cmp(&b.path));
    seen.users = probe.users.iter().map(|name| (name.clone(), ids.user(name.as_str()))).collect();
    seen.groups = probe.groups.iter().map(|name| (name.clone(), ids.group(name.as_str()))).collect();
    seen.services = probe.services.iter().map(|(_, service)| services::files(root, service)).collect();
    journals(root, &mut seen);
    match moving::left_unmeasured(root) {
        Ok(left) => seen.left = left,
        Err(_) => drop(seen.unseen.insert("what imports and moves have left")),
    }
    seen
}

/// The names in a directory, sorted; none if it is not there.
fn names(root: &Root, dir: &AbsPath) -> Result<Vec<Vec<u8>>, Miss> {
    let opened = match root.open_file(dir, OFlags::RDONLY | OFlags::DIRECTORY, 0) {
        Err(Miss::Absent(_)) => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    fd::each_name(opened, |name| {
        names.push(name.to_vec());
        true
    })
    .map_err(Miss::Failed)?;
    names.sort();
    Ok(names)
}

/// What lies in a volume's directory of hosts, and which directories below this host's carry an identity.
fn hosts(root: &Root, probe: &LiveProbe) -> Result<LiveFacts, Miss> {
    let is_dir = |path: &AbsPath| root.stat(path).is_ok_and(|facts| facts.kind == crate::sys::Kind::Dir);
    let names = names(root, &probe.live)?;
    let hosts = names.iter().filter_map(|name| probe.live.join(name).ok()).filter(is_dir).collect();
    let mut facts = LiveFacts { volume: probe.volume.clone(), hosts, stores: Vec::new(), cut: false };
    if let Some(base) = &probe.base {
        let mut left = MOST;
        stores(root, probe, base, DEEPEST, &mut left, &mut facts)?;
    }
    Ok(facts)
}

/// Looks for directories that carry an identity. Neither those nor the declared ones are entered: what is in them is users' data.
fn stores(
    root: &Root,
    probe: &LiveProbe,
    dir: &AbsPath,
    deeper: usize,
    left: &mut usize,
    facts: &mut LiveFacts,
) -> Result<(), Miss> {
    for name in names(root, dir)?.iter().filter(|name| *name != DIRECTORY.as_bytes()) {
        let Ok(path) = dir.join(name) else { continue };
        if probe.known.contains(&path) {
            continue;
        }
        let Some(rest) = left.checked_sub(1) else {
            facts.cut = true;
            return Ok(());
        };
        *left = rest;
        match look_at(root, &path, Want { empty: false, id: true }) {
            Place::Dir(found) => match found.id {
                id @ (Identity::Is(_) | Identity::Garbled(_)) => facts.stores.push(StoreSeen { path, id }),
                _ if deeper > 0 => stores(root, probe, &path, deeper - 1, left, facts)?,
                _ => facts.cut = true,
            },
            _ => continue,
        }
    }
    Ok(())
}

/// The temporary file of an operation, by its name: `.fstab.ID.tmp` (a file to be replaced), `.ID.new` (a journal), `.ID.json.tmp` (progress).
pub(crate) fn leftover(dir: &AbsPath, name: &[u8]) -> Option<Leftover> {
    let text = std::str::from_utf8(name).ok()?.strip_prefix('.')?;
    let middle = text.strip_suffix(".tmp").or_else(|| text.strip_suffix(".new"))?;
    let middle = middle.strip_suffix(".json").unwrap_or(middle);
    let tag = middle.rsplit('.').next()?;
    Some(Leftover { path: dir.join(name).ok()?, operation: OperationId::parse(tag).ok()? })
}

/// Whether a temporary file is still there. A journal that has no name yet is its operation's only trace, so a young one belongs to a run
/// that is about to begin.
fn is_abandoned(root: &Root, path: &AbsPath) -> bool {
    const YOUNG: Duration = Duration::from_secs(60);
    let Ok(place) = root.place(path) else { return false };
    let entry = place.entry();
    let Ok(s) = rustix::fs::statat(entry.dir(), entry.name(), AtFlags::SYMLINK_NOFOLLOW) else { return false };
    let changed = UNIX_EPOCH + Duration::from_secs(s.st_mtime.try_into().unwrap_or(0));
    !path.as_bytes().ends_with(b".new") || SystemTime::now().duration_since(changed).is_ok_and(|age| age > YOUNG)
}

/// Which journals cannot be understood, and which temporary files are left of operations that are over.
fn journals(root: &Root, seen: &mut Seen) {
    let all = match list(root) {
        Ok(all) => all,
        Err(error) if error.kind() == datastore_core::ErrorKind::Privilege => {
            seen.unseen.insert("the journals of operations");
            return;
        }
        Err(error) => {
            let hint = error.get_hint().unwrap_or_default().to_owned();
            seen.journals.push(BadJournal {
                path: "/var/lib/datastore".into(),
                why: error.chain(),
                ended: false,
                hint,
            });
            return;
        }
    };
    // Looked at after the temporary files: what has begun meanwhile is at work on its own, and what has ended has taken them away.
    let unended: HashSet<&OperationId> = all.iter().filter(|l| !l.has_ended()).map(|l| &l.operation).collect();
    seen.leftovers.retain(|left| !unended.contains(&left.operation) && is_abandoned(root, &left.path));
    for listed in &all {
        let error = match listed.open(root) {
            Ok(Found::Damaged(error)) | Err(error) => error,
            Ok(_) => continue,
        };
        let path = listed.path();
        // One that has ended keeps nobody from anything.
        let hint = if listed.has_ended() {
            format!("mv {path} {path}.damaged")
        } else {
            error.get_hint().unwrap_or_default().to_owned()
        };
        seen.journals.push(BadJournal { path: path.to_string(), why: error.chain(), ended: listed.has_ended(), hint });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_files_are_known_by_their_names() {
        let etc = AbsPath::literal("/etc");
        let id = "20261123T174301250Z-1a2b3c4d";
        for name in
            [format!(".fstab.{id}.tmp"), format!(".{id}.new"), format!(".{id}.json.tmp"), format!(".a.b.conf.{id}.tmp")]
        {
            let found = leftover(&etc, name.as_bytes()).unwrap_or_else(|| panic!("{name}"));
            assert_eq!((found.operation.as_str(), found.path.file_name()), (id, name.as_bytes()));
        }
        for name in [format!("fstab.{id}.tmp"), format!(".{id}.journal"), ".fstab.tmp".into(), ".x.swp".into()] {
            assert_eq!(leftover(&etc, name.as_bytes()), None, "{name}");
        }
    }
}
