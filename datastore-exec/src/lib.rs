//! The half of datastore that touches the machine.

mod apply;
mod beneath;
pub mod durable;
pub mod engine;
pub mod event;
mod guard;
pub mod holders;
pub mod journal_file;
mod load;
pub mod lock;
mod observe;
mod operation;
mod place;
mod recovery;
pub mod report;
pub mod root;
mod run_files;
mod saved;
mod site;
mod steps;
pub mod sys;
#[cfg(test)]
mod testing;

pub use engine::Engine;
pub use root::Root;
