//! `nosys CALL[,CALL...] PROGRAM [ARGUMENT...]`: runs a program for which these system calls do not exist, as on an older
//! kernel: each answers ENOSYS (seccomp(2)). A call is named, or given by its number.

use std::collections::BTreeMap;
use std::error::Error;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// The calls that datastore has a fallback for. Those from number 424 on have one number on every architecture
/// (asm-generic/unistd.h), and the newest have no name in the libc crate yet.
const CALLS: &[(&str, i64)] = &[
    ("copy_file_range", libc::SYS_copy_file_range),
    ("fanotify_init", libc::SYS_fanotify_init),
    ("faccessat2", 439),
    ("fchmodat2", 452),
    ("fsconfig", 431),
    ("fsmount", 432),
    ("fsopen", 430),
    ("getrandom", libc::SYS_getrandom),
    ("listmount", 458),
    ("mount_setattr", 442),
    ("move_mount", 429),
    ("name_to_handle_at", libc::SYS_name_to_handle_at),
    ("open_tree", 428),
    ("open_tree_attr", 467),
    ("openat2", 437),
    ("pidfd_open", 434),
    ("renameat2", libc::SYS_renameat2),
    ("statmount", 457),
    ("statx", libc::SYS_statx),
    ("symlinkat", libc::SYS_symlinkat),
    ("syncfs", libc::SYS_syncfs),
];

#[allow(clippy::print_stderr, reason = "the helper's only way to say why it did not run the program")]
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [calls, program, rest @ ..] = args.as_slice() else {
        eprintln!("usage: nosys CALL[,CALL...] PROGRAM [ARGUMENT...]");
        return ExitCode::from(125);
    };
    match filter(calls).and_then(|filter| Ok(seccompiler::apply_filter(&filter)?)) {
        Ok(()) => {
            let error = Command::new(program).args(rest).exec();
            eprintln!("nosys: cannot run {program}: {error}");
        }
        Err(error) => eprintln!("nosys: {error}"),
    }
    ExitCode::from(125)
}

/// The filter that answers ENOSYS for these calls and lets all others through.
fn filter(calls: &str) -> Result<BpfProgram, Box<dyn Error>> {
    let mut rules = BTreeMap::new();
    for call in calls.split(',') {
        let number = match CALLS.iter().find(|(name, _)| *name == call) {
            Some((_, number)) => *number,
            None => call
                .parse()
                .map_err(|_| format!("unknown system call {call:?}; give its number, or add it to nosys.rs"))?,
        };
        rules.insert(number, Vec::new());
    }
    let errno = libc::ENOSYS.unsigned_abs();
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(errno),
        std::env::consts::ARCH.try_into()?,
    )?;
    Ok(filter.try_into()?)
}
