//! `config import`: configlets in PHP, printed as TOML.

use std::io::Read as _;
use std::path::Path;

use datastore_core::config::MAX_FILE;
use datastore_core::diag::{Diagnostic, Sources};
use datastore_core::path::{AbsPath, printable};
use datastore_core::raw::{RawApp, RawMapping, RawTarget, RawText};
use datastore_core::syntax::{php, print, toml};
use datastore_core::{Error, ErrorKind, Result};

use super::Session;
use crate::exit::Exit;
use crate::view;

/// Reads the files, lays each over the ones before it, and prints the result.
pub(crate) fn import(session: &Session, files: &[impl AsRef<Path>]) -> Result<Exit> {
    let mut sources = Sources::default();
    let mut found = Vec::new();
    let mut app = RawApp::default();
    for file in files {
        let file = file.as_ref();
        let text = read(file)?;
        let base = if php::is_php(&text) { clearos_base(file, &mut sources) } else { None };
        let id = sources.add(&name(file), &text);
        let (layer, diagnostics) = if php::is_php(&text) {
            php::configlet(id, &sources, base.as_ref())
        } else {
            toml::configlet(id, &sources)
        };
        found.extend(diagnostics);
        lay(&mut app, layer);
    }
    let (text, unprintable) = print::configlet(&app, &sources);
    found.extend(unprintable);
    let failed = found.iter().any(Diagnostic::is_error);
    view::imported(&text, &found, session.global.json)?;
    Ok(if failed { Exit::Refused } else { Exit::Done })
}

fn name(file: &Path) -> String {
    printable(file.as_os_str().as_encoded_bytes())
}

fn read(path: &Path) -> Result<String> {
    let wrong = |kind, what: &str| Error::new(kind, format!("{} {what}", name(path)));
    let system = |error: std::io::Error| {
        let kind = if error.kind() == std::io::ErrorKind::NotFound { ErrorKind::Usage } else { ErrorKind::System };
        wrong(kind, "cannot be read").with_errno(error.raw_os_error().unwrap_or(0)).caused_by(error)
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|f| f.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(system)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(wrong(ErrorKind::Invalid, "is larger than 1 MiB, so it is no configlet"));
    }
    String::from_utf8(bytes).map_err(|_| wrong(ErrorKind::Invalid, "is not UTF-8").hint("save the file as UTF-8"))
}

/// What `$base` means in a file of ClearOS: `/etc/clearos/storage.conf` beside the directory of `/etc/clearos/storage.d/x.conf`. Without
/// it, a value that needs `$base` is a finding of its own.
fn clearos_base(file: &Path, sources: &mut Sources) -> Option<RawText> {
    let conf = file.canonicalize().ok()?.parent()?.parent()?.join("storage.conf");
    let text = read(&conf).ok()?;
    let id = sources.add(&name(&conf), &text);
    php::clearos_globals(id, sources).0.base
}

/// Lays a file over the ones before it, mapping by mapping and value by value.
fn lay(under: &mut RawApp, over: RawApp) {
    put(&mut under.title, over.title);
    put(&mut under.enabled, over.enabled);
    put(&mut under.services, over.services);
    put(&mut under.premount, over.premount);
    put(&mut under.postmount, over.postmount);
    for mapping in over.mappings {
        match under.mappings.iter_mut().find(|m| is_same(m, &mapping)) {
            None => under.mappings.push(mapping),
            Some(below) => lay_mapping(below, mapping),
        }
    }
}

fn is_same(a: &RawMapping, b: &RawMapping) -> bool {
    let spelt = |m: &RawMapping| AbsPath::parse(&m.mount_point.value);
    a.mount_point.value == b.mount_point.value || matches!((spelt(a), spelt(b)), (Ok(a), Ok(b)) if a == b)
}

fn lay_mapping(under: &mut RawMapping, over: RawMapping) {
    under.target = match (under.target.take(), over.target) {
        (
            Some(RawTarget::ClearOs { base, directory }),
            Some(RawTarget::ClearOs { base: upper_base, directory: upper_directory }),
        ) => Some(RawTarget::ClearOs { base: upper_base.or(base), directory: upper_directory.or(directory) }),
        (below, above) => above.or(below),
    };
    put(&mut under.permissions, over.permissions);
    put(&mut under.owner, over.owner);
    put(&mut under.group, over.group);
    put(&mut under.volume, over.volume);
    put(&mut under.premount, over.premount);
    put(&mut under.postmount, over.postmount);
    put(&mut under.options, over.options);
    put(&mut under.unusual, over.unusual);
}

fn put<T>(under: &mut Option<T>, over: Option<T>) {
    if over.is_some() {
        *under = over;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_php(sources: &mut Sources, text: &str) -> RawApp {
        let id = sources.add("t.conf", text);
        php::configlet(id, sources, None).0
    }

    #[test]
    fn an_override_of_clearos_changes_only_what_it_says() {
        let mut sources = Sources::default();
        let mut app = read_php(
            &mut sources,
            "<?php $info['name'] = 'Home'; $storage['/home']['base'] = '/a'; $storage['/home']['directory'] = 'home'; \
             $storage['/home']['owner'] = 'root';",
        );
        lay(
            &mut app,
            read_php(&mut sources, "<?php $storage['/home/']['base'] = '/b'; $storage['/x']['base'] = '/c';"),
        );
        let (text, found) = print::configlet(&app, &sources);
        assert_eq!(
            text,
            "title = \"Home\"\n\n[mapping.\"/home\"]\ntarget = \"/b/home\"\nowner = \"root\"\n\n[mapping.\"/x\"]\n"
        );
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn the_base_is_found_beside_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("storage.d")).unwrap();
        let file = dir.path().join("storage.d/home_default.conf");
        std::fs::write(&file, "<?php $storage['/home']['base'] = $base;").unwrap();
        let mut sources = Sources::default();
        assert_eq!(clearos_base(&file, &mut sources), None);
        std::fs::write(dir.path().join("storage.conf"), "<?php $config['base'] = '/store/data0';").unwrap();
        assert_eq!(clearos_base(&file, &mut sources).unwrap().value, "/store/data0");
    }

    #[test]
    fn what_cannot_be_read() {
        let missing = read(Path::new("/nonexistent/x.conf")).unwrap_err();
        assert_eq!((missing.kind(), missing.errno()), (ErrorKind::Usage, Some(2)));
        assert!(missing.chain().starts_with("/nonexistent/x.conf cannot be read: "), "{}", missing.chain());
        assert_eq!(read(Path::new("/dev/zero")).unwrap_err().kind(), ErrorKind::Invalid);
    }
}
