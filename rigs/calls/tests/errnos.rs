//! Each system call of each operation failed: it is told, and the same command comes to its end afterwards; or it did no harm.

use datastore_rigs_calls::{campaign, scenes};

/// A test for each scene. One that is `open` shows something that is not mended yet: it is run by `cargo xtask prove` alone, which fails for it.
macro_rules! errnos {
    ($($test:ident $name:literal $(open $why:literal)?;)*) => {
        $(
            #[test]
            $(#[ignore = $why])?
            fn $test() {
                campaign::errnos($name);
            }
        )*

        #[test]
        fn no_scene_is_left_out() {
            assert_eq!(scenes::ALL, &[$($name),*]);
        }
    };
}

errnos! {
    init "init";
    apply "apply" open "EPERM for a seal is taken for a file system that has none";
    stop "stop";
    start "start";
    restart "restart";
    disable "disable";
    disable_of_nested_mount_points "disable (nested)";
    enable "enable" open "EPERM for a seal is taken for a file system that has none";
    remap "remap";
    a_directory_becomes_a_volume "volume add (directory)";
    an_image_is_formatted "volume add (format)" open "what fails behind mkfs leaves a file system, for which the same command wants to be forced";
    a_volume_is_removed "volume remove";
    import "import" open "faults in the last steps of a move are not all mended";
    import_by_rename "import (rename)" open "a rename that fails after the mount point was unsealed";
    a_move "move" open "a try whether a place can hold a tree does not say what holds";
    a_move_by_rename "move (rename)" open "faults in the last steps of a move are not all mended";
    undo_of_an_import "undo of an import" open "faults in the last steps of a move are not all mended";
    undo_of_an_import_by_rename "undo of an import (rename)" open "an owner that cannot be given leaves a tree without its identity";
    undo_of_a_move "undo of a move" open "it says that all has been taken back, and a bind is off";
    undo_of_a_move_that_keeps_what_is_new "undo of a move (keep new)" open "what was put aside has become a copy, and its receipt is gone";
    what_was_put_aside_is_reclaimed "reclaim";
    a_move_is_given_up "move (abort)" open "a copy that cannot be read is taken for none";
    a_move_goes_on "move (resume)" open "an empty place for what is put aside stays";
    recover "recover" open "a bind that fails in recovery is left to the next command";
    a_volume_of_another_machine_is_adopted "adopt" open "faults between its two operations";
    a_program_declares_an_app "config add";
    a_program_takes_an_app_back "config remove";
}
