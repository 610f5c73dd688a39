//! The half of datastore that touches the machine.

pub mod durable;
pub mod engine;
pub mod event;
pub mod holders;
pub mod journal_file;
pub mod lock;
mod place;
pub mod report;
pub mod root;
pub mod site;
pub mod steps {
    //! The steps of plans, one function for each.
    pub mod volume;
}
pub mod sys;
#[cfg(test)]
mod testing;

pub use engine::Engine;
pub use root::Root;
