//! The first process of a system.

use std::fs;

use super::Rig;

/// Who runs everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// systemd.
    Systemd,
    /// SysV init, with init scripts.
    Sysv,
    /// systemd, on a kernel of its own: what [`Machine`](crate::Machine) boots.
    Machine,
}

/// Written by the last script of a boot.
const UP: &str = "/run/rig-is-up";

impl Init {
    /// What each boot needs. It has a /dev of its own, in which disks have no nodes; one that is made for a disk later on needs one as well.
    pub(super) fn prepare(self, rig: &Rig, loops: u32) {
        let nodes = |n: &str| {
            format!("for n in {n}(seq 0 {loops}); do [ -e /dev/loop{n}n ] || mknod /dev/loop{n}n b 7 {n}n; done")
        };
        match self {
            Self::Systemd => {
                let unit = format!(
                    "[Unit]\nDefaultDependencies=no\nBefore=local-fs-pre.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
                     ExecStart=/bin/sh -c '{}'\n",
                    nodes("$$")
                );
                rig.write("/usr/lib/systemd/system/rig-disks.service", 0o644, &unit);
                rig.link("/usr/lib/systemd/system/local-fs-pre.target.wants/rig-disks.service", "../rig-disks.service");
                // Where others keep data of their own nothing lies yet.
                fs::remove_file(rig.path("/var/www/html/index.nginx-debian.html")).expect("remove the page of nginx");
                // Whoever needs these enables them; they would take a second of each boot.
                for unit in ["nginx", "postgresql"] {
                    let wanted = rig.path(format!("/etc/systemd/system/multi-user.target.wants/{unit}.service"));
                    fs::remove_file(wanted).unwrap_or_else(|e| panic!("disable {unit}: {e}"));
                }
            }
            Self::Machine => crate::machine::prepare(rig),
            Self::Sysv => {
                let script = |name: &str, head: &str, does: &str| {
                    let text = format!(
                        "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: {name}\n{head}### END INIT INFO\n{does}\n"
                    );
                    rig.write(&format!("/etc/init.d/{name}"), 0o755, &text);
                    rig.run(&["update-rc.d", name, "defaults"]).ok();
                };
                let first = "# Required-Start:\n# Required-Stop:\n# X-Start-Before: checkroot mountall mountkernfs\n\
                             # Default-Start: S\n# Default-Stop:\n";
                script("rig-disks", first, &nodes("$"));
                let last = "# Required-Start: $all\n# Required-Stop:\n# Default-Start: 2 3 4 5\n# Default-Stop:\n";
                script("rig-is-up", last, &format!("[ \"$1\" != start ] || touch {UP}"));
            }
        }
    }

    /// Whether a system has come to the end of its boot.
    pub(super) fn is_up(self, rig: &Rig) -> bool {
        match self {
            Self::Systemd | Self::Machine => {
                let state = rig.command(&["systemctl", "is-system-running", "--wait"]).output().expect("run nsenter");
                matches!(state.stdout.as_slice(), b"running\n" | b"degraded\n")
            }
            Self::Sysv => rig.command(&["test", "-e", UP]).status().expect("run nsenter").success(),
        }
    }

    /// What has it boot once more.
    pub(super) fn reboot(self) -> &'static [&'static str] {
        match self {
            Self::Systemd | Self::Machine => &["systemctl", "reboot"],
            Self::Sysv => &["reboot"],
        }
    }

    /// What is in the system beside what Debian calls essential.
    pub(super) fn packages(self) -> &'static str {
        match self {
            Self::Systemd => {
                "systemd,systemd-sysv,dbus,udev,procps,sysvinit-utils,mariadb-server,nginx-light,postgresql"
            }
            Self::Machine => {
                "systemd,systemd-sysv,dbus,udev,procps,linux-image-cloud-amd64,nginx-light,curl,attr,apparmor,\
                 selinux-policy-default,policycoreutils,policycoreutils-python-utils,selinux-utils"
            }
            Self::Sysv => "sysvinit-core,initscripts,sysv-rc,insserv,startpar,procps,mount,psmisc",
        }
    }

    /// The name of the system. To be changed with what it is made of, so that one made before is not taken for it.
    pub(super) fn version(self) -> &'static str {
        match self {
            Self::Systemd => "bookworm-2",
            Self::Sysv => "bookworm-sysv-1",
            Self::Machine => "bookworm-machine-1",
        }
    }
}
