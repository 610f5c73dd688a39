//! The pure half of datastore: values in, values out.
//!
//! Nothing here touches a file system, a process, the environment or a clock. The one road of every change:
//!
//! ```text
//! text -> config -> wanted ----\
//!                               plan -> checked plan -> apply -> journal -> status rows
//! machine -> probe -> observed -/
//! ```
//!
//! [`resolve`](mod@resolve) turns files into [`wanted`]; [`observed`] says what must be known of the machine and holds
//! the answers; [`standing`] says what each mapping is; [`plan`] makes steps and [`verify`] checks them; [`journal`] and
//! [`recover`](mod@recover) are what survives a crash; [`status`] is what is shown. `datastore-exec` does everything that touches
//! the machine.

pub mod alarm;
pub mod amount;
pub mod candidate;
mod checksum;
pub mod config;
pub mod declaration;
pub mod diag;
pub mod doctor;
pub mod edit;
pub mod error;
pub mod expand;
pub mod fstab;
pub mod goal;
pub mod hook;
pub mod journal;
pub mod label;
pub mod landscape;
pub mod log;
pub mod manifest;
pub mod mapping;
#[cfg(feature = "model")]
pub mod model;
pub mod mountinfo;
pub mod moving;
pub mod names;
pub mod nesting;
pub mod observed;
mod overlap;
pub mod owners;
pub mod path;
pub mod peek;
pub mod plan;
pub mod planted;
pub mod progress;
pub mod raw;
pub mod recover;
pub mod request;
pub mod resolve;
pub mod standing;
pub mod state;
pub mod status;
pub mod step;
pub mod switch;
pub mod syntax;
pub mod unit;
pub mod usage;
pub mod value;
pub mod verify;
pub mod wanted;
pub mod watch;

pub use error::{Error, ErrorKind, Result};
pub use path::AbsPath;
