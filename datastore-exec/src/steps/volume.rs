//! The steps that make, mount and unmount volumes.

use std::ffi::OsString;
use std::path::Path;

use datastore_core::mapping::BindOptions;
use datastore_core::path::printable;
use datastore_core::plan::volume::EBUSY;
use datastore_core::value::Id;
use datastore_core::{AbsPath, Error, ErrorKind};

use crate::holders::{Holders, holders};
use crate::root::{Miss, Root};
use crate::site::device::{self, Node};
use crate::site::{blkid, program};
use crate::sys::ids::Ids;
use crate::sys::mount::{self, Unmount};
use crate::sys::{Kind, fd};

/// Makes a file system on a block device or an image (mkfs(8)). `fstype` is `ext4`, `xfs` or `btrfs`.
///
/// What was true when the plan was made is looked at once more: nobody uses the device, and nothing is found on it, unless
/// `force` says that it may be overwritten. When this returns, the new file system is on the disk.
///
/// # Errors
/// [`ErrorKind::Refused`] if the device is in use or something is on it: it is as it was. If mkfs failed, what is on the
/// device is not known.
pub(crate) fn make_filesystem(
    root: &Root,
    device: &AbsPath,
    fstype: &str,
    label: &str,
    uuid: Id,
    force: bool,
) -> Result<(), Error> {
    let (program, package) = match fstype {
        "ext4" => ("mkfs.ext4", "e2fsprogs"),
        "xfs" => ("mkfs.xfs", "xfsprogs"),
        "btrfs" => ("mkfs.btrfs", "btrfs-progs"),
        other => {
            let message = format!("`{}` is no file system that datastore makes", other.escape_debug());
            return Err(Error::new(ErrorKind::Usage, message).hint("ext4, xfs or btrfs"));
        }
    };
    let Some(node) = device::find(root, device)? else {
        return refuse(format!("{device} is not there any more; nothing was made"), "lsblk");
    };
    untouched(root, &node, force)?;
    let uuid = uuid.to_string();
    let mut args: Vec<String> = vec!["-q".into(), "-L".into(), label.into()];
    match fstype {
        "xfs" => args.extend(["-m".into(), format!("uuid={uuid}")]),
        _ => args.extend(["-U".into(), uuid.clone()]),
    }
    match fstype {
        // Older ones ask back about files and whole disks. What is in use they refuse all the same.
        "ext4" if force || node.is_image || node.is_whole_disk() => args.push("-F".into()),
        "xfs" | "btrfs" if force => args.push("-f".into()),
        _ => {}
    }
    args.push(node.proc_path());
    let output = program::run(program, package, &args)?;
    if !output.status.success() {
        let why = program::complaint(&output).replace(&node.proc_path(), &device.to_string());
        return Err(Error::new(
            ErrorKind::System,
            format!("cannot make a file system on {device}: {program}: {why}; what is on it now is not known"),
        )
        .hint("look after the device, then run the command again with --force"));
    }
    fd::sync(&node.fd)?;
    match blkid::probe(&node)? {
        Some(found) if found.kind == fstype && found.uuid.as_deref() == Some(&uuid) => Ok(()),
        found => Err(Error::new(
            ErrorKind::System,
            format!(
                "{program} says that it made a file system on {device}, but what is found there is {}",
                found.map_or_else(|| "nothing".into(), |f| f.to_string())
            ),
        )
        .hint("look after the device")),
    }
}

fn refuse<T>(message: String, hint: impl Into<String>) -> Result<T, Error> {
    Err(Error::new(ErrorKind::Refused, message).hint(hint))
}

/// Nobody uses the device, and nothing is on it that must not be overwritten.
fn untouched(root: &Root, node: &Node, force: bool) -> Result<(), Error> {
    let table = datastore_core::mountinfo::MountTable::parse(crate::sys::proc::mountinfo()?)
        .map_err(|e| Error::new(ErrorKind::System, "cannot understand the kernel's mount table").caused_by(e))?;
    let usage = node.usage(root, &table.rebased(root.path()))?;
    let device = &node.path;
    if let Some(at) = usage.mounted_at.first() {
        return refuse(format!("{device} is mounted at {at}; it was not touched"), format!("umount {at}"));
    }
    if let Some(why) = usage.otherwise {
        return refuse(format!("{device} is in use: {why}; it was not touched"), format!("lsblk {device}"));
    }
    match blkid::probe(node)? {
        Some(found) if !force => refuse(
            format!("{device} is not empty any more: it holds {found}; it was not touched"),
            "look what is on it, then run the command again",
        ),
        _ => Ok(()),
    }
}

/// Mounts a volume at a directory, which must be empty and bare. `fstype` is `none` for a bound directory; `options` are
/// mount(8)'s, and may be empty.
///
/// A `source` that is a path is one below the root (of a directory or an image), or one in `/dev`; anything else
/// (`LABEL=`, `UUID=`, `server:/path`) is mount(8)'s.
///
/// # Errors
/// [`ErrorKind::Refused`] if something is mounted there or is in it, or the source is not there. Nothing is mounted then.
pub(crate) fn mount(root: &Root, source: &str, path: &AbsPath, fstype: &str, options: &str) -> Result<(), Error> {
    root.forget_within(path);
    bare(root, path)?;
    let done = if is_bind(fstype, options) {
        bind(root, source, path, options)
    } else {
        mount_file_system(root, source, path, fstype, options)
    };
    // A directory that was opened before lies below the mount now.
    root.forget_within(path);
    done?;
    match root.stat(path) {
        Ok(facts) if facts.mount_root => Ok(()),
        _ => Err(Error::new(ErrorKind::System, format!("{source} was mounted, but {path} does not show it"))
            .hint(format!("findmnt {path}"))),
    }
}

fn is_bind(fstype: &str, options: &str) -> bool {
    fstype == "none" || options.split(',').any(|o| o == "bind")
}

/// The place for a mount: a directory, reached without a link, with nothing mounted on it and nothing in it.
fn bare(root: &Root, path: &AbsPath) -> Result<(), Error> {
    let facts = root.stat(path)?;
    if facts.kind != Kind::Dir {
        return Err(Miss::NotADirectory(path.clone()).into());
    }
    if facts.mount_root {
        let message = format!("something is mounted at {path} already");
        return Err(Error::new(ErrorKind::Refused, message).with_errno(EBUSY).hint(format!("findmnt {path}")));
    }
    if !root.is_empty_dir(path)? {
        return refuse(
            format!("{path} is not empty; a mount would hide what is in it, so nothing was mounted"),
            format!("ls -A {path}"),
        );
    }
    Ok(())
}

fn bind(root: &Root, source: &str, path: &AbsPath, options: &str) -> Result<(), Error> {
    let source = AbsPath::parse(source)
        .map_err(|why| Error::new(ErrorKind::Usage, format!("{source:?} cannot be bound")).caused_by(why))?;
    let has = |name: &str| options.split(',').any(|o| o == name);
    let options = BindOptions { ro: has("ro"), nosuid: has("nosuid"), nodev: has("nodev"), noexec: has("noexec") };
    let place = root.place(path)?;
    let mount = mount::bind(root.open_dir(&source)?, root.open_dir(path)?, place.entry(), options)?;
    drop(mount);
    Ok(())
}

fn mount_file_system(root: &Root, source: &str, path: &AbsPath, fstype: &str, options: &str) -> Result<(), Error> {
    let mut options = options.to_owned();
    let mut real = OsString::from(source);
    if source.starts_with('/') {
        let parsed = AbsPath::parse(source)
            .map_err(|why| Error::new(ErrorKind::Usage, format!("{source:?} cannot be mounted")).caused_by(why))?;
        let Some(node) = device::find(root, &parsed)? else {
            return refuse(format!("{source} is neither a block device nor a file; nothing was mounted"), "lsblk");
        };
        if node.is_image && !options.split(',').any(|o| o == "loop" || o.starts_with("loop=")) {
            options.push_str(if options.is_empty() { "loop" } else { ",loop" });
        }
        real = node.real.into_os_string();
    }
    let on = root.outside(path)?;
    let on = Path::new(std::ffi::OsStr::new(on.to_str().ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("{path} cannot be a mount point of mount(8): it is no UTF-8 text"))
    })?));
    let mut args: Vec<OsString> = vec!["-t".into(), fstype.into()];
    if !options.is_empty() {
        args.extend(["-o".into(), options.into()]);
    }
    args.extend(["--".into(), real, on.into()]);
    let output = program::run("mount", "mount", &args)?;
    if output.status.success() {
        return Ok(());
    }
    let message = format!("cannot mount {source} on {path}: {}", program::complaint(&output));
    let kind = if rustix::process::geteuid().is_root() { ErrorKind::System } else { ErrorKind::Privilege };
    Err(Error::new(kind, message).hint("dmesg | tail"))
}

/// Takes the topmost mount off a directory, never lazily. If nothing is mounted there, good.
///
/// # Errors
/// [`ErrorKind::Refused`] if it is in use; the message names who uses it. It is still mounted then.
pub(crate) fn unmount(root: &Root, path: &AbsPath) -> Result<(), Error> {
    // What the root keeps open there would keep it busy.
    root.forget_within(path);
    let place = root.place(path)?;
    let outcome = mount::unmount(place.entry())?;
    root.forget_within(path);
    match outcome {
        Unmount::Done | Unmount::NotMounted => Ok(()),
        Unmount::Busy => {
            let found = match root.stat(path)?.mnt_id {
                Some(id) => holders(&Ids::new(root)?, id)?,
                None => Holders::default(),
            };
            refuse(format!("{path} is in use, and still mounted: {}", users(&found)), hint(&found, path))
        }
    }
}

/// Who uses a mount, in a sentence.
fn users(found: &Holders) -> String {
    const SHOWN: usize = 5;
    let mut all: Vec<String> = found.processes.iter().map(ToString::to_string).collect();
    all.extend(found.mounts.iter().map(|m| format!("a mount at {}", printable(m.as_bytes()))));
    let more = all.len().saturating_sub(SHOWN);
    all.truncate(SHOWN);
    if more > 0 {
        all.push(format!("{more} more"));
    }
    if found.unseen > 0 {
        all.push(format!("perhaps some of {} processes that cannot be seen", found.unseen));
    }
    if all.is_empty() {
        return "by no process that can be seen; perhaps by swap, a loop device or an NFS export".into();
    }
    all.join("; ")
}

fn hint(found: &Holders, path: &AbsPath) -> String {
    match (found.mounts.first(), found.processes.is_empty()) {
        (Some(mount), true) => format!("umount {mount}"),
        _ => format!("stop what uses it, then run the command again (datastore status shows {path})"),
    }
}

#[cfg(test)]
mod tests;
