//! Copies of data that lie: what says that it was written and was not, or was written otherwise.

use datastore_rigs::quietly;
use datastore_rigs::tracer::{Call, Shown, Sysno};

use crate::fault::{self, Fault};
use crate::kind::Kind;
use crate::trial::{Trial, sane, short};

/// Calls that make a copy of data: its contents, and what its files are.
#[must_use]
pub fn counts(call: &Call, kind: Kind) -> bool {
    let makes = matches!(
        call.number,
        Sysno::write
            | Sysno::pwrite64
            | Sysno::copy_file_range
            | Sysno::sendfile
            | Sysno::mkdirat
            | Sysno::linkat
            | Sysno::symlinkat
            | Sysno::fchown
            | Sysno::fchownat
            | Sysno::fchmod
            | Sysno::fchmodat
            | Sysno::utimensat
            | Sysno::fsetxattr
            | Sysno::setxattrat
            | Sysno::ftruncate
    );
    makes && kind == Kind::Changes && Shown::of(call).paths().iter().all(|path| is_data(&path.to_string_lossy()))
}

/// Whether something belongs to a copy that is being made: in it, for owner, mode and identity of its top are those of a store. What
/// is tried there beforehand is none of it.
fn is_data(path: &str) -> bool {
    let inside = path.split_once("/.datastore/incoming/").and_then(|(_, rest)| rest.split_once('/'));
    inside.is_some_and(|(_, name)| !name.starts_with(".datastore-try") && !name.ends_with("(deleted)"))
}

/// Puts a lie into a copy: either it is found out and everything stays where it was, or nothing of it can be seen in the end. Whether
/// it was found out.
///
/// # Errors
/// What does not hold.
pub fn lied(trial: &Trial, at: usize, fault: Fault) -> Result<bool, String> {
    let mut when = format!("{}: {fault} call {at}", trial.scene.name);
    quietly(|| {
        trial.perform(|sandbox| {
            let ended = fault::put(sandbox, trial.scene.command, counts, at, fault);
            let Some(hit) = ended.hit else { return false };
            when = format!("{}: {fault} {}", trial.scene.name, short(&hit.call.to_string(), sandbox.root()));
            sane(&ended.outcome);
            if ended.outcome.code == Some(0) {
                trial.is_as_wanted(sandbox, "success was told");
                return false;
            }
            trial.nothing_is_torn(sandbox);
            trial.converges(sandbox);
            true
        })
    })
    .map_err(|why| format!("{when}: {why}"))
}
