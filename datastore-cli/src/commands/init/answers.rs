//! What `init` is to do: from the command line, and from a file for what that does not say.

mod file;

use std::path::Path;

use datastore_core::value::{AppName, HostName, VolumeName};
use datastore_core::{Error, ErrorKind, Result};

use self::file::File;
use crate::args::{Init, Source};

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
    file::read(path).map_err(|why| {
        Error::new(ErrorKind::Usage, format!("{} cannot be used: {why}; nothing has been changed", path.display()))
            .hint("datastore init --help lists what it may hold")
    })
}

#[cfg(test)]
mod tests {
    use super::file::parse;
    use super::*;

    #[test]
    fn what_never_ends_is_too_large() {
        let told = read(Path::new("/dev/zero")).unwrap_err();
        assert!(told.message().contains("too large"), "{told}");
    }

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
