//! What others do to a machine: administrators, packages, programs, disks. Each can be done to the model and, by the
//! conformance test, to the real kernel; what is not possible at the moment is passed over, there as here.

use super::machine::Machine;
use super::mounts::At;
use super::observe::FSTAB;
use super::tree::{Ino, Kind};
use crate::fstab::Fstab;
use crate::mapping::BindOptions;
use crate::path::AbsPath;
use crate::value::{Id, Mode};

/// One thing that somebody does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Writes a file (mode 0644), with the directories above it (mode 0755).
    Write(AbsPath, String),
    /// Makes a directory with this mode, with those above it (mode 0755).
    MakeDir(AbsPath, u32),
    /// Puts a file into a directory that is there.
    Touch(AbsPath),
    /// Removes a file, or a directory with all that is in it; nothing if something is mounted in it.
    Remove(AbsPath),
    /// Gives a file or directory another mode.
    Mode(AbsPath, u32),
    /// Gives it another owner.
    Owner(AbsPath, u32),
    /// Gives a directory an identity, or takes it away.
    Identity(AbsPath, Option<Id>),
    /// Takes the immutable flag off.
    Thaw(AbsPath),
    /// Mounts a new, empty file system on a directory.
    Disk(AbsPath),
    /// Binds a directory on another, without any options.
    Bind(AbsPath, AbsPath),
    /// Takes the topmost mount off a directory, unless something is mounted in it.
    Unmount(AbsPath),
    /// Gives a mount other options.
    Remount(AbsPath, BindOptions),
    /// Adds a line at the end of fstab.
    AddLine(String),
    /// Drops our line for a mount point from fstab.
    DropLine(AbsPath),
    /// A program begins to use what is mounted at a mount point, or stops. (Model only.)
    Busy(AbsPath, bool),
    /// A file system fills up, or has room again. (Model only.)
    Full(AbsPath, bool),
    /// The power fails, and the machine boots with what fstab says. (Model only.)
    Reboot,
}

/// fstab with a line more at its end.
#[must_use]
pub fn with_line(old: &str, line: &str) -> String {
    let gap = if old.is_empty() || old.ends_with('\n') { "" } else { "\n" };
    format!("{old}{gap}{line}\n")
}

/// fstab without our line for a mount point.
#[must_use]
pub fn without_line(old: &str, mount_point: &AbsPath) -> String {
    let number = Fstab::parse(old.as_bytes()).ours(mount_point).map(|row| row.line as usize);
    let lines = old.split_inclusive('\n').enumerate().filter(|(i, _)| Some(i + 1) != number);
    lines.map(|(_, line)| line).collect()
}

impl Machine {
    /// Lets it happen.
    pub fn disturb(&mut self, event: &Event) {
        // What is not possible is passed over.
        let _ = self.try_to(event);
    }

    fn try_to(&mut self, event: &Event) -> Option<()> {
        match event {
            Event::Write(path, text) => {
                self.make_all(&path.parent()?)?;
                let place = self.place(path).ok()?;
                self.changeable(place.dir).ok()?;
                let ino = match self.tree.child(place.dir.ino, place.name) {
                    Ok(ino) => ino,
                    Err(_) => self.tree.add(place.dir.ino, place.name, Kind::File(Vec::new()), 0o644).ok()?,
                };
                let node = self.tree.node_mut(ino);
                if matches!(node.kind, Kind::Dir(_)) {
                    return None;
                }
                node.kind = Kind::File(text.clone().into_bytes());
                node.attrs.mode = Mode::from_bits(0o644);
            }
            Event::MakeDir(path, mode) => {
                self.make_all(&path.parent()?)?;
                self.make_dir_with(path, *mode)?;
            }
            Event::Touch(path) => {
                let place = self.place(path).ok()?;
                self.changeable(place.dir).ok()?;
                self.tree.add(place.dir.ino, place.name, Kind::File(Vec::new()), 0o644).ok()?;
            }
            Event::Remove(path) => {
                let place = self.place(path).ok()?;
                self.changeable(place.dir).ok()?;
                let ino = self.tree.child(place.dir.ino, place.name).ok()?;
                if !self.holds_mount(ino) {
                    self.remove_all(ino);
                }
            }
            Event::Mode(path, mode) => {
                let at = self.reach(path).ok()?;
                self.changeable(at).ok()?;
                self.tree.node_mut(at.ino).attrs.mode = Mode::from_bits(*mode);
            }
            Event::Owner(path, uid) => {
                let at = self.reach(path).ok()?;
                self.changeable(at).ok()?;
                self.tree.node_mut(at.ino).attrs.uid = *uid;
            }
            Event::Identity(path, id) => {
                let at = self.reach(path).ok()?;
                self.changeable(at).ok()?;
                self.tree.node_mut(at.ino).id = *id;
            }
            Event::Thaw(path) => {
                let at = self.reach(path).ok()?;
                self.writable(at).ok()?;
                self.tree.node_mut(at.ino).immutable = false;
            }
            Event::Disk(path) => {
                let on = self.dir(path)?;
                let fs = self.tree.add_system();
                let top = self.tree.system(fs).top;
                self.mounts.add(top, on, PLAIN);
            }
            Event::Bind(from, to) => {
                let (from, on) = (self.dir(from)?, self.dir(to)?);
                // A bind of a directory has the options of the mount that it was seen in (mount(2)).
                let options = self.mounts.get(from.mount)?.options;
                self.mounts.add(from.ino, on, options);
            }
            Event::Unmount(path) => {
                let at = self.reach(path).ok()?;
                let root = self.mounts.top().mount;
                if self.is_mount_root(at) && at.mount != root && !self.mounts.has_inner(at.mount) {
                    self.mounts.remove(at.mount);
                    self.busy.remove(path);
                }
            }
            Event::Remount(path, options) => {
                let at = self.reach(path).ok()?;
                let root = self.mounts.top().mount;
                if self.is_mount_root(at) && at.mount != root {
                    self.mounts.get_mut(at.mount)?.options = *options;
                }
            }
            Event::AddLine(line) => self.edit_fstab(|old| with_line(old, line))?,
            Event::DropLine(mount_point) => self.edit_fstab(|old| without_line(old, mount_point))?,
            Event::Busy(path, true) => {
                let at = self.reach(path).ok()?;
                if self.is_mount_root(at) {
                    self.busy.insert(path.clone());
                }
            }
            Event::Busy(path, false) => {
                self.busy.remove(path);
            }
            Event::Full(path, full) => {
                let at = self.reach(path).ok()?;
                let fs = self.tree.node(at.ino).fs;
                self.tree.system_mut(fs).full = *full;
            }
            Event::Reboot => self.reboot(),
        }
        Some(())
    }

    fn dir(&self, path: &AbsPath) -> Option<At> {
        self.reach(path).ok().filter(|at| self.tree.is_dir(at.ino))
    }

    fn edit_fstab(&mut self, change: impl FnOnce(&str) -> String) -> Option<()> {
        let path = AbsPath::literal(FSTAB);
        let old = String::from_utf8(self.read(&path).ok()??.to_vec()).ok()?;
        self.replace(&path, change(&old).as_bytes(), 0o644).ok()
    }

    fn make_all(&mut self, path: &AbsPath) -> Option<()> {
        let mut above: Vec<AbsPath> = std::iter::once(path.clone()).chain(path.ancestors()).collect();
        above.reverse();
        for dir in above.iter().filter(|dir| !dir.is_root()) {
            if self.dir(dir).is_none() {
                self.make_dir_with(dir, 0o755)?;
            }
        }
        Some(())
    }

    /// mkdir(2), then chmod(2): the mode is this one whatever is inherited.
    fn make_dir_with(&mut self, path: &AbsPath, mode: u32) -> Option<()> {
        let made = self.make_dir(self.place(path).ok()?, mode).ok()?;
        self.tree.node_mut(made.ino).attrs.mode = Mode::from_bits(mode);
        Some(())
    }

    /// Whether something is mounted on a directory or on one inside it.
    fn holds_mount(&self, ino: Ino) -> bool {
        self.mounts.is_mount_point(ino) || self.tree.names(ino).any(|(_, inner)| self.holds_mount(inner))
    }

    /// Removes a tree, flags or not: whoever removes it takes them off first.
    fn remove_all(&mut self, ino: Ino) {
        let inner: Vec<Ino> = self.tree.names(ino).map(|(_, inner)| inner).collect();
        self.tree.node_mut(ino).immutable = false;
        for ino in inner {
            self.remove_all(ino);
        }
        let _ = self.tree.remove(ino);
    }

    /// The power fails: nothing is mounted. Then the disks are there again, and what fstab names is mounted in its order, as
    /// mount(8) `-a` does: what is `noauto`, or whose source or mount point is missing, is passed over.
    fn reboot(&mut self) {
        let (mut machine, table) = (self.clone(), self.fstab());
        // The disks themselves are plugged in where they were.
        let disks: Vec<_> = machine.mounts.iter().filter(|m| self.is_disk(m.root)).cloned().collect();
        machine.mounts.clear();
        machine.busy.clear();
        for disk in disks {
            let point = self.mounts.point(&self.tree, &disk);
            if let Some(on) = AbsPath::from_kernel(&point).ok().and_then(|path| machine.dir(&path)) {
                machine.mounts.add(disk.root, on, disk.options);
            }
        }
        for row in table.entries().filter(|row| row.entry.is_bind() && !row.entry.has_option("noauto")) {
            let (from, to) = (AbsPath::from_kernel(&row.entry.spec).ok(), row.entry.mount_point());
            if let (Some(from), Some(to)) = (from.and_then(|p| machine.dir(&p)), to.and_then(|p| machine.dir(&p))) {
                // What is mounted already is not mounted a second time.
                if from.ino != to.ino {
                    machine.mounts.add(from.ino, to, BindOptions::from_list(&row.entry.options));
                }
            }
        }
        *self = machine;
    }

    /// Whether a directory is the top of a file system other than that of `/`.
    fn is_disk(&self, ino: Ino) -> bool {
        let fs = self.tree.node(ino).fs;
        fs != self.tree.node(self.mounts.top().ino).fs && self.tree.system(fs).top == ino
    }
}

const PLAIN: BindOptions = BindOptions { ro: false, nosuid: false, nodev: false, noexec: false };
