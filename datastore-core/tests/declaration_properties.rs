//! Whatever a document says: no more comes of it than a configlet without hooks, services and options, whose mount points lie where root
//! allows them and whose stores lie below the base; and that configlet is read back as the same declaration.

use datastore_core::AbsPath;
use datastore_core::config::{GLOBALS, Input, Role};
use datastore_core::declaration::{Declaration, Written, lay, written};
use datastore_core::resolve::{Incumbents, resolve};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const GLOBAL_TEXT: &str = "host = \"h\"\n[config_add]\nmount_points = [\"/srv\", \"/var/www\"]\n\
                           [volume.data0]\nid = \"11111111-2222-4333-8444-555555555555\"\n";

/// Texts that are what is wanted, nearly so, or anything.
fn near(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::sample::select(words).prop_map(str::to_owned), 1 => "\\PC{0,6}", 1 => any::<String>()]
}

fn mapping() -> impl Strategy<Value = Value> {
    let mount_points = near(&[
        "/srv/a",
        "/srv/b/c",
        "/srv//d/",
        "/var/www/x",
        "/srv",
        "/srv/../etc",
        "/etc/x",
        "/srv/%",
        "/srv/\"q\"",
    ]);
    let targets =
        near(&["%{base}/a", "%{base}/b/c", "%{base}", "%{base}/..", "%{base}/%{store}", "/etc", "%{base}/\"\\"]);
    let modes = near(&["0755", "700", "2770", "8", "0o755"]);
    let owners = || near(&["root", "DOM\\user", "user@dom", "-x", "a:b"]);
    let volumes = near(&["data0", "data9", "../x"]);
    (mount_points, of(targets), of(modes), of(owners()), of(owners()), of(volumes)).prop_map(
        |(mount_point, target, permissions, owner, group, volume)| {
            let mut map = Map::new();
            map.insert("mount_point".into(), mount_point.into());
            let rest = [
                ("target", target),
                ("permissions", permissions),
                ("owner", owner),
                ("group", group),
                ("volume", volume),
            ];
            map.extend(rest.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))));
            Value::Object(map)
        },
    )
}

proptest! {
    #[test]
    fn no_more_comes_of_it_than_it_may_say(
        app in near(&["photos", "a.b", "x@1", ".x", "x.local", "a/b"]),
        title in of(near(&["Photos", "\"", "\\", "a\nb"])),
        mappings in vec(mapping(), 0..4),
    ) {
        let document = json!({ "app": app, "title": title, "mappings": mappings }).to_string();
        let Ok(declaration) = Declaration::parse(document.as_bytes()) else { return Ok(()) };
        let text = declaration.render();
        prop_assert_eq!(written(&declaration.app, &text), Written::Ours(Box::new(declaration.clone())), "{}", text);
        let mut inputs = vec![Input::read(GLOBALS, Role::Globals, "", GLOBAL_TEXT)];
        let Ok(steps) = lay(&declaration, &mut inputs) else { return Ok(()) };
        prop_assert_eq!(steps.len(), 1);
        let wanted = resolve(inputs, &Incumbents::new());
        let it = wanted.app(&declaration.app).expect("it is declared");
        prop_assert!(!it.has_hooks && it.services.is_empty() && it.enabled);
        let base = AbsPath::literal("/store/data0/live/h");
        let allowed = [AbsPath::literal("/srv"), AbsPath::literal("/var/www")];
        for (_, mapping) in wanted.of_app(&declaration.app) {
            prop_assert!(allowed.iter().any(|dir| mapping.mount_point.is_below(dir)), "{}", mapping.mount_point);
            prop_assert!(mapping.store.is_below(&base) || mapping.volume.as_str() != "data0", "{}", mapping.store);
            prop_assert_eq!(mapping.options, datastore_core::mapping::BindOptions::default());
        }
    }

    /// Any other field anywhere is refused by its name.
    #[test]
    fn a_field_that_is_not_known_is_refused(name in "[a-z_]{1,12}", inside in any::<bool>()) {
        let known = ["app", "title", "mappings", "mount_point", "target", "permissions", "owner", "group", "volume"];
        prop_assume!(!known.contains(&name.as_str()));
        let mut document = json!({ "app": "photos", "mappings": [{ "mount_point": "/srv/photos" }] });
        let place = if inside { &mut document["mappings"][0] } else { &mut document };
        place[&name] = json!([]);
        let error = Declaration::parse(document.to_string().as_bytes()).expect_err("it is refused");
        prop_assert!(error.message().contains(&format!("`{name}`")), "{}", error);
    }
}
