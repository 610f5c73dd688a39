//! Labels of SELinux. The kernel here has none, and keeps `security.selinux` all the same, as it keeps any attribute of root's; what says that
//! SELinux is on is a file of the test's. So it is tried what is read, written and run, and not what a policy makes of it.

use std::path::Path;

use datastore_tests::{Rig, Run, Sandbox};

const SHOP: &str = "[mapping.\"/srv/shop\"]\ntarget = \"%{base}/shop\"\n";
const STORE: &str = "/store/data0/live/server1/shop";
const LABEL: &str = "system_u:object_r:httpd_sys_content_t:s0";

/// A machine with a volume of its own, on which SELinux seems to be on.
fn machine() -> Sandbox {
    let sandbox = Sandbox::on_fresh_disk(64 << 20);
    sandbox.loop_image("data0.img", 32 << 20, None);
    let image = sandbox.path("data0.img").display().to_string();
    let words = ["init", "--host", "server1", "--device", &image, "--format", "ext4", "--yes"];
    sandbox.datastore(&words).ok();
    sandbox.write("/sys/fs/selinux/enforce", "1");
    sandbox.directory("/srv", 0o755);
    sandbox
}

/// Labels a file, as the kernel keeps it: with a NUL at its end.
fn label(sandbox: &Sandbox, path: &str, label: &str) {
    let value = format!("{label}\0");
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(sandbox.path(path), "security.selinux", value.as_bytes(), flags).expect("set a label");
}

fn label_of(path: &Path) -> Option<String> {
    let mut buffer = [0; 256];
    let length = rustix::fs::lgetxattr(path, "security.selinux", &mut buffer[..]).ok()?;
    Some(String::from_utf8(buffer[..length].to_vec()).expect("a text"))
}

fn has(sandbox: &Sandbox, path: &str, label: &str) {
    assert_eq!(label_of(&sandbox.path(path)).as_deref(), Some(&*format!("{label}\0")), "{path}");
}

#[test]
fn a_new_store_gets_the_label_of_its_mount_point_before_it_is_bound() {
    let sandbox = machine();
    sandbox.directory("/srv/shop", 0o755);
    label(&sandbox, "/srv/shop", LABEL);
    sandbox.configlet("shop", SHOP);
    let plan = sandbox.datastore(&["plan", "--json"]).ok().json();
    let kinds: Vec<&str> = plan["steps"].as_array().unwrap().iter().map(|s| s["kind"].as_str().unwrap()).collect();
    let at = |kind: &str| kinds.iter().position(|k| *k == kind).unwrap_or_else(|| panic!("no {kind} in {kinds:?}"));
    assert!(at("make-dir") < at("set-label") && at("set-label") < at("bind"), "{kinds:?}");
    sandbox.datastore(&["plan"]).ok().says(&format!("give {STORE} the SELinux label of /srv/shop"));
    sandbox.datastore(&["apply", "--yes"]).ok();
    has(&sandbox, STORE, LABEL);
    has(&sandbox, "/srv/shop", LABEL);
    // What somebody changes later is theirs.
    let other = "system_u:object_r:samba_share_t:s0";
    label(&sandbox, STORE, other);
    for args in [&["restart", "shop"][..], &["apply", "--yes"], &["stop", "shop"], &["start", "shop"]] {
        sandbox.datastore(args).ok();
        has(&sandbox, STORE, other);
    }
}

#[test]
fn a_store_that_a_damaged_manifest_may_know_keeps_its_label() {
    let sandbox = machine();
    sandbox.directory("/srv/shop", 0o755);
    label(&sandbox, "/srv/shop", LABEL);
    sandbox.configlet("shop", SHOP);
    sandbox.datastore(&["apply", "--yes"]).ok();
    sandbox.datastore(&["stop", "shop"]).ok();
    sandbox.write("/store/data0/live/server1/.datastore/manifest.toml", "nonsense");
    let other = "system_u:object_r:samba_share_t:s0";
    label(&sandbox, STORE, other);
    sandbox.datastore(&["start", "shop"]);
    has(&sandbox, STORE, other);
}

#[test]
fn where_it_is_off_no_label_is_read_or_written() {
    let sandbox = machine();
    std::fs::remove_file(sandbox.path("/sys/fs/selinux/enforce")).unwrap();
    sandbox.directory("/srv/shop", 0o755);
    label(&sandbox, "/srv/shop", LABEL);
    sandbox.configlet("shop", SHOP);
    let said = sandbox.datastore(&["plan"]).ok().stdout;
    assert!(!said.contains("SELinux"), "{said}");
    sandbox.datastore(&["apply", "--yes"]).ok();
    assert_eq!(label_of(&sandbox.path(STORE)), None);
}

#[test]
fn a_mount_point_without_a_label_gives_none() {
    let sandbox = machine();
    sandbox.configlet("shop", SHOP);
    sandbox.datastore(&["apply", "--yes"]).ok();
    assert_eq!(label_of(&sandbox.path(STORE)), None);
    sandbox.is("/srv/shop", "active");
}

#[test]
fn a_store_that_was_there_loses_its_label_to_nobody_if_its_bind_fails() {
    let sandbox = machine();
    sandbox.directory(STORE, 0o755);
    let own = "system_u:object_r:mysqld_db_t:s0";
    label(&sandbox, STORE, own);
    sandbox.directory("/srv/shop", 0o755);
    label(&sandbox, "/srv/shop", LABEL);
    sandbox.configlet("shop", SHOP);
    let calls = [if cfg!(target_arch = "x86_64") { "165" } else { "40" }, "open_tree", "move_mount"];
    sandbox.datastore_without(&calls, &["apply", "--yes"]).code(1);
    has(&sandbox, STORE, own);
    sandbox.datastore(&["apply", "--yes"]).ok();
    has(&sandbox, STORE, LABEL);
}

#[test]
fn what_is_imported_and_moved_keeps_its_labels() {
    let sandbox = machine();
    sandbox.write("/srv/shop/file", "data");
    let inner = "system_u:object_r:httpd_sys_rw_content_t:s0";
    label(&sandbox, "/srv/shop", LABEL);
    label(&sandbox, "/srv/shop/file", inner);
    sandbox.configlet("shop", SHOP);
    sandbox.datastore(&["import", "shop", "--yes"]).ok();
    sandbox.is("/srv/shop", "active");
    has(&sandbox, STORE, LABEL);
    has(&sandbox, &format!("{STORE}/file"), inner);
    sandbox.directory("/srv/disk", 0o755);
    sandbox.datastore(&["volume", "add", "data1", "--directory", "/srv/disk", "--yes"]).ok();
    sandbox.datastore(&["move", "shop", "--to", "data1", "--yes"]).ok();
    has(&sandbox, "/store/data1/live/server1/shop", LABEL);
    has(&sandbox, "/srv/shop/file", inner);
}

/// The tool, which writes down what it is told, in a machine of its own.
const SEMANAGE: &str = "#!/bin/sh\necho \"$*\" >> /root/told\n[ ! -e /root/refuse ] || { echo 'ValueError: the store is read-only' >&2; exit 1; }\n\
                        [ \"$1 $2 $3\" = 'fcontext -a -e' ] || exit 2\n\
                        echo \"$5 $4\" >> /etc/selinux/strict/contexts/files/file_contexts.subs\n";

/// Runs a story in it, whose mounts end with it.
fn story(rig: &Rig, story: &str) -> Run {
    // Mounted as selinuxfs is: beside what is there.
    let begin = "mount -t tmpfs sys /sys; mkdir -p /sys/fs/selinux; echo 1 > /sys/fs/selinux/enforce
        mkdir /srv/disk; mount -t tmpfs disk /srv/disk
        datastore init --host server1 --directory /srv/disk --yes > /dev/null";
    rig.run(&["sh", "-ec", &format!("exec 2>&1; {begin}\n{story}")])
}

fn with_semanage() -> Rig {
    let rig = Rig::new();
    rig.write("/usr/sbin/semanage", 0o755, SEMANAGE);
    rig.write("/etc/selinux/config", 0o644, "SELINUX=enforcing\nSELINUXTYPE=strict\n");
    rig.write("/etc/selinux/strict/contexts/files/file_contexts.subs", 0o644, "/run /var/run\n");
    rig.write("/etc/datastore.d/shop.conf", 0o644, SHOP);
    rig.write("/etc/datastore.d/till.conf", 0o644, &SHOP.replace("shop", "till"));
    rig
}

#[test]
fn the_policy_is_told_once_of_each_store() {
    let rig = with_semanage();
    let said =
        story(&rig, "datastore apply --yes; datastore apply --yes; datastore restart shop; cat /root/told").ok().stdout;
    let told: Vec<&str> = said.lines().filter(|line| line.starts_with("fcontext")).collect();
    let of = |app: &str| format!("fcontext -a -e /srv/{app} /store/data0/live/server1/{app}");
    assert_eq!(told, [of("shop"), of("till")], "{said}");
}

/// It forgets what it is told by others while it works, as the real one does.
const SLOW_SEMANAGE: &str = "#!/bin/sh\nsubs=/etc/selinux/strict/contexts/files/file_contexts.subs\nknown=$(cat $subs)\nsleep 0.5\n\
                             printf '%s\\n%s %s\\n' \"$known\" \"$5\" \"$4\" > $subs\n";

#[test]
fn two_that_tell_the_policy_at_once_are_both_heard() {
    let rig = with_semanage();
    rig.write("/usr/sbin/semanage", 0o755, SLOW_SEMANAGE);
    let line = "datastore apply shop --yes & datastore apply till --yes & wait
        cat /etc/selinux/strict/contexts/files/file_contexts.subs";
    let said = story(&rig, line).ok().stdout;
    for app in ["shop", "till"] {
        assert!(said.contains(&format!("/store/data0/live/server1/{app} /srv/{app}\n")), "{said}");
    }
}

#[test]
fn a_store_that_moves_is_told_of_before_it_is_used() {
    let rig = with_semanage();
    let line = "datastore apply --yes; mkdir /srv/other; mount -t tmpfs other /srv/other
        datastore volume add data1 --directory /srv/other --yes; datastore move shop --to data1 --yes; cat /root/told";
    let said = story(&rig, line).ok().stdout;
    assert!(said.trim_end().ends_with("fcontext -a -e /srv/shop /store/data1/live/server1/shop"), "{said}");
}

/// It knows one path, and says of others what the tool says of them.
const MATCHPATHCON: &str = "#!/bin/sh\n[ \"$1 $2 $3\" = '-n -m dir' ] || exit 2\n\
                            [ \"$4\" = /srv/shop ] && echo system_u:object_r:shop_t:s0 || echo '<<none>>'\n";

#[test]
fn a_mount_point_that_is_made_has_the_label_that_the_policy_has_for_it() {
    let rig = with_semanage();
    rig.write("/usr/sbin/matchpathcon", 0o755, MATCHPATHCON);
    let line = "datastore plan; datastore apply --yes; stat -c '%n %C' /store/data0/live/server1/* || true";
    let said = story(&rig, line).ok().stdout;
    let told = "give /store/data0/live/server1/shop the SELinux label that the policy has for /srv/shop";
    assert!(said.contains(told) && said.contains("live/server1/shop system_u:object_r:shop_t:s0\n"), "{said}");
    assert!(said.contains("context of '/store/data0/live/server1/till'"), "{said}");
    // One that is there may have been labelled by somebody who knows better.
    let rig = with_semanage();
    rig.write("/usr/sbin/matchpathcon", 0o755, MATCHPATHCON);
    let said = story(
        &rig,
        "mkdir /srv/shop; datastore plan; datastore apply --yes; stat -c '%n %C' /store/data0/live/server1/* || true",
    );
    let said = said.ok().stdout;
    assert!(
        said.contains("the SELinux label of /srv/shop") && said.contains("context of '/store/data0/live/server1/shop'"),
        "{said}"
    );
}

#[test]
fn a_policy_that_cannot_be_told_keeps_nobody_from_its_data() {
    let rig = with_semanage();
    let said = story(&rig, "touch /root/refuse; datastore apply --yes; datastore status").ok().stdout;
    assert!(
        said.contains(
            "SELinux's policy could not be told that /store/data0/live/server1/shop is labelled like /srv/shop"
        ),
        "{said}"
    );
    assert!(said.contains("the store is read-only") && said.contains("semanage fcontext -a -e /srv/shop"), "{said}");
    assert!(said.contains("active    shop") && said.contains("active    till"), "{said}");
}
