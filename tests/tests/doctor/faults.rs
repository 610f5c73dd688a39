//! A fault for every check.

use std::fs::{self, File};
use std::os::unix::fs::chown;

use datastore_core::doctor::{Check, Severity};
use datastore_tests::Sandbox;

use crate::machine::*;

/// How a fault is mended.
pub(crate) enum Mend {
    /// By the command in its hint.
    Hint,
    /// By hand, because the hint says what to decide.
    Hand(fn(&Sandbox)),
}

pub(crate) struct Fault {
    pub(crate) check: Check,
    pub(crate) severity: Severity,
    /// What the finding is about: an app, a mount point, or a path that ends so.
    pub(crate) about: &'static str,
    pub(crate) plant: fn(&Sandbox),
    pub(crate) mend: Mend,
    /// Other checks that see the same fault.
    pub(crate) also: &'static [Check],
}

pub(crate) fn faults() -> Vec<Fault> {
    use Mend::{Hand, Hint};
    use Severity::{Error, Note, Warning};
    let fault = |check, severity, about, plant, mend| Fault { check, severity, about, plant, mend, also: &[] };
    vec![
        fault(
            Check::Refused,
            Error,
            "/var/shop",
            |s| {
                s.unmount("/var/shop");
                unseal(s, "/var/shop");
                s.write("/var/shop/lost", "x");
            },
            Hand(|s| {
                remove(s, "/var/shop/lost");
                apply(s);
            }),
        ),
        fault(
            Check::Interrupted,
            Error,
            "/var/shop",
            |s| {
                s.datastore(&["restart", "shop"]).ok();
                let name = newest_journal(s);
                let journal = s.read(format!("{DONE}/{name}"));
                let lines: Vec<&str> = journal.split_inclusive('\n').collect();
                s.write(format!("{JOURNAL}/{name}"), lines[..lines.len() - 1].concat());
                remove(s, &format!("{DONE}/{name}"));
            },
            Hint,
        ),
        fault(Check::NotBound, Error, "/var/shop", |s| s.unmount("/var/shop"), Hint),
        fault(
            Check::StillBound,
            Warning,
            "/var/shop",
            |s| drop(s.write("/etc/datastore.d/shop.local.conf", "enabled = false\n")),
            Hint,
        ),
        fault(
            Check::HiddenData,
            Warning,
            "/var/shop",
            |s| {
                s.unmount("/var/shop");
                unseal(s, "/var/shop");
                s.write("/var/shop/lost", "x");
                bind(s, STORE, "/var/shop");
            },
            Hand(|s| {
                s.unmount("/var/shop");
                remove(s, "/var/shop/lost");
                apply(s);
            }),
        ),
        fault(Check::ModeOwner, Warning, "/var/shop", |s| chown(s.path(STORE), Some(7), None).unwrap(), Hint),
        fault(Check::BindOptions, Warning, "/var/shop", |s| remount(s, "bind,suid", "/var/shop"), Hint),
        fault(Check::FstabLine, Warning, "/var/shop", |s| edit(s, "/etc/fstab", |t| without_lines(t, "=shop")), Hint),
        fault(
            Check::NoIdentity,
            Warning,
            "/var/shop",
            |s| {
                edit(s, MANIFEST, |t| by_hand(t, "/var/shop"));
                rustix::fs::removexattr(s.path(STORE), IDENTITY).unwrap();
            },
            Hint,
        ),
        fault(Check::StaleManifest, Warning, "/var/fine", |s| edit(s, MANIFEST, |t| by_hand(t, "/var/fine")), Hint),
        fault(
            Check::Unsealed,
            Warning,
            "/var/shop",
            |s| {
                s.unmount("/var/shop");
                unseal(s, "/var/shop");
                bind(s, STORE, "/var/shop");
            },
            Hint,
        ),
        fault(
            Check::StraySeal,
            Warning,
            "/var/shop",
            |s| {
                s.datastore(&["disable", "shop", "--yes"]).ok();
                seal(s, "/var/shop");
            },
            Hint,
        ),
        fault(Check::Stacked, Warning, "/var/shop", |s| bind(s, STORE, "/var/shop"), Hint),
        fault(
            Check::Shared,
            Note,
            "/store/data0",
            |s| {
                s.run(s.command("mount").arg("--make-shared").arg(s.path("/store/data0"))).ok();
                s.datastore(&["restart", "shop"]).ok();
            },
            Hand(|s| {
                s.run(s.command("mount").arg("--make-private").arg(s.path("/store/data0"))).ok();
            }),
        ),
        fault(Check::StrayLine, Warning, "/var/shop", |s| remove(s, "/etc/datastore.d/shop.conf"), Hint),
        fault(
            Check::ForeignLine,
            Warning,
            "/etc/fstab",
            |s| edit(s, "/etc/fstab", |t| format!("{t}{STORE} /mnt/x none bind 0 0\n")),
            Hand(|s| edit(s, "/etc/fstab", |t| without_lines(t, "/mnt/x"))),
        ),
        fault(
            Check::FstabFixed,
            Warning,
            "/etc/fstab",
            |s| drop(s.run(s.command("chattr").arg("+i").arg(s.path("/etc/fstab"))).ok()),
            Hand(|s| drop(s.run(s.command("chattr").arg("-i").arg(s.path("/etc/fstab"))).ok())),
        ),
        Fault {
            also: &[Check::Refused],
            ..fault(
                Check::Volume,
                Error,
                "/store/data0",
                |s| ["/var/shop", "/var/fine", "/store/data0"].iter().for_each(|at| s.unmount(at)),
                Hand(|s| {
                    s.mount_loop(&s.path("disk.img"), "/store/data0");
                    apply(s);
                }),
            )
        },
        Fault {
            also: &[Check::Refused],
            ..fault(
                Check::VolumeIdentity,
                Error,
                "/store/data0",
                |s| {
                    keep(s, "/store/data0/.datastore/volume.toml");
                    remove(s, "/store/data0/.datastore/volume.toml");
                },
                Hand(|s| restore(s, "/store/data0/.datastore/volume.toml")),
            )
        },
        fault(
            Check::TwinVolume,
            Error,
            "/mnt/copy",
            |s| {
                s.run(s.command("sync").arg("-f").arg(s.path("/store/data0"))).ok();
                s.run(s.command("cp").arg(s.path("disk.img")).arg(s.path("copy.img"))).ok();
                s.mount_loop(&s.path("copy.img"), "/mnt/copy");
            },
            Hint,
        ),
        fault(Check::ReadOnly, Error, "/store/data0", |s| remount(s, "ro", "/store/data0"), Hint),
        fault(
            Check::Space,
            Warning,
            "/store/data0",
            |s| {
                let vfs = rustix::fs::statvfs(s.path("/store/data0")).unwrap();
                let file = File::create(s.path("/store/data0/big")).unwrap();
                let fill = vfs.f_blocks * vfs.f_frsize * 93 / 100 - (vfs.f_blocks - vfs.f_bfree) * vfs.f_frsize;
                rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, fill).unwrap();
            },
            Hand(|s| remove(s, "/store/data0/big")),
        ),
        fault(
            Check::Inodes,
            Error,
            "/store/data0",
            |s| {
                s.directory("/store/data0/many", 0o700);
                let all = rustix::fs::statvfs(s.path("/store/data0")).unwrap().f_ffree;
                (0..all).for_each(|i| drop(File::create(s.path(format!("/store/data0/many/{i}"))).unwrap()));
            },
            Hand(|s| fs::remove_dir_all(s.path("/store/data0/many")).unwrap()),
        ),
        fault(
            Check::OrphanStore,
            Warning,
            "/www/lost",
            |s| {
                s.directory(format!("{BASE}/www"), 0o700);
                s.directory(format!("{BASE}/www/lost"), 0o755);
                set_identity(s, &format!("{BASE}/www/lost"));
            },
            Hand(|s| fs::remove_dir_all(s.path(format!("{BASE}/www"))).unwrap()),
        ),
        fault(
            Check::UndeclaredStore,
            Note,
            STORE,
            |s| {
                remove(s, "/etc/datastore.d/shop.conf");
                s.datastore(&["disable", "shop", "--yes"]).ok();
            },
            Hand(|s| {
                s.configlet("shop", SHOP);
                apply(s);
            }),
        ),
        fault(
            Check::OtherHost,
            Note,
            "/live/server9",
            |s| drop(s.directory("/store/data0/live/server9", 0o700)),
            Hand(|s| fs::remove_dir(s.path("/store/data0/live/server9")).unwrap()),
        ),
        Fault {
            also: &[Check::ModeOwner, Check::StaleManifest],
            ..fault(
                Check::OwnerRenumbered,
                Error,
                STORE,
                |s| {
                    chown(s.path("/var/shop/order"), Some(1000), None).unwrap();
                    edit(s, "/etc/passwd", |t| t.replace("alice:x:1000:", "alice:x:1001:"));
                },
                Hint,
            )
        },
        fault(
            Check::Unreadable,
            Warning,
            ".journal",
            |s| {
                let name = newest_journal(s);
                edit(s, &format!("{DONE}/{name}"), |t| t.replacen("begin", "began", 1));
            },
            Hint,
        ),
        fault(
            Check::Config,
            Error,
            "/etc/datastore.d/fine.conf",
            |s| drop(s.configlet("fine", &format!("titel = \"x\"\n{FINE}"))),
            Hand(|s| drop(s.configlet("fine", FINE))),
        ),
        fault(
            Check::Leftover,
            Warning,
            "/etc/.fstab.20201123T174301250Z-1a2b3c4d.tmp",
            |s| drop(s.write(format!("/etc/.fstab.{OPERATION}.tmp"), "half")),
            Hint,
        ),
        fault(
            Check::NoGuard,
            Note,
            "shop",
            |_| {},
            Hand(|s| {
                s.write(
                    "/etc/systemd/system/shop.service.d/guard.conf",
                    "[Service]\nExecStartPre=+datastore guard shop\n",
                );
            }),
        ),
        fault(
            Check::PutAside,
            Note,
            "late",
            |s| {
                late(s);
                s.datastore(&["import", "late", "--yes"]).ok();
                for file in fs::read_dir(s.path(RECEIPTS)).unwrap() {
                    let path = file.unwrap().path();
                    let mut receipt: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                    receipt["expires"] = 1_600_000_000.into();
                    fs::write(path, receipt.to_string()).unwrap();
                }
            },
            Hint,
        ),
        Fault {
            also: &[Check::Refused],
            ..fault(
                Check::HalfCopy,
                Warning,
                "late",
                |s| {
                    late(s);
                    // Somebody writes on who is no service.
                    let writer = File::options().append(true).open(s.path("/var/late/train")).unwrap();
                    s.datastore(&["import", "late", "--yes"]).code(3);
                    drop(writer);
                },
                Hand(|s| {
                    s.datastore(&["move", "late", "--abort", "--yes"]).ok();
                    s.datastore(&["import", "late", "--yes"]).ok();
                }),
            )
        },
    ]
}

/// Data at a mount point that is not bound yet.
fn late(s: &Sandbox) {
    s.configlet("late", "[mapping.\"/var/late\"]\ntarget = \"%{base}/late\"\n");
    s.write("/var/late/train", "text");
}
