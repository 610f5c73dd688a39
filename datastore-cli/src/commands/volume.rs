//! `volume add`, `volume candidates`, `volume list`, `volume remove`.

use std::path::Path;

use datastore_core::goal::{Goal, VolumeRequest, VolumeSource};
use datastore_core::value::{HostName, VolumeName};
use datastore_core::{AbsPath, Error, ErrorKind, Result};
use datastore_exec::Engine;

use super::{Session, apps};
use crate::args::{Source, VolumeAdd};
use crate::exit::Exit;
use crate::{place, view};

pub(crate) fn add(session: &Session, args: VolumeAdd) -> Result<Exit> {
    let engine = session.engine()?;
    let mut request = request(&engine, args.name, args.source)?;
    request.at = args.at;
    request.options = args.options;
    apps::with_question(session, &engine, &Goal::VolumeAdd(request))
}

pub(crate) fn candidates(session: &Session) -> Result<Exit> {
    view::devices(&session.engine()?.candidates()?, session.global.json)?;
    Ok(Exit::Done)
}

pub(crate) fn list(session: &Session) -> Result<Exit> {
    let status = session.engine()?.status(&[])?;
    view::volumes(&status.volumes, session.global.json)?;
    Ok(Exit::Done)
}

pub(crate) fn remove(session: &Session, name: VolumeName) -> Result<Exit> {
    apps::with_question(session, &session.engine()?, &Goal::VolumeRemove { name })
}

/// The volume that the options ask for.
pub(crate) fn request(engine: &Engine, name: VolumeName, source: Source) -> Result<VolumeRequest> {
    let path = |typed: &Path| below_root(engine, typed);
    let of = match (&source.device, &source.directory) {
        (Some(device), _) => VolumeSource::Device(path(device)?),
        (None, Some(directory)) => VolumeSource::Directory(path(directory)?),
        (None, None) => VolumeSource::Here,
    };
    Ok(VolumeRequest {
        name,
        source: of,
        format: source.format,
        force: source.force,
        at: None,
        options: None,
        host: own_name().ok(),
    })
}

/// The path below the root that a typed one means.
pub(super) fn below_root(engine: &Engine, typed: &Path) -> Result<AbsPath> {
    let cwd = std::env::current_dir().map_err(|error| {
        Error::new(ErrorKind::System, "getcwd: the current directory is not known; nothing has been changed")
            .caused_by(error)
    })?;
    let root = std::os::unix::ffi::OsStrExt::from_bytes(engine.root().path().as_bytes());
    place::below_root(Path::new::<std::ffi::OsStr>(root), &cwd, typed)
}

/// The short name of this machine (uname(2)), if it is one that can present data.
///
/// # Errors
/// [`ErrorKind::Usage`] for `localhost` and the like.
pub(crate) fn own_name() -> Result<HostName> {
    short_name(&rustix::system::uname().nodename().to_string_lossy())
}

fn short_name(name: &str) -> Result<HostName> {
    let short = name.split('.').next().unwrap_or_default();
    let refuse =
        |why: String| Error::new(ErrorKind::Usage, why).hint("choose the name that presents the data: --host NAME");
    if matches!(short, "" | "(none)") {
        return Err(refuse(format!("this machine is called `{name}`, which is no name of its own")));
    }
    HostName::parse(short).map_err(|why| refuse(format!("this machine's name cannot be used: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_machines() {
        for (name, short) in [("server1", "server1"), ("server1.example.org", "server1"), ("Web-2", "Web-2")] {
            assert_eq!(short_name(name).unwrap().as_str(), short);
        }
        for name in ["localhost", "localhost.localdomain", "(none)", "", ".x", "a b", "-x"] {
            let error = short_name(name).expect_err(name);
            assert!(error.kind() == ErrorKind::Usage && error.get_hint().unwrap().contains("--host"), "{name}");
        }
    }
}
