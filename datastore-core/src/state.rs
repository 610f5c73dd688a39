//! The states of a mapping and the reasons of a refusal. These words are part of the interface: the command line, JSON,
//! C and PHP all show them.

use serde::{Deserialize, Serialize};

/// Makes a fieldless enum whose variants are words, listed in `ALL` for tests that must know every one.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant,)*
        }
        impl $name {
            /// Every word.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

pub(crate) use words;

words! {
    /// What a mapping is (DESIGN 6).
    State {
        /// Bound, with the right store, mode and owner.
        Active = "active",
        /// Declared, not asked for.
        Disabled = "disabled",
        /// Stopped on purpose.
        Inactive = "inactive",
        /// Its owner, group or app is not installed yet.
        Waiting = "waiting",
        /// `apply` would make it active.
        Pending = "pending",
        /// Bound, but mode, owner, options or fstab differ.
        Drifted = "drifted",
        /// Its data is being moved.
        Moving = "moving",
        /// An operation stopped half-way.
        Interrupted = "interrupted",
        /// It must not be bound, for one reason.
        Refused = "refused",
    }
}

words! {
    /// Why a mapping or a volume is refused.
    Reason {
        /// The volume is not mounted, not declared, or not there.
        VolumeMissing = "volume-missing",
        /// What is mounted there is another volume.
        WrongVolume = "wrong-volume",
        /// The store directory is another one than the one that was bound here before.
        WrongStore = "wrong-store",
        /// Data stands at the mount point itself.
        MountPointNotEmpty = "mount-point-not-empty",
        /// Something that is not ours is mounted there, or fstab has a line of somebody else's.
        ForeignMount = "foreign-mount",
        /// The owner or group does not exist, and the app was asked for by name.
        OwnerUnknown = "owner-unknown",
        /// The configuration cannot be understood.
        ConfigInvalid = "config-invalid",
        /// The configuration could have been changed by somebody other than root.
        ConfigUnsafe = "config-unsafe",
        /// Processes use it.
        Busy = "busy",
        /// The volume is full.
        NoSpace = "no-space",
        /// Another app, host or machine has it.
        ClaimedElsewhere = "claimed-elsewhere",
        /// A hook ended with an error.
        HookFailed = "hook-failed",
        /// The bind could not be made.
        MountFailed = "mount-failed",
    }
}

/// Why something is refused, in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The word.
    pub reason: Reason,
    /// What was found: a sentence without a full stop.
    pub detail: String,
    /// The command or the edit that mends it.
    pub hint: String,
}

impl Refusal {
    /// Puts the three together.
    pub fn new(reason: Reason, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), hint: hint.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_fixed() {
        let states: Vec<_> = State::ALL.iter().map(|s| s.as_str()).collect();
        assert_eq!(states.join(" "), "active disabled inactive waiting pending drifted moving interrupted refused");
        let reasons: Vec<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(
            reasons.join(" "),
            "volume-missing wrong-volume wrong-store mount-point-not-empty foreign-mount owner-unknown config-invalid \
             config-unsafe busy no-space claimed-elsewhere hook-failed mount-failed"
        );
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_string(reason).unwrap(), format!("\"{reason}\""));
        }
    }
}
