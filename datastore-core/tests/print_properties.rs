//! What is printed is read back as the same values, whatever they are.

use datastore_core::diag::{FileId, Located, Sources, Span};
use datastore_core::raw::{RawApp, RawMapping, RawTarget, RawText};
use datastore_core::syntax::{print, toml};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

const NOWHERE: Span = Span { file: FileId(0), start: 0, end: 0 };

fn put<T>(value: T) -> Located<T> {
    Located::new(value, NOWHERE)
}

/// Texts with everything that quoting could get wrong.
fn text() -> impl Strategy<Value = RawText> {
    prop_oneof![
        "[a-z/%{}]{0,12}",
        "[\"'\\\\\n\r\t #=\\[\\]\u{0}-\u{1f}\u{7f}-\u{9f}]{0,8}",
        "\\PC{0,8}",
        any::<String>()
    ]
    .prop_map(put)
}

fn mapping() -> impl Strategy<Value = RawMapping> {
    let texts = (of(text()), of(text()), of(text()), of(text()), of(text()), of(text()));
    (text(), of(text()), texts, of(vec(text(), 0..4)), of(any::<bool>())).prop_map(
        |(mount_point, target, (permissions, owner, group, volume, premount, postmount), options, unusual)| {
            RawMapping {
                target: target.map(RawTarget::Path),
                permissions,
                owner,
                group,
                volume,
                premount,
                postmount,
                options: options.map(put),
                unusual: unusual.map(put),
                // The reader takes a word without a slash for a misplaced key.
                ..RawMapping::new(mount_point.map(|m| format!("/{m}")))
            }
        },
    )
}

fn app() -> impl Strategy<Value = RawApp> {
    let head = (of(text()), of(any::<bool>()), of(vec(text(), 0..4)), of(text()), of(text()), of(any::<i64>()));
    (head, vec(mapping(), 0..5)).prop_map(|((title, enabled, services, premount, postmount, seconds), mut mappings)| {
        let mut seen = std::collections::HashSet::new();
        mappings.retain(|m| seen.insert(m.mount_point.value.clone()));
        let (enabled, services, hook_timeout) = (enabled.map(put), services.map(put), seconds.map(put));
        RawApp { title, enabled, services, premount, postmount, hook_timeout, mappings }
    })
}

/// The same without the places, which differ.
fn bare(mut app: RawApp) -> RawApp {
    let texts = |list: &mut Option<Located<Vec<RawText>>>| {
        if let Some(list) = list {
            list.span = NOWHERE;
            list.value.iter_mut().for_each(|t| t.span = NOWHERE);
        }
    };
    let text = |t: &mut Option<RawText>| t.iter_mut().for_each(|t| t.span = NOWHERE);
    [&mut app.title, &mut app.premount, &mut app.postmount].into_iter().for_each(text);
    app.enabled.iter_mut().for_each(|e| e.span = NOWHERE);
    app.hook_timeout.iter_mut().for_each(|s| s.span = NOWHERE);
    texts(&mut app.services);
    for m in &mut app.mappings {
        m.mount_point.span = NOWHERE;
        if let Some(RawTarget::Path(t)) = &mut m.target {
            t.span = NOWHERE;
        }
        [&mut m.permissions, &mut m.owner, &mut m.group, &mut m.volume, &mut m.premount, &mut m.postmount]
            .into_iter()
            .for_each(text);
        texts(&mut m.options);
        m.unusual.iter_mut().for_each(|u| u.span = NOWHERE);
    }
    app
}

proptest! {
    #[test]
    fn print_then_read_is_the_same(app in app()) {
        let mut sources = Sources::default();
        let (printed, found) = print::configlet(&app, &sources);
        prop_assert!(found.is_empty());
        let file = sources.add("printed.conf", &printed);
        let (read, found) = toml::configlet(file, &sources);
        prop_assert!(found.is_empty(), "{printed}\n{found:?}");
        prop_assert_eq!(&bare(read.clone()), &bare(app), "{}", printed);
        // Printing is canonical: once more changes nothing.
        prop_assert_eq!(print::configlet(&read, &sources).0, printed);
    }
}
