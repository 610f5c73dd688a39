//! How a file system is made to show what a program forgot to sync.

use std::os::unix::fs::FileExt as _;

use datastore_rigs::tracer::{self, Call, Outcome, Verdict, Watch};
use syscalls::Sysno;

use crate::disks::Mark;
use crate::machine::Machine;

/// What is done after each system call that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stepping {
    /// Nothing: what was not synced is most likely not there.
    Lazy,
    /// Another file is synced, which commits the metadata of all files, but not their contents: names without contents.
    Meta,
    /// Everything is synced: each call may be the last that lasted.
    Eager,
}

impl Stepping {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Lazy, Self::Meta, Self::Eager];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lazy => "lazy",
            Self::Meta => "meta",
            Self::Eager => "eager",
        }
    }
}

/// The calls that change what is on a disk.
const CHANGING: &[Sysno] = &[
    Sysno::mkdirat,
    Sysno::mknodat,
    Sysno::unlinkat,
    Sysno::renameat,
    Sysno::renameat2,
    Sysno::linkat,
    Sysno::symlinkat,
    Sysno::fchownat,
    Sysno::fchown,
    Sysno::fchmod,
    Sysno::fchmodat,
    Sysno::fchmodat2,
    Sysno::setxattr,
    Sysno::lsetxattr,
    Sysno::fsetxattr,
    Sysno::setxattrat,
    Sysno::removexattr,
    Sysno::lremovexattr,
    Sysno::fremovexattr,
    Sysno::utimensat,
    Sysno::write,
    Sysno::pwrite64,
    Sysno::copy_file_range,
    Sysno::fallocate,
    Sysno::ftruncate,
    Sysno::ioctl,
    Sysno::fsync,
    Sysno::fdatasync,
    Sysno::syncfs,
];

struct Stepper<'a> {
    stepping: Stepping,
    machine: &'a Machine,
}

impl Watch for Stepper<'_> {
    fn before(&mut self, _: &Call) -> Verdict {
        Verdict::Go
    }

    fn after(&mut self, call: &Call, result: i64) -> Verdict {
        let makes = call.number == Sysno::openat && call.args[2] & u64::from(libc::O_CREAT.cast_unsigned()) != 0;
        if result < 0 || !(makes || CHANGING.contains(&call.number)) {
            return Verdict::Go;
        }
        self.machine.disks.mark(Mark::Call(format!("call {}, {}", call.index, call.number)));
        if self.stepping == Stepping::Lazy {
            return Verdict::Go;
        }
        for bystander in self.machine.bystanders() {
            // A disk that fails is some story's point.
            let _ = match self.stepping {
                Stepping::Lazy => Ok(()),
                Stepping::Meta => bystander.write_all_at(b"x", 0).and_then(|()| bystander.sync_all()),
                Stepping::Eager => rustix::fs::syncfs(&bystander).map_err(Into::into),
            };
        }
        Verdict::Go
    }
}

/// Runs `datastore` on a machine, with a mark in the record for each change, and one at its end if it went well.
///
/// # Panics
/// If it cannot be traced.
#[must_use]
pub fn run(machine: &Machine, stepping: Stepping, args: &[&str]) -> Outcome {
    let mut stepper = Stepper { stepping, machine };
    let command = machine.sandbox.datastore_command(args);
    let outcome = tracer::run(command, &mut stepper).unwrap_or_else(|e| panic!("trace datastore: {e}"));
    if outcome.code == Some(0) {
        machine.disks.mark(Mark::Done);
    }
    outcome
}
