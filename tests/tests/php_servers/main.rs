//! The extension in web servers: php-fpm, and Apache with mod_php, each with workers of `nobody`; no service of the machine is touched.

mod apache;
mod fpm;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt as _;

use datastore_tests::documents::{same, steady};
use datastore_tests::{Sandbox, binary, repository, scenes};
use serde_json::Value;

use server::{Server, WORKERS};

/// How many pages are asked for while memory is watched.
const PAGES: usize = 3_000;
/// So many by each worker are no measure yet: buffers grow to their size.
const FIRST: usize = 300;
/// How much more a worker may hold in the end, in KiB.
const MORE: u64 = 512;

/// Two apps, bound; with the page, and the command where nobody can run it.
fn machine() -> Sandbox {
    let sandbox = Sandbox::new();
    scenes::applied(&sandbox);
    sandbox.directory("web", 0o755);
    sandbox.write("web/page.php", std::fs::read(repository("tests/php/page.php")).expect("the page"));
    // By cp(1): while this process had it open for writing, a child of another thread's could keep it so (ETXTBSY).
    sandbox.run(sandbox.command("cp").arg(binary::datastore()).arg(sandbox.path("datastore"))).ok();
    sandbox
}

/// What the command tells nobody.
fn told_by_the_command(sandbox: &Sandbox) -> Value {
    let mut command = sandbox.command(sandbox.path("datastore"));
    command.arg("--root").arg(sandbox.root()).args(["status", "--json"]).uid(65_534).gid(65_534);
    sandbox.run(command).ok().json()
}

/// Everything that is demanded of a server.
fn serves(sandbox: &Sandbox, server: &Server, sapi: &str) {
    let there = told_by_the_command(sandbox);
    let page = server.get("status", "");
    let here: Value = serde_json::from_str(&page).unwrap_or_else(|why| panic!("{why}: {page}\n{}", server.log()));
    assert_eq!((&here["sapi"], &here["user"]), (&sapi.into(), &65_534.into()), "{here:#}");
    same(&steady(&here["told"]), &steady(&there), "status");

    // Exceptions reach the page, and the worker goes on.
    let before = workers(server);
    for _ in 0..20 {
        let stopped = server.get("stop", "mail");
        assert!(stopped.starts_with("Datastore\\PrivilegeException: "), "{stopped}");
        assert!(stopped.contains("\nhint: run it with sudo"), "{stopped}");
        let uncaught = server.get("guard", "no/name");
        let words = "Uncaught Datastore\\InvalidArgumentException: `no/name`: the app name contains";
        assert!(uncaught.contains(words), "{uncaught}");
        assert!(server.get("guard", "nobody").contains("Uncaught Datastore\\"));
        assert_eq!(server.get("exit", ""), "in the middle\n");
    }
    assert_eq!(workers(server), before, "other workers than before\n{}", server.log());
    sandbox.is("/var/spool/mail", "active");

    // Memory stays flat.
    let mut sizes: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for page in server.get_many("work", PAGES) {
        let told: Value = serde_json::from_str(&page).unwrap_or_else(|why| panic!("{why}: {page}"));
        let number = |name: &str| told[name].as_u64().expect("a number");
        sizes.entry(number("pid")).or_default().push(number("rss"));
    }
    assert_eq!(sizes.keys().copied().collect::<BTreeSet<_>>(), before, "other workers than before\n{}", server.log());
    for (pid, sizes) in &sizes {
        assert!(sizes.len() > 2 * FIRST, "worker {pid} had {} pages", sizes.len());
        let (early, late) = (sizes[FIRST], sizes[sizes.len() - 1]);
        assert!(late < early + MORE, "worker {pid}: {early} KiB, then {late} KiB after {} pages", sizes.len());
    }
    assert!(!server.log().contains("signal"), "{}", server.log());
}

/// The workers that there are.
fn workers(server: &Server) -> BTreeSet<u64> {
    let mut seen = BTreeSet::new();
    for _ in 0..50 {
        let pages = server.get_many("work", 12);
        let pids = pages.iter().map(|page| serde_json::from_str::<Value>(page).unwrap_or_default()["pid"].as_u64());
        seen.extend(pids.map(|pid| pid.expect("a worker")));
        if seen.len() >= WORKERS {
            break;
        }
    }
    assert_eq!(seen.len(), WORKERS, "{}", server.log());
    seen
}

#[test]
fn in_php_fpm() {
    let sandbox = machine();
    let server = fpm::start(&sandbox);
    serves(&sandbox, &server, "fpm-fcgi");
}

#[test]
fn in_apache_with_mod_php() {
    let sandbox = machine();
    let server = apache::start(&sandbox);
    serves(&sandbox, &server, "apache2handler");
}
