//! The half of datastore that touches the machine.

pub mod adoption;
pub mod alarm;
mod apply;
mod beneath;
mod closed;
mod config_copy;
mod crossing;
pub mod document;
pub mod durable;
pub mod engine;
pub mod event;
mod examine;
#[cfg(feature = "fuzz")]
pub mod foreign;
mod gauge;
mod guard;
pub mod holders;
mod hook;
pub mod journal_file;
mod kept;
mod label;
mod load;
pub mod lock;
mod log;
mod moving;
mod notices;
mod observe;
mod operation;
pub mod peek;
mod place;
mod receipts;
mod recovery;
pub mod report;
#[doc(hidden)]
pub mod rigs;
pub mod root;
mod run_files;
mod saved;
pub mod service;
mod site;
mod steps;
pub mod sys;
#[cfg(test)]
mod testing;
mod tool_copy;
mod touched;
pub mod tree;
pub mod units;
mod usage;
pub mod watch;

pub use engine::Engine;
pub use root::Root;
