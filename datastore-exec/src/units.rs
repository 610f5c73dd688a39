//! What systemd is told so that no service starts on the wrong data: written by our generator (systemd.generator(7)) whenever systemd reads its
//! units, and held against what the configuration says after each operation.

use std::collections::BTreeSet;
use std::io::ErrorKind::{NotADirectory, NotFound};
use std::path::{Path, PathBuf};

use datastore_core::fstab::Fstab;
use datastore_core::plan::Remark;
use datastore_core::resolve::{incumbents, resolve};
use datastore_core::unit::{self, DROP_IN, Remembered, UnitFile, drop_ins};
use datastore_core::value::{AppName, Attrs};
use datastore_core::wanted::Wanted;
use datastore_core::{AbsPath, Error, ErrorKind, Result};

use crate::durable::{self, Expect};
use crate::engine::demand_globals;
use crate::root::Root;
use crate::steps::system;
use crate::{load, observe, operation, run_files};

/// Where generators write units that come after the administrator's.
const GENERATED: &str = "/run/systemd/generator";
/// Where our generator may be.
const GENERATORS: [&str; 3] = [
    "/etc/systemd/system-generators/datastore-generator",
    "/usr/local/lib/systemd/system-generators/datastore-generator",
    "/usr/lib/systemd/system-generators/datastore-generator",
];
const DIR: &str = "/var/lib/datastore";
/// What the generator goes by where a configlet cannot be understood.
const REMEMBERED: &str = "/var/lib/datastore/services.json";

/// Writes every drop-in below a directory, which systemd has emptied.
///
/// It asks nobody but the file system below the root: neither users nor the mount table nor a daemon. Nothing else is written. A configuration that
/// cannot be understood is no error: what was known of services stands.
///
/// # Errors
/// The first thing that could not be read or written; everything else has been written all the same.
pub fn generate(root: &Root, into: &Path) -> Result<()> {
    let (files, mut complaints) = files(root);
    for file in &files {
        let path = into.join(&file.path);
        let written =
            std::fs::create_dir_all(path.parent().unwrap_or(into)).and_then(|()| std::fs::write(&path, &file.text));
        complaints.extend(written.err().map(|error| {
            Error::new(ErrorKind::System, format!("{} cannot be written", path.display()))
                .with_errno(error.raw_os_error().unwrap_or(0))
                .hint(
                    "without it a service may start on the wrong data: make room in /run, then systemctl daemon-reload",
                )
                .caused_by(error)
        }));
    }
    complaints.into_iter().next().map_or(Ok(()), Err)
}

/// The drop-ins that this machine should have, and what could not be read.
fn files(root: &Root) -> (Vec<UnitFile>, Vec<Error>) {
    let mut complaints = Vec::new();
    // Without fstab the services are guarded all the same.
    let fstab = observe::fstab(root).unwrap_or_else(|error| {
        complaints.push(error);
        Fstab::parse(b"")
    });
    let wanted = wanted(root, &fstab).unwrap_or_else(|error| {
        complaints.push(error);
        None
    });
    (drop_ins(wanted.as_ref(), &fstab, &remembered(root)), complaints)
}

/// `None` if there is no configuration at all.
fn wanted(root: &Root, fstab: &Fstab) -> Result<Option<Wanted>> {
    let inputs = load::load(root, None)?;
    Ok(demand_globals(&inputs).is_ok().then(|| resolve(inputs, &incumbents(fstab))))
}

/// What was known of services; nothing if that cannot be read, or /var is not there yet.
fn remembered(root: &Root) -> Remembered {
    let bytes = observe::read(root, &AbsPath::literal(REMEMBERED)).ok().flatten();
    bytes.and_then(|bytes| Remembered::parse(&bytes).ok()).unwrap_or_default()
}

/// The apps that must have their data before a service starts.
pub(crate) fn apps_of(root: &Root, service: &str) -> Vec<AppName> {
    let fstab = observe::fstab(root).unwrap_or_else(|_| Fstab::parse(b""));
    let wanted = wanted(root, &fstab).ok().flatten();
    unit::apps_of(wanted.as_ref(), &remembered(root), service)
}

/// The services of an app.
pub(crate) fn services_of(root: &Root, app: &AppName) -> Vec<String> {
    let fstab = observe::fstab(root).unwrap_or_else(|_| Fstab::parse(b""));
    let wanted = wanted(root, &fstab).ok().flatten();
    unit::services_of(wanted.as_ref(), &remembered(root), app)
}

/// The apps whose services must not start because nothing says what their data is.
pub(crate) fn bare_apps(root: &Root, wanted: &Wanted) -> Vec<AppName> {
    unit::bare_apps(wanted, &remembered(root))
}

/// The apps of which something is known to run on their data, whatever the configuration says now.
pub(crate) fn known_apps(root: &Root) -> Vec<AppName> {
    unit::known_apps(&remembered(root))
}

/// After an operation: has systemd read its units anew if what it was told is not what the configuration says now, and keeps what is known of services.
/// It fails no operation.
pub(crate) fn refresh(root: &Root) -> Vec<Remark> {
    if !operation::privileged() || !root.is_machine() {
        return Vec::new();
    }
    let told = told_anew(root);
    let remark = |error: Error| Remark {
        detail: format!("what keeps services from starting on the wrong data may be out of date: {}", error.chain()),
        hint: "systemctl daemon-reload".into(),
    };
    told.err().map(remark).into_iter().collect()
}

fn told_anew(root: &Root) -> Result<()> {
    let fstab = observe::fstab(root)?;
    let wanted = wanted(root, &fstab)?;
    let before = remembered(root);
    let now = wanted.as_ref().map_or_else(|| before.clone(), |wanted| before.renewed(wanted));
    if now != before {
        let _ = run_files::make_dirs(root, DIR, 0o755)?;
        let path = AbsPath::literal(REMEMBERED);
        let _ = durable::replace(root, &path, &now.render(), "services", Attrs::root(0o644), Expect::Anything)?;
    }
    let is_there = |path: &str| Path::new(path).exists();
    if !is_there("/run/systemd/system") || !GENERATORS.iter().any(|path| is_there(path)) {
        return Ok(());
    }
    let files = drop_ins(wanted.as_ref(), &fstab, &now).into_iter();
    let due: BTreeSet<(PathBuf, String)> =
        files.map(|file| (Path::new(GENERATED).join(file.path), file.text)).collect();
    if due == told()? { Ok(()) } else { system::reload() }
}

/// The drop-ins that systemd has read.
fn told() -> Result<BTreeSet<(PathBuf, String)>> {
    let failed =
        |error: std::io::Error| Error::new(ErrorKind::System, format!("{GENERATED} cannot be read")).caused_by(error);
    let dir = match std::fs::read_dir(GENERATED) {
        Err(error) if error.kind() == NotFound => return Ok(BTreeSet::new()),
        other => other.map_err(failed)?,
    };
    let mut told = BTreeSet::new();
    for entry in dir {
        let path = entry.map_err(failed)?.path().join(DROP_IN);
        match std::fs::read(&path) {
            Ok(text) => _ = told.insert((path, String::from_utf8_lossy(&text).into_owned())),
            Err(error) if matches!(error.kind(), NotFound | NotADirectory) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(told)
}
