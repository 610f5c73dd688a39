//! Power that fails: disks that remember every write in order, and every state that a power cut could have left them in.
//!
//! A story ([`story`]) is run on a machine whose three disks ([`disks`]) lie in memory: loop devices on files of a FUSE file system
//! ([`server`]), so that every write and every flush of all disks is known, in one order. Of that record the states are made
//! ([`states`]) in which the machine may stand after the power came back: all that was flushed, and any choice of what was not. Each is
//! mounted, as a boot does ([`machine`]), and looked at ([`check`]).
//!
//! What a file system writes when is its own choice, and hides what a program forgot to sync. So each story is told three times
//! ([`stepping`]): left alone, with the metadata committed after each of its system calls, and with everything synced after each.

pub mod block;
pub mod check;
pub mod disks;
pub mod experiment;
pub mod machine;
pub mod server;
pub mod states;
pub mod stepping;
pub mod story;
pub mod tree;
