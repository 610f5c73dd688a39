//! The files of the tour's server: one configlet in each of the three languages, and an fstab with other people's lines.

/// What stands in /etc/fstab before datastore comes, and must stand there byte for byte afterwards.
pub(super) const FSTAB: &str = "\
# The server's own file systems. Ask Carol before touching this!
UUID=6a3f4c1e-0f3d-4a57-9d0a-0c4f6f0e7a11  /      ext4  errors=remount-ro  0 1
//scanner/in\\040box\t/mnt/scans\tcifs\tnoauto,credentials=/root/.scans 0 0
";

/// The native form.
pub(super) const HTTPD: (&str, &str) = (
    "etc/datastore.d/httpd.conf",
    r#"title = "Web server"

[mapping."/var/www/virtual"]
target      = "%{base}/www/virtual"
permissions = "0755"
owner       = "root"
group       = "root"

[mapping."/var/www/cgi-bin"]
target      = "%{base}/www/cgi-bin"
permissions = "2755"
"#,
);

/// The form of the original proposal.
pub(super) const MAIL: (&str, &str) = (
    "etc/datastore.d/cyrus-imapd.conf",
    r"<?php
// Mail spool.
$mapping['/var/spool/imap']['target'] = '%{base}/imap';
$mapping['/var/spool/imap']['permissions'] = '0700';
$mapping['/var/spool/imap']['owner'] = 'root';
$mapping['/var/spool/imap']['group'] = 'root';
",
);

/// A web root that is not to answer 404 when it is new.
pub(super) const WEB: (&str, &str) = (
    "etc/datastore.d/web.conf",
    r#"title = "Web root"

[mapping."/var/www/html"]
target    = "%{base}/www/html"
postmount = "/usr/lib/datastore/hooks/fill-web-root"
"#,
);

/// A program that will not have its data bound.
pub(super) const PICKY: (&str, &str) = (
    "etc/datastore.d/picky.conf",
    r#"[mapping."/var/lib/picky"]
target   = "%{base}/picky"
premount = "/usr/local/sbin/not-yet"
"#,
);

/// Its hook.
pub(super) const NOT_YET: (&str, &str) = (
    "usr/local/sbin/not-yet",
    "#!/bin/sh\necho \"$DATASTORE_APP: the licence for $DATASTORE_MOUNT_POINT has run out\"\nexit 1\n",
);

/// ClearOS's globals.
pub(super) const CLEAROS: (&str, &str) = (
    "etc/clearos/storage.conf",
    r"<?php

$config['enabled'] = TRUE;
$config['base'] = '/store/data0/live/server1';
",
);

/// A configlet as ClearOS ships them, with everything around the mapping that it carries.
pub(super) const HOME: (&str, &str) = (
    "etc/clearos/storage.d/home_default.conf",
    r"<?php

/**
 * Home directories.
 *
 * @category   apps
 * @package    users
 */

$bootstrap = getenv('CLEAROS_BOOTSTRAP') ? getenv('CLEAROS_BOOTSTRAP') : '/usr/clearos/framework/shared';
require_once $bootstrap . '/bootstrap.php';

clearos_load_language('users');

$info['name'] = lang('users_home_directories');

$storage['/home']['base'] = $base;
$storage['/home']['directory'] = 'home';
$storage['/home']['permissions'] = '0755';
$storage['/home']['owner'] = 'root';
$storage['/home']['group'] = 'root';

// vim: ts=4 syntax=php
",
);

/// Every mount point of the tour.
pub(super) const MOUNT_POINTS: [&str; 4] = ["/home", "/var/spool/imap", "/var/www/cgi-bin", "/var/www/virtual"];
