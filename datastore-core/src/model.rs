//! The machine in memory: the reference of what we believe that the kernel and `datastore-exec` do (feature `model`, for tests).
//!
//! It holds directories and files on several file systems, a mount table, and the operations that stopped half-way. Core's
//! own rules are not written a second time: the mount table goes through [`mountinfo`](mod@crate::mountinfo) as text, fstab and the
//! manifests are files that the real readers read, plans are those of the real planners and passed the real checker. What
//! is written here is what the kernel does ([`tree`], [`mounts`]), and what exec does around core, with the same looks in
//! the same order ([`observe`](mod@observe), [`steps`], [`run`], [`operation`]).
//!
//! So planners, checker, failure policy and recovery are tried together over thousands of machines, with a fault or the
//! end of the machine at every change; and `tests/tests/conformance.rs` holds the model against the real kernel.
//!
//! Not modelled: what a file system forgets when the power fails (every change is durable at once, in order), links,
//! users other than root, two runs at once, making and mounting file systems.

pub mod disturb;
pub mod draw;
pub mod machine;
pub mod mounts;
mod observe;
pub mod operation;
pub mod picture;
pub mod run;
pub mod scenario;
pub mod steps;
pub mod tree;

pub use disturb::Event;
pub use draw::Choices;
pub use machine::Machine;
pub use operation::Report;
pub use run::Crashed;
pub use scenario::{Act, Scenario};
pub use steps::Pulse;
