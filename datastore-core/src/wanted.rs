//! What the configuration asks for: the result of reading all of it, or all that is wrong with it at once.

use rustc_hash::FxHashMap as HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use crate::alarm::Sinks;
use crate::config::GLOBALS;
use crate::declaration::Policy;
use crate::diag::{Diagnostic, Sources, Span};
use crate::error::{Error, ErrorKind, Result};
use crate::hook::Hooks;
use crate::mapping::Mapping;
use crate::path::AbsPath;
use crate::state::Refusal;
use crate::value::{AppName, HostName, Id, VolumeName};
use crate::watch::Watching;

/// All that the configuration asks for.
#[derive(Debug)]
pub struct Wanted {
    /// The host that presents the data; `None` until `init` has run.
    pub host: Option<HostName>,
    /// The directory above all volumes.
    pub store: AbsPath,
    /// The volume of mappings that name none.
    pub default_volume: VolumeName,
    /// Every volume that is declared or that a mapping needs, by name.
    pub volumes: Vec<Volume>,
    /// Every app, by name.
    pub apps: Vec<App>,
    /// Every mapping that could be resolved, by mount point: parents first.
    pub mappings: Vec<Mapping>,
    /// Where alarms go.
    pub alarm: Sinks,
    /// What is told and done while the machine runs.
    pub watch: Watching,
    /// What programs without privilege may declare.
    pub config_add: Policy,
    /// Everything that was found, in the order of files and lines.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts, for origins.
    pub sources: Sources,
    pub(crate) index: HashMap<AbsPath, Vec<usize>>,
}

/// One app, as its configlets declare it.
#[derive(Debug)]
pub struct App {
    /// Its name.
    pub name: AppName,
    /// What people call it.
    pub title: Option<String>,
    /// Whether it is asked for.
    pub enabled: bool,
    /// Where that was said.
    pub enabled_origin: Option<Span>,
    /// The units or init scripts that use its data.
    pub services: Vec<String>,
    /// Programs around the binds of the whole app.
    pub hooks: Hooks,
    /// Whether it or one of its mappings names a hook.
    pub has_hooks: bool,
    /// How long each of its hooks may take, in seconds.
    pub hook_seconds: u32,
    /// Why none of its mappings may be touched.
    pub problem: Option<Arc<Refusal>>,
    /// Mount points that it names and that are no paths, for their rows.
    pub unresolved: Vec<String>,
    /// The files that declare it, lowest layer first.
    pub files: Vec<String>,
}

/// One volume.
#[derive(Debug, Clone)]
pub struct Volume {
    /// Its name.
    pub name: VolumeName,
    /// Where it is.
    pub path: AbsPath,
    /// Whether the configuration declares it; else a mapping merely names it.
    pub declared: bool,
    /// The identity that it must carry.
    pub id: Option<Id>,
    /// What is mounted there, in fstab's words; `None` for a plain directory.
    pub source: Option<String>,
    /// Its file system; `none` for a bound directory.
    pub fstype: Option<String>,
    /// Mount options that the admin asked for.
    pub options: Option<String>,
}

impl Volume {
    /// Whether it comes over the network, so that its lines need `_netdev` (systemd.mount(5)).
    #[must_use]
    pub fn is_network(&self) -> bool {
        let by_type = matches!(
            self.fstype.as_deref(),
            Some(
                "nfs"
                    | "nfs4"
                    | "cifs"
                    | "smb3"
                    | "ceph"
                    | "glusterfs"
                    | "fuse.glusterfs"
                    | "fuse.sshfs"
                    | "9p"
                    | "ocfs2"
                    | "gfs2"
            )
        );
        by_type || self.options.as_deref().is_some_and(|o| o.split(',').any(|w| w == "_netdev"))
    }

    /// The directory that holds the hosts, `<volume>/live`.
    #[must_use]
    pub fn live(&self) -> AbsPath {
        self.path.child("live")
    }
}

impl Wanted {
    /// Sorts the parts and indexes them.
    pub(crate) fn sorted(mut self) -> Self {
        self.volumes.sort_by(|a, b| a.name.cmp(&b.name));
        self.apps.sort_by(|a, b| a.name.cmp(&b.name));
        self.mappings.sort_by(|a, b| a.mount_point.cmp(&b.mount_point).then_with(|| a.app.cmp(&b.app)));
        self.index = HashMap::with_capacity_and_hasher(self.mappings.len(), Default::default());
        for (i, m) in self.mappings.iter().enumerate() {
            self.index.entry(m.mount_point.clone()).or_default().push(i);
        }
        self
    }

    /// An app by its name.
    #[must_use]
    pub fn app(&self, name: &AppName) -> Option<&App> {
        self.apps.binary_search_by(|a| a.name.cmp(name)).ok().map(|i| &self.apps[i])
    }

    /// An app by its name, or that nobody declares it.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`], with the nearest name that there is.
    pub fn demand_app(&self, name: &AppName) -> Result<&App> {
        self.app(name).ok_or_else(|| self.no_such_app(name))
    }

    /// The error for an app that nobody declares, with the nearest name that there is.
    #[must_use]
    pub fn no_such_app(&self, name: &AppName) -> Error {
        let hint = match self.nearest_app(name.as_str()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "datastore status lists the apps".into(),
        };
        Error::new(ErrorKind::Usage, format!("no app is called `{name}`")).hint(hint)
    }

    /// Everything that is wrong with the configuration; of one app: what was found in the files that declare it, and the errors in the
    /// global one, which concern every app.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for an app that nobody declares.
    pub fn diagnostics_of(&self, app: Option<&AppName>) -> Result<Vec<&Diagnostic>> {
        let Some(name) = app else { return Ok(self.diagnostics.iter().collect()) };
        let app = self.demand_app(name)?;
        let concerns = |d: &&Diagnostic| match &d.place {
            None => true,
            Some(place) => app.files.contains(&place.file) || (d.is_error() && place.file == GLOBALS),
        };
        Ok(self.diagnostics.iter().filter(concerns).collect())
    }

    /// A volume by its name.
    #[must_use]
    pub fn volume(&self, name: &VolumeName) -> Option<&Volume> {
        self.volumes.binary_search_by(|v| v.name.cmp(name)).ok().map(|i| &self.volumes[i])
    }

    /// The mappings with their index.
    pub fn of_app<'a>(&'a self, app: &'a AppName) -> impl Iterator<Item = (usize, &'a Mapping)> {
        self.mappings.iter().enumerate().filter(move |(_, m)| m.app == *app)
    }

    /// The apps of which something says what their data is.
    pub(crate) fn apps_with_data(&self) -> HashSet<&AppName> {
        self.mappings.iter().map(|mapping| &mapping.app).collect()
    }

    /// The mappings at exactly this mount point: more than one only where configlets contradict each other.
    #[must_use]
    pub fn at(&self, mount_point: &AbsPath) -> &[usize] {
        self.index.get(mount_point).map_or(&[], Vec::as_slice)
    }

    /// `<volume>/live/<host>`, once the host has a name.
    #[must_use]
    pub fn base(&self, volume: &Volume) -> Option<AbsPath> {
        self.host.as_ref().map(|host| volume.live().child(host.as_str()))
    }

    /// The app whose name is nearest to a mistyped one.
    #[must_use]
    pub fn nearest_app(&self, name: &str) -> Option<&str> {
        let names: Vec<&str> = self.apps.iter().map(|a| a.name.as_str()).collect();
        crate::diag::nearest(name, &names)
    }
}
