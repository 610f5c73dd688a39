//! The lines that we write to fstab (DESIGN 8).

use crate::fstab::Entry;
use crate::mapping::Mapping;
use crate::wanted::Volume;

/// The line of a bind. `nofail`, because a missing data disk must not drop the server into emergency mode; the guard, the
/// seal and the identity make the failure loud instead.
#[must_use]
pub fn bind(mapping: &Mapping, volume: &Volume, noauto: bool) -> Entry {
    let (network, before) =
        if volume.is_network() { ("_netdev,", "remote-fs.target") } else { ("", "local-fs.target") };
    let noauto = if noauto { "noauto," } else { "" };
    let options = format!(
        "bind,{},nofail,{noauto}{network}x-systemd.requires-mounts-for={},x-systemd.before={before},X-datastore={}",
        mapping.options, volume.path, mapping.app,
    );
    Entry {
        spec: mapping.store.as_bytes().to_vec(),
        file: mapping.mount_point.as_bytes().to_vec(),
        vfstype: b"none".to_vec(),
        options: options.into_bytes(),
        freq: 0,
        passno: 0,
    }
}

/// The line of a volume; `None` for a plain directory, which nothing mounts.
#[must_use]
pub fn volume(volume: &Volume) -> Option<Entry> {
    let source = volume.source.as_ref()?;
    let fstype = volume.fstype.clone().unwrap_or_else(|| "auto".into());
    let is_bind = fstype == "none";
    let mut options: Vec<String> = Vec::new();
    if let Some(given) = &volume.options {
        options.extend(given.split(',').map(str::to_owned));
    }
    let mut need = |word: &str| {
        let key = word.split('=').next().unwrap_or(word);
        if !options.iter().any(|o| o.split('=').next() == Some(key)) {
            options.push(word.to_owned());
        }
    };
    if is_bind {
        need("bind");
        need("rw");
    } else if volume.options.is_none() {
        need("defaults");
    }
    need("nofail");
    if volume.is_network() {
        need("_netdev");
    } else if !is_bind {
        need("x-systemd.device-timeout=30s");
    }
    // e2fsck runs over ext file systems after the root's (fstab(5)); xfs and btrfs check themselves.
    let passno = if fstype.starts_with("ext") { 2 } else { 0 };
    Some(Entry {
        spec: source.as_bytes().to_vec(),
        file: volume.path.as_bytes().to_vec(),
        vfstype: fstype.into_bytes(),
        options: options.join(",").into_bytes(),
        freq: 0,
        passno,
    })
}
