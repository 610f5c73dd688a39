//! The file that answers what the command line does not say. It needs nothing of the command, so that a fuzz target can read with it.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use datastore_core::path::printable;
use datastore_core::value::{AppName, HostName, VolumeName};
use serde::Deserialize;

/// A larger file holds no answers.
const LIMIT: u64 = 1 << 20;

/// What it may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) host: Option<HostName>,
    pub(crate) volume: Option<VolumeName>,
    pub(crate) device: Option<PathBuf>,
    pub(crate) format: Option<String>,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) import: Vec<AppName>,
    pub(crate) enable: Vec<AppName>,
}

/// Reads it; else why that cannot be.
pub(crate) fn read(path: &Path) -> Result<File, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    // By what is read and not by what stat(2) says: a device or a pipe has no length.
    let mut text = String::new();
    file.take(LIMIT + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > LIMIT {
        return Err("it is too large for answers".into());
    }
    parse(&text)
}

/// What a text says.
pub(crate) fn parse(text: &str) -> Result<File, String> {
    let file: File = toml::from_str(text).map_err(|error| {
        let told = error.to_string().trim().replace('\n', " ");
        printable(told.as_bytes())
    })?;
    let known = ["ext4", "xfs", "btrfs"];
    match (&file.device, &file.directory, file.format.as_deref()) {
        (Some(_), Some(_), _) => Err("it names a device and a directory; a volume is one of them".into()),
        (None, _, Some(_)) => Err("`format` needs `device`".into()),
        (_, _, Some(format)) if !known.contains(&format) => {
            Err(format!("`{}` is no file system that datastore makes: ext4, xfs or btrfs", format.escape_debug()))
        }
        _ => Ok(file),
    }
}
