//! Users who change the ground under root while it works, and readers who look while a bind is swapped.
//!
//! - [`user`] makes threads and programs of a user without privilege.
//! - [`vault`] holds what must never be reached, and sees whether it was.
//! - [`arena`] is a tree in which that user exchanges directories, files, links, FIFOs and hard links all the time.
//! - [`race`] lets root work in it until enough was tried.
//! - [`ledger`] is a writer that keeps account of what it was promised.
//! - [`forest`] plants random trees, and [`compare`] holds two of them against each other.
//!
//! What is counted as a try is one name of a tree that root dealt with while it was attacked, or one whole step at such a name.
//! `swapped` says how often root met something else than what stood there in the beginning: a race that is never met proves nothing,
//! so each experiment demands a share of those.

pub mod arena;
pub mod compare;
pub mod forest;
pub mod ledger;
pub mod race;
pub mod user;
pub mod vault;
pub mod violations;

pub use arena::Arena;
pub use race::{Race, Round};
pub use vault::Vault;
pub use violations::Violations;
