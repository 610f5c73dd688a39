//! The whole command while the owner of the data exchanges names in it: import, move, adopt, reclaim, peek.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use datastore_rigs::{Budget, Evidence};
use datastore_rigs_races::arena::Decoy;
use datastore_rigs_races::{Arena, Vault, Violations, vault};
use datastore_tests::random::Random;
use datastore_tests::{Run, Sandbox};

const SHOP: &str = "[mapping.\"/var/lib/shop\"]\nvolume = \"data1\"\ntarget = \"%{base}/shop\"\n";
const MIB: u64 = 1 << 20;

struct Ending<'a>(&'a Arena);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Runs commands while a user attacks a tree; says how often something was exchanged.
fn attacked<T>(arena: &Arena, seed: u64, body: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let _ending = Ending(arena);
        scope.spawn(|| arena.attack(0, Random::of(seed)));
        body()
    })
}

/// A command that is done or refused, but does not crash or fail in another way.
fn judged(run: &Run, violations: &Violations, evidence: &mut Evidence) -> bool {
    evidence.count("commands", 1);
    match run.status.code() {
        Some(0) => true,
        Some(3) => {
            evidence.count("refused", 1);
            false
        }
        code => {
            // A tree whose owner works against it need not come along; it is told, and nothing has changed.
            evidence.count("failed", 1);
            if !matches!(code, Some(1)) {
                violations.add(format!("{} ended with {code:?}: {}", run.line, run.stderr));
            }
            false
        }
    }
}

/// An app whose data a user owns is imported, moved back and forth, and what is left of it removed.
fn story(evidence: &mut Evidence, violations: &Violations, seed: u64) {
    let sandbox = Sandbox::in_memory();
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    sandbox.tmpfs("/srv/disk", 32 * MIB);
    sandbox.datastore(&["volume", "add", "data1", "--directory", "/srv/disk", "--yes"]).ok();
    sandbox.configlet("shop", SHOP);
    sandbox.directory("/var/lib/shop", 0o755);
    let vault = Vault::new(sandbox.path("vault"));
    let stores = [0, 1].map(|n| sandbox.path(format!("/store/data{n}")));
    let look = |when: &str| {
        vault.check(violations, when);
        stores.iter().for_each(|store| vault::search(store, violations, when));
    };
    let ground = sandbox.path("/var/lib/shop/ground");
    let arena = Arena::new(ground.clone(), &vault, Decoy::PLAIN, 1);
    Arena::plant(&ground.join("tree"));
    let swaps = AtomicU64::new(0);
    // Each of these works on inodes that were there before it: the attacker holds them open.
    let round = |arena: &Arena, args: &[&str], tries: usize, evidence: &mut Evidence| {
        arena.attack_at(Arena::slots(&ground.join("tree")));
        let done = attacked(arena, seed, || (0..tries).any(|_| judged(&sandbox.datastore(args), violations, evidence)));
        look(args[0]);
        swaps.fetch_add(arena.swaps(), Ordering::Relaxed);
        done
    };
    if !round(&arena, &["import", "shop", "--yes"], 2, evidence) {
        // Now that nobody works against it.
        sandbox.datastore(&["import", "shop", "--yes"]).ok();
    }
    look("import");
    for to in ["data0", "data1"] {
        let again = arena.again();
        if !round(&again, &["move", "shop", "--to", to, "--yes"], 2, evidence) {
            sandbox.datastore(&["move", "shop", "--to", to, "--yes"]).ok();
        }
        look("move");
        // What was put aside still belongs to the user.
        let parked = parked(&sandbox, if to == "data0" { 1 } else { 0 });
        let again = arena.again();
        if let Some(tree) = parked {
            again.attack_at(Arena::slots(&tree));
        }
        attacked(&again, seed, || judged(&sandbox.datastore(&["reclaim", "--yes"]), violations, evidence));
        look("reclaim");
        if sandbox.datastore(&["reclaim", "--yes"]).status.code() != Some(0) {
            violations.add("what was put aside cannot be removed when nobody is in the way");
        }
        swaps.fetch_add(again.swaps(), Ordering::Relaxed);
    }
    evidence.count("swaps", swaps.into_inner());
    evidence.count("stories", 1);
}

/// The tree in what was put aside on a volume.
fn parked(sandbox: &Sandbox, volume: u32) -> Option<std::path::PathBuf> {
    let room = sandbox.path(format!("/store/data{volume}/live/server1/.datastore/parked"));
    let found = fs::read_dir(room).ok()?.flatten().map(|entry| entry.path().join("shop/ground/tree"));
    found.into_iter().find(|tree| tree.is_dir())
}

#[test]
fn no_command_is_led_astray() {
    let (violations, mut random) = (Violations::default(), Random::seeded());
    let mut evidence = Evidence::new("races", "import, move, reclaim", &[18, 19, 20]);
    let budget = Budget::of(Duration::from_secs(8));
    for number in 0.. {
        if budget.is_spent(number >= 150) || violations.are_enough() {
            break;
        }
        story(&mut evidence, &violations, random.below(u64::MAX));
    }
    violations.verdict();
    assert!(evidence.counted("swaps") > 1_000, "{evidence:?}");
    evidence.conclude();
}

/// A disk from another machine, on which the user has another number; the user holds directories on it open already.
#[test]
fn an_adoption_gives_away_nothing_outside() {
    let (violations, mut random) = (Violations::default(), Random::seeded());
    let mut evidence = Evidence::new("races", "adopt", &[18, 19]);
    let budget = Budget::of(Duration::from_secs(8));
    for number in 0.. {
        if budget.is_spent(number >= 150) || violations.are_enough() {
            break;
        }
        let sandbox = Sandbox::in_memory();
        accounts(&sandbox, vault::OWNER);
        sandbox.tmpfs("/srv/disk", 32 * MIB);
        sandbox.datastore(&["init", "--host", "server9", "--directory", "/srv/disk", "--yes"]).ok();
        sandbox.configlet("shop", &SHOP.replace("volume = \"data1\"\n", ""));
        sandbox.datastore(&["apply", "--yes"]).ok();
        // On one file system, so that files outside of the store can have names in it.
        let vault = Vault::new(sandbox.path("/srv/disk/vault"));
        let ground = sandbox.path("/srv/disk/live/server9/shop/ground");
        let arena = Arena::new(ground.clone(), &vault, Decoy::ALL, 1);
        Arena::plant(&ground.join("tree"));
        let mut vault = vault;
        vault.seal();
        arena.attack_at(Arena::slots(&ground.join("tree")));
        leave(&sandbox);
        accounts(&sandbox, vault::OWNER + 7);
        let adopt = ["adopt", "--directory", "/srv/disk", "--as", "server1", "--yes"];
        attacked(&arena, random.below(u64::MAX), || judged(&sandbox.datastore(&adopt), &violations, &mut evidence));
        vault.check(&violations, "adopt");
        evidence.count("swaps", arena.swaps());
        evidence.count("disks", 1);
    }
    violations.verdict();
    assert!(evidence.counted("swaps") > 100, "{evidence:?}");
    evidence.conclude();
}

/// What a bind covers belongs to the user, who holds directories of it open; root copies it out.
#[test]
fn what_is_copied_from_under_a_bind_has_nothing_of_others() {
    let (violations, mut random) = (Violations::default(), Random::seeded());
    let mut evidence = Evidence::new("races", "peek", &[18, 19, 20]);
    let budget = Budget::of(Duration::from_secs(5));
    let sandbox = Sandbox::in_memory();
    sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
    sandbox.configlet("shop", &SHOP.replace("volume = \"data1\"\n", ""));
    sandbox.datastore(&["apply", "--yes"]).ok();
    // The bare mount point, as it was before anything was bound on it.
    let beneath = sandbox.path("beneath");
    fs::create_dir(&beneath).expect("make a directory");
    rustix::mount::mount_bind(sandbox.path("/var/lib"), &beneath).expect("show what is beneath");
    let bare = beneath.join("shop");
    sandbox.run(sandbox.command("chattr").arg("-i").arg(&bare)).ok();
    datastore_tests::hooks::mode(&bare, 0o755);
    let vault = Vault::new(sandbox.path("vault"));
    let ground = bare.join("ground");
    let arena = Arena::new(ground.clone(), &vault, Decoy::PLAIN, 1);
    Arena::plant(&ground.join("tree"));
    arena.attack_at(Arena::slots(&ground.join("tree")));
    let copy = sandbox.path("copy");
    attacked(&arena, random.below(u64::MAX), || {
        for number in 0.. {
            if budget.is_spent(number >= 20_000) || violations.are_enough() {
                break;
            }
            judged(&sandbox.datastore(&["peek", "shop", "--copy-to", "/copy"]), &violations, &mut evidence);
            judged(&sandbox.datastore(&["peek", "shop", "--list"]), &violations, &mut evidence);
            vault.check(&violations, "peek");
            if copy.is_dir() {
                vault::search(&copy, &violations, "peek");
            }
            let _ = fs::remove_dir_all(&copy);
        }
    });
    evidence.count("swaps", arena.swaps());
    violations.verdict();
    assert!(evidence.counted("swaps") > 100, "{evidence:?}");
    evidence.conclude();
}

/// The machine's users: `alice`, and whoever owns the files.
fn accounts(sandbox: &Sandbox, owner: u32) {
    let line = |name: &str, number: u32| format!("{name}:x:{number}:{number}::/:/bin/sh\n");
    let group = |name: &str, number: u32| format!("{name}:x:{number}:\n");
    let all = [("root", 0), ("alice", 1000), ("keeper", owner)];
    sandbox.write("/etc/passwd", all.iter().map(|(name, number)| line(name, *number)).collect::<String>());
    sandbox.write("/etc/group", all.iter().map(|(name, number)| group(name, *number)).collect::<String>());
}

/// The disk is all that is left of the machine.
fn leave(sandbox: &Sandbox) {
    sandbox.unmount("/var/lib/shop");
    sandbox.unmount("/store/data0");
    sandbox.run(sandbox.command("chattr").arg("-i").arg(sandbox.path("/var/lib/shop")));
    for gone in ["/var/lib/shop", "/store/data0"] {
        fs::remove_dir(sandbox.path(gone)).expect("remove a mount point");
    }
    for gone in ["/etc/datastore.conf", "/etc/datastore.d/shop.conf"] {
        fs::remove_file(sandbox.path(gone)).expect("remove a file");
    }
    fs::remove_dir_all(sandbox.path("/var/lib/datastore")).expect("remove the journals");
    sandbox.write("/etc/fstab", datastore_tests::skeleton::FSTAB);
}
