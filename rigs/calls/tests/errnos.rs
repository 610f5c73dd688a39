//! Each system call of each operation failed: it is told, and the same command comes to its end afterwards; or it did no harm.

datastore_rigs_calls::each_scene!(datastore_rigs_calls::campaign::errnos);
