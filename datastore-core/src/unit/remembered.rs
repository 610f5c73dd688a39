//! Which services each app had when its configuration could last be understood: what a broken configlet does not say any more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
        let this: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if this.version > VERSION {
            return Err(format!("a newer datastore wrote it (version {})", this.version));
        }
        Ok(this)
    }

    /// Writes it.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("names are nothing that JSON cannot hold");
        text.push(b'\n');
        text
    }

    /// What is to be remembered now.
    #[must_use]
    pub fn renewed(&self, wanted: &Wanted) -> Self {
        let told = self.with(wanted).filter(|(_, services)| !services.is_empty());
        Self { version: VERSION, apps: told.map(|(app, services)| (app.clone(), services.to_vec())).collect() }
    }

    /// Every app that is asked for, with its services; those of one whose configlet cannot be understood, which may say nothing only because of
    /// that, as they were.
    pub(super) fn with<'a>(&'a self, wanted: &'a Wanted) -> impl Iterator<Item = (&'a AppName, &'a [String])> {
        wanted.apps.iter().filter(|app| app.enabled).map(|app| {
            let is_mute = app.services.is_empty() && app.problem.is_some();
            (&app.name, if is_mute { self.of(&app.name) } else { app.services.as_slice() })
        })
    }

    /// The services of an app.
    fn of(&self, app: &AppName) -> &[String] {
        self.apps.get(app).map_or(&[], Vec::as_slice)
    }

    /// Every app with its services.
    pub(super) fn apps(&self) -> impl Iterator<Item = (&AppName, &[String])> {
        self.apps.iter().map(|(app, services)| (app, services.as_slice()))
    }
}
