//! The plan checker on hooks: a plan that runs the right program at the right time passes, and each way to be wrong has its rule.

use std::collections::{BTreeMap, HashMap};

use datastore_core::AbsPath;
use datastore_core::config::{Input, Role};
use datastore_core::diag::Diagnostic;
use datastore_core::fstab::Fstab;
use datastore_core::goal::{Apps, Goal};
use datastore_core::hook::{HookBind, HookRun, Scope, When};
use datastore_core::mapping::BindOptions;
use datastore_core::mountinfo::MountTable;
use datastore_core::observed::Observed;
use datastore_core::plan::{Plan, Subject};
use datastore_core::resolve::{Incumbents, resolve};
use datastore_core::step::{Action, Step};
use datastore_core::value::Id;
use datastore_core::verify;
use datastore_core::wanted::Wanted;

const GLOBALS: &str = "host = \"h\"\n[volume.data0]\nid = \"0a906c56-3e6e-4259-b303-c44e018624ce\"\n";
const SHOP: &str = "premount = \"/pre\"\npostmount = \"-/post\"\nhook_timeout = 7\n\
                    [mapping.\"/srv/a\"]\ntarget = \"/store/data0/live/h/a\"\npostmount = \"/own\"\n\
                    [mapping.\"/srv/b\"]\ntarget = \"/store/data0/live/h/b\"\n";

fn wanted(shop: &str) -> Wanted {
    let globals = Input::read("/etc/datastore.conf", Role::Globals, "", GLOBALS);
    resolve(vec![globals, Input::read("/etc/datastore.d/shop.conf", Role::Configlet, "shop", shop)], &Incumbents::new())
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
        labels: datastore_core::label::Labels::default(),
        hooks: HashMap::new(),
        unfinished: vec![],
        running: vec![],
        progress: Vec::new(),
        mark: 0,
    }
}

fn path(text: &str) -> AbsPath {
    AbsPath::parse(text).unwrap()
}

fn told(mapping: u32, name: &str) -> HookBind {
    HookBind {
        mapping,
        mount_point: path(&format!("/srv/{name}")),
        store: path(&format!("/store/data0/live/h/{name}")),
        volume: "data0".parse().unwrap(),
        new_store: false,
    }
}

fn hook(program: &str, when: When, scope: Scope, binds: Vec<HookBind>) -> Step {
    let mapping = (scope == Scope::Mapping).then(|| binds[0].mapping);
    let (program, app) = (path(program), "shop".parse().unwrap());
    let run = HookRun { program, when, scope, app, host: Some("h".parse().unwrap()), seconds: 7, binds };
    Step { mapping, action: Action::RunHook(Box::new(run)) }
}

fn bind(mapping: u32, name: &str) -> Step {
    let HookBind { mount_point, store, .. } = told(mapping, name);
    let action = Action::Bind { store, mount_point, id: None, options: BindOptions::default() };
    Step { mapping: Some(mapping), action }
}

/// Premount of the app, bind of a with its own postmount, bind of b, postmount of the app.
fn good() -> Vec<Step> {
    let both = || vec![told(0, "a"), told(1, "b")];
    vec![
        hook("/pre", When::Premount, Scope::App, both()),
        Step { mapping: None, action: Action::Fstab { edits: vec![] } },
        bind(0, "a"),
        hook("/own", When::Postmount, Scope::Mapping, vec![told(0, "a")]),
        bind(1, "b"),
        hook("/post", When::Postmount, Scope::App, both()),
    ]
}

/// What the checker says of these steps.
fn check(steps: Vec<Step>) -> Result<(), String> {
    let subject = |name: &str| Subject {
        app: "shop".parse().unwrap(),
        mount_point: told(0, name).mount_point,
        store: told(0, name).store,
        volume: Some("data0".parse().unwrap()),
    };
    let plan = Plan {
        goal: Goal::Apply(Apps::default()),
        host: None,
        seed: Id::from_random([1; 16]),
        mappings: vec![subject("a"), subject("b")],
        steps,
        notes: vec![],
        remarks: vec![],
        loads: Vec::new(),
    };
    verify::check(plan, &wanted(SHOP), &observed()).map(drop).map_err(|error| error.chain())
}

fn run_of(step: &mut Step) -> &mut HookRun {
    let Action::RunHook(run) = &mut step.action else { panic!("this step is no hook") };
    run
}

#[test]
fn a_good_plan_passes_and_each_wrong_one_breaks_its_rule() {
    assert_eq!(wanted(SHOP).diagnostics.len(), 0, "{:?}", wanted(SHOP).diagnostics);
    check(good()).unwrap();
    let with = |change: &dyn Fn(&mut Vec<Step>)| {
        let mut steps = good();
        change(&mut steps);
        check(steps).unwrap_err()
    };
    type Case<'a> = (&'a dyn Fn(&mut Vec<Step>), &'a str);
    let cases: &[Case<'_>] = &[
        (&|s| run_of(&mut s[0]).program = path("/evil"), "does not name as this hook"),
        (&|s| run_of(&mut s[0]).program = path("/post"), "does not name as this hook"),
        (&|s| run_of(&mut s[3]).scope = Scope::App, "for another mapping than its own"),
        (&|s| s[3].mapping = Some(1), "for another mapping than its own"),
        (&|s| run_of(&mut s[0]).seconds = 0, "time limit"),
        (&|s| run_of(&mut s[0]).seconds = 86_401, "time limit"),
        (&|s| run_of(&mut s[0]).binds.clear(), "for nothing"),
        (&|s| run_of(&mut s[0]).binds[0].store = path("/etc"), "tells a hook of a mapping that is not in the plan"),
        (&|s| run_of(&mut s[0]).app = "other".parse().unwrap(), "tells a hook of a mapping that is not in the plan"),
        (&|s| run_of(&mut s[0]).binds[0].mapping = 9, "names a mapping that is not in the plan"),
        (&|s| drop(s.remove(4)), "around a bind that is not made"),
        (&|s| s.swap(0, 2), "runs a premount hook after the bind"),
        (&|s| s.swap(0, 1), "runs a premount hook after fstab names the store"),
        (&|s| s.swap(2, 3), "runs a postmount hook before the bind"),
        (&|s| s.insert(1, s[0].clone()), "for one bind a second time"),
    ];
    for (change, rule) in cases {
        let said = with(*change);
        assert!(said.contains(rule), "{rule:?} was wanted: {said}");
    }
}

#[test]
fn hooks_and_their_time_limit_are_read_in_both_languages() {
    let shop = |text: &str| {
        let wanted = wanted(text);
        assert_eq!(wanted.diagnostics.len(), 0, "{:?}", wanted.diagnostics);
        let app = &wanted.apps[0];
        let named = |hook: Option<&datastore_core::hook::Hook>| hook.map(ToString::to_string).unwrap_or_default();
        (named(app.hooks.at(When::Premount)), named(app.hooks.at(When::Postmount)), app.hook_seconds)
    };
    assert_eq!(shop(SHOP), ("/pre".into(), "-/post".into(), 7));
    let php = "<?php $mapping['/srv/a']['target'] = '%{base}/a'; $premount = '/pre'; $postmount = '-/post';";
    assert_eq!(shop(php), ("/pre".into(), "-/post".into(), 300));
    assert_eq!(shop(&format!("{php} $hook_timeout = 60;")).2, 60);
    let wrong = |text: &str| {
        let found = wanted(text).diagnostics;
        found.iter().map(Diagnostic::one_line).collect::<Vec<_>>().join("\n")
    };
    for (text, says) in [
        ("hook_timeout = 0\n", "0 is no time limit: from 1 to 86400 seconds"),
        ("hook_timeout = 86401\n", "is no time limit"),
        ("hook_timeout = -5\n", "is no time limit"),
        ("hook_timeout = \"60\"\n", "`hook_timeout` must be a whole number, not string"),
        ("hook_timeout = 1.5\n", "must be a whole number"),
        ("hook_timout = 60\n", "unknown key `hook_timout`"),
        ("<?php $hook_timeout = '60';", "`$hook_timeout` must be a whole number"),
        ("premount = \"x\"\n", "the path is relative"),
        ("premount = \"--/x\"\n", "the path is relative"),
    ] {
        assert!(wrong(text).contains(says), "{text}: {}", wrong(text));
    }
}
