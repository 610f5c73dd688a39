//! Documents, the configlets that come of them, and whose a configlet is.

#![allow(clippy::literal_string_with_formatting_args, reason = "targets have expansions of ours")]

use super::*;
use crate::config::{GLOBALS, Input, Role};
use crate::step::Action;

fn parse(document: &str) -> Result<Declaration> {
    Declaration::parse(document.as_bytes())
}

const PHOTOS: &str = r#"{"app": "photos", "mappings": [{"mount_point": "/srv/photos/"}, {"mount_point": "/srv/b", "target": "%{base}/a//b/"}]}"#;

#[test]
fn what_is_not_said_has_its_default() {
    let declaration = parse(PHOTOS).unwrap();
    let [first, second] = &declaration.mappings[..] else { panic!("two mappings") };
    assert_eq!((first.mount_point.to_string(), first.target.to_string()), ("/srv/photos".into(), "/photos".into()));
    assert_eq!((first.permissions.bits(), first.owner.as_str(), first.group.as_str()), (0o755, "root", "root"));
    assert_eq!((second.target.to_string(), &second.volume), ("/a/b".into(), &None));
    let named = parse(r#"{"app": "p", "title": "", "mappings": [{"mount_point": "/srv/x"}]}"#).unwrap();
    assert_eq!((named.title, named.mappings[0].target.to_string()), (None, "/p-x".into()));
}

#[test]
fn a_configlet_comes_back_as_what_it_was_written_from() {
    let declaration = parse(PHOTOS).unwrap();
    let text = declaration.render();
    assert_eq!(written(&declaration.app, &text), Written::Ours(Box::new(declaration.clone())));
    assert_eq!(written(&declaration.app, &text.replace("# Written", "# written")), Written::Others);
    for (edited, why) in [
        (format!("{text}\n"), "line 13 is not as the command writes it"),
        (text.replacen("\n[", "\n\n[", 1), "line 2 is not as the command writes it"),
        (text.replace("owner = \"root\"\n", ""), "a mapping has no owner"),
        (format!("{text}premount = \"/x\"\n"), "it holds `premount`"),
    ] {
        assert_eq!(written(&declaration.app, &edited), Written::Edited(why.into()), "{edited}");
    }
}

#[test]
fn one_step_writes_it_and_one_takes_it_away() {
    let globals = "host = \"h\"\n[config_add]\nmount_points = [\"/srv\"]\n";
    let mut inputs = vec![Input::read(GLOBALS, Role::Globals, "", globals)];
    let declaration = parse(PHOTOS).unwrap();
    let steps = lay(&declaration, &mut inputs).unwrap();
    let Action::WriteFile { path, from: None, to: Some(text), .. } = &steps[0].action else { panic!("{steps:?}") };
    assert_eq!((steps.len(), path.to_string(), text), (1, declaration.file(), &declaration.render()));
    // It is among the inputs now, so nothing is left to do.
    assert_eq!(lay(&declaration, &mut inputs).unwrap(), []);
    inputs.push(Input::read("/etc/datastore.d/photos.local.conf", Role::Local, "photos", "enabled = false\n"));
    let steps = lift(&declaration.app, &mut inputs).unwrap();
    let gone: Vec<String> = steps.iter().map(|step| step.action.to_string()).collect();
    assert!(gone.len() == 2 && gone[0].contains("photos.local.conf") && gone[1].contains("photos.conf"), "{gone:?}");
    assert_eq!(inputs.len(), 1);
    assert_eq!(lift(&declaration.app, &mut inputs).unwrap_err().kind(), ErrorKind::Usage);
}
