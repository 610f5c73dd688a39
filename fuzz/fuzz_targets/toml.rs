//! The reader of TOML configuration, and everything behind it up to what is wanted, takes any text: every place that it names
//! lies in the text, and no mapping that it lets through is at a place where nothing may be mounted.
#![no_main]

use datastore_core::config::{Input, Role};
use datastore_core::resolve::{Incumbents, resolve};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let globals = b"host = \"h\"\n[volume.data0]\nid = \"11111111-2222-4333-8444-555555555555\"\n";
    for inputs in [
        vec![Input::read("/etc/datastore.conf", Role::Globals, "", data)],
        vec![
            Input::read("/etc/datastore.conf", Role::Globals, "", globals),
            Input::read("/etc/datastore.d/a.conf", Role::Configlet, "a", data),
            Input::read("/etc/datastore.d/a.local.conf", Role::Local, "a", data),
        ],
    ] {
        let wanted = resolve(inputs, &Incumbents::new());
        for finding in &wanted.diagnostics {
            assert!(finding.to_string().split('\n').all(|line| !line.contains(char::is_control)), "{finding:?}");
        }
        for mapping in wanted.mappings.iter().filter(|m| m.problem.is_none()) {
            let path = mapping.mount_point.to_str().expect("configuration is UTF-8");
            let closed = ["/proc", "/sys", "/dev", "/run", "/boot", "/store", "/bin", "/lib", "/var/lib/datastore"];
            let inside = |dir: &str| path == dir || path.starts_with(&format!("{dir}/"));
            assert!(path != "/" && !closed.iter().any(|dir| inside(dir)), "{path}");
            assert!(mapping.store.is_below(&mapping.home));
        }
    }
});
