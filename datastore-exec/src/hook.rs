//! Hooks: programs of others that run as root around a bind. What runs, for what and how long stands in the step; here it is found,
//! checked, run and written down.

pub(crate) mod log;
pub(crate) mod program;
pub(crate) mod run;
