//! What is different from the last look.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use datastore_core::state::State;
use datastore_core::status::{Row, VolumeRow};

/// An app and a mount point.
pub(super) type Key = (String, String);

/// How everything was when it was last looked at.
#[derive(Debug, Default)]
pub(super) struct Known {
    mappings: BTreeMap<Key, Was>,
    volumes: BTreeMap<String, State>,
}

#[derive(Debug, Clone, Copy)]
struct Was {
    state: State,
    /// Since when it is not as it should be, and whether it was bound before; `None` while it is as it should be.
    bad: Option<(Instant, bool)>,
}

/// What a look has brought.
#[derive(Debug, Default)]
pub(super) struct Changes<'a> {
    /// Mappings whose state is another one, with the one before.
    pub(super) mappings: Vec<(&'a Row, Option<State>)>,
    /// Mappings that are not there any more.
    pub(super) gone: Vec<(Key, State)>,
    /// The same of volumes.
    pub(super) volumes: Vec<(&'a VolumeRow, Option<State>)>,
    /// What is not as it should be and must be told.
    pub(super) bad: Vec<&'a Row>,
    /// What is not told yet, or may be told in other words already: it is neither bad nor well.
    pub(super) unsure: BTreeSet<(&'a str, &'a str)>,
    /// Apps that had their data at the last look and have lost it.
    pub(super) lost: BTreeSet<&'a str>,
    /// When the next of what is not told yet must be.
    pub(super) ripe: Option<Instant>,
}

impl Known {
    /// Holds a look against the one before. Mappings that an operation is at work on are on their way to somewhere and are left alone.
    pub(super) fn take<'a>(
        &mut self,
        rows: impl Iterator<Item = &'a Row>,
        of_volumes: &'a [VolumeRow],
        in_hand: &BTreeSet<Key>,
        (now, patience): (Instant, Duration),
    ) -> Changes<'a> {
        let mut changes = Changes::default();
        let mut mappings = BTreeMap::new();
        for row in rows {
            let key = (row.app.clone(), row.mount_point.clone());
            let place = (row.app.as_str(), row.mount_point.as_str());
            let before = self.mappings.remove(&key);
            if before.is_none_or(|was| was.state != row.state) {
                changes.mappings.push((row, before.map(|was| was.state)));
            }
            let mut was = Was { state: row.state, bad: before.and_then(|was| was.bad) };
            if in_hand.contains(&key) {
                changes.unsure.insert(place);
                // What it comes to is new.
                was.bad = None;
            } else if is_bad(row) {
                let was_bound = before.is_some_and(|was| matches!(was.state, State::Active | State::Drifted));
                if was_bound {
                    changes.lost.insert(&row.app);
                }
                let (since, was_bound) = *was.bad.get_or_insert((now, was_bound));
                let ripe = since + patience;
                if was_bound || now >= ripe {
                    changes.bad.push(row);
                } else {
                    changes.ripe = Some(changes.ripe.map_or(ripe, |other| other.min(ripe)));
                    changes.unsure.insert(place);
                }
                // Why a mapping is not bound may be known from the operation that failed to bind it.
                if row.reason.is_none() {
                    changes.unsure.insert(place);
                }
            } else {
                was.bad = None;
            }
            mappings.insert(key, was);
        }
        changes.gone =
            std::mem::replace(&mut self.mappings, mappings).into_iter().map(|(k, was)| (k, was.state)).collect();
        let mut volumes = BTreeMap::new();
        for row in of_volumes {
            let before = self.volumes.get(&row.volume).copied();
            if before != Some(row.state) {
                changes.volumes.push((row, before));
            }
            volumes.insert(row.volume.clone(), row.state);
        }
        self.volumes = volumes;
        changes
    }
}

/// Whether a mapping is not bound although it is asked for.
fn is_bad(row: &Row) -> bool {
    matches!(row.state, State::Refused | State::Interrupted | State::Pending)
}

#[cfg(test)]
mod tests {
    use datastore_core::state::Reason;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    fn row(app: &str, state: State) -> Row {
        Row {
            app: app.into(),
            mount_point: format!("/{app}"),
            store: String::new(),
            volume: String::new(),
            state,
            reason: (state == State::Refused).then_some(Reason::VolumeMissing),
            detail: String::new(),
            hint: String::new(),
        }
    }

    /// What is told, what is unsure and what is lost, by app.
    fn take(known: &mut Known, rows: &[Row], in_hand: &[&str], at: Instant) -> (Vec<String>, Vec<String>, Vec<String>) {
        let in_hand = in_hand.iter().map(|app| ((*app).to_owned(), format!("/{app}"))).collect();
        let changes = known.take(rows.iter(), &[], &in_hand, (at, PATIENCE));
        (
            changes.bad.iter().map(|row| row.app.clone()).collect(),
            changes.unsure.iter().map(|(app, _)| (*app).to_owned()).collect(),
            changes.lost.iter().map(|app| (*app).to_owned()).collect(),
        )
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn what_was_bound_is_told_at_once_and_what_is_new_a_moment_later() {
        let mut known = Known::default();
        let now = Instant::now();
        let (nobody, a, b) = (words(&[]), words(&["a"]), words(&["b"]));
        let first = [row("a", State::Active), row("b", State::Refused)];
        assert_eq!(take(&mut known, &first, &[], now), (nobody.clone(), b.clone(), nobody.clone()));
        let lost = [row("a", State::Refused), row("b", State::Refused)];
        let soon = now + PATIENCE / 2;
        assert_eq!(take(&mut known, &lost, &[], soon), (a.clone(), b.clone(), a.clone()));
        // Lost once.
        assert_eq!(take(&mut known, &lost, &[], now + PATIENCE), (words(&["a", "b"]), nobody.clone(), nobody.clone()));
        let well = [row("a", State::Active), row("b", State::Drifted)];
        assert_eq!(take(&mut known, &well, &[], now + PATIENCE), (nobody.clone(), nobody.clone(), nobody.clone()));
        let purpose = [row("a", State::Inactive), row("b", State::Disabled)];
        assert_eq!(take(&mut known, &purpose, &[], now + PATIENCE), (nobody.clone(), nobody.clone(), nobody));
    }

    #[test]
    fn what_an_operation_has_in_hand_is_left_alone() {
        let mut known = Known::default();
        let now = Instant::now();
        let (nobody, a) = (words(&[]), words(&["a"]));
        take(&mut known, &[row("a", State::Active)], &[], now);
        let pending = [row("a", State::Pending)];
        assert_eq!(take(&mut known, &pending, &["a"], now), (nobody.clone(), a.clone(), nobody.clone()));
        // It has come to nothing.
        assert_eq!(take(&mut known, &pending, &[], now), (nobody.clone(), a.clone(), nobody.clone()));
        // Told, and in whatever words it was told before.
        assert_eq!(take(&mut known, &pending, &[], now + PATIENCE), (a.clone(), a, nobody));
    }

    #[test]
    fn changes_are_told_once() {
        let mut known = Known::default();
        let now = Instant::now();
        let before = [row("a", State::Active), row("b", State::Active)];
        let of = |changes: &Changes<'_>| {
            let states: Vec<_> = changes.mappings.iter().map(|(row, was)| (row.app.clone(), *was)).collect();
            (states, changes.gone.iter().map(|((app, _), was)| (app.clone(), *was)).collect::<Vec<_>>())
        };
        let none = BTreeSet::new();
        let first = of(&known.take(before.iter(), &[], &none, (now, PATIENCE)));
        assert_eq!(first, (vec![("a".into(), None), ("b".into(), None)], vec![]));
        assert_eq!(of(&known.take(before.iter(), &[], &none, (now, PATIENCE))), (vec![], vec![]));
        let after = [row("b", State::Pending)];
        let changes = of(&known.take(after.iter(), &[], &none, (now, PATIENCE)));
        assert_eq!(changes, (vec![("b".into(), Some(State::Active))], vec![("a".into(), State::Active)]));
    }
}
