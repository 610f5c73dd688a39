//! The half of datastore that touches the machine.
