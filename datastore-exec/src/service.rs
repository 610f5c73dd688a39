//! Services: what runs, down in order, and up again.
//!
//! [`Manager::of`] chooses by what runs: systemd where it is the machine's first process, init scripts elsewhere. Below any other root
//! than the machine itself (an image, a disk in a rescue system) no service belongs to the data, and none is touched.
//!
//! What is to be stopped is found first ([`Manager::running`]) and is data, to be written down before anything is stopped: after a
//! crash it says what has to run again. Only what ran is started again. All functions converge: what is down already is not stopped,
//! what is up already is not started.

mod systemd;
mod sysv;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use datastore_core::moving::Running;
use datastore_core::plan::Remark;
use datastore_core::{Error, ErrorKind, Result};

use crate::root::Root;

/// A service that ends at once has often been seen as started; so long it has to stay.
const SETTLING: Duration = Duration::from_millis(500);

/// An init script that was asked to start may take so long.
const ASKED: Duration = Duration::from_secs(300);

/// The machine's first process.
const FIRST: u32 = 1;

/// What a service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs, or is on its way up or down, or waits to be started once more after it failed.
    Running,
    /// It is down.
    Stopped,
    /// It is down and did not end well.
    Failed,
    /// It is down, and must not be started by anybody (`systemctl mask`).
    Masked,
    /// There is no such service.
    NotInstalled,
    /// Its init script does not say.
    Unknown,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Masked => "masked",
            Self::NotInstalled => "not installed",
            Self::Unknown => "unknown",
        })
    }
}

/// How a service is when it has been started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Up {
    /// It runs.
    Runs,
    /// It has done what it is for and ended well (`Type=oneshot`).
    Ended,
}

/// How a service went down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Down {
    /// It was down already.
    Already,
    /// It ended when it was asked to.
    Ended,
    /// It did not end in its time, or not well, and is down all the same: killed, for example.
    Badly,
}

/// Who starts and stops services here.
#[derive(Debug)]
pub enum Manager {
    /// systemd, by D-Bus.
    Systemd(systemd::Bus),
    /// Init scripts, by service(8).
    Sysv(sysv::Scripts),
    /// Nobody: the root is not the machine itself.
    None,
}

impl Manager {
    /// Finds out who starts and stops the services of this root.
    ///
    /// # Errors
    /// If systemd runs and does not answer. Nothing must be stopped then: it could not be started again.
    pub fn of(root: &Root) -> Result<Self> {
        if !root.is_machine() || in_other_root_than(FIRST) {
            return Ok(Self::None);
        }
        // As sd_booted(3) looks.
        if rustix::fs::lstat("/run/systemd/system").is_ok_and(|s| is_dir(&s)) {
            return Ok(Self::Systemd(systemd::Bus::connect()?));
        }
        Ok(Self::Sysv(sysv::Scripts::new()))
    }

    /// What a service is doing. The name is that of a unit, `.service` may be left out, or that of an init script.
    ///
    /// # Errors
    /// If the service manager does not answer.
    pub fn state(&self, name: &str) -> Result<State> {
        match self {
            Self::Systemd(bus) => bus.state(name),
            Self::Sysv(scripts) => scripts.state(name),
            Self::None => Ok(State::NotInstalled),
        }
    }

    /// Which of these services run, with everything that goes down with them and would start them. What cannot run is passed over
    /// with a remark.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] if one runs that could not be stopped and started again by hand. If the service manager does not answer.
    pub fn running<S: AsRef<str>>(&self, names: &[S]) -> Result<(Running, Vec<Remark>)> {
        match self {
            Self::Systemd(bus) => bus.running(names),
            Self::Sysv(scripts) => scripts.running(names),
            Self::None if names.is_empty() => Ok(Default::default()),
            Self::None => Ok((Running::default(), vec![not_ours(names)])),
        }
    }

    /// Stops a service and returns when it is down.
    ///
    /// # Errors
    /// If it is not down within the limit, or cannot be stopped at all. It may go down later.
    pub fn stop(&self, name: &str, limit: Duration) -> Result<Down> {
        match self {
            Self::Systemd(bus) => bus.stop(name, limit),
            Self::Sysv(scripts) => scripts.stop(name, limit),
            Self::None => Ok(Down::Already),
        }
    }

    /// Starts a service and returns when it is up: when its start has ended, and it is still there a moment later.
    ///
    /// # Errors
    /// If it is not up within the limit, or its start failed. The message has what the service manager says.
    pub fn start(&self, name: &str, limit: Duration) -> Result<Up> {
        let begun = self.begin(name, limit)?;
        std::thread::sleep(SETTLING);
        self.probe(name, begun)
    }

    /// Has a service started; where the service manager can do that by itself this does not wait for it.
    ///
    /// # Errors
    /// If the service manager does not answer, or says that it cannot be started.
    pub fn ask_to_start(&self, name: &str) -> Result<()> {
        match self {
            Self::Systemd(bus) => bus.ask_to_start(name),
            Self::Sysv(scripts) => scripts.start(name, ASKED),
            Self::None => Ok(()),
        }
    }

    /// Whether a service is down that something else wants to run, such as a target that the machine has reached. Init scripts do not tell
    /// that.
    ///
    /// # Errors
    /// If the service manager does not answer.
    pub fn is_wanted(&self, name: &str) -> Result<bool> {
        match self {
            Self::Systemd(bus) => bus.is_wanted(name),
            Self::Sysv(_) | Self::None => Ok(false),
        }
    }

    /// Whether a service is on its way down, or has been down for no longer than this. Init scripts do not tell that.
    ///
    /// # Errors
    /// If the service manager does not answer.
    pub fn has_just_fallen(&self, name: &str, within: Duration) -> Result<bool> {
        match self {
            Self::Systemd(bus) => bus.has_just_fallen(name, within),
            Self::Sysv(_) | Self::None => Ok(false),
        }
    }

    /// Starts a service and returns when its start has ended, with the number of times that it was started again by itself until then.
    fn begin(&self, name: &str, limit: Duration) -> Result<u32> {
        match self {
            Self::Systemd(bus) => bus.start(name, limit),
            Self::Sysv(scripts) => scripts.start(name, limit).map(|()| 0),
            Self::None => Ok(0),
        }
    }

    /// How a service is whose start has ended a moment ago.
    fn probe(&self, name: &str, restarts: u32) -> Result<Up> {
        match self {
            Self::Systemd(bus) => bus.probe(name, restarts),
            Self::Sysv(scripts) => scripts.probe(name),
            Self::None => Ok(Up::Runs),
        }
    }

    /// Stops all of these in order, up to the first that does not go down. What had to be killed is told in remarks.
    ///
    /// # Errors
    /// The first failure. What was stopped before it is down, and it may go down itself later: [`Manager::start_all`] brings all of
    /// them up again.
    pub fn stop_all(&self, what: &Running, limit: Duration) -> Result<Vec<Remark>> {
        let mut remarks = Vec::new();
        for name in what.down() {
            if self.stop(name, limit)? == Down::Badly {
                remarks.push(Remark {
                    detail: format!("{name} did not end well when it was stopped; it is down"),
                    hint: self.look_at(name),
                });
            }
        }
        Ok(remarks)
    }

    /// Starts all of these in order, one after the other whatever becomes of the one before, and looks at each once more when all have
    /// had a moment to fail.
    #[must_use]
    pub fn start_all<'w>(&self, what: &'w Running, limit: Duration) -> Vec<(&'w str, Result<Up>)> {
        self.probe_all(self.begin_all(what, limit))
    }

    /// The first half of [`Self::start_all`]: all have been started, and each can be used that came up.
    pub(crate) fn begin_all<'w>(&self, what: &'w Running, limit: Duration) -> Vec<(&'w str, Result<u32>)> {
        what.up().map(|name| (name, self.begin(name, limit))).collect()
    }

    /// The second half of [`Self::start_all`].
    pub(crate) fn probe_all<'w>(&self, begun: Vec<(&'w str, Result<u32>)>) -> Vec<(&'w str, Result<Up>)> {
        if begun.iter().any(|(_, begun)| begun.is_ok()) {
            std::thread::sleep(SETTLING);
        }
        begun.into_iter().map(|(name, begun)| (name, begun.and_then(|restarts| self.probe(name, restarts)))).collect()
    }

    /// The command that shows what happened to a service.
    fn look_at(&self, name: &str) -> String {
        match self {
            Self::Systemd(_) => systemd::look_at(name),
            Self::Sysv(_) | Self::None => sysv::look_at(name),
        }
    }
}

/// What is said of services where none belongs to the data.
fn not_ours<S: AsRef<str>>(names: &[S]) -> Remark {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    Remark {
        detail: format!("this root is not the machine itself: {} not stopped", are(&names)),
        hint: "make sure that nothing uses the data meanwhile".into(),
    }
}

/// "a is", "a, b are".
fn are(names: &[&str]) -> String {
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

/// Whether this thread has another root directory than a process, the machine's first one, as in the making of an image. Where that
/// one cannot be looked at (root of a container may not, if its first process is more than it is) there is no sign of it.
fn in_other_root_than(process: u32) -> bool {
    let stats = (rustix::fs::stat("/"), rustix::fs::stat(format!("/proc/{process}/root")));
    let (Ok(ours), Ok(first)) = stats else { return false };
    (ours.st_dev, ours.st_ino) != (first.st_dev, first.st_ino)
}

fn is_dir(stat: &rustix::fs::Stat) -> bool {
    rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory
}

/// Whether a program of the machine is there.
fn is_program(path: impl AsRef<Path>) -> bool {
    rustix::fs::access(path.as_ref(), rustix::fs::Access::EXEC_OK).is_ok()
}

/// A failure of the service itself.
fn failed(message: String, hint: String) -> Error {
    Error::new(ErrorKind::System, message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Sandbox;

    #[test]
    fn below_another_root_no_service_is_touched() {
        Sandbox::run(|sandbox| {
            sandbox.dirs(&["run/systemd/system", "etc/init.d"]);
            let manager = Manager::of(&sandbox.root()).unwrap();
            assert!(matches!(manager, Manager::None), "{manager:?}");
            assert_eq!(manager.state("cron").unwrap(), State::NotInstalled);
            let (running, remarks) = manager.running(&["cron", "httpd"]).unwrap();
            assert!(running.is_empty());
            assert_eq!(remarks.len(), 1);
            assert!(remarks[0].detail.ends_with("cron, httpd are not stopped"), "{remarks:?}");
            assert_eq!(manager.running::<&str>(&[]).unwrap(), Default::default());
            // The same in a changed root directory: its `/` is not the machine's. No other thread is affected.
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    sandbox.dirs(&["proc"]);
                    rustix::mount::mount_bind("/proc", sandbox.dir().join("proc")).unwrap();
                    nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS).unwrap();
                    rustix::process::chroot(sandbox.dir()).unwrap();
                    assert!(in_other_root_than(std::process::id()));
                });
            });
            assert!(!in_other_root_than(std::process::id()));
        });
    }
}
