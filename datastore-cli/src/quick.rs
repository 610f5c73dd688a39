//! The quick way for `datastore [--root DIR] guard [--at-start] APP` and nothing else: init scripts and units run it before every start of a service.
//!
//! It only ever says yes. Whatever it does not understand, and every refusal, goes the ordinary way, which explains itself.

use std::ffi::OsString;
use std::path::Path;

use datastore_core::value::AppName;
use datastore_exec::Engine;

/// Whether the words are a guard that lets the app start.
pub(crate) fn lets_start(words: &[OsString]) -> bool {
    let Some((root, app, at_start)) = guard(words) else { return false };
    let Ok(app) = AppName::parse(app) else { return false };
    let ask = |engine: Engine| if at_start { engine.guard_at_start(&app) } else { engine.guard(&app) };
    Engine::open(Path::new(root)).and_then(ask).is_ok()
}

/// The root, the app, and whether it is about to start, if the words are of exactly this form.
fn guard(words: &[OsString]) -> Option<(&str, &str, bool)> {
    let words: Option<Vec<&str>> = words.iter().skip(1).map(|w| w.to_str()).collect();
    let (root, words) = match words?.as_slice() {
        ["--root", root, rest @ ..] => (*root, rest.to_vec()),
        all => ("/", all.to_vec()),
    };
    match words.as_slice() {
        ["guard", app] if !app.starts_with('-') => Some((root, app, false)),
        ["guard", "--at-start", app] if !app.starts_with('-') => Some((root, app, true)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_plain_form_is_quick() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(guard(&words("datastore guard httpd")), Some(("/", "httpd", false)));
        assert_eq!(guard(&words("datastore --root /r guard httpd")), Some(("/r", "httpd", false)));
        assert_eq!(guard(&words("datastore guard --at-start httpd")), Some(("/", "httpd", true)));
        for other in [
            "datastore guard",
            "datastore guard --help",
            "datastore guard --at-start --help",
            "datastore guard httpd --at-start",
            "datastore guard a b",
            "datastore httpd guard",
            "datastore --json guard a",
        ] {
            assert_eq!(guard(&words(other)), None, "{other}");
        }
    }
}
