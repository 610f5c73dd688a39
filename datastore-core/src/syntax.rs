//! The two languages of configuration, read into [`raw`](crate::raw) values with their places.

pub mod php;
pub mod toml;
