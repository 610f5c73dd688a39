//! SELinux: whether files have labels that count, and what its policy was told of store directories.
//!
//! A program may reach only what is labelled for it, and a label is given by the path at which something is made. A store directory lies
//! elsewhere than programs expect, so it gets the label of its mount point; and so that it keeps it when the machine is relabelled
//! (restorecon(8)), the policy is told that the store is to be labelled like the mount point (semanage-fcontext(8), `-e`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::observed::{FileFacts, ManifestFacts};
use crate::path::{AbsPath, printable};

/// A label, or where it is to be found when the step is carried out: a directory that is not made yet has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Label {
    /// That of a bare mount point.
    Of(AbsPath),
    /// What the policy has for a mount point that the plan makes; that one has only what the directory above it gave. It counts where the
    /// policy does not tell.
    Policy(AbsPath),
    /// This one, as the kernel keeps it: some end with a NUL.
    Is(String),
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Of(dir) => write!(f, "of {dir}"),
            Self::Policy(dir) => write!(f, "that the policy has for {dir}"),
            Self::Is(label) => write!(f, "{}", printable(label.trim_end_matches('\0').as_bytes())),
        }
    }
}

/// What must be known of labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// Whether SELinux is on.
    pub on: bool,
    /// Those that store directories have now which [are new](is_new).
    pub stores: BTreeMap<AbsPath, String>,
    /// What the policy was told of other places; `None` where there is no tool to tell it anything.
    pub told: Option<Substitutes>,
}

impl Labels {
    /// Whether the policy can be told, and has not been, how a store directory is to be labelled. A name with white space cannot be said
    /// to it.
    #[must_use]
    pub fn can_tell(&self, mount_point: &AbsPath, store: &AbsPath) -> bool {
        let is_plain = |path: &AbsPath| !path.as_bytes().iter().any(u8::is_ascii_whitespace);
        let known = self.told.as_ref().is_none_or(|told| told.has(store));
        self.on && !known && is_plain(mount_point) && is_plain(store)
    }
}

/// Whether a store directory may be new to the manifests: what one knows has had its label, and what cannot be read may know it.
#[must_use]
pub fn is_new(manifests: &BTreeMap<AbsPath, ManifestFacts>, store: &AbsPath) -> bool {
    manifests.iter().all(|(home, facts)| match (facts, store.below(home)) {
        (_, None) | (FileFacts::Absent, _) => true,
        (FileFacts::Is(manifest), Some(rest)) => manifest.get(&printable(rest.relative())).is_none(),
        (FileFacts::Hidden | FileFacts::Damaged(_), _) => false,
    })
}

/// Directories that the policy labels as if they were others (`file_contexts.subs`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Substitutes(BTreeSet<Vec<u8>>);

impl Substitutes {
    /// Reads the files: in each line a directory and the one that it is labelled like.
    #[must_use]
    pub fn parse(files: &[Vec<u8>]) -> Self {
        let words = |line: &[u8]| {
            let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            let (alias, _) = (words.next()?, words.next()?);
            let alias = alias.strip_suffix(b"/").unwrap_or(alias);
            (!alias.starts_with(b"#")).then(|| alias.to_vec())
        };
        Self(files.iter().flat_map(|file| file.split(|byte| *byte == b'\n')).filter_map(words).collect())
    }

    /// Whether there is a line for the directory, whatever it says: an administrator may know better.
    #[must_use]
    pub fn has(&self, dir: &AbsPath) -> bool {
        self.0.contains(dir.as_bytes())
    }
}

/// The name of the policy, from `/etc/selinux/config`.
#[must_use]
pub fn policy(config: &[u8]) -> String {
    let text = String::from_utf8_lossy(config);
    let name = text.lines().find_map(|line| line.trim().strip_prefix("SELINUXTYPE=")).unwrap_or_default().trim();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if name.is_empty() || !name.chars().all(is_plain) { "targeted".into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_known_by_the_first_word_of_its_line() {
        let files = [
            b"/run /var/run\n  /store/data0/live/s/home/  /home\n#/srv/x /y\n/alone\n\n".to_vec(),
            b"/opt/a /a".to_vec(),
        ];
        let told = Substitutes::parse(&files);
        for (dir, known) in [
            ("/run", true),
            ("/var/run", false),
            ("/store/data0/live/s/home", true),
            ("/home", false),
            ("/srv/x", false),
            ("/alone", false),
            ("/opt/a", true),
        ] {
            assert_eq!(told.has(&AbsPath::parse(dir).unwrap()), known, "{dir}");
        }
    }

    #[test]
    fn the_policy_is_told_once_and_only_where_it_can_be() {
        let (at, store) = (AbsPath::literal("/home"), AbsPath::literal("/store/home"));
        let told = |text: &str| Some(Substitutes::parse(&[text.as_bytes().to_vec()]));
        let labels = |on, told| Labels { on, told, ..Labels::default() };
        assert!(labels(true, told("")).can_tell(&at, &store));
        assert!(!labels(false, told("")).can_tell(&at, &store));
        assert!(!labels(true, None).can_tell(&at, &store));
        assert!(!labels(true, told("/store/home /home")).can_tell(&at, &store));
        assert!(!labels(true, told("")).can_tell(&AbsPath::parse("/a b").unwrap(), &store));
    }

    #[test]
    fn a_policy_has_a_plain_name() {
        assert_eq!(policy(b"# SELINUXTYPE=x\nSELINUX=enforcing\nSELINUXTYPE=mls \n"), "mls");
        for odd in ["", "SELINUXTYPE=", "SELINUXTYPE=../../x", "SELINUX=permissive"] {
            assert_eq!(policy(odd.as_bytes()), "targeted");
        }
    }
}
