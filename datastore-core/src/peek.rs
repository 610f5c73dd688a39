//! What lies hidden under the live binds of an app: which places to look at, what is told of them, and where a copy may go. The field
//! names are part of the interface.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::fstab::Fstab;
use crate::mountinfo::MountTable;
use crate::path::AbsPath;
use crate::state::words;
use crate::value::AppName;
use crate::wanted::Wanted;

/// A place to look under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The mount point.
    pub mount_point: AbsPath,
    /// Whether something is mounted there, so that anything can be hidden at all.
    pub covered: bool,
    /// What is asked for below the mount point; `None` is all of it.
    pub below: Option<AbsPath>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peek {
    /// The app.
    pub app: String,
    /// Each of its mount points.
    pub mappings: Vec<Peeked>,
    /// What was copied out; `null` if that was not asked for, or nothing is hidden.
    pub copied: Option<Copied>,
}

/// One mount point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peeked {
    /// The mount point.
    pub mount_point: String,
    /// Whether something lies there that nobody can see.
    pub hidden: bool,
    /// A sentence where there is nothing to list.
    pub detail: String,
    /// What lies there, parents first.
    pub entries: Vec<Entry>,
    /// Whether there is more than was listed.
    pub cut: bool,
}

words! {
    /// What something is.
    EntryKind {
        /// A regular file.
        File = "file",
        /// A directory.
        Directory = "directory",
        /// A symbolic link.
        Link = "link",
        /// A socket, FIFO or device.
        Other = "other",
    }
}

/// One file, directory or link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its path below the mount point, fit to print.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes.
    pub size: u64,
    /// Mode, such as `0644`.
    pub mode: String,
    /// Owner, as a number.
    pub uid: u32,
    /// Group, as a number.
    pub gid: u32,
    /// Owner by name; empty where the number has none.
    pub user: String,
    /// Group by name; empty where the number has none.
    pub group: String,
    /// When it was changed, in seconds since 1970.
    pub modified: i64,
    /// Where a link leads; else empty.
    pub target: String,
}

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Where to.
    pub to: String,
    /// Names of regular files, sockets, FIFOs and devices.
    pub files: usize,
    /// Directories.
    pub directories: usize,
    /// Symbolic links.
    pub links: usize,
    /// Bytes of the files, without their holes.
    pub bytes: u64,
    /// What was not copied, or not in full, and why; the first of them.
    pub left_out: Vec<LeftOut>,
    /// How much more was left out.
    pub more_left_out: usize,
}

/// Something that was not copied, or not in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Where it lies, as it would be named without the bind.
    pub path: String,
    /// Why.
    pub why: String,
}

/// The places to look at for an app: its mount points that are declared, or that our lines in fstab still name.
///
/// # Errors
/// [`ErrorKind::Usage`] if a path is given that lies in none of them, or there are none.
pub fn targets(
    wanted: &Wanted,
    fstab: &Fstab,
    mounts: &MountTable,
    app: &AppName,
    path: Option<&AbsPath>,
) -> Result<Vec<Target>> {
    let ours =
        fstab.entries().filter(|r| r.ours && r.entry.option_value("X-datastore") == Some(app.as_str().as_bytes()));
    let declared = wanted.of_app(app).map(|(_, m)| m.mount_point.clone());
    let mut places: BTreeMap<AbsPath, Option<AbsPath>> =
        declared.chain(ours.filter_map(|r| r.entry.mount_point())).map(|p| (p, None)).collect();
    if let Some(path) = path {
        // The innermost of those around it: that is whose bind covers it.
        let around = places.keys().filter(|place| path.is_within(place)).max_by_key(|place| place.depth()).cloned();
        let Some(place) = around else {
            let list: Vec<String> = places.keys().take(5).map(ToString::to_string).collect();
            return Err(Error::new(ErrorKind::Usage, format!("{path} lies in no mount point of `{app}`"))
                .hint(format!("its mount points: {}", list.join(", "))));
        };
        let below = path.below(&place).filter(|below| !below.is_root());
        places = BTreeMap::from([(place, below)]);
    }
    if places.is_empty() {
        return Err(Error::new(ErrorKind::Usage, format!("`{app}` has no mount point to look under"))
            .hint(format!("datastore config show {app}")));
    }
    let target =
        |(mount_point, below): (AbsPath, _)| Target { covered: mounts.at(&mount_point).is_some(), mount_point, below };
    Ok(places.into_iter().map(target).collect())
}

/// Whether a copy may go to a directory.
///
/// # Errors
/// [`ErrorKind::Refused`] if it lies in a store or at or in a mount point of any app: an app would see it, or a bind would cover it.
pub fn may_receive(wanted: &Wanted, to: &AbsPath) -> Result<()> {
    let refuse = |what: String| {
        Err(Error::new(
            ErrorKind::Refused,
            format!("nothing can be copied to {to}: it lies in {what}; nothing was copied"),
        )
        .hint("name a directory elsewhere, such as /root/hidden"))
    };
    if let Some(volume) = wanted.volumes.iter().find(|v| to.is_within(&v.live())) {
        return refuse(format!("the stores of volume `{}`", volume.name));
    }
    if let Some(m) = wanted.mappings.iter().find(|m| to.is_within(&m.mount_point) || to.is_within(&m.store)) {
        return refuse(format!("{} of `{}`", m.mount_point, m.app));
    }
    Ok(())
}
