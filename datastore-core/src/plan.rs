//! Plans: the ordered steps from what is to what is wanted, with the reasons for everything that is not done.
//!
//! A plan is data. Making one changes nothing; a dry run is a plan that nobody applies.

pub mod declaration;
mod hooks;
pub mod lines;
mod mappings;
pub mod moving;
pub mod volume;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::goal::Goal;
use crate::label::Labels;
use crate::mapping::Mapping;
use crate::path::AbsPath;
use crate::standing::View;
use crate::state::{Reason, State, words};
use crate::status::Row;
use crate::step::{Action, Step};
use crate::value::{AppName, HostName, Id, ValueError, VolumeName};

/// A digest of a plan's content: sixteen hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlanId(String);

impl PlanId {
    /// The id of a plan with this content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self::from_digest(&Sha256::digest(content))
    }
    fn from_digest(digest: &[u8]) -> Self {
        Self(digest.iter().take(8).map(|b| format!("{b:02x}")).collect())
    }
    /// Checks a text: it becomes a file name.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        if text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Self(text.into()))
        } else {
            Err(ValueError(format!("`{}` is no plan: sixteen hexadecimal digits are", text.escape_debug())))
        }
    }
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl TryFrom<String> for PlanId {
    type Error = ValueError;
    fn try_from(text: String) -> Result<Self, ValueError> {
        Self::parse(&text)
    }
}
impl From<PlanId> for String {
    fn from(id: PlanId) -> String {
        id.0
    }
}
impl std::fmt::Display for PlanId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A mapping that steps serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its app.
    pub app: AppName,
    /// Its mount point.
    pub mount_point: AbsPath,
    /// Its store directory.
    pub store: AbsPath,
    /// Its volume; `None` for one that the configuration no longer names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeName>,
}

impl Subject {
    /// A mapping as it is declared.
    #[must_use]
    pub fn of(mapping: &Mapping) -> Self {
        Self {
            app: mapping.app.clone(),
            mount_point: mapping.mount_point.clone(),
            store: mapping.store.clone(),
            volume: Some(mapping.volume.clone()),
        }
    }
    /// The row that says why it is refused.
    #[must_use]
    pub fn refused(&self, reason: Reason, detail: impl Into<String>, hint: impl Into<String>) -> Row {
        Row {
            app: self.app.to_string(),
            mount_point: self.mount_point.to_string(),
            store: self.store.to_string(),
            volume: self.volume.as_ref().map(ToString::to_string).unwrap_or_default(),
            state: State::Refused,
            reason: Some(reason),
            detail: detail.into(),
            hint: hint.into(),
        }
    }
}

/// The ordered steps from what is to what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "a plan changes nothing until it is checked and applied"]
pub struct Plan {
    /// What it is for.
    pub goal: Goal,
    /// The host.
    pub host: Option<HostName>,
    /// Where new identities come from, so that the same plan can be made again and compared.
    pub seed: Id,
    /// The mappings that the steps serve; a step names one by its number here.
    pub mappings: Vec<Subject>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The rows of mappings that were asked for and that no step makes active: refused, waiting, stopped.
    pub notes: Vec<Row>,
    /// Things worth knowing that belong to no mapping.
    pub remarks: Vec<Remark>,
    /// How much is to be moved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loads: Vec<Load>,
}

words! {
    /// What becomes of a tree.
    Fate {
        /// It is copied to another file system.
        Copied = "copied",
        /// It gets another name.
        Renamed = "renamed",
        /// It is removed.
        Removed = "removed",
    }
}

/// How much is to be moved or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// What becomes of it.
    pub fate: Fate,
    /// Where it is.
    pub path: AbsPath,
    /// The mount point.
    pub mount_point: AbsPath,
    /// How many files, directories and other things.
    pub entries: u64,
    /// How many bytes files hold.
    pub bytes: u64,
    /// About how many seconds that takes.
    pub seconds: u64,
    /// Until when it was to be kept, in seconds since 1970, if it was put aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

/// Something worth knowing about a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// A sentence.
    pub detail: String,
    /// The command that mends it.
    pub hint: String,
}

impl Plan {
    /// One without steps.
    pub(crate) fn empty(goal: &Goal, host: Option<HostName>, seed: Id) -> Self {
        Self {
            goal: goal.clone(),
            host,
            seed,
            mappings: Vec::new(),
            steps: Vec::new(),
            notes: Vec::new(),
            remarks: Vec::new(),
            loads: Vec::new(),
        }
    }
    /// Its id: a digest of everything that it would do.
    #[must_use]
    pub fn id(&self) -> PlanId {
        let mut digest = Digester(Sha256::new());
        let content = (&self.goal, &self.host, &self.seed, &self.mappings, &self.steps);
        serde_json::to_writer(&mut digest, &content).expect("a plan holds nothing that JSON cannot");
        PlanId::from_digest(&digest.0.finalize())
    }
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
    /// How many mappings are refused.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.notes.iter().filter(|n| n.is_denied()).count()
    }
    /// The apps that its steps touch, each once.
    #[must_use]
    pub fn apps(&self) -> Vec<AppName> {
        let mut apps: Vec<AppName> = self.mappings.iter().map(|m| m.app.clone()).collect();
        apps.extend(self.goal.apps().into_iter().flat_map(|a| a.names.iter().cloned()));
        apps.sort();
        apps.dedup();
        apps
    }
    /// The volumes that its steps touch, each once.
    #[must_use]
    pub fn volumes(&self) -> Vec<VolumeName> {
        let mut volumes: Vec<VolumeName> = self.mappings.iter().filter_map(|m| m.volume.clone()).collect();
        volumes.sort();
        volumes.dedup();
        volumes
    }
}

/// Takes what is written into a digest.
struct Digester(Sha256);

impl std::io::Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What SELinux's policy is to be told of a mapping, if it can be told and has not been. It takes its time, so it is done while services run.
fn keep_labels(labels: &Labels, mapping: &Mapping) -> Option<Action> {
    let (mount_point, store) = (mapping.mount_point.clone(), mapping.store.clone());
    labels.can_tell(&mount_point, &store).then_some(Action::KeepLabels { mount_point, store })
}

/// The directories above a path that are missing, from the top.
fn missing_above(path: &AbsPath, missing: &AbsPath) -> Vec<AbsPath> {
    let mut above: Vec<AbsPath> = path.ancestors().take_while(|a| a.is_within(missing)).collect();
    above.reverse();
    above
}

/// Makes the plan for a goal about mappings. `files` are changes of configuration that the goal implies and that `view`
/// already takes as made; they come first. `seed` decides new identities.
pub fn make(goal: &Goal, view: &View<'_>, files: Vec<Step>, seed: Id) -> Plan {
    mappings::plan(goal, view, files, seed)
}
