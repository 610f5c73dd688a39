//! The cross-check of everything: configuration, fstab, the kernel's mount table, volumes and stores held against each other.
//!
//! Nothing is changed, and nothing is judged a second time that status judges: refusals and drift come from
//! [`standing`](crate::standing). What more must be known than status asks is in [`Probe`], and the answers are in [`Seen`].

mod files;
mod fstab;
mod mappings;
mod probe;
mod services;
mod stores;
mod volumes;

use serde::{Deserialize, Serialize};

pub use probe::{BadJournal, Leftover, LiveFacts, LiveProbe, Probe, Seen, ServiceFiles, StoreSeen, Twin};

use crate::path::AbsPath;
use crate::standing::View;
use crate::state::words;
use crate::value::AppName;

words! {
    /// How bad a finding is.
    Severity {
        /// Data is at risk, or an app cannot have its own.
        Error = "error",
        /// It works now, and something will go wrong or is not as asked for.
        Warning = "warning",
        /// Worth knowing.
        Note = "note",
    }
}

words! {
    /// What was looked for.
    Check {
        /// A mapping that is refused.
        Refused = "refused",
        /// An operation that stopped half-way.
        Interrupted = "interrupted",
        /// A mapping that is asked for and not bound.
        NotBound = "not-bound",
        /// A mapping that is not asked for and still bound.
        StillBound = "still-bound",
        /// Data under a live bind, which nobody can see.
        HiddenData = "hidden-data",
        /// Mode, owner or group of a store directory.
        ModeOwner = "mode-owner",
        /// Options of a bind.
        BindOptions = "bind-options",
        /// Our line in fstab: missing, different, `noauto` although bound, or beside somebody else's.
        FstabLine = "fstab-line",
        /// A store directory that is bound and carries no identity.
        NoIdentity = "no-identity",
        /// The manifest tells something else of a store directory.
        StaleManifest = "stale-manifest",
        /// A mount point that is not sealed.
        Unsealed = "unsealed",
        /// A sealed directory that nothing is to be bound on.
        StraySeal = "stray-seal",
        /// Several mounts on one mount point.
        Stacked = "stacked",
        /// What is mounted inside a bind shows in the store too.
        Shared = "shared",
        /// A line in our block of fstab that nobody declares.
        StrayLine = "stray-line",
        /// A line of somebody else that names a place of ours.
        ForeignLine = "foreign-line",
        /// fstab cannot be edited.
        FstabFixed = "fstab-fixed",
        /// A volume that is missing or is another one.
        Volume = "volume",
        /// A volume that carries no identity.
        VolumeIdentity = "volume-identity",
        /// Another file system with the identity of a volume.
        TwinVolume = "twin-volume",
        /// A volume that cannot be written.
        ReadOnly = "read-only",
        /// A volume that is nearly full.
        Space = "space",
        /// A volume that has nearly no inodes left.
        Inodes = "inodes",
        /// A store directory that no manifest and no configuration knows.
        OrphanStore = "orphan-store",
        /// A store directory that the manifest knows and nobody declares.
        UndeclaredStore = "undeclared-store",
        /// The data of another host.
        OtherHost = "other-host",
        /// A store whose owner has another number now.
        OwnerRenumbered = "owner-renumbered",
        /// One of our own files that cannot be understood.
        Unreadable = "unreadable",
        /// Something wrong in the configuration.
        Config = "config",
        /// A temporary file of an operation that is over.
        Leftover = "leftover",
        /// A service that starts without asking the guard.
        NoGuard = "no-guard",
        /// A tree that was put aside and need not be kept any longer.
        PutAside = "put-aside",
        /// A copy that nothing has come of.
        HalfCopy = "half-copy",
        /// What the caller may not look at.
        Unseen = "unseen",
    }
}

/// Something that was found. The field names are part of the interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked for.
    pub check: Check,
    /// How bad it is.
    pub severity: Severity,
    /// The app; empty where it is not one app's.
    pub app: String,
    /// The mount point; empty where it is not about one.
    pub mount_point: String,
    /// The file or directory in question; empty where there is none.
    pub path: String,
    /// What was found: a sentence without a full stop.
    pub detail: String,
    /// Why that is, or what comes of it.
    pub cause: String,
    /// The command or the edit that mends it.
    pub hint: String,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// Whether everything could be looked at.
    pub complete: bool,
}

impl Finding {
    fn new(check: Check, severity: Severity, detail: impl Into<String>) -> Self {
        Self {
            check,
            severity,
            app: String::new(),
            mount_point: String::new(),
            path: String::new(),
            detail: detail.into(),
            cause: String::new(),
            hint: String::new(),
        }
    }
    fn app(mut self, app: &(impl ToString + ?Sized)) -> Self {
        self.app = app.to_string();
        self
    }
    fn at(mut self, mount_point: &(impl ToString + ?Sized)) -> Self {
        self.mount_point = mount_point.to_string();
        self
    }
    fn path(mut self, path: &(impl ToString + ?Sized)) -> Self {
        self.path = path.to_string();
        self
    }
    fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = cause.into();
        self
    }
    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl Diagnosis {
    /// Something that kept everything else from being looked at.
    #[must_use]
    pub fn cut_short(error: &crate::Error, path: &str) -> Self {
        let finding = Finding::new(Check::Unreadable, Severity::Error, error.chain())
            .path(path)
            .cause("without it nothing can be held against anything, so nothing else was looked at")
            .hint(error.get_hint().unwrap_or_default());
        Self { findings: vec![finding], complete: false }
    }

    /// Whether something is worse than a note.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        self.findings.iter().any(|f| f.severity != Severity::Note)
    }
}

/// A path as a shell takes it, for commands in hints.
fn word(path: &AbsPath) -> String {
    let text = path.to_string();
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+@%:,".contains(c));
    if is_plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Holds everything against everything. The facts must be those of all mappings, looked at with what lies under live binds; no app named
/// means all findings.
#[must_use]
pub fn examine(view: &View<'_>, seen: &Seen, apps: &[AppName]) -> Diagnosis {
    let mut findings = Vec::new();
    mappings::check(view, &mut findings);
    fstab::check(view, &mut findings);
    volumes::check(view, seen, &mut findings);
    stores::check(view, seen, &mut findings);
    files::check(view, seen, &mut findings);
    services::check(view, seen, &mut findings);
    if !apps.is_empty() {
        let concerns = Concerns::of(view, apps);
        findings.retain(|f| concerns.has(f));
    }
    // The order of the checks is kept among equals.
    findings.sort_by_key(|f| f.severity);
    Diagnosis { findings, complete: files::unseen(view, seen).is_empty() }
}

/// What some apps depend on.
struct Concerns<'a> {
    apps: &'a [AppName],
    volumes: Vec<&'a AbsPath>,
}

impl<'a> Concerns<'a> {
    fn of(view: &View<'a>, apps: &'a [AppName]) -> Self {
        let mappings = view.wanted.mappings.iter().filter(|m| apps.contains(&m.app));
        let mut volumes: Vec<&AbsPath> = mappings.map(|m| &view.volume_of(m).1.path).collect();
        volumes.dedup();
        Self { apps, volumes }
    }

    /// Whether a finding is about one of the apps, the volumes that hold their data, or what all depend on.
    fn has(&self, finding: &Finding) -> bool {
        use Check::{Config, FstabFixed, Unreadable, Unseen};
        if !finding.app.is_empty() {
            return self.apps.iter().any(|a| a.as_str() == finding.app);
        }
        match finding.check {
            Unreadable | FstabFixed | Unseen | Config => true,
            Check::OrphanStore | Check::UndeclaredStore | Check::OtherHost => false,
            _ => self.volumes.iter().any(|v| v.to_string() == finding.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_commands_are_single_words() {
        assert_eq!(word(&AbsPath::literal("/var/lib/my-sql_1")), "/var/lib/my-sql_1");
        assert_eq!(word(&AbsPath::literal("/srv/a b; rm/it's")), r"'/srv/a b; rm/it'\''s'");
    }

    #[test]
    fn the_words_are_fixed() {
        let words: Vec<_> = Severity::ALL.iter().map(|w| w.as_str()).collect();
        assert_eq!(words.join(" "), "error warning note");
        let words: Vec<_> = Check::ALL.iter().map(|w| w.as_str()).collect();
        assert_eq!(
            words.join(" "),
            "refused interrupted not-bound still-bound hidden-data mode-owner bind-options fstab-line no-identity \
             stale-manifest unsealed stray-seal stacked shared stray-line foreign-line fstab-fixed volume volume-identity \
             twin-volume read-only space inodes orphan-store undeclared-store other-host owner-renumbered unreadable config \
             leftover no-guard put-aside half-copy unseen"
        );
    }
}
