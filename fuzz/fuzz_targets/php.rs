//! The reader of PHP configuration takes any text: it returns, and every place that it names lies in the text. What it understands is
//! printed as TOML, and read back there as just so many mappings.
#![no_main]

use datastore_core::diag::{FileId, Located, Sources, Span};
use datastore_core::syntax::{php, print, toml};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut sources = Sources::default();
    let file = sources.add("fuzz.conf", &text);
    let base = Located::new("/store".to_owned(), Span { file: FileId(7), start: 0, end: 0 });
    let _ = php::is_php(&text);
    let (globals, _) = php::clearos_globals(file, &sources);
    let given = globals.base.as_ref().unwrap_or(&base);
    let _ = php::configlet(file, &sources, None);
    let (app, findings) = php::configlet(file, &sources, Some(given));
    for mapping in &app.mappings {
        let Span { start, end, .. } = mapping.mount_point.span;
        assert!(text.get(start as usize..end as usize).is_some_and(|said| !said.is_empty()));
    }
    for finding in &findings {
        assert!(finding.to_string().split('\n').all(|line| !line.contains(char::is_control)), "{finding:?}");
    }
    // A word without a slash is taken for a key in the wrong place there.
    if findings.is_empty() && app.mappings.iter().all(|m| m.mount_point.value.starts_with('/')) {
        let (printed, _) = print::configlet(&app, &sources);
        let file = sources.add("printed.conf", &printed);
        let (read, found) = toml::configlet(file, &sources);
        assert!(found.is_empty() && read.mappings.len() == app.mappings.len(), "{printed}");
    }
});
