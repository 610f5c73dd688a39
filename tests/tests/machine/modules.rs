//! The security modules of the kernel: a policy is satisfied with data that lies in the store.

use datastore_tests::Machine;

use super::{MIB, declare, is_up, system};

/// What the policy has denied us since the last boot, as far as it was told of.
const DENIED: &str = "journalctl -b -o cat | grep -E 'avc: +denied' | grep -E 'comm=\"(datastore|mount|systemd-fstab)'";

#[test]
#[ignore = "takes minutes: `cargo xtask prove`"]
fn selinux() {
    let rig = system(&["shop"]);
    rig.run(&["setfiles", "-F", "/etc/selinux/default/contexts/files/file_contexts", "/"]).ok();
    let mut machine = Machine::boot(rig, "security=selinux selinux=1");
    for disk in ["data0", "data1"] {
        machine.add_disk(disk, 128 * MIB);
    }
    machine.run("semodule -i /usr/share/selinux/packages/datastore.cil").ok();
    machine.run("datastore init --host server1 --device /dev/disk/by-label/data0 --yes").ok();
    machine.run("datastore volume add data1 --device /dev/disk/by-label/data1 --yes").ok();
    declare(&mut machine, "shop", "data0");
    machine.run("echo the page > /var/www/html/index.html && datastore import httpd --yes").ok();
    machine.run("echo a script > /var/www/cgi-bin/script").ok();
    // From here on the policy counts, from the first process on.
    machine.run("sed -i s/^SELINUX=.*/SELINUX=enforcing/ /etc/selinux/config").ok();
    machine.reboot();
    assert_eq!(machine.run("getenforce").ok().text, "Enforcing");
    is_up(&mut machine, "shop");
    let label = |machine: &mut Machine, path: &str| {
        let text = machine.run(&format!("stat -c %C {path}")).ok().text;
        text.split(':').nth(2).expect("a type").to_owned()
    };
    let store = "/store/data0/live/server1";
    // What was brought in has what it had, and what we made has what the policy has for its mount point.
    assert_eq!(label(&mut machine, &format!("{store}/www-default/index.html")), "httpd_sys_content_t");
    assert_eq!(label(&mut machine, &format!("{store}/www-cgi-bin")), "httpd_sys_script_exec_t");
    assert_eq!(label(&mut machine, "/var/www/cgi-bin/script"), "httpd_sys_script_exec_t");
    // A relabelling of the machine changes nothing of it.
    let changed = machine.run(&format!("restorecon -Rnv {store}/* /var/www /srv")).ok().text;
    let told = "semanage fcontext -l -C; datastore log; journalctl -o short-precise -t datastore --no-pager";
    assert!(!changed.contains("www-") && !changed.contains("shop"), "{changed}\n{}", machine.run(told).text);
    machine.run("systemctl restart nginx").ok();
    let page = |machine: &mut Machine| {
        let look = "systemctl status --no-pager nginx; findmnt; ls -lZ /var/www/html; journalctl -b -o cat | grep avc";
        machine.run(&format!("curl -sS localhost || {{ {look}; }}")).text
    };
    assert_eq!(page(&mut machine), "the page");
    // That it is the policy that lets it: with the label of something else it does not.
    machine.run(&format!("chcon -t shadow_t {store}/www-default/index.html")).ok();
    assert!(page(&mut machine).contains("403"));
    machine.run("restorecon /var/www/html/index.html").ok();
    assert_eq!(page(&mut machine), "the page");
    // Moved while it is served.
    machine.run("datastore move httpd --to data1 --yes").ok();
    assert_eq!(page(&mut machine), "the page");
    let told = machine.run("semanage fcontext -l -C").ok().text;
    assert!(told.contains("/store/data1/live/server1/www-default = /var/www/html"), "{told}");
    // What is known of services is known to the generator.
    machine.run("echo 'services = [' > /etc/datastore.d/shop.conf; systemctl daemon-reload").ok();
    let restarted = machine.run("systemctl stop shop; systemctl start shop; systemctl is-active shop");
    assert_eq!(restarted.code, 3, "{restarted:?}");
    machine.wait_until("datastore alarm list | grep -q shop");
    assert_eq!(machine.run("systemctl is-active datastore-watch").ok().text, "active");
    assert_eq!(machine.run(DENIED).text, "");
}

/// A program that may read and write below /srv/shop, and nowhere else.
const PROFILE: &str = "#include <tunables/global>\nprofile shop {\n  #include <abstractions/base>\n  /{,usr/}bin/* rix,\n  /srv/shop/ rw,\n\
                       \x20 /srv/shop/** rw,\n}\n";

#[test]
#[ignore = "takes minutes: `cargo xtask prove`"]
fn apparmor() {
    let rig = system(&["shop"]);
    rig.write("/etc/apparmor.d/shop", 0o644, PROFILE);
    rig.write("/etc/systemd/system/shop.service.d/profile.conf", 0o644, "[Service]\nAppArmorProfile=shop\n");
    let mut machine = Machine::boot(rig, "security=apparmor");
    machine.add_disk("data0", 128 * MIB);
    machine.run("datastore init --host server1 --device /dev/disk/by-label/data0 --yes").ok();
    declare(&mut machine, "shop", "data0");
    machine.reboot();
    is_up(&mut machine, "shop");
    assert_eq!(machine.run("grep -c run /srv/shop/trace").ok().text, "2");
    let confined = "cat /proc/$(systemctl show -p MainPID --value shop)/attr/current";
    assert_eq!(machine.run(confined).ok().text, "shop (enforce)");
    // It is the profile that lets it: where it knows the data by, and nowhere else.
    let as_shop = |path: &str| format!("aa-exec -p shop -- cat {path}");
    assert_eq!(machine.run(&as_shop("/srv/shop/till")).ok().text, "42");
    let denied = machine.run(&as_shop("/store/data0/live/server1/shop/till"));
    assert!(denied.code != 0 && denied.text.contains("Permission denied"), "{denied:?}");
}
