//! Faults that a command may pass over, because nothing of what it promises hangs on the call. Each was looked at.
//!
//! The end picture of such a run is the same as that of an undisturbed one; that is tried each time. An entry that no run of a release
//! has used any more is a failure too: the list says what is so, not what once was.

use std::path::Path;

use crate::fault::{Fault, Met, Phase};
use crate::kind::Kind;

/// Some faults.
#[derive(Debug)]
pub struct Allowed {
    /// The calls; none means any.
    pub calls: &'static [&'static str],
    /// Their files, as seen from the root, `*` for any text; files of the machine itself begin with `machine:`.
    pub files: &'static [&'static str],
    /// How far the command is; none means that it does not matter.
    pub phases: &'static [Phase],
    /// The faults; none means any errno.
    pub faults: &'static [Fault],
    /// Whether only calls count that look and change nothing.
    pub looks: bool,
    /// Why it does no harm.
    pub why: &'static str,
}

/// All of them.
pub const ALLOWED: &[Allowed] = &[
    Allowed {
        calls: &[],
        files: &["*"],
        phases: &[],
        faults: &[Fault::Fails(libc::ENOSYS)],
        looks: false,
        why: "an older kernel does not have the call, and another way is taken",
    },
    Allowed {
        calls: &[],
        files: &["*"],
        phases: &[],
        faults: &[Fault::Fails(libc::EINTR)],
        looks: false,
        why: "a signal came, and the call was made again; a sync is not among them",
    },
    Allowed {
        calls: &[],
        files: &["*"],
        phases: &[],
        faults: &[Fault::DoesHalf],
        looks: false,
        why: "the kernel may do less than it was asked; the rest was asked for once more",
    },
    Allowed {
        calls: &[],
        files: &["/run", "/run/datastore", "/run/datastore/*"],
        phases: &[],
        faults: &[],
        looks: false,
        why: "what is for onlookers lasts until the next boot at most, and no operation fails for want of it",
    },
    Allowed {
        calls: &[],
        files: &["*"],
        phases: &[Phase::Tidies],
        faults: &[],
        looks: false,
        why: "the end of the journal is on the disk: copies for the next machine, the log of the volume, notes and alarms are made after it, \
              and what is missing is made by the next run",
    },
    Allowed {
        calls: &[],
        files: &["*"],
        phases: &[Phase::Looks, Phase::Works],
        faults: &[],
        looks: true,
        why: "a look changes nothing: where the same came of the run without it, it was not needed, or another way was found",
    },
    Allowed {
        calls: &["mkdirat"],
        files: &["/run", "/var/lib", "/var/lib/datastore", "/var/lib/datastore/*", "*/.datastore", "/etc/datastore.d"],
        phases: &[],
        faults: &[],
        looks: false,
        why: "the directory is there already; had it not been, what is put into it would have failed",
    },
    Allowed {
        calls: &["open_tree", "mount_setattr"],
        files: &["*"],
        phases: &[Phase::Looks],
        faults: &[],
        looks: false,
        why: "a tree that is looked at under its binds, in a clone that nobody sees; what could not be seen is told by `status`",
    },
    Allowed {
        calls: &["clone3"],
        files: &["*"],
        phases: &[],
        faults: &[],
        looks: false,
        why: "a thread that helps: the work is done without it",
    },
    Allowed {
        calls: &[],
        files: &["*/.datastore-try", "*/.datastore-try-2", "* (deleted)"],
        phases: &[],
        faults: &[],
        looks: false,
        why: "what a file system can hold is tried on files that nobody needs; what it seems not to hold is refused where data has it",
    },
    Allowed {
        calls: &["utimensat"],
        files: &["/var/lib/datastore/journal"],
        phases: &[],
        faults: &[],
        looks: false,
        why: "it only wakes whoever watches the directory, who looks again after some seconds in any case",
    },
    Allowed {
        calls: &[],
        files: &["/var/lib/datastore/receipts", "/var/lib/datastore/receipts/*"],
        phases: &[Phase::Works],
        faults: &[],
        looks: false,
        why: "how long the data could not be used is noted once all is done; that it could not be is told as a remark",
    },
    Allowed {
        calls: &["flock"],
        files: &["/var/lib/datastore/journal/*", "/var/lib/datastore/done/*"],
        phases: &[Phase::Looks],
        faults: &[],
        looks: false,
        why: "whether a journal is being written is asked by its lock; who cannot ask takes it for one that is",
    },
    Allowed {
        calls: &["mkdirat"],
        files: &["/var", "/etc", "/store", "/store/*"],
        phases: &[Phase::Works],
        faults: &[],
        looks: false,
        why: "the directory is there already",
    },
    Allowed {
        calls: &["write", "fdatasync"],
        files: &["/var/lib/datastore/journal/*.journal"],
        phases: &[Phase::Works],
        faults: &[],
        looks: false,
        why: "a record of what was done or failed: recovery looks at the machine, not at this line",
    },
    Allowed {
        calls: &[],
        files: &["/var/lib/datastore/hooks", "/var/lib/datastore/hooks/*"],
        phases: &[Phase::Works, Phase::Tidies],
        faults: &[],
        looks: false,
        why: "what hooks say is written down for whoever asks; that it could not be is told, and fails nothing",
    },
    Allowed {
        calls: &["unlinkat"],
        files: &["*/.going-*"],
        phases: &[Phase::Works],
        faults: &[Fault::Fails(libc::EPERM)],
        looks: false,
        why: "a file that may not be removed is immutable; the flag is taken off, and it is removed then",
    },
];

/// Which entry allows that a fault is passed over.
#[must_use]
pub fn entry(hit: &Met, fault: Fault, root: &Path) -> Option<usize> {
    let files: Vec<String> = hit.call.paths().iter().map(|path| seen(path, root)).collect();
    let call = hit.call.number.to_string();
    ALLOWED.iter().position(|allowed| {
        let is_fault = if allowed.faults.is_empty() {
            let errno = match fault {
                Fault::Fails(errno) | Fault::FailsFromHere(errno) | Fault::FailsLate(errno) => Some(errno),
                _ => None,
            };
            errno.is_some_and(|errno| errno != libc::ENOSYS)
        } else {
            // Nobody may make a sync again and believe the second answer.
            let is_retried = hit.kind == Kind::Syncs && fault == Fault::Fails(libc::EINTR);
            allowed.faults.contains(&fault) && !is_retried
        };
        let is_call = allowed.calls.is_empty() || allowed.calls.contains(&call.as_str());
        let matches_one = |file: &String| allowed.files.iter().any(|pattern| is_like(file, pattern));
        let is_file = allowed.files.contains(&"*") || (!files.is_empty() && files.iter().all(matches_one));
        let is_kind = !allowed.looks || hit.kind == Kind::Reads;
        let is_phase = allowed.phases.is_empty() || allowed.phases.contains(&hit.phase);
        is_fault && is_call && is_file && is_phase && is_kind
    })
}

/// A path as seen from the root; those of the machine with a mark.
fn seen(path: &Path, root: &Path) -> String {
    match path.strip_prefix(root) {
        Ok(below) => format!("/{}", below.display()),
        Err(_) => format!("machine:{}", path.display()),
    }
}

/// Whether a text is like a pattern in which `*` stands for any text.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return text == pattern };
    let Some(text) = text.strip_prefix(head) else { return false };
    if !rest.contains('*') {
        return text.ends_with(rest);
    }
    (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| is_like(&text[at..], rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (text, pattern, is) in [
            ("/etc/fstab", "/etc/fstab", true),
            ("/etc/fstab2", "/etc/fstab", false),
            ("/run/datastore/ops/x.json", "/run/datastore/*", true),
            ("/store/data0/log/operations.log", "/store/*/log/operations.log", true),
            ("/store/data0/log/other.log", "/store/*/log/operations.log", false),
            ("/a/.datastore/etc/b", "*/.datastore/etc*", true),
        ] {
            assert_eq!(is_like(text, pattern), is, "{text} {pattern}");
        }
    }
}
