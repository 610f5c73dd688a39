//! The power fails at any moment of any command, on any of three file systems: the machine comes back with the old or the new.

use datastore_rigs_power::experiment::{self, Most};
use datastore_rigs_power::machine::FileSystem;
use datastore_rigs_power::story::Story;

/// One test for each story on each file system, with how many states of each telling are looked at for a commit and for a release.
macro_rules! cuts {
    ($($story:ident $name:literal $share:literal $release:literal;)*) => {$(
        mod $story {
            use super::*;

            #[test]
            fn ext4() {
                experiment::cuts(Story::named($name), FileSystem::Ext4, Most($share, $release));
            }

            #[test]
            fn xfs() {
                experiment::cuts(Story::named($name), FileSystem::Xfs, Most($share, $release));
            }

            #[test]
            fn btrfs() {
                experiment::cuts(Story::named($name), FileSystem::Btrfs, Most($share, $release));
            }
        }
    )*};
}

cuts! {
    init "init" 10 300;
    volume_add "volume add" 10 300;
    volume_remove "volume remove" 10 300;
    apply "apply" 40 600;
    stop "stop" 10 300;
    start "start" 10 300;
    disable "disable" 10 300;
    remap "remap" 10 300;
    import "import" 40 1000;
    a_move "move" 40 1000;
    move_by_rename "move (rename)" 10 400;
    undo_of_an_import "undo of an import" 10 400;
    undo_of_a_move "undo of a move" 10 400;
    reclaim "reclaim" 10 400;
}
