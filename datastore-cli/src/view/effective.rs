//! What the configuration comes to, with the place of each value. The field names are part of the interface (`config show --json`).

use datastore_core::Result;
use datastore_core::diag::Span;
use datastore_core::hook::Hook;
use datastore_core::mapping::Mapping;
use datastore_core::value::AppName;
use datastore_core::wanted::{App, Wanted};
use serde::Serialize;

use super::{human, json};

/// A value, and where it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Value<T> {
    /// The value.
    pub(crate) value: T,
    /// `file:line:column`; `null` for what is built in.
    pub(crate) origin: Option<String>,
}

/// All of it. What is not set is the empty text.
#[derive(Debug, Serialize)]
pub(crate) struct Effective {
    pub(crate) host: String,
    pub(crate) store: String,
    pub(crate) default_volume: String,
    pub(crate) config_add: EffectivePolicy,
    pub(crate) volumes: Vec<EffectiveVolume>,
    pub(crate) apps: Vec<EffectiveApp>,
}

/// What programs without privilege may declare.
#[derive(Debug, Serialize)]
pub(crate) struct EffectivePolicy {
    pub(crate) enabled: bool,
    pub(crate) mount_points: Vec<String>,
}

/// One volume.
#[derive(Debug, Serialize)]
pub(crate) struct EffectiveVolume {
    pub(crate) volume: String,
    pub(crate) path: String,
    pub(crate) id: String,
    pub(crate) source: String,
    pub(crate) fstype: String,
    pub(crate) options: String,
    /// Whether the configuration declares it; else a mapping merely names it.
    pub(crate) declared: bool,
}

/// One app.
#[derive(Debug, Serialize)]
pub(crate) struct EffectiveApp {
    pub(crate) app: String,
    pub(crate) title: String,
    pub(crate) enabled: Value<bool>,
    pub(crate) services: Vec<String>,
    pub(crate) premount: String,
    pub(crate) postmount: String,
    /// How long each of its hooks may take, in seconds.
    pub(crate) hook_timeout: u32,
    /// The files that declare it, lowest layer first.
    pub(crate) files: Vec<String>,
    /// Why none of its mappings may be touched; empty if they may.
    pub(crate) problem: String,
    pub(crate) mappings: Vec<EffectiveMapping>,
}

/// One mapping.
#[derive(Debug, Serialize)]
pub(crate) struct EffectiveMapping {
    pub(crate) mount_point: Value<String>,
    /// The store directory, all expansions made.
    pub(crate) target: Value<String>,
    pub(crate) permissions: Value<String>,
    pub(crate) owner: Value<String>,
    pub(crate) group: Value<String>,
    pub(crate) volume: Value<String>,
    /// Each said outright, as a configlet has them.
    pub(crate) options: Value<Vec<&'static str>>,
    pub(crate) premount: String,
    pub(crate) postmount: String,
}

impl Effective {
    /// Takes it out of the configuration: all of it, or one app with the volumes that it uses.
    pub(crate) fn of(wanted: &Wanted, only: Option<&AppName>) -> Self {
        let is_asked = |name: &AppName| only.is_none_or(|only| only == name);
        let uses =
            |v: &datastore_core::wanted::Volume| wanted.mappings.iter().any(|m| is_asked(&m.app) && m.volume == v.name);
        let volumes = wanted.volumes.iter().filter(|v| only.is_none() || uses(v)).map(|v| EffectiveVolume {
            volume: v.name.to_string(),
            path: v.path.to_string(),
            id: v.id.map(|id| id.to_string()).unwrap_or_default(),
            source: v.source.clone().unwrap_or_default(),
            fstype: v.fstype.clone().unwrap_or_default(),
            options: v.options.clone().unwrap_or_default(),
            declared: v.declared,
        });
        Self {
            host: wanted.host.as_ref().map(ToString::to_string).unwrap_or_default(),
            store: wanted.store.to_string(),
            default_volume: wanted.default_volume.to_string(),
            config_add: EffectivePolicy {
                enabled: wanted.config_add.enabled,
                mount_points: wanted.config_add.mount_points.iter().map(ToString::to_string).collect(),
            },
            volumes: volumes.collect(),
            apps: wanted.apps.iter().filter(|a| is_asked(&a.name)).map(|a| app(wanted, a)).collect(),
        }
    }
}

fn put<T>(wanted: &Wanted, value: T, span: Option<Span>) -> Value<T> {
    Value { value, origin: span.map(|span| wanted.sources.place(span).to_string()) }
}

fn program(hook: Option<&Hook>) -> String {
    hook.map(ToString::to_string).unwrap_or_default()
}

fn app(wanted: &Wanted, app: &App) -> EffectiveApp {
    EffectiveApp {
        app: app.name.to_string(),
        title: app.title.clone().unwrap_or_default(),
        enabled: put(wanted, app.enabled, app.enabled_origin),
        services: app.services.clone(),
        premount: program(app.hooks.premount.as_ref()),
        postmount: program(app.hooks.postmount.as_ref()),
        hook_timeout: app.hook_seconds,
        files: app.files.clone(),
        problem: app.problem.as_ref().map(|p| p.detail.clone()).unwrap_or_default(),
        mappings: wanted.of_app(&app.name).map(|(_, m)| mapping(wanted, m)).collect(),
    }
}

fn mapping(wanted: &Wanted, m: &Mapping) -> EffectiveMapping {
    let options = put(wanted, m.options.words().to_vec(), m.origins.options);
    let put = |value: String, span| put(wanted, value, span);
    EffectiveMapping {
        mount_point: put(m.mount_point.to_string(), Some(m.origins.mount_point)),
        target: put(m.store.to_string(), m.origins.target),
        permissions: put(m.mode.to_string(), m.origins.permissions),
        owner: put(m.owner.to_string(), m.origins.owner),
        group: put(m.group.to_string(), m.origins.group),
        volume: put(m.volume.to_string(), m.origins.volume),
        options,
        premount: program(m.hooks.premount.as_ref()),
        postmount: program(m.hooks.postmount.as_ref()),
    }
}

/// Prints it.
pub(crate) fn print(config: &Effective, origin: bool, as_json: bool) -> Result<()> {
    if as_json { json::print(config) } else { super::print(&human::effective(config, origin)) }
}
