//! Import and move on services that run: in a small system with systemd as its first process, and with init scripts alone.

mod failures;

use datastore_tests::Rig;

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
