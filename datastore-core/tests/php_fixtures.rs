//! Every file under `tests/fixtures/config/php` gives what is stored beside it. The name of the file states the point.
//!
//! `valid` files have no error (warnings they may have), `invalid` ones have at least one. A name with `storage_conf`
//! is read as `/etc/clearos/storage.conf`, all others as configlets whose `$base` is `/store/clearos`, unless the
//! name ends in `_without_base`. `DATASTORE_BLESS=1 cargo test -p datastore-core --test php_fixtures` rewrites what is
//! stored; look at the difference before it is committed.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use datastore_core::diag::{Diagnostic, FileId, Located, Sources, Span};
use datastore_core::raw::{RawApp, RawMapping, RawTarget, RawText};
use datastore_core::syntax::php;

/// One value, and what the file says at its span.
fn line<T: std::fmt::Debug>(out: &mut String, sources: &Sources, name: &str, value: Option<&Located<T>>) {
    let Some(Located { value, span }) = value else { return };
    let text = sources.text(span.file);
    let said = &text[span.start as usize..span.end as usize];
    let _ = writeln!(out, "{name} = {value:?}   <- {} {said:?}", sources.place(*span));
}

fn texts(out: &mut String, sources: &Sources, name: &str, value: Option<&Located<Vec<RawText>>>) {
    let plain = value.map(|v| v.clone().map(|list| list.into_iter().map(|t| t.value).collect::<Vec<_>>()));
    line(out, sources, name, plain.as_ref());
}

fn mapping(out: &mut String, sources: &Sources, mapping: &RawMapping) {
    line(out, sources, "mount point", Some(&mapping.mount_point));
    match &mapping.target {
        Some(RawTarget::Path(path)) => line(out, sources, "  target", Some(path)),
        Some(RawTarget::ClearOs { base, directory }) => {
            line(out, sources, "  base", base.as_ref());
            line(out, sources, "  directory", directory.as_ref());
        }
        None => {}
    }
    line(out, sources, "  permissions", mapping.permissions.as_ref());
    line(out, sources, "  owner", mapping.owner.as_ref());
    line(out, sources, "  group", mapping.group.as_ref());
    line(out, sources, "  volume", mapping.volume.as_ref());
    line(out, sources, "  premount", mapping.premount.as_ref());
    line(out, sources, "  postmount", mapping.postmount.as_ref());
    texts(out, sources, "  options", mapping.options.as_ref());
    line(out, sources, "  unusual", mapping.unusual.as_ref());
}

fn app(out: &mut String, sources: &Sources, app: &RawApp) {
    line(out, sources, "title", app.title.as_ref());
    line(out, sources, "enabled", app.enabled.as_ref());
    texts(out, sources, "services", app.services.as_ref());
    line(out, sources, "premount", app.premount.as_ref());
    line(out, sources, "postmount", app.postmount.as_ref());
    app.mappings.iter().for_each(|m| mapping(out, sources, m));
}

/// What a file gives, as text.
fn read(path: &Path) -> (String, Vec<Diagnostic>) {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let text = fs::read_to_string(path).unwrap();
    let mut sources = Sources::default();
    let file = sources.add(&format!("{stem}.conf"), &text);
    let mut out = String::new();
    let diagnostics = if stem.starts_with("storage_conf") {
        let (globals, diagnostics) = php::clearos_globals(file, &sources);
        line(&mut out, &sources, "base", globals.base.as_ref());
        line(&mut out, &sources, "enabled", globals.enabled.as_ref());
        diagnostics
    } else {
        let base = Located::new("/store/clearos".to_owned(), Span { file: FileId(9), start: 0, end: 0 });
        let (raw, diagnostics) = php::configlet(file, &sources, (!stem.ends_with("_without_base")).then_some(&base));
        app(&mut out, &sources, &raw);
        diagnostics
    };
    for diagnostic in &diagnostics {
        let _ = write!(out, "\n{diagnostic}\n");
    }
    (out, diagnostics)
}

fn check(folder: &str, errors: bool) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/config/php").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(&root).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "conf"));
    files.sort();
    assert!(files.len() > 10, "{} has its fixtures", root.display());
    let bless = std::env::var_os("DATASTORE_BLESS").is_some();
    let mut wrong = Vec::new();
    for file in files {
        let (got, diagnostics) = read(&file);
        assert_eq!(diagnostics.iter().any(Diagnostic::is_error), errors, "{}:\n{got}", file.display());
        let stored = file.with_extension("expected");
        if bless {
            fs::write(&stored, &got).unwrap();
        } else if fs::read_to_string(&stored).ok().as_deref() != Some(&got) {
            wrong.push(format!("{}\n{got}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "not as stored:\n{}", wrong.join("\n"));
}

#[test]
fn valid() {
    check("valid", false);
}

#[test]
fn invalid() {
    check("invalid", true);
}
