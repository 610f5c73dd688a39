//! What a configuration file says, before anybody has thought about it: values with their places, nothing resolved.
//!
//! Both languages ([`syntax::toml`](crate::syntax::toml), [`syntax::php`](crate::syntax::php)) are read into these
//! types. A raw value has the right type and form, but nothing that asks for another file or for the machine has
//! happened yet.

use crate::diag::Located;

/// A text and its place.
pub type RawText = Located<String>;

/// One configlet, or one `[app.NAME]` table of `/etc/datastore.conf`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawApp {
    /// `title`: what people call the app.
    pub title: Option<RawText>,
    /// `enabled`: whether the app is asked for.
    pub enabled: Option<Located<bool>>,
    /// `services`: the units or init scripts that use the data.
    pub services: Option<Located<Vec<RawText>>>,
    /// `premount`: a program to run before the first bind; with `-` before the path it may be missing.
    pub premount: Option<RawText>,
    /// `postmount`: likewise, after the last bind.
    pub postmount: Option<RawText>,
    /// `hook_timeout`: how many seconds a hook may take.
    pub hook_timeout: Option<Located<i64>>,
    /// The mappings, in the order in which the file names them. No mount point twice.
    pub mappings: Vec<RawMapping>,
}

/// One mapping of a configlet. In an override, only what it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawMapping {
    /// The mount point as written.
    pub mount_point: RawText,
    /// Where the bytes are.
    pub target: Option<RawTarget>,
    /// `permissions`, as written.
    pub permissions: Option<RawText>,
    /// `owner`.
    pub owner: Option<RawText>,
    /// `group`.
    pub group: Option<RawText>,
    /// `volume`: overrides the volume that `%{base}` means.
    pub volume: Option<RawText>,
    /// `premount` of this mapping alone.
    pub premount: Option<RawText>,
    /// `postmount` of this mapping alone.
    pub postmount: Option<RawText>,
    /// `options` of the bind, such as `["suid", "dev", "noexec", "ro"]`.
    pub options: Option<Located<Vec<RawText>>>,
    /// `unusual`: the admin knows that the mount point lies below /etc or /usr.
    pub unusual: Option<Located<bool>>,
}

impl RawMapping {
    /// A mapping of which only the mount point is known.
    #[must_use]
    pub fn new(mount_point: RawText) -> Self {
        Self {
            mount_point,
            target: None,
            permissions: None,
            owner: None,
            group: None,
            volume: None,
            premount: None,
            postmount: None,
            options: None,
            unusual: None,
        }
    }
}

/// Where a mapping's bytes are, in either dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawTarget {
    /// `target = "%{base}/www/virtual"`: an absolute path with expansions.
    Path(RawText),
    /// ClearOS: `['base']` and `['directory']`; the store directory is exactly base/directory.
    ClearOs {
        /// `['base']`, an absolute path; `None` if only the directory is overridden.
        base: Option<RawText>,
        /// `['directory']`, relative to the base; `None` if only the base is overridden.
        directory: Option<RawText>,
    },
}

/// `/etc/datastore.conf`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawGlobals {
    /// `host`.
    pub host: Option<RawText>,
    /// `store`: where volumes are mounted; `/store` unless given.
    pub store: Option<RawText>,
    /// `default_volume`: the volume of mappings that name none; `data0` unless given.
    pub default_volume: Option<RawText>,
    /// `[alarm]`: where alarms go.
    pub alarm: RawAlarm,
    /// `[watch]`: what `datastore watch` tells, and what it does.
    pub watch: RawWatch,
    /// `[config_add]`: what programs without privilege may declare.
    pub config_add: RawConfigAdd,
    /// `hook_timeout`: how many seconds the hooks of apps may take that say nothing else.
    pub hook_timeout: Option<Located<i64>>,
    /// `[volume.NAME]`.
    pub volumes: Vec<RawVolume>,
    /// `[app.NAME]`: the default mappings.
    pub apps: Vec<(RawText, RawApp)>,
}

/// `[alarm]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawAlarm {
    /// `syslog`.
    pub syslog: Option<Located<bool>>,
    /// `command`: a program and its arguments.
    pub command: Option<Located<Vec<RawText>>>,
    /// `mail`: addresses.
    pub mail: Option<Located<Vec<RawText>>>,
    /// `sendmail`: the program that takes mails.
    pub sendmail: Option<RawText>,
    /// `events`: whether ClearOS's events are told.
    pub events: Option<Located<bool>>,
}

/// `[watch]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawWatch {
    /// `space`: with less than this free a volume is nearly full.
    pub space: Option<RawText>,
    /// `inodes`: the same of inodes.
    pub inodes: Option<RawText>,
    /// `on_loss`: what is done with an app that has lost its data.
    pub on_loss: Option<RawText>,
    /// `on_return`: what is done when it is there again.
    pub on_return: Option<RawText>,
}

/// `[config_add]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawConfigAdd {
    /// `enabled`: whether anything may be declared at all; `true` unless given.
    pub enabled: Option<Located<bool>>,
    /// `mount_points`: the directories below which it may be mounted.
    pub mount_points: Option<Located<Vec<RawText>>>,
}

/// `[volume.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawVolume {
    /// The name.
    pub name: RawText,
    /// `id`: the identity that the volume must carry.
    pub id: Option<RawText>,
    /// `path`: where it is, if not `<store>/<name>`.
    pub path: Option<RawText>,
    /// `source`: what is mounted there, in fstab's words (`LABEL=data0`, `/disk.img`, `server:/export`); none for a plain directory.
    pub source: Option<RawText>,
    /// `type`: the file system; `none` for a bound directory.
    pub fstype: Option<RawText>,
    /// `options`: mount options as fstab has them.
    pub options: Option<RawText>,
}

/// `/etc/clearos/storage.conf`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawClearOsGlobals {
    /// `$config['base']`.
    pub base: Option<RawText>,
    /// `$config['enabled']`.
    pub enabled: Option<Located<bool>>,
}
