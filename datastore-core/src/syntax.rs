//! The two languages of configuration, read into [`raw`](crate::raw) values with their places, and printed.

pub(crate) mod depth;
pub mod keys;
pub mod php;
pub mod print;
pub mod toml;
