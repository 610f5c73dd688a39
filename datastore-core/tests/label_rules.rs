//! The plan checker on labels of SELinux: a plan that labels a new store before its bind passes, and each way to be wrong has its rule.

use std::collections::{BTreeMap, HashMap};

use datastore_core::AbsPath;
use datastore_core::config::{Input, Role};
use datastore_core::fstab::Fstab;
use datastore_core::goal::{Apps, Goal};
use datastore_core::label::{Label, Labels};
use datastore_core::mapping::BindOptions;
use datastore_core::mountinfo::MountTable;
use datastore_core::observed::Observed;
use datastore_core::plan::{Plan, Subject};
use datastore_core::resolve::{Incumbents, resolve};
use datastore_core::step::{Action, Step};
use datastore_core::value::{Attrs, Id};
use datastore_core::verify;
use datastore_core::wanted::Wanted;

const GLOBALS: &str = "host = \"h\"\n[volume.data0]\nid = \"0a906c56-3e6e-4259-b303-c44e018624ce\"\n";
const SHOP: &str = "[mapping.\"/srv/a\"]\ntarget = \"/store/data0/live/h/a\"\n";
const STORE: &str = "/store/data0/live/h/a";
const POINT: &str = "/srv/a";

fn path(text: &str) -> AbsPath {
    AbsPath::parse(text).unwrap()
}

fn wanted() -> Wanted {
    let globals = Input::read("/etc/datastore.conf", Role::Globals, "", GLOBALS);
    resolve(vec![globals, Input::read("/etc/datastore.d/shop.conf", Role::Configlet, "shop", SHOP)], &Incumbents::new())
}

fn observed() -> Observed {
    Observed {
        privileged: true,
        systemd: false,
        now: 0,
        boot: None,
        mounts: MountTable::parse(Vec::new()).unwrap(),
        fstab: Fstab::parse(b""),
        fstab_fixed: None,
        volumes: vec![],
        mappings: vec![],
        manifests: BTreeMap::new(),
        users: HashMap::new(),
        groups: HashMap::new(),
        labels: Labels { on: true, ..Labels::default() },
        hooks: HashMap::new(),
        unfinished: vec![],
        running: vec![],
        progress: Vec::new(),
        mark: 0,
    }
}

fn make(at: &str) -> Action {
    Action::MakeDir { path: path(at), attrs: Attrs::root(0o755), id: None, shared: false }
}

fn set(at: &str, gets: Label) -> Action {
    Action::SetLabel { path: path(at), had: None, gets }
}

fn keep(mount_point: &str, store: &str) -> Action {
    Action::KeepLabels { mount_point: path(mount_point), store: path(store) }
}

fn bind() -> Action {
    Action::Bind { store: path(STORE), mount_point: path(POINT), id: None, options: BindOptions::default() }
}

/// What the checker says of these steps.
fn check(actions: Vec<Action>) -> Result<(), String> {
    let volume = Some("data0".parse().unwrap());
    let subject = Subject { app: "shop".parse().unwrap(), mount_point: path(POINT), store: path(STORE), volume };
    let plan = Plan {
        goal: Goal::Apply(Apps::default()),
        host: None,
        seed: Id::from_random([1; 16]),
        mappings: vec![subject],
        steps: actions.into_iter().map(|action| Step { mapping: Some(0), action }).collect(),
        notes: vec![],
        remarks: vec![],
        loads: Vec::new(),
    };
    verify::check(plan, &wanted(), &observed()).map(drop).map_err(|error| error.chain())
}

#[test]
fn a_good_plan_passes_and_each_wrong_one_breaks_its_rule() {
    let of = |at: &str| Label::Of(path(at));
    for gets in [of(POINT), Label::Policy(path(POINT))] {
        check(vec![keep(POINT, STORE), make(STORE), make(POINT), set(STORE, gets), bind()]).unwrap();
    }
    for (actions, rule) in [
        (vec![make(POINT), set("/etc", of(POINT))], "labels a directory that is no store directory"),
        (vec![make(STORE), make(POINT), bind(), set(STORE, of(POINT))], "labels a store after it was bound"),
        (vec![make(STORE), set(STORE, of("/usr"))], "takes a label from what is no mount point"),
        (vec![make(STORE), set(STORE, Label::Policy(path("/usr")))], "takes a label from what is no mount point"),
        (vec![make(STORE), set(STORE, Label::Is("t".into()))], "gives a label that no mount point has"),
        (vec![keep("/srv/b", STORE)], "tells the policy of directories that are of no mapping"),
        (vec![keep(POINT, "/etc")], "tells the policy of directories that are of no mapping"),
    ] {
        let told = check(actions).unwrap_err();
        assert!(told.contains(rule), "{rule}: {told}");
    }
}

#[test]
fn the_way_back_of_a_label_is_the_one_that_was_there() {
    let gets = Label::Of(path(POINT));
    assert_eq!(set(STORE, gets.clone()).inverse(), None, "a directory that the plan makes goes with its label");
    let over = Action::SetLabel { path: path(STORE), had: Some("old\0".into()), gets };
    assert_eq!(over.inverse(), Some(set(STORE, Label::Is("old\0".into()))));
    // A plan that is kept holds it, as JSON.
    let text = serde_json::to_string(&over).unwrap();
    assert_eq!(serde_json::from_str::<Action>(&text).unwrap(), over, "{text}");
    assert_eq!(over.to_string(), "give /store/data0/live/h/a the SELinux label of /srv/a");
}
