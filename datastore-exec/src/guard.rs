//! The guard: quick, because it runs before every start of a service, and closed when in doubt.
//!
//! It asks the same question as status, of one app: it reads only that app's configuration, asks the kernel only about the mounts that
//! matter, and cuts only the lines that matter out of the manifest. So its answer does not take longer when ten thousand
//! other binds are there.

use std::collections::{BTreeMap, HashMap};

use datastore_core::fstab::Fstab;
use datastore_core::label::Labels;
use datastore_core::manifest::{DIRECTORY, Manifest};
use datastore_core::mapping::Mapping;
use datastore_core::mountinfo::MountTable;
use datastore_core::nesting::Nesting;
use datastore_core::observed::{FileFacts, Identity, Lookup, MappingFacts, Observed, Place, Probe};
use datastore_core::planted::{self, Bug};
use datastore_core::resolve::{Incumbents, resolve};
use datastore_core::standing::{Ask, Standing, View};
use datastore_core::state::{Reason, State};
use datastore_core::status::Row;
use datastore_core::value::AppName;
use datastore_core::wanted::Wanted;
use datastore_core::{AbsPath, Error, ErrorKind, Result};

use crate::alarm;
use crate::closed;
use crate::engine::{Engine, demand_globals, demand_readable_globals};
use crate::journal_file;
use crate::kept::{self, Which};
use crate::load;
use crate::observe;
use crate::place::{Want, look};
use crate::root::Root;
use crate::sys::stat::{self, Kind};
use crate::sys::{Entry, statmount};
use rustix::fs::OFlags;

/// Refuses unless every mapping of the app is bound to the right store; raises the alarm if it does, and clears it if not.
pub(crate) fn guard(engine: &Engine, app: &AppName) -> Result<()> {
    match ask(engine, app) {
        Ok(()) => {
            alarm::lets_start(engine.root(), app);
            Ok(())
        }
        // Whoever asks so asks by hand.
        Err(No::Error(error)) if matches!(error.kind(), ErrorKind::Usage | ErrorKind::Privilege) => Err(error),
        Err(no) => {
            // That it must not start is certain by now, so there is time for a full look, which knows more (whether it was stopped
            // on purpose, what fstab says).
            let rows = engine.status(std::slice::from_ref(app)).map(|status| status.mappings).unwrap_or_default();
            let (error, is_known) = match no {
                No::Error(error) => (error, !rows.is_empty()),
                No::Undeclared(error) => (error, false),
                No::Mapping(mount_point, seen) => (explain(app, &mount_point, &seen, &rows), true),
            };
            let told = if is_known { rows } else { vec![undeclared(app, &error)] };
            alarm::kept_from_starting(engine.root(), &told);
            Err(error)
        }
    }
}

/// The same for a service that is about to start, or for all of an app's where it is not known which.
pub(crate) fn guard_at_start(engine: &Engine, app: &AppName, service: Option<&str>) -> Result<()> {
    let answer = guard(engine, app);
    match &answer {
        Ok(()) => {
            // What was refused before it need wait no longer.
            let _ = kept::release_one(engine, app, service);
        }
        Err(error) if error.kind() == ErrorKind::Usage => {}
        Err(_) => kept::waits(engine.root(), app, service.map_or(Which::Any, Which::One)),
    }
    answer
}

/// Whether an app has its data. Nobody is told of it.
pub(crate) fn has_its_data(engine: &Engine, app: &AppName) -> bool {
    ask(engine, app).is_ok()
}

/// Whether an app may start whose data has just been moved; `None` if it was stopped on purpose, so that nothing is bound. No alarm is over
/// by that: its services may be down all the same.
///
/// # Errors
/// Why it must not; that is told as an alarm too.
pub(crate) fn probe(engine: &Engine, app: &AppName) -> Result<Option<bool>> {
    let wanted = resolve(load::load(engine.root(), Some(app))?, &Incumbents::new());
    let fstab = observe::fstab(engine.root())?;
    let is_stopped = |m: &Mapping| fstab.ours(&m.mount_point).is_some_and(|row| row.entry.has_option("noauto"));
    if wanted.of_app(app).all(|(_, mapping)| is_stopped(mapping)) {
        return Ok(None);
    }
    match ask(engine, app) {
        Ok(()) => Ok(Some(true)),
        Err(No::Error(error) | No::Undeclared(error)) => Err(error),
        Err(No::Mapping(mount_point, seen)) => {
            let of = wanted.of_app(app).map(|(_, mapping)| mapping).find(|m| m.mount_point == mount_point);
            let rows: Vec<Row> = of.map(|mapping| Row::of(mapping, &seen)).into_iter().collect();
            alarm::kept_from_starting(engine.root(), &rows);
            Err(explain(app, &mount_point, &seen, &rows))
        }
    }
}

/// Why an app must not start.
enum No {
    /// Said whole.
    Error(Error),
    /// There is no configuration, or it has nothing for the app.
    Undeclared(Error),
    /// This mapping is not as it must be.
    Mapping(AbsPath, Box<Standing>),
}

impl From<Error> for No {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

fn ask(engine: &Engine, app: &AppName) -> Result<(), No> {
    let root = engine.root();
    let inputs = load::load(root, Some(app))?;
    demand_globals(&inputs).map_err(No::Undeclared)?;
    demand_readable_globals(&inputs)
        .map_err(|why| refusal(app, "", why.message(), why.get_hint().unwrap_or_default()))?;
    let wanted = resolve(inputs, &Incumbents::new());
    let Some(declared) = wanted.app(app) else {
        return Err(Error::new(ErrorKind::Usage, format!("no app is called `{app}`; it must not start"))
            .hint("datastore status")
            .into());
    };
    if let Some(problem) = &declared.problem {
        return Err(refusal(app, "", &problem.detail, &problem.hint).into());
    }
    if let Some((detail, hint)) = closed::why(root, app)? {
        return Err(refusal(app, "", &detail, &hint).into());
    }
    let paths = wanted.of_app(app).map(|(_, m)| m.mount_point.clone());
    let paths: Vec<AbsPath> = paths.chain(wanted.volumes.iter().map(|v| v.path.clone())).collect();
    let mounts = match mounts_at(root, &paths)? {
        Some(table) => table,
        None => observe::mounts(root)?,
    };
    let fstab = Fstab::parse(b"");
    let nesting = Nesting { wanted: &wanted, mounts: &mounts, fstab: &fstab };
    let probe = Probe::of(nesting, |i| wanted.mappings[i].app == *app);
    let mut observed = glance(engine, app, &wanted, &probe, mounts)?;
    let asked = Ask { by_name: true, ..Ask::default() };
    let is_wrong = |standing: Standing| standing.refusal.is_some_and(|refusal| refusal.reason == Reason::WrongStore);
    if wanted.of_app(app).any(|(i, _)| is_wrong(View::new(&wanted, &observed).assess(i, asked))) {
        // It may be the identity of the store that it had before an edit, of which only the manifest there tells.
        observed.manifests = observe::manifests(root, &probe);
    }
    let view = View::new(&wanted, &observed);
    let mut mappings = 0;
    for (i, mapping) in wanted.of_app(app) {
        mappings += 1;
        let standing = view.assess(i, asked);
        // Drift (a mode, an option) is no reason to keep an app from the right data; status shows it.
        let bound_right = standing.bound.as_ref().is_some_and(|b| b.right);
        let good = matches!(standing.state, State::Active | State::Drifted) && bound_right;
        if planted::has(Bug::OpenGuard) && cannot_be_seen(&observed, i) {
            continue;
        }
        if !good {
            return Err(No::Mapping(mapping.mount_point.clone(), Box::new(standing)));
        }
        // Closed when in doubt: without privilege nobody can tell the right store from a directory of the same name.
        let store = observed.mappings[i].as_ref().and_then(|f| f.store.dir());
        match store.map(|dir| &dir.id) {
            Some(Identity::Is(_)) => {}
            None | Some(Identity::Hidden | Identity::Unasked) => {
                let message = format!("`{app}` must not start: the identity of {} cannot be seen", mapping.store);
                return Err(Error::new(ErrorKind::Privilege, message).hint("run the guard as root").into());
            }
            Some(_) => {
                let detail = format!("{} carries no identity", mapping.store);
                return Err(refusal(app, "", &detail, &format!("datastore apply {app}")).into());
            }
        }
    }
    if declared.has_hooks
        && let Some(mount_point) = cut_off(root, &wanted, app)?
    {
        let detail = format!("an operation stopped half-way before the hooks of {mount_point} had run to their end");
        return Err(refusal(app, "", &detail, "datastore recover").into());
    }
    if mappings == 0 {
        return Err(No::Undeclared(bare(app)));
    }
    Ok(())
}

/// Whether the place of a mapping or its store could not be looked at.
fn cannot_be_seen(observed: &Observed, mapping: usize) -> bool {
    let hidden = |place: &Place| matches!(place, Place::Failed(_) | Place::Hidden);
    observed.mappings[mapping].as_ref().is_some_and(|facts| hidden(&facts.mount_point) || hidden(&facts.store))
}

/// A mount point of the app that is bound, but by an operation that was interrupted before its hooks had run. One that is still at
/// work does not count: its hook may be what starts the app.
fn cut_off(root: &Root, wanted: &Wanted, app: &AppName) -> Result<Option<AbsPath>> {
    let unfinished = journal_file::scan(root)?.unfinished;
    let owed = |m: &&Mapping| unfinished.iter().any(|u| u.owes.contains(&m.mount_point));
    Ok(wanted.of_app(app).map(|(_, m)| m).find(owed).map(|m| m.mount_point.clone()))
}

/// What is said of a mapping that is not as it must be: the words of the full look, unless it finds it in order by now.
fn explain(app: &AppName, mount_point: &AbsPath, seen: &Standing, rows: &[Row]) -> Error {
    let place = mount_point.to_string();
    let row = rows.iter().find(|row| row.mount_point == place && row.state != State::Active);
    let (state, detail, hint) = match row {
        Some(row) => (row.state, &row.detail, &row.hint),
        None => (seen.state, &seen.detail, &seen.hint),
    };
    let told = if state == State::Refused { detail.clone() } else { format!("it is {state}: {detail}") };
    refusal(app, &format!("{place}: "), &told, hint)
}

/// Nothing says what the data of an app is.
pub(crate) fn bare(app: &AppName) -> Error {
    refusal(app, "", "it declares no mapping", &format!("datastore config show {app}"))
}

/// The row of an app of which nothing can be told: there is no configuration any more, or it says nothing of it.
pub(crate) fn undeclared(app: &AppName, error: &Error) -> Row {
    Row {
        app: app.to_string(),
        mount_point: String::new(),
        store: String::new(),
        volume: String::new(),
        state: State::Refused,
        reason: Some(Reason::ConfigInvalid),
        detail: error.chain(),
        hint: error.get_hint().unwrap_or_default().to_owned(),
    }
}

fn refusal(app: &AppName, place: &str, detail: &str, hint: &str) -> Error {
    let error = Error::new(ErrorKind::Refused, format!("`{app}` must not start: {place}{detail}"));
    if hint.is_empty() { error.hint(format!("datastore status {app}")) } else { error.hint(hint) }
}

/// Just the facts that tell whether the binds are right.
fn glance(engine: &Engine, app: &AppName, wanted: &Wanted, probe: &Probe, mounts: MountTable) -> Result<Observed> {
    let root = engine.root();
    let ids = engine.ids()?;
    let facts = |a: &datastore_core::observed::MappingProbe| MappingFacts {
        mount_point: look(root, &a.mount_point, Want::default()),
        beneath: Place::Hidden,
        store: look(root, &a.store, Want { empty: false, id: true }),
    };
    let mut manifests = BTreeMap::new();
    for home in &probe.homes {
        let of_app = |m: &&Mapping| m.home == *home && m.app == *app;
        let keys: Vec<String> = wanted.mappings.iter().filter(of_app).map(Mapping::key).collect();
        if !keys.is_empty() {
            manifests.insert(home.clone(), manifest(root, home, &keys));
        }
    }
    let find = |name: &datastore_core::value::OwnerName, lookup: Lookup| (name.clone(), lookup);
    Ok(Observed {
        privileged: rustix::process::geteuid().is_root(),
        systemd: false,
        now: 0,
        boot: None,
        mounts,
        fstab: Fstab::parse(b""),
        fstab_fixed: None,
        volumes: probe.volumes.iter().map(|path| observe::volume(root, path)).collect(),
        mappings: probe.mappings.iter().map(|m| m.as_ref().map(facts)).collect(),
        manifests,
        users: probe.users.iter().map(|n| find(n, ids.user(n.as_str()))).collect(),
        groups: probe.groups.iter().map(|n| find(n, ids.group(n.as_str()))).collect(),
        // Neither labels nor hooks are looked at before a bind is made, and the guard makes none.
        labels: Labels::default(),
        hooks: HashMap::new(),
        unfinished: Vec::new(),
        running: Vec::new(),
        progress: Vec::new(),
        mark: 0,
    })
}

/// The entries of a few stores out of a long manifest; `None` if they are not all found this way.
fn bisected(root: &Root, path: &AbsPath, keys: &[String]) -> Option<Manifest> {
    const FEW: usize = 32;
    if keys.len() > FEW {
        return None;
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = root.open_file(path, flags, 0).ok()?;
    let size = stat::facts(Entry::itself(&file)).ok().filter(|f| f.kind == Kind::File)?.size;
    let read = |offset: u64| {
        let mut bytes = vec![0; 2 * datastore_core::path::PATH_MAX];
        let length = rustix::io::pread(&file, &mut bytes[..], offset).ok()?;
        bytes.truncate(length);
        Some(bytes)
    };
    let found = keys.iter().map(|key| Some((key.clone(), Manifest::bisect(size, key, read)?)));
    Some(Manifest::from_entries(found.collect::<Option<Vec<_>>>()?))
}

/// The entries of some stores, without reading the others.
fn manifest(root: &Root, home: &AbsPath, keys: &[String]) -> FileFacts<Manifest> {
    let path = home.child(DIRECTORY).child("manifest.toml");
    if let Some(found) = bisected(root, &path, keys) {
        return FileFacts::Is(found);
    }
    match observe::read(root, &path) {
        Ok(None) => FileFacts::Absent,
        Err(error) if error.kind() == ErrorKind::Privilege => FileFacts::Hidden,
        Err(error) => FileFacts::Damaged(error.chain()),
        Ok(Some(bytes)) => match std::str::from_utf8(&bytes) {
            Err(_) => FileFacts::Damaged("it is not UTF-8".into()),
            Ok(text) => Manifest::only(text, keys).map_or_else(|e| FileFacts::Damaged(e.to_string()), FileFacts::Is),
        },
    }
}

/// A mount table of just the mounts that hold these paths and those below them, by statmount(2); `None` where the kernel does not have it.
fn mounts_at(root: &Root, paths: &[AbsPath]) -> Result<Option<MountTable>> {
    let mut lines: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let top = AbsPath::root();
    for path in [&top].into_iter().chain(paths) {
        // A path that is not there lies in the mount of whatever is above it; that one is asked about too. And in a table without the mount on
        // which another lies that other cannot be reached; as a rule it is that of the root.
        for at in std::iter::once(path.clone()).chain(path.ancestors()) {
            let Ok(place) = root.place(&at) else { continue };
            match statmount::containing(place.entry()) {
                Ok(Some(found)) => {
                    lines.entry(found.mnt_id).or_insert_with(|| found.mountinfo_line());
                    if lines.contains_key(&found.parent_id) {
                        break;
                    }
                }
                Ok(None) => return Ok(None),
                Err(error) if error.errno() == rustix::io::Errno::NOENT => continue,
                Err(_) => return Ok(None),
            }
        }
    }
    let Ok(table) = MountTable::parse(lines.into_values().flatten().collect::<Vec<u8>>()) else { return Ok(None) };
    Ok(Some(if root.is_machine() { table } else { table.rebased(root.path()) }))
}
