//! Which services each app had when its configuration could last be understood: what a broken configlet does not say any more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::is_same_service;
use crate::checksum;
use crate::value::AppName;
use crate::wanted::Wanted;

/// The version that is written; a higher one is not understood.
const VERSION: u32 = 1;

/// The services, as `/var/lib/datastore/services.json` holds them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    version: u32,
    apps: BTreeMap<AppName, Vec<String>>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self { version: VERSION, apps: BTreeMap::new() }
    }
}

impl Remembered {
    /// Reads it.
    ///
    /// # Errors
    /// A sentence if it is damaged or was written by a newer program.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        checksum::read_json(bytes, VERSION, |this: &Self| this.version)
    }

    /// Writes it.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        checksum::write_json(self)
    }

    /// What is to be remembered now.
    #[must_use]
    pub fn renewed(&self, wanted: &Wanted) -> Self {
        let told = self.with(wanted).filter(|(_, services)| !services.is_empty());
        let owned = |services: Vec<&str>| services.into_iter().map(str::to_owned).collect();
        Self { version: VERSION, apps: told.map(|(app, services)| (app.clone(), owned(services))).collect() }
    }

    /// Every app that is asked for, with its services. Where something is wrong with an app, or it declares no mapping, what it names may be less
    /// than what is meant, so what it had counts too: a configlet that is being written is empty at first, and ends anywhere after that.
    pub(super) fn with<'a>(&'a self, wanted: &'a Wanted) -> impl Iterator<Item = (&'a AppName, Vec<&'a str>)> {
        let with_data = wanted.apps_with_data();
        wanted.apps.iter().filter(|app| app.enabled).map(move |app| {
            let is_whole = app.problem.is_none() && with_data.contains(&app.name);
            let before = if is_whole { &[] } else { self.of(&app.name) };
            let mut services: Vec<&str> = Vec::new();
            for name in app.services.iter().chain(before) {
                if !services.iter().any(|known| is_same_service(known, name)) {
                    services.push(name);
                }
            }
            (&app.name, services)
        })
    }

    /// The services of an app.
    fn of(&self, app: &AppName) -> &[String] {
        self.apps.get(app).map_or(&[], Vec::as_slice)
    }

    /// Every app with its services.
    pub(super) fn apps(&self) -> impl Iterator<Item = (&AppName, Vec<&str>)> {
        self.apps.iter().map(|(app, services)| (app, services.iter().map(String::as_str).collect()))
    }
}
