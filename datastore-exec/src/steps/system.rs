//! Steps about the machine as a whole.

use datastore_core::planted::{self, Bug};
use datastore_core::{AbsPath, Error, ErrorKind};
use rustix::fs::OFlags;

use super::Failure;
use crate::root::{Root, if_there};
use crate::site::program;

/// Brings everything on the file system that holds a directory to the disk. One that is not there has nothing to be brought: the
/// mapping whose step was to make it has failed, and the others go on.
pub(crate) fn flush(root: &Root, path: &AbsPath) -> Result<(), Failure> {
    if planted::has(Bug::UnsyncedCopy) {
        return Ok(());
    }
    let Some(dir) = if_there(root.open_file(path, OFlags::RDONLY | OFlags::DIRECTORY, 0))? else { return Ok(()) };
    // A failed sync must never be tried again: the kernel has forgotten what it could not write.
    rustix::fs::syncfs(&dir).map_err(|errno| {
        Error::new(ErrorKind::System, format!("the file system of {path} cannot be brought to the disk"))
            .with_errno(errno.raw_os_error())
            .hint("look at dmesg: the disk may be failing")
            .caused_by(std::io::Error::from(errno))
    })?;
    Ok(())
}

/// Tells systemd that fstab has changed (systemctl(1)).
///
/// # Errors
/// If it did not read them.
pub(crate) fn reload() -> Result<(), Error> {
    let hint = "run it by hand: systemctl daemon-reload; until then systemd may mount what stood in fstab before";
    let failed = |message: String| Error::new(ErrorKind::System, message).hint(hint);
    match program::run("systemctl", "systemd", &["daemon-reload"]) {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(failed(format!("systemctl daemon-reload failed: {}", program::complaint(&output)))),
        Err(error) => Err(failed("systemctl cannot be run".into()).caused_by(error)),
    }
}
