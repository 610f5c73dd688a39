//! Services that see a machine of their own: what is bound for them is in it, may be written where the unit says so, and is not when the disk
//! is away.

use datastore_tests::Rig;

use super::{PATIENCE, disk, row, state};
use std::time::{Duration, Instant};

/// The ways in which a unit shuts its service in, the mount point of its data, and whether it may write there.
const UNITS: [(&str, &str, &str, bool); 4] = [
    (
        "strict",
        "ProtectSystem=strict\nProtectHome=yes\nPrivateTmp=yes\nReadWritePaths=/srv/strict",
        "/srv/strict",
        true,
    ),
    ("sealed", "ProtectSystem=strict\nPrivateTmp=yes\nPrivateDevices=yes\nNoNewPrivileges=yes", "/srv/sealed", false),
    ("homes", "ProtectSystem=strict\nProtectHome=read-only\nPrivateTmp=yes", "/home", false),
    // A user of its own in a root of which it sees nothing else.
    (
        "lone",
        "DynamicUser=yes\nProtectSystem=strict\nProtectHome=yes\nTemporaryFileSystem=/srv:ro\nBindPaths=/srv/lone\nUMask=0022",
        "/srv/lone",
        true,
    ),
];

/// Says into the journal what it reads, and whether it could write.
fn unit(shut_in: &str, at: &str) -> String {
    let line = format!("cat {at}/till; echo run > {at}/trace && echo wrote || echo cannot write; exec sleep infinity");
    format!("[Service]\n{shut_in}\nExecStart=/bin/sh -c '{line}'\n[Install]\nWantedBy=multi-user.target\n")
}

fn shell(rig: &Rig, line: &str) -> String {
    rig.run(&["sh", "-ec", line]).ok().stdout
}

/// What the service of an app has said since this boot.
fn said(rig: &Rig, app: &str) -> String {
    shell(rig, &format!("journalctl -b -o cat --no-pager _SYSTEMD_UNIT={app}.service 2> /dev/null || true"))
}

#[track_caller]
fn all_are_up(rig: &Rig, when: &str) {
    for (app, _, _, writes) in UNITS {
        let wanted = format!("42\n{}", if writes { "wrote" } else { "cannot write" });
        let end = Instant::now() + PATIENCE;
        // A shell that cannot write says so by itself, too.
        let has_said = |told: &str| wanted.lines().all(|line| told.lines().any(|l| l == line));
        while state(rig, app) != "active" || !has_said(&said(rig, app)) {
            let look = format!("systemctl status --no-pager {app}; datastore status {app}; findmnt");
            let trouble = || rig.run(&["sh", "-c", &look]).stdout;
            assert!(Instant::now() < end, "{when}: {app}: {}\n{}", said(rig, app), trouble());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn a_unit_that_is_shut_in_has_its_data_or_does_not_start() {
    let mut rig = Rig::booted(|rig| {
        rig.install();
        rig.write("/etc/systemd/system/mariadb.service.d/never.conf", 0o644, "[Unit]\nConditionPathExists=/never\n");
        rig.disk(&disk(rig), 128 << 20, "ext4");
        for (app, shut_in, at, _) in UNITS {
            rig.write(&format!("/etc/systemd/system/{app}.service"), 0o644, &unit(shut_in, at));
        }
    });
    let image = format!("/{}.img", disk(&rig));
    rig.run(&["datastore", "init", "--host", "server1", "--device", &image, "--yes"]).ok();
    for (app, _, at, _) in UNITS {
        // What a service with a user of its own may write to is for everybody.
        let text = format!(
            "services = [\"{app}\"]\n[mapping.\"{at}\"]\ntarget = \"%{{base}}/{app}\"\npermissions = \"1777\"\n"
        );
        rig.write(&format!("/etc/datastore.d/{app}.conf"), 0o644, &text);
    }
    rig.run(&["datastore", "apply", "--yes"]).ok();
    for (app, _, at, _) in UNITS {
        shell(&rig, &format!("echo 42 > {at}/till; systemctl enable --now --quiet {app}"));
    }
    all_are_up(&rig, "at first");
    rig.reboot();
    all_are_up(&rig, "after a boot");
    let stores = "/store/data0/live/server1";
    assert_eq!(shell(&rig, &format!("cd {stores}; ls */trace")), "lone/trace\nstrict/trace\n");
    // What is taken off and bound while they run is so for them too, and then as the bind has it: systemd has made read-only what was there.
    let inside = |app: &str, line: &str| {
        shell(&rig, &format!("nsenter -t $(systemctl show -p MainPID --value {app}) -m sh -c '{line}'"))
    };
    let write = "touch /srv/sealed/x 2> /dev/null && echo wrote || echo cannot write";
    assert_eq!(inside("sealed", write), "cannot write\n");
    shell(&rig, "umount /srv/sealed; umount /srv/strict");
    assert_eq!(inside("strict", "cat /srv/strict/till 2> /dev/null || echo gone"), "gone\n");
    shell(&rig, "datastore apply --yes");
    assert_eq!(inside("strict", "cat /srv/strict/till"), "42\n");
    assert_eq!(inside("sealed", write), "wrote\n");

    shell(&rig, &format!("rm {stores}/*/trace; mv {image} /away.img"));
    rig.reboot();
    for (app, _, at, _) in UNITS {
        assert_ne!(state(&rig, app), "active", "{app} runs without its data");
        assert_eq!(
            (row(&rig, app)["reason"].as_str(), said(&rig, app).as_str()),
            (Some("volume-missing"), ""),
            "{app}"
        );
        assert_eq!(shell(&rig, &format!("find {at} -mindepth 1")), "", "{app}");
    }
    shell(&rig, &format!("mv /away.img {image}"));
    for (app, _, _, _) in UNITS {
        shell(&rig, &format!("systemctl start {app}"));
    }
    all_are_up(&rig, "the disk is back");
}
