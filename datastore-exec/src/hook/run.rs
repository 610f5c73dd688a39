//! Running one hook: what it inherits, how long it may take, and what is kept of its output.
//!
//! It is run through the descriptor that was checked, as `/proc/self/fd/N`. A binary loses that descriptor when it begins. A script
//! keeps it, because the kernel gives `/proc/self/fd/N` to the interpreter as the name of the script: so `$0` is that name, and
//! the one descriptor beyond 0, 1 and 2 is the script itself, open for reading.

use std::collections::VecDeque;
use std::io::{self, PipeReader, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, RawFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use datastore_core::path::printable;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use super::program::Program;
use crate::sys::fd;

/// How long a hook that was asked to end may take for it.
const GRACE: Duration = Duration::from_secs(5);
/// The longest pause between two looks at a hook that says nothing.
const PAUSE: Duration = Duration::from_millis(50);
/// How long its killed children may take to be gone.
const DYING: Duration = Duration::from_secs(1);
/// How much of the beginning of its output is kept.
const HEAD: usize = 48 << 10;
/// How much of the end.
const TAIL: usize = 16 << 10;
/// The most that is read between two looks at the clock.
const GULP: usize = 256;

/// What to run.
pub(crate) struct Order<'a> {
    pub(crate) program: &'a Program,
    /// Its path, for `argv[0]`.
    pub(crate) name: &'a str,
    /// The directory that is `/` for it; `None` for the machine's own.
    pub(crate) root: Option<BorrowedFd<'a>>,
    pub(crate) environment: &'a [(&'static str, String)],
    pub(crate) limit: Duration,
}

/// How a hook ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// By itself.
    Exit(ExitStatus),
    /// It was stopped because its time was over.
    Overdue,
    /// It could not even be killed: it waits in the kernel, for a dead disk or server perhaps.
    Stuck,
}

/// What a hook wrote, as far as it is kept.
#[derive(Debug, Default)]
pub(crate) struct Output {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: u64,
}

impl Output {
    fn add(&mut self, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(bytes.len().min(HEAD - self.head.len()));
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..over);
        self.dropped += over as u64;
    }

    /// Its lines, each safe to print.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = |bytes: &[u8]| -> Vec<String> {
            let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            bytes.split(|&b| b == b'\n').map(printable).collect()
        };
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        if self.dropped == 0 {
            let whole = [&self.head[..], &tail].concat();
            return if whole.is_empty() { Vec::new() } else { text(&whole) };
        }
        let mut lines = text(&self.head);
        lines.push(format!("[{} bytes are left out here]", self.dropped));
        lines.extend(text(&tail));
        lines
    }

    /// The last line that says something.
    pub(crate) fn last_line(&self) -> Option<String> {
        const SHOWN: usize = 200;
        let line = self.lines().into_iter().rfind(|line| !line.trim().is_empty())?;
        let line = line.trim();
        Some(line.char_indices().nth(SHOWN).map_or_else(|| line.to_owned(), |(cut, _)| format!("{} ...", &line[..cut])))
    }

    /// Takes what is there to read. Says whether more may come.
    fn drain(&mut self, pipe: &mut PipeReader) -> io::Result<bool> {
        let mut buffer = vec![0; 64 << 10];
        for _ in 0..GULP {
            match pipe.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(n) => self.add(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// Runs a hook to its end. One that ends well may leave a process behind, which goes on with nobody reading what it writes; one that
/// does not is killed with its whole process group.
///
/// # Errors
/// It could not be started, or not be waited for.
pub(crate) fn run(order: &Order<'_>) -> io::Result<(Ended, Output)> {
    let (mut reader, writer) = io::pipe()?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    let mut child = {
        let mut command = Command::new(fd::proc_path(order.program.fd()));
        command.arg0(order.name).current_dir("/").env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
        command.envs(order.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        crate::site::program::die_with_us(&mut command);
        alone(&mut command, order)?;
        command.spawn()?
    };
    let mut output = Output::default();
    let waited = wait(&mut child, &mut reader, &mut output, order.limit).inspect_err(|_| {
        // Nobody would look after it any more.
        let _ = child.kill().and_then(|()| child.wait());
    });
    Ok((waited?, output))
}

/// A session of its own, no descriptor but 0, 1 and 2 (and a script's own), umask 022, and the root that it is to see.
#[allow(unsafe_code, reason = "these can only be set by the child itself, between fork and exec")]
fn alone(command: &mut Command, order: &Order<'_>) -> io::Result<()> {
    let highest = highest_descriptor()?;
    // Borrowed numbers: the descriptors stay open in this process until the child has begun.
    let script = order.program.is_script.then(|| order.program.fd().as_raw_fd());
    let root = order.root.map(|root| root.as_raw_fd());
    let prepare = move || {
        rustix::process::setsid()?;
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        close_others_on_exec(highest);
        if let Some(script) = script {
            // SAFETY: the descriptor is open in the parent, which waits in `spawn`, and so in this copy of it.
            rustix::io::fcntl_setfd(unsafe { BorrowedFd::borrow_raw(script) }, rustix::io::FdFlags::empty())?;
        }
        if let Some(root) = root {
            // SAFETY: as above.
            rustix::process::fchdir(unsafe { BorrowedFd::borrow_raw(root) })?;
            rustix::process::chroot(c".")?;
            rustix::process::chdir(c"/")?;
        }
        Ok(())
    };
    // SAFETY: `prepare` makes system calls only and allocates nothing, so it may run after fork(2).
    unsafe { command.pre_exec(prepare) };
    Ok(())
}

/// Marks every descriptor beyond 2 to be closed on exec: our own are, but not those that we inherited.
#[allow(unsafe_code, reason = "close_range(2) has no safe wrapper")]
fn close_others_on_exec(highest: RawFd) {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;
    // SAFETY: the call takes three numbers and closes nothing now.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) };
    if done == 0 {
        return;
    }
    // Before Linux 5.11 one by one. A number that is not open fails, and that is well.
    for number in 3..=highest {
        // SAFETY: the call changes a flag of a descriptor in this process, which is about to become another program.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// The highest descriptor that is open now. What other threads open later is closed on exec by itself.
fn highest_descriptor() -> io::Result<RawFd> {
    let mut highest = 2;
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        highest = highest.max(name.to_str().and_then(|n| n.parse().ok()).unwrap_or(0));
    }
    Ok(highest)
}

/// Waits for the end, reads what is written meanwhile, and stops what takes too long.
fn wait(child: &mut Child, reader: &mut PipeReader, output: &mut Output, limit: Duration) -> io::Result<Ended> {
    let pid = Pid::from_child(child);
    let mut until = Instant::now() + limit;
    let mut asked: Option<Signal> = None;
    let (mut open, mut pause) = (true, Duration::from_millis(1));
    loop {
        if open {
            open = output.drain(reader)?;
        }
        if let Some(well) = ended(pid)? {
            // A process that it left behind may hold the pipe: what is there by now is all that is read.
            output.drain(reader)?;
            return end(child, pid, asked.is_none() && well, asked.is_some());
        }
        if Instant::now() >= until {
            let next = match asked {
                None => Signal::TERM,
                Some(Signal::TERM) => Signal::KILL,
                Some(_) => return Ok(Ended::Stuck),
            };
            // Not reaped yet, so that the number is still its own.
            let _ = rustix::process::kill_process_group(pid, next);
            asked = Some(next);
            until = Instant::now() + GRACE;
            pause = Duration::from_millis(1);
        }
        let rest = pause.min(until.saturating_duration_since(Instant::now()));
        pause = (pause * 2).min(PAUSE);
        if open && is_readable(reader, rest)? {
            pause = Duration::from_millis(1);
        } else if !open {
            std::thread::sleep(rest);
        }
    }
}

/// Whether it has ended, and well. It is not reaped.
fn ended(pid: Pid) -> io::Result<Option<bool>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let found = rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(pid), options))?;
    Ok(found.map(|status| status.exit_status() == Some(0)))
}

fn is_readable(reader: &PipeReader, rest: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(rest).map_err(io::Error::other)?;
    let mut polled = [PollFd::from_borrowed_fd(reader.as_fd(), PollFlags::IN)];
    match rustix::event::poll(&mut polled, Some(&timeout)) {
        Ok(n) => Ok(n > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Reaps it. If it failed, whatever it left in its group is killed first: it would hold the mount that is to come off again.
fn end(child: &mut Child, pid: Pid, well: bool, overdue: bool) -> io::Result<Ended> {
    if !well {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
    let status = child.wait()?;
    if !well {
        let until = Instant::now() + DYING;
        while rustix::process::test_kill_process_group(pid).is_ok() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(if overdue { Ended::Overdue } else { Ended::Exit(status) })
}

/// How a hook ended, as the end of a sentence; `None` if it ended well.
pub(crate) fn complaint(ended: &Ended, limit: Duration) -> Option<String> {
    let seconds = limit.as_secs();
    match ended {
        Ended::Exit(status) if status.success() => None,
        Ended::Exit(status) => Some(match (status.code(), status.signal()) {
            (Some(code), _) => format!("ended with exit code {code}"),
            (None, Some(signal)) => format!("was killed by signal {signal}"),
            (None, None) => format!("ended with {status}"),
        }),
        Ended::Overdue => Some(format!("did not end within {seconds} s and was stopped")),
        Ended::Stuck => Some(format!("did not end within {seconds} s and cannot be killed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_output_is_kept_whole_and_much_of_it_at_both_ends() {
        let mut output = Output::default();
        assert_eq!((output.lines(), output.last_line()), (vec![], None));
        output.add(b"one\n\x1b[31mtwo\r\n");
        output.add(b"\n \n");
        assert_eq!(output.lines(), ["one", "\\x1b[31mtwo\\x0d", "", " "]);
        assert_eq!(output.last_line().unwrap(), "\\x1b[31mtwo\\x0d");
        for _ in 0..100 {
            output.add(&[b'x'; 10_000]);
            output.add(b"\n");
        }
        output.add(b"the end");
        let lines = output.lines();
        let kept: usize = lines.iter().map(String::len).sum();
        assert!(kept < HEAD + TAIL + 100, "{kept}");
        assert!(lines.iter().any(|l| l.ends_with("bytes are left out here]")));
        assert_eq!((lines[0].as_str(), output.last_line().unwrap().as_str()), ("one", "the end"));
        output.add(&[b'y'; 1000]);
        assert!(output.last_line().unwrap().len() < 210);
    }
}
