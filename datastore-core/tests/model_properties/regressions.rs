//! What the properties found, each as the shortest story that showed it.

use datastore_core::AbsPath;
use datastore_core::goal::{Apps, Goal};
use datastore_core::model::scenario::base;
use datastore_core::model::{Event, Machine, Pulse, Report};
use datastore_core::state::{Reason, State};
use datastore_core::value::AppName;

use super::{ASKED_FOR, Trouble, ask, fstab_text, run, seed};

fn path(text: &str) -> AbsPath {
    AbsPath::parse(text).unwrap()
}

/// The machine of the scenarios with these configlets: an app, and the pairs of mount point and target.
fn machine(apps: &[(&str, &[(&str, &str)])]) -> Machine {
    let mut m = Machine::new();
    base().iter().for_each(|event| m.disturb(event));
    apps.iter().for_each(|(app, mappings)| configlet(&mut m, app, "", mappings));
    m
}

fn configlet(m: &mut Machine, app: &str, head: &str, mappings: &[(&str, &str)]) {
    let all = mappings.iter().map(|(at, to)| format!("[mapping.\"{at}\"]\ntarget = \"%{{base}}/{to}\"\n"));
    let text: String = std::iter::once(head.to_owned()).chain(all).collect();
    m.disturb(&Event::Write(path(&format!("/etc/datastore.d/{app}.conf")), text));
}

fn named(names: &[&str]) -> Apps {
    Apps::named(names.iter().map(|name| AppName::parse(name).unwrap()).collect())
}

/// Asks with everything watched.
#[track_caller]
fn does(m: &mut Machine, goal: &Goal) -> Report {
    run(m, goal, 1).unwrap_or_else(|why| panic!("{goal}: {why}"))
}

#[track_caller]
fn applied(apps: &[(&str, &[(&str, &str)])]) -> Machine {
    let mut m = machine(apps);
    let report = does(&mut m, &Goal::Apply(Apps::default()));
    assert!(report.is_clean(), "{report:?}");
    m
}

fn shows(m: &Machine, point: &str, store: &str) -> bool {
    let ino = |at: &str| m.reach(&path(at)).map(|at| at.ino).ok();
    ino(point).is_some() && ino(point) == ino(&format!("/store/data0/live/server1/{store}"))
}

fn is_sealed(m: &Machine, at: &str) -> bool {
    let node = m.tree.node(m.reach(&path(at)).unwrap().ino);
    node.attrs.mode.bits() == 0 && node.immutable
}

#[test]
fn a_configlet_dropped_in_around_an_app_does_not_keep_it_up() {
    let mut m = applied(&[("alpha", &[("/srv/a", "a")])]);
    configlet(&mut m, "delta", "", &[("/srv", "b")]);
    let report = does(&mut m, &Goal::Stop(named(&["alpha"])));
    assert!(report.is_clean() && is_sealed(&m, "/srv/a"), "{report:?}");
}

#[test]
fn what_lies_in_a_foreign_mount_is_refused_and_not_tried() {
    let mut m = applied(&[("alpha", &[("/srv", "a"), ("/srv/a", "b")])]);
    m.disturb(&Event::Bind(path("/disks/other"), path("/srv")));
    assert!(does(&mut m, &Goal::Start(named(&["alpha"]))).failed.is_empty());
    let mut m = applied(&[("alpha", &[("/srv", "a"), ("/srv/a/in", "b")])]);
    m.disturb(&Event::Bind(path("/disks/other"), path("/srv/a")));
    let report = does(&mut m, &Goal::Apply(Apps::default()));
    assert!(report.notes.iter().any(|row| row.reason == Some(Reason::ForeignMount)), "{report:?}");
    // Also if only fstab still knows the outer one.
    let mut m = applied(&[("beta", &[("/srv", "a")]), ("alpha", &[("/srv/a/in", "b")])]);
    m.disturb(&Event::Remove(path("/etc/datastore.d/beta.conf")));
    m.disturb(&Event::Bind(path("/disks/other"), path("/srv/a")));
    let report = does(&mut m, &Goal::Start(named(&["alpha"])));
    assert!(report.failed.is_empty() && report.notes[0].reason == Some(Reason::ForeignMount), "{report:?}");
}

#[test]
fn a_line_of_somebody_else_is_not_taken_by_a_stop() {
    let mut m = machine(&[]);
    m.disturb(&Event::AddLine("LABEL=old /srv/a ext4 defaults 0 2".into()));
    let text = "[mapping.\"/srv/a\"]\ntarget = \"%{base}/a\"\nvolume = \"data9\"\n";
    m.disturb(&Event::Write(path("/etc/datastore.d/alpha.conf"), text.into()));
    let before = fstab_text(&m);
    does(&mut m, &Goal::Stop(named(&["alpha"])));
    assert_eq!(fstab_text(&m), before);
}

#[test]
fn a_line_of_somebody_else_is_not_taken_for_a_bind_that_has_lost_its_own() {
    let mut m = applied(&[("alpha", &[("/srv/a", "a")])]);
    m.disturb(&Event::DropLine(path("/srv/a")));
    m.disturb(&Event::AddLine("LABEL=old /srv/a ext4 defaults 0 2".into()));
    let before = fstab_text(&m);
    does(&mut m, &Goal::Stop(named(&["alpha"])));
    assert_eq!(fstab_text(&m), before);
    assert!(is_sealed(&m, "/srv/a"), "{}", m.picture());
}

#[test]
fn a_stop_that_a_foreign_line_came_between_still_ends() {
    let mut m = applied(&[("alpha", &[("/srv/a", "a")])]);
    m.disturb(&Event::AddLine("LABEL=old /srv/a ext4 defaults 0 2".into()));
    m.disturb(&Event::Unmount(path("/srv/a")));
    does(&mut m, &Goal::Stop(named(&["alpha"])));
    assert!(fstab_text(&m).contains("noauto"), "{}", fstab_text(&m));
}

#[test]
fn a_restart_does_not_take_off_what_could_not_be_put_on_again() {
    let mut m = applied(&[("alpha", &[("/srv/a", "a")])]);
    m.disturb(&Event::Remove(path("/store/data0/live/server1/a")));
    let report = does(&mut m, &Goal::Restart(named(&["alpha"])));
    assert!(report.plan.is_none() && report.notes[0].reason == Some(Reason::WrongStore), "{report:?}");
    let mut m = applied(&[("alpha", &[("/srv/a", "a")])]);
    m.disturb(&Event::AddLine("LABEL=old /srv/a ext4 defaults 0 2".into()));
    let report = does(&mut m, &Goal::Restart(named(&["alpha"])));
    assert!(report.notes[0].reason == Some(Reason::ForeignMount) && shows(&m, "/srv/a", "a"), "{report:?}");
}

#[test]
fn a_restart_after_an_edit_makes_inner_mount_points_in_the_new_store() {
    let mut m = applied(&[("alpha", &[("/srv", "a"), ("/srv/a", "b")])]);
    configlet(&mut m, "alpha", "", &[("/srv", "c"), ("/srv/a", "b")]);
    let report = does(&mut m, &Goal::Restart(named(&["alpha"])));
    assert!(report.is_clean() && shows(&m, "/srv", "c") && shows(&m, "/srv/a", "b"), "{report:?}");
}

#[test]
fn an_app_that_shares_a_mount_point_has_no_hand_in_the_bind_of_the_other() {
    let mut m = applied(&[("beta", &[("/srv/a", "a")])]);
    configlet(&mut m, "alpha", "enabled = false\n", &[("/srv/a", "a")]);
    for goal in [Goal::Stop(named(&["alpha"])), Goal::Disable(named(&["alpha"]))] {
        does(&mut m, &goal);
        assert!(shows(&m, "/srv/a", "a") && !fstab_text(&m).contains("noauto"), "{goal}");
    }
    // Both at once, where only one of them is bound.
    let report = does(&mut m, &Goal::Disable(named(&["alpha", "beta"])));
    assert!(report.is_clean() && !shows(&m, "/srv/a", "a"), "{report:?}");
}

#[test]
fn a_wrong_configlet_takes_no_place_that_nobody_has_yet() {
    let mut m = machine(&[("alpha", &[("/srv/a", "a")])]);
    configlet(&mut m, "zeta", "titel = \"A typo\"\n", &[("/srv/a", "a")]);
    does(&mut m, &Goal::Apply(Apps::default()));
    assert!(shows(&m, "/srv/a", "a"));
}

#[test]
fn what_a_wrong_configlet_has_already_is_still_its_own() {
    let mut m = applied(&[("zeta", &[("/srv/a", "a")])]);
    configlet(&mut m, "zeta", "titel = \"A typo\"\n", &[("/srv/a", "a")]);
    configlet(&mut m, "alpha", "", &[("/srv/b", "a")]);
    let report = does(&mut m, &Goal::Apply(Apps::default()));
    assert!(report.notes.iter().any(|row| row.reason == Some(Reason::ClaimedElsewhere)), "{report:?}");
    assert!(shows(&m, "/srv/a", "a") && !shows(&m, "/srv/b", "a"));
}

#[test]
fn a_mapping_that_fails_takes_no_other_one_with_it() {
    let before = machine(&[("alpha", &[("/srv/a", "a")])]);
    let text = "[mapping.\"/srv/b\"]\ntarget = \"%{base}/b\"\nvolume = \"data1\"\n";
    let mut before = before;
    before.disturb(&Event::Write(path("/etc/datastore.d/beta.conf"), text.into()));
    let mut whole = before.clone();
    let goal = Goal::Apply(Apps::default());
    let (_, changes) = ask(&mut whole, &goal, 1, Trouble::default()).unwrap();
    let mut alone = 0;
    for at in 0..changes {
        let mut m = before.clone();
        let trouble = Trouble { fault_at: Some((at, Reason::MountFailed)), ..Trouble::default() };
        let report = ask(&mut m, &goal, 1, trouble).unwrap().0.unwrap();
        if report.error.is_none() && report.failed.len() == 1 {
            assert_eq!(report.failed[0].detail, ASKED_FOR);
            let up = [shows(&m, "/srv/a", "a"), m.reach(&path("/srv/b")).is_ok_and(|at| m.is_mount_root(at))];
            assert_eq!(up.iter().filter(|up| **up).count(), 1, "change {at}");
            alone += 1;
        }
    }
    assert!(alone >= 8, "only {alone} of {changes} changes serve one mapping alone");
}

#[test]
fn forgotten_binds_come_off_together_and_leave_no_seal() {
    for head in ["", "titel = \"A typo\"\n"] {
        let mut m = applied(&[("alpha", &[("/srv/a", "a"), ("/srv/a/in", "b")])]);
        match head {
            "" => m.disturb(&Event::Remove(path("/etc/datastore.d/alpha.conf"))),
            head => configlet(&mut m, "alpha", head, &[("/srv/a", "a"), ("/srv/a/in", "b")]),
        }
        let report = does(&mut m, &Goal::Disable(named(&["alpha"])));
        assert!(report.is_clean() && report.stuck.is_empty(), "{report:?}");
        assert!(!is_sealed(&m, "/srv/a") && !is_sealed(&m, "/store/data0/live/server1/a/in"));
    }
}

#[test]
fn a_forgotten_bind_whose_volume_is_away_is_told_and_left() {
    let mut m = machine(&[]);
    let text = "[mapping.\"/srv/a\"]\ntarget = \"%{base}/a\"\nvolume = \"data1\"\n";
    m.disturb(&Event::Write(path("/etc/datastore.d/alpha.conf"), text.into()));
    does(&mut m, &Goal::Apply(Apps::default()));
    m.disturb(&Event::Remove(path("/etc/datastore.d/alpha.conf")));
    m.disturb(&Event::Unmount(path("/store/data1")));
    let report = does(&mut m, &Goal::Disable(named(&["alpha"])));
    let row = &report.notes[0];
    assert!(
        report.plan.is_none() && row.state == State::Refused && row.reason == Some(Reason::ForeignMount),
        "{row:?}"
    );
}

#[test]
fn a_remap_leaves_no_seal_where_nothing_is_mapped_any_more() {
    let mut m = applied(&[("alpha", &[("/srv", "a")])]);
    configlet(&mut m, "alpha", "", &[("/srv/a", "b")]);
    let report = does(&mut m, &Goal::Remap(named(&["alpha"])));
    assert!(report.is_clean() && !is_sealed(&m, "/srv"), "{report:?}");
    let report = does(&mut m, &Goal::Start(named(&["alpha"])));
    assert!(report.is_clean() && shows(&m, "/srv/a", "b"), "{report:?}");
}

#[test]
fn a_second_line_for_the_same_bind_does_not_keep_a_plan_from_being_empty() {
    let mut m = applied(&[("alpha", &[("/srv/a", "a")])]);
    m.disturb(&Event::AddLine("/store/data0/live/server1/a /srv/a none bind 0 0".into()));
    let goal = Goal::Remap(named(&["alpha"]));
    does(&mut m, &goal);
    assert!(m.plan(&goal, seed(2)).unwrap().plan().is_empty());
}

#[test]
fn a_mapping_that_is_blocked_brings_nothing_to_the_disk() {
    let mut m = applied(&[("alpha", &[("/srv", "a"), ("/srv/a", "b")])]);
    m.disturb(&Event::Bind(path("/disks/other"), path("/srv/a")));
    configlet(&mut m, "alpha", "", &[("/srv", "c"), ("/srv/a", "b")]);
    let goal = Goal::Remap(named(&["alpha"]));
    let plan = m.plan(&goal, seed(1)).unwrap();
    assert!(plan.plan().is_empty() && plan.plan().refused() > 0, "{:?}", plan.plan());
    let mut nobody = |_: &Machine| {};
    assert_eq!(m.run(&goal, seed(1), &mut Pulse::quiet(&mut nobody)).unwrap().exit(), 3);
}

#[test]
fn what_lies_in_a_forgotten_bind_that_somebody_took_off_waits() {
    let mut m = applied(&[("beta", &[("/srv", "b")])]);
    configlet(&mut m, "alpha", "", &[("/srv/a", "a")]);
    m.disturb(&Event::Remove(path("/etc/datastore.d/beta.conf")));
    m.disturb(&Event::Unmount(path("/srv")));
    let report = does(&mut m, &Goal::Start(named(&["alpha"])));
    let [row] = &report.notes[..] else { panic!("{report:?}") };
    assert!(report.failed.is_empty() && row.state == State::Waiting, "{report:?}");
    assert!(row.detail.contains("/srv of `beta`") && row.hint.contains("datastore disable beta"), "{row:?}");
    does(&mut m, &Goal::Disable(named(&["beta"])));
    let report = does(&mut m, &Goal::Start(named(&["alpha"])));
    assert!(report.is_clean() && shows(&m, "/srv/a", "a"), "{report:?}");
}

#[test]
fn a_disable_after_an_edit_of_the_outer_mapping_unseals_in_the_store_that_is_bound() {
    let mut m = applied(&[("beta", &[("/srv", "a"), ("/srv/b", "c")]), ("alpha", &[("/srv/c", "b")])]);
    configlet(&mut m, "beta", "", &[("/srv", "d"), ("/srv/b", "c")]);
    let report = does(&mut m, &Goal::Disable(named(&["beta"])));
    assert_eq!(report.notes[0].reason, Some(Reason::Busy), "{report:?}");
    assert!(shows(&m, "/srv", "a") && !shows(&m, "/srv/b", "c") && !is_sealed(&m, "/srv/b"), "{}", m.picture());
}

#[test]
fn a_store_that_was_copied_by_hand_gets_its_own_identity_back() {
    let mut m = applied(&[("alpha", &[("/srv/a", "a")])]);
    configlet(&mut m, "alpha", "", &[("/srv/a", "new")]);
    does(&mut m, &Goal::Remap(named(&["alpha"])));
    let store = |name: &str| path(&format!("/store/data0/live/server1/{name}"));
    let id = |m: &Machine, name: &str| m.tree.node(m.reach(&store(name)).unwrap().ino).id;
    let (old, new) = (id(&m, "a"), id(&m, "new"));
    assert!(old.is_some() && new.is_some() && old != new);
    // `cp -a a/. new/` copies the attributes of the directory itself.
    m.disturb(&Event::Identity(store("new"), old));
    let report = does(&mut m, &Goal::Start(named(&["alpha"])));
    assert!(report.is_clean() && shows(&m, "/srv/a", "new"), "{report:?}");
    assert_eq!((id(&m, "a"), id(&m, "new")), (old, new));
    // The identity of any other store is as wrong as it was.
    does(&mut m, &Goal::Stop(named(&["alpha"])));
    m.disturb(&Event::Identity(store("new"), Some(seed(77))));
    let report = does(&mut m, &Goal::Start(named(&["alpha"])));
    assert!(report.notes[0].reason == Some(Reason::WrongStore) && !shows(&m, "/srv/a", "new"), "{report:?}");
}
