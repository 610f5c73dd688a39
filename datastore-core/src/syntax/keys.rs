//! The keys that may stand in each place of the configuration. Both languages read by these lists, and the manual is held against them.

/// At the top of `/etc/datastore.conf`.
pub const GLOBAL: &[&str] =
    &["host", "store", "default_volume", "hook_timeout", "volume", "app", "alarm", "watch", "config_add"];
/// In `[alarm]`.
pub const ALARM: &[&str] = &["syslog", "command", "mail", "sendmail", "events"];
/// In `[watch]`.
pub const WATCH: &[&str] = &["space", "inodes", "on_loss", "on_return"];
/// In `[config_add]`.
pub const CONFIG_ADD: &[&str] = &["enabled", "mount_points"];
/// In `[volume.NAME]`.
pub const VOLUME: &[&str] = &["id", "path", "source", "type", "options"];
/// At the top of a configlet, and in `[app.NAME]`.
pub const APP: &[&str] = &["title", "enabled", "services", "premount", "postmount", "hook_timeout", "mapping"];
/// In `[mapping."/mount/point"]`, and in `$mapping['/mount/point']`.
pub const MAPPING: &[&str] =
    &["target", "permissions", "owner", "group", "volume", "premount", "postmount", "options", "unusual"];
/// In `$storage['/mount/point']` of ClearOS's form.
pub const STORAGE: &[&str] = &["base", "directory", "permissions", "owner", "group"];
/// In `$config` of ClearOS's global file.
pub const CONFIG: &[&str] = &["base", "enabled"];
/// The words of `%{word}` in a target.
pub const EXPANSION: &[&str] = &["base", "store", "volume", "host", "app", "%"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{Code, Diagnostic, Sources};
    use crate::syntax::{php, toml};

    /// What a reader finds in a text.
    fn found(text: &str, globals: bool) -> Vec<Diagnostic> {
        let mut sources = Sources::default();
        let file = sources.add("t.conf", text);
        match (globals, php::is_php(text)) {
            (false, false) => toml::configlet(file, &sources).1,
            (true, false) => toml::globals(file, &sources).1,
            (false, true) => php::configlet(file, &sources, None).1,
            (true, true) => php::clearos_globals(file, &sources).1,
        }
    }

    /// A number with a fraction is a value of no key: a reader that knows the key says so, and one that only lists it says nothing.
    #[test]
    fn every_key_is_read() {
        for (head, keys, globals) in [
            ("", GLOBAL, true),
            ("[alarm]\n", ALARM, true),
            ("[watch]\n", WATCH, true),
            ("[volume.a]\n", VOLUME, true),
            ("[app.a]\n", APP, true),
            ("", APP, false),
            ("[mapping.\"/a\"]\n", MAPPING, false),
        ] {
            for key in keys {
                let found = found(&format!("{head}{key} = 1.5\n"), globals);
                assert!(matches!(&found[..], [one] if one.code == Code::BadValue), "{head}{key}: {found:?}");
            }
            let found = found(&format!("{head}no_such_key = 1.5\n"), globals);
            assert!(matches!(&found[..], [one] if one.code == Code::UnknownKey), "{head}: {found:?}");
        }
        for (variable, keys, globals) in
            [("mapping['/a']", MAPPING, false), ("storage['/a']", STORAGE, false), ("config", CONFIG, true)]
        {
            for key in keys {
                let found = found(&format!("<?php ${variable}['{key}'] = 1.5;\n"), globals);
                assert!(matches!(&found[..], [one] if one.code == Code::NotEvaluable), "${variable} {key}: {found:?}");
            }
            let found = found(&format!("<?php ${variable}['no_such_key'] = 1.5;\n"), globals);
            assert!(matches!(&found[..], [one] if one.code == Code::UnknownKey), "${variable}: {found:?}");
        }
    }
}
