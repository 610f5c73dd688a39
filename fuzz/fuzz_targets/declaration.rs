//! The documents of programs without privilege may hold anything: what is taken comes out as a configlet that holds no more than the
//! document may say, and is read back as the same.
#![no_main]

use datastore_core::AbsPath;
use datastore_core::config::{GLOBALS, Input, Role};
use datastore_core::declaration::{Declaration, Written, lay, written};
use datastore_core::resolve::{Incumbents, resolve};

const GLOBAL_TEXT: &str = "host = \"h\"\n[config_add]\nmount_points = [\"/srv\"]\n[volume.data0]\n\
                           id = \"11111111-2222-4333-8444-555555555555\"\n";

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // A configlet that says that it is ours, with anything in it.
    if let (Ok(text), Ok(app)) = (std::str::from_utf8(data), "a".parse())
        && let Written::Ours(declaration) = written(&app, text)
    {
        assert_eq!(declaration.render(), text);
    }
    let Ok(declaration) = Declaration::parse(data) else { return };
    let text = declaration.render();
    assert_eq!(written(&declaration.app, &text), Written::Ours(Box::new(declaration.clone())), "{text}");
    let mut inputs = vec![Input::read(GLOBALS, Role::Globals, "", GLOBAL_TEXT)];
    if lay(&declaration, &mut inputs).is_err() {
        return;
    }
    let wanted = resolve(inputs, &Incumbents::new());
    let app = wanted.app(&declaration.app).expect("it is declared");
    assert!(!app.has_hooks && app.services.is_empty());
    let srv = AbsPath::literal("/srv");
    for (_, mapping) in wanted.of_app(&declaration.app) {
        assert!(mapping.mount_point.is_below(&srv) && mapping.store.is_below(&mapping.home));
    }
});
