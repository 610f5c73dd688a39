//! A reinstall: the disk of one machine comes to a fresh one, on which the same names have other numbers. A real database, under real systemd.

use std::process::Command;

use datastore_tests::Rig;

use super::{disk, state};

const MYSQLD: &str = "services = [\"mariadb\"]\n[mapping.\"/var/lib/mysql\"]\ntarget = \"%{base}/mysql\"\nowner = \"mysql\"\n\
                      group = \"mysql\"\n";
const ASK: &str = "mariadb -N -e 'select till from shop.tills'";

#[track_caller]
fn shell(rig: &Rig, line: &str) -> String {
    rig.run(&["bash", "-ec", line]).ok().stdout.trim().to_owned()
}

#[test]
fn a_database_comes_up_on_a_reinstalled_machine() {
    let before = Rig::booted(|rig| {
        rig.install();
        rig.disk(&disk(rig), 512 << 20, "ext4");
    });
    shell(
        &before,
        "systemctl start mariadb; mariadb -e 'create database shop; create table shop.tills (till int); insert into shop.tills values (42)'",
    );
    let image = format!("/{}.img", disk(&before));
    before.run(&["datastore", "init", "--host", "server1", "--device", &image, "--yes"]).ok();
    before.write("/etc/datastore.d/mysqld.conf", 0o644, MYSQLD);
    before.run(&["datastore", "import", "mysqld", "--yes"]).ok();
    assert_eq!(shell(&before, ASK), "42");
    let old = shell(&before, "id -u mysql");
    shell(&before, "systemctl stop mariadb; datastore stop mysqld; umount /store/data0");

    // The fresh machine: mysql has another number, and somebody else has the one that it had. The package has made a database of its own.
    let mut now = Rig::booted(Rig::install);
    let there = format!("/{}.img", disk(&now));
    let copied = Command::new("cp").arg("--sparse=always").args([before.path(&image), now.path(&there)]).status();
    assert!(copied.expect("run cp").success());
    drop(before);
    shell(
        &now,
        &format!(
            "systemctl stop mariadb; usermod -u 4242 mysql; groupmod -g 4243 mysql; useradd -u {old} -M intruder; \
             for dir in /var/lib/mysql /run/mysqld; do [ ! -e $dir ] || chown -R mysql:mysql $dir; done; systemctl start mariadb"
        ),
    );
    let shown = now.run(&["datastore", "adopt", "--device", &there, "--show"]).ok();
    shown
        .says(&format!("user {old} to 4242"))
        .says("/etc/datastore.d/mysqld.conf")
        .says("mv /var/lib/mysql /var/lib/mysql.old");
    shell(&now, "systemctl stop mariadb; mv /var/lib/mysql /var/lib/mysql.old");
    now.run(&["datastore", "adopt", "--device", &there, "--yes"]).ok();
    // Debian's package makes two of its files as root.
    let count = |rig: &Rig, of: &str| shell(rig, &format!("find /var/lib/mysql {of} | wc -l"));
    assert_eq!(count(&now, "! -user mysql ! -user root -o ! -group mysql ! -group root"), "0", "every owner is right");
    assert!(count(&now, "-user mysql").parse::<u32>().unwrap() > 100);
    shell(&now, "systemctl start mariadb");
    assert_eq!(shell(&now, ASK), "42");
    // The services are guarded again, and it comes up by itself.
    now.reboot();
    assert_eq!(state(&now, "multi-user.target"), "active");
    shell(&now, "systemctl start mariadb");
    assert_eq!(shell(&now, ASK), "42");
    shell(&now, &format!("systemctl stop mariadb; datastore stop mysqld; umount /store/data0; mv {there} /away.img"));
    let refused = now.run(&["systemctl", "start", "mariadb"]);
    assert_ne!(refused.status.code(), Some(0));
    assert_eq!(shell(&now, "ls -A /var/lib/mysql"), "");
}
