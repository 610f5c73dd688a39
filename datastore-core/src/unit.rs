//! What systemd has to know so that no service starts on the wrong data: drop-ins (systemd.unit(5)) for the services of the apps, and for the
//! mount units that it makes of our lines in fstab.
//!
//! A bind in fstab alone is no protection: systemd makes a missing source directory itself, on whatever file system is there, and starts
//! everything that wanted the mount. So the mount unit is told to look first, and each service asks the guard before anything of it
//! runs. No unit of anybody else's is edited.

mod name;
mod remembered;

use std::collections::{BTreeMap, BTreeSet};

use crate::fstab::{Entry, Fstab};
use crate::path::AbsPath;
use crate::value::AppName;
use crate::wanted::{App, Volume, Wanted};

pub use name::{mount, service};
pub use remembered::Remembered;

/// The command, as the units run it.
pub const PROGRAM: &str = "/usr/sbin/datastore";
/// The name of each drop-in: its place among others, and whose it is. One of the same name in /etc takes its place.
pub const DROP_IN: &str = "50-datastore.conf";
/// The first line of each.
const HEAD: &str =
    "# Written by datastore whenever systemd reads its units (systemd.generator(7)); what is changed here is lost.\n";
/// Finishes what had stopped half-way, before anything is bound.
const RECOVER: &str = "datastore-recover.service";
/// Binds what is asked for.
const APPLY: &str = "datastore.service";

/// A file below one of systemd's unit directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFile {
    /// Its path there.
    pub path: String,
    /// What it says.
    pub text: String,
}

impl UnitFile {
    fn drop_in(unit: &str, body: &str) -> Self {
        Self { path: format!("{unit}.d/{DROP_IN}"), text: format!("{HEAD}{body}") }
    }
}

/// Every drop-in that this configuration and this fstab ask for, by path.
///
/// `wanted` is `None` where the configuration cannot be used at all; then, and for an app whose configlet cannot be understood,
/// `remembered` tells which services it had.
#[must_use]
pub fn drop_ins(wanted: Option<&Wanted>, fstab: &Fstab, remembered: &Remembered) -> Vec<UnitFile> {
    let apps = apps(wanted, remembered);
    let needs = needs(wanted, fstab);
    let mut services: BTreeMap<String, Vec<&AppName>> = BTreeMap::new();
    for (app, names) in &apps {
        for unit in names.iter().map(|name| service(name)).collect::<BTreeSet<_>>() {
            services.entry(unit).or_default().push(app);
        }
    }
    let none = Need::default();
    let need = |app: &AppName| needs.get(app).unwrap_or(&none);
    let mut all: Vec<UnitFile> = services
        .iter()
        .map(|(unit, apps)| of_service(unit, &apps.iter().map(|app| (*app, need(app))).collect::<Vec<_>>()))
        .collect();
    all.extend(apps.iter().filter(|(_, names)| !names.is_empty()).filter_map(|(app, _)| of_guard(app, need(app))));
    all.extend(fstab.entries().filter(|row| row.ours).filter_map(|row| of_mount(row.entry, wanted, fstab)));
    all.extend(wanted.into_iter().flat_map(|wanted| of_our_own(wanted, fstab)));
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

/// The apps that are asked for, with the services that must ask first.
fn apps<'a>(wanted: Option<&'a Wanted>, remembered: &'a Remembered) -> BTreeMap<&'a AppName, Vec<&'a str>> {
    match wanted {
        Some(wanted) => remembered.with(wanted).collect(),
        None => remembered.apps().collect(),
    }
}

/// Whether two names are those of one service: `.service` may be left out.
#[must_use]
pub fn is_same_service(one: &str, other: &str) -> bool {
    service(one) == service(other)
}

/// The apps of which this is a service: those that must have their data before it starts. `.service` may be left out.
#[must_use]
pub fn apps_of(wanted: Option<&Wanted>, remembered: &Remembered, name: &str) -> Vec<AppName> {
    let unit = service(name);
    let all = apps(wanted, remembered).into_iter();
    all.filter(|(_, names)| names.iter().any(|name| service(name) == unit)).map(|(app, _)| app.clone()).collect()
}

/// The services of an app that is asked for, as they are written.
#[must_use]
pub fn services_of(wanted: Option<&Wanted>, remembered: &Remembered, app: &AppName) -> Vec<String> {
    apps(wanted, remembered)
        .get(app)
        .map_or_else(Vec::new, |names| names.iter().map(|name| (*name).to_owned()).collect())
}

/// The apps that are asked for and have services, while nothing says what their data is.
#[must_use]
pub fn bare_apps(wanted: &Wanted, remembered: &Remembered) -> Vec<AppName> {
    let with_data = wanted.apps_with_data();
    // What is wrong with an app, or what it waits for, is told of it already.
    let is_told = |name: &AppName| {
        let is_trouble = |app: &App| app.problem.is_some() || !app.unresolved.is_empty();
        with_data.contains(name) || wanted.app(name).is_some_and(is_trouble)
    };
    let serving = remembered.with(wanted).filter(|(_, services)| !services.is_empty());
    serving.map(|(name, _)| name).filter(|name| !is_told(name)).cloned().collect()
}

/// The apps that had services when their configuration could last be understood.
#[must_use]
pub fn known_apps(remembered: &Remembered) -> Vec<AppName> {
    remembered.apps().map(|(app, _)| app.clone()).collect()
}

/// The mount points of an app, and whether systemd mounts each: it does not where the app was stopped on purpose, or nothing is in fstab yet.
type Need = BTreeMap<AbsPath, bool>;

fn needs(wanted: Option<&Wanted>, fstab: &Fstab) -> BTreeMap<AppName, Need> {
    let mut needs: BTreeMap<AppName, Need> = BTreeMap::new();
    for mapping in wanted.iter().flat_map(|wanted| &wanted.mappings) {
        needs.entry(mapping.app.clone()).or_default().insert(mapping.mount_point.clone(), false);
    }
    for row in fstab.entries().filter(|row| row.ours) {
        let app =
            row.entry.option_value("X-datastore").and_then(|name| AppName::parse(std::str::from_utf8(name).ok()?).ok());
        let (Some(app), Some(mount_point)) = (app, row.entry.mount_point()) else { continue };
        let need = needs.entry(app).or_default();
        // What is bound and not asked for by this configuration any more is for the guard to judge.
        if wanted.is_none() || need.contains_key(&mount_point) {
            need.insert(mount_point, !row.entry.has_option("noauto"));
        }
    }
    needs
}

/// The drop-in of a service. The guard runs before anything of the service does, as a unit of its own, and once more right before its
/// program.
fn of_service(unit: &str, apps: &[(&AppName, &Need)]) -> UnitFile {
    let guards: Vec<String> = apps.iter().map(|(app, _)| guard(app)).collect();
    let guards = guards.join(" ");
    let mut body = format!("[Unit]\nWants={APPLY}\nRequires={guards}\nAfter={APPLY} {guards}\n");
    for (mount_point, mounted) in apps.iter().flat_map(|(_, need)| need.iter()) {
        if *mounted {
            body.push_str(&name::requires(mount_point));
        }
        body.push_str(&name::assert("AssertPathIsMountPoint", mount_point));
    }
    if unit.ends_with(".service") {
        body.push_str("\n[Service]\n");
        for (app, _) in apps {
            body.push_str(&format!("ExecStartPre=+{PROGRAM} guard --at-start {app}\n"));
        }
    }
    UnitFile::drop_in(unit, &body)
}

/// The guard waits until systemd has tried to mount; whether that went well it sees for itself.
fn of_guard(app: &AppName, need: &Need) -> Option<UnitFile> {
    let units: Vec<String> = need.keys().filter_map(mount).collect();
    (!units.is_empty()).then(|| UnitFile::drop_in(&guard(app), &format!("[Unit]\nAfter={}\n", units.join(" "))))
}

/// The drop-in of the mount unit that systemd makes of a line of ours for a bind.
fn of_mount(entry: &Entry, wanted: Option<&Wanted>, fstab: &Fstab) -> Option<UnitFile> {
    if !entry.has_option("X-datastore") {
        return None;
    }
    let unit = mount(&entry.mount_point()?)?;
    let mut body = format!("[Unit]\nAfter={RECOVER}\n");
    let volume = entry.option_value("x-systemd.requires-mounts-for").and_then(|path| AbsPath::from_kernel(path).ok());
    // A volume that is a plain directory is no mount point.
    let declared =
        |path: &AbsPath| wanted.is_some_and(|w| w.volumes.iter().any(|v| v.path == *path && v.source.is_some()));
    if let Some(volume) = volume.filter(|path| has_line(fstab, path) || declared(path)) {
        body.push_str(&name::assert("AssertPathIsMountPoint", &volume));
    }
    if let Ok(store) = AbsPath::from_kernel(&entry.spec) {
        body.push_str(&name::assert("AssertPathIsDirectory", &store));
    }
    Some(UnitFile::drop_in(&unit, &body))
}

/// When our own services run.
fn of_our_own(wanted: &Wanted, fstab: &Fstab) -> Vec<UnitFile> {
    let units: Vec<String> =
        wanted.volumes.iter().filter(|v| has_line(fstab, &v.path)).filter_map(|v| mount(&v.path)).collect();
    let mut all = Vec::new();
    if !units.is_empty() {
        all.push(UnitFile::drop_in(RECOVER, &format!("[Unit]\nAfter={}\n", units.join(" "))));
    }
    if wanted.volumes.iter().any(Volume::is_network) {
        all.push(UnitFile::drop_in(APPLY, "[Unit]\nAfter=remote-fs.target\n"));
    }
    all
}

/// The unit that asks the guard about an app.
fn guard(app: &AppName) -> String {
    format!("datastore-guard@{app}.service")
}

/// Whether fstab has something mounted there.
fn has_line(fstab: &Fstab, path: &AbsPath) -> bool {
    fstab.ours(path).is_some() || !fstab.foreign(path).is_empty()
}

#[cfg(test)]
mod tests;
