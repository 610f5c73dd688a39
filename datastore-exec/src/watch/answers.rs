//! Whether volumes answer at all. One that comes over the network may be silent for hours, and with it everybody who only looks at it; so such
//! a one is asked by a thread of its own before it is looked at.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use datastore_core::alarm::{Kind, Trouble};
use datastore_core::state::{Reason, State};
use datastore_core::wanted::Volume;
use datastore_core::{AbsPath, Error, ErrorKind, Result};
use rustix::event::{EventfdFlags, eventfd};

use crate::root::Root;

/// A volume that takes longer to say how full it is does not answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often they are asked.
pub(super) const EVERY: Duration = Duration::from_secs(30);

/// The volumes that were asked and have not answered yet.
#[derive(Debug)]
pub(super) struct Answers {
    open: HashMap<AbsPath, Arc<Question>>,
    /// Counts answers, for whoever waits for one.
    wake: Arc<OwnedFd>,
}

#[derive(Debug, Default)]
struct Question {
    answered: Mutex<bool>,
    told: Condvar,
}

impl Question {
    fn wait(&self, until: Instant) -> bool {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if *answered || left.is_zero() {
                return *answered;
            }
            answered = self.told.wait_timeout(answered, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Answers {
    pub(super) fn new() -> Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|errno| {
            Error::new(ErrorKind::System, "volumes cannot be watched").with_errno(errno.raw_os_error()).caused_by(errno)
        })?;
        Ok(Self { open: HashMap::new(), wake: Arc::new(wake) })
    }

    /// Asks these volumes, and returns those that do not answer. Nothing on them must be touched until they do.
    pub(super) fn silent<'v>(&mut self, root: &Root, volumes: impl Iterator<Item = &'v Volume>) -> Vec<Trouble> {
        let mut asked = Vec::new();
        for volume in volumes {
            let Ok(outside) = root.outside(&volume.path) else { continue };
            let question = self.open.entry(volume.path.clone()).or_insert_with(|| {
                let (question, wake) = (Arc::new(Question::default()), self.wake.clone());
                let asked = question.clone();
                let ask = move || {
                    // What it says is for the look that follows.
                    let _ = rustix::fs::statvfs(outside.as_bytes());
                    *asked.answered.lock().unwrap_or_else(PoisonError::into_inner) = true;
                    asked.told.notify_all();
                    let _ = rustix::io::write(&*wake, &1_u64.to_ne_bytes());
                };
                // Where no thread can be had it is looked without asking.
                if std::thread::Builder::new().name("ask".into()).stack_size(64 << 10).spawn(ask).is_err() {
                    *question.answered.lock().unwrap_or_else(PoisonError::into_inner) = true;
                }
                question
            });
            asked.push((volume, question.clone()));
        }
        let until = Instant::now() + PATIENCE;
        let silent: Vec<&Volume> =
            asked.into_iter().filter(|(_, question)| !question.wait(until)).map(|(volume, _)| volume).collect();
        self.open.retain(|path, _| silent.iter().any(|volume| volume.path == *path));
        // Those that have answered now wake nobody.
        let _ = self.take();
        silent.into_iter().map(trouble).collect()
    }

    /// Takes what has been answered since; whether anything has been.
    pub(super) fn take(&self) -> bool {
        rustix::io::read(&*self.wake, &mut [0_u8; 8]).is_ok()
    }
}

impl AsFd for Answers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// Whether a volume may be silent.
pub(super) fn may_be_silent(volume: &Volume) -> bool {
    volume.is_network() || volume.fstype.as_deref().is_some_and(|kind| kind.starts_with("fuse"))
}

fn trouble(volume: &Volume) -> Trouble {
    Trouble {
        kind: Kind::Volume,
        volume: volume.name.clone(),
        path: volume.path.clone(),
        state: State::Refused,
        reason: Some(Reason::VolumeMissing),
        detail: format!(
            "volume `{}` has not answered for {} seconds; whoever uses {} hangs",
            volume.name,
            PATIENCE.as_secs(),
            volume.path
        ),
        hint: "look after the server that it comes from, and the network".into(),
    }
}
