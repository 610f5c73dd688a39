//! Running a hook.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use datastore_core::hook::HookRun;
use datastore_core::observed::HookFacts;
use datastore_core::state::Reason;
use datastore_core::{AbsPath, Error, ErrorKind};
use rustix::fs::OFlags;

use super::{Failure, Hands};
use crate::hook::run::{Order, complaint};
use crate::hook::{log, program, run};
use crate::root::Root;

/// What statfs(2) says of a procfs (linux/magic.h).
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// Runs a hook for those of its mappings that have not failed, and obeys its exit code.
pub(super) fn act(hands: &Hands<'_>, hook: &HookRun, without: &HashSet<u32>) -> Result<(), Failure> {
    let Some(environment) = hook.environment(without) else { return Ok(()) };
    let program = program::open(hands.root, &hook.program).map_err(|found| unfit(hook, &found))?;
    let root = if hands.root.is_machine() { None } else { Some(other_root(hands.root, hook)?) };
    let name = hook.program.to_string();
    let limit = Duration::from_secs(hook.seconds.into());
    write_down(hands, &[format!("{hook}: begins")]);
    let begun = Instant::now();
    let order = Order {
        program: &program,
        name: &name,
        root: root.as_ref().map(std::os::fd::AsFd::as_fd),
        environment: &environment,
        limit,
    };
    let ran = run::run(&order);
    // It may have mounted, renamed or removed what is kept open.
    hands.root.forget();
    let (ended, output) = ran.map_err(|error| {
        write_down(hands, &[format!("{hook}: cannot be run: {error}")]);
        not_run(hook, program.is_script, error)
    })?;
    let complaint = complaint(&ended, limit);
    let how = complaint.clone().unwrap_or_else(|| "ended well".into());
    let mut lines: Vec<String> = output.lines().into_iter().map(|line| format!("  {line}")).collect();
    lines.push(format!("{hook}: {how} after {:.1} s", begun.elapsed().as_secs_f64()));
    write_down(hands, &lines);
    let Some(complaint) = complaint else { return Ok(()) };
    let said = output.last_line().map(|line| format!(": {line}")).unwrap_or_default();
    let hint = format!("read {}, mend the cause, then: datastore start {}", log::path(hands.tag), hook.app);
    Err(failed(Error::new(ErrorKind::System, format!("{hook} {complaint}{said}")).hint(hint)))
}

fn failed(error: Error) -> Failure {
    Failure { reason: Reason::HookFailed, error }
}

/// The root that the hook sees as `/`, with procfs in it.
fn other_root(root: &Root, hook: &HookRun) -> Result<std::os::fd::OwnedFd, Failure> {
    let proc = AbsPath::literal("/proc");
    let is_proc = root
        .open_file(&proc, OFlags::RDONLY | OFlags::DIRECTORY, 0)
        .is_ok_and(|dir| rustix::fs::fstatfs(dir).is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(PROC_SUPER_MAGIC)));
    if !is_proc {
        let outside = root.path();
        let message = format!(
            "{hook} cannot be run: below {outside} it sees that directory as `/`, and there is no procfs at /proc"
        );
        let place = format!("{}/proc", outside.to_string().trim_end_matches('/'));
        let hint = format!("mkdir -p {place} && mount -t proc proc {place}, then run the command again");
        return Err(failed(Error::new(ErrorKind::Refused, message).hint(hint)));
    }
    Ok(root.open_dir(&AbsPath::root())?)
}

/// It is not what it was when the plan was made.
fn unfit(hook: &HookRun, found: &HookFacts) -> Failure {
    let (reason, why) = match found {
        HookFacts::Absent(missing) => (Reason::HookFailed, format!("{missing} does not exist any more")),
        HookFacts::Unfit(why) => (Reason::HookFailed, why.clone()),
        HookFacts::Unsafe(why) => (Reason::ConfigUnsafe, format!("somebody other than root could change it: {why}")),
        HookFacts::Hidden | HookFacts::Fit => (Reason::HookFailed, "it may not be looked at".into()),
    };
    Failure::changed(reason, format!("{hook} was not run: {why}"))
}

fn not_run(hook: &HookRun, is_script: bool, error: io::Error) -> Failure {
    let hint = match error.raw_os_error() {
        // ENOENT: the program itself is open, so it is what must run it that is not there.
        Some(2) if is_script => "install the interpreter that its first line names",
        Some(2) => "install the loader and the libraries that it needs",
        // ENOEXEC
        Some(8) => "a script begins with #! and the path of its interpreter",
        // EACCES
        Some(13) => "look whether its file system is mounted noexec, and whether its interpreter may be executed",
        _ => "run it by hand and see what it says",
    };
    let errno = error.raw_os_error().unwrap_or(0);
    failed(Error::new(ErrorKind::System, format!("{hook} cannot be run")).with_errno(errno).hint(hint).caused_by(error))
}

/// The log of an operation stops nothing: if it cannot be written, that is told.
fn write_down(hands: &Hands<'_>, lines: &[String]) {
    if let Err(error) = log::add(hands.root, hands.tag, lines) {
        let detail =
            format!("the output of hooks could not be written down in {}: {}", log::path(hands.tag), error.chain());
        hands.remark(detail, "");
    }
}
