//! Programs that the command starts, and that die with it.

use std::time::{Duration, Instant};

/// Whether a mkfs or mount is running that has this text in its command line.
///
/// # Panics
/// If /proc cannot be read.
#[must_use]
pub fn is_at_work(on: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let mut lines = processes.filter_map(|process| std::fs::read_to_string(process.path().join("cmdline")).ok());
    lines.any(|line| {
        let program = line.split('\0').next().unwrap_or_default();
        (program.contains("mkfs") || program.ends_with("mount")) && line.contains(on)
    })
}

/// A mkfs or mount that the killed command had started dies with it; the kernel needs a moment for that.
///
/// # Panics
/// If it lives on.
#[track_caller]
pub fn wait_for(on: &str) {
    let patience = Instant::now();
    while is_at_work(on) {
        assert!(patience.elapsed() < Duration::from_secs(20), "a program on {on} outlived datastore");
        std::thread::yield_now();
    }
}
