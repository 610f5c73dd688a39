//! Single steps of root's at paths that lead through a user's directories: looking, making, sealing, replacing, binding.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use datastore_core::AbsPath;
use datastore_core::mapping::BindOptions;
use datastore_core::observed::Place;
use datastore_core::step::{Action, Bound};
use datastore_core::value::{Attrs, Id, Mode};
use datastore_exec::durable::{self, Expect};
use datastore_exec::sys::ids::Ids;
use datastore_exec::{Root, holders, rigs};
use datastore_rigs_races::arena::{Decoy, Slot};
use datastore_rigs_races::user::{self, USER};
use datastore_rigs_races::{Arena, Race, Round, Vault, Violations};
use datastore_tests::{Sandbox, mounts};

const ATTACKERS: usize = 1;
const MILLION: u64 = 1_000_000;
/// The directories of the tree.
const DIRECTORIES: [&str; 8] = ["d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7"];
/// What a directory of the user's has.
const USERS: Attrs = Attrs { mode: Mode::from_bits(0o755), uid: USER, gid: USER };

/// A root, a user's tree in it, and what must not be reached.
struct Scene {
    root: Root,
    ids: Ids,
    vault: Vault,
    arena: Arena,
    tree: PathBuf,
    violations: Violations,
}

impl Scene {
    /// `below` are the names in each directory of the tree that are exchanged, beside the directory itself. An empty directory `point`
    /// is in each of them.
    fn new(sandbox: &Sandbox, menu: &'static [Decoy], below: &[&'static str]) -> Self {
        let mut vault = Vault::new(sandbox.path("vault"));
        let arena = Arena::new(sandbox.path("ground"), &vault, menu, ATTACKERS);
        vault.seal();
        let tree = arena.ground().join("tree");
        Arena::plant(&tree);
        let mut slots = Vec::new();
        for name in DIRECTORIES {
            let one = tree.join(name);
            fs::create_dir(one.join("point")).expect("make a mount point");
            user::give(&one.join("point"));
            slots.push(Slot::new(&tree, name));
            slots.extend(below.iter().map(|name| Slot::new(&one, name)));
        }
        arena.attack_at(slots);
        let root = Root::open(sandbox.root()).expect("open the root");
        let ids = Ids::new(&root).expect("know the users");
        Self { root, ids, vault, arena, tree, violations: Violations::default() }
    }

    fn race<'a>(&'a self, what: &'a str, invariants: &'a [u32], tries: u64) -> Race<'a> {
        Race { what, invariants, arena: &self.arena, vault: &self.vault, tries }
    }

    /// Carries out a step. One that fails has met the attacker: alone it would not.
    fn act(&self, action: &Action) -> Round {
        let failed = rigs::act(&self.root, &self.ids, action).is_err();
        Round { tries: 1, swapped: failed.into(), failed }
    }
}

fn add(all: &mut Round, one: Round) {
    (all.tries, all.swapped, all.failed) = (all.tries + one.tries, all.swapped + one.swapped, all.failed | one.failed);
}

fn directory(number: u64) -> &'static str {
    DIRECTORIES[usize::try_from(number % 8).unwrap_or(0)]
}

fn at(number: u64, name: &str) -> AbsPath {
    AbsPath::parse(format!("/ground/tree/{}/{name}", directory(number))).expect("a plain path")
}

#[test]
fn a_look_never_leads_outside() {
    let sandbox = Sandbox::in_memory();
    let scene = Scene::new(&sandbox, Decoy::ALL, &["inner", "file"]);
    let outside = scene.vault.inodes();
    scene.race("resolution of a path", &[18], 3 * MILLION).run(&scene.violations, |number| {
        let mut all = Round::default();
        // A million looks are not to wait for as many looks at the vault.
        for turn in 0..64 {
            for name in ["inner", "file", "inner/f0"] {
                let path = at(number + turn, name);
                scene.root.forget();
                let opened = scene.root.open_file(&path, rustix::fs::OFlags::PATH, 0);
                let seen = scene.root.stat(&path);
                let met = opened.is_err() || seen.is_err();
                add(&mut all, Round { tries: 2, swapped: met.into(), failed: false });
                let inode = opened.ok().and_then(|fd| rustix::fs::fstat(fd).ok()).map(|s| (s.st_dev, s.st_ino));
                // A hard link is a name inside.
                let strange = |id: &(u64, u64)| outside.contains(id) && !is_linked(&scene.vault, *id);
                if let Some(id) = inode.into_iter().chain(seen.ok().map(|f| (f.dev, f.ino))).find(strange) {
                    scene.violations.add(format!("{path} led to {id:?}, which is in the vault"));
                }
            }
        }
        all
    });
}

fn is_linked(vault: &Vault, id: (u64, u64)) -> bool {
    (0..datastore_rigs_races::vault::LINKS)
        .any(|number| fs::metadata(vault.link(number)).is_ok_and(|meta| (meta.dev(), meta.ino()) == id))
}

#[test]
fn a_look_beneath_a_bind_never_leads_outside() {
    let sandbox = Sandbox::in_memory();
    let scene = Scene::new(&sandbox, Decoy::PLAIN, &["point"]);
    let outside = scene.vault.inodes();
    scene.race("look beneath, holders", &[18, 20], MILLION / 4).run(&scene.violations, |number| {
        let mut all = Round::default();
        for turn in 0..16 {
            let found = rigs::beneath(&scene.root, &at(number + turn, "point"));
            if let Place::Dir(facts) = &found
                && outside.contains(&(facts.dev, facts.ino))
            {
                scene.violations.add(format!("{found:?} is in the vault"));
            }
            let met = !matches!(found, Place::Dir(_));
            add(&mut all, Round { tries: 1, swapped: met.into(), failed: false });
        }
        if number % 64 == 0 {
            let found = holders::tree::users(&scene.ids, &scene.root, &at(number, "inner"));
            add(&mut all, Round { tries: 1, swapped: found.is_err().into(), failed: found.is_err() });
        }
        all
    });
}

#[test]
fn directories_are_made_and_changed_inside_alone() {
    let sandbox = Sandbox::in_memory();
    let scene = Scene::new(&sandbox, Decoy::ALL, &["new", "inner"]);
    let made = Attrs { mode: Mode::from_bits(0o2770), uid: USER, gid: 12 };
    let other = Attrs { mode: Mode::from_bits(0o750), uid: USER, gid: USER };
    scene.race("making of directories", &[18, 19], MILLION).run(&scene.violations, |number| {
        let mut all = Round::default();
        for turn in 0..16 {
            let (path, inner) = (at(number + turn, "new"), at(number + turn, "inner"));
            scene.root.forget();
            let id = Some(Id::from_random([7; 16]));
            let shared = turn % 2 == 0;
            add(&mut all, scene.act(&Action::MakeDir { path: path.clone(), attrs: made, id, shared }));
            add(&mut all, scene.act(&Action::SetId { path: path.clone(), from: id, to: None }));
            let (from, to) = if number % 2 == 0 { (USERS, other) } else { (other, USERS) };
            add(&mut all, scene.act(&Action::SetAttrs { path: inner, from, to }));
            add(&mut all, scene.act(&Action::RemoveDir { path, attrs: made, id: None }));
            // What is left of it would be in the way; through the one directory that it was made in, whatever its name is now.
            let _ = fs::remove_dir(scene.tree.join(directory(number + turn)).join("new"));
        }
        all
    });
}

#[test]
fn only_a_bare_mount_point_is_sealed() {
    // In memory nothing can be made immutable before Linux 6.6.
    let sandbox = Sandbox::on_fresh_disk(128 << 20);
    let scene = Scene::new(&sandbox, Decoy::ALL, &["point"]);
    scene.race("seals", &[18, 19], MILLION / 4).run(&scene.violations, |number| {
        let mut all = Round::default();
        for turn in 0..8 {
            let path = at(number + turn, "point");
            scene.root.forget();
            add(&mut all, scene.act(&Action::Seal { path: path.clone(), from: USERS }));
            add(&mut all, scene.act(&Action::Unseal { path, to: USERS }));
        }
        all
    });
}

#[test]
fn a_file_is_replaced_in_its_own_directory_alone() {
    let sandbox = Sandbox::in_memory();
    let scene = Scene::new(&sandbox, Decoy::ALL, &["file", ".file.rig.tmp"]);
    scene.race("replacement of a file", &[18, 27], MILLION).run(&scene.violations, |number| {
        let mut all = Round::default();
        for turn in 0..16 {
            let path = at(number + turn, "file");
            let text = format!("turn {turn} of {number}\n");
            let done = durable::replace(&scene.root, &path, text.as_bytes(), "rig", USERS, Expect::Anything);
            add(&mut all, Round { tries: 1, swapped: done.is_err().into(), failed: done.is_err() });
        }
        all
    });
}

/// The mounts below a directory.
fn mounted(dir: &Path) -> Vec<PathBuf> {
    mounts::below(&mounts::all(), dir).into_iter().map(|mount| mount.mount_point).collect()
}

#[test]
fn a_bind_comes_to_its_mount_point_or_nowhere() {
    let sandbox = Sandbox::in_memory();
    let scene = Scene::new(&sandbox, Decoy::PLAIN, &["point"]);
    for name in ["a", "b"] {
        fs::create_dir(sandbox.path("store").join(name)).expect("make a store");
        fs::write(sandbox.path("store").join(name).join("file"), name).expect("write a file");
    }
    let store = |name: &str| AbsPath::parse(format!("/store/{name}")).expect("a plain path");
    let bound = |name: &str| Bound { store: store(name), id: None };
    let options = BindOptions::default();
    let (ground, point) = (scene.arena.ground().to_owned(), scene.vault.dir().join("point"));
    let inode = |path: &Path| fs::metadata(path).map(|meta| meta.ino()).ok();
    let before = inode(&point);
    // Whatever the directory of the mount point is called at this moment, the mount point has its own name in it.
    let is_right = |at: &PathBuf| at.ends_with("point");
    scene.race("bind, swap, unbind", &[18, 20], MILLION).run(&scene.violations, |number| {
        let mount_point = at(number, "point");
        let mut all = Round::default();
        let told = |action: &Action, round: Round| {
            let there = mounted(&ground);
            let right = if matches!(action, Action::Unbind { .. }) { 0 } else { 1 };
            if inode(&point) != before || there.iter().any(|at| !is_right(at)) || there.len() > 1 {
                scene.violations.add(format!("{action:?}, failed: {}: {there:?}", round.failed));
            }
            if !round.failed && there.len() != right {
                scene.violations.add(format!("{action:?} is done: {there:?}"));
            }
            there
        };
        let bind = Action::Bind { store: store("a"), mount_point: mount_point.clone(), id: None, options };
        scene.root.forget();
        let done = scene.act(&bind);
        add(&mut all, done);
        let there = told(&bind, done);
        if done.failed {
            if !there.is_empty() {
                scene.violations.add(format!("a bind failed and is there: {there:?}"));
                for at in &there {
                    let _ = rustix::mount::unmount(at, rustix::mount::UnmountFlags::DETACH);
                }
            }
            return all;
        }
        let swap = Action::Swap { mount_point: mount_point.clone(), from: bound("a"), to: bound("b"), options };
        scene.root.forget();
        let done = scene.act(&swap);
        add(&mut all, done);
        told(&swap, done);
        let shown = if done.failed { "a" } else { "b" };
        let unbind = Action::Unbind { store: store(shown), mount_point, id: None, options };
        // Until the attacker lets it through.
        for _ in 0..10_000 {
            scene.root.forget();
            let done = scene.act(&unbind);
            add(&mut all, done);
            if !done.failed {
                told(&unbind, done);
                return all;
            }
        }
        scene.violations.add(format!("{unbind:?} is not done: {:?}", mounted(&ground)));
        all
    });
}
