//! The TOML form: `/etc/datastore.conf` and configlets, read with the crate `toml` and checked key by key.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::depth::is_too_deep;
use super::keys;
use crate::diag::{Code, Diagnostic, FileId, Located, Sources, Span, nearest};
use crate::raw::{RawAlarm, RawApp, RawConfigAdd, RawGlobals, RawMapping, RawTarget, RawText, RawVolume, RawWatch};

/// More findings than this in one file help nobody.
const MOST: usize = 100;

/// Reads a configlet or an override.
#[must_use]
pub fn configlet(file: FileId, sources: &Sources) -> (RawApp, Vec<Diagnostic>) {
    let mut reader = Reader { file, sources, found: Vec::new() };
    let text = sources.text(file);
    let Some(table) = reader.parse(&text) else {
        return (RawApp::default(), reader.found);
    };
    let app = reader.app(&table);
    (app, reader.found)
}

/// Reads `/etc/datastore.conf`.
#[must_use]
pub fn globals(file: FileId, sources: &Sources) -> (RawGlobals, Vec<Diagnostic>) {
    let mut reader = Reader { file, sources, found: Vec::new() };
    let text = sources.text(file);
    let Some(table) = reader.parse(&text) else {
        return (RawGlobals::default(), reader.found);
    };
    let globals = reader.globals(&table);
    (globals, reader.found)
}

struct Reader<'a> {
    file: FileId,
    sources: &'a Sources,
    found: Vec<Diagnostic>,
}

type Entry<'t, 'i> = (&'t Spanned<std::borrow::Cow<'i, str>>, &'t Spanned<DeValue<'i>>);

impl Reader<'_> {
    fn parse<'t>(&mut self, text: &'t str) -> Option<DeTable<'t>> {
        if is_too_deep(text) {
            self.report(0..0, Code::TooLarge, "the file nests deeper than any configuration does");
            return None;
        }
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Some(table.into_inner());
        }
        for error in errors.iter().take(MOST) {
            let range = error.span().unwrap_or(0..0);
            let code = if error.message().contains("duplicate") { Code::Duplicate } else { Code::Syntax };
            self.report(range, code, error.message().trim_end_matches('.'));
        }
        // A text with a syntax error may mean anything, so no value of it is believed.
        None
    }

    fn span(&self, range: Range<usize>) -> Span {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span { file: self.file, start: clamp(range.start), end: clamp(range.end) }
    }

    fn report(&mut self, range: Range<usize>, code: Code, message: impl Into<String>) {
        if self.found.len() < MOST {
            let found = self.sources.diagnose(self.span(range), code, message);
            self.found.push(found);
        }
    }

    fn hint(&mut self, hint: impl Into<String>) {
        if let Some(last) = self.found.last_mut() {
            last.hint = Some(hint.into());
        }
    }

    /// The entries of a table in the order of the text: the map itself is sorted by key.
    fn entries<'t, 'i>(table: &'t DeTable<'i>) -> Vec<Entry<'t, 'i>> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
    }

    fn unknown(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, known: &[&str]) {
        let word = key.get_ref();
        self.report(key.span(), Code::UnknownKey, format!("unknown key `{word}`"));
        match nearest(word, known) {
            Some(near) => self.hint(format!("did you mean `{near}`?")),
            None => self.hint(format!("known keys here: {}", known.join(", "))),
        }
    }

    fn wrong_type(&mut self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let is = value.get_ref().type_str();
        self.report(value.span(), Code::BadValue, format!("`{key}` must be {wanted}, not {is}"));
    }

    fn text(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<RawText> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, "a string");
            if key == "permissions" && value.get_ref().is_integer() {
                self.hint("write the mode in quotes, such as permissions = \"0755\"");
            }
            return None;
        };
        Some(Located::new(text.to_owned(), self.span(value.span())))
    }

    fn flag(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Located<bool>> {
        let Some(flag) = value.get_ref().as_bool() else {
            self.wrong_type(key, value, "true or false");
            return None;
        };
        Some(Located::new(flag, self.span(value.span())))
    }

    fn integer(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Located<i64>> {
        let written = value.get_ref().as_integer();
        let Some(number) = written.and_then(|n| i64::from_str_radix(n.as_str(), n.radix()).ok()) else {
            self.wrong_type(key, value, "a whole number");
            return None;
        };
        Some(Located::new(number, self.span(value.span())))
    }

    fn list(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Located<Vec<RawText>>> {
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of strings");
            return None;
        };
        let items = array.iter().filter_map(|item| self.text(key, item)).collect();
        Some(Located::new(items, self.span(value.span())))
    }

    fn table<'t, 'i>(&mut self, key: &str, value: &'t Spanned<DeValue<'i>>) -> Option<&'t DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(key, value, "a table");
        }
        table
    }

    fn app(&mut self, table: &DeTable<'_>) -> RawApp {
        let mut app = RawApp::default();
        for (key, value) in Self::entries(table) {
            match listed(key, keys::APP) {
                Some("title") => app.title = self.text("title", value),
                Some("enabled") => app.enabled = self.flag("enabled", value),
                Some("services") => app.services = self.list("services", value),
                Some("premount") => app.premount = self.text("premount", value),
                Some("postmount") => app.postmount = self.text("postmount", value),
                Some("hook_timeout") => app.hook_timeout = self.integer("hook_timeout", value),
                Some("mapping") => {
                    if let Some(mappings) = self.table("mapping", value) {
                        app.mappings =
                            Self::entries(mappings).into_iter().filter_map(|(k, v)| self.mapping(k, v)).collect();
                    }
                }
                _ => self.unknown(key, keys::APP),
            }
        }
        app
    }

    fn mapping(
        &mut self,
        mount_point: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<RawMapping> {
        let name = mount_point.get_ref();
        if !name.starts_with('/') && keys::MAPPING.contains(&name.as_ref()) {
            self.report(mount_point.span(), Code::Syntax, format!("`{name}` stands outside a mapping"));
            self.hint("a mapping begins with its mount point in quotes: [mapping.\"/var/www\"]");
            return None;
        }
        let table = self.table(name, value)?;
        let span = self.span(mount_point.span());
        let mut mapping = RawMapping::new(Located::new(name.clone().into_owned(), span));
        for (key, value) in Self::entries(table) {
            match listed(key, keys::MAPPING) {
                Some("target") => mapping.target = self.text("target", value).map(RawTarget::Path),
                Some("permissions") => mapping.permissions = self.text("permissions", value),
                Some("owner") => mapping.owner = self.text("owner", value),
                Some("group") => mapping.group = self.text("group", value),
                Some("volume") => mapping.volume = self.text("volume", value),
                Some("premount") => mapping.premount = self.text("premount", value),
                Some("postmount") => mapping.postmount = self.text("postmount", value),
                Some("options") => mapping.options = self.list("options", value),
                Some("unusual") => mapping.unusual = self.flag("unusual", value),
                _ => self.unknown(key, keys::MAPPING),
            }
        }
        Some(mapping)
    }

    fn globals(&mut self, table: &DeTable<'_>) -> RawGlobals {
        let mut globals = RawGlobals::default();
        for (key, value) in Self::entries(table) {
            match listed(key, keys::GLOBAL) {
                Some("host") => globals.host = self.text("host", value),
                Some("store") => globals.store = self.text("store", value),
                Some("default_volume") => globals.default_volume = self.text("default_volume", value),
                Some("hook_timeout") => globals.hook_timeout = self.integer("hook_timeout", value),
                Some("volume") => {
                    if let Some(volumes) = self.table("volume", value) {
                        for (key, value) in Self::entries(volumes) {
                            globals.volumes.extend(self.volume(key, value));
                        }
                    }
                }
                Some("alarm") => {
                    if let Some(alarm) = self.table("alarm", value) {
                        globals.alarm = self.alarm(alarm);
                    }
                }
                Some("watch") => {
                    if let Some(watch) = self.table("watch", value) {
                        globals.watch = self.watch(watch);
                    }
                }
                Some("config_add") => {
                    if let Some(policy) = self.table("config_add", value) {
                        globals.config_add = self.config_add(policy);
                    }
                }
                Some("app") => {
                    if let Some(apps) = self.table("app", value) {
                        for (key, value) in Self::entries(apps) {
                            if let Some(table) = self.table(key.get_ref(), value) {
                                let span = self.span(key.span());
                                let app = self.app(table);
                                globals.apps.push((Located::new(key.get_ref().clone().into_owned(), span), app));
                            }
                        }
                    }
                }
                _ => self.unknown(key, keys::GLOBAL),
            }
        }
        globals
    }

    fn alarm(&mut self, table: &DeTable<'_>) -> RawAlarm {
        let mut alarm = RawAlarm::default();
        for (key, value) in Self::entries(table) {
            match listed(key, keys::ALARM) {
                Some("syslog") => alarm.syslog = self.flag("syslog", value),
                Some("command") => alarm.command = self.list("command", value),
                Some("mail") => alarm.mail = self.list("mail", value),
                Some("sendmail") => alarm.sendmail = self.text("sendmail", value),
                Some("events") => alarm.events = self.flag("events", value),
                _ => self.unknown(key, keys::ALARM),
            }
        }
        alarm
    }

    fn watch(&mut self, table: &DeTable<'_>) -> RawWatch {
        let mut watch = RawWatch::default();
        for (key, value) in Self::entries(table) {
            match listed(key, keys::WATCH) {
                Some("space") => watch.space = self.text("space", value),
                Some("inodes") => watch.inodes = self.text("inodes", value),
                Some("on_loss") => watch.on_loss = self.text("on_loss", value),
                Some("on_return") => watch.on_return = self.text("on_return", value),
                _ => self.unknown(key, keys::WATCH),
            }
        }
        watch
    }

    fn config_add(&mut self, table: &DeTable<'_>) -> RawConfigAdd {
        let mut policy = RawConfigAdd::default();
        for (key, value) in Self::entries(table) {
            match listed(key, keys::CONFIG_ADD) {
                Some("enabled") => policy.enabled = self.flag("enabled", value),
                Some("mount_points") => policy.mount_points = self.list("mount_points", value),
                _ => self.unknown(key, keys::CONFIG_ADD),
            }
        }
        policy
    }

    fn volume(&mut self, name: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) -> Option<RawVolume> {
        let table = self.table(name.get_ref(), value)?;
        let span = self.span(name.span());
        let mut volume = RawVolume {
            name: Located::new(name.get_ref().clone().into_owned(), span),
            id: None,
            path: None,
            source: None,
            fstype: None,
            options: None,
        };
        for (key, value) in Self::entries(table) {
            match listed(key, keys::VOLUME) {
                Some("id") => volume.id = self.text("id", value),
                Some("path") => volume.path = self.text("path", value),
                Some("source") => volume.source = self.text("source", value),
                Some("type") => volume.fstype = self.text("type", value),
                Some("options") => volume.options = self.text("options", value),
                _ => self.unknown(key, keys::VOLUME),
            }
        }
        Some(volume)
    }
}

/// The key, if it is one that may stand here.
fn listed<'k>(key: &'k Spanned<std::borrow::Cow<'_, str>>, keys: &[&str]) -> Option<&'k str> {
    let word = key.get_ref().as_ref();
    keys.contains(&word).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (RawApp, Vec<String>) {
        let mut sources = Sources::default();
        let file = sources.add("/etc/datastore.d/x.conf", text);
        let (app, found) = configlet(file, &sources);
        (app, found.iter().map(Diagnostic::one_line).collect())
    }

    #[test]
    fn reads_the_example_of_the_manual() {
        let (app, found) = read(
            r#"
title = "Web server"
services = ["httpd.service"]
premount = "/usr/share/x"
[mapping."/var/www/virtual"]
target = "%{base}/www/virtual"
permissions = "0755"
[mapping."/var/www/a"]
options = ["suid"]
unusual = true
"#,
        );
        assert_eq!(found, Vec::<String>::new());
        assert_eq!(app.title.unwrap().value, "Web server");
        assert_eq!(app.mappings.len(), 2);
        assert_eq!(app.mappings[0].mount_point.value, "/var/www/virtual");
        assert!(app.mappings[1].unusual.as_ref().unwrap().value);
    }

    #[test]
    fn all_findings_at_once() {
        let (_, found) =
            read("titel = \"x\"\nenabled = \"yes\"\n[mapping.\"/a\"]\npermissions = 755\nonwer = \"root\"\n");
        assert_eq!(found.len(), 4, "{found:#?}");
        assert_eq!(found[0], "/etc/datastore.d/x.conf:1:1: unknown key `titel`");
        assert_eq!(found[1], "/etc/datastore.d/x.conf:2:11: `enabled` must be true or false, not string");
        assert!(found[2].starts_with("/etc/datastore.d/x.conf:4:15: `permissions` must be a string"));
    }

    #[test]
    fn a_syntax_error_leaves_nothing() {
        let (app, found) = read("title = \"x\"\n[mapping.\"/a\"\ntarget = \n");
        assert_eq!(app, RawApp::default());
        assert!(!found.is_empty() && found.iter().all(|f| f.starts_with("/etc/datastore.d/x.conf:")), "{found:?}");
    }
}
