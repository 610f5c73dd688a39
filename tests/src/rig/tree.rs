//! The systems that rigs lie on.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};

use super::Init;
use crate::binary;

/// The system that all rigs with this first process lie on; made if it is not there.
#[track_caller]
pub(super) fn of(init: Init) -> PathBuf {
    let target = binary::profile_dir().parent().expect("a profile lies in the build directory").join("rig");
    fs::create_dir_all(&target).expect("a directory for the rig");
    let tree = target.join(init.version());
    let lock = fs::File::create(target.join("lock")).expect("a lock for the rig");
    flock(&lock, FlockOperation::LockExclusive).expect("lock the rig");
    if tree.is_dir() {
        return tree;
    }
    let half = target.join("half");
    if half.exists() {
        fs::remove_dir_all(&half).expect("remove a half-made system");
    }
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=minbase", &format!("--include={}", init.packages()), "bookworm"]).arg(&half);
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("mmdebstrap: {e}; `cargo xtask setup` installs it"));
    assert!(output.status.success(), "mmdebstrap: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    fs::rename(&half, &tree).expect("name the system");
    tree
}
