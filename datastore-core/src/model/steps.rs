//! Steps on the model: what `datastore-exec/src/steps/*` does, with the same looks before each act, and in the same parts.
//!
//! Every change that a crash can separate from the next one goes through [`Hands::change`]: there the witness looks, a fault
//! strikes, and the machine stops.

use std::collections::HashSet;

use super::machine::{Machine, Miss};
use super::mounts::At;
use super::observe::FSTAB;
use super::tree::Errno;
use crate::error::ErrorKind;
use crate::fstab::{self, Fstab};
use crate::label::Label;
use crate::manifest::{self, DIRECTORY, Manifest};
use crate::mapping::BindOptions;
use crate::owners::Renumber;
use crate::path::AbsPath;
use crate::state::Reason;
use crate::step::Action;
use crate::value::{Attrs, Id, Mode};

/// What is to go wrong in a run, and who watches it.
pub struct Pulse<'w> {
    /// How many changes were tried so far.
    pub changes: usize,
    /// The change before which the machine stops, from 0.
    pub crash_at: Option<usize>,
    /// The change that fails instead of being made, and with what reason.
    pub fault_at: Option<(usize, Reason)>,
    /// Sees the machine after every change.
    pub witness: &'w mut dyn FnMut(&Machine),
}

impl<'w> Pulse<'w> {
    /// Nothing goes wrong.
    pub fn quiet(witness: &'w mut dyn FnMut(&Machine)) -> Self {
        Self { changes: 0, crash_at: None, fault_at: None, witness }
    }
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The reason for its mapping.
    pub reason: Reason,
    /// By whose fault.
    pub kind: ErrorKind,
    /// A sentence.
    pub message: String,
}

/// Why a step did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Halt {
    /// It failed.
    Failed(Failure),
    /// The machine stopped.
    Crashed,
}

type Done<T = ()> = Result<T, Halt>;

impl From<Errno> for Halt {
    fn from(errno: Errno) -> Self {
        let kind = if errno == Errno::Permission { ErrorKind::Privilege } else { ErrorKind::System };
        let reason = if errno == Errno::NoSpace { Reason::NoSpace } else { Reason::MountFailed };
        Self::Failed(Failure { reason, kind, message: format!("the call failed: {errno:?}") })
    }
}

impl From<Miss> for Halt {
    fn from(miss: Miss) -> Self {
        changed(Reason::MountFailed, format!("{miss:?}"))
    }
}

/// The machine is not as the plan expects it.
fn changed(reason: Reason, message: impl Into<String>) -> Halt {
    Halt::Failed(Failure { reason, kind: ErrorKind::Refused, message: message.into() })
}

/// What every step is given.
pub(super) struct Hands<'m, 'p, 'w> {
    pub(super) machine: &'m mut Machine,
    pub(super) pulse: &'p mut Pulse<'w>,
}

impl Hands<'_, '_, '_> {
    /// Makes one change, unless a fault or the end of the machine comes first.
    fn change<T, E: Into<Halt>>(&mut self, act: impl FnOnce(&mut Machine) -> Result<T, E>) -> Done<T> {
        let number = self.pulse.changes;
        self.pulse.changes += 1;
        if self.pulse.crash_at == Some(number) {
            return Err(Halt::Crashed);
        }
        if let Some((at, reason)) = self.pulse.fault_at
            && at == number
        {
            let message = "a fault that the test asked for".into();
            return Err(Halt::Failed(Failure { reason, kind: ErrorKind::System, message }));
        }
        let done = act(self.machine).map_err(Into::into)?;
        (self.pulse.witness)(self.machine);
        Ok(done)
    }

    /// Carries out one action. Changes of fstab and manifests that serve a mapping in `without` are left out.
    pub(super) fn act(&mut self, action: &Action, without: &HashSet<u32>) -> Done {
        let kept = |mapping: Option<u32>| mapping.is_none_or(|m| !without.contains(&m));
        match action {
            Action::MakeDir { path, attrs, id, shared } => self.make(path, *attrs, *id, *shared),
            Action::RemoveDir { path, .. } => self.remove(path),
            Action::SetAttrs { path, from, to } => self.set_attrs(path, *from, *to),
            Action::SetId { path, from, to } => self.set_id(path, *from, *to),
            Action::SetLabel { path, gets, .. } => self.set_label(path, gets),
            // The policy is not modelled.
            Action::KeepLabels { .. } => Ok(()),
            Action::Seal { path, from } => self.seal(path, *from),
            Action::Unseal { path, to } => self.unseal(path, *to),
            Action::Bind { store, mount_point, id, options } => self.bind(store, mount_point, *id, *options),
            Action::Unbind { store, mount_point, .. } => self.unbind(store, mount_point),
            Action::SetOptions { mount_point, to, .. } => self.set_options(mount_point, *to),
            Action::Fstab { edits } => {
                let edits: Vec<_> = edits.iter().filter(|e| kept(e.mapping)).map(|e| e.edit.clone()).collect();
                self.fstab(&edits)
            }
            Action::Manifest { home, edits } => {
                let edits: Vec<_> = edits.iter().filter(|e| kept(e.mapping)).map(|e| e.edit.clone()).collect();
                self.manifest(home, &edits)
            }
            Action::WriteFile { path, from, to, mode } => self.write(path, from.as_deref(), to.as_deref(), *mode),
            Action::Flush { path } => {
                // What a mapping that failed did not make has nothing to be brought to the disk.
                if self.machine.reach(path).is_err() { Ok(()) } else { self.change(|_| Ok::<_, Halt>(())) }
            }
            // Hooks are not modelled: each ends well.
            Action::RunHook(_) => Ok(()),
            Action::ReloadSystemd => self.change(|_| Ok::<_, Halt>(())),
            Action::Renumber { stores, users, groups, .. } => self.renumber(stores, users, groups),
            Action::MakeFilesystem { .. } | Action::Mount { .. } | Action::Unmount { .. } => {
                Err(changed(Reason::MountFailed, "volumes are mounted by mount(8), which is not modelled"))
            }
            Action::Copy { .. }
            | Action::FinishCopy { .. }
            | Action::SeedCopy { .. }
            | Action::DemandAlike { .. }
            | Action::DemandQuiet { .. }
            | Action::StopServices { .. }
            | Action::StartServices { .. }
            | Action::MoveDir { .. }
            | Action::Swap { .. }
            | Action::RenameBase { .. }
            | Action::RemoveTree { .. }
            | Action::WriteReceipt(_) => Err(changed(Reason::MountFailed, "data that moves is not modelled")),
        }
    }

    fn make(&mut self, path: &AbsPath, attrs: Attrs, id: Option<Id>, shared: bool) -> Done {
        let place = self.machine.place(path)?;
        let mode = if shared && id.is_none() { attrs.mode.bits() } else { 0o700 };
        match self.machine.at(place) {
            Ok(at) if shared && self.machine.tree.is_dir(at.ino) => {
                return match id {
                    Some(id) => self.give_id(at, Some(id)),
                    None => Ok(()),
                };
            }
            Ok(_) => return Err(changed(Reason::MountFailed, format!("{path} exists now"))),
            Err(_) => {}
        }
        let at = self.change(|m| m.make_dir(place, mode))?;
        let furnished = self.furnish(at, attrs, id);
        if let Err(Halt::Failed(_)) = &furnished {
            // It was made a moment ago and is empty.
            let _ = self.machine.remove(place);
        }
        furnished
    }

    fn furnish(&mut self, at: At, attrs: Attrs, id: Option<Id>) -> Done {
        if let Some(id) = id {
            self.give_id(at, Some(id))?;
        }
        self.give(at, attrs)
    }

    fn give_id(&mut self, at: At, id: Option<Id>) -> Done {
        self.change(|m| {
            m.changeable(at)?;
            m.tree.node_mut(at.ino).id = id;
            Ok::<_, Errno>(())
        })
    }

    fn remove(&mut self, path: &AbsPath) -> Done {
        let place = self.machine.place(path)?;
        self.change(|m| match m.remove(place) {
            Ok(()) | Err(Errno::NoEntry | Errno::NotEmpty | Errno::Exists) => Ok(()),
            Err(errno) => Err(errno),
        })
    }

    /// Opens a directory.
    fn open(&mut self, path: &AbsPath) -> Done<At> {
        let place = self.machine.place(path)?;
        let at = self.machine.at(place)?;
        if self.machine.tree.is_dir(at.ino) { Ok(at) } else { Err(Errno::NotDirectory.into()) }
    }

    fn attrs(&self, at: At) -> Attrs {
        self.machine.tree.node(at.ino).attrs
    }

    /// Owner and group, then the mode.
    fn give(&mut self, at: At, to: Attrs) -> Done {
        self.change(|m| {
            m.changeable(at)?;
            let attrs = &mut m.tree.node_mut(at.ino).attrs;
            (attrs.uid, attrs.gid) = (to.uid, to.gid);
            Ok::<_, Errno>(())
        })?;
        self.give_mode(at, to.mode)
    }

    /// Owner and group of everything in store directories, one after the other.
    fn renumber(&mut self, stores: &[AbsPath], users: &[Renumber], groups: &[Renumber]) -> Done {
        let new = |pairs: &[Renumber], old: u32| pairs.iter().find(|p| p.from == old).map_or(old, |p| p.to);
        for store in stores {
            let mut left = vec![self.open(store)?.ino];
            while let Some(ino) = left.pop() {
                if self.machine.tree.is_dir(ino) {
                    left.extend(self.machine.tree.names(ino).map(|(_, child)| child));
                }
                let now = self.machine.tree.node(ino).attrs;
                let attrs = Attrs { uid: new(users, now.uid), gid: new(groups, now.gid), ..now };
                if attrs != now {
                    self.change(|m| {
                        m.tree.node_mut(ino).attrs = attrs;
                        Ok::<_, Errno>(())
                    })?;
                }
            }
        }
        Ok(())
    }

    fn give_mode(&mut self, at: At, mode: Mode) -> Done {
        self.change(|m| {
            m.changeable(at)?;
            m.tree.node_mut(at.ino).attrs.mode = mode;
            Ok::<_, Errno>(())
        })
    }

    fn set_attrs(&mut self, path: &AbsPath, from: Attrs, to: Attrs) -> Done {
        let at = self.open(path)?;
        let now = self.attrs(at);
        if now != from && now != to {
            return Err(changed(Reason::MountFailed, format!("{path} has {now} now, not {from}")));
        }
        self.give(at, to)
    }

    fn set_id(&mut self, path: &AbsPath, from: Option<Id>, to: Option<Id>) -> Done {
        let at = self.open(path)?;
        let now = self.machine.tree.node(at.ino).id;
        if now.is_some() && now != from && now != to {
            return Err(changed(Reason::WrongStore, format!("{path} carries another identity now")));
        }
        self.give_id(at, to)
    }

    fn set_label(&mut self, path: &AbsPath, gets: &Label) -> Done {
        let label = match gets {
            // There is no policy in it.
            Label::Of(from) | Label::Policy(from) => {
                let bare = self.open(from)?;
                self.refuse_mount(bare, from)?;
                self.machine.tree.node(bare.ino).label
            }
            Label::Is(label) => label.parse().unwrap_or_default(),
        };
        let at = self.open(path)?;
        self.change(|m| {
            m.changeable(at)?;
            m.tree.node_mut(at.ino).label = label;
            Ok::<_, Errno>(())
        })
    }

    fn refuse_mount(&self, at: At, path: &AbsPath) -> Done {
        if self.machine.is_mount_root(at) {
            return Err(changed(Reason::ForeignMount, format!("something is mounted at {path} now")));
        }
        Ok(())
    }

    fn seal(&mut self, path: &AbsPath, from: Attrs) -> Done {
        let at = self.open(path)?;
        self.refuse_mount(at, path)?;
        let now = self.attrs(at);
        if now != from && now.mode.bits() != 0 {
            return Err(changed(Reason::MountFailed, format!("{path} has {now} now, not {from}")));
        }
        self.give_mode(at, Mode::from_bits(0))?;
        if !self.machine.tree.is_empty(at.ino) {
            self.give(at, now)?;
            return Err(changed(Reason::MountPointNotEmpty, format!("{path} is not empty any more")));
        }
        self.flag(at, true)
    }

    /// Sets or clears the immutable flag.
    fn flag(&mut self, at: At, on: bool) -> Done {
        self.change(|m| {
            m.writable(at)?;
            m.tree.node_mut(at.ino).immutable = on;
            Ok::<_, Errno>(())
        })
    }

    fn unseal(&mut self, path: &AbsPath, to: Attrs) -> Done {
        if let Err(Miss::Absent(_)) = self.machine.reach(path) {
            return Ok(());
        }
        let at = self.open(path)?;
        self.refuse_mount(at, path)?;
        if self.attrs(at).mode.bits() != 0 {
            return Ok(());
        }
        if self.machine.tree.node(at.ino).immutable {
            self.flag(at, false)?;
        }
        self.give(at, to)
    }

    fn bind(&mut self, store: &AbsPath, mount_point: &AbsPath, id: Option<Id>, options: BindOptions) -> Done {
        let source = self.open(store)?;
        if id.is_some() && self.machine.tree.node(source.ino).id != id {
            return Err(changed(Reason::WrongStore, format!("{store} does not carry the identity that it must")));
        }
        let on = self.open(mount_point)?;
        self.refuse_mount(on, mount_point)?;
        let sealed = self.attrs(on).mode.bits() == 0 && self.machine.tree.node(on.ino).immutable;
        if !sealed && !self.machine.tree.is_empty(on.ino) {
            return Err(changed(Reason::MountPointNotEmpty, format!("{mount_point} is not empty any more")));
        }
        self.change(|m| {
            m.mounts.add(source.ino, on, options);
            Ok::<_, Halt>(())
        })
    }

    fn unbind(&mut self, store: &AbsPath, mount_point: &AbsPath) -> Done {
        let gone = || changed(Reason::ForeignMount, format!("nothing is mounted at {mount_point} any more"));
        let place = self.machine.place(mount_point)?;
        let at = self.machine.at(place)?;
        if !self.machine.is_mount_root(at) {
            return Err(gone());
        }
        if let Ok(seen) = self.machine.reach(store)
            && !self.machine.tree.node(at.ino).removed
            && seen.ino != at.ino
        {
            return Err(changed(Reason::ForeignMount, format!("{mount_point} shows something else than {store} now")));
        }
        if self.machine.mounts.has_inner(at.mount) || self.machine.busy.contains(mount_point) {
            return Err(changed(Reason::Busy, format!("{mount_point} is in use and stays bound")));
        }
        self.change(|m| {
            m.mounts.remove(at.mount);
            Ok::<_, Halt>(())
        })
    }

    fn set_options(&mut self, mount_point: &AbsPath, to: BindOptions) -> Done {
        let at = self.open(mount_point)?;
        if !self.machine.is_mount_root(at) {
            return Err(changed(Reason::ForeignMount, format!("nothing is mounted at {mount_point} any more")));
        }
        self.change(|m| {
            if let Some(mount) = m.mounts.get_mut(at.mount) {
                mount.options = to;
            }
            Ok::<_, Halt>(())
        })
    }

    /// Replaces a file as a whole: one change.
    fn replace(&mut self, path: &AbsPath, bytes: &[u8], mode: u32) -> Done {
        self.change(|m| m.replace(path, bytes, mode))
    }

    fn fstab(&mut self, edits: &[fstab::Edit]) -> Done {
        if edits.is_empty() {
            return Ok(());
        }
        let path = AbsPath::literal(FSTAB);
        let table = Fstab::parse(self.machine.read(&path)?.unwrap_or_default());
        let new = table.edit(edits).map_err(|e| changed(Reason::MountFailed, e.to_string()))?;
        self.replace(&path, &new, 0o644)
    }

    fn manifest(&mut self, home: &AbsPath, edits: &[manifest::Edit]) -> Done {
        if edits.is_empty() {
            return Ok(());
        }
        let directory = home.child(DIRECTORY);
        self.make(&directory, Attrs::root(0o700), None, true)?;
        let path = directory.child("manifest.toml");
        let damaged =
            |why: String| Halt::Failed(Failure { reason: Reason::MountFailed, kind: ErrorKind::Invalid, message: why });
        let mut manifest = match self.machine.read(&path)? {
            None => Manifest::default(),
            Some(bytes) => {
                let text = std::str::from_utf8(bytes).map_err(|e| damaged(e.to_string()))?;
                Manifest::parse(text).map_err(|e| damaged(e.to_string()))?
            }
        };
        if let Err(store) = manifest.edit(edits.iter()) {
            return Err(changed(Reason::WrongStore, format!("the manifest says something else of `{store}` now")));
        }
        self.replace(&path, manifest.render().as_bytes(), 0o600)
    }

    fn write(&mut self, path: &AbsPath, from: Option<&str>, to: Option<&str>, mode: Mode) -> Done {
        let now = self.machine.read(path)?.map(<[u8]>::to_vec);
        let stands = |text: Option<&str>| now.as_deref() == text.map(str::as_bytes);
        match to {
            Some(text) if stands(Some(text)) => Ok(()),
            None if now.is_none() => Ok(()),
            _ if !stands(from) => Err(changed(Reason::Busy, format!("{path} was changed by somebody else meanwhile"))),
            Some(text) => self.replace(path, text.as_bytes(), mode.bits()),
            None => {
                let place = self.machine.place(path)?;
                self.change(|m| m.remove(place))
            }
        }
    }
}
