//! What root allows: `[config_add]` in `/etc/datastore.conf`.

use super::refused;
use crate::config::GLOBALS;
use crate::diag::{Code, Diagnostic, Sources};
use crate::error::Result;
use crate::path::AbsPath;
use crate::raw::RawConfigAdd;
use crate::value::AppName;

/// What programs without privilege may declare. As it is by default: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether anything at all.
    pub enabled: bool,
    /// The directories below which it may be mounted.
    pub mount_points: Vec<AbsPath>,
}

impl Policy {
    /// What the table says. A directory that makes no sense is an error, as everything else in that file is.
    pub(crate) fn read(raw: &RawConfigAdd, sources: &Sources, found: &mut Vec<Diagnostic>) -> Self {
        let mut mount_points = Vec::new();
        for text in raw.mount_points.iter().flat_map(|list| &list.value) {
            let why = match AbsPath::parse(&text.value) {
                Ok(path) if path.is_root() => "below `/` lies everything; name the directories that are meant".into(),
                Ok(path) => {
                    mount_points.push(path);
                    continue;
                }
                Err(why) => why.to_string(),
            };
            found.push(sources.diagnose(text.span, Code::ForbiddenPath, why).hint("for example: [\"/srv\"]"));
        }
        Self { enabled: raw.enabled.as_ref().is_none_or(|e| e.value) && !mount_points.is_empty(), mount_points }
    }

    /// Refuses everything unless root has switched it on.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`](crate::ErrorKind::Refused), with what root has to write.
    pub fn demand_on(&self) -> Result<()> {
        if self.enabled {
            return Ok(());
        }
        let what = format!("[config_add] in {GLOBALS} allows nothing to be declared by programs");
        Err(refused(what, format!("root allows it there: [config_add] and mount_points = [\"/srv\"] in {GLOBALS}")))
    }

    /// Refuses a mount point that does not lie below an allowed directory.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`](crate::ErrorKind::Refused), with the directories that are allowed.
    pub fn demand_allowed(&self, app: &AppName, mount_point: &AbsPath) -> Result<()> {
        if self.mount_points.iter().any(|dir| mount_point.is_below(dir)) {
            return Ok(());
        }
        let dirs: Vec<String> = self.mount_points.iter().map(ToString::to_string).collect();
        let what = format!("{mount_point} of `{app}` does not lie below {}", dirs.join(" or "));
        Err(refused(what, format!("choose a mount point there, or root adds to mount_points in {GLOBALS}")))
    }
}
