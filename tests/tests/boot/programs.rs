//! Programs as Debian packages them: a database, another one, a web server. They come up with their data, and without it not at all.

use datastore_tests::Rig;

use super::{PATIENCE, disk, state};
use std::time::{Duration, Instant};

const UNITS: [&str; 3] = ["mariadb", "postgresql@15-main", "nginx"];
/// Each app with its configlet.
const APPS: [(&str, &str); 3] = [
    (
        "mysqld",
        "services = [\"mariadb\"]\n[mapping.\"/var/lib/mysql\"]\ntarget = \"%{base}/mysql\"\nowner = \"mysql\"\n\
         group = \"mysql\"\n",
    ),
    (
        "postgres",
        "services = [\"postgresql@15-main\"]\n[mapping.\"/var/lib/postgresql\"]\ntarget = \"%{base}/postgresql\"\n\
         owner = \"postgres\"\ngroup = \"postgres\"\n",
    ),
    ("web", "services = [\"nginx\"]\n[mapping.\"/var/www\"]\ntarget = \"%{base}/www\"\n"),
];
/// What each of them answers, one line each.
const ASK: &str = "mariadb -N -e 'select till from shop.tills'; \
                   runuser -u postgres -- psql -At -d shop -c 'select till from tills'; \
                   exec 3<>/dev/tcp/127.0.0.1/80; printf 'GET /till HTTP/1.0\\r\\n\\r\\n' >&3; tail -n 1 <&3";
const ANSWER: &str = "42\n42\n42\n";

#[track_caller]
fn shell(rig: &Rig, line: &str) -> String {
    rig.run(&["bash", "-ec", line]).ok().stdout
}

/// All of them run, and answer with what was put into them.
#[track_caller]
fn answers(rig: &Rig, when: &str) {
    let end = Instant::now() + PATIENCE;
    loop {
        let run = rig.run(&["bash", "-c", ASK]);
        if run.stdout == ANSWER {
            return;
        }
        let look =
            "systemctl status --no-pager mariadb postgresql@15-main nginx; datastore status; datastore alarm list";
        let trouble = || rig.run(&["sh", "-c", look]).stdout;
        assert!(Instant::now() < end, "{when}: {}{}\n{}", run.stdout, run.stderr, trouble());
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// None of them runs, nothing was made where their data belongs, and the machine is up.
#[track_caller]
fn none_runs(rig: &Rig, when: &str) {
    for unit in UNITS {
        assert_ne!(state(rig, unit), "active", "{when}: {unit} runs");
    }
    assert_eq!(state(rig, "multi-user.target"), "active", "{when}");
    let made =
        shell(rig, "find /var/lib/mysql /var/lib/postgresql /var/www /store -mindepth 1 -not -path /store/data0");
    assert_eq!(made, "", "{when}");
    let alarms = shell(rig, "datastore alarm list");
    for (app, _) in APPS {
        assert!(alarms.contains(app), "{when}: {app}: {alarms}");
    }
}

#[test]
fn databases_and_a_web_server_never_start_without_their_data() {
    let mut rig = Rig::booted(|rig| {
        rig.install();
        rig.disk(&disk(rig), 1 << 30, "ext4");
    });
    shell(&rig, "systemctl enable --now --quiet nginx postgresql");
    shell(
        &rig,
        "mariadb -e 'create database shop; create table shop.tills (till int); insert into shop.tills values (42)'
         runuser -u postgres -- psql -q -c 'create database shop'
         runuser -u postgres -- psql -q -d shop -c 'create table tills (till int); insert into tills values (42)'
         echo 42 > /var/www/html/till",
    );
    answers(&rig, "before");
    let image = format!("/{}.img", disk(&rig));
    rig.run(&["datastore", "init", "--host", "server1", "--device", &image, "--yes"]).ok();
    for (app, text) in APPS {
        rig.write(&format!("/etc/datastore.d/{app}.conf"), 0o644, text);
        rig.run(&["datastore", "import", app, "--yes"]).ok();
        rig.run(&["datastore", "reclaim", app, "--yes"]).ok();
    }
    answers(&rig, "imported");
    for n in 0..2 {
        rig.reboot();
        answers(&rig, &format!("boot {n}"));
    }
    // The disk is missing at a boot. A database that finds an empty directory would make itself anew.
    shell(&rig, &format!("mv {image} /away.img"));
    rig.reboot();
    none_runs(&rig, "at a boot without the disk");
    shell(&rig, &format!("mv /away.img {image}"));
    shell(&rig, "systemctl start mariadb postgresql@15-main nginx");
    answers(&rig, "the disk is back");
    // It is lost while they run, and they are started again.
    shell(&rig, "for at in /var/lib/mysql /var/lib/postgresql /var/www /store/data0; do umount -l $at; done");
    shell(&rig, &format!("mv {image} /away.img"));
    shell(&rig, "! systemctl restart mariadb postgresql@15-main nginx");
    none_runs(&rig, "the disk was lost");
    shell(&rig, &format!("mv /away.img {image}"));
    shell(&rig, "systemctl start mariadb postgresql@15-main nginx");
    answers(&rig, "the disk is back once more");
    assert_eq!(shell(&rig, "datastore alarm list"), "no alarm is open\n");
}
