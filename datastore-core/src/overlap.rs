//! Two mappings must not share a mount point or a store directory, nor may one lie inside the other's store.

use std::collections::HashMap;
use std::sync::Arc;

use crate::diag::{Code, Diagnostic, Sources};
use crate::mapping::Mapping;
use crate::resolve::Incumbents;
use crate::resolve::room::MOST_FINDINGS;
use crate::state::{Reason, Refusal};
use crate::value::AppName;

/// Refuses every mapping that contradicts another one which is asked for. Where one of the two has the place already, by
/// our block in fstab, only the newcomer is refused: a configlet that is dropped in must not take another app down.
pub(crate) fn check(mappings: &mut [Mapping], sources: &Sources, incumbents: &Incumbents, found: &mut Vec<Diagnostic>) {
    let mut clashes: Vec<(usize, usize, &'static str)> = Vec::new();
    let has = |mapping: &Mapping| incumbents.get(&mapping.mount_point) == Some(&mapping.app);
    // A wrong configlet takes nothing from anybody; only what it has already is not for others to take.
    let counts = |mapping: &Mapping| mapping.enabled && (mapping.problem.is_none() || has(mapping));
    let mut order: Vec<usize> = (0..mappings.len()).filter(|&i| counts(&mappings[i])).collect();

    order.sort_by(|&a, &b| mappings[a].mount_point.cmp(&mappings[b].mount_point));
    for pair in order.windows(2) {
        if mappings[pair[0]].mount_point == mappings[pair[1]].mount_point {
            clashes.push((pair[0], pair[1], "have one mount point"));
        }
    }

    // In the order of components a directory is followed at once by what lies inside it, so the last store that was not
    // inside another one is the only one that the next can lie in.
    order.sort_by(|&a, &b| mappings[a].store.components().cmp(mappings[b].store.components()));
    let mut outer: Option<usize> = None;
    for &i in &order {
        match outer {
            Some(o) if mappings[i].store == mappings[o].store => clashes.push((o, i, "have one store directory")),
            Some(o) if mappings[i].store.is_below(&mappings[o].store) => {
                clashes.push((o, i, "have stores that lie inside one another"));
            }
            _ => outer = Some(i),
        }
    }

    let mut told: HashMap<AppName, usize> = HashMap::new();
    for (a, b, what) in clashes {
        let refused: &[usize] = match (has(&mappings[a]), has(&mappings[b])) {
            (true, false) => &[b],
            (false, true) => &[a],
            _ => &[a, b],
        };
        for &i in refused {
            let other = if i == a { b } else { a };
            let (this, that) = (&mappings[i], &mappings[other]);
            let message = format!(
                "{} of `{}` and {} of `{}` {what} ({})",
                this.mount_point,
                this.app,
                that.mount_point,
                that.app,
                sources.place(that.origins.target.unwrap_or(that.origins.mount_point)),
            );
            let span = if what == "have one mount point" {
                this.origins.mount_point
            } else {
                this.origins.target.unwrap_or(this.origins.mount_point)
            };
            let hint = format!("change one of the two, or: datastore disable {}", this.app);
            let count = told.entry(this.app.clone()).or_default();
            *count += 1;
            if *count <= MOST_FINDINGS {
                found.push(sources.diagnose(span, Code::Overlap, message.clone()).hint(hint.clone()));
            }
            // Whoever comes second is told that the place is taken; where nobody has it yet, the two contradict each other.
            let reason = if refused.len() == 1 { Reason::ClaimedElsewhere } else { Reason::ConfigInvalid };
            mappings[i].problem.get_or_insert_with(|| Arc::new(Refusal::new(reason, message, hint)));
        }
    }
}
