//! How much there may be, so that no configlet exhausts the machine, or takes the room of the others.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use crate::config::{Layered, MAX_MAPPINGS};
use crate::value::AppName;

/// So many findings about one app are told; more help nobody.
pub(crate) const MOST_FINDINGS: usize = 100;

/// The apps that there is no room for: where all together have too many mappings, of which this is the number, those that have most, until the rest fits.
pub(super) fn excess(apps: &BTreeMap<AppName, Layered>, mut all: usize) -> HashSet<AppName> {
    if all <= MAX_MAPPINGS {
        return HashSet::new();
    }
    let mut sizes: Vec<(Reverse<usize>, &AppName)> =
        apps.iter().map(|(name, layered)| (Reverse(layered.app.mappings.len()), name)).collect();
    sizes.sort();
    let too_many = sizes.into_iter().take_while(|(size, _)| {
        let is_full = all > MAX_MAPPINGS;
        all -= size.0;
        is_full
    });
    too_many.map(|(_, name)| name.clone()).collect()
}
