//! Each operation killed before and after each of its changes: `recover` and the same command come to what an undisturbed run comes to.

datastore_rigs_calls::each_scene!(datastore_rigs_calls::campaign::kills);
