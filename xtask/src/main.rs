//! Everything that a developer does with the repository: `cargo xtask help`.
fn main() {}
