//! Directories of one file system that are seen through two mounts, such as a volume that is a bound directory, and what lies beside that
//! directory. Nothing can be renamed from one to the other (rename(2), EXDEV), but where a third mount shows both, it can there.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use datastore_core::mountinfo::{Mount, MountTable};
use datastore_core::{AbsPath, Error, ErrorKind, Result};
use rustix::fs::OFlags;

use crate::root::{Root, if_there};
use crate::sys::stat::{self, Facts};
use crate::sys::{Entry, fd, proc};

/// Both directories once more, through one mount; `None` if none shows both.
pub(crate) fn on_one_mount(a: impl AsFd, b: impl AsFd) -> Result<Option<[OwnedFd; 2]>> {
    let (of_a, of_b) = (stat::facts(Entry::itself(&a))?, stat::facts(Entry::itself(&b))?);
    if of_a.dev != of_b.dev {
        return Ok(None);
    }
    let table = MountTable::parse(proc::mountinfo()?)
        .map_err(|e| Error::new(ErrorKind::System, "the mount table cannot be understood").caused_by(e))?;
    let (Some((mount, a)), Some((_, b))) = (inside(&table, a, &of_a), inside(&table, b, &of_b)) else {
        return Ok(None);
    };
    let host = Root::open(Path::new("/"))?;
    let number = |mount: &Mount<'_>| (mount.major(), mount.minor());
    for other in table.iter().filter(|other| other.is_visible() && number(other) == number(&mount)) {
        if let (Some(a), Some(b)) = (reach(&host, &other, &a, &of_a)?, reach(&host, &other, &b, &of_b)?) {
            return Ok(Some([a, b]));
        }
    }
    Ok(None)
}

/// The mount of a directory, and where it lies in its file system.
fn inside<'t>(table: &'t MountTable, dir: impl AsFd, facts: &Facts) -> Option<(Mount<'t>, Vec<u8>)> {
    let mount = table.by_id(u32::try_from(facts.mnt_id?).ok()?)?;
    let path = rustix::fs::readlink(fd::proc_path(dir.as_fd()), Vec::new()).ok()?;
    let place = mount.root_of(&AbsPath::from_kernel(path.as_bytes()).ok()?)?;
    Some((mount, place))
}

/// A directory through another mount, if that shows it. The paths are hints: only the same inode counts.
fn reach(host: &Root, mount: &Mount<'_>, place: &[u8], wanted: &Facts) -> Result<Option<OwnedFd>> {
    let root = mount.root();
    let rest = place.strip_prefix(root.strip_suffix(b"/").unwrap_or(&root));
    let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with(b"/")) else { return Ok(None) };
    let path = [mount.mount_point().strip_suffix(b"/").unwrap_or(mount.mount_point()), rest].concat();
    let path = if path.is_empty() { Ok(AbsPath::root()) } else { AbsPath::from_kernel(&path) };
    let Ok(path) = path else { return Ok(None) };
    let Some(dir) = if_there(host.open_file(&path, OFlags::RDONLY | OFlags::DIRECTORY, 0))? else { return Ok(None) };
    let found = stat::facts(Entry::itself(&dir))?;
    let same = (found.dev, found.ino, found.mnt_id) == (wanted.dev, wanted.ino, Some(mount.id().into()));
    Ok(same.then_some(dir))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::sys::name;
    use crate::testing::{Sandbox, without};

    #[test]
    fn what_two_binds_show_is_renamed_where_the_disk_is_seen() {
        Sandbox::run(|sandbox| {
            let disk = sandbox.ext4("disk");
            sandbox.dirs(&["one", "two", "disk/a/x", "disk/b/sub dir"]);
            let (one, two) = (sandbox.dir().join("one"), sandbox.dir().join("two"));
            rustix::mount::mount_bind(disk.join("a"), &one).unwrap();
            rustix::mount::mount_bind(disk.join("b"), &two).unwrap();
            let open = |path: &Path| OwnedFd::from(fs::File::open(path).unwrap());
            let (a, b) = (open(&one), open(&two.join("sub dir")));
            let direct = name::rename(Entry::new(&a, b"x"), Entry::new(&b, b"y"));
            assert_eq!(direct.unwrap_err().errno(), rustix::io::Errno::XDEV);
            let [c, d] = without(&[libc::SYS_openat2], || on_one_mount(&a, &b)).unwrap().expect("the disk shows both");
            name::rename(Entry::new(&c, b"x"), Entry::new(&d, b"y")).unwrap();
            assert!(two.join("sub dir/y").is_dir() && !one.join("x").exists());
            let [c, d] = on_one_mount(&b, &a).unwrap().expect("and the other way round");
            name::rename(Entry::new(&c, b"y"), Entry::new(&d, b"x")).unwrap();
            // Something else is seen at that path.
            rustix::mount::mount_bind(&two, disk.join("a")).unwrap();
            assert!(on_one_mount(&a, &b).unwrap().is_none());
            rustix::mount::unmount(disk.join("a"), rustix::mount::UnmountFlags::empty()).unwrap();
            assert!(on_one_mount(&a, &b).unwrap().is_some());
            rustix::mount::unmount(&disk, rustix::mount::UnmountFlags::DETACH).unwrap();
            assert!(on_one_mount(&a, &b).unwrap().is_none(), "no mount shows both any more");
            assert!(on_one_mount(&a, open(sandbox.dir())).unwrap().is_none());
        });
    }
}
