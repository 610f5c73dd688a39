//! What SELinux asks of us: whether it is on, and what its policy was told of store directories.

use std::collections::BTreeMap;

use datastore_core::AbsPath;
use datastore_core::label::{Labels, Substitutes, is_new, policy};
use datastore_core::observed::{ManifestFacts, Probe};

use crate::observe;
use crate::root::{Root, if_there};
use crate::sys::xattr;

/// There where selinuxfs is mounted, and so where SELinux is on.
const ON: &str = "/sys/fs/selinux/enforce";
/// The tool that changes the policy (semanage(8)).
pub(crate) const TOOL: &str = "/usr/sbin/semanage";

/// Looks. Where SELinux is off that is one look.
pub(crate) fn observe(root: &Root, probe: &Probe, manifests: &BTreeMap<AbsPath, ManifestFacts>) -> Labels {
    let is_there = |path: &'static str| matches!(if_there(root.stat(&AbsPath::literal(path))), Ok(Some(_)));
    if !is_there(ON) {
        return Labels::default();
    }
    // The policy of the machine is that of its kernel; below another root lies one that nobody follows now.
    let told = (root.is_machine() && is_there(TOOL)).then(|| substitutes(root));
    let asked = probe.mappings.iter().flatten().filter(|asked| is_new(manifests, &asked.store));
    let stores = asked.filter_map(|asked| {
        let place = root.place(&asked.store).ok()?;
        // One that is no text cannot stand in a plan; then there is no way back to it.
        let label = String::from_utf8(xattr::label(place.entry()).ok()??).ok()?;
        Some((asked.store.clone(), label))
    });
    Labels { on: true, stores: stores.collect(), told }
}

/// What the policy was told. A file that cannot be read is as if it were not there: to be told a second time is refused by the tool.
fn substitutes(root: &Root) -> Substitutes {
    let read = |path: &AbsPath| observe::read(root, path).ok().flatten().unwrap_or_default();
    let name = policy(&read(&AbsPath::literal("/etc/selinux/config")));
    let dir = AbsPath::literal("/etc/selinux").child(&name).child("contexts").child("files");
    Substitutes::parse(&["file_contexts.subs", "file_contexts.subs_dist"].map(|file| read(&dir.child(file))))
}
