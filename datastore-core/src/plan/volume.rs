//! The planner of volumes: `init`, `volume add`, `volume remove`, `adopt`.

mod add;
mod adopt;
mod remove;
mod source;
#[cfg(test)]
mod tests;

use crate::error::{Error, ErrorKind, Result};
use crate::goal::{Adopt, Goal, VolumeRequest};
use crate::manifest::{DIRECTORY, VolumeFile};
use crate::observed::{FileFacts, Place};
use crate::path::AbsPath;
use crate::value::{HostName, VolumeName};
use crate::wanted::Wanted;

pub use add::add;
pub use adopt::{Brought, StoreFound, adopt, hosts};
pub use remove::remove;

/// The facts about the place and the source of a volume.
#[derive(Debug, Clone)]
pub struct Site {
    /// Where the volume is to be.
    pub path: AbsPath,
    /// What stands there.
    pub place: Place,
    /// The identity file there.
    pub file: FileFacts<VolumeFile>,
    /// `live`, `live/<host>`, `backup`, `log`, `sbin` and `.datastore` below it, by their path.
    pub layout: Vec<(AbsPath, Place)>,
    /// The device or image that was named, or what is mounted at the path.
    pub device: Option<Device>,
    /// The directory that was named, and the identity file in it.
    pub directory: Option<(Place, FileFacts<VolumeFile>)>,
    /// `/etc/datastore.conf` as it is; `None` if there is none.
    pub config: Option<String>,
    /// What stands at `/etc/datastore.d`.
    pub configlets: Place,
}

/// A block device or an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// What names it: the path that was asked for, or, for what is mounted already, its device or the image behind its
    /// loop device. `None` for an image outside of the root.
    pub path: Option<AbsPath>,
    /// Whether it is a regular file, to be mounted through a loop device.
    pub is_image: bool,
    /// Its size in bytes.
    pub size: u64,
    /// What was found on it; `None` for nothing at all.
    pub signature: Option<Signature>,
    /// Where it is mounted.
    pub mounted_at: Vec<AbsPath>,
    /// What else uses it, as a sentence; `None` for nothing.
    pub in_use: Option<String>,
    /// The identity file on it, where it could be looked at without mounting it anywhere; `Hidden` where not.
    pub file: FileFacts<VolumeFile>,
}

/// What libblkid found on a device (blkid(8)).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signature {
    /// The file system, or what else: `ext4`, `swap`, `LVM2_member`, `a partition table (gpt)`.
    pub kind: String,
    /// Whether it is a file system.
    pub is_filesystem: bool,
    /// Its label.
    pub label: Option<String>,
    /// Its UUID.
    pub uuid: Option<String>,
    /// Whether its making was interrupted, so that it can hold nothing and cannot be mounted.
    pub is_unfinished: bool,
}

impl std::fmt::Display for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_unfinished {
            f.write_str("an unfinished ")?;
        }
        f.write_str(&self.kind)?;
        if let Some(label) = &self.label {
            write!(f, ", label {label}")?;
        }
        Ok(())
    }
}

const CONFIG: &str = "/etc/datastore.conf";
/// Device or resource busy (errno(3)); core links no C library.
pub const EBUSY: i32 = 16;

/// Where a request's volume is to be.
#[must_use]
pub fn path_of(view_store: &AbsPath, request: &VolumeRequest) -> AbsPath {
    request.at.clone().unwrap_or_else(|| view_store.child(request.name.as_str()))
}

/// The host's name once the goal is reached: the one it has, else the one that is given.
pub fn host_of(goal: &Goal, wanted: &Wanted) -> Result<HostName> {
    let given = match goal {
        Goal::Init { host, .. } | Goal::Adopt(Adopt { host, .. }) => Some(host),
        Goal::VolumeAdd(request) => wanted.host.as_ref().or(request.host.as_ref()),
        _ => wanted.host.as_ref(),
    };
    match given {
        Some(host) => Ok(host.clone()),
        None => refuse("this machine has no data store yet", "datastore init"),
    }
}

/// The directories of a volume, parents first (DESIGN 3).
#[must_use]
pub fn layout(path: &AbsPath, host: &HostName) -> Vec<AbsPath> {
    let live = path.child("live");
    vec![
        live.clone(),
        live.child(host.as_str()),
        path.child("backup"),
        path.child("log"),
        path.child("sbin"),
        path.child(DIRECTORY),
    ]
}

fn refuse<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T> {
    Err(Error::new(ErrorKind::Refused, message).hint(hint))
}

/// Refuses what somebody uses, and may not use any more in a moment: the error carries EBUSY (errno(3)).
fn busy<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T> {
    Err(Error::new(ErrorKind::Refused, message).with_errno(EBUSY).hint(hint))
}

/// Refuses what is neither a directory nor absent.
fn usable(path: &AbsPath, place: &Place) -> Result<()> {
    match place {
        Place::Dir(_) | Place::Absent { .. } => Ok(()),
        Place::Other { at, what } => refuse(format!("{at} is {what}, not a directory"), format!("ls -ld {at}")),
        Place::Hidden => {
            Err(Error::new(ErrorKind::Privilege, format!("{path} may not be looked at")).hint("run it as root"))
        }
        Place::Failed(why) => Err(Error::new(ErrorKind::System, format!("{path} cannot be looked at: {why}"))
            .hint("look after the disk: dmesg | tail")),
    }
}

/// The error for a volume that nobody declares.
pub(crate) fn unknown(name: &VolumeName, wanted: &Wanted) -> Error {
    let names: Vec<&str> = wanted.volumes.iter().filter(|v| v.declared).map(|v| v.name.as_str()).collect();
    let hint = match crate::diag::nearest(name.as_str(), &names) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "there is none".into(),
        None => format!("volumes: {}", names.join(", ")),
    };
    Error::new(ErrorKind::Usage, format!("no volume is called `{name}`")).hint(hint)
}
