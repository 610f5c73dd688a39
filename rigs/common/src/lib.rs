//! What the rigs stand on. A rig does to datastore, on purpose and thousands of times, what happens to a machine once in years: power
//! that fails between two writes, a program that is killed, a system call that fails, a user who swaps a directory for a link.
//!
//! - [`tracer`] stops a command at each of its system calls, and lets one fail, or be the last.
//! - [`effort`] says how much is to be done: a commit's share, or a release's.
//! - [`evidence`] writes down what was counted; `cargo xtask prove` makes `docs/proof.md` of it.
//!
//! The rigs themselves are crates beside this one, and each of their tests is one experiment.

pub mod effort;
pub mod evidence;
mod quiet;
pub mod tracer;

pub use effort::{Budget, Effort};
pub use evidence::Evidence;
pub use quiet::quietly;
