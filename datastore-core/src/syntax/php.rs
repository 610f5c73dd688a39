//! The PHP forms of configuration, read as data and never executed.
