//! The pure half of datastore: values in, values out.
//!
//! Nothing here touches a file system, a process, the environment or a clock. Text becomes configuration
//! ([`syntax`], [`raw`]), fstab and the kernel's mount table are read as text ([`fstab`], [`mountinfo`]); whatever must
//! be known of the machine is asked for by value and answered by `datastore-exec`.

pub mod diag;
pub mod error;
pub mod fstab;
pub mod mountinfo;
pub mod path;
pub mod raw;
pub mod syntax;
pub mod value;

pub use error::{Error, ErrorKind, Result};
pub use path::AbsPath;
