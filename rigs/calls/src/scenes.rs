//! Every scene as a test of its own, so that they run side by side.

/// The names of all scenes.
pub const ALL: &[&str] = crate::each_scene!(names);

/// Makes a test of each scene, which calls a function with the scene's name; or `names`: the names alone.
#[macro_export]
macro_rules! each_scene {
    (names) => { $crate::each_scene!(@with names) };
    ($campaign:path) => { $crate::each_scene!(@with tests $campaign); };
    (@with $($what:tt)+) => {
        $crate::each_scene! { @do [$($what)+]
            init "init";
            apply "apply";
            apply_with_hooks "apply (hooks)";
            stop "stop";
            start "start";
            restart "restart";
            disable "disable";
            disable_of_nested_mount_points "disable (nested)";
            enable "enable";
            remap "remap";
            a_directory_becomes_a_volume "volume add (directory)";
            an_image_is_formatted "volume add (format)";
            a_volume_is_removed "volume remove";
            import "import";
            import_by_rename "import (rename)";
            a_move "move";
            a_move_by_rename "move (rename)";
            undo_of_an_import "undo of an import";
            undo_of_an_import_by_rename "undo of an import (rename)";
            undo_of_a_move "undo of a move";
            undo_of_a_move_that_keeps_what_is_new "undo of a move (keep new)";
            what_was_put_aside_is_reclaimed "reclaim";
            a_move_is_given_up "move (abort)";
            a_move_goes_on "move (resume)";
            recover "recover";
            a_volume_of_another_machine_is_adopted "adopt";
            a_program_declares_an_app "config add";
            a_program_takes_an_app_back "config remove";
        }
    };
    (@do [names] $($test:ident $name:literal;)+) => { &[$($name),+] };
    (@do [tests $campaign:path] $($test:ident $name:literal;)+) => {
        $(
            #[test]
            fn $test() {
                $campaign($name);
            }
        )+
    };
}

#[cfg(test)]
mod tests {
    use datastore_tests::scenes::SCENES;

    #[test]
    fn no_scene_is_left_out() {
        let mut known = super::ALL.to_vec();
        let mut scenes: Vec<&str> = SCENES.iter().map(|scene| scene.name).collect();
        known.sort_unstable();
        scenes.sort_unstable();
        assert_eq!(known, scenes);
    }
}
