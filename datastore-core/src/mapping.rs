//! One mapping, resolved: a mount point and the store directory behind it, with nothing left to look up in text.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::diag::{Span, nearest};
use crate::hook::Hooks;
use crate::path::AbsPath;
use crate::state::Refusal;
use crate::value::{AppName, Mode, OwnerName, VolumeName};

/// What `datastore` keeps at one mount point.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// The app that declares it.
    pub app: AppName,
    /// Where the program expects its data.
    pub mount_point: AbsPath,
    /// Where the bytes are.
    pub store: AbsPath,
    /// The directory whose manifest tells of the store directory: the base, or ClearOS's base.
    pub home: AbsPath,
    /// The volume that holds the store directory.
    pub volume: VolumeName,
    /// The mode of the store directory.
    pub mode: Mode,
    /// The owner of the store directory, by name.
    pub owner: OwnerName,
    /// The group of the store directory, by name.
    pub group: OwnerName,
    /// How it is bound.
    pub options: BindOptions,
    /// Programs around the bind of this mapping alone.
    pub hooks: Hooks,
    /// Whether its app is asked for.
    pub enabled: bool,
    /// Why it must not be touched, whatever the machine is like: its configlet is wrong, or another app claims the same place.
    pub problem: Option<Arc<Refusal>>,
    /// Where each value was written.
    pub origins: Origins,
}

/// Where the values of a mapping were written; `None` is a built-in default.
#[derive(Debug, Clone, Copy)]
pub struct Origins {
    /// The mount point.
    pub mount_point: Span,
    /// `target`, or ClearOS's `directory`.
    pub target: Option<Span>,
    /// `permissions`.
    pub permissions: Option<Span>,
    /// `owner`.
    pub owner: Option<Span>,
    /// `group`.
    pub group: Option<Span>,
    /// `volume`.
    pub volume: Option<Span>,
    /// `options`.
    pub options: Option<Span>,
}

/// The options of a bind (mount(8)): `nosuid,nodev` unless the mapping says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindOptions {
    /// Nothing can be written through it.
    pub ro: bool,
    /// Set-user-id and set-group-id bits and file capabilities have no effect.
    pub nosuid: bool,
    /// Device nodes cannot be opened.
    pub nodev: bool,
    /// Nothing can be executed.
    pub noexec: bool,
}

impl Default for BindOptions {
    fn default() -> Self {
        Self { ro: false, nosuid: true, nodev: true, noexec: false }
    }
}

impl Mapping {
    /// The store directory relative to its home: the key in the manifest.
    #[must_use]
    pub fn key(&self) -> String {
        let rest = self.store.below(&self.home).unwrap_or_else(|| self.store.clone());
        crate::path::printable(rest.relative())
    }
}

impl BindOptions {
    /// The words that a configlet may use.
    pub const WORDS: &'static [&'static str] = &["ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec"];

    /// Applies one word; on failure says the nearest known word.
    pub fn set(&mut self, word: &str) -> Result<(), Option<&'static str>> {
        match word {
            "ro" => self.ro = true,
            "rw" => self.ro = false,
            "suid" => self.nosuid = false,
            "nosuid" => self.nosuid = true,
            "dev" => self.nodev = false,
            "nodev" => self.nodev = true,
            "exec" => self.noexec = false,
            "noexec" => self.noexec = true,
            _ => return Err(nearest(word, Self::WORDS)),
        }
        Ok(())
    }

    /// Its words, each said outright: what a configlet would have to say for exactly these options.
    #[must_use]
    pub fn words(self) -> [&'static str; 4] {
        let word = |set, yes, no| if set { yes } else { no };
        [
            word(self.ro, "ro", "rw"),
            word(self.nosuid, "nosuid", "suid"),
            word(self.nodev, "nodev", "dev"),
            word(self.noexec, "noexec", "exec"),
        ]
    }

    /// Reads the options that matter here from a mount table's or fstab's comma list; every other word is passed over.
    #[must_use]
    pub fn from_list(list: &[u8]) -> Self {
        let mut options = Self { ro: false, nosuid: false, nodev: false, noexec: false };
        for word in list.split(|&b| b == b',') {
            match word {
                b"ro" => options.ro = true,
                b"rw" => options.ro = false,
                b"nosuid" => options.nosuid = true,
                b"nodev" => options.nodev = true,
                b"noexec" => options.noexec = true,
                b"suid" => options.nosuid = false,
                b"dev" => options.nodev = false,
                b"exec" => options.noexec = false,
                _ => {}
            }
        }
        options
    }
}

/// As fstab has them: `rw,nosuid,nodev`.
impl fmt::Display for BindOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.ro { "ro" } else { "rw" })?;
        for (set, word) in [(self.nosuid, ",nosuid"), (self.nodev, ",nodev"), (self.noexec, ",noexec")] {
            if set {
                f.write_str(word)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_round_trip() {
        let options = BindOptions { ro: true, nosuid: true, nodev: false, noexec: true };
        assert_eq!(options.to_string(), "ro,nosuid,noexec");
        assert_eq!(BindOptions::from_list(options.to_string().as_bytes()), options);
        assert_eq!(BindOptions::from_list(b"bind,rw,nosuid,nodev,nofail"), BindOptions::default());
        assert_eq!(BindOptions::default().set("nosiud"), Err(Some("nosuid")));
        let mut again = BindOptions::default();
        options.words().iter().for_each(|word| again.set(word).unwrap());
        assert_eq!(again, options);
    }
}
