//! Each operation killed half-way, and then its recovery, and the one after that: they come to what an undisturbed run comes to.

datastore_rigs_calls::each_scene!(datastore_rigs_calls::campaign::recoveries);
