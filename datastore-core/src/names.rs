//! The names that the configuration declares, for a shell that completes a word. No configlet is read for it, and nothing is checked.

use crate::config::{Config, Input, Role};
use crate::value::AppName;

/// The names, each list sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// The apps.
    pub apps: Vec<String>,
    /// The volumes of `/etc/datastore.conf`.
    pub volumes: Vec<String>,
}

impl Names {
    /// From the global files, and from what the other files are called. A file that makes no sense declares nothing.
    #[must_use]
    pub fn of<'n>(globals: Vec<Input>, files: impl IntoIterator<Item = (Role, &'n str)>) -> Self {
        let config = Config::read(globals);
        let mut apps: Vec<String> = config.apps.into_keys().map(String::from).collect();
        let declares = |(role, _): &(Role, &str)| matches!(role, Role::Configlet | Role::ClearOsDefault | Role::Local);
        let files = files.into_iter().filter(declares).map(|(_, app)| app);
        apps.extend(files.filter(|app| AppName::parse(app).is_ok()).map(str::to_owned));
        apps.sort();
        apps.dedup();
        let mut volumes: Vec<String> = config.globals.volumes.into_iter().map(|volume| volume.name.value).collect();
        volumes.sort();
        Self { apps, volumes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GLOBALS;

    fn globals(text: &str) -> Vec<Input> {
        vec![Input::read(GLOBALS, Role::Globals, "", text)]
    }

    #[test]
    fn names_of_files_and_of_default_mappings() {
        let text = "[volume.data1]\n[volume.data0]\n[app.home]\n[app.httpd]\n";
        let files = [
            (Role::Configlet, "httpd"),
            (Role::Configlet, "no name"),
            (Role::Local, "shop"),
            (Role::ClearOsDefault, "flexshare"),
            (Role::ClearOsOverride, "flexshare-system"),
        ];
        let names = Names::of(globals(text), files);
        assert_eq!(names.apps, ["flexshare", "home", "httpd", "shop"]);
        assert_eq!(names.volumes, ["data0", "data1"]);
        let broken = Names::of(globals("[volume.data0\n"), [(Role::Configlet, "httpd")]);
        assert_eq!((broken.apps, broken.volumes), (vec!["httpd".to_owned()], vec![]));
    }
}
