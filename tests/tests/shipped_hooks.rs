//! The hooks that come with datastore, at work.

#![allow(clippy::literal_string_with_formatting_args, reason = "configlets hold expansions of ours")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::path::Path;

use datastore_tests::Sandbox;
use datastore_tests::hooks::{APPLY, machine, mode, set_up};

#[test]
fn fill_web_root_fills_a_new_web_root_and_no_other() {
    let sandbox = machine();
    // Without the package the default mapping works, and says what it does not run.
    sandbox
        .datastore(&["enable", "httpd", "--yes"])
        .ok()
        .says("/usr/lib/datastore/hooks/fill-web-root of `httpd` is not there");
    sandbox.is("/var/www/html", "active");
    assert!(!sandbox.exists("/var/www/html/index.html"));
    sandbox.datastore(&["disable", "httpd", "--yes"]).ok();

    let sandbox = machine();
    sandbox.shipped_hooks();
    sandbox.datastore(&["enable", "httpd", "--yes"]).ok();
    let page = sandbox.read("/var/www/html/index.html");
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"), "{page}");
    let meta = fs::metadata(sandbox.path("/var/www/html/index.html")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.nlink()), (0o644, 0, 1));
    assert_eq!(fs::read_dir(sandbox.path("/var/www/html")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(sandbox.path("/var/www/virtual")).unwrap().count(), 0);
    // Whatever the admin makes of it stays.
    for own in ["mine", ""] {
        sandbox.write("/var/www/html/index.html", own);
        sandbox.datastore(&["restart", "httpd"]).ok();
        assert_eq!(sandbox.read("/var/www/html/index.html"), own);
    }
    fs::remove_file(sandbox.path("/var/www/html/index.html")).unwrap();
    sandbox.datastore(&["restart", "httpd"]).ok();
    assert!(!sandbox.exists("/var/www/html/index.html"), "a store that was there before is left alone");
}

const CYRUS: &str = "[mapping.\"/var/lib/imap data\"]\ntarget = \"%{base}/imap-data\"\nowner = \"alice\"\n\
                     premount = \"/usr/lib/datastore/hooks/migrate-files\"\n";
const LIST: &str = "# comment\n\n[/var/lib/other]\n/var/lib/imap/annotations.db\n\n[/var/lib/imap data]\n\
                    /var/lib/imap/mail boxes.db\n/var/lib/imap/sieve\n/var/lib/imap/never-there\n/var/lib/nodir/x\n";
const IMAP: &str = "/store/data0/live/server1/imap-data";

/// The proposal's mixed data: some of a directory's files go into the store.
fn mixed(sandbox: Sandbox) -> Sandbox {
    let sandbox = set_up(sandbox);
    sandbox.shipped_hooks();
    sandbox.configlet("cyrus", CYRUS);
    sandbox.write("/etc/datastore.d/cyrus.migrate", LIST);
    for (file, content) in [("mail boxes.db", "boxes"), ("annotations.db", "notes"), ("sieve/a/script", "keep")] {
        sandbox.write(format!("/var/lib/imap/{file}"), content);
    }
    let script = sandbox.path("/var/lib/imap/sieve/a/script");
    mode(&script, 0o640);
    chown(&script, Some(1000), Some(41)).unwrap();
    fs::hard_link(&script, sandbox.path("/var/lib/imap/sieve/linked")).unwrap();
    symlink("a/script", sandbox.path("/var/lib/imap/sieve/default")).unwrap();
    sandbox
}

/// Demands that everything that was named is in the store and nowhere else.
#[track_caller]
fn migrated(sandbox: &Sandbox, what: &str) {
    assert_eq!(sandbox.read("/var/lib/imap data/mail boxes.db"), "boxes", "{what}");
    assert_eq!(sandbox.read("/var/lib/imap data/sieve/a/script"), "keep", "{what}");
    let meta = fs::metadata(sandbox.path("/var/lib/imap data/sieve/a/script")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid(), meta.nlink()), (0o640, 1000, 41, 2), "{what}");
    assert_eq!(fs::read_link(sandbox.path("/var/lib/imap data/sieve/default")).unwrap(), Path::new("a/script"));
    let left = |dir: &str| -> Vec<String> {
        let names = fs::read_dir(sandbox.path(dir)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    };
    assert_eq!(left("/var/lib/imap"), ["annotations.db"], "{what}");
    assert_eq!(left("/var/lib/imap data"), ["mail boxes.db", "sieve"], "{what}");
    assert_eq!(left("/store/data0/live/server1"), [".datastore", "imap-data"], "{what}");
}

#[test]
fn migrate_files_moves_what_is_named_and_nothing_else() {
    let sandbox = mixed(Sandbox::new());
    sandbox.datastore(APPLY).ok();
    migrated(&sandbox, "the first time");
    let store = fs::metadata(sandbox.path(IMAP)).unwrap();
    assert_eq!((store.mode() & 0o7777, store.uid()), (0o755, 1000), "the store itself keeps its mode and owner");
    sandbox.datastore(&["restart", "cyrus"]).ok();
    migrated(&sandbox, "the second time");
    // What has come back beside what is in the store is somebody's decision.
    sandbox.write("/var/lib/imap/mail boxes.db", "newer");
    sandbox.datastore(&["restart", "cyrus"]).code(1).says("nothing is overwritten").says("hook-failed");
    assert_eq!(sandbox.read("/var/lib/imap/mail boxes.db"), "newer");
    assert_eq!(sandbox.read(format!("{IMAP}/mail boxes.db")), "boxes");
}

#[test]
fn the_default_mapping_of_the_mail_boxes_takes_in_what_a_list_names() {
    let sandbox = machine();
    sandbox.shipped_hooks();
    let passwd = sandbox.read("/etc/passwd");
    sandbox.write("/etc/passwd", format!("{passwd}cyrus:x:76:12:Cyrus:/:/bin/false\n"));
    sandbox.write("/var/lib/imap/mailboxes.db", "boxes");
    // Without a list it is a mapping like any other.
    sandbox.datastore(&["enable", "cyrus-imapd", "--yes"]).ok();
    sandbox.is("/var/spool/imap", "active");
    assert!(sandbox.exists("/var/lib/imap/mailboxes.db") && !sandbox.exists("/var/spool/imap/mailboxes.db"));
    sandbox.write("/etc/datastore.d/cyrus-imapd.migrate", "[/var/spool/imap]\n/var/lib/imap/mailboxes.db\n");
    sandbox.datastore(&["restart", "cyrus-imapd"]).ok();
    assert_eq!(sandbox.read("/var/spool/imap/mailboxes.db"), "boxes");
    assert!(!sandbox.exists("/var/lib/imap/mailboxes.db"));
}

#[test]
fn migrate_files_refuses_what_it_cannot_be_sure_of() {
    type Make = fn(&Sandbox);
    let cases: &[(Make, &str)] = &[
        (|s| mode(&s.path("/etc/datastore.d/cyrus.migrate"), 0o666), "not a file of root"),
        (|s| drop(s.write("/etc/datastore.d/cyrus.migrate", "[/else]\n/a/b\n")), "has no line [/var/lib/imap data]"),
        (|s| drop(s.write("/etc/datastore.d/cyrus.migrate", "[/var/lib/imap data]\nrelative/x\n")), "is neither"),
        (
            |s| drop(s.write("/etc/datastore.d/cyrus.migrate", "[/var/lib/imap data]\n/var/lib/imap/..\n")),
            "names no file",
        ),
        (
            |s| {
                fs::rename(s.path("/var/lib/imap"), s.path("/var/lib/real")).unwrap();
                symlink("real", s.path("/var/lib/imap")).unwrap();
            },
            "is not the real path",
        ),
    ];
    for (make, says) in cases {
        let sandbox = mixed(Sandbox::new());
        make(&sandbox);
        sandbox.datastore(APPLY).code(1).says(says);
        assert!(sandbox.bound("/var/lib/imap data").is_none(), "{says}");
        assert_eq!(sandbox.read("/var/lib/imap/mail boxes.db"), "boxes", "{says}");
        assert_eq!(sandbox.read("/var/lib/imap/sieve/linked"), "keep", "{says}");
    }
}

#[test]
fn migrate_files_killed_at_any_command_loses_nothing_and_finishes_the_next_time() {
    // Each program that changes something lies behind a wrapper, which counts; at the nth it kills the shell.
    let mut kills = 0;
    for nth in 1.. {
        let sandbox = mixed(Sandbox::in_memory());
        sandbox.directory("/count", 0o755);
        // The hook's PATH begins with /usr/sbin: the wrappers lie over it. Syncing is not what is tested here.
        sandbox.tmpfs("/usr/sbin", 1 << 20);
        for program in ["cp", "mv", "rm", "sync", "mkdir", "diff"] {
            let does = if program == "sync" { "exit 0".into() } else { format!("exec /usr/bin/{program} \"$@\"") };
            sandbox.script(
                &format!("/usr/sbin/{program}"),
                &format!(
                    "echo x >> /count/n\n\
                     if [ \"$(wc -l < /count/n)\" -eq \"$(cat /count/at)\" ]; then kill -KILL $PPID; exit 9; fi\n{does}"
                ),
            );
        }
        sandbox.write("/count/at", nth.to_string());
        let run = sandbox.datastore(APPLY);
        if run.status.code() == Some(0) {
            migrated(&sandbox, "not killed");
            break;
        }
        kills += 1;
        let what = format!("killed before program {nth}");
        run.code(1).says("was killed by signal 9");
        assert!(sandbox.bound("/var/lib/imap data").is_none(), "{what}");
        sandbox.write("/count/at", "0");
        sandbox.datastore(APPLY).ok();
        migrated(&sandbox, &what);
    }
    assert!(kills > 15, "only {kills} kills");
}
