//! `config check` and `config show`.

use datastore_core::diag::Diagnostic;
use datastore_core::syntax::print::quoted;
use datastore_core::wanted::Wanted;
use datastore_exec::document::Declared;

use super::text::{clean, count, width};
use crate::view::effective::{Effective, EffectiveApp, EffectiveMapping, Value};
use crate::view::hint::typed;

/// Everything that was found, then one line that counts.
pub(in crate::view) fn diagnostics(found: &[&Diagnostic], wanted: &Wanted) -> String {
    let mut out = String::new();
    for finding in found {
        out.push_str(&format!("{finding}\n\n"));
    }
    let errors = found.iter().filter(|d| d.is_error()).count();
    let warnings = found.len() - errors;
    let words = match (errors, warnings) {
        (0, 0) => "no errors".to_owned(),
        (0, w) => format!("no errors, {}", count(w, "warning")),
        (e, 0) => count(e, "error"),
        (e, w) => format!("{}, {}", count(e, "error"), count(w, "warning")),
    };
    let (apps, mappings) = (wanted.apps.len(), wanted.mappings.len());
    out.push_str(&format!("{words} ({}, {})\n", count(apps, "app"), count(mappings, "mapping")));
    out
}

/// What `config add` or `config remove` came to, and the command to go on with.
pub(in crate::view) fn declared(declared: &Declared<'_>) -> String {
    let Declared { app, file, changed, remarks, next, .. } = declared;
    let mut out = match (changed, next.is_empty()) {
        (true, false) => format!("`{app}` is declared: {file} has been written; nothing is bound by that\n"),
        (true, true) => format!("`{app}` is not declared any more: {file} has been removed; its data stays\n"),
        (false, _) => format!("nothing to do: {file} says so already\n"),
    };
    for remark in *remarks {
        out.push_str(&format!("note: {}\n", clean(&remark.detail)));
    }
    if !next.is_empty() {
        out.push_str(&format!("to go on: {}\n", typed(next)));
    }
    out
}

/// What the configuration comes to, in the words of a configlet; with `origin`, each line says where it was written.
pub(in crate::view) fn effective(config: &Effective, origin: bool) -> String {
    let mut page = Page { out: String::new(), origin };
    page.line("host", &config.host, None);
    page.line("store", &config.store, None);
    page.line("default_volume", &config.default_volume, None);
    if config.config_add.enabled || !config.config_add.mount_points.is_empty() {
        page.head("config_add");
        page.raw("enabled", if config.config_add.enabled { "true" } else { "false" }, None);
        page.raw("mount_points", &list(&config.config_add.mount_points), None);
    }
    for volume in &config.volumes {
        page.head(&format!("volume.{}", key(&volume.volume)));
        page.line("path", &volume.path, None);
        for (name, text) in
            [("id", &volume.id), ("source", &volume.source), ("type", &volume.fstype), ("options", &volume.options)]
        {
            page.text(name, text);
        }
        if !volume.declared {
            page.out.push_str("# not declared: a mapping names it\n");
        }
    }
    config.apps.iter().for_each(|app| page.app(app));
    page.out
}

struct Page {
    out: String,
    origin: bool,
}

impl Page {
    fn head(&mut self, name: &str) {
        self.out.push_str(&format!("\n[{name}]\n"));
    }

    fn line(&mut self, name: &str, text: &str, origin: Option<&str>) {
        self.raw(name, &quoted(text), origin);
    }

    /// A text that is left out where it is empty.
    fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.line(name, text, None);
        }
    }

    fn raw(&mut self, name: &str, text: &str, origin: Option<&str>) {
        let line = format!("{name} = {text}");
        match origin {
            Some(origin) if self.origin => {
                let pad = " ".repeat(44_usize.saturating_sub(width(&line)));
                self.out.push_str(&format!("{line}{pad}  # {}\n", clean(origin)));
            }
            _ => self.out.push_str(&format!("{line}\n")),
        }
    }

    fn value(&mut self, name: &str, value: &Value<String>) {
        self.raw(name, &quoted(&value.value), Some(origin(value)));
    }

    fn app(&mut self, app: &EffectiveApp) {
        let name = key(&app.app);
        self.head(&format!("app.{name}"));
        for file in &app.files {
            self.out.push_str(&format!("# {}\n", clean(file)));
        }
        if !app.problem.is_empty() {
            self.out.push_str(&format!("# refused: {}\n", clean(&app.problem)));
        }
        self.text("title", &app.title);
        self.raw("enabled", if app.enabled.value { "true" } else { "false" }, Some(origin(&app.enabled)));
        if !app.services.is_empty() {
            self.raw("services", &list(&app.services), None);
        }
        self.text("premount", &app.premount);
        self.text("postmount", &app.postmount);
        let has_hooks = |of: &[&String]| of.iter().any(|hook| !hook.is_empty());
        if has_hooks(&[&app.premount, &app.postmount])
            || app.mappings.iter().any(|m| has_hooks(&[&m.premount, &m.postmount]))
        {
            self.raw("hook_timeout", &app.hook_timeout.to_string(), None);
        }
        app.mappings.iter().for_each(|m| self.mapping(&name, m));
    }

    fn mapping(&mut self, app: &str, mapping: &EffectiveMapping) {
        self.head(&format!("app.{app}.mapping.{}", quoted(&mapping.mount_point.value)));
        self.value("target", &mapping.target);
        self.value("permissions", &mapping.permissions);
        self.value("owner", &mapping.owner);
        self.value("group", &mapping.group);
        self.value("volume", &mapping.volume);
        self.raw("options", &list(&mapping.options.value), Some(origin(&mapping.options)));
        self.text("premount", &mapping.premount);
        self.text("postmount", &mapping.postmount);
    }
}

fn list(words: &[impl AsRef<str>]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word.as_ref())).collect();
    format!("[{}]", words.join(", "))
}

fn origin<T>(value: &Value<T>) -> &str {
    value.origin.as_deref().unwrap_or("built in")
}

/// A name as a key of TOML: bare where it can be.
fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}
