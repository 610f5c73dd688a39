//! What `init` is to do: from the command line, and from a file for what that does not say.

use std::path::{Path, PathBuf};

use datastore_core::value::{AppName, HostName, VolumeName};
use datastore_core::{Error, ErrorKind, Result};
use serde::Deserialize;

use crate::args::{Init, Source};

/// A larger file holds no answers.
const LIMIT: u64 = 1 << 20;

/// What was said.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    /// The name that presents the data.
    pub(super) host: Option<HostName>,
    /// The name of the volume.
    pub(super) volume: VolumeName,
    /// What it is made of.
    pub(super) source: Source,
    /// Apps whose data is brought in.
    pub(super) import: Vec<AppName>,
    /// Apps to ask for.
    pub(super) enable: Vec<AppName>,
}

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    host: Option<HostName>,
    volume: Option<VolumeName>,
    device: Option<PathBuf>,
    format: Option<String>,
    directory: Option<PathBuf>,
    import: Vec<AppName>,
    enable: Vec<AppName>,
}

impl Init {
    /// Whether nothing was said at all.
    pub(super) fn says_nothing(&self) -> bool {
        let Self { host, volume, source, enable, import, answers } = self;
        let source_is_given = source.device.is_some() || source.directory.is_some();
        host.is_none()
            && volume.is_none()
            && !source_is_given
            && enable.is_empty()
            && import.is_empty()
            && answers.is_none()
    }
}

impl Answers {
    /// What the options say, and the file where they say nothing.
    pub(super) fn of(args: Init) -> Result<Self> {
        let file = args.answers.as_deref().map(read).transpose()?.unwrap_or_default();
        let is_given = args.source.device.is_some() || args.source.directory.is_some();
        let source = if is_given {
            args.source
        } else {
            Source { device: file.device, format: file.format, force: false, directory: file.directory }
        };
        let or = |given: Vec<AppName>, else_: Vec<AppName>| if given.is_empty() { else_ } else { given };
        let volume = args.volume.or(file.volume).map_or_else(|| VolumeName::parse("data0"), Ok);
        Ok(Self {
            host: args.host.or(file.host),
            volume: volume.map_err(|error| Error::new(ErrorKind::Usage, error.to_string()))?,
            source,
            import: or(args.import, file.import),
            enable: or(args.enable, file.enable),
        })
    }
}

fn read(path: &Path) -> Result<File> {
    let failed = |why: String| {
        Error::new(ErrorKind::Usage, format!("{} cannot be used: {why}; nothing has been changed", path.display()))
            .hint("datastore init --help lists what it may hold")
    };
    let length = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if length > LIMIT {
        return Err(failed("it is too large for answers".into()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let file = parse(&text).map_err(failed)?;
    Ok(file)
}

fn parse(text: &str) -> std::result::Result<File, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string().trim().replace('\n', " "))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_everything_or_nothing() {
        let file = parse(
            "host = \"server1\"\nvolume = \"data0\"\ndevice = \"/dev/sdb\"\nformat = \"xfs\"\nimport = [\"home\"]\nenable = [\"httpd\"]\n",
        )
        .unwrap();
        assert_eq!(file.host.unwrap().as_str(), "server1");
        assert_eq!((file.device, file.format.as_deref()), (Some("/dev/sdb".into()), Some("xfs")));
        assert_eq!((file.import.len(), file.enable.len()), (1, 1));
        assert!(parse("").unwrap().device.is_none());
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        for (text, why) in [
            ("device = \"/a\"\ndirectory = \"/b\"\n", "a volume is one of them"),
            ("format = \"xfs\"\n", "needs `device`"),
            ("device = \"/a\"\nformat = \"vfat\"\n", "no file system"),
            ("hots = \"a\"\n", "hots"),
            ("host = \"localhost\"\n", "every machine"),
            ("import = \"home\"\n", "invalid type"),
            ("nonsense", "line 1"),
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.contains(why), "{text:?}: {told}");
        }
    }
}
