//! A tree that belongs to a user, and what that user does to it.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datastore_tests::random::Random;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::user::{self, USER};
use crate::vault::{OWNER, Vault};

/// The directories of a tree.
const DIRECTORIES: [&str; 8] = ["d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7"];
/// So many names are exchanged at once.
const AT_ONCE: usize = 4;
/// They stay so for up to so many turns of a processor, and as they were for as many.
const PAUSE: u64 = 600;

/// A name in an open directory, which the attacker exchanges with something else.
#[derive(Debug, Clone)]
pub struct Slot {
    dir: Arc<OwnedFd>,
    name: &'static str,
}

impl Slot {
    /// A name in a directory.
    ///
    /// # Panics
    /// If the directory cannot be opened.
    #[must_use]
    pub fn new(dir: &Path, name: &'static str) -> Self {
        Self { dir: Arc::new(open(dir)), name }
    }

    /// Exchanges the name with one of the attacker's; says whether that could be done.
    fn exchange(&self, aside: &OwnedFd, decoy: Decoy) -> bool {
        rustix::fs::renameat_with(&*self.dir, self.name, aside, decoy.name(), RenameFlags::EXCHANGE).is_ok()
    }
}

/// What is put in the place of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoy {
    /// A link to the vault, which has the names of a directory of the tree in it.
    LinkToVault,
    /// A link to the directory in the vault.
    LinkToInner,
    /// A link to a file in the vault.
    LinkToFile,
    /// The same through `..`.
    LinkUpwards,
    /// A FIFO.
    Fifo,
    /// A file.
    File,
    /// A directory with a file in it.
    Dir,
    /// A file of root's in the vault, which root has linked here: with `fs.protected_hardlinks=1` a user cannot.
    HardLink,
    /// A device, which root has made.
    Device,
}

impl Decoy {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::LinkToVault,
        Self::LinkToInner,
        Self::LinkToFile,
        Self::LinkUpwards,
        Self::Fifo,
        Self::File,
        Self::Dir,
        Self::HardLink,
        Self::Device,
    ];
    /// Links and plain things, which a user makes alone.
    pub const PLAIN: &'static [Self] =
        &[Self::LinkToVault, Self::LinkToInner, Self::LinkUpwards, Self::LinkToFile, Self::File, Self::Dir];

    fn name(self) -> &'static str {
        match self {
            Self::LinkToVault => "to-vault",
            Self::LinkToInner => "to-inner",
            Self::LinkToFile => "to-file",
            Self::LinkUpwards => "upwards",
            Self::Fifo => "fifo",
            Self::File => "plain",
            Self::Dir => "directory",
            Self::HardLink => "hard",
            Self::Device => "device",
        }
    }

    fn is_roots(self) -> bool {
        matches!(self, Self::HardLink | Self::Device)
    }
}

/// The ground of the race.
#[derive(Debug)]
pub struct Arena {
    ground: PathBuf,
    vault: PathBuf,
    menu: &'static [Decoy],
    /// For each attacker a directory of its own, which it may not be able to reach by its path.
    asides: Vec<OwnedFd>,
    slots: Mutex<Arc<Vec<Slot>>>,
    epoch: AtomicU64,
    over: AtomicBool,
    swaps: AtomicU64,
}

impl Arena {
    /// Makes a ground, and in it places for so many attackers. `ground` is not there yet and is the user's; the vault lies beside it.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn new(ground: PathBuf, vault: &Vault, menu: &'static [Decoy], attackers: usize) -> Self {
        fs::create_dir(&ground).expect("make the ground");
        for number in 0..attackers {
            fs::create_dir(ground.join(format!("aside{number}"))).expect("make a place aside");
        }
        user::give(&ground);
        let arena = Self::at(ground, vault.dir().to_owned(), menu, attackers);
        arena.furnish(vault);
        arena
    }

    fn at(ground: PathBuf, vault: PathBuf, menu: &'static [Decoy], attackers: usize) -> Self {
        Self {
            asides: (0..attackers).map(|number| open(&ground.join(format!("aside{number}")))).collect(),
            ground,
            vault,
            menu,
            slots: Mutex::default(),
            epoch: AtomicU64::new(0),
            over: AtomicBool::new(false),
            swaps: AtomicU64::new(0),
        }
    }

    /// The same ground for another race, wherever its path leads by now.
    ///
    /// # Panics
    /// If it is not there.
    #[must_use]
    pub fn again(&self) -> Self {
        Self::at(self.ground.clone(), self.vault.clone(), self.menu, self.asides.len())
    }

    /// Makes what only root can, where it is missing.
    ///
    /// # Panics
    /// If that fails.
    pub fn furnish(&self, vault: &Vault) {
        for (number, aside) in self.asides.iter().enumerate() {
            for decoy in self.menu.iter().filter(|decoy| decoy.is_roots()) {
                let made = match decoy {
                    Decoy::HardLink => {
                        rustix::fs::linkat(CWD, vault.link(number), aside, decoy.name(), AtFlags::empty())
                    }
                    _ => {
                        let null = rustix::fs::makedev(1, 3);
                        rustix::fs::mknodat(aside, decoy.name(), FileType::CharacterDevice, Mode::RUSR, null)
                    }
                };
                match made {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => panic!("make {decoy:?}: {errno}"),
                }
            }
        }
    }

    /// How many attack at once.
    #[must_use]
    pub fn attackers(&self) -> usize {
        self.asides.len()
    }

    /// The ground.
    #[must_use]
    pub fn ground(&self) -> &Path {
        &self.ground
    }

    /// Plants a tree in a directory that is not there yet. Directories are the user's, files are somebody else's: whoever may write to a
    /// directory may rename what is in it.
    ///
    /// # Panics
    /// If that fails.
    pub fn plant(top: &Path) {
        let dir = |path: &Path| {
            fs::create_dir(path).expect("make a directory of the tree");
            lchown(path, Some(USER), Some(USER)).expect("give a directory away");
        };
        let file = |path: PathBuf| {
            fs::write(&path, "harmless\n").expect("write a file of the tree");
            lchown(&path, Some(OWNER), Some(OWNER)).expect("give a file away");
        };
        dir(top);
        for name in DIRECTORIES {
            let (one, inner) = (top.join(name), top.join(name).join("inner"));
            dir(&one);
            dir(&inner);
            file(one.join("file"));
            ["f0", "f1", "f2"].iter().for_each(|name| file(inner.join(name)));
        }
    }

    /// What is exchanged in a tree that was planted.
    ///
    /// # Panics
    /// If it is not there.
    #[must_use]
    pub fn slots(top: &Path) -> Vec<Slot> {
        let of = |name| {
            let (one, inner) = (top.join(name), top.join(name).join("inner"));
            [Slot::new(top, name), Slot::new(&one, "inner"), Slot::new(&one, "file"), Slot::new(&inner, "f0")]
        };
        DIRECTORIES.into_iter().flat_map(of).collect()
    }

    /// From now on these names are exchanged.
    pub fn attack_at(&self, slots: Vec<Slot>) {
        *self.slots.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(slots);
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Lets the attackers come to an end.
    pub fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// How often something was put in the place of something else.
    #[must_use]
    pub fn swaps(&self) -> u64 {
        self.swaps.load(Ordering::Relaxed)
    }

    /// What the user does until the end. The calling thread becomes the user.
    pub fn attack(&self, number: usize, mut random: Random) {
        user::become_user();
        let aside = &self.asides[number];
        for decoy in self.menu {
            self.make(aside, *decoy);
        }
        while !self.over.load(Ordering::Acquire) {
            let epoch = self.epoch.load(Ordering::Acquire);
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if slots.is_empty() {
                std::thread::yield_now();
            }
            let own: Vec<&Slot> = slots.iter().skip(number).step_by(self.asides.len()).collect();
            for few in own.chunks(AT_ONCE) {
                if self.over.load(Ordering::Acquire) || self.epoch.load(Ordering::Acquire) != epoch {
                    break;
                }
                let first = usize::try_from(random.below(self.menu.len() as u64)).unwrap_or(0);
                let decoys = self.menu.iter().copied().cycle().skip(first);
                let mut swapped: Vec<(&Slot, Decoy)> = few.iter().copied().zip(decoys).collect();
                swapped.retain(|(slot, decoy)| self.exchange(slot, aside, *decoy));
                pause(random.below(PAUSE));
                for (slot, decoy) in swapped {
                    if !slot.exchange(aside, decoy) {
                        // The place has been removed by now: what stood there stays with us, and the decoy went with it.
                        remove(aside, decoy.name());
                        self.make(aside, decoy);
                    }
                }
                pause(random.below(PAUSE));
            }
        }
    }

    /// Puts a decoy in a place; says whether it could.
    fn exchange(&self, slot: &Slot, aside: &OwnedFd, decoy: Decoy) -> bool {
        let done = slot.exchange(aside, decoy);
        if done {
            self.swaps.fetch_add(1, Ordering::Relaxed);
        } else {
            self.make(aside, decoy);
        }
        done
    }

    /// Makes a decoy if it is missing. What only root can make stays missing.
    fn make(&self, aside: &OwnedFd, decoy: Decoy) {
        let (name, vault) = (decoy.name(), &self.vault);
        let link = |to: PathBuf| rustix::fs::symlinkat(to, aside, name);
        let new = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let _ = match decoy {
            Decoy::LinkToVault => link(vault.clone()),
            Decoy::LinkToInner => link(vault.join("inner")),
            Decoy::LinkToFile => link(vault.join("file")),
            // From a directory of the tree to what lies beside the ground.
            Decoy::LinkUpwards => link(Path::new("../../..").join(vault.file_name().unwrap_or_default())),
            Decoy::Fifo => rustix::fs::mknodat(aside, name, FileType::Fifo, Mode::RUSR, 0),
            Decoy::File => rustix::fs::openat(aside, name, new, Mode::RUSR).map(drop),
            Decoy::Dir => rustix::fs::mkdirat(aside, name, Mode::RWXU),
            Decoy::HardLink | Decoy::Device => Ok(()),
        };
    }
}

/// Removes whatever is at a name.
fn remove(dir: &OwnedFd, name: &str) {
    if rustix::fs::unlinkat(dir, name, AtFlags::empty()) != Err(Errno::ISDIR) {
        return;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if let Ok(inner) = rustix::fs::openat(dir, name, flags, Mode::empty())
        && let Ok(names) = rustix::fs::Dir::read_from(&inner)
    {
        for entry in names.flatten() {
            let name = entry.file_name().to_str().unwrap_or(".");
            if name != "." && name != ".." {
                remove(&inner, name);
            }
        }
    }
    let _ = rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR);
}

fn open(dir: &Path) -> OwnedFd {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(dir, flags, Mode::empty()).unwrap_or_else(|e| panic!("open {}: {e}", dir.display()))
}

fn pause(turns: u64) {
    for _ in 0..turns {
        std::hint::spin_loop();
    }
}
