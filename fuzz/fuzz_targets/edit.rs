//! Changes of our configuration files, from any text: the change is there afterwards, everything else is as it was, and to make it once
//! more changes nothing.
#![no_main]

use datastore_core::AbsPath;
use datastore_core::diag::Sources;
use datastore_core::edit::{self, Placed};
use datastore_core::raw::{RawApp, RawGlobals};
use datastore_core::syntax::toml;
use datastore_core::value::{HostName, Id, VolumeName};
use datastore_core::wanted::Volume;

fn globals(text: &str) -> (RawGlobals, usize) {
    let mut sources = Sources::default();
    let file = sources.add("fuzz", text);
    let (globals, found) = toml::globals(file, &sources);
    (globals, found.len())
}

fn app(text: &str) -> (RawApp, usize) {
    let mut sources = Sources::default();
    let file = sources.add("fuzz", text);
    let (app, found) = toml::configlet(file, &sources);
    (app, found.len())
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (before, wrong) = globals(text);
    let name = HostName::parse("new").expect("a name");
    if let Ok(named) = edit::host("f", text, &name) {
        let (after, now_wrong) = globals(&named);
        // Where nothing is wrong; what is wrong may be the very thing that is replaced.
        if wrong == 0 {
            assert_eq!(now_wrong, 0, "{named}");
            assert_eq!(after.host.as_ref().map(|host| host.value.as_str()), Some("new"), "{named}");
            let volumes =
                |globals: &RawGlobals| globals.volumes.iter().map(|v| v.name.value.clone()).collect::<Vec<_>>();
            assert_eq!(volumes(&after), volumes(&before));
            let apps =
                |globals: &RawGlobals| globals.apps.iter().map(|(name, _)| name.value.clone()).collect::<Vec<_>>();
            assert_eq!(apps(&after), apps(&before));
        }
        assert_eq!(edit::host("f", &named, &name).expect("it was edited before"), named);
    }
    let volume = Volume {
        name: VolumeName::parse("fuzzed").expect("a name"),
        path: AbsPath::literal("/store/fuzzed"),
        declared: true,
        id: Some(Id::from_random([9; 16])),
        source: Some("LABEL=\"x\"\n".into()),
        fstype: Some("ext4".into()),
        options: None,
    };
    if let Ok(with) = edit::volume("f", text, &volume, None) {
        let (after, now_wrong) = globals(&with);
        if wrong == 0 {
            assert_eq!(now_wrong, 0, "{with}");
            let is = |v: &&datastore_core::raw::RawVolume| v.name.value == "fuzzed";
            let found = after.volumes.iter().find(is).expect("it was written");
            assert_eq!(found.source.as_ref().map(|s| s.value.as_str()), volume.source.as_deref());
        }
        let without = edit::without_volume("f", &with, &volume.name).expect("it was edited before");
        assert!(globals(&without).0.volumes.iter().all(|v| v.name.value != "fuzzed"));
    }
    let (before, wrong) = app(text);
    if let Ok(on) = edit::enabled("f", Some(text), true) {
        let (after, now_wrong) = app(&on);
        if wrong == 0 {
            assert_eq!(now_wrong, 0, "{on}");
            assert_eq!(after.enabled.map(|e| e.value), Some(true), "{on}");
            assert_eq!(after.mappings.len(), before.mappings.len());
        }
    }
    let placed = [Placed {
        mount_point: AbsPath::literal("/srv/\"a b\""),
        volume: VolumeName::parse("data1").expect("a name"),
        target: Some(AbsPath::literal("/store/data1/live/h/%")),
    }];
    if let Ok(there) = edit::placed("f", Some(text), &placed) {
        let (after, now_wrong) = app(&there);
        if wrong == 0 {
            assert_eq!(now_wrong, 0, "{there}");
            let found = after.mappings.iter().find(|m| m.mount_point.value == "/srv/\"a b\"").expect("it was written");
            assert_eq!(found.volume.as_ref().map(|v| v.value.as_str()), Some("data1"));
        }
    }
});
