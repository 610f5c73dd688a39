//! A write to a disk fails: the command says so, or it did not matter; after a boot with disks that work everything is the old or the new.

use datastore_rigs_power::experiment::{self, Most};
use datastore_rigs_power::machine::FileSystem;
use datastore_rigs_power::story::Story;

#[test]
fn of_apply() {
    experiment::failing_writes(Story::named("apply"), FileSystem::Ext4, Most(20, 400));
}

#[test]
fn of_an_import_on_ext4() {
    experiment::failing_writes(Story::named("import"), FileSystem::Ext4, Most(20, 400));
}

#[test]
fn of_an_import_on_xfs() {
    experiment::failing_writes(Story::named("import"), FileSystem::Xfs, Most(20, 400));
}

#[test]
fn of_a_move() {
    experiment::failing_writes(Story::named("move"), FileSystem::Ext4, Most(20, 400));
}

#[test]
fn of_a_move_on_xfs() {
    experiment::failing_writes(Story::named("move"), FileSystem::Xfs, Most(20, 400));
}
