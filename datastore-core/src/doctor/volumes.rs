//! Volumes: whether each is there and itself, how full it is, and whether a copy of it is mounted.

use super::{Check, Finding, Seen, Severity, word};
use crate::observed::{FileFacts, Place, Space};
use crate::standing::View;
use crate::state::Reason;
use crate::wanted::Volume;

/// From here on a volume is nearly full, in percent.
pub(crate) const NEARLY: u64 = 90;
/// From here on it is as good as full, in percent.
pub(crate) const FULL: u64 = 98;

pub(super) fn check(view: &View<'_>, seen: &Seen, out: &mut Vec<Finding>) {
    for (i, volume) in view.wanted.volumes.iter().enumerate() {
        let facts = view.observed.volumes.get(i);
        let needed = volume.declared || view.wanted.mappings.iter().any(|m| m.enabled && m.volume == volume.name);
        match view.judge_volume_itself(i, volume) {
            Ok(()) => {}
            Err(_) if !needed => continue,
            Err(refusal) => {
                let bare = facts.is_some_and(|f| f.file == FileFacts::Absent && matches!(f.top, Place::Dir(_)));
                let (check, cause) = match refusal.reason {
                    Reason::WrongVolume if bare => {
                        (Check::VolumeIdentity, "without it the right disk cannot be told from an empty directory")
                    }
                    Reason::WrongVolume => (Check::Volume, "another disk, or the same one made anew"),
                    _ => (Check::Volume, "nothing of its apps can be bound"),
                };
                // The cause of a volume whose identity file is damaged is told with that file.
                if !facts.is_some_and(|f| matches!(f.file, FileFacts::Damaged(_))) {
                    out.push(
                        about(volume, Finding::new(check, Severity::Error, refusal.detail))
                            .cause(cause)
                            .hint(refusal.hint),
                    );
                }
                continue;
            }
        }
        let Some(facts) = facts else { continue };
        if facts.read_only {
            let finding =
                Finding::new(Check::ReadOnly, Severity::Error, format!("volume `{}` cannot be written", volume.name));
            let cause = "it is mounted read-only, or an error of the disk made it so (dmesg)";
            out.push(about(volume, finding).cause(cause).hint(format!("mount -o remount,rw {}", word(&volume.path))));
        }
        if let Some(space) = facts.space {
            fullness(volume, space, out);
        }
        twins(view, seen, i, volume, out);
        shared(view, volume, out);
    }
}

fn about(volume: &Volume, finding: Finding) -> Finding {
    finding.path(&volume.path)
}

/// How full something is in percent, rounded up as df(1) does; 0 where it does not count.
fn percent(all: u64, free: u64) -> u64 {
    let used = u128::from(all.saturating_sub(free)) * 100;
    used.checked_div(u128::from(all)).map_or(0, |_| used.div_ceil(u128::from(all)).try_into().unwrap_or(100))
}

fn fullness(volume: &Volume, space: Space, out: &mut Vec<Finding>) {
    for (check, what, all, free) in [
        (Check::Space, "space", space.bytes, space.bytes_free),
        (Check::Inodes, "inodes", space.inodes, space.inodes_free),
    ] {
        let percent = percent(all, free);
        if percent < NEARLY {
            continue;
        }
        let severity = if percent < FULL { Severity::Warning } else { Severity::Error };
        let option = if check == Check::Inodes { " -i" } else { "" };
        let finding =
            Finding::new(check, severity, format!("{percent}% of the {what} of volume `{}` is used", volume.name));
        let cause = "when it is full, every app on it fails to write";
        out.push(about(volume, finding).cause(cause).hint(format!(
            "free some room, or make it larger: df{option} {0}; du -xd4 {0} | sort -n | tail",
            word(&volume.path)
        )));
    }
}

/// Other file systems with the identity of this volume.
fn twins(view: &View<'_>, seen: &Seen, i: usize, volume: &Volume, out: &mut Vec<Finding>) {
    let Some(id) = volume.id else { return };
    let here = view.observed.mounts.holding(&volume.path).map(|m| (m.major(), m.minor()));
    let elsewhere = seen.twins.iter().map(|t| (&t.path, &t.file));
    let volumes = view.wanted.volumes.iter().zip(&view.observed.volumes).enumerate();
    let others = volumes.filter(|(j, _)| *j != i).map(|(_, (v, f))| (&v.path, &f.file));
    for (path, file) in elsewhere.chain(others) {
        let there = view.observed.mounts.holding(path).map(|m| (m.major(), m.minor()));
        if !matches!(file, FileFacts::Is(file) if file.id == id) || there == here {
            continue;
        }
        let detail = format!("{path} carries the identity of volume `{}`", volume.name);
        let cause = "one of the two is a copy; after a reboot the wrong one may be mounted in its place";
        let finding = Finding::new(Check::TwinVolume, Severity::Error, detail).path(path);
        out.push(finding.cause(cause).hint(format!("umount {}", word(path))));
    }
}

/// Binds that are in one peer group with their volume (mount_namespaces(7)).
fn shared(view: &View<'_>, volume: &Volume, out: &mut Vec<Finding>) {
    let mounts = &view.observed.mounts;
    let Some(group) = mounts.holding(&volume.path).and_then(|m| m.propagation().shared) else { return };
    let of_volume = view.wanted.mappings.iter().filter(|m| m.volume == volume.name);
    let in_group =
        of_volume.filter(|m| mounts.at(&m.mount_point).is_some_and(|b| b.propagation().shared == Some(group)));
    let count = in_group.count();
    if count > 0 {
        let detail = format!("{count} binds of volume `{}` share their mounts with it", volume.name);
        let cause = "what is mounted inside a bind also shows in its store directory, as systemd has it for all mounts";
        let finding = Finding::new(Check::Shared, Severity::Note, detail);
        out.push(about(volume, finding).cause(cause).hint("nothing need be done; mount nothing inside a bind by hand"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_are_those_of_df() {
        for (all, free, wanted) in
            [(100, 11, 89), (1000, 109, 90), (100, 0, 100), (0, 0, 0), (u64::MAX, 0, 100), (100, 100, 0)]
        {
            assert_eq!(percent(all, free), wanted, "{all} {free}");
        }
    }
}
