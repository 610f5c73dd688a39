//! A command that is stopped at each of its system calls (ptrace(2)): to look, to let a call fail, or to end it there.
//!
//! The calls of the command's first thread come in the same order each time. Where others work for it (copies are made by several), they
//! are stopped too if that is wanted; in which order theirs come is then a matter of chance. Programs that it starts are left alone.
//! Counting begins when the program itself begins, after its execve(2). Made for x86-64, whose registers it writes.

mod shown;

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
pub use syscalls::Sysno;

pub use shown::{Arg, Shown};

/// How long a command may take that is not told otherwise.
const PATIENCE: Duration = Duration::from_secs(120);

/// One system call of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// How many came before it.
    pub index: usize,
    /// Which it is.
    pub number: Sysno,
    /// Its arguments.
    pub args: [u64; 6],
    /// Who makes it, while it is stopped: the number of a thread, which is that of the process for the first one.
    pub process: Pid,
    /// Whether it is the first thread.
    pub is_first: bool,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Go,
    /// It goes on with these arguments. (After the call: nothing more is done.)
    GoWith([u64; 6]),
    /// It does nothing and fails with this errno; after the call: what it did stands, and it fails nevertheless.
    Fail(i32),
    /// It does nothing and answers this; after the call: it answers this instead.
    Answer(i64),
    /// The command is killed here: before the call, or after it.
    Kill,
}

/// Who looks on.
pub trait Watch {
    /// The command is about to make a call.
    fn before(&mut self, call: &Call) -> Verdict;
    /// It was made; a negative result is an errno.
    fn after(&mut self, _call: &Call, _result: i64) -> Verdict {
        Verdict::Go
    }
    /// Whether the calls of the command's other threads are wanted too.
    fn wants_threads(&self) -> bool {
        false
    }
    /// Whether nothing more is wanted: the command then runs to its end without being stopped.
    fn has_seen_enough(&self) -> bool {
        false
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit code; `None` if it was killed.
    pub code: Option<i32>,
    /// What killed it: also its own abort(3).
    pub signal: Option<i32>,
    /// Whether it was killed because it took too long.
    pub hung: bool,
    /// How many calls it made while it was looked at.
    pub calls: usize,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

/// Runs a command to its end, with nothing to read.
///
/// # Errors
/// If it cannot be started, or the kernel does not let it be traced.
pub fn run(command: Command, watch: &mut dyn Watch) -> io::Result<Outcome> {
    run_with(command, b"", PATIENCE, watch)
}

/// The same with this as its standard input; it is killed if it takes longer than that.
///
/// # Errors
/// As [`run`].
pub fn run_with(mut command: Command, input: &[u8], patience: Duration, watch: &mut dyn Watch) -> io::Result<Outcome> {
    use std::io::{Seek as _, Write as _};
    // Files, not pipes: whoever is stopped must not be waited for.
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    if input.is_empty() {
        command.stdin(Stdio::null());
    } else {
        let mut file = tempfile::tempfile()?;
        file.write_all(input)?;
        file.rewind()?;
        command.stdin(file);
    }
    command.stdout(out.try_clone()?).stderr(err.try_clone()?);
    #[allow(unsafe_code, reason = "only a child itself can ask to be traced before it becomes the command")]
    // SAFETY: between fork and exec only ptrace(2) is called, which is a bare system call.
    unsafe {
        command.pre_exec(|| ptrace::traceme().map_err(io::Error::from));
    }
    let child = command.spawn()?;
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process number"));
    let limit = Limit::begin(pid, patience)?;
    let ended = follow(pid, watch);
    if ended.is_err() {
        let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
        let _ = waitpid(pid, Some(WaitPidFlag::__WALL));
    }
    let hung = limit.end();
    let (end, calls) = ended?;
    let (code, signal) = match end {
        End::Code(code) => (Some(code), None),
        End::Signal(signal) => (None, Some(signal as i32)),
    };
    Ok(Outcome { code, signal, hung, calls, stdout: text(&mut out)?, stderr: text(&mut err)? })
}

/// Kills a command that takes too long.
struct Limit {
    ended: mpsc::Sender<()>,
    hung: Arc<AtomicBool>,
    clock: std::thread::JoinHandle<()>,
}

impl Limit {
    fn begin(pid: Pid, patience: Duration) -> io::Result<Self> {
        let process = rustix::process::Pid::from_raw(pid.as_raw()).expect("a child has a number");
        // By descriptor: the number may be somebody else's when the time is over.
        let process: OwnedFd = rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty())?;
        let (ended, wait) = mpsc::channel();
        let hung = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&hung);
        let clock = std::thread::spawn(move || {
            if wait.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
                told.store(true, Ordering::SeqCst);
                let _ = rustix::process::pidfd_send_signal(&process, rustix::process::Signal::KILL);
            }
        });
        Ok(Self { ended, hung, clock })
    }

    /// Whether the command had to be killed.
    fn end(self) -> bool {
        drop(self.ended);
        self.clock.join().expect("the clock only waits");
        self.hung.load(Ordering::SeqCst)
    }
}

fn text(file: &mut std::fs::File) -> io::Result<String> {
    use std::io::{Read as _, Seek as _};
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// How it ended.
enum End {
    Code(i32),
    Signal(Signal),
}

/// Follows the command from its execve(2) to its end, and counts its calls.
fn follow(pid: Pid, watch: &mut dyn Watch) -> io::Result<(End, usize)> {
    // The first stop is the SIGTRAP after execve(2).
    match waitpid(pid, Some(WaitPidFlag::__WALL))? {
        WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
        WaitStatus::Exited(_, code) => return Ok((End::Code(code), 0)),
        other => return Err(io::Error::other(format!("the command began with {other:?}"))),
    }
    // One that is begun by another program executes a second time, which would else be a SIGTRAP.
    let mut options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL | Options::PTRACE_O_TRACEEXEC;
    let mut whom = pid;
    if watch.wants_threads() {
        options |= Options::PTRACE_O_TRACECLONE;
        whom = Pid::from_raw(-1);
    }
    ptrace::setoptions(pid, options)?;
    let mut index = 0;
    // What each thread is in the middle of; a new one's first stop only says that it is there.
    let mut threads: HashMap<Pid, Option<Entered>> = HashMap::from([(pid, None)]);
    let mut on = Some((pid, None));
    loop {
        if let Some((thread, signal)) = on.take() {
            let is_inside = threads.get(&thread).is_some_and(Option::is_some);
            let resume = if !is_inside && watch.has_seen_enough() { ptrace::cont } else { ptrace::syscall };
            match resume(thread, signal) {
                // Killed from outside between two stops.
                Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        // Other threads of this process have children of their own.
        match waitpid(whom, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD))? {
            WaitStatus::Exited(thread, code) if thread == pid => return Ok((End::Code(code), index)),
            WaitStatus::Signaled(thread, by, _) if thread == pid => return Ok((End::Signal(by), index)),
            WaitStatus::PtraceSyscall(thread) => {
                let known = threads.entry(thread).or_default();
                let verdict = match known.take() {
                    None => {
                        let (verdict, entered) = enter((thread, thread == pid), index, watch)?;
                        *known = entered;
                        verdict
                    }
                    Some(entered) => {
                        index += 1;
                        leave(thread, entered, watch)?
                    }
                };
                match verdict {
                    // It is not resumed: the signal does that.
                    Verdict::Kill => nix::sys::signal::kill(pid, Signal::SIGKILL)?,
                    _ => on = Some((thread, None)),
                }
            }
            WaitStatus::Stopped(thread, Signal::SIGSTOP) if !threads.contains_key(&thread) => {
                threads.insert(thread, None);
                on = Some((thread, None));
            }
            WaitStatus::Stopped(thread, signal) => on = Some((thread, Some(signal))),
            WaitStatus::PtraceEvent(thread, ..) => on = Some((thread, None)),
            _ => {}
        }
    }
}

/// A call that has begun, and what it is to answer if it was kept from doing anything.
#[derive(Clone, Copy)]
struct Entered {
    call: Call,
    instead: Option<i64>,
}

fn enter((pid, is_first): (Pid, bool), index: usize, watch: &mut dyn Watch) -> io::Result<(Verdict, Option<Entered>)> {
    let Some(mut registers) = registers(pid)? else { return Ok((Verdict::Go, None)) };
    let Some(number) = usize::try_from(registers.orig_rax).ok().and_then(Sysno::new) else {
        return Err(io::Error::other(format!("no system call has the number {}", registers.orig_rax)));
    };
    let args = [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9];
    let call = Call { index, number, args, process: pid, is_first };
    let verdict = watch.before(&call);
    let instead = match verdict {
        Verdict::Go | Verdict::GoWith(_) => None,
        Verdict::Fail(errno) => Some(-i64::from(errno)),
        Verdict::Answer(value) => Some(value),
        // It must not do anything while the signal is on its way.
        Verdict::Kill => Some(0),
    };
    if instead.is_some() {
        registers.orig_rax = u64::MAX;
        ptrace::setregs(pid, registers)?;
    } else if let Verdict::GoWith([rdi, rsi, rdx, r10, r8, r9]) = verdict {
        registers = libc::user_regs_struct { rdi, rsi, rdx, r10, r8, r9, ..registers };
        ptrace::setregs(pid, registers)?;
    }
    Ok((verdict, Some(Entered { call, instead })))
}

/// The registers of a thread that is stopped; none if it has been killed meanwhile.
fn registers(pid: Pid) -> io::Result<Option<libc::user_regs_struct>> {
    match ptrace::getregs(pid) {
        Ok(registers) => Ok(Some(registers)),
        Err(nix::errno::Errno::ESRCH) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn leave(pid: Pid, entered: Entered, watch: &mut dyn Watch) -> io::Result<Verdict> {
    let Some(mut registers) = registers(pid)? else { return Ok(Verdict::Go) };
    let (answer, verdict) = match entered.instead {
        Some(value) => (Some(value), Verdict::Go),
        None => {
            let verdict = watch.after(&entered.call, registers.rax.cast_signed());
            let answer = match verdict {
                Verdict::Fail(errno) => Some(-i64::from(errno)),
                Verdict::Answer(value) => Some(value),
                Verdict::Go | Verdict::GoWith(_) | Verdict::Kill => None,
            };
            (answer, verdict)
        }
    };
    if let Some(value) = answer {
        registers.rax = value.cast_unsigned();
        ptrace::setregs(pid, registers)?;
    }
    Ok(verdict)
}

#[cfg(test)]
mod tests;
