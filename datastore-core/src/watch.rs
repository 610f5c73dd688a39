//! What is watched while the machine runs: `[watch]` in `/etc/datastore.conf`, and what is wrong with volumes.

use serde::{Deserialize, Serialize};

use crate::alarm::{Kind, Trouble};
use crate::amount::size;
use crate::diag::{Code, Diagnostic, Sources};
use crate::observed::Space;
use crate::raw::{RawText, RawWatch};
use crate::standing::View;
use crate::state::{State, words};
use crate::status::VolumeRow;
use crate::value::VolumeName;
use crate::wanted::Volume;

words! {
    /// What is done with an app that has lost its data while it ran.
    OnLoss {
        /// The alarm is raised, and nothing else.
        Tell = "tell",
        /// Its services are stopped too.
        Stop = "stop",
    }
}

words! {
    /// What is done with an app whose data is there again.
    OnReturn {
        /// The alarm is over, and nothing else.
        Tell = "tell",
        /// Its volume is mounted if fstab has it, its data is bound, and the services that wait for it are started.
        Start = "start",
    }
}

/// How little may be left of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// So many hundredths of all.
    Percent(u8),
    /// So many; 0 for no limit.
    Amount(u64),
}

/// What `[watch]` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watching {
    /// With fewer bytes than this left for everybody a volume is nearly full.
    pub space: Limit,
    /// The same of inodes.
    pub inodes: Limit,
    /// What is done with an app that has lost its data.
    pub on_loss: OnLoss,
    /// What is done with it when its data is there again.
    pub on_return: OnReturn,
}

impl Default for Watching {
    fn default() -> Self {
        Self { space: Limit::Percent(5), inodes: Limit::Percent(5), on_loss: OnLoss::Tell, on_return: OnReturn::Tell }
    }
}

impl Limit {
    /// Reads `5%`, `20G`, `1000`, `0`. Letters stand for powers of 1024.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        const UNITS: &str = "KMGTP";
        let wrong = || format!("`{text}` is neither a share, such as 5%, nor an amount, such as 20G; 0 is no limit");
        if let Some(share) = text.strip_suffix('%') {
            return share.parse().ok().filter(|share| *share < 100).map(Self::Percent).ok_or_else(wrong);
        }
        let (digits, power) = match text.char_indices().last() {
            Some((i, unit)) if UNITS.contains(unit) => (&text[..i], UNITS.find(unit).unwrap_or(0) + 1),
            _ => (text, 0),
        };
        // Digits alone: `parse` would take a sign as well.
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let number: Option<u64> = digits.parse().ok().filter(|_| is_number);
        let factor = 1024_u64.pow(u32::try_from(power).unwrap_or(0));
        number.and_then(|number| number.checked_mul(factor)).map(Self::Amount).ok_or_else(wrong)
    }

    fn of(self, all: u64) -> u64 {
        match self {
            Self::Percent(share) => {
                u64::try_from(u128::from(all) * u128::from(share) / 100).expect("a share is less than all")
            }
            Self::Amount(amount) => amount,
        }
    }

    /// Whether too little is left. What was too little before has to grow by a fifth more, so that nobody is called each time that it goes
    /// up and down by a bit.
    #[must_use]
    pub fn is_low(self, free: u64, all: u64, was_low: bool) -> bool {
        let limit = self.of(all);
        free < if was_low { limit.saturating_add(limit / 5) } else { limit }
    }

    /// In words, behind "less than".
    fn words(self, amount: impl Fn(u64) -> String) -> String {
        match self {
            Self::Percent(share) => format!("{share} %"),
            Self::Amount(least) => amount(least),
        }
    }
}

impl Watching {
    /// What the table says.
    pub(crate) fn read(raw: &RawWatch, sources: &Sources, found: &mut Vec<Diagnostic>) -> Self {
        let mut watching = Self::default();
        let mut complain = |text: &RawText, why: String| found.push(sources.diagnose(text.span, Code::BadValue, why));
        for (text, limit) in [(&raw.space, &mut watching.space), (&raw.inodes, &mut watching.inodes)] {
            match text.as_ref().map(|text| (text, Limit::parse(&text.value))) {
                Some((_, Ok(said))) => *limit = said,
                Some((text, Err(why))) => complain(text, why),
                None => {}
            }
        }
        if let Some(text) = &raw.on_loss {
            match OnLoss::ALL.iter().find(|word| word.as_str() == text.value) {
                Some(word) => watching.on_loss = *word,
                None => complain(text, format!("`on_loss` is {}, not `{}`", either(OnLoss::ALL), text.value)),
            }
        }
        if let Some(text) = &raw.on_return {
            match OnReturn::ALL.iter().find(|word| word.as_str() == text.value) {
                Some(word) => watching.on_return = *word,
                None => complain(text, format!("`on_return` is {}, not `{}`", either(OnReturn::ALL), text.value)),
            }
        }
        watching
    }
}

/// "`a` or `b`".
fn either<T: std::fmt::Display>(all: &[T]) -> String {
    all.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ")
}

/// Everything that is wrong with volumes. `was` tells whether an alarm is open already.
#[must_use]
pub fn troubles(view: &View<'_>, rows: &[VolumeRow], was: impl Fn(Kind, &VolumeName) -> bool) -> Vec<Trouble> {
    let facts = view.observed.volumes.iter().map(|facts| facts.space);
    let all = view.wanted.volumes.iter().zip(rows).zip(facts.chain(std::iter::repeat(None)));
    all.flat_map(|((volume, row), space)| of_volume(view, volume, row, space, &was)).collect()
}

fn of_volume(
    view: &View<'_>,
    volume: &Volume,
    row: &VolumeRow,
    space: Option<Space>,
    was: impl Fn(Kind, &VolumeName) -> bool,
) -> Vec<Trouble> {
    let mut all = Vec::new();
    let mut note = |kind: Kind, detail: String, hint: String| {
        let (volume, path) = (volume.name.clone(), volume.path.clone());
        all.push(Trouble { kind, volume, path, state: row.state, reason: row.reason, detail, hint });
    };
    if row.state != State::Active {
        // One that nothing is kept on may be away.
        if row.state == State::Refused && row.mappings > 0 {
            note(Kind::Volume, row.detail.clone(), row.hint.clone());
        }
        return all;
    }
    if row.read_only && !is_meant_to_be_read(view, volume) {
        let hint = format!("look why: dmesg; once its disk is well: mount -o remount,rw {}", volume.path);
        note(Kind::ReadOnly, format!("nothing can be written to {}: it is read-only", volume.path), hint);
    }
    let Some(space) = space else { return all };
    let limits = view.wanted.watch;
    let hint = || "see what fills it: datastore usage".to_owned();
    // What is kept for root counts as full: the apps cannot write to it.
    let (free, most) = (space.bytes_available, space.bytes.saturating_sub(space.bytes_free - space.bytes_available));
    if limits.space.is_low(free, most, was(Kind::Space, &volume.name)) {
        let detail = format!("{} of {} are free, less than {}", size(free), size(most), limits.space.words(size));
        note(Kind::Space, detail, hint());
    }
    let (free, most) = (space.inodes_free, space.inodes);
    // Where there are as many as there is room they are not counted.
    if most > 0 && limits.inodes.is_low(free, most, was(Kind::Inodes, &volume.name)) {
        let limit = limits.inodes.words(|n| n.to_string());
        note(Kind::Inodes, format!("{free} of {most} inodes are free, less than {limit}"), hint());
    }
    all
}

/// Whether somebody has said that nothing is to be written there.
fn is_meant_to_be_read(view: &View<'_>, volume: &Volume) -> bool {
    let says = |options: &str| options.split(',').any(|option| option == "ro");
    let by_fstab = view
        .observed
        .fstab
        .entries()
        .any(|row| row.entry.mount_point().as_ref() == Some(&volume.path) && row.entry.has_option("ro"));
    by_fstab || volume.options.as_deref().is_some_and(says)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limits_are_shares_or_amounts() {
        for (text, limit) in [
            ("5%", Limit::Percent(5)),
            ("0%", Limit::Percent(0)),
            ("99%", Limit::Percent(99)),
            ("0", Limit::Amount(0)),
            ("1000", Limit::Amount(1000)),
            ("20G", Limit::Amount(20 << 30)),
            ("3K", Limit::Amount(3 << 10)),
            ("2P", Limit::Amount(2 << 50)),
        ] {
            assert_eq!(Limit::parse(text), Ok(limit), "{text}");
        }
        for text in ["", "%", "G", "100%", "-1%", "5.5%", "+5", "-5", "5 %", "5GiB", "5g", "99999999P", "é", "5é", "٣"]
        {
            assert!(Limit::parse(text).unwrap_err().contains(text), "{text}");
        }
    }

    #[test]
    fn what_was_low_has_to_grow_by_a_fifth_more() {
        let limit = Limit::Percent(10);
        let is_low = |free, was| limit.is_low(free, 1000, was);
        assert_eq!([is_low(99, false), is_low(100, false)], [true, false]);
        assert_eq!([is_low(100, true), is_low(119, true), is_low(120, true)], [true, true, false]);
        assert!(!Limit::Amount(0).is_low(0, 1000, false) && !Limit::Percent(0).is_low(0, 1000, true));
        // More than there is: it is always low.
        assert!(Limit::Amount(u64::MAX).is_low(1000, 1000, true));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_is_kept(text in "\\PC{0,8}|[0-9]{1,22}[KMGTP%]?", free: u64, all: u64, was: bool) {
            if let Ok(limit) = Limit::parse(&text) {
                let _ = limit.is_low(free, all, was);
                prop_assert!(limit.is_low(free, all, true) || !limit.is_low(free, all, false));
            }
        }
    }
}
