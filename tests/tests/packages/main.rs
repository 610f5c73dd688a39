//! The packages that `cargo xtask package` makes, installed by dpkg and rpm: what comes is bound without a command, and nothing is lost when they go.

mod clearos;
mod contents;
mod machine;
mod plain;
mod rpm;
mod running;
