//! A database under a load of writes comes into the store, and goes to another file system: no row is lost whose commit was confirmed.

#![allow(clippy::print_stderr, reason = "the figures belong to the test's output")]

use std::collections::BTreeSet;

use datastore_tests::Rig;

use super::{booted, figures, longest_gap, unit};

/// Four clients insert rows of 4 KB. Each numbers its rows and notes one when the server has confirmed its commit, with the time; a row of which
/// it does not know is never tried again.
const CLIENT: &str = r#"#!/bin/sh
n=0
while :; do
    n=$((n + 1))
    mariadb load -e "insert into written values ($1$n, repeat('$n ', 400))" 2>/dev/null && echo "$1$n $(date +%s.%N)" >>/var/tmp/confirmed
done
"#;

fn confirmed(rig: &Rig) -> Vec<(u64, f64)> {
    let text = std::fs::read_to_string(rig.path("/var/tmp/confirmed")).unwrap_or_default();
    // The last line may be half a one.
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let parse =
        |line: &str| line.split_once(' ').map(|(n, at)| (n.parse().expect("a row"), at.parse().expect("a time")));
    whole.lines().filter_map(parse).collect()
}

fn query(rig: &Rig, sql: &str) -> String {
    rig.run(&["mariadb", "-N", "-e", sql]).ok().stdout
}

/// Waits until so many more rows have been confirmed.
fn wait_for_rows(rig: &Rig, more: usize) {
    let wanted = confirmed(rig).len() + more;
    super::wait_until("the clients insert rows", || confirmed(rig).len() >= wanted);
}

#[test]
fn no_confirmed_row_is_lost() {
    let rig = booted(&[("data0", 1024, "ext4"), ("data1", 1024, "xfs")], |rig| {
        rig.write("/usr/local/bin/client", 0o755, CLIENT);
        unit(rig, "client@.service", "[Service]\nExecStart=/usr/local/bin/client %i\n");
    });
    rig.run(&["systemctl", "start", "mariadb"]).ok();
    query(&rig, "create database `load`; create table `load`.`written` (n bigint primary key, text text)");
    rig.run(&["systemctl", "start", "client@1", "client@2", "client@3", "client@4"]).ok();
    wait_for_rows(&rig, 100);
    // systemd knows mariadb.service by this name too, which is what the default mapping has.
    for words in [&["import", "mysqld"][..], &["move", "mysqld", "--to", "data1"]] {
        let before = confirmed(&rig).len();
        let run = rig.run(&[&["datastore"], words, &["--yes", "--json"]].concat()).ok();
        let report = run.json();
        assert_eq!(report["outcome"], "done", "{report:#}");
        assert_eq!(report["probe"]["ready"], true, "{report:#}");
        assert_eq!(report["probe"]["services"][0]["service"], "mariadb.service", "{report:#}");
        wait_for_rows(&rig, 100);
        let times: Vec<f64> = confirmed(&rig)[before.saturating_sub(1)..].iter().map(|(_, at)| *at).collect();
        eprintln!("{}: {}; no commit for {:.2} s", words.join(" "), figures(&report), longest_gap(&times));
        rig.run(&["datastore", "guard", "mysqld"]).ok();
        rig.run(&["systemctl", "is-active", "mariadb"]).ok();
    }
    rig.run(&["systemctl", "stop", "client@1", "client@2", "client@3", "client@4"]).ok();
    let mount = rig.run(&["findmnt", "-n", "-o", "FSTYPE", "/var/lib/mysql"]).ok();
    assert_eq!(mount.stdout.trim(), "xfs");
    let there: BTreeSet<u64> =
        query(&rig, "select n from `load`.`written`").lines().map(|n| n.parse().unwrap()).collect();
    let confirmed = confirmed(&rig);
    let lost: Vec<u64> = confirmed.iter().map(|(n, _)| *n).filter(|n| !there.contains(n)).collect();
    assert!(lost.is_empty(), "of {} rows: {lost:?}", confirmed.len());
    assert!(query(&rig, "check table `load`.`written`").contains("OK"));
    eprintln!("{} rows confirmed, {} there", confirmed.len(), there.len());
}
