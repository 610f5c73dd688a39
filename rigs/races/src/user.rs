//! A user without privilege: threads of this process, and programs.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::fs::{Gid, Uid};

/// Its number, and that of its group.
pub const USER: u32 = 1000;

/// Makes the calling thread one of the user's, for good: it has the user's number and group, and no capability.
///
/// # Panics
/// If the kernel refuses.
pub fn become_user() {
    rustix::thread::set_thread_groups(&[]).expect("leave all groups");
    rustix::thread::set_thread_gid(Gid::from_raw(USER)).expect("take the user's group");
    rustix::thread::set_thread_uid(Uid::from_raw(USER)).expect("become the user");
}

/// The same for a program.
pub fn of_user(command: &mut Command) -> &mut Command {
    command.gid(USER).uid(USER)
}

/// Gives a directory and all that is in it to the user. No link is followed.
///
/// # Panics
/// If that fails.
pub fn give(path: &std::path::Path) {
    std::os::unix::fs::lchown(path, Some(USER), Some(USER)).unwrap_or_else(|e| panic!("chown {}: {e}", path.display()));
    if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
        for entry in std::fs::read_dir(path).unwrap_or_else(|e| panic!("read {}: {e}", path.display())) {
            give(&entry.expect("an entry of a directory").path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_of_the_user_has_no_privilege() {
        let denied = std::thread::spawn(|| {
            become_user();
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let none = |line: &str| line.starts_with("CapEff:") && line.ends_with("0000000000000000");
            status.lines().any(none) && std::fs::read("/etc/shadow").is_err()
        });
        assert!(denied.join().unwrap());
        assert!(rustix::process::geteuid().is_root(), "the others stay what they are");
    }
}
