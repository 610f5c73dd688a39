//! What can be wrong. In the lines of shell `OFF`, `STORE` and `DISK` stand for what the suite puts there.

/// One thing that is wrong.
#[derive(Debug)]
pub(super) struct Bad {
    pub(super) name: &'static str,
    /// What makes it so.
    pub(super) spoil: &'static str,
    pub(super) at_boot: Then,
    pub(super) at_start: Then,
}

/// What comes of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Then {
    /// The app comes up all the same, on its data.
    Up,
    /// It does not. These words are told; `mend` takes the cause away, and `bring` then brings the app up.
    Refused { words: &'static str, mend: &'static str, bring: &'static str },
}

const START: &str = "systemctl start shop";
/// What was refused is started by the operation that brings its data.
const BIND: &str = "datastore apply --yes";

const fn refused(name: &'static str, spoil: &'static str, words: &'static str, mend: &'static str) -> Bad {
    let then = Then::Refused { words, mend, bring: START };
    Bad { name, spoil, at_boot: then, at_start: then }
}

/// The bind has gone with it, and must be made again.
const fn unbound(name: &'static str, spoil: &'static str, words: &'static str, mend: &'static str) -> Bad {
    let then = Then::Refused { words, mend, bring: BIND };
    Bad { name, spoil, at_boot: then, at_start: then }
}

/// No reason to keep the app from its data.
const fn harmless(name: &'static str, spoil: &'static str) -> Bad {
    Bad { name, spoil, at_boot: Then::Up, at_start: Then::Up }
}

/// A boot binds it again; until then, or until somebody does, the app does not start.
const fn healed(name: &'static str, spoil: &'static str) -> Bad {
    let then = Then::Refused { words: "pending", mend: "true", bring: BIND };
    Bad { name, spoil, at_boot: Then::Up, at_start: then }
}

pub(super) const DISKS: &[Bad] = &[
    refused("the disk is missing", "OFF; mv DISK /away.img", "volume-missing", "mv /away.img DISK"),
    refused(
        "an empty disk is in its place",
        "OFF; mv DISK /away.img; truncate -s 256M DISK; mkfs.ext4 -qF DISK",
        "wrong-volume",
        "OFF; mv /away.img DISK",
    ),
    refused(
        "the disk of another machine is in its place, with the same directories",
        "cp -a /store/data0 /copy; OFF; mv DISK /away.img; truncate -s 256M DISK; mkfs.ext4 -qF DISK; mount -o loop DISK /mnt; \
         cp -a /copy/. /mnt/; rm -rf /copy; echo 43 > /mnt/live/server1/shop/till; \
         sed -i 's/^id.*/id = \"11111111-2222-4333-8444-555555555555\"/' /mnt/.datastore/volume.toml; umount /mnt",
        "wrong-volume",
        "OFF; mv /away.img DISK",
    ),
    refused(
        "the file system of the disk is damaged",
        "OFF; cp DISK /away.img; dd if=/dev/zero of=DISK bs=1M count=4 conv=notrunc status=none",
        "volume-missing",
        "mv /away.img DISK",
    ),
    refused(
        "fstab has lost the line of the disk",
        "OFF; sed -i '\\#^DISK#d' /etc/fstab",
        "volume-missing",
        "cp /etc/fstab.good /etc/fstab; systemctl daemon-reload",
    ),
    refused(
        "another directory of the root disk is mounted there",
        "OFF; mkdir -p /fake/live/server1/shop; sed -i 's#^DISK .*#/fake /store/data0 none bind 0 0#' /etc/fstab",
        "wrong-volume",
        "OFF; cp /etc/fstab.good /etc/fstab; systemctl daemon-reload; rm -rf /fake",
    ),
    harmless("the volume is read-only", "OFF; sed -i 's#ext4 loop,#ext4 ro,loop,#' /etc/fstab"),
    harmless("the volume is a copy of the disk", "OFF; cp DISK /away.img; mv /away.img DISK"),
];

pub(super) const STORES: &[Bad] = &[
    unbound(
        "the store directory has gone",
        "systemctl stop srv-shop.mount; mv STORE STORE.away",
        "wrong-store",
        "rm -rf STORE; mv STORE.away STORE",
    ),
    refused(
        "an empty directory is in its place",
        "systemctl stop srv-shop.mount; mv STORE STORE.away; mkdir STORE",
        "wrong-store",
        "systemctl stop srv-shop.mount; rm -rf STORE; mv STORE.away STORE",
    ),
    refused(
        "the store of another app is in its place",
        "printf '[mapping.\"/srv/other\"]\\ntarget = \"%%{base}/other\"\\n' > /etc/datastore.d/other.conf; datastore apply other --yes; \
         systemctl stop srv-shop.mount; mv STORE STORE.away; cp -a /store/data0/live/server1/other STORE",
        "wrong-store",
        "systemctl stop srv-shop.mount; rm -rf STORE; mv STORE.away STORE; datastore disable other --yes; \
         rm /etc/datastore.d/other*.conf",
    ),
    refused(
        "a symbolic link is in its place",
        "systemctl stop srv-shop.mount; mv STORE STORE.away; mkdir -p /other; ln -s /other STORE",
        "foreign-mount",
        "systemctl stop srv-shop.mount; rm -rf STORE /other; mv STORE.away STORE",
    ),
    harmless("its mode is wrong", "chmod 0700 STORE"),
    harmless("its owner is wrong", "chown 1234 STORE"),
    refused(
        "the identity of the volume has gone",
        "mv /store/data0/.datastore/volume.toml /away",
        "wrong-volume",
        "mv /away /store/data0/.datastore/volume.toml",
    ),
    refused(
        "the identity of the volume is damaged",
        "cp -a /store/data0/.datastore/volume.toml /away; echo '[[' > /store/data0/.datastore/volume.toml",
        "wrong-volume",
        "mv /away /store/data0/.datastore/volume.toml",
    ),
    harmless("the manifest has gone", "rm /store/data0/live/server1/.datastore/manifest.toml"),
    refused(
        "the manifest is damaged",
        "cp -a /store/data0/live/server1/.datastore/manifest.toml /away; \
         echo '[[' > /store/data0/live/server1/.datastore/manifest.toml",
        "wrong-store",
        "mv /away /store/data0/live/server1/.datastore/manifest.toml",
    ),
];

pub(super) const BINDS: &[Bad] = &[
    healed("fstab has lost the bind", "systemctl stop srv-shop.mount; sed -i '\\#^STORE#d' /etc/fstab"),
    healed(
        "fstab has lost the bind and our marks",
        "systemctl stop srv-shop.mount; sed -i '/^# datastore/d; \\#^STORE#d' /etc/fstab",
    ),
    healed(
        "the mount point has gone, and the bind too",
        "systemctl stop srv-shop.mount; sed -i '\\#^STORE#d' /etc/fstab; chattr -i /srv/shop; rmdir /srv/shop",
    ),
    refused(
        "fstab binds another directory",
        "systemctl stop srv-shop.mount; mkdir -p STORE-other; sed -i 's#^STORE #STORE-other #' /etc/fstab",
        "wrong-store",
        "systemctl stop srv-shop.mount; cp /etc/fstab.good /etc/fstab; systemctl daemon-reload; rmdir STORE-other",
    ),
    refused(
        "somebody mounts something over it",
        "printf '[Unit]\\nDefaultDependencies=no\\nAfter=srv-shop.mount\\nBefore=datastore.service\\n[Service]\\nType=oneshot\\n\
         RemainAfterExit=yes\\nExecStart=mount -t tmpfs over /srv/shop\\n[Install]\\nWantedBy=local-fs.target\\n' \
         > /etc/systemd/system/over.service; systemctl enable --now over",
        "wrong-store",
        "umount -t tmpfs /srv/shop; systemctl disable --now over; rm /etc/systemd/system/over.service",
    ),
    unbound(
        "there is data at the mount point, and no bind",
        "systemctl stop srv-shop.mount; sed -i '\\#^STORE#d' /etc/fstab; chattr -i /srv/shop; chmod 755 /srv/shop; \
         echo 43 > /srv/shop/till",
        "mount-point-not-empty",
        "rm -f /srv/shop/till",
    ),
    unbound(
        "the mount point is a symbolic link",
        "systemctl stop srv-shop.mount; sed -i '\\#^STORE#d' /etc/fstab; chattr -i /srv/shop; rmdir /srv/shop; mkdir -p /other; \
         ln -s /other /srv/shop",
        "mount-point-not-empty",
        "rm -rf /srv/shop /other; mkdir /srv/shop",
    ),
    harmless("fstab is a symbolic link", "mv /etc/fstab /etc/fstab.real; ln -s fstab.real /etc/fstab"),
    Bad {
        name: "the app was stopped on purpose",
        spoil: "datastore stop shop",
        at_boot: ON_PURPOSE,
        at_start: ON_PURPOSE,
    },
];

const ON_PURPOSE: Then = Then::Refused { words: "stopped on purpose", mend: "true", bring: "datastore start shop" };

pub(super) const CONFIGURATIONS: &[Bad] = &[
    refused(
        "the configlet cannot be understood",
        "cp -a /etc/datastore.d/shop.conf /away; echo 'services = [' > /etc/datastore.d/shop.conf",
        "config-invalid",
        "mv /away /etc/datastore.d/shop.conf",
    ),
    refused(
        "the configlet is empty, as it is at first when it is written anew, and somebody has applied that",
        "cp -a /etc/datastore.d/shop.conf /away; : > /etc/datastore.d/shop.conf; datastore apply --yes || true",
        "declares no mapping",
        "mv /away /etc/datastore.d/shop.conf",
    ),
    refused(
        "everybody may write the configlet",
        "chmod 666 /etc/datastore.d/shop.conf",
        "config-unsafe",
        "chmod 644 /etc/datastore.d/shop.conf",
    ),
    refused(
        "the configlet belongs to somebody",
        "chown 1234 /etc/datastore.d/shop.conf",
        "config-unsafe",
        "chown 0 /etc/datastore.d/shop.conf",
    ),
    refused(
        "the configlet is a link",
        "mv /etc/datastore.d/shop.conf /away; ln -s /away /etc/datastore.d/shop.conf",
        "config-unsafe",
        "rm /etc/datastore.d/shop.conf; mv /away /etc/datastore.d/shop.conf",
    ),
    refused(
        "everybody may write where configlets are",
        "chmod 777 /etc/datastore.d",
        "config-unsafe",
        "chmod 755 /etc/datastore.d",
    ),
    refused(
        "datastore.conf cannot be understood",
        "cp -a /etc/datastore.conf /away; echo '[[' >> /etc/datastore.conf",
        "config-invalid",
        "mv /away /etc/datastore.conf",
    ),
    refused(
        "datastore.conf has gone",
        "mv /etc/datastore.conf /away",
        "there is no /etc/datastore.conf",
        "mv /away /etc/datastore.conf",
    ),
    refused(
        "the host has another name there",
        "cp -a /etc/datastore.conf /away; sed -i 's/^host.*/host = \"server2\"/' /etc/datastore.conf",
        "wrong-store",
        "mv /away /etc/datastore.conf",
    ),
    refused(
        "the app is to keep its data elsewhere",
        "printf '[mapping.\"/srv/shop\"]\\ntarget = \"%%{base}/elsewhere\"\\n' > /etc/datastore.d/shop.local.conf",
        "wrong-store",
        "rm /etc/datastore.d/shop.local.conf",
    ),
    refused(
        "its volume is not declared",
        "printf '[mapping.\"/srv/shop\"]\\nvolume = \"data9\"\\n' > /etc/datastore.d/shop.local.conf",
        "volume-missing",
        "rm /etc/datastore.d/shop.local.conf",
    ),
    refused(
        "it declares no mapping any more",
        "cp -a /etc/datastore.d/shop.conf /away; echo 'services = [\"shop\"]' > /etc/datastore.d/shop.conf",
        "it declares no mapping",
        "mv /away /etc/datastore.d/shop.conf",
    ),
];

pub(super) const ITSELF: &[Bad] = &[
    refused(
        "the command has gone",
        "mv /usr/sbin/datastore /away; mv /usr/local/bin/datastore /away.local",
        "no command",
        "mv /away /usr/sbin/datastore; mv /away.local /usr/local/bin/datastore",
    ),
    refused(
        "the command crashes",
        "mv /usr/sbin/datastore /away; printf '#!/bin/sh\\nkill -SEGV $$\\n' > /usr/sbin/datastore; chmod 755 /usr/sbin/datastore",
        "no command",
        "mv /away /usr/sbin/datastore",
    ),
    unbound(
        "a hook fails at a bind",
        // The configlet appears whole: one that is still empty names no hook, and the path unit would bind it so.
        "printf '#!/bin/sh\\nexit 1\\n' > /usr/local/sbin/hook; chmod 755 /usr/local/sbin/hook; \
         echo 'postmount = \"/usr/local/sbin/hook\"' > /etc/shop.new; mv /etc/shop.new /etc/datastore.d/shop.local.conf; \
         systemctl stop srv-shop.mount; sed -i '\\#^STORE#d' /etc/fstab; datastore apply --yes || true",
        "hook-failed",
        "rm /etc/datastore.d/shop.local.conf",
    ),
    harmless("the book of alarms is damaged", "echo nonsense > /var/lib/datastore/alarms.json"),
    harmless("what datastore keeps has gone", "rm -rf /var/lib/datastore"),
    harmless("its own service does not run", "systemctl mask --now datastore.service"),
    harmless(
        "an operation of it was cut off",
        "mkdir -p /var/lib/datastore/journal; echo nonsense > /var/lib/datastore/journal/20261128T000000000Z-00000000.journal",
    ),
];
