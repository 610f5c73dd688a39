//! Answers core's probe: one look at everything that was asked for, and no opinion about it.

use std::collections::{BTreeMap, HashMap};

use datastore_core::fstab::Fstab;
use datastore_core::landscape::Landscape;
use datastore_core::manifest::{DIRECTORY, Manifest, ManifestError, VolumeFile};
use datastore_core::mountinfo::MountTable;
use datastore_core::observed::{
    FileFacts, Lookup, MappingFacts, MappingProbe, Observed, Place, Probe, Space, VolumeFacts,
};
use datastore_core::{AbsPath, Error, ErrorKind, Result};
use rustix::fs::{OFlags, StatVfsMountFlags};
use rustix::io::Errno;

use crate::beneath::Beneath;
use crate::hook;
use crate::journal_file::Scan;
use crate::label;
use crate::place::{Want, look};
use crate::root::{Miss, Root};
use crate::sys::ids::Ids;
use crate::sys::stat::{self, Kind};
use crate::sys::{Entry, clock, fd, flags, proc, thread};

/// Where fstab is.
pub(crate) const FSTAB: &str = "/etc/fstab";
/// The most that is read of fstab or of a manifest.
const LIMIT: usize = 64 << 20;

/// From so many mappings on, a second thread is worth its start.
const MANY: usize = 512;

/// An fstab of so many bytes has some hundred lines.
const LARGE: u64 = 64 << 10;

/// How closely to look.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Care {
    /// Whether to look at what lies under live binds, which takes a private copy of the mount above them.
    pub(crate) beneath: bool,
}

/// What is read before it is known which facts are needed. The journals come first: whatever an operation changes after that, it
/// changes [`Scan::mark`] too, so that a look which is out of date can be told from one that is not.
pub(crate) struct Basis {
    /// Which operations have not ended.
    pub(crate) journals: Scan,
    /// `/etc/fstab`.
    pub(crate) fstab: Fstab,
    /// The kernel's mount table.
    pub(crate) mounts: MountTable,
}

/// The kernel's mount table below the root.
pub(crate) fn mounts(root: &Root) -> Result<MountTable> {
    let bytes = proc::mountinfo().map_err(|e| e.because("the kernel's mount table cannot be read"))?;
    let table = MountTable::parse(bytes)
        .map_err(|e| Error::new(ErrorKind::Invalid, "the kernel's mount table cannot be understood").caused_by(e))?;
    Ok(if root.is_machine() { table } else { table.rebased(root.path()) })
}

/// `/etc/fstab`; an empty one if there is none.
pub(crate) fn fstab(root: &Root) -> Result<Fstab> {
    let path = AbsPath::literal(FSTAB);
    match read(root, &path) {
        Ok(bytes) => Ok(Fstab::parse(&bytes.unwrap_or_default())),
        // A link is never followed, and replacing it would leave the file that it leads to as it was.
        Err(_) if matches!(root.open_file(&path, OFlags::RDONLY | OFlags::NONBLOCK, 0), Err(Miss::Symlink(_))) => {
            let message = format!("{path} is a symbolic link, so it can be neither trusted nor replaced");
            let hint = format!("put the file itself there: cp --remove-destination \"$(readlink -f {path})\" {path}");
            Err(Error::new(ErrorKind::Refused, message).hint(hint))
        }
        Err(error) => Err(error),
    }
}

/// Whether there may be so much to read that a second thread is worth its start.
pub(crate) fn is_much(root: &Root) -> bool {
    root.stat(&AbsPath::literal(FSTAB)).is_ok_and(|facts| facts.size > LARGE)
}

/// A whole file of ours; `None` if it is not there.
pub(crate) fn read(root: &Root, path: &AbsPath) -> Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    match root.open_file(path, flags, 0) {
        Ok(file) => Ok(Some(fd::read_all(file, LIMIT).map_err(|e| e.because(format!("{path} cannot be read")))?)),
        Err(Miss::Absent(_)) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// Looks at everything that the probe asks for.
pub(crate) fn observe(root: &Root, ids: &Ids, probe: &Probe, basis: Basis, care: Care) -> Result<Observed> {
    let Basis { journals, fstab, mounts } = basis;
    let (mappings, manifests) = if probe.mappings.len() < MANY {
        (look_at_mappings(root, &mounts, probe, care), manifests(root, probe))
    } else {
        std::thread::scope(|scope| {
            let look = || manifests(&root.fork(), probe);
            let other = thread::another(scope, look);
            let mappings = look_at_mappings(root, &mounts, probe, care);
            (mappings, thread::join_or(other, look))
        })
    };
    let names = |set: &std::collections::BTreeSet<datastore_core::value::OwnerName>, find: &dyn Fn(&str) -> Lookup| {
        set.iter().map(|name| (name.clone(), find(name.as_str()))).collect::<HashMap<_, _>>()
    };
    Ok(Observed {
        privileged: rustix::process::geteuid().is_root(),
        systemd: root.is_machine() && std::path::Path::new("/run/systemd/system").is_dir(),
        now: clock::now(),
        boot: clock::boot(),
        fstab_fixed: fixed(root, &mounts),
        mounts,
        fstab,
        volumes: probe.volumes.iter().map(|path| volume(root, path)).collect(),
        mappings,
        labels: label::observe(root, probe, &manifests),
        manifests,
        users: names(&probe.users, &|n| ids.user(n)),
        groups: names(&probe.groups, &|n| ids.group(n)),
        hooks: probe.hooks.iter().map(|path| (path.clone(), hook::program::look(root, path))).collect(),
        unfinished: journals.unfinished,
        running: journals.running,
        progress: Vec::new(),
        mark: journals.mark,
    })
}

/// Looks at every mapping; at many of them with two threads, since most of the time goes into the kernel.
fn look_at_mappings(root: &Root, mounts: &MountTable, probe: &Probe, care: Care) -> Vec<Option<MappingFacts>> {
    let table = (mounts, &Landscape::of(probe.volumes.iter(), mounts));
    let asked = &probe.mappings[..];
    let look = |root: &Root, asked: &[Option<MappingProbe>]| -> Vec<Option<MappingFacts>> {
        let mut beneath = care.beneath.then(|| Beneath::new(root));
        asked.iter().map(|asked| asked.as_ref().map(|asked| mapping(root, table, beneath.as_mut(), asked))).collect()
    };
    if asked.len() < MANY {
        return look(root, asked);
    }
    let (first, second) = asked.split_at(asked.len() / 2);
    std::thread::scope(|scope| {
        let look_at_second = || look(&root.fork(), second);
        let other = thread::another(scope, look_at_second);
        let mut all = look(root, first);
        all.extend(thread::join_or(other, look_at_second));
        all
    })
}

fn mapping(
    root: &Root,
    (mounts, landscape): (&MountTable, &Landscape),
    beneath: Option<&mut Beneath<'_>>,
    asked: &MappingProbe,
) -> MappingFacts {
    let store = look(root, &asked.store, Want { empty: false, id: true });
    let Some(mount) = mounts.at(&asked.mount_point) else {
        let bare = look(root, &asked.beneath, Want { empty: true, id: false });
        return MappingFacts { mount_point: bare.clone(), beneath: bare, store };
    };
    if beneath.is_none() && store.dir().is_some() && landscape.shows(&mount, &asked.store) {
        // One look serves for both.
        return MappingFacts { mount_point: store.clone(), beneath: Place::Hidden, store };
    }
    let beneath = match beneath {
        None => Place::Hidden,
        Some(beneath) if asked.beneath == asked.mount_point => beneath.look(&asked.mount_point),
        // In the outer mapping's store, which need not be the one that is bound there now.
        Some(_) => look(root, &asked.beneath, Want { empty: true, id: false }),
    };
    MappingFacts { mount_point: look(root, &asked.mount_point, Want::default()), beneath, store }
}

/// One volume.
pub(crate) fn volume(root: &Root, path: &AbsPath) -> VolumeFacts {
    let top = look(root, path, Want::default());
    let mut facts = VolumeFacts { top, file: FileFacts::Absent, space: None, read_only: false };
    if facts.top.dir().is_none() {
        if facts.top == Place::Hidden {
            facts.file = FileFacts::Hidden;
        }
        return facts;
    }
    let file = path.child(DIRECTORY).child("volume.toml");
    match read(root, &file) {
        // A disk that has gone while its file system is mounted.
        Err(error) if error.errno().is_some_and(is_of_a_dead_disk) => {
            facts.top = Place::Failed(error.chain());
            return facts;
        }
        read => facts.file = own_file(read, VolumeFile::parse),
    }
    if let Ok(dir) = root.open_dir(path)
        && let Ok(vfs) = rustix::fs::fstatvfs(&dir)
    {
        facts.read_only = vfs.f_flag.contains(StatVfsMountFlags::RDONLY);
        facts.space = Some(Space {
            bytes: vfs.f_blocks.saturating_mul(vfs.f_frsize),
            bytes_free: vfs.f_bfree.saturating_mul(vfs.f_frsize),
            bytes_available: vfs.f_bavail.min(vfs.f_bfree).saturating_mul(vfs.f_frsize),
            inodes: vfs.f_files,
            inodes_free: vfs.f_ffree,
        });
    }
    facts
}

/// A volume's identity file.
pub(crate) fn volume_file(root: &Root, path: &AbsPath) -> FileFacts<VolumeFile> {
    own_file(read(root, path), VolumeFile::parse)
}

/// Whether a file system that answers so has lost its disk, or has been shut down (`EXT4_IOC_SHUTDOWN`, XFS after an error).
fn is_of_a_dead_disk(errno: i32) -> bool {
    [Errno::IO, Errno::NXIO, Errno::NODEV, Errno::SHUTDOWN].iter().any(|e| e.raw_os_error() == errno)
}

/// One of our own files on a volume, as it was read, and understood.
fn own_file<T>(read: Result<Option<Vec<u8>>>, parse: impl Fn(&str) -> Result<T, ManifestError>) -> FileFacts<T> {
    match read {
        Ok(None) => FileFacts::Absent,
        Err(error) if error.kind() == ErrorKind::Privilege => FileFacts::Hidden,
        Err(error) => FileFacts::Damaged(error.chain()),
        Ok(Some(bytes)) => match std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8".to_owned()) {
            Ok(text) => parse(text).map_or_else(|e| FileFacts::Damaged(e.to_string()), FileFacts::Is),
            Err(why) => FileFacts::Damaged(why),
        },
    }
}

/// The same of a file that is read here.
pub(crate) fn own<T>(root: &Root, path: &AbsPath, parse: impl Fn(&str) -> Result<T, ManifestError>) -> FileFacts<T> {
    own_file(read(root, path), parse)
}

/// The manifests, whole.
pub(crate) fn manifests(root: &Root, probe: &Probe) -> BTreeMap<AbsPath, FileFacts<Manifest>> {
    let path = |home: &AbsPath| home.child(DIRECTORY).child("manifest.toml");
    probe.homes.iter().map(|home| (home.clone(), own_file(read(root, &path(home)), Manifest::parse))).collect()
}

/// Why fstab cannot be replaced, if that can be told beforehand.
fn fixed(root: &Root, mounts: &MountTable) -> Option<String> {
    let (etc, path) = (AbsPath::literal("/etc"), AbsPath::literal(FSTAB));
    if mounts.at(&path).is_some() {
        return Some("something is mounted on the file itself".into());
    }
    let dir = match root.open_dir(&etc) {
        Ok(dir) => dir,
        Err(miss) => return Some(miss.to_string()),
    };
    if rustix::fs::fstatvfs(&dir).is_ok_and(|v| v.f_flag.contains(StatVfsMountFlags::RDONLY)) {
        return Some("the file system of /etc is read-only".into());
    }
    let file = Entry::new(&dir, path.file_name());
    match stat::facts(file) {
        Ok(facts) if facts.kind == Kind::Symlink => Some("it is a symbolic link".into()),
        Ok(facts) if facts.kind != Kind::File => Some("it is no regular file".into()),
        Ok(facts) if facts.immutable.unwrap_or_else(|| is_immutable(file)) => {
            Some("it is immutable (lsattr /etc/fstab)".into())
        }
        _ if matches!(flags::immutable(Entry::itself(&dir)), Ok(flags::Immutable::Yes)) => {
            Some("the directory /etc is immutable (lsattr -d /etc)".into())
        }
        _ => None,
    }
}

/// Whether a regular file is immutable, where statx(2) does not say (before Linux 4.11).
fn is_immutable(file: Entry<'_>) -> bool {
    let opened = fd::open(file, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, 0);
    opened.and_then(flags::immutable_fd).is_ok_and(|found| found == flags::Immutable::Yes)
}
