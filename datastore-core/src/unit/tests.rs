use super::*;
use crate::config::{GLOBALS, Input, Role};
use crate::resolve::{Incumbents, resolve};

const SHOP: &str = "services = [\"shop\", \"till.socket\"]\n\
                    [mapping.\"/srv/shop\"]\ntarget = \"%{base}/shop\"\n\
                    [mapping.\"/var/spool/a b\"]\ntarget = \"%{base}/shop-spool\"\n";
const FSTAB: &str = "\
LABEL=data0 /store/data0 ext4 defaults,nofail 0 2
OURS
/store/data0/live/server1/shop /srv/shop none bind,rw,nofail,x-systemd.requires-mounts-for=/store/data0,X-datastore=shop 0 0
/store/data0/live/server1/shop-spool /var/spool/a\\040b none bind,rw,nofail,x-systemd.requires-mounts-for=/store/data0,X-datastore=shop 0 0
END
";

fn wanted(configlets: &[(&str, &str)]) -> Wanted {
    let globals = "host = \"server1\"\n[volume.data0]\nsource = \"LABEL=data0\"\ntype = \"ext4\"\n";
    let mut inputs = vec![Input::read(GLOBALS, Role::Globals, "", globals)];
    for (app, text) in configlets {
        inputs.push(Input::read(format!("/etc/datastore.d/{app}.conf"), Role::Configlet, *app, *text));
    }
    resolve(inputs, &Incumbents::new())
}

/// `OURS` and `END` stand for the lines around ours.
fn fstab(text: &str) -> Fstab {
    let marker = |bytes: &'static [u8]| std::str::from_utf8(bytes).unwrap();
    Fstab::parse(text.replace("OURS", marker(crate::fstab::BEGIN)).replace("END", marker(crate::fstab::END)).as_bytes())
}

fn shown(files: &[UnitFile]) -> String {
    files.iter().map(|file| format!("== {}\n{}", file.path, file.text.replacen(HEAD, "", 1))).collect()
}

fn text<'a>(files: &'a [UnitFile], unit: &str) -> &'a str {
    let path = format!("{unit}.d/{DROP_IN}");
    &files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path} in {}", shown(files))).text
}

#[test]
fn a_service_asks_first_and_a_bind_looks_first() {
    let files = drop_ins(Some(&wanted(&[("shop", SHOP)])), &fstab(FSTAB), &Remembered::default());
    assert_eq!(
        shown(&files),
        "\
== datastore-guard@shop.service.d/50-datastore.conf
[Unit]
After=srv-shop.mount var-spool-a\\x20b.mount
== datastore-recover.service.d/50-datastore.conf
[Unit]
After=store-data0.mount
== shop.service.d/50-datastore.conf
[Unit]
Wants=datastore.service
Requires=datastore-guard@shop.service
After=datastore.service datastore-guard@shop.service
RequiresMountsFor=/srv/shop
AssertPathIsMountPoint=/srv/shop
RequiresMountsFor=\"/var/spool/a b\"
AssertPathIsMountPoint=/var/spool/a b

[Service]
ExecStartPre=+/usr/sbin/datastore guard --at-start shop
== srv-shop.mount.d/50-datastore.conf
[Unit]
After=datastore-recover.service
AssertPathIsMountPoint=/store/data0
AssertPathIsDirectory=/store/data0/live/server1/shop
== till.socket.d/50-datastore.conf
[Unit]
Wants=datastore.service
Requires=datastore-guard@shop.service
After=datastore.service datastore-guard@shop.service
RequiresMountsFor=/srv/shop
AssertPathIsMountPoint=/srv/shop
RequiresMountsFor=\"/var/spool/a b\"
AssertPathIsMountPoint=/var/spool/a b
== var-spool-a\\x20b.mount.d/50-datastore.conf
[Unit]
After=datastore-recover.service
AssertPathIsMountPoint=/store/data0
AssertPathIsDirectory=/store/data0/live/server1/shop-spool
"
    );
}

#[test]
fn what_was_stopped_on_purpose_is_not_mounted_by_a_start() {
    let stopped = fstab(&FSTAB.replace("bind,rw,nofail", "bind,rw,nofail,noauto"));
    let files = drop_ins(Some(&wanted(&[("shop", SHOP)])), &stopped, &Remembered::default());
    let service = text(&files, "shop.service");
    assert!(
        !service.contains("RequiresMountsFor") && service.contains("AssertPathIsMountPoint=/srv/shop"),
        "{service}"
    );
    // Nor what is not in fstab yet.
    let files = drop_ins(Some(&wanted(&[("shop", SHOP)])), &fstab(""), &Remembered::default());
    let service = text(&files, "shop.service");
    assert!(!service.contains("RequiresMountsFor") && service.contains("datastore guard --at-start shop"), "{service}");
}

#[test]
fn an_app_that_is_not_asked_for_concerns_no_service() {
    let text = format!("enabled = false\n{SHOP}");
    let files = drop_ins(Some(&wanted(&[("shop", &text)])), &fstab(""), &Remembered::default());
    assert_eq!(shown(&files), "");
}

#[test]
fn two_apps_of_one_service_are_asked_for_both() {
    let one = |at: &str| {
        format!("services = [\"httpd\", \"httpd.service\"]\n[mapping.\"/srv/{at}\"]\ntarget = \"%{{base}}/{at}\"\n")
    };
    let files = drop_ins(Some(&wanted(&[("a", &one("a")), ("b", &one("b"))])), &fstab(""), &Remembered::default());
    let service = text(&files, "httpd.service");
    assert!(service.contains("Requires=datastore-guard@a.service datastore-guard@b.service\n"), "{service}");
    assert_eq!(service.matches("ExecStartPre=").count(), 2, "{service}");
}

#[test]
fn whose_service_it_is() {
    let one = |at: &str| format!("services = [\"httpd\"]\n[mapping.\"/srv/{at}\"]\ntarget = \"%{{base}}/{at}\"\n");
    let off = format!("enabled = false\n{}", one("c"));
    let wanted = wanted(&[("a", &one("a")), ("b", &one("b")), ("c", &off), ("shop", SHOP)]);
    let of = |name: &str| {
        let apps = apps_of(Some(&wanted), &Remembered::default(), name);
        apps.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        (of("httpd"), of("httpd.service"), of("shop"), of("till")),
        ("a b".into(), "a b".into(), "shop".into(), String::new())
    );
    let known = Remembered::default().renewed(&wanted);
    assert_eq!(apps_of(None, &known, "httpd").len(), 2);
}

#[test]
fn what_cannot_be_understood_any_more_is_remembered() {
    let known = Remembered::default()
        .renewed(&wanted(&[("shop", SHOP), ("other", "[mapping.\"/srv/other\"]\ntarget = \"%{base}/other\"\n")]));
    assert_eq!(known.apps().count(), 1, "{known:?}");
    assert_eq!(Remembered::parse(&known.render()), Ok(known.clone()));
    let broken = wanted(&[("shop", "services = [\"shop\"")]);
    for wanted in [Some(&broken), None] {
        let files = drop_ins(wanted, &fstab(FSTAB), &known);
        let service = text(&files, "shop.service");
        assert!(
            service.contains("datastore guard --at-start shop") && text(&files, "srv-shop.mount").contains("Assert"),
            "{service}"
        );
        if wanted.is_none() {
            assert!(service.contains("RequiresMountsFor=/srv/shop"), "{service}");
        }
    }
    assert_eq!(known.renewed(&broken), known);
    // One that has gone is forgotten.
    assert_eq!(known.renewed(&wanted(&[])), Remembered::default());
    let newer = String::from_utf8(known.render()).unwrap().replace("\"version\": 1", "\"version\": 2");
    assert!(Remembered::parse(newer.as_bytes()).is_err_and(|why| why.contains("newer")));
    assert!(Remembered::parse(b"{").is_err());
}

#[test]
fn a_configlet_that_is_wrong_in_its_services_alone_frees_none_of_them() {
    let known = Remembered::default().renewed(&wanted(&[("shop", SHOP)]));
    // The second one is no string, so all that is read of the list is the first, if that.
    let broken = wanted(&[("shop", &SHOP.replace("\"shop\", \"till.socket\"", "\"shop.service\", 5"))]);
    assert!(broken.apps[0].problem.is_some());
    let files = drop_ins(Some(&broken), &fstab(FSTAB), &known);
    assert!(text(&files, "shop.service").contains("datastore guard --at-start shop"));
    assert!(text(&files, "till.socket").contains("Requires=datastore-guard@shop.service"));
    assert_eq!(services_of(Some(&broken), &known, &broken.apps[0].name).len(), 2);
    assert_eq!(known.renewed(&broken).apps().next().unwrap().1.len(), 2);
    // Mended, what it says now is what counts.
    let mended = wanted(&[("shop", &SHOP.replace(", \"till.socket\"", ""))]);
    assert_eq!(known.renewed(&mended).apps().next().unwrap().1, ["shop"]);
}

#[test]
fn a_configlet_that_is_half_written_frees_no_service() {
    let known = Remembered::default().renewed(&wanted(&[("shop", SHOP)]));
    for end in (0..=SHOP.len()).filter(|end| SHOP.is_char_boundary(*end)) {
        let half = wanted(&[("shop", &SHOP[..end])]);
        assert_eq!(known.renewed(&half), known, "{:?}", &SHOP[..end]);
        let files = drop_ins(Some(&half), &fstab(FSTAB), &known);
        assert!(text(&files, "shop.service").contains("datastore guard --at-start shop"), "{:?}", &SHOP[..end]);
    }
}

#[test]
fn a_volume_that_is_a_directory_is_no_mount_point() {
    let plain = fstab(&FSTAB.replace("LABEL=data0 /store/data0 ext4 defaults,nofail 0 2\n", ""));
    let mut wanted = wanted(&[("shop", SHOP)]);
    // Its line is gone, and it is no directory for that.
    let files = drop_ins(Some(&wanted), &plain, &Remembered::default());
    assert!(text(&files, "srv-shop.mount").contains("AssertPathIsMountPoint=/store/data0\n"));
    wanted.volumes[0].source = None;
    let files = drop_ins(Some(&wanted), &plain, &Remembered::default());
    let mount = text(&files, "srv-shop.mount");
    assert!(!mount.contains("AssertPathIsMountPoint") && mount.contains("AssertPathIsDirectory"), "{mount}");
}

#[test]
fn a_network_volume_is_waited_for() {
    let mut wanted = wanted(&[]);
    wanted.volumes[0].fstype = Some("nfs4".into());
    let files = drop_ins(Some(&wanted), &fstab(""), &Remembered::default());
    assert!(text(&files, "datastore.service").contains("After=remote-fs.target\n"));
}

#[test]
fn paths_are_written_as_systemd_reads_them() {
    let requires = |path: &'static str| name::requires(&AbsPath::literal(path));
    assert_eq!(requires("/srv/100%"), "RequiresMountsFor=/srv/100%%\n");
    assert_eq!(requires("/srv/it's"), "RequiresMountsFor=\"/srv/it's\"\n");
    assert_eq!(requires("/srv/6\" disk"), "RequiresMountsFor='/srv/6\" disk'\n");
    assert_eq!(requires("/a'\""), "Requires=a\\x27\\x22.mount\nAfter=a\\x27\\x22.mount\n");
    // A line that ends so goes on in the next one, or loses its end.
    for path in ["/srv/a\\", "/srv/a "] {
        assert_eq!(name::assert("AssertPathIsMountPoint", &AbsPath::literal(path)), "");
    }
    for (path, unit) in [("/", "-.mount"), ("/srv/a-b", "srv-a\\x2db.mount"), ("/.x/.y", "\\x2ex-.y.mount")] {
        assert_eq!(mount(&AbsPath::literal(path)).as_deref(), Some(unit));
    }
    let long = format!("/{}/{}", "x".repeat(200), "y".repeat(60));
    assert_eq!(mount(&AbsPath::parse(long).unwrap()), None);
    for (name, unit) in [("shop", "shop.service"), ("a@b.service", "a@b.service"), ("x.timer", "x.timer")] {
        assert_eq!(service(name), unit);
    }
}
