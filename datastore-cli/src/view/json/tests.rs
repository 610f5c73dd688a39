//! The names of fields, which other programs rely on.

use datastore_core::diag::{Code, Sources, Span};
use serde_json::{Value, json};

use super::*;
use crate::view::effective::Effective;
use crate::view::human::tests::{
    every_ending, every_entry, every_finding, every_step, everything, plan_of, probed, report_of, volume,
};

/// The names of an object's fields, in their order.
fn names(document: &impl Serialize) -> Vec<String> {
    fields(&serde_json::to_value(document).unwrap())
}

fn fields(value: &Value) -> Vec<String> {
    let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
    names.sort();
    names
}

fn sorted(names: &str) -> Vec<String> {
    let mut names: Vec<String> = names.split(' ').map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn status_and_rows() {
    let status = serde_json::to_value(everything()).unwrap();
    assert_eq!(fields(&status), sorted("host mappings volumes operations complete"));
    let fields_of_row = "app mount_point store volume state reason detail hint";
    assert_eq!(fields(&status["mappings"][0]), sorted(fields_of_row));
    assert_eq!(status["mappings"][0]["state"], "active");
    assert_eq!(status["mappings"][0]["reason"], Value::Null);
    let all =
        "volume path state reason detail hint source fstype id bytes bytes_free inodes inodes_free read_only mappings";
    assert_eq!(fields(&status["volumes"][0]), sorted(all));
    assert_eq!(fields(&status["operations"][0]), sorted("operation goal plan state since done steps trouble hint"));
}

#[test]
fn findings_of_the_doctor() {
    let diagnosis = serde_json::to_value(every_finding()).unwrap();
    assert_eq!(fields(&diagnosis), ["complete", "findings"]);
    assert_eq!(fields(&diagnosis["findings"][0]), sorted("check severity app mount_point path detail cause hint"));
    assert_eq!(
        (&diagnosis["findings"][0]["check"], &diagnosis["findings"][0]["severity"]),
        (&json!("refused"), &json!("error"))
    );
}

#[test]
fn what_peek_finds() {
    let peek = serde_json::to_value(every_entry()).unwrap();
    assert_eq!(fields(&peek), sorted("app mappings copied"));
    assert_eq!(fields(&peek["mappings"][0]), sorted("mount_point hidden detail entries cut"));
    let entry = "path kind size mode uid gid user group modified target";
    assert_eq!(fields(&peek["mappings"][0]["entries"][0]), sorted(entry));
    assert_eq!(fields(&peek["copied"]), sorted("to files directories links bytes left_out more_left_out"));
    assert_eq!(fields(&peek["copied"]["left_out"][0]), sorted("path why"));
}

#[test]
fn operations_and_steps_of_the_log() {
    let log = serde_json::to_value(document::Log { operations: &every_ending() }).unwrap();
    assert_eq!(fields(&log), ["operations"]);
    let row =
        "operation at ended uid user host goal plan outcome steps done apps more_apps failures more_failures detail";
    assert_eq!(fields(&log["operations"][0]), sorted(row));
    assert_eq!(log["operations"][0]["outcome"], "done");
    assert_eq!(fields(&log["operations"][2]["failures"][0]), sorted("step app mount_point text error"));
    let detail = serde_json::to_value(every_step()).unwrap();
    assert_eq!(fields(&detail), ["operation", "steps"]);
    assert_eq!(fields(&detail["steps"][0]), sorted("step kind app mount_point text state error"));
    assert_eq!(line(&every_ending()[0]).unwrap().matches('\n').count(), 1);
}

#[test]
fn usage_and_free_devices() {
    let usage = serde_json::to_value(crate::view::human::usage_tests::some()).unwrap();
    assert_eq!(fields(&usage), sorted("measured complete stores parked"));
    let amount = "bytes apparent entries measured complete detail";
    assert_eq!(fields(&usage["stores"][0]), sorted(&format!("app mount_point store volume {amount}")));
    let parked = format!("app mount_point tree volume since expires {amount}");
    assert_eq!(fields(&usage["parked"][0]), sorted(&parked));
    let found = serde_json::to_value(crate::view::human::candidates_tests::every_candidate()).unwrap();
    assert_eq!(fields(&found), sorted("candidates complete"));
    let row = "device by_id bytes model fstype label state volume host detail hint";
    assert_eq!(fields(&found["candidates"][0]), sorted(row));
}

#[test]
fn plans() {
    let plan = plan_of(1);
    let view = serde_json::to_value(document::Plan::of(&plan, true)).unwrap();
    assert_eq!(fields(&view), sorted("id goal host empty saved steps notes remarks refused loads"));
    assert_eq!(view["id"], plan.id().as_str());
    assert_eq!((&view["goal"], &view["host"], &view["refused"]), (&json!("apply"), &json!("server1"), &json!(1)));
    assert_eq!(
        view["steps"][1],
        json!({"step": 2, "kind": "reload-systemd", "app": "", "mount_point": "",
               "text": "tell systemd that fstab has changed"})
    );
    assert_eq!(view["steps"][2]["app"], "web");
    assert_eq!(view["steps"][2]["mount_point"], "/srv/www/0");
    assert_eq!(view["remarks"][0], json!({"detail": "fstab has a line of nobody", "hint": "look at /etc/fstab"}));
}

#[test]
fn reports() {
    let report = report_of(&plan_of(1));
    let common = "goal operation plan outcome steps done failed notes probe remarks recovered downtime timing";
    assert_eq!(names(&report), sorted(common));
    let probe = serde_json::to_value(probed()).unwrap();
    assert_eq!(fields(&probe), sorted("app ready detail hint services"));
    assert_eq!(fields(&probe["services"][0]), sorted("service state detail hint"));
    let states: Vec<_> = probe["services"].as_array().unwrap().iter().map(|row| row["state"].clone()).collect();
    assert_eq!(states, ["running", "ended", "failed"]);
    let init = Initialised { report: &report, enable: None, import: &[], offers: &[] };
    assert_eq!(names(&init), sorted(&format!("{common} enable import offers")));
    assert_eq!(names(&document::Recovered { recovered: &[report] }), ["recovered"]);
}

#[test]
fn errors() {
    let error =
        Error::new(ErrorKind::Locked, "busy").with_errno(16).hint("wait").caused_by(std::io::Error::other("why"));
    assert_eq!(
        serde_json::to_value(document::Failure::of(&error)).unwrap(),
        json!({"error": {"kind": "locked", "message": "busy", "causes": ["why"], "errno": 16, "hint": "wait"}})
    );
    let bare = serde_json::to_value(document::Failure::of(&Error::new(ErrorKind::Usage, "x"))).unwrap();
    assert_eq!((&bare["error"]["errno"], &bare["error"]["hint"]), (&Value::Null, &Value::Null));
}

#[test]
fn configuration() {
    let mut sources = Sources::default();
    let file = sources.add("/etc/datastore.d/a.conf", "x = 1\n");
    let found =
        sources.diagnose(Span { file, start: 0, end: 1 }, Code::UnknownKey, "unknown key `x`").hint("remove it");
    let view = serde_json::to_value(document::Diagnostics::of(&[&found])).unwrap();
    assert_eq!(
        view,
        json!({"diagnostics": [{"severity": "error", "code": "unknown-key", "file": "/etc/datastore.d/a.conf", "line": 1,
                                "column": 1, "source_line": "x = 1", "message": "unknown key `x`", "hint": "remove it"}],
               "errors": 1})
    );
    let imported = Imported { toml: "", diagnostics: &[found], errors: 1 };
    assert_eq!(names(&imported), sorted("toml diagnostics errors"));
}

#[test]
fn the_effective_configuration() {
    use datastore_core::config::{Input, Role};
    let wanted = datastore_core::resolve::resolve(
        vec![
            Input::read("/etc/datastore.conf", Role::Globals, "", "host = \"srv\"\n"),
            Input::read(
                "/etc/datastore.d/web.conf",
                Role::Configlet,
                "web",
                "title = \"Web\"\n[mapping.\"/srv/www\"]\ntarget = \"%{base}/www\"\nowner = \"root\"\n",
            ),
        ],
        &datastore_core::resolve::Incumbents::new(),
    );
    let config = Effective::of(&wanted, None);
    let view = serde_json::to_value(&config).unwrap();
    assert_eq!(fields(&view), sorted("host store default_volume config_add volumes apps"));
    assert_eq!(fields(&view["config_add"]), sorted("enabled mount_points"));
    assert_eq!(
        fields(&view["apps"][0]),
        sorted("app title enabled services premount postmount hook_timeout files problem mappings")
    );
    let mapping = &view["apps"][0]["mappings"][0];
    assert_eq!(fields(mapping), sorted("mount_point target permissions owner group volume options premount postmount"));
    assert_eq!(
        mapping["target"],
        json!({"value": "/store/data0/live/srv/www", "origin": "/etc/datastore.d/web.conf:3:10"})
    );
    assert_eq!(mapping["group"], json!({"value": "root", "origin": null}));
    insta::assert_snapshot!(crate::view::human::effective(&config, true));
    let only = Effective::of(&wanted, Some(&AppName::parse("none").unwrap()));
    assert!(only.apps.is_empty() && only.volumes.is_empty());
}

#[test]
fn lists() {
    let volumes = [volume("data0", datastore_core::state::State::Active, None)];
    assert_eq!(names(&Volumes { volumes: &volumes }), ["volumes"]);
    assert_eq!(names(&document::Guarded { app: &"web".parse().unwrap(), ready: true }), ["app", "ready"]);
}
