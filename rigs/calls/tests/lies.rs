//! Copies of data that say they are made and are not: found out before the original is given up.

use datastore_rigs_calls::campaign::lies;

#[test]
fn import() {
    lies("import");
}

#[test]
fn a_move() {
    lies("move");
}

#[test]
fn undo_of_a_move_that_keeps_what_is_new() {
    lies("undo of a move (keep new)");
}
