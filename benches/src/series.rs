//! Everything that is measured with one number of mappings.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::measure::{Sample, median, run};
use crate::raw_loop;
use crate::world::World;

/// What to measure.
pub(crate) struct Plan {
    /// How many mappings.
    pub(crate) size: usize,
    /// Repetitions, each in a fresh root.
    pub(crate) runs: usize,
    /// In how many of them mount(8) is measured too.
    pub(crate) peer_runs: usize,
    /// How many pairs of `guard` and /bin/true, in the last repetition.
    pub(crate) guard_pairs: usize,
}

/// Medians, in seconds unless said otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) size: usize,
    pub(crate) runs: usize,
    pub(crate) peer_runs: usize,
    /// The first `apply`: directories, identity, fstab, journal, binds.
    pub(crate) first: f64,
    /// The binding part of it, as `apply --json` tells.
    pub(crate) bind: f64,
    /// The same binding by the raw loop.
    pub(crate) raw: f64,
    /// `mount -a` of the same fstab, directories made.
    pub(crate) peer_first: f64,
    /// `apply` with nothing to do.
    pub(crate) again: f64,
    /// `mount -a` when all is mounted.
    pub(crate) peer_again: f64,
    /// `status`.
    pub(crate) status: f64,
    /// The most memory that any of our commands held, in MiB.
    pub(crate) peak_mib: f64,
    /// `guard` of one app and /bin/true, where measured.
    pub(crate) guard: Option<(f64, f64)>,
}

/// The times of all repetitions.
#[derive(Default)]
struct Times {
    first: Vec<f64>,
    bind: Vec<f64>,
    raw: Vec<f64>,
    peer_first: Vec<f64>,
    again: Vec<f64>,
    peer_again: Vec<f64>,
    status: Vec<f64>,
    guard: Vec<f64>,
    nothing: Vec<f64>,
    peak_kib: u64,
}

impl Times {
    /// Notes the memory of one of our commands and gives its time in seconds.
    fn ours(&mut self, sample: &Sample) -> f64 {
        self.peak_kib = self.peak_kib.max(sample.peak_kib);
        sample.wall.as_secs_f64()
    }
}

/// Measures one size.
pub(crate) fn measure(datastore: &Path, plan: &Plan) -> Result<Series, String> {
    let mut times = Times::default();
    for number in 0..plan.runs {
        let world = World::new(datastore, plan.size);
        ours(&world, &mut times)?;
        if number + 1 == plan.runs {
            guard(&world, plan.guard_pairs, &mut times)?;
        }
        peers(&world, number < plan.peer_runs, &mut times)?;
    }
    let middle = |name: &str, values: &[f64]| {
        median(values.iter().copied()).ok_or_else(|| format!("{name} was not measured with {} mappings", plan.size))
    };
    Ok(Series {
        size: plan.size,
        runs: plan.runs,
        peer_runs: plan.peer_runs.min(plan.runs),
        first: middle("the first apply", &times.first)?,
        bind: middle("the binding part", &times.bind)?,
        raw: middle("the raw loop", &times.raw)?,
        peer_first: middle("mount -a", &times.peer_first)?,
        again: middle("apply with nothing to do", &times.again)?,
        peer_again: middle("mount -a with nothing to do", &times.peer_again)?,
        status: middle("status", &times.status)?,
        #[allow(clippy::cast_precision_loss, reason = "kibibytes of memory are far below 2^52")]
        peak_mib: times.peak_kib as f64 / 1024.0,
        guard: median(times.guard).zip(median(times.nothing)),
    })
}

/// First apply, apply again, status.
fn ours(world: &World, times: &mut Times) -> Result<(), String> {
    rustix::fs::sync();
    let sample = run(&mut world.datastore(&["apply", "--yes", "--json"]))?;
    let first = times.ours(&sample);
    times.first.push(first);
    times.bind.push(bind_ms(&sample.stdout)? / 1000.0);
    world.expect_bound("the first apply")?;
    let sample = run(&mut world.datastore(&["apply", "--yes", "--json"]))?;
    let again = times.ours(&sample);
    times.again.push(again);
    world.expect_bound("the second apply")?;
    let sample = run(&mut world.datastore(&["status"]))?;
    let status = times.ours(&sample);
    times.status.push(status);
    Ok(())
}

/// `guard` and a program that does nothing, in turn, so that both see the same noise.
fn guard(world: &World, pairs: usize, times: &mut Times) -> Result<(), String> {
    for _ in 0..pairs {
        let sample = run(&mut world.datastore(&["guard", "a000"]))?;
        let guard = times.ours(&sample);
        times.guard.push(guard);
        times.nothing.push(run(&mut world.command("/bin/true"))?.wall.as_secs_f64());
    }
    Ok(())
}

/// The raw loop and mount(8), on the directories that `apply` left.
fn peers(world: &World, with_mount: bool, times: &mut Times) -> Result<(), String> {
    let pairs = world.pairs()?;
    world.unbind()?;
    rustix::fs::sync();
    times.raw.push(raw_loop::bind_all(&pairs)?.as_secs_f64());
    world.expect_bound("the raw loop")?;
    world.unbind()?;
    if !with_mount {
        return Ok(());
    }
    let fstab = world.fstab_for_mount()?;
    let mount = |world: &World| -> Command {
        let mut command = world.command("mount");
        command.arg("-a").arg("-T").arg(&fstab);
        command
    };
    rustix::fs::sync();
    times.peer_first.push(run(&mut mount(world))?.wall.as_secs_f64());
    world.expect_bound("mount -a")?;
    times.peer_again.push(run(&mut mount(world))?.wall.as_secs_f64());
    world.expect_bound("the second mount -a")
}

/// The milliseconds that `apply --json` says the binding part took.
fn bind_ms(stdout: &str) -> Result<f64, String> {
    let json: Value =
        serde_json::from_str(stdout).map_err(|e| format!("the output of `apply --json` is no JSON: {e}"))?;
    json["timing"]["bind_ms"].as_f64().ok_or_else(|| "`apply --json` has no number `timing.bind_ms`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binding_time_must_be_there() {
        assert_eq!(bind_ms(r#"{"timing": {"bind_ms": 12.5}}"#), Ok(12.5));
        assert!(bind_ms(r#"{"timing": {}}"#).unwrap_err().contains("timing.bind_ms"));
        assert!(bind_ms("applied").unwrap_err().contains("no JSON"));
    }
}
