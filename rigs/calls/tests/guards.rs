//! The guard fails closed, whichever of its calls fails.

#[test]
fn whatever_fails_no_app_starts_without_its_data() {
    datastore_rigs_calls::guards::guards();
}
