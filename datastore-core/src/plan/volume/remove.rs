//! Plans `volume remove`.

use std::collections::BTreeSet;

use super::{CONFIG, refuse};
use crate::edit;
use crate::error::Result;
use crate::goal::Goal;
use crate::mountinfo::Mount;
use crate::path::{AbsPath, printable};
use crate::plan::{Plan, Remark};
use crate::standing::View;
use crate::step::{Action, FstabEdit, Step};
use crate::value::{Id, Mode, VolumeName};
use crate::wanted::Volume;

/// Plans `volume remove`: it is unmounted and forgotten; its data stays on it. `config` is `/etc/datastore.conf`.
pub fn remove(name: &VolumeName, view: &View<'_>, config: Option<&str>, seed: Id) -> Result<Plan> {
    let Some(volume) = view.wanted.volume(name).filter(|v| v.declared) else {
        return Err(super::unknown(name, view.wanted));
    };
    let apps: BTreeSet<&str> =
        view.wanted.mappings.iter().filter(|m| m.enabled && m.volume == *name).map(|m| m.app.as_str()).collect();
    if !apps.is_empty() {
        let apps: Vec<&str> = apps.into_iter().collect();
        return refuse(
            format!("volume `{name}` holds the data of {}", apps.join(", ")),
            format!("move it first, or: datastore disable {}", apps.join(" ")),
        );
    }
    let i = view.wanted.volumes.iter().position(|v| v.name == *name).unwrap_or_default();
    let is_mounted = volume.source.is_some() && view.landscape.is_mounted(i);
    nothing_is_bound(volume, view)?;
    if is_mounted && let Some(inner) = view.observed.mounts.below(&volume.path).first() {
        let at = printable(inner.mount_point());
        return refuse(format!("something is mounted at {at}, on volume `{name}`"), format!("umount {at}"));
    }
    let mut steps = Vec::new();
    let mut push = |action| steps.push(Step { mapping: None, action });
    if let (Some(source), true) = (&volume.source, is_mounted) {
        push(Action::Unmount {
            source: source.clone(),
            path: volume.path.clone(),
            fstype: volume.fstype.clone().unwrap_or_else(|| "auto".into()),
            options: volume.options.clone().unwrap_or_default(),
        });
    }
    if view.observed.fstab.ours(&volume.path).is_some() {
        let edit = view.observed.fstab.change(&volume.path, None);
        push(Action::Fstab { edits: vec![FstabEdit { mapping: None, edit }] });
        if view.observed.systemd {
            push(Action::ReloadSystemd);
        }
    }
    let text = edit::without_volume(CONFIG, config.unwrap_or_default(), name)?;
    push(Action::WriteFile {
        path: AbsPath::literal(CONFIG),
        from: config.map(Into::into),
        to: Some(text),
        mode: Mode::from_bits(0o644),
    });
    let remark = Remark {
        detail: format!("the data on `{name}` stays on it; nothing is deleted"),
        hint: again(volume, &view.wanted.store),
    };
    let goal = Goal::VolumeRemove { name: name.clone() };
    Ok(Plan { steps, remarks: vec![remark], ..Plan::empty(&goal, view.wanted.host.clone(), seed) })
}

/// No directory of the volume is bound anywhere: of an app that is not asked for any more, or by hand.
fn nothing_is_bound(volume: &Volume, view: &View<'_>) -> Result<()> {
    let elsewhere = |m: &Mount<'_>| m.is_visible() && m.path().is_none_or(|at| !at.is_within(&volume.path));
    let bound = view.observed.mounts.iter().filter(elsewhere).find_map(|m| {
        let source = view.landscape.source_of(&m).filter(|source| source.is_below(&volume.path))?;
        Some((source, printable(m.mount_point())))
    });
    match bound {
        Some((source, at)) => {
            refuse(format!("{source} of volume `{}` is still bound on {at}", volume.name), format!("umount {at}"))
        }
        None => Ok(()),
    }
}

/// The command that takes the volume back.
fn again(volume: &Volume, store: &AbsPath) -> String {
    let is_usual = volume.path == store.child(volume.name.as_str());
    let at = if is_usual { String::new() } else { format!(" --at {}", volume.path) };
    let source = match (&volume.source, volume.fstype.as_deref()) {
        (None, _) => String::new(),
        (Some(directory), Some("none")) => format!(" --directory {directory}"),
        (Some(device), _) if device.starts_with('/') => format!(" --device {device}"),
        // Labels and network names are mount(8)'s.
        (Some(source), _) => {
            return format!("mount {source} {0}; datastore volume add {1}{at}", volume.path, volume.name);
        }
    };
    format!("datastore volume add {}{source}{at}", volume.name)
}
