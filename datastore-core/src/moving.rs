//! Moving data: the words for it, where everything is put meanwhile, and what must be known of the machine beforehand.
//!
//! A tree that changes place is called by four names in turn. It stands where it always stood (`from`); a copy of it comes into
//! being beside its new place (`staging`); once the copy is whole it gets its name (`to`); and what stood in the old place is put aside
//! (`parked`). The copy is made in `<home>/.datastore/incoming`, on the file system of the store and closed to everybody but root. The
//! tree is put aside on its own file system: in `<home>/.datastore/parked` where it was a store, else in a closed directory beside it.

mod receipt;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::manifest::DIRECTORY;
use crate::observed::Place;
use crate::path::AbsPath;
use crate::plan::Remark;
use crate::state::{Reason, words};
use crate::step::{Action, Step};
use crate::value::{AppName, Id};

pub use receipt::{Account, Compared, Downtime, Led, Moved, Part, Pass, Receipt, Rewritten};

words! {
    /// How a copy is held against its original. Names, kinds, modes, owners, times, attributes and sizes of everything always are.
    Verify {
        /// The contents of some files too.
        Sample = "sample",
        /// The contents of all files too, read from the disk.
        Content = "content",
    }
}

impl Verify {
    /// Up to so many bytes contents are compared unless something else was asked for.
    pub const ALL_BELOW: u64 = 1 << 30;

    /// What was asked for, or what is done with so many bytes.
    #[must_use]
    pub fn of(asked: Option<Self>, bytes: u64) -> Self {
        asked.unwrap_or(if bytes < Self::ALL_BELOW { Self::Content } else { Self::Sample })
    }
}

words! {
    /// Which side counts when an import or a move is undone although the data has changed since.
    Keep {
        /// The data as it was then: the tree that was put aside comes back as it is.
        Old = "old",
        /// The data as it is now: what has changed since is copied into the tree that was put aside.
        New = "new",
    }
}

/// A tree and where its copy comes into being.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeCopy {
    /// The tree.
    pub from: AbsPath,
    /// The copy: a directory that is there.
    pub to: AbsPath,
}

/// What must be known before data is moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe {
    /// The trees, with where each is to come.
    pub trees: Vec<TreeProbe>,
    /// Places at which something may stand.
    pub places: BTreeSet<AbsPath>,
    /// Services whose state matters.
    pub services: Vec<String>,
    /// Whose trees that were left somewhere matter: those of these apps, or of all if none is named.
    pub left: Option<Vec<AppName>>,
}

/// What must be known of one tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeProbe {
    /// The tree.
    pub from: AbsPath,
    /// The name that it is to get.
    pub to: AbsPath,
    /// Where a copy would come into being.
    pub staging: AbsPath,
    /// Another tree that is to be the same.
    pub against: Option<AbsPath>,
}

/// The answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// For each tree, in the order of the probe.
    pub trees: Vec<TreeFacts>,
    /// What stands at the places.
    pub places: BTreeMap<AbsPath, Place>,
    /// Of the services, those that run.
    pub running: Running,
    /// What is worth saying of the others.
    pub remarks: Vec<Remark>,
    /// Trees that were left somewhere, oldest first.
    pub left: Vec<Left>,
}

/// A tree that an operation left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The app.
    pub app: AppName,
    /// The mount point at which it was seen, or is to be.
    pub mount_point: AbsPath,
    /// Where it is.
    pub path: AbsPath,
    /// Whether it was put aside; else it is a copy that nothing has come of.
    pub parked: bool,
    /// How many files, directories and other things are in it.
    pub entries: u64,
    /// How many bytes its files hold.
    pub bytes: u64,
    /// When it was put aside, in seconds since 1970; `None` where nobody knows.
    pub since: Option<i64>,
    /// Until when it is to be kept, in seconds since 1970; `None` for a copy.
    pub until: Option<i64>,
    /// Whether that is over.
    pub expired: bool,
}

/// What is known of one tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFacts {
    /// How many files, directories and other things are in it.
    pub entries: u64,
    /// How many bytes its files hold.
    pub bytes: u64,
    /// Whether it can be renamed to its new place, because that lies on the same mount.
    pub renames: bool,
    /// What the target cannot hold.
    pub unfit: Vec<Unfit>,
    /// Where something is mounted in it. That is not moved along.
    pub mounts: Vec<AbsPath>,
    /// How it differs from the tree that is to be the same; `None` if in nothing.
    pub differs: Option<String>,
}

/// Something that the target cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// The word for it.
    pub reason: Reason,
    /// What: a sentence without a full stop.
    pub detail: String,
    /// What can be done.
    pub hint: String,
}

/// The services that run and use the data: stopped before the last pass, and started again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// What would start a service while it is down: sockets, timers, paths. Down first, and up first: a socket is not opened
    /// while its service runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<String>,
    /// The services in the order in which they are started; they are stopped the other way round. Those that go down together
    /// with one that was asked for, and so have to be started after it, are among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}

impl Running {
    /// Whether there is nothing to stop.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.triggers.is_empty() && self.services.is_empty()
    }
    /// All of them in the order in which they are stopped.
    pub fn down(&self) -> impl Iterator<Item = &str> {
        self.triggers.iter().chain(self.services.iter().rev()).map(String::as_str)
    }
    /// All of them in the order in which they are started.
    pub fn up(&self) -> impl Iterator<Item = &str> {
        self.triggers.iter().chain(&self.services).map(String::as_str)
    }
}

/// Where the copy of a tree comes into being: named after the key of its store, so that another run finds it again.
#[must_use]
pub fn staging(home: &AbsPath, key: &str) -> AbsPath {
    incoming(home).child(&escaped(key))
}

/// The directory that holds copies which are not whole yet.
#[must_use]
pub fn incoming(home: &AbsPath) -> AbsPath {
    home.child(DIRECTORY).child("incoming")
}

/// Where an old store is put aside.
#[must_use]
pub fn parked_store(home: &AbsPath, key: &str, mark: Id) -> AbsPath {
    home.child(DIRECTORY).child("parked").child(&short(mark)).child(&escaped(key))
}

/// Where a plain directory is put aside: in a closed directory beside it. `None` for the root directory.
#[must_use]
pub fn parked_beside(path: &AbsPath, mark: Id) -> Option<AbsPath> {
    path.parent()?.child(&format!("{BESIDE}{}", short(mark))).join(path.file_name()).ok()
}

/// How the name begins of a directory that holds trees which were put aside.
pub const BESIDE: &str = ".datastore-parked-";

/// Whether a path is a place where copies come into being or trees are put aside.
#[must_use]
pub fn is_ours(path: &AbsPath) -> bool {
    let names: Vec<&[u8]> = path.components().collect();
    match names[..] {
        [.., own, b"incoming", _] | [.., own, b"parked", _, _] if own == DIRECTORY.as_bytes() => true,
        [.., room, _] => room.starts_with(BESIDE.as_bytes()),
        _ => false,
    }
}

/// The name that a tree has while it is being removed: nobody takes it for a whole one.
#[must_use]
pub fn going(path: &AbsPath) -> AbsPath {
    let name = [b".going-", path.file_name()].concat();
    let name = if name.len() > 255 { name[..255].to_vec() } else { name };
    path.parent().and_then(|parent| parent.join(&name).ok()).unwrap_or_else(|| path.clone())
}

/// Whether a directory is there to hold copies, or trees that were put aside.
#[must_use]
pub fn is_room(path: &AbsPath) -> bool {
    let names: Vec<&[u8]> = path.components().collect();
    match names[..] {
        [.., own, _] | [.., own, b"parked", _] if own == DIRECTORY.as_bytes() => true,
        [.., last] => last == DIRECTORY.as_bytes() || last.starts_with(BESIDE.as_bytes()),
        [] => false,
    }
}

/// The directories of some steps that hold copies, or trees that were put aside, and nothing of another operation's.
#[must_use]
pub fn rooms(steps: &[Step]) -> BTreeSet<AbsPath> {
    let room = |step: &Step| match &step.action {
        Action::MakeDir { path, shared: false, .. } => Some(path.clone()),
        Action::RemoveTree { path } => path.parent(),
        _ => None,
    };
    steps.iter().filter_map(room).filter(is_room).collect()
}

fn short(mark: Id) -> String {
    mark.to_string().chars().filter(char::is_ascii_hexdigit).take(8).collect()
}

/// A key as one name: no two keys have the same.
fn escaped(key: &str) -> String {
    let name = key.replace('%', "%25").replace('/', "%2F");
    if name.len() <= 200 {
        return name;
    }
    format!("%{}", crate::plan::PlanId::of(key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_stores_share_a_place() {
        let home = AbsPath::literal("/store/data0/live/server1");
        let names = ["a/b", "a-b", "a%2Fb", "a%b", &"x/".repeat(150), &"x/".repeat(151)].map(|key| staging(&home, key));
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert_eq!(names[0].to_string(), "/store/data0/live/server1/.datastore/incoming/a%2Fb");
        assert!(names.iter().all(|name| name.parent() == Some(incoming(&home)) && name.file_name().len() <= 255));
    }

    #[test]
    fn what_starts_a_service_goes_down_and_comes_up_before_it() {
        let words = |list: &[&str]| list.iter().map(|&w| w.to_owned()).collect::<Vec<_>>();
        let what = Running { triggers: words(&["a.socket"]), services: words(&["a.service", "b.service"]) };
        assert_eq!(what.down().collect::<Vec<_>>(), ["a.socket", "b.service", "a.service"]);
        assert_eq!(what.up().collect::<Vec<_>>(), ["a.socket", "a.service", "b.service"]);
    }

    #[test]
    fn places_of_ours_are_known() {
        let home = AbsPath::literal("/store/data0/live/server1");
        let mark = Id::from_random([7; 16]);
        let beside = parked_beside(&AbsPath::literal("/var/lib/mysql"), mark).unwrap();
        assert_eq!(beside.to_string(), format!("/var/lib/.datastore-parked-{}/mysql", short(mark)));
        for ours in [staging(&home, "a/b"), parked_store(&home, "mysql", mark), beside] {
            assert!(is_ours(&ours), "{ours}");
        }
        for other in ["/", "/var", "/var/lib/mysql", "/store/data0/live/server1/incoming/x", "/home/.datastore/x/y/z"] {
            assert!(!is_ours(&AbsPath::literal(other)), "{other}");
        }
        assert_eq!(parked_beside(&AbsPath::root(), mark), None);
    }

    #[test]
    fn rooms_are_told_from_what_is_in_them() {
        let home = AbsPath::literal("/store/data0/live/server1");
        let mark = Id::from_random([7; 16]);
        let beside = parked_beside(&AbsPath::literal("/var/lib/mysql"), mark).unwrap();
        let parked = parked_store(&home, "mysql", mark);
        for tree in [staging(&home, "a/b"), parked.clone(), beside.clone()] {
            assert!(is_room(&tree.parent().unwrap()) && !is_room(&tree), "{tree}");
        }
        assert!(is_room(&parked.parent().unwrap().parent().unwrap()) && is_room(&home.child(DIRECTORY)));
        for other in ["/", "/var", "/var/parked/x", "/store/data0/live/server1"] {
            assert!(!is_room(&AbsPath::literal(other)), "{other}");
        }
    }
}
