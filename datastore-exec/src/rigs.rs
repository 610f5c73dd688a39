//! Doors for the rigs (`rigs/`): what somebody races against is done there a million times in one process, by the very functions that
//! a command uses. Nobody else needs them, and they may change at any time.

use std::collections::HashSet;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use datastore_core::config::Input;
use datastore_core::observed::{HookFacts, Place};
use datastore_core::step::Action;
use datastore_core::{AbsPath, Error, Result};

use crate::Root;
use crate::beneath::Beneath;
use crate::event::Silent;
use crate::hook::program::{self, Program};
use crate::hook::run::{self, Order};
use crate::steps::{self, Hands};
use crate::sys::ids::Ids;

/// Carries out one step as an operation does, without a journal.
pub fn act(root: &Root, ids: &Ids, action: &Action) -> Result<(), Error> {
    let mut nobody = Silent;
    let hands = Hands::new(root, ids, "rig", &mut nobody);
    steps::act(&hands, action, &HashSet::new()).map_err(|failure| failure.error)
}

/// Every file of the configuration, with its bytes or why they are not believed.
pub fn configuration(root: &Root) -> Result<Vec<Input>> {
    crate::load::load(root, None)
}

/// What lies under the mount at a mount point.
#[must_use]
pub fn beneath(root: &Root, mount_point: &AbsPath) -> Place {
    Beneath::new(root).look(mount_point)
}

/// A hook that was found fit to be run.
#[derive(Debug)]
pub struct Hook(Program);

/// Opens a hook; else says what stands there.
pub fn hook(root: &Root, path: &AbsPath) -> Result<Hook, HookFacts> {
    program::open(root, path).map(Hook)
}

impl Hook {
    /// What will be run.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.fd()
    }

    /// Runs it; the lines that it writes.
    pub fn run(&self, name: &str) -> io::Result<Vec<String>> {
        let limit = Duration::from_secs(60);
        let order = Order { program: &self.0, name, root: None, environment: &[], limit };
        run::run(&order).map(|(_, output)| output.lines())
    }
}
