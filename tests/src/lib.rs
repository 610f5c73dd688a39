//! The sandbox in which the suites run.
