//! What may be said of a machine that is set up, and of its volumes.

use std::path::PathBuf;

use clap::Args;
use datastore_core::AbsPath;
use datastore_core::value::{AppName, HostName, VolumeName};

/// `init`
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The name that presents the data; the machine's short name unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<HostName>,
    /// The name of the first volume; data0 unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) volume: Option<VolumeName>,
    #[command(flatten)]
    pub(crate) source: Source,
    /// Apps to ask for at once
    #[arg(long, value_name = "APP", num_args = 1.., value_delimiter = ',')]
    pub(crate) enable: Vec<AppName>,
    /// Apps whose data is brought in at once, in this order
    #[arg(long, value_name = "APP", num_args = 1.., value_delimiter = ',')]
    pub(crate) import: Vec<AppName>,
    /// Answers for an unattended installation, in TOML: host, volume, device, format, directory, enable, import
    #[arg(long, value_name = "FILE")]
    pub(crate) answers: Option<PathBuf>,
}

/// `volume add`
#[derive(Debug, Args)]
pub(crate) struct VolumeAdd {
    /// Its name, such as data1
    #[arg(value_name = "NAME")]
    pub(crate) name: VolumeName,
    #[command(flatten)]
    pub(crate) source: Source,
    /// Where it is, if not /store/NAME
    #[arg(long, value_name = "PATH", value_parser = super::abs_path)]
    pub(crate) at: Option<AbsPath>,
    /// More mount options, as in fstab
    #[arg(long, value_name = "OPTIONS")]
    pub(crate) options: Option<String>,
}

/// What a volume is made of.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Source {
    /// A block device or an image file
    #[arg(long, value_name = "DEV|IMAGE", conflicts_with = "directory")]
    pub(crate) device: Option<PathBuf>,
    /// Make this file system on the device
    #[arg(long, value_name = "TYPE", requires = "device", value_parser = ["ext4", "xfs", "btrfs"])]
    pub(crate) format: Option<String>,
    /// Overwrite a file system that is found on the device
    #[arg(long, requires = "format")]
    pub(crate) force: bool,
    /// A directory
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

/// `adopt`
#[derive(Debug, Args)]
pub(crate) struct Adopt {
    /// The name that the volume is to have; the one that it had unless given
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<VolumeName>,
    /// The block device or image; the only one that carries a volume unless given
    #[arg(long, value_name = "DEV|IMAGE", conflicts_with = "directory")]
    pub(crate) device: Option<PathBuf>,
    /// A directory that was a volume
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
    /// Whose data, where several hosts have some on it
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<HostName>,
    /// The name under which this machine presents it: its own, or the one that it is to have
    #[arg(long = "as", value_name = "HOST")]
    pub(crate) present: Option<HostName>,
    /// Show what would be done, and change nothing
    #[arg(long)]
    pub(crate) show: bool,
}
