//! Goals: what somebody asks for.

use serde::{Deserialize, Serialize};

use crate::declaration::Declaration;
use crate::error::Result;
use crate::fstab::Fstab;
use crate::journal::OperationId;
use crate::mapping::Mapping;
use crate::moving::{Keep, Verify};
use crate::path::AbsPath;
use crate::value::{AppName, HostName, VolumeName};
use crate::wanted::Wanted;

/// What a plan is made for. Core has one planner for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Goal {
    /// What the configuration asks for.
    Apply(Apps),
    /// Bound again, also after a stop or with another store.
    Start(Apps),
    /// Bare and sealed until `start`.
    Stop(Apps),
    /// Both, one after the other.
    Restart(Apps),
    /// Asked for from now on.
    Enable(Apps),
    /// Not asked for, and its mount points plain directories again.
    Disable(Apps),
    /// Down, with new stores made and fstab rewritten after an edit.
    Remap(Apps),
    /// A new or an existing volume.
    VolumeAdd(VolumeRequest),
    /// A volume that is not used any more.
    VolumeRemove {
        /// Which.
        name: VolumeName,
    },
    /// The first volume and the host's name.
    Init {
        /// The name that presents the data.
        host: HostName,
        /// The first volume.
        volume: VolumeRequest,
    },
    /// A volume from another or a reinstalled machine, with what is on it.
    Adopt(Adopt),
    /// A configlet that a program without privilege asks for.
    Declare(Declare),
    /// Such a configlet is removed.
    Withdraw(Apps),
    /// The data that stands at an app's mount points, in the store.
    Import(Import),
    /// The data of an app in other store directories.
    Move(Move),
    /// The data of an app where it was before it was last imported or moved.
    Undo(Undo),
    /// Trees that were put aside are removed.
    Reclaim(Reclaim),
    /// Copies that nothing has come of are removed.
    Abort(Apps),
    /// An import or a move that stopped half-way: finished if the new places count already, else taken back.
    Settle {
        /// The app.
        apps: Apps,
        /// The operation.
        operation: OperationId,
    },
}

/// Which volume to adopt, and whose data on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopt {
    /// The volume.
    pub volume: VolumeRequest,
    /// The host whose data it is: a directory below `live`.
    pub from: HostName,
    /// The name under which this machine presents it.
    pub host: HostName,
}

/// What to declare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declare {
    /// The one app.
    pub apps: Apps,
    /// What is said of it.
    pub declaration: Declaration,
}

impl From<Declaration> for Declare {
    fn from(declaration: Declaration) -> Self {
        Self { apps: Apps::named(vec![declaration.app.clone()]), declaration }
    }
}

/// What to import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// The one app.
    pub apps: Apps,
    /// How the copy is verified, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
}

/// What to move where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The one app.
    pub apps: Apps,
    /// Where to.
    pub to: Destination,
    /// How many seconds its services may be stopped, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_downtime: Option<u32>,
    /// How the copy is verified, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
}

/// What to undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The one app.
    pub apps: Apps,
    /// Which side counts if the data has changed since; without it that is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
}

/// Which trees to remove of those that were put aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reclaim {
    /// Those of these apps.
    #[serde(flatten)]
    pub apps: Apps,
    /// Only those that need not be kept any longer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expired: bool,
}

/// Where data is moved to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Destination {
    /// The same place on another volume.
    Volume(VolumeName),
    /// This store directory on a volume; of an app with several mappings, the directory that is to hold their stores.
    Directory(AbsPath),
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Volume(name) => write!(f, "{name}"),
            Self::Directory(path) => write!(f, "{path}"),
        }
    }
}

/// The apps that a goal is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apps {
    /// Named ones; empty means every app that is asked for.
    pub names: Vec<AppName>,
    /// Whether store directories are taken as they are, with a new identity where the one expected is missing or another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept: bool,
    /// Apps that are left out, because somebody else is at work on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<AppName>,
}

impl Apps {
    /// These apps, by name, each once.
    #[must_use]
    pub fn named(mut names: Vec<AppName>) -> Self {
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        Self { names, ..Self::default() }
    }
    /// Refuses names of apps that nobody declares. An app of which only lines in fstab are left counts too.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage), with the nearest name that there is.
    pub fn demand_known(&self, wanted: &Wanted, fstab: &Fstab) -> Result<()> {
        for name in &self.names {
            let tag = Some(name.as_str().as_bytes());
            let has_line = || fstab.entries().any(|r| r.ours && r.entry.option_value("X-datastore") == tag);
            if wanted.app(name).is_none() && !has_line() {
                return Err(wanted.no_such_app(name));
            }
        }
        Ok(())
    }
    /// Whether an app is meant.
    #[must_use]
    pub fn has(&self, app: &AppName) -> bool {
        (self.names.is_empty() || self.names.contains(app)) && !self.except.contains(app)
    }
}

/// A volume to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeRequest {
    /// Its name.
    pub name: VolumeName,
    /// What it is.
    pub source: VolumeSource,
    /// The file system to make, if one is to be made: `ext4`, `xfs` or `btrfs`.
    pub format: Option<String>,
    /// Whether a file system that was found may be overwritten.
    pub force: bool,
    /// Where it is, if not `<store>/<name>`.
    pub at: Option<AbsPath>,
    /// Extra mount options.
    pub options: Option<String>,
    /// The name for the host if it has none yet: the first volume sets the machine up.
    #[serde(default)]
    pub host: Option<HostName>,
}

/// What a volume is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeSource {
    /// Whatever is at its path: a plain directory, or a file system that is mounted there already.
    Here,
    /// A directory elsewhere, to be bound there.
    Directory(AbsPath),
    /// A block device or an image file.
    Device(AbsPath),
}

impl Goal {
    /// The verb, as on the command line.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Apply(_) => "apply",
            Self::Start(_) => "start",
            Self::Stop(_) => "stop",
            Self::Restart(_) => "restart",
            Self::Enable(_) => "enable",
            Self::Disable(_) => "disable",
            Self::Remap(_) => "remap",
            Self::VolumeAdd(_) => "volume add",
            Self::VolumeRemove { .. } => "volume remove",
            Self::Init { .. } => "init",
            Self::Adopt(_) => "adopt",
            Self::Declare(_) => "config add",
            Self::Withdraw(_) => "config remove",
            Self::Import(_) => "import",
            Self::Move(_) => "move",
            Self::Undo(_) => "move --undo",
            Self::Reclaim(_) => "reclaim",
            Self::Abort(_) => "move --abort",
            Self::Settle { .. } => "recover",
        }
    }

    /// Whether the facts about a mapping are needed to plan for it.
    #[must_use]
    pub fn concerns(&self, mapping: &Mapping) -> bool {
        let all = Apps::default();
        let apps = self.apps().unwrap_or(&all);
        let is_volume = matches!(self, Self::VolumeRemove { .. });
        !is_volume && apps.has(&mapping.app) && (mapping.enabled || !apps.names.is_empty())
    }

    /// Whether it may lay mount points bare, so that what lies under live binds must be known.
    #[must_use]
    pub fn uncovers(&self) -> bool {
        matches!(
            self,
            Self::Stop(_) | Self::Restart(_) | Self::Disable(_) | Self::Remap(_) | Self::Settle { .. } | Self::Undo(_)
        )
    }

    /// Whether it changes the place of data: all of its steps stand or fall together.
    #[must_use]
    pub fn moves(&self) -> bool {
        matches!(self, Self::Import(_) | Self::Move(_) | Self::Undo(_))
    }

    /// Whether each step has an intent of its own in the journal, which then tells how far it came.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.moves() || matches!(self, Self::Settle { .. } | Self::Reclaim(_) | Self::Abort(_) | Self::Adopt(_))
    }

    /// The volume that it adds.
    #[must_use]
    pub fn new_volume(&self) -> Option<&VolumeRequest> {
        match self {
            Self::VolumeAdd(request)
            | Self::Init { volume: request, .. }
            | Self::Adopt(Adopt { volume: request, .. }) => Some(request),
            _ => None,
        }
    }

    /// The apps that it names.
    #[must_use]
    pub fn apps(&self) -> Option<&Apps> {
        match self {
            Self::Apply(a)
            | Self::Start(a)
            | Self::Stop(a)
            | Self::Restart(a)
            | Self::Enable(a)
            | Self::Disable(a)
            | Self::Remap(a)
            | Self::Withdraw(a)
            | Self::Declare(Declare { apps: a, .. })
            | Self::Import(Import { apps: a, .. })
            | Self::Move(Move { apps: a, .. })
            | Self::Undo(Undo { apps: a, .. })
            | Self::Reclaim(Reclaim { apps: a, .. })
            | Self::Abort(a)
            | Self::Settle { apps: a, .. } => Some(a),
            Self::VolumeAdd(_) | Self::VolumeRemove { .. } | Self::Init { .. } | Self::Adopt(_) => None,
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let way_back = match self {
            Self::Abort(apps) => Some((apps, "--abort")),
            Self::Undo(undo) => Some((&undo.apps, "--undo")),
            _ => None,
        };
        if let Some((apps, option)) = way_back {
            f.write_str("move")?;
            apps.names.iter().try_for_each(|name| write!(f, " {name}"))?;
            write!(f, " {option}")?;
            return match self {
                Self::Undo(Undo { keep: Some(keep), .. }) => write!(f, " --keep {keep}"),
                _ => Ok(()),
            };
        }
        f.write_str(self.verb())?;
        match self {
            Self::VolumeAdd(request) | Self::Init { volume: request, .. } => write!(f, " {}", request.name),
            Self::Adopt(Adopt { volume, from, host }) => {
                write!(f, " {} --host {from}", volume.name)?;
                if from == host { Ok(()) } else { write!(f, " --as {host}") }
            }
            Self::VolumeRemove { name } => write!(f, " {name}"),
            Self::Settle { operation, .. } => write!(f, " {operation}"),
            _ => {
                let apps = self.apps();
                apps.into_iter().flat_map(|a| &a.names).try_for_each(|name| write!(f, " {name}"))?;
                if apps.is_some_and(|a| a.accept) {
                    f.write_str(" --accept-store")?;
                }
                if let Self::Reclaim(Reclaim { expired: true, .. }) = self {
                    f.write_str(" --expired")?;
                }
                if let Self::Move(Move { to, max_downtime, .. }) = self {
                    write!(f, " --to {to}")?;
                    max_downtime.map_or(Ok(()), |seconds| write!(f, " --max-downtime {seconds}"))?;
                }
                let verify = match self {
                    Self::Import(Import { verify, .. }) | Self::Move(Move { verify, .. }) => *verify,
                    _ => None,
                };
                verify.map_or(Ok(()), |how| write!(f, " --verify {how}"))
            }
        }
    }
}
