//! Store directories that nobody uses, and owners whose numbers have changed.

use super::probe::{declared, manifests};
use super::{Check, Finding, Seen, Severity, word};
use crate::manifest::Entry;
use crate::observed::{FileFacts, Identity, Lookup};
use crate::path::AbsPath;
use crate::standing::View;
use crate::value::OwnerName;

pub(super) fn check(view: &View<'_>, seen: &Seen, out: &mut Vec<Finding>) {
    for live in &seen.lives {
        let volume = view.wanted.volume(&live.volume);
        let base = volume.and_then(|v| view.wanted.base(v));
        for host in live.hosts.iter().filter(|h| Some(*h) != base.as_ref()) {
            let detail = format!("{host} holds the data of another host");
            let cause = "the volume was another machine's, or this one had another name; nothing uses it here";
            let hint = format!("keep it, or look what is in it: ls -la {}", word(host));
            out.push(Finding::new(Check::OtherHost, Severity::Note, detail).path(host).cause(cause).hint(hint));
        }
        // Without its manifest nobody can tell a forgotten store from a known one.
        let unknown = base.as_ref().and_then(|base| view.observed.manifests.get(base));
        let unknown = matches!(unknown, Some(FileFacts::Damaged(_) | FileFacts::Hidden));
        for store in live.stores.iter().filter(|_| !unknown) {
            let id = match &store.id {
                Identity::Is(id) => id.to_string(),
                _ => "one that cannot be understood".into(),
            };
            let detail =
                format!("{} carries an identity ({id}), and no manifest and no configuration knows it", store.path);
            let cause = "it was renamed or restored by hand, or its entry was lost; no app sees what is in it";
            let hint = format!("name it as `target` in a configlet, or move it away: ls -la {}", word(&store.path));
            out.push(
                Finding::new(Check::OrphanStore, Severity::Warning, detail).path(&store.path).cause(cause).hint(hint),
            );
        }
        if live.cut {
            let detail = format!(
                "volume `{}` has too many directories to look at all of them for forgotten stores",
                live.volume
            );
            let path = volume.map(|v| v.path.to_string()).unwrap_or_default();
            let hint = "look for them by hand: getfattr -R -n trusted.datastore.id";
            out.push(Finding::new(Check::Unseen, Severity::Note, detail).path(&path).hint(hint));
        }
    }
    let declared = declared(view);
    for (home, manifest) in manifests(view) {
        for (key, entry) in manifest.iter() {
            let Ok(store) = home.join(key) else { continue };
            if declared.contains(&store) {
                renumbered(view, seen, &store, entry, out);
            } else {
                undeclared(&store, entry, out);
                stray_seal(seen, entry, out);
            }
        }
    }
}

fn undeclared(store: &AbsPath, entry: &Entry, out: &mut Vec<Finding>) {
    let detail = format!(
        "the manifest knows {store} of `{}` for {}, and nobody declares it any more",
        entry.app, entry.mount_point
    );
    let cause = "its configlet was removed or names another store; the data stays until somebody removes it";
    let hint = format!("bring the configlet of `{}` back, or move {store} away", entry.app);
    out.push(
        Finding::new(Check::UndeclaredStore, Severity::Note, detail)
            .app(&entry.app)
            .at(&entry.mount_point)
            .path(store)
            .cause(cause)
            .hint(hint),
    );
}

/// A mount point that was sealed for a mapping which is not declared any more.
fn stray_seal(seen: &Seen, entry: &Entry, out: &mut Vec<Finding>) {
    let Some(dir) = seen.bare.get(&entry.mount_point).and_then(|place| place.dir()) else { return };
    if dir.attrs.mode.bits() != 0 || dir.immutable != Some(true) {
        return;
    }
    let cause = "its configlet is gone, so no bind will ever cover it, and nothing can be written to it";
    out.push(
        Finding::new(Check::StraySeal, Severity::Warning, "it is sealed, and nobody declares it any more")
            .app(&entry.app)
            .at(&entry.mount_point)
            .path(&entry.mount_point)
            .cause(cause)
            .hint(format!("chattr -i {0} && chmod {1} {0}", word(&entry.mount_point), entry.mode)),
    );
}

/// An owner whose name has another number than when the manifest was written. (Of a store that nobody declares it does not matter yet.)
fn renumbered(view: &View<'_>, seen: &Seen, store: &AbsPath, entry: &Entry, out: &mut Vec<Finding>) {
    let number = |first: Option<&Lookup>, second: Option<&Lookup>| match first.or(second) {
        Some(Lookup::Found(id)) => Some(*id),
        _ => None,
    };
    let uid = number(view.observed.users.get(&entry.owner), seen.users.get(&entry.owner));
    let gid = number(view.observed.groups.get(&entry.group), seen.groups.get(&entry.group));
    let mut say = |what: &str, name: &OwnerName, was: u32, is: Option<u32>, sign: &str| {
        let Some(is) = is.filter(|is| *is != was) else { return };
        let detail = format!("{what} `{name}` had the number {was} when {store} was made, and has {is} now");
        let cause = "the machine was installed anew, or the account was made again; what is in the store belongs to another number";
        let finding = Finding::new(Check::OwnerRenumbered, Severity::Error, detail);
        let hint = format!("chown -hR --from={sign}{was} {sign}{is} {} && datastore apply {}", word(store), entry.app);
        out.push(finding.app(&entry.app).at(&entry.mount_point).path(store).cause(cause).hint(hint));
    };
    say("user", &entry.owner, entry.uid, uid, "");
    say("group", &entry.group, entry.gid, gid, ":");
}

/// The manifests that cannot be understood.
pub(super) fn damaged<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a AbsPath, &'a str)> {
    view.observed.manifests.iter().filter_map(|(home, facts)| match facts {
        FileFacts::Damaged(why) => Some((home, why.as_str())),
        _ => None,
    })
}
