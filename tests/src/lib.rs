//! What the suites in `tests/tests/` stand on: a [`Sandbox`] with a mount namespace and a root of its own, in which the
//! real `datastore` command runs against the real kernel, and a [`Run`] that explains itself when it is not what the
//! test asked for.
//!
//! ```no_run
//! let sandbox = datastore_tests::Sandbox::new();
//! sandbox.configlet("httpd", "[mapping.\"/var/www/html\"]\ntarget = \"%{base}/html\"\n");
//! sandbox.datastore(&["init", "--yes"]).ok();
//! sandbox.datastore(&["apply", "--yes"]).ok();
//! assert!(sandbox.bound("/var/www/html").is_some());
//! ```

pub mod binary;
pub mod c_program;
pub mod command;
pub mod documents;
pub mod follower;
pub mod helpers;
pub mod holder;
pub mod hooks;
pub mod image;
pub mod machine;
pub mod manual;
pub mod mounts;
pub mod picture;
pub mod programs;
pub mod random;
pub mod rig;
pub mod rows;
pub mod rsync;
pub mod sandbox;
pub mod scenes;
pub mod server;
pub mod skeleton;
pub mod snapshot;
pub mod strace;
pub mod unprivileged;
pub mod web;

pub use command::Run;
pub use follower::Follower;
pub use holder::Holder;
pub use machine::Machine;
pub use mounts::Mount;
pub use rig::Rig;
pub use sandbox::Sandbox;
pub use snapshot::Snapshot;
pub use unprivileged::Unprivileged;

/// A path of the repository that these tests belong to.
#[must_use]
pub fn repository(path: &str) -> std::path::PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", path].iter().collect()
}
