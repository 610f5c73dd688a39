//! Steps, one function for each. There is no policy here: what to do, to what, and what must hold before was decided in
//! core; a step looks once more, on the descriptor that it then acts on, and acts.

pub(crate) mod bind;
pub(crate) mod copy;
pub(crate) mod dir;
pub(crate) mod file;
pub(crate) mod hook;
pub(crate) mod label;
pub(crate) mod owners;
pub(crate) mod service;
pub(crate) mod system;
pub(crate) mod tree;
pub(crate) mod volume;

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use datastore_core::moving::{Account, Receipt};
use datastore_core::plan::{Load, Remark};
use datastore_core::state::Reason;
use datastore_core::step::Action;
use datastore_core::{Error, ErrorKind};

use crate::event::{Event, Listener};
use crate::gauge::{Counts, Gauge};
use crate::receipts;
use crate::report::Probed;
use crate::root::{Miss, Root};
use crate::sys::SysError;
use crate::sys::clock;
use crate::sys::ids::Ids;
use crate::touched::Touched;
use crate::tree::{self as trees, Control, TreeError};

/// What every step is given.
pub(crate) struct Hands<'a> {
    /// The root that all paths lie under.
    pub(crate) root: &'a Root,
    /// Names of users, for messages.
    pub(crate) ids: &'a Ids,
    /// The operation's name, for temporary files and locks.
    pub(crate) tag: &'a str,
    remarks: RefCell<Vec<Remark>>,
    listener: RefCell<&'a mut dyn Listener>,
    /// Copies that were begun, until it is their turn to count.
    pub(crate) copies: RefCell<Vec<copy::Copying>>,
    /// How each copy that is whole was made.
    pub(crate) accounts: RefCell<Vec<Account>>,
    /// Parts of the step in hand, with how long each took.
    parts: RefCell<Vec<(&'static str, Duration)>>,
    /// How the app is that was let start again.
    pub(crate) probed: RefCell<Option<Probed>>,
    /// What is to be brought to the disk at the end.
    pub(crate) touched: RefCell<Touched>,
    /// How far walks are.
    pub(crate) gauge: RefCell<Gauge<'a>>,
}

impl<'a> Hands<'a> {
    /// For one operation.
    pub(crate) fn new(root: &'a Root, ids: &'a Ids, tag: &'a str, listener: &'a mut dyn Listener) -> Self {
        Self {
            root,
            ids,
            tag,
            remarks: RefCell::default(),
            listener: RefCell::new(listener),
            copies: RefCell::default(),
            accounts: RefCell::default(),
            parts: RefCell::default(),
            probed: RefCell::default(),
            touched: RefCell::default(),
            gauge: RefCell::new(Gauge::new(&[])),
        }
    }

    /// Tells something that fails nothing.
    pub(crate) fn remark(&self, detail: impl Into<String>, hint: impl Into<String>) {
        self.remarks.borrow_mut().push(Remark { detail: detail.into(), hint: hint.into() });
    }

    /// Tells what happens.
    pub(crate) fn event(&self, event: &Event<'_>) {
        self.listener.borrow_mut().event(event);
    }

    /// The same with knowledge of how much is to be moved.
    pub(crate) fn knowing(self, loads: &'a [Load]) -> Self {
        Self { gauge: RefCell::new(Gauge::new(loads)), ..self }
    }

    /// Walks a tree, in threads of its own, and tells at its beginning and now and then how far that is.
    pub(crate) fn while_walking<T: Send, E: Send>(
        &self,
        what: &str,
        label: &str,
        counts: Counts,
        walk: impl FnOnce(&Control<'_>) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        let tell = |now| {
            let walk = self.gauge.borrow_mut().read(what, label, counts, now);
            self.event(&Event::Walking { walk: &walk });
        };
        let (walked, all) = trees::followed(label, &(), tell, walk);
        self.gauge.borrow_mut().walked(all);
        walked
    }

    /// A part of a step has ended, which began then.
    pub(crate) fn took(&self, what: &'static str, begun: Instant) {
        self.parts.borrow_mut().push((what, begun.elapsed()));
    }

    /// The parts of the last step, if it told any.
    pub(crate) fn parts(&self) -> Vec<(&'static str, Duration)> {
        self.parts.take()
    }

    /// What is worth telling although it failed nothing.
    pub(crate) fn finish(self) -> Vec<Remark> {
        self.remarks.into_inner()
    }
}

/// A receipt with what only its writer knows.
fn complete(hands: &Hands<'_>, receipt: &Receipt) -> Receipt {
    let at = clock::now();
    let parked = receipt.trees.iter().any(|tree| tree.parked.is_some());
    let expires = parked.then(|| at.saturating_add(Receipt::KEPT));
    let copies = hands.accounts.take();
    Receipt { at: Some(at), expires, copies, ..receipt.clone() }
}

/// Why a step failed, with the reason code for its mapping.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    pub(crate) error: Error,
}

impl Failure {
    /// The machine is not as the plan expects it.
    pub(crate) fn changed(reason: Reason, message: impl Into<String>) -> Self {
        let error = Error::new(ErrorKind::Refused, message).hint("the machine has changed: run the command again");
        Self { reason, error }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        // ENOSPC and EDQUOT (errno(3)) have a reason of their own: a person can do something about it.
        let full = matches!(error.errno(), Some(28 | 122));
        Self { reason: if full { Reason::NoSpace } else { Reason::MountFailed }, error }
    }
}

impl From<SysError> for Failure {
    fn from(error: SysError) -> Self {
        Error::from(error).into()
    }
}

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Self {
        Error::from(error).into()
    }
}

impl From<Miss> for Failure {
    fn from(miss: Miss) -> Self {
        Error::from(miss).into()
    }
}

/// Carries out one action, and takes note of what is to be brought to the disk at the end. What it holds for a mapping in `without` is left out: a change of fstab or of a manifest, a bind that a
/// hook is told of.
pub(crate) fn act(hands: &Hands<'_>, action: &Action, without: &HashSet<u32>) -> Result<(), Failure> {
    if matches!(action, Action::WriteReceipt(_)) {
        // From it on the new places count, so all that they stand on must be there after a power cut.
        hands.touched.take().sync(hands.root)?;
    }
    let outcome = perform(hands, action, without);
    hands.touched.borrow_mut().note(hands.root, action);
    outcome
}

fn perform(hands: &Hands<'_>, action: &Action, without: &HashSet<u32>) -> Result<(), Failure> {
    let root = hands.root;
    match action {
        Action::MakeDir { path, attrs, id, shared } => dir::make(root, path, *attrs, *id, *shared),
        Action::RemoveDir { path, .. } => dir::remove(root, path),
        Action::SetAttrs { path, from, to } => dir::set_attrs(root, path, *from, *to),
        Action::SetId { path, from, to } => dir::set_id(root, path, *from, *to),
        Action::SetLabel { path, gets, .. } => label::set(hands, path, gets),
        Action::KeepLabels { mount_point, store } => {
            label::keep(hands, mount_point, store);
            Ok(())
        }
        Action::Seal { path, from } => dir::seal(root, path, *from),
        Action::Unseal { path, to } => dir::unseal(root, path, *to),
        Action::Bind { store, mount_point, id, options } => bind::bind(root, store, mount_point, *id, *options),
        Action::Unbind { store, mount_point, .. } => bind::unbind(hands, store, mount_point),
        Action::SetOptions { mount_point, to, .. } => bind::set_options(root, mount_point, *to),
        Action::Fstab { edits } => {
            let kept = edits.iter().filter(|e| e.mapping.is_none_or(|m| !without.contains(&m)));
            file::fstab(hands, &kept.map(|e| e.edit.clone()).collect::<Vec<_>>())
        }
        Action::Manifest { home, edits } => {
            let kept = edits.iter().filter(|e| e.mapping.is_none_or(|m| !without.contains(&m)));
            file::manifest(hands, home, &kept.map(|e| e.edit.clone()).collect::<Vec<_>>())
        }
        Action::WriteFile { path, from, to, mode } => file::write(hands, path, from.as_deref(), to.as_deref(), *mode),
        Action::Flush { path } => system::flush(root, path),
        Action::ReloadSystemd => Ok(system::reload()?),
        Action::Swap { mount_point, from, to, options } => copy::swap(hands, mount_point, from, to, *options),
        Action::MoveDir { from, to, gets, .. } => copy::move_dir(hands, from, to, *gets),
        Action::Copy { trees, verify, max_downtime } => copy::copy(hands, trees, *verify, *max_downtime),
        Action::FinishCopy { trees, .. } => copy::finish(hands, trees),
        Action::SeedCopy { from, to } => tree::move_dir(root, from, to, None),
        Action::DemandAlike { app, trees } => copy::demand_alike(hands, app.as_str(), trees),
        Action::DemandQuiet { paths } => tree::demand_quiet(hands, paths),
        Action::WriteReceipt(receipt) => Ok(receipts::write(root, hands.tag, &complete(hands, receipt))?),
        Action::StopServices { app, running } => service::stop(hands, app, running),
        Action::StartServices { app, running } => service::start(hands, app, running),
        Action::RenameBase { from, to } => tree::move_dir(root, from, to, None),
        Action::Renumber { stores, users, groups, .. } => owners::renumber(hands, stores, users, groups),
        Action::RemoveTree { path } => tree::remove(hands, path),
        Action::RunHook(run) => hook::act(hands, run, without),
        Action::MakeFilesystem { device, fstype, label, uuid, force } => {
            Ok(volume::make_filesystem(root, device, fstype, label, *uuid, *force)?)
        }
        Action::Mount { source, path, fstype, options } => Ok(volume::mount(root, source, path, fstype, options)?),
        Action::Unmount { source, path, fstype, options } => {
            let _ = (source, fstype, options);
            Ok(volume::unmount(root, path)?)
        }
        other => {
            Err(Error::new(ErrorKind::Invalid, format!("this program does not know the step `{}`", other.kind()))
                .into())
        }
    }
}
