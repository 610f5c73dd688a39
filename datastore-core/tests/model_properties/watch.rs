//! What must hold of a machine at every instant of a run, whatever fails and whenever it stops. It is told from the machine's
//! tree and mounts themselves, not from what core says of them.

use std::collections::{BTreeMap, HashSet};

use datastore_core::AbsPath;
use datastore_core::fstab::{Entry, Fstab};
use datastore_core::goal::Goal;
use datastore_core::manifest::{DIRECTORY, Manifest, VolumeFile};
use datastore_core::model::Machine;
use datastore_core::model::mounts::Mount;
use datastore_core::model::scenario::POINTS;
use datastore_core::model::tree::Kind;
use datastore_core::value::{AppName, Id};

/// What every store directory has in its path, and nothing else.
const LIVE: &str = "/live/server1/";

/// What was so before a run.
pub(crate) struct Watch {
    mounts: HashSet<u32>,
    foreign: Vec<Mount>,
    fstab: Vec<String>,
    files: usize,
    recorded: BTreeMap<String, Id>,
    seen: Vec<Option<usize>>,
    stores: Vec<Vec<String>>,
    accept: bool,
    checked: HashSet<u32>,
    /// What does not hold.
    pub(crate) broken: Vec<String>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn root_path(m: &Machine, mount: &Mount) -> String {
    text(&m.tree.path(mount.root))
}

/// Mounts that no mapping can have made.
fn foreign_mounts(m: &Machine) -> Vec<Mount> {
    m.mounts.iter().filter(|mount| !root_path(m, mount).contains(LIVE)).cloned().collect()
}

pub(crate) fn fstab_text(m: &Machine) -> String {
    text(m.read(&AbsPath::literal("/etc/fstab")).unwrap().unwrap_or_default())
}

/// The lines outside of our block.
fn foreign_lines(m: &Machine) -> Vec<String> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in fstab_text(m).split_inclusive('\n') {
        inside |= line.starts_with("# datastore: begin");
        if !inside {
            lines.push(line.to_owned());
        }
        inside &= !line.starts_with("# datastore: end");
    }
    lines
}

/// How many files of users there are.
fn files(m: &Machine) -> usize {
    fn count(m: &Machine, ino: usize) -> usize {
        let own = usize::from(matches!(m.tree.node(ino).kind, Kind::File(_)));
        let inner = m.tree.names(ino).filter(|(name, _)| *name != DIRECTORY.as_bytes() && *name != b"etc");
        own + inner.map(|(_, ino)| count(m, ino)).sum::<usize>()
    }
    m.tree.tops().map(|(_, top)| count(m, top)).sum()
}

/// Every identity that the manifests know, by the store's path.
pub(crate) fn recorded(m: &Machine) -> BTreeMap<String, Id> {
    let mut all = BTreeMap::new();
    for volume in ["/store/data0", "/store/data1"] {
        let file = AbsPath::parse(format!("{volume}/live/server1/{DIRECTORY}/manifest.toml")).unwrap();
        let Ok(Some(bytes)) = m.read(&file) else { continue };
        let Ok(manifest) = Manifest::parse(&text(bytes)) else { continue };
        all.extend(manifest.iter().map(|(key, entry)| (format!("{volume}{LIVE}{key}"), entry.id)));
    }
    all
}

fn seen_at(m: &Machine, point: &str) -> Option<usize> {
    let at = m.reach(&AbsPath::parse(point).unwrap()).ok()?;
    m.is_mount_root(at).then_some(at.ino)
}

impl Watch {
    pub(crate) fn new(m: &Machine, goal: &Goal) -> Self {
        let wanted = m.wanted();
        let stores = POINTS.iter().map(|point| {
            let path = AbsPath::parse(point).unwrap();
            let mut all: Vec<String> = wanted.at(&path).iter().map(|&i| wanted.mappings[i].store.to_string()).collect();
            // What an interrupted run before this one was about to bind.
            if let Some(row) = Fstab::parse(fstab_text(m).as_bytes()).ours(&path) {
                all.push(text(&row.entry.spec));
            }
            all
        });
        Self {
            mounts: m.mounts.iter().map(|mount| mount.id).collect(),
            foreign: foreign_mounts(m),
            fstab: foreign_lines(m),
            files: files(m),
            recorded: recorded(m),
            seen: POINTS.iter().map(|point| seen_at(m, point)).collect(),
            stores: stores.collect(),
            accept: goal.apps().is_some_and(|apps| apps.accept),
            checked: HashSet::new(),
            broken: Vec::new(),
        }
    }

    fn say(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(what());
        }
    }

    /// Looks at one instant.
    pub(crate) fn look(&mut self, m: &Machine) {
        let foreign = foreign_mounts(m);
        self.say(foreign == self.foreign, || format!("foreign mounts were touched: {foreign:?}"));
        self.lines(m);
        let now = files(m);
        self.say(now == self.files, || "a file of a user is gone".into());
        let fresh: Vec<Mount> = m.mounts.iter().filter(|mount| !self.mounts.contains(&mount.id)).cloned().collect();
        for mount in fresh {
            if self.checked.insert(mount.id) {
                self.bound(m, &mount);
            }
        }
        for (i, point) in POINTS.iter().enumerate() {
            let Some(ino) = seen_at(m, point) else { continue };
            let store = |path: &String| m.reach(&AbsPath::parse(path).unwrap()).is_ok_and(|at| at.ino == ino);
            let right = self.seen[i] == Some(ino) || self.stores[i].iter().any(store);
            self.say(right, || format!("{point} shows neither what it showed nor its store"));
        }
    }

    /// Lines of others stay as they are, but for a hand-made line of a bind of ours, which may be taken in.
    fn lines(&mut self, m: &Machine) {
        let now = foreign_lines(m);
        let mut left = now.iter().peekable();
        let mut broken = Vec::new();
        for line in &self.fstab {
            if left.peek() == Some(&line) {
                left.next();
                continue;
            }
            let may_go = Entry::parse(line.as_bytes()).is_some_and(|e| e.is_bind() && text(&e.spec).contains(LIVE));
            // A block after a last line without a line end ends that line.
            if !may_go {
                broken.push(line.clone());
            }
        }
        self.say(broken.is_empty() && left.next().is_none(), || {
            format!("lines of others in fstab: {broken:?}, {now:?}")
        });
    }

    /// Looks at a bind when it is new.
    fn bound(&mut self, m: &Machine, mount: &Mount) {
        let (node, path) = (m.tree.node(mount.root), root_path(m, mount));
        let point = text(&m.mounts.point(&m.tree, mount));
        self.say(m.tree.is_empty(mount.on), || format!("{point} is not empty, and was covered"));
        self.say(path.contains(LIVE), || format!("{path} is bound on {point}, and is no store"));
        let store = path.replace("/data1/live", "/store/data1/live").replace("/store/store", "/store");
        let known = recorded(m).get(&store).copied();
        let back = POINTS.iter().position(|p| *p == point).is_some_and(|i| self.seen[i] == Some(mount.root));
        if back {
            // A step was taken back: what was bound is bound again, right or wrong.
            return;
        }
        self.say(node.id.is_some() && node.id == known, || {
            format!("{store} is bound on {point} with {:?}, and its manifest knows {known:?}", node.id)
        });
        if let Some(before) = self.recorded.get(&store).copied() {
            let accept = self.accept;
            self.say(accept || node.id == Some(before), || format!("{store} is bound, and is another than before"));
        }
        let options = mount.options;
        self.say(options.nosuid || path.contains(LIVE), || format!("{point} has {options}"));
    }
}

/// Whom the guard lets start must see the right data.
pub(crate) fn guard_is_right(m: &Machine) -> Result<(), String> {
    let wanted = m.wanted();
    let known = recorded(m);
    let bound =
        |app: &&AppName| wanted.of_app(app).any(|(_, mapping)| seen_at(m, &mapping.mount_point.to_string()).is_some());
    for app in wanted.apps.iter().map(|app| &app.name).filter(bound).filter(|app| m.guard(app)) {
        for (_, mapping) in wanted.of_app(app) {
            let wrong = |why: &str| Err(format!("the guard lets {app} start, and {}: {why}", mapping.mount_point));
            let (Ok(point), Ok(store)) = (m.reach(&mapping.mount_point), m.reach(&mapping.store)) else {
                return wrong("something is missing");
            };
            if !m.is_mount_root(point) || point.ino != store.ino {
                return wrong("its store is not bound");
            }
            let id = m.tree.node(store.ino).id;
            if id.is_none() || known.get(&mapping.store.to_string()).is_some_and(|known| Some(*known) != id) {
                return wrong("the store has another identity");
            }
            let volume = wanted.volume(&mapping.volume).expect("a volume");
            let file = m.read(&volume.path.child(DIRECTORY).child("volume.toml")).ok().flatten().map(text);
            if file.and_then(|t| VolumeFile::parse(&t).ok()).map(|f| f.id) != volume.id {
                return wrong("it is another volume");
            }
        }
    }
    Ok(())
}
