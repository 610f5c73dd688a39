//! Import and move on services that run: in a small system with systemd as its first process, and with init scripts alone.

mod by_hand;
mod defaults;
mod failures;
mod maildir;
mod mariadb;

use std::time::{Duration, Instant};

use datastore_tests::Rig;
use serde_json::Value;

/// Nothing here takes longer, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes a unit.
fn unit(rig: &Rig, name: &str, text: &str) {
    rig.write(&format!("/etc/systemd/system/{name}"), 0o644, text);
}

/// A booted system with a volume on each of its disks; the first is that of `init`.
fn booted(disks: &[(&str, u64, &str)], prepare: impl FnOnce(&Rig)) -> Rig {
    let rig = Rig::booted(|rig| {
        for (name, mib, fs_type) in disks {
            rig.disk(name, mib << 20, fs_type);
        }
        prepare(rig);
    });
    for (n, (name, ..)) in disks.iter().enumerate() {
        let image = format!("/{name}.img");
        let add: &[&str] = if n == 0 { &["init", "--host", "server1"] } else { &["volume", "add", name] };
        rig.run(&[&["datastore"], add, &["--device", &image, "--yes"]].concat()).ok();
    }
    rig
}

/// Waits until something is so.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a report says of time: all of it, and for how long the data could not be used, with its parts.
#[track_caller]
fn figures(report: &Value) -> String {
    let seconds = |ms: &Value| ms.as_f64().expect("a time") / 1000.0;
    let downtime = &report["downtime"];
    let parts = downtime["parts"].as_array().expect("parts").iter();
    let parts: Vec<String> =
        parts.map(|part| format!("{} {:.3}", part["what"].as_str().expect("a word"), seconds(&part["ms"]))).collect();
    let (all, down) = (seconds(&report["timing"]["apply_ms"]), seconds(&downtime["ms"]));
    // Services are looked at half a second after their start, and the data can be used meanwhile.
    assert!(all - down >= 0.5, "{report:#}");
    format!("{all:.2} s in all, down for {down:.3} s ({})", parts.join(", "))
}

/// The longest time between two that follow each other.
fn longest_gap(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max)
}
