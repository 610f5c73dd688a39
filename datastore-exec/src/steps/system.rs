//! Steps about the machine as a whole.

use std::process::{Command, Stdio};

use datastore_core::{AbsPath, Error, ErrorKind};
use rustix::fs::OFlags;

use super::Failure;
use crate::root::Root;

/// Brings everything on the file system that holds a directory to the disk.
pub(super) fn flush(root: &Root, path: &AbsPath) -> Result<(), Failure> {
    let dir = root.open_file(path, OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
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
pub(super) fn reload() -> Result<(), Failure> {
    let hint = "run it by hand: systemctl daemon-reload; until then systemd may mount what stood in fstab before";
    let ran = Command::new("systemctl")
        .arg("daemon-reload")
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/")
        .stdin(Stdio::null())
        .output();
    match ran {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let message = format!("systemctl daemon-reload failed ({}): {said}", output.status);
            Err(Error::new(ErrorKind::System, message).hint(hint).into())
        }
        Err(error) => Err(Error::new(ErrorKind::System, "systemctl cannot be run").hint(hint).caused_by(error).into()),
    }
}
