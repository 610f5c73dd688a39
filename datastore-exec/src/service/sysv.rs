//! Init scripts, through service(8), or by themselves where that is missing.

use std::io::{Read as _, Seek as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use datastore_core::moving::Running;
use datastore_core::path::printable;
use datastore_core::plan::Remark;
use datastore_core::{Error, ErrorKind, Result};
use rustix::fs::MemfdFlags;

use super::{Down, State, Up, failed, is_program};
use crate::site::program::wait_within;

const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Debian's place, and Red Hat's, where the first is a link to the second.
const SCRIPTS: [&str; 2] = ["/etc/init.d", "/etc/rc.d/init.d"];
const SERVICE: [&str; 2] = ["/usr/sbin/service", "/sbin/service"];
/// A script that takes longer to say how it is does not say.
const STATUS_LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
/// How much of what a script printed stands in an error: the end, where the complaint is.
const SHOWN: u64 = 600;

/// The init scripts of the machine.
#[derive(Debug)]
pub struct Scripts {
    /// service(8), which cleans the environment; `None` where it is missing.
    service: Option<&'static str>,
}

/// How a script ended.
struct Ended {
    /// `None` if it took too long or was killed.
    code: Option<i32>,
    timed_out: bool,
    /// The end of what it printed, on one line.
    said: String,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self { service: SERVICE.into_iter().find(|path| is_program(path)) }
    }

    pub(super) fn state(&self, name: &str) -> Result<State> {
        let Some(script) = script(name) else { return Ok(State::NotInstalled) };
        // One that does not know the word prints its usage and ends with any number.
        let text = std::fs::read(&script).unwrap_or_default();
        if !text.windows(6).any(|word| word == b"status") {
            return Ok(State::Unknown);
        }
        let ended = self.run(name, "status", STATUS_LIMIT)?;
        // Linux Standard Base, init script actions.
        Ok(match ended.code {
            Some(0) => State::Running,
            Some(1 | 2) => State::Failed,
            Some(3) => State::Stopped,
            _ => State::Unknown,
        })
    }

    pub(super) fn running<S: AsRef<str>>(&self, names: &[S]) -> Result<(Running, Vec<Remark>)> {
        let (mut found, mut remarks) = (Running::default(), Vec::new());
        for name in names {
            let name = stem(name.as_ref());
            if found.services.iter().any(|known| known == name) {
                continue;
            }
            match self.state(name)? {
                State::Running => found.services.push(name.to_owned()),
                // It would be started although nobody knows that it ran; and left running, it would write.
                State::Unknown => {
                    return Err(Error::new(
                        ErrorKind::Refused,
                        format!("the init script of {name} does not say whether it runs"),
                    )
                    .hint(format!(
                        "stop it by hand and take it out of `services`; service {name} status must end with 0 or 3"
                    )));
                }
                State::NotInstalled => remarks.push(Remark {
                    detail: format!(
                        "there is no init script {name} on this machine: it is neither stopped nor started"
                    ),
                    hint: "install it, or take it out of `services`".into(),
                }),
                State::Stopped | State::Failed | State::Masked => {}
            }
        }
        Ok((found, remarks))
    }

    pub(super) fn stop(&self, name: &str, limit: Duration) -> Result<Down> {
        let begun = Instant::now();
        let name = stem(name);
        if !matches!(self.state(name)?, State::Running | State::Unknown) {
            return Ok(Down::Already);
        }
        let ended = self.run(name, "stop", limit)?;
        loop {
            // What counts is whether it is down; some scripts end well before it is.
            match self.state(name)? {
                State::Running => {}
                State::Unknown if ended.code != Some(0) => break,
                State::Failed => return Ok(Down::Badly),
                _ => return Ok(if ended.code == Some(0) { Down::Ended } else { Down::Badly }),
            }
            if begun.elapsed() >= limit || ended.code != Some(0) {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        Err(failed(format!("{name} could not be stopped: {}", ended.complaint(limit)), look_at(name)))
    }

    pub(super) fn start(&self, name: &str, limit: Duration) -> Result<()> {
        let name = stem(name);
        if self.state(name)? == State::Running {
            return Ok(());
        }
        let ended = self.run(name, "start", limit)?;
        let up = ended.code == Some(0) && matches!(self.state(name)?, State::Running | State::Unknown);
        if up {
            return Ok(());
        }
        Err(failed(format!("{name} could not be started: {}", ended.complaint(limit)), look_at(name)))
    }

    pub(super) fn probe(&self, name: &str) -> Result<Up> {
        let name = stem(name);
        match self.state(name)? {
            State::Running | State::Unknown => Ok(Up::Runs),
            state => Err(failed(format!("{name} was started and is down again: it is {state}"), look_at(name))),
        }
    }

    /// Runs a script with one word. Its output goes to a file without a name and not into a pipe: what it starts in the background
    /// keeps it, and must neither hold us up nor be killed by writing when we are gone.
    fn run(&self, name: &str, word: &str, limit: Duration) -> Result<Ended> {
        let mut command = match self.service {
            Some(program) => {
                let mut command = Command::new(program);
                command.arg(stem(name));
                command
            }
            None => Command::new(script(name).unwrap_or_else(|| PathBuf::from(SCRIPTS[0]).join(stem(name)))),
        };
        command.arg(word).env_clear().env("PATH", PATH).env("LC_ALL", "C").current_dir("/").stdin(Stdio::null());
        // A group of its own, so that a script that hangs can be ended with what it waits for. It lives on if we die: half a stop
        // or half a start is worse than a whole one.
        command.process_group(0);
        let output = rustix::fs::memfd_create("output", MemfdFlags::CLOEXEC).ok();
        let copy =
            || output.as_ref().and_then(|fd: &OwnedFd| fd.try_clone().ok()).map_or_else(Stdio::null, Stdio::from);
        command.stdout(copy()).stderr(copy());
        let error = |error: std::io::Error| {
            Error::new(ErrorKind::System, format!("the init script of {} cannot be run", stem(name))).caused_by(error)
        };
        let mut child = command.spawn().map_err(error)?;
        let (status, timed_out) = wait_within(&mut child, limit).map_err(error)?;
        Ok(Ended { code: status.code(), timed_out, said: output.map_or_else(String::new, end_of) })
    }
}

impl Ended {
    fn complaint(&self, limit: Duration) -> String {
        let how = match self.code {
            _ if self.timed_out => format!("its init script took longer than {}", humantime::format_duration(limit)),
            Some(0) => "its init script ended well, but `status` says otherwise".into(),
            Some(code) => format!("its init script ended with status {code}"),
            None => "its init script was killed".into(),
        };
        if self.said.is_empty() { how } else { format!("{how} ({})", self.said) }
    }
}

/// The last lines that were printed, on one line and safe to print.
fn end_of(output: OwnedFd) -> String {
    let mut file = std::fs::File::from(output);
    let mut text = Vec::new();
    let length = file.metadata().map_or(0, |m| m.len());
    let _ = file.seek(std::io::SeekFrom::Start(length.saturating_sub(SHOWN)));
    let _ = file.take(SHOWN).read_to_end(&mut text);
    let lines: Vec<&[u8]> =
        text.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect();
    printable(&lines.join(&b"; "[..]))
}

/// The init script of a service, if it is there.
fn script(name: &str) -> Option<PathBuf> {
    let name = stem(name);
    // A name with a slash would lead elsewhere.
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return None;
    }
    SCRIPTS.iter().map(|dir| PathBuf::from(dir).join(name)).find(|path| is_program(path))
}

fn stem(name: &str) -> &str {
    name.strip_suffix(".service").unwrap_or(name)
}

pub(super) fn look_at(name: &str) -> String {
    format!("service {0} status; look into the log of {0}", stem(name))
}
