//! Canonical TOML out of a configlet in either language: what `config import` prints.
//!
//! One order of keys, one way of quoting. What is printed is read back by [`toml`](super::toml) as the same values.

use std::fmt::Write as _;

use crate::diag::{Code, Diagnostic, Sources};
use crate::raw::{RawApp, RawMapping, RawTarget, RawText};

/// Prints a configlet, with a finding for each mapping that TOML cannot hold.
///
/// ClearOS's base and directory become one target that is spelt out, in which `%` is written `%{%}`, as it expands to nothing there. A
/// mapping that has only one of the two (an override without what it overrides) gets no target, and a finding that says so.
#[must_use]
pub fn configlet(app: &RawApp, sources: &Sources) -> (String, Vec<Diagnostic>) {
    let mut out = String::new();
    let mut found = Vec::new();
    text(&mut out, "title", app.title.as_ref());
    if let Some(enabled) = &app.enabled {
        line(&mut out, "enabled", if enabled.value { "true" } else { "false" });
    }
    list(&mut out, "services", app.services.as_ref().map(|l| l.value.as_slice()));
    text(&mut out, "premount", app.premount.as_ref());
    text(&mut out, "postmount", app.postmount.as_ref());
    if let Some(seconds) = &app.hook_timeout {
        line(&mut out, "hook_timeout", &seconds.value.to_string());
    }
    for raw in &app.mappings {
        if !out.is_empty() {
            out.push('\n');
        }
        let _ = writeln!(out, "[mapping.{}]", quoted(&raw.mount_point.value));
        found.extend(mapping(&mut out, raw, sources));
    }
    (out, found)
}

fn mapping(out: &mut String, raw: &RawMapping, sources: &Sources) -> Option<Diagnostic> {
    let mut found = None;
    match &raw.target {
        None => {}
        Some(RawTarget::Path(target)) => text(out, "target", Some(target)),
        Some(RawTarget::ClearOs { base: Some(base), directory: Some(directory) }) => {
            let whole = format!("{}/{}", base.value.trim_end_matches('/'), directory.value.trim_matches('/'));
            line(out, "target", &quoted(&whole.replace('%', "%{%}")));
        }
        Some(RawTarget::ClearOs { base, .. }) => {
            let missing = if base.is_some() { "directory" } else { "base" };
            let what = format!("the mapping has no ['{missing}'], so its store directory is not known");
            let hint = "give the file that it overrides (<name>_default.conf) before it";
            found = Some(sources.diagnose(raw.mount_point.span, Code::MissingKey, what).hint(hint));
        }
    }
    text(out, "permissions", raw.permissions.as_ref());
    text(out, "owner", raw.owner.as_ref());
    text(out, "group", raw.group.as_ref());
    text(out, "volume", raw.volume.as_ref());
    text(out, "premount", raw.premount.as_ref());
    text(out, "postmount", raw.postmount.as_ref());
    list(out, "options", raw.options.as_ref().map(|l| l.value.as_slice()));
    if let Some(unusual) = &raw.unusual {
        line(out, "unusual", if unusual.value { "true" } else { "false" });
    }
    found
}

fn line(out: &mut String, key: &str, value: &str) {
    let _ = writeln!(out, "{key} = {value}");
}

fn text(out: &mut String, key: &str, value: Option<&RawText>) {
    if let Some(value) = value {
        line(out, key, &quoted(&value.value));
    }
}

fn list(out: &mut String, key: &str, values: Option<&[RawText]>) {
    if let Some(values) = values {
        let words: Vec<String> = values.iter().map(|v| quoted(&v.value)).collect();
        line(out, key, &format!("[{}]", words.join(", ")));
    }
}

/// A text as a basic string of TOML (toml.io, "String"): on one line, everything that must be escaped is.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::php;

    fn imported(text: &str) -> (String, Vec<String>) {
        let mut sources = Sources::default();
        let file = sources.add("t.conf", text);
        let (app, found) = php::configlet(file, &sources, None);
        assert!(found.is_empty(), "{found:?}");
        let (out, found) = configlet(&app, &sources);
        (out, found.iter().map(Diagnostic::one_line).collect())
    }

    #[test]
    fn the_proposals_form() {
        let (out, found) = imported(
            "$premount = '/usr/share/a';\n$mapping['/var/www/virtual']['target'] = '%{base}/www/virtual';\n\
             $mapping['/var/www/virtual']['permissions'] = '0755';\n$mapping['/b']['target'] = '%{base}/\"b\"';\n",
        );
        assert_eq!(found, Vec::<String>::new());
        assert_eq!(
            out,
            "premount = \"/usr/share/a\"\n\n[mapping.\"/var/www/virtual\"]\ntarget = \"%{base}/www/virtual\"\n\
             permissions = \"0755\"\n\n[mapping.\"/b\"]\ntarget = \"%{base}/\\\"b\\\"\"\n"
        );
    }

    #[test]
    fn clearos_is_spelt_out() {
        let (out, found) = imported(
            "<?php $storage['/home']['base'] = '/store/data0/';\n$storage['/home']['directory'] = '/a%b/home/';\n",
        );
        assert_eq!(found, Vec::<String>::new());
        assert_eq!(out, "[mapping.\"/home\"]\ntarget = \"/store/data0/a%{%}b/home\"\n");
    }

    #[test]
    fn half_a_target_is_said() {
        let (out, found) = imported("<?php $storage['/home']['base'] = '/big';");
        assert_eq!(out, "[mapping.\"/home\"]\n");
        assert_eq!(found, ["t.conf:1:16: the mapping has no ['directory'], so its store directory is not known"]);
    }
}
