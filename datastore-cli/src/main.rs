//! The `datastore` command.
fn main() {}
