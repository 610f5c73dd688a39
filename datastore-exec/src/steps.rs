//! Steps, one function for each. There is no policy here: what to do, to what, and what must hold before was decided in
//! core; a step looks once more, on the descriptor that it then acts on, and acts.

pub(crate) mod bind;
pub(crate) mod dir;
pub(crate) mod file;
pub(crate) mod hook;
pub(crate) mod system;
pub(crate) mod volume;

use std::cell::RefCell;
use std::collections::HashSet;

use datastore_core::plan::Remark;
use datastore_core::state::Reason;
use datastore_core::step::Action;
use datastore_core::{Error, ErrorKind};

use crate::root::{Miss, Root};
use crate::sys::SysError;
use crate::sys::ids::Ids;

/// What every step is given.
pub(crate) struct Hands<'a> {
    /// The root that all paths lie under.
    pub(crate) root: &'a Root,
    /// Names of users, for messages.
    pub(crate) ids: &'a Ids,
    /// The operation's name, for temporary files and locks.
    pub(crate) tag: &'a str,
    /// What is worth telling although it fails nothing.
    pub(crate) remarks: RefCell<Vec<Remark>>,
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

impl From<Miss> for Failure {
    fn from(miss: Miss) -> Self {
        Error::from(miss).into()
    }
}

/// Carries out one action. What it holds for a mapping in `without` is left out: a change of fstab or of a manifest, a bind that a
/// hook is told of.
pub(crate) fn act(hands: &Hands<'_>, action: &Action, without: &HashSet<u32>) -> Result<(), Failure> {
    let root = hands.root;
    match action {
        Action::MakeDir { path, attrs, id, shared } => dir::make(root, path, *attrs, *id, *shared),
        Action::RemoveDir { path, .. } => dir::remove(root, path),
        Action::SetAttrs { path, from, to } => dir::set_attrs(root, path, *from, *to),
        Action::SetId { path, from, to } => dir::set_id(root, path, *from, *to),
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
        Action::ReloadSystemd => system::reload(),
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
