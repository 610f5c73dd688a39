//! What a fresh root holds: as much of a server as datastore looks at.

/// Directories of a fresh root, parents first, with their modes.
pub const DIRECTORIES: &[(&str, u32)] = &[
    ("etc", 0o755),
    ("etc/datastore.d", 0o755),
    ("home", 0o755),
    ("mnt", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("store", 0o755),
    ("usr", 0o755),
    ("usr/share", 0o755),
    ("var", 0o755),
    ("var/flexshare", 0o755),
    ("var/lib", 0o755),
    ("var/spool", 0o755),
    ("var/www", 0o755),
];

/// Somebody else's fstab: comments, odd spacing, an escape, and no newline of ours to rely on.
pub const FSTAB: &str = "\
# /etc/fstab: static file system information.
#
UUID=6a3f4c1e-0f3d-4a57-9d0a-0c4f6f0e7a11 /               ext4    errors=remount-ro 0       1
LABEL=BOOT\t/boot\text2\tdefaults\t0 2

# the old scanner share
//scanner/in\\040box /mnt/scans cifs noauto,credentials=/root/.scans 0 0
tmpfs /tmp tmpfs defaults,size=2g 0 0
";

/// The accounts that the default mappings name.
pub const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
mysql:x:27:27:MySQL Server:/var/lib/mysql:/usr/sbin/nologin
apache:x:48:48:Apache:/usr/share/httpd:/usr/sbin/nologin
cyrus:x:76:12:Cyrus IMAP Server:/var/lib/imap:/usr/sbin/nologin
winadmin:x:400:400:Windows Administrator:/home/winadmin:/usr/sbin/nologin
alice:x:1000:1000:Alice:/home/alice:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
";

/// Their groups, and those that only a mapping names.
pub const GROUP: &str = "\
root:x:0:
mail:x:12:
mysql:x:27:
mailman:x:41:
apache:x:48:
winadmin:x:400:
domain_users:x:63000:alice
alice:x:1000:
nogroup:x:65534:
";

/// Files of a fresh root.
pub const FILES: &[(&str, &str)] = &[
    ("etc/fstab", FSTAB),
    ("etc/passwd", PASSWD),
    ("etc/group", GROUP),
    ("etc/nsswitch.conf", "passwd: files\ngroup: files\n"),
    ("etc/hostname", "server1\n"),
];
