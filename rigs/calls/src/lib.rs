//! Killed and failed system calls: every call of every operation, one at a time.
//!
//! A scene ([`datastore_tests::scenes`]) is set once and copied for each run ([`stage`]). The command runs in the copy, and one of its
//! system calls is the last one, fails, or lies ([`fault`]; which calls can do what is said in [`kind`]). What must hold afterwards
//! stands in [`trial`]; a fault that may be passed over, in [`allowed`]. [`campaign`] goes through all of them.

pub mod allowed;
pub mod campaign;
pub mod copies;
mod copy;
pub mod fault;
pub mod guards;
pub mod kind;
pub mod ledger;
pub mod lint;
pub mod scenes;
pub mod stage;
pub mod trial;
