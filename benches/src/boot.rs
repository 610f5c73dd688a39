//! How long a machine takes to come up with datastore, its disk away, beside one without datastore; and the generator by itself.

use datastore_tests::Rig;

use crate::measure::median;

/// How many mappings.
const MAPPINGS: usize = 100;
/// How often the generator is run.
const RUNS: usize = 21;
const IMAGE: &str = "boot-bench";

/// What it costs.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) mappings: usize,
    /// From the start of systemd to multi-user.target, without datastore, in seconds.
    pub(crate) plain: f64,
    /// The same with datastore and its disk away.
    pub(crate) ours: f64,
    /// The generator, in seconds.
    pub(crate) generator: f64,
    /// How many boots of each.
    pub(crate) boots: usize,
}

/// Boots two small systems in turn. What is installed is what was built beside this program.
pub(crate) fn measure(boots: usize) -> Result<Figures, String> {
    eprintln!("booting two systems {boots} times each ...");
    let mut plain = Rig::booted(|_| {});
    let mut ours = Rig::booted(|rig| {
        rig.install();
        rig.disk(IMAGE, 256 << 20, "ext4");
    });
    let device = format!("/{IMAGE}.img");
    ours.run(&["datastore", "init", "--host", "server1", "--device", &device, "--yes"]).ok();
    let mapping = |n| format!("[mapping.\"/srv/m{n}\"]\ntarget = \"%{{base}}/m{n}\"\n");
    let all: String = (0..MAPPINGS).map(mapping).collect();
    ours.write("/etc/datastore.d/many.conf", 0o644, &format!("services = [\"many.service\"]\n{all}"));
    ours.run(&["datastore", "apply", "--yes"]).ok();
    let line = "for n in $(seq RUNS); do s=$EPOCHREALTIME; \
                /usr/lib/systemd/system-generators/datastore-generator /tmp/g /tmp/g /tmp/g; \
                e=$EPOCHREALTIME; echo $((${e/./} - ${s/./})); rm -r /tmp/g; done";
    let times = ours.run(&["bash", "-ec", &line.replace("RUNS", &RUNS.to_string())]).ok().stdout;
    let times: Vec<f64> = times.lines().filter_map(|line| Some(line.parse::<f64>().ok()? / 1e6)).collect();
    ours.run(&["mv", &device, "/away.img"]).ok();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..boots {
        plain.reboot();
        without.push(seconds(&plain)?);
        ours.reboot();
        with.push(seconds(&ours)?);
    }
    let of = |times: Vec<f64>| median(times).ok_or("nothing was measured");
    Ok(Figures { mappings: MAPPINGS, plain: of(without)?, ours: of(with)?, generator: of(times)?, boots })
}

/// From the start of systemd to multi-user.target.
fn seconds(rig: &Rig) -> Result<f64, String> {
    let ask = |words: &[&str]| {
        let said = rig.run(&[&["systemctl", "show", "--value", "-p"], words].concat()).ok().stdout;
        said.trim().parse::<f64>().map_err(|e| format!("systemctl show {words:?}: {said:?}: {e}"))
    };
    let up = ask(&["ActiveEnterTimestampMonotonic", "multi-user.target"])?;
    Ok((up - ask(&["UserspaceTimestampMonotonic"])?) / 1e6)
}
