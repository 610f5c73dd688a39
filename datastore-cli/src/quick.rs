//! The quick way for `datastore [--root DIR] guard APP` and nothing else: init scripts and units run it before every start of a service.
//!
//! It only ever says yes. Whatever it does not understand, and every refusal, goes the ordinary way, which explains itself.

use std::ffi::OsString;
use std::path::Path;

use datastore_core::value::AppName;
use datastore_exec::Engine;

/// Whether the words are a guard that lets the app start.
pub(crate) fn lets_start(words: &[OsString]) -> bool {
    let Some((root, app)) = guard(words) else { return false };
    let Ok(app) = AppName::parse(app) else { return false };
    Engine::open(Path::new(root)).is_ok_and(|engine| engine.guard(&app).is_ok())
}

/// The root and the app, if the words are of exactly this form.
fn guard(words: &[OsString]) -> Option<(&str, &str)> {
    let words: Option<Vec<&str>> = words.iter().skip(1).map(|w| w.to_str()).collect();
    match words?.as_slice() {
        ["guard", app] if !app.starts_with('-') => Some(("/", app)),
        ["--root", root, "guard", app] if !app.starts_with('-') => Some((root, app)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_plain_form_is_quick() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(guard(&words("datastore guard httpd")), Some(("/", "httpd")));
        assert_eq!(guard(&words("datastore --root /r guard httpd")), Some(("/r", "httpd")));
        for other in [
            "datastore guard",
            "datastore guard --help",
            "datastore guard a b",
            "datastore httpd guard",
            "datastore --json guard a",
        ] {
            assert_eq!(guard(&words(other)), None, "{other}");
        }
    }
}
