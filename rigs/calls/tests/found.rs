//! What has been found by faults at random places, tried at exactly these places each time.

use datastore_rigs::tracer::Sysno;
use datastore_rigs_calls::copies;
use datastore_rigs_calls::fault::{self, Fault, Met};
use datastore_rigs_calls::trial::{Came, Trial};
use datastore_tests::scenes::Scene;

/// Puts a fault into each call of a scene that is like this one, but into so many at most; all must come right.
#[track_caller]
fn each(name: &str, fault: Fault, most: usize, is_it: impl Fn(&Met) -> bool) -> Vec<Came> {
    let trial = Trial::of(Scene::named(name));
    let calls = trial.record(fault::all);
    let places: Vec<usize> = (0..calls.len()).filter(|at| is_it(&calls[*at])).take(most).collect();
    assert!(!places.is_empty(), "{name}: no call is like this");
    let came = places.iter().map(|at| trial.one(fault::all, *at, fault));
    came.collect::<Result<_, _>>().unwrap_or_else(|why| panic!("{why}"))
}

fn is_about(met: &Met, end: &str) -> bool {
    met.call.paths().iter().any(|path| path.to_string_lossy().ends_with(end))
}

#[test]
fn configuration_that_cannot_be_read_is_not_taken_for_none() {
    let opens = |met: &Met| met.call.number == Sysno::openat && is_about(met, "/etc/datastore.d");
    let came = each("apply", Fault::Fails(libc::EIO), 1, opens);
    assert_eq!(came, [Came::Refused]);
}

#[test]
fn data_of_an_app_of_which_nothing_can_be_read_is_not_told_to_be_moved() {
    for name in ["mail.conf", "datastore.conf"] {
        let opens = |met: &Met| met.call.number == Sysno::openat && is_about(met, name);
        assert_eq!(each("move (rename)", Fault::Fails(libc::EIO), 1, opens), [Came::Refused], "{name}");
    }
}

#[test]
fn where_no_thread_can_be_had_the_work_is_done_without() {
    for name in ["import", "reclaim"] {
        each(name, Fault::Fails(libc::EAGAIN), 8, |met| met.call.number == Sysno::clone3);
    }
}

#[test]
fn what_was_removed_is_not_said_to_be_taken_back() {
    let removes = |met: &Met| met.call.number == Sysno::unlinkat && is_about(met, "/cur/1");
    assert_eq!(each("reclaim", Fault::Fails(libc::EIO), 1, removes), [Came::Failed]);
}

#[test]
fn a_place_of_what_was_put_aside_is_removed_by_recovery_too() {
    let removes = |met: &Met| met.call.number == Sysno::unlinkat && is_about(met, "/.going-mail%2Fin");
    assert_eq!(each("reclaim", Fault::KillAfter, 1, removes), [Came::Killed]);
}

#[test]
fn a_copy_of_a_file_with_two_names_that_was_found_wrong_is_made_anew() {
    let trial = Trial::of(Scene::named("import"));
    let calls = trial.record(copies::counts);
    let writes = |met: &Met| met.call.number == Sysno::pwrite64 && (is_about(met, "/cur/1") || is_about(met, "/same"));
    let at = calls.iter().position(writes).expect("the file is written");
    // Where a later pass writes the file once more, nothing of it is left to be found.
    let _is_caught = copies::lied(&trial, at, Fault::FlipsAByte).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn a_store_that_a_manifest_still_tells_of_is_not_removed() {
    let trial = Trial::of(Scene::named("apply"));
    let syncs = trial.record(fault::syncing);
    let at = syncs.iter().position(|met| is_about(met, ".tmp") && is_fstab(met)).expect("fstab is synced");
    trial.one(fault::syncing, at, Fault::FailsFromHere(libc::EIO)).unwrap_or_else(|why| panic!("{why}"));
}

fn is_fstab(met: &Met) -> bool {
    met.call.paths().iter().any(|path| path.to_string_lossy().contains("/etc/.fstab."))
}
