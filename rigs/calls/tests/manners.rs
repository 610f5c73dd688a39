//! What each operation does undisturbed: no path that users could swap is resolved, and a second run changes nothing.

datastore_rigs_calls::each_scene!(datastore_rigs_calls::campaign::manners);
