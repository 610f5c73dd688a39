//! The power fails while what a first cut left is recovered: that too comes to the old or the new.

use datastore_rigs_power::experiment::{self, Most};
use datastore_rigs_power::machine::FileSystem;
use datastore_rigs_power::story::Story;

#[test]
fn of_apply() {
    experiment::recoveries(Story::named("apply"), FileSystem::Ext4, Most(2, 100));
}

#[test]
fn of_an_import_on_ext4() {
    experiment::recoveries(Story::named("import"), FileSystem::Ext4, Most(2, 100));
}

#[test]
fn of_an_import_on_xfs() {
    experiment::recoveries(Story::named("import"), FileSystem::Xfs, Most(2, 100));
}

#[test]
fn of_a_move() {
    experiment::recoveries(Story::named("move"), FileSystem::Xfs, Most(2, 100));
}

#[test]
fn of_a_move_on_btrfs() {
    experiment::recoveries(Story::named("move"), FileSystem::Btrfs, Most(2, 100));
}

#[test]
fn of_an_undo() {
    experiment::recoveries(Story::named("undo of an import"), FileSystem::Ext4, Most(2, 100));
}
