mod machine;

use super::*;
use crate::goal::{Goal, VolumeSource};
use crate::plan::Plan;
use crate::step::Action;
use crate::verify;
use machine::*;

#[test]
fn a_plain_directory() {
    let machine = Machine::here();
    let plan = machine.plan();
    let first: Vec<String> = plan.steps.iter().take(3).map(|s| s.action.to_string()).collect();
    assert_eq!(first[0], "make directory /store (0755 0:0)");
    assert_eq!(first[1], "make directory /store/data0 (0700 0:0)");
    assert_eq!(first[2], "make store directory /store/data0/live (0700 0:0)");
    let rest = ["write-file", "flush", "make-dir", "write-file"];
    assert_eq!(kinds(&plan)[8..], rest);
    let volume = declared(&machine.converges());
    assert_eq!((volume.source, volume.fstype, volume.options), (None, None, None));
    assert_eq!(volume.id, Some(seed().derive(b"volume")));
}

#[test]
fn a_directory_that_carries_an_identity_keeps_it() {
    let mut machine = Machine::here();
    machine.site.place = dir(3, false);
    machine.site.file = identity(4);
    for (_, place) in &mut machine.site.layout {
        *place = dir(5, false);
    }
    assert_eq!(machine.steps(), ["make-dir", "write-file"], "only what is in /etc");
    assert_eq!(declared(&machine.converges()).id, Some(id(4)));
}

#[test]
fn what_is_in_the_way_of_the_place() {
    for (place, kind, words) in [
        (
            Place::Other { at: path("/store"), what: "a symbolic link".into() },
            ErrorKind::Refused,
            "/store is a symbolic link",
        ),
        (Place::Hidden, ErrorKind::Privilege, "may not be looked at"),
        (Place::Failed("EIO".into()), ErrorKind::System, "EIO"),
    ] {
        let mut machine = Machine::here();
        machine.site.place = place.clone();
        machine.refused(kind, words);
        let mut machine = Machine::here();
        machine.site.place = dir(3, false);
        machine.site.layout[2].1 = place.clone();
        machine.refused(kind, words);
        let mut machine = Machine::here();
        machine.site.configlets = place.clone();
        machine.refused(kind, words);
        let mut machine = Machine::directory();
        machine.site.directory = Some((place, FileFacts::Absent));
        machine.refused(kind, words);
    }
}

#[test]
fn an_identity_that_cannot_be_read() {
    let mut machine = Machine::here();
    machine.site.file = FileFacts::Hidden;
    machine.refused(ErrorKind::Privilege, "cannot be read without privilege");
    machine.site.file = FileFacts::Damaged("line 1".into());
    machine.refused(ErrorKind::Refused, "is damaged: line 1");
}

#[test]
fn what_is_mounted_already_gets_its_line() {
    let mut machine = Machine::device(None).mounted(DISK);
    machine.request.source = VolumeSource::Here;
    machine.dev().signature = Some(filesystem(None));
    machine.systemd = true;
    let next = machine.converges();
    assert!(machine.steps().ends_with(&["fstab".into(), "reload-systemd".into()]));
    assert!(next.fstab.contains("UUID=0a-0b /store/data0 ext4 defaults,nofail,x-systemd.device-timeout=30s 0 2\n"));
    assert_eq!(declared(&next).source.as_deref(), Some("UUID=0a-0b"));

    machine.dev().signature = None;
    assert!(machine.converges().fstab.contains("/dev/sdb1 /store/data0 ext4 "));

    let image = Machine { request: machine.request.clone(), ..machine.image() };
    let mut image = Machine { request: VolumeRequest { source: VolumeSource::Here, ..image.request.clone() }, ..image };
    assert!(image.converges().fstab.contains("/srv/disk.img /store/data0 ext4 loop,nofail,"));
    image.dev().path = None;
    image.refused(ErrorKind::Refused, "shows an image that lies elsewhere");

    let network = Machine::here().mounted("9 1 0:50 / /store/data0 rw - nfs4 server:/export rw");
    assert!(network.converges().fstab.contains("server:/export /store/data0 nfs4 defaults,nofail,_netdev 0 0\n"));
}

#[test]
fn a_mounted_directory_of_a_device_is_not_the_device() {
    let machine = Machine::here().mounted("9 1 254:0 /srv/big /store/data0 rw - ext4 /dev/vda rw");
    machine.refused(ErrorKind::Refused, "is the directory /srv/big of /dev/vda");
    let btrfs = |root: &str, options: &str| {
        let line = format!("9 1 0:40 {root} /store/data0 rw - btrfs /dev/sdb1 rw,{options}");
        Machine::here().mounted(&line)
    };
    let next = btrfs("/@data", "space_cache,subvol=/@data").converges();
    assert!(next.fstab.contains("/dev/sdb1 /store/data0 btrfs subvol=/@data,nofail,"), "{}", next.fstab);
    btrfs("/@data/x", "subvol=/@data").refused(ErrorKind::Refused, "is the directory /@data/x");
}

#[test]
fn memory_is_remarked_upon() {
    let machine = Machine::here().mounted("9 1 0:50 / /store/data0 rw - tmpfs tmpfs rw");
    assert!(machine.plan().remarks[0].detail.contains("gone after a reboot"));
}

#[test]
fn a_hand_made_line_is_taken_over() {
    let mut machine = Machine::here().mounted(DISK);
    machine.fstab = "LABEL=x /store/data0 ext4 noatime,noauto 0 2\n".into();
    let plan = machine.plan();
    assert!(plan.remarks.iter().any(|r| r.detail.contains("noauto")), "{:?}", plan.remarks);
    let next = machine.converges();
    assert_eq!(next.fstab.matches("/store/data0 ext4").count(), 1, "{}", next.fstab);
    let volume = declared(&next);
    assert_eq!(volume.source.as_deref(), Some("LABEL=x"));
    assert_eq!(volume.options.as_deref(), Some("noatime,noauto"));
    // The declaration was lost with the root disk: the line still knows.
    let mut again = next;
    again.config = Some(HOST.into());
    let volume = declared(&again.converges());
    assert!(volume.options.unwrap().starts_with("noatime,noauto"));

    let mut bind = Machine::here().mounted("9 1 254:0 /srv/big /store/data0 rw - ext4 /dev/vda rw");
    bind.fstab = "/srv/big /store/data0 none bind 0 0\n".into();
    assert_eq!(declared(&bind.converges()).fstype.as_deref(), Some("none"));
}

#[test]
fn lines_that_do_not_fit_are_refused() {
    let mut machine = Machine::here();
    machine.fstab = "LABEL=x /store/data0 ext4 defaults 0 2\n".into();
    machine.refused(ErrorKind::Refused, "/etc/fstab mounts LABEL=x on /store/data0, but it is not mounted");
    let mut machine = Machine::here().mounted(DISK);
    machine.fstab = "LABEL=x /store/data0 ext4 a 0 2\nLABEL=y /store/data0 ext4 a 0 2\n".into();
    machine.refused(ErrorKind::Refused, "has 2 lines");

    for mut machine in [Machine::directory(), Machine::device(Some("ext4")), Machine::disk(Some("other"))] {
        machine.fstab = "/dev/sdz /store/data0 ext4 defaults 0 2\n".into();
        machine.refused(ErrorKind::Refused, "/etc/fstab mounts /dev/sdz on /store/data0 (line 1)");
        machine.fstab = machine.fstab.repeat(2);
        machine.refused(ErrorKind::Refused, "has 2 lines");
    }
    for spec in ["LABEL=other", "UUID=0a-0b", "/dev/sdb1"] {
        let mut machine = Machine::disk(Some("other"));
        machine.fstab = format!("{spec} /store/data0 ext4 defaults 0 2\n");
        let next = machine.converges();
        assert_eq!(next.fstab.matches("/store/data0").count(), 1, "taken over, not doubled");
    }
}

#[test]
fn a_directory_elsewhere_is_bound() {
    let machine = Machine::directory();
    assert_eq!(machine.steps()[..3], ["make-dir", "make-dir", "mount"]);
    let next = machine.converges();
    assert!(next.fstab.contains("/srv/big /store/data0 none bind,rw,nofail 0 0\n"), "{}", next.fstab);
    let mut with = Machine::directory();
    with.request.options = Some("nodev,x-mine".into());
    let mount = with.plan().steps.into_iter().find(|s| s.action.kind() == "mount").unwrap().action;
    let Action::Mount { options, source, .. } = mount else { panic!() };
    assert_eq!((source.as_str(), options.as_str()), ("/srv/big", "bind,nodev"));
    // A run that stopped after the mount is carried on: nothing is mounted twice.
    let half = Machine { config: Some(HOST.into()), fstab: String::new(), ..next };
    assert_eq!(half.steps(), ["write-file", "fstab"]);
}

#[test]
fn directories_that_are_refused() {
    for at in ["/store/x", "/", "/store/data0/x"] {
        let mut machine = Machine::directory();
        machine.request.source = VolumeSource::Directory(path(at));
        machine.refused(ErrorKind::Refused, "lies where volumes are mounted");
    }
    let mut machine = Machine::directory();
    machine.site.directory = Some((absent("/srv"), FileFacts::Absent));
    machine.refused(ErrorKind::Refused, "/srv/big does not exist");
    let mut machine = Machine::directory();
    machine.request.format = Some("ext4".into());
    machine.refused(ErrorKind::Usage, "--format needs --device, not --directory");
    let mut machine = Machine::here();
    machine.request.format = Some("ext4".into());
    machine.refused(ErrorKind::Usage, "--format needs --device");
    // The place itself, named as a directory, is the place.
    let mut machine = Machine::directory();
    machine.request.source = VolumeSource::Directory(path("/store/data0"));
    assert!(!machine.steps().contains(&"mount".to_owned()));
}

#[test]
fn a_place_that_is_not_free() {
    let machines = || [Machine::directory(), Machine::device(Some("ext4")), Machine::disk(None)];
    for machine in machines() {
        machine
            .mounted("9 1 8:33 / /store/data0 rw - ext4 /dev/sdc rw")
            .refused(ErrorKind::Refused, "/dev/sdc is mounted at /store/data0 already");
    }
    for mut machine in machines() {
        machine.site.place = dir(3, false);
        machine.refused(ErrorKind::Refused, "is not empty; a file system mounted there would hide");
        machine.site.place = dir(3, true);
        assert!(machine.steps().contains(&"mount".to_owned()));
    }
}

#[test]
fn a_new_file_system() {
    for format in ["ext4", "xfs", "btrfs"] {
        let machine = Machine::device(Some(format));
        let plan = machine.plan();
        let Action::MakeFilesystem { device, fstype, label, force, .. } = &plan.steps[0].action else { panic!() };
        assert_eq!((device.to_str(), fstype.as_str(), label.as_str()), (Some("/dev/sdb1"), format, "data0"));
        assert!(!force);
        let dirs = plan.steps.iter().filter_map(|s| match &s.action {
            Action::MakeDir { path, shared, .. } if path.is_below(&machine.site.path) => Some(*shared),
            _ => None,
        });
        assert_eq!(dirs.collect::<Vec<_>>(), [false; 6], "nobody else has put them there");
        let next = machine.converges();
        assert!(next.fstab.starts_with("# ") && next.fstab.contains(&format!("LABEL=data0 /store/data0 {format} ")));
        let image = machine.image();
        let next = image.converges();
        let line = format!("/srv/disk.img /store/data0 {format} loop,nofail");
        assert!(next.fstab.contains(&line), "{}", next.fstab);
    }
    let mut image = Machine::device(Some("ext4")).image();
    image.request.options = Some("noatime".into());
    assert_eq!(declared(&image.converges()).options.as_deref(), Some("loop,noatime"));
}

#[test]
fn a_new_file_system_that_is_refused() {
    for (format, size) in [("ext4", 8_u64 << 20), ("xfs", 300 << 20), ("btrfs", 114 << 20)] {
        let mut machine = Machine::device(Some(format));
        machine.dev().size = size - 1;
        machine.refused(ErrorKind::Refused, "MiB at least");
        machine.dev().size = size;
        assert!(!machine.plan().is_empty());
    }
    Machine::device(Some("vfat")).refused(ErrorKind::Usage, "`vfat` is no file system that datastore makes");
    for (format, longest) in [("ext4", 16), ("xfs", 12)] {
        let mut machine = Machine::device(Some(format));
        machine.request.name = name(&"n".repeat(longest));
        assert!(!machine.plan().is_empty());
        machine.request.name = name(&"n".repeat(longest + 1));
        machine.refused(ErrorKind::Refused, "labels hold");
    }
    Machine::device(None).refused(ErrorKind::Refused, "holds no file system");
    let mut machine = Machine::device(Some("ext4"));
    machine.site.device = None;
    machine.refused(ErrorKind::Refused, "does not exist");
}

#[test]
fn nothing_is_overwritten_without_force() {
    let mut machine = Machine::disk(Some("old"));
    machine.request.format = Some("xfs".into());
    machine.refused(ErrorKind::Refused, "is not empty: it holds ext4, label old");
    machine.request.force = true;
    let Action::MakeFilesystem { force: true, .. } = &machine.plan().steps[0].action else { panic!() };
    machine.converges();
    machine.dev().mounted_at = vec![path("/mnt")];
    machine.refused(ErrorKind::Refused, "is mounted at /mnt");
    machine.dev().mounted_at = vec![];
    machine.dev().in_use = Some("it is attached to /dev/loop3".into());
    machine.refused(ErrorKind::Refused, "is in use: it is attached to /dev/loop3");
    let mut here = Machine::disk(None).mounted(DISK);
    here.request.format = Some("ext4".into());
    here.request.force = true;
    here.dev().mounted_at = vec![path("/store/data0")];
    here.refused(ErrorKind::Refused, "is mounted at /store/data0");

    let mut swap = Machine::disk(None);
    swap.dev().signature = Some(Signature { kind: "swap".into(), ..Signature::default() });
    swap.refused(ErrorKind::Refused, "holds swap, which is no file system");
    swap.request.format = Some("ext4".into());
    swap.refused(ErrorKind::Refused, "is not empty: it holds swap");
    // Force that nothing needs would hide what came there since.
    let mut empty = Machine::device(Some("ext4"));
    empty.request.force = true;
    let Action::MakeFilesystem { force: false, .. } = &empty.plan().steps[0].action else { panic!() };
}

#[test]
fn an_unfinished_file_system_is_made_again_without_force_and_never_taken() {
    let mut machine = Machine::disk(None);
    machine.dev().signature.as_mut().unwrap().is_unfinished = true;
    machine.refused(ErrorKind::Refused, "holds an unfinished ext4 file system: its making was interrupted");
    machine.request.format = Some("xfs".into());
    let Action::MakeFilesystem { force: true, .. } = &machine.plan().steps[0].action else { panic!() };
}

#[test]
fn a_disk_with_a_file_system_is_taken_as_it_is() {
    for (label, source) in [(Some("data0"), "LABEL=data0"), (Some("other"), "UUID=0a-0b"), (None, "UUID=0a-0b")] {
        let mut machine = Machine::disk(label);
        assert!(!machine.steps().contains(&"make-filesystem".to_owned()));
        assert_eq!(declared(&machine.converges()).source.as_deref(), Some(source));
        machine.dev().file = identity(6);
        assert_eq!(declared(&machine.converges()).id, Some(id(6)), "the one that it carries");
        let kinds = machine.steps();
        assert_eq!(kinds.iter().filter(|k| *k == "write-file").count(), 1, "its own file stays: {kinds:?}");
    }
    let mut plain = Machine::disk(None);
    plain.dev().signature.as_mut().unwrap().uuid = None;
    assert_eq!(declared(&plain.converges()).source.as_deref(), Some("/dev/sdb1"));
}

#[test]
fn a_disk_that_cannot_be_seen_into() {
    let mut machine = Machine::disk(None);
    machine.dev().file = FileFacts::Hidden;
    // Before anything of it is touched its own identity would be in the way.
    let kinds = machine.steps();
    let written = kinds.iter().position(|kind| kind == "write-file").expect("the identity");
    let mounted = kinds.iter().position(|kind| kind == "mount").expect("a mount");
    assert_eq!(kinds[mounted..=written], ["mount", "make-dir", "write-file"], "{kinds:?}");
    assert!(kinds[written..].iter().filter(|kind| *kind == "make-dir").count() >= 4, "{kinds:?}");
    machine.converges();
    machine.privileged = false;
    machine.refused(ErrorKind::Privilege, "cannot be read without privilege");
    machine.dev().file = FileFacts::Damaged("x".into());
    machine.refused(ErrorKind::Refused, "is damaged: x");
}

#[test]
fn binds_of_a_volume_do_not_stop_a_second_run() {
    let mut next = Machine::device(Some("ext4")).converges();
    next.dev().mounted_at.insert(0, path("/home"));
    assert!(next.steps().is_empty());
    next.request.options = Some("noatime".into());
    assert_eq!(next.steps(), ["write-file", "fstab"]);
    let mut changed = next.converges();
    changed.request.options = None;
    assert!(changed.steps().is_empty(), "options that were given once stay");
}

#[test]
fn another_disk_under_a_name_that_is_taken() {
    let mut next = Machine::disk(None).converges();
    next.mounts = ROOT_LINE.into();
    next.site.place = dir(3, true);
    next.site.file = FileFacts::Absent;
    next.dev().mounted_at.clear();
    next.dev().file = identity(42);
    next.refused(ErrorKind::Refused, "is declared already, with the identity");
    next.dev().file = FileFacts::Absent;
    let other = Machine { request: next.request.clone(), ..next };
    // The same seed would derive the same identity, as no second run does.
    let error = other.view(|view, site| add(&other.goal(), view, site, id(5))).unwrap_err();
    assert!(error.message().contains("is declared already"), "{error}");
}

#[test]
fn a_copy_of_another_volume() {
    let mut machine = Machine::disk(None);
    machine.config = Some(format!("{HOST}[volume.data7]\nid = \"{}\"\n", id(6)));
    machine.dev().file = identity(6);
    machine.refused(ErrorKind::Refused, "carries the identity of volume `data7` (/store/data7)");
}

#[test]
fn places_that_are_not_for_volumes() {
    let at = |text: &str| {
        let mut machine = Machine::here();
        machine.site.path = path(text);
        machine.request.at = Some(path(text));
        machine.site.layout = vec![];
        machine
    };
    for closed in ["/", "/etc", "/etc/x", "/usr/share/x", "/var", "/var/lib/datastore/x", "/store", "/dev/x", "/proc"] {
        at(closed).refused(ErrorKind::Refused, "a volume cannot be at");
    }
    let volume = format!("{HOST}[volume.data7]\npath = \"/srv/seven\"\n");
    for taken in ["/srv/seven", "/srv/seven/x", "/srv"] {
        assert!(!at(taken).plan().is_empty());
        let machine = Machine { config: Some(volume.clone()), ..at(taken) };
        machine.refused(ErrorKind::Refused, "volume `data7` is at /srv/seven");
    }
    let app = "[app.home]\nenabled = true\n[app.home.mapping.\"/home\"]\ntarget = \"%{base}/home\"\n\
               permissions = \"0755\"\nowner = \"root\"\ngroup = \"root\"\n";
    for taken in ["/home", "/home/x"] {
        let machine = Machine { config: Some(format!("{HOST}{app}")), ..at(taken) };
        machine.refused(ErrorKind::Refused, "the mount point of `home`");
    }
    let next = at("/srv/new").plan();
    let config = next.steps.iter().find_map(|s| match &s.action {
        Action::WriteFile { path, to, .. } if *path == AbsPath::literal(CONFIG) => to.clone(),
        _ => None,
    });
    assert!(config.unwrap().contains("path = \"/srv/new\""));
}

#[test]
fn options_that_are_no_options() {
    for bad in ["-o x", "a b", "a,,b", "", "a\nb", "noatime,"] {
        let mut machine = Machine::here();
        machine.request.options = Some(bad.into());
        machine.refused(ErrorKind::Usage, "is no list of mount options");
    }
    let mut machine = Machine::disk(None);
    machine.request.options = Some("noatime,nofail,x-systemd.automount,_netdev,comment=x".into());
    let mount = machine.plan().steps.into_iter().find(|s| s.action.kind() == "mount").unwrap().action;
    let Action::Mount { options, .. } = mount else { panic!() };
    assert_eq!(options, "noatime", "the others are fstab's");
}

#[test]
fn init_writes_the_host_and_the_whole_default_configuration() {
    let init = |machine: &Machine, host: &str| Goal::Init {
        host: HostName::parse(host).unwrap(),
        volume: machine.request.clone(),
    };
    let mut machine = Machine::here();
    machine.config = None;
    let plan = machine.plan_of(&init(&machine, "server1")).unwrap();
    let next = machine.after(&plan);
    assert_eq!(next.wanted().host.unwrap().as_str(), "server1");
    assert!(next.config.as_ref().unwrap().contains("[app.mysqld]"), "the default mappings are there");
    assert!(next.plan_of(&init(&next, "server1")).unwrap().is_empty());
    let error = next.plan_of(&init(&next, "server2")).unwrap_err();
    assert!(error.message().contains("as `server1` already"), "{error}");
    machine.refused(ErrorKind::Refused, "has no data store yet");
    let error = machine.plan_of(&Goal::VolumeRemove { name: name("data0") }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);

    let mut other = Machine::here();
    other.config = None;
    other.request.name = name("big");
    let plan = other.plan_of(&init(&other, "server1")).unwrap();
    assert!(plan.remarks[0].hint.contains("default_volume = \"big\""), "{:?}", plan.remarks);
}

#[test]
fn removed_and_taken_back() {
    let added = Machine::device(Some("ext4")).converges();
    let plan = removal(&added).unwrap();
    assert_eq!(kinds(&plan), ["unmount", "fstab", "write-file"]);
    assert!(plan.remarks[0].hint.contains("datastore volume add data0"), "{:?}", plan.remarks);
    let Action::WriteFile { from, to, .. } = &plan.steps[2].action else { panic!() };
    assert_eq!((from, to.as_deref()), (&added.config, Some(HOST)));

    let bound = Machine::directory().converges();
    assert!(removal(&bound).unwrap().remarks[0].hint.ends_with("--directory /srv/big"));
    let plain = Machine::here().converges();
    assert_eq!(kinds(&removal(&plain).unwrap()), ["write-file"]);
    let image = Machine::device(Some("ext4")).image().converges();
    assert!(removal(&image).unwrap().remarks[0].hint.ends_with("--device /srv/disk.img"));
    let mut off = Machine::device(Some("ext4")).converges();
    off.mounts = ROOT_LINE.into();
    off.systemd = true;
    assert_eq!(kinds(&removal(&off).unwrap()), ["fstab", "reload-systemd", "write-file"]);
}

fn removal(machine: &Machine) -> Result<Plan> {
    machine.view(|view, site| {
        let plan = remove(&name("data0"), view, site.config.as_deref(), seed())?;
        verify::check(plan.clone(), view.wanted, view.observed).expect("the checker has no objection");
        Ok(plan)
    })
}

#[test]
fn removals_that_are_refused() {
    let refused = |machine: &Machine, kind, words: &str, hint: &str| {
        let error = removal(machine).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(words), "{error}");
        assert!(error.get_hint().unwrap().contains(hint), "{error:?}");
    };
    refused(&Machine::here(), ErrorKind::Usage, "no volume is called `data0`", "there is none");
    let mut near = Machine::here();
    near.config = Some(format!("{HOST}[volume.data1]\nid = \"{}\"\n", id(1)));
    refused(&near, ErrorKind::Usage, "no volume is called `data0`", "`data1`");
    near.config = Some(format!("{HOST}[volume.backup]\nid = \"{}\"\n", id(1)));
    refused(&near, ErrorKind::Usage, "no volume is called `data0`", "volumes: backup");

    let added = Machine::device(Some("ext4")).converges();
    let app = "[app.home]\nenabled = true\n[app.home.mapping.\"/home\"]\ntarget = \"%{base}/home\"\n\
               permissions = \"0755\"\nowner = \"root\"\ngroup = \"root\"\n";
    let config = added.config.clone().unwrap();
    let used = Machine {
        config: Some(format!("{config}{app}")),
        mounts: added.mounts.clone(),
        fstab: added.fstab.clone(),
        site: added.site.clone(),
        request: added.request.clone(),
        ..added
    };
    refused(&used, ErrorKind::Refused, "holds the data of home", "datastore disable home");

    let with = |line: &str| {
        let next = Machine::device(Some("ext4")).converges();
        Machine { mounts: format!("{}{line}\n", next.mounts), ..next }
    };
    let bound = with("20 1 8:17 /live/server1/home /home rw - ext4 /dev/sdb1 rw");
    refused(
        &bound,
        ErrorKind::Refused,
        "/store/data0/live/server1/home of volume `data0` is still bound on /home",
        "umount /home",
    );
    let inner = with("20 9 8:33 / /store/data0/backup rw - ext4 /dev/sdc rw");
    refused(&inner, ErrorKind::Refused, "something is mounted at /store/data0/backup", "umount /store/data0/backup");
}
