//! The scenes of the tour, in their order. Each is real commands and the promises that they must keep.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::Volume;
use super::configlets::{CLEAROS, FSTAB, HOME, HTTPD, MAIL, MOUNT_POINTS, NOT_YET, PICKY, WEB};
use super::stage::Stage;
use crate::failure::{Doing as _, Result};

/// Where the pager writes.
const PAGED: &str = "/var/log/paged";

/// Bytes of the disk images; they are sparse.
const DISK: u64 = 64 << 20;

/// Plays all scenes.
pub(super) fn play(stage: &mut Stage) -> Result {
    println!("R={}", stage.root().display());
    server(stage)?;
    volume(stage)?;
    plan(stage)?;
    apply(stage)?;
    program(stage)?;
    stop(stage)?;
    start(stage)?;
    wrong_disk(stage)?;
    alarm(stage)?;
    right_disk(stage)?;
    again(stage)?;
    hook(stage)?;
    hook_that_fails(stage)
}

fn server(stage: &mut Stage) -> Result {
    stage.scene("A server with three configlets, one in each language");
    for dir in ["etc", "home", "run", "store", "var/lib", "var/log", "var/spool", "var/www"] {
        let path = stage.path(dir);
        fs::create_dir_all(&path).doing(format_args!("make {}", path.display()))?;
    }
    stage.file(("etc/fstab", FSTAB))?;
    for file in [HTTPD, MAIL, CLEAROS, HOME] {
        stage.file(file)?;
    }
    pager(stage)
}

/// A program that somebody would be paged by.
fn pager(stage: &Stage) -> Result {
    let said = stage.path(PAGED).display().to_string();
    let script = format!("#!/bin/sh\necho \"$DATASTORE_ALARM: $DATASTORE_SUBJECT\" >> {said}\n");
    program_file(stage, ("usr/local/sbin/page-me", &script))
}

/// Writes a program of the server.
fn program_file(stage: &Stage, file: (&str, &str)) -> Result {
    stage.file(file)?;
    let path = stage.path(file.0);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).doing(format_args!("chmod {}", path.display()))
}

fn volume(stage: &mut Stage) -> Result {
    stage.scene(match stage.volume() {
        Volume::Image => "A disk becomes the volume data0",
        Volume::Directory => "A directory becomes the volume data0",
    });
    let root = stage.root().to_path_buf();
    let outcome = prepare(stage, &root)?;
    stage.promise(outcome, "the volume is ready");
    let conf = stage.path("/etc/datastore.conf").display().to_string();
    stage.shell(&format!("printf '\\n[alarm]\\ncommand = [\"/usr/local/sbin/page-me\"]\\n' >> {conf}"))?;
    stage.promise(stage.path("/store/data0/live").is_dir(), "/store/data0/live is there");
    Ok(())
}

/// Gives a root its volume data0; the disk of an image is always `$R/disk.img`.
fn prepare(stage: &Stage, root: &std::path::Path) -> Result<bool> {
    let outcome = match stage.volume() {
        Volume::Image => {
            let disk = root.join("disk.img");
            let file = fs::File::create_new(&disk).doing(format_args!("make {}", disk.display()))?;
            file.set_len(DISK).doing(format_args!("make {} {DISK} bytes long", disk.display()))?;
            let disk = disk.display().to_string();
            stage.datastore_at(root, &["volume", "add", "data0", "--device", &disk, "--format", "ext4", "--yes"])?
        }
        Volume::Directory => stage.datastore_at(root, &["init", "--host", "demo", "--yes"])?,
    };
    Ok(outcome.ok())
}

fn plan(stage: &mut Stage) -> Result {
    stage.scene("The plan: what apply would do, and nothing is done yet");
    let fstab = stage.path("/etc/fstab");
    let before = fs::read(&fstab).doing("read the server's fstab")?;
    let outcome = stage.datastore(&["plan"])?;
    for mount_point in MOUNT_POINTS {
        stage.promise(outcome.text.contains(mount_point), &format!("the plan names {mount_point}"));
    }
    let untouched = fs::read(&fstab).doing("read the server's fstab")? == before;
    stage.promise(untouched && !is_mounted(stage, "/home")?, "fstab and the mount table are untouched");
    Ok(())
}

fn apply(stage: &mut Stage) -> Result {
    stage.scene("Apply, and the kernel's view");
    let outcome = stage.datastore(&["apply", "--yes"])?;
    stage.promise(outcome.ok(), "apply is done");
    stage.datastore(&["status"])?;
    all_active(stage)?;
    for mount_point in MOUNT_POINTS {
        let mounted = is_mounted(stage, mount_point)?;
        stage.promise(mounted, &format!("{mount_point} is a mount point (the kernel's mount table)"));
    }
    let line = format!("cat {}", stage.path("/etc/fstab").display());
    let fstab = stage.shell(&line)?;
    stage.promise(fstab.text.contains(FSTAB), "the other lines of fstab are there byte for byte");
    stage.promise(fstab.text.contains("X-datastore=httpd"), "our lines are beside them");
    let outcome = stage.datastore(&["guard", "httpd"])?;
    stage.promise(outcome.ok(), "the guard lets httpd start");
    Ok(())
}

fn program(stage: &mut Stage) -> Result {
    stage.scene("A program writes and reads where it always did; the bytes are in the store");
    let page = stage.path("/var/www/virtual/index.html").display().to_string();
    let outcome = stage.program(&format!("echo hello > {page} && cat {page}"))?;
    stage.promise(outcome.ok() && outcome.text == "hello\n", "written and read through the mount point");
    let line = format!("find {} -name index.html", stage.path("/store/data0/live").display());
    let found = stage.shell(&line)?;
    stage.promise(found.text.trim_end().ends_with("/www/virtual/index.html"), "the file is in the store");
    Ok(())
}

fn stop(stage: &mut Stage) -> Result {
    stage.scene("Stop: the same write is now refused by the seal, not lost on the root disk");
    let outcome = stage.datastore(&["httpd", "stop"])?;
    stage.promise(outcome.ok(), "httpd is stopped");
    stage.promise_state("/var/www/virtual", "inactive")?;
    stage.promise_state("/home", "active")?;
    let page = stage.path("/var/www/virtual/index.html").display().to_string();
    let outcome = stage.program(&format!("echo hello > {page}"))?;
    stage.promise(outcome.refused(), "the write is refused");
    let outcome = stage.datastore(&["guard", "httpd"])?;
    stage.promise(outcome.refused(), "the guard refuses to let httpd start");
    Ok(())
}

fn start(stage: &mut Stage) -> Result {
    stage.scene("Start: the old data is there again");
    let outcome = stage.datastore(&["start", "httpd"])?;
    stage.promise(outcome.ok(), "httpd is started");
    let page = stage.path("/var/www/virtual/index.html").display().to_string();
    let outcome = stage.program(&format!("cat {page}"))?;
    stage.promise(outcome.text == "hello\n", "the page is as it was");
    all_active(stage)
}

fn wrong_disk(stage: &mut Stage) -> Result {
    stage.scene("Another machine's disk with the same label: refused by identity");
    unmount_all(stage)?;
    let other = stage.beside("other-server");
    for dir in ["etc/datastore.d", "run", "store", "var/lib"] {
        let path = other.join(dir);
        fs::create_dir_all(&path).doing(format_args!("make {}", path.display()))?;
    }
    let aside = stage.beside("the-right-disk");
    let swapped = match stage.volume() {
        Volume::Image => {
            let disk = stage.path("disk.img");
            fs::rename(&disk, &aside).doing("put the right disk aside")?;
            prepare(stage, &other)?;
            stage.shell(&format!("umount {}", other.join("store/data0").display()))?;
            fs::rename(other.join("disk.img"), &disk).doing("put the other machine's disk in its place")?;
            stage.shell(&format!("blkid -p -s LABEL {} {}", aside.display(), disk.display()))?;
            stage.shell(&format!("mount -o loop {} {}", disk.display(), stage.path("/store/data0").display()))?.ok()
        }
        Volume::Directory => {
            let volume = stage.path("/store/data0");
            fs::rename(&volume, &aside).doing("put the right volume aside")?;
            prepare(stage, &other)?;
            fs::rename(other.join("store/data0"), &volume).is_ok()
        }
    };
    stage.promise(swapped, "the wrong disk stands at /store/data0");
    stage.datastore(&["status"])?;
    let rows = stage.rows()?;
    let httpd: Vec<_> = rows.iter().filter(|row| row["app"] == "httpd").collect();
    let refused =
        httpd.len() == 2 && httpd.iter().all(|row| row["state"] == "refused" && row["reason"] == "wrong-volume");
    stage.promise(refused, "status: both mappings of httpd are refused, reason wrong-volume");
    let outcome = stage.datastore(&["start", "httpd"])?;
    stage.promise(outcome.refused(), "start refuses");
    stage.promise(!is_mounted(stage, "/var/www/virtual")?, "nothing is bound");
    let outcome = stage.datastore(&["guard", "httpd"])?;
    stage.promise(outcome.refused(), "the guard refuses to let httpd start on it");
    Ok(())
}

fn alarm(stage: &mut Stage) -> Result {
    stage.scene("The alarm came at once, and once");
    let said = stage.shell(&format!("cat {}", stage.path(PAGED).display()))?;
    let lines = said.text.lines().filter(|line| line.contains("`httpd`") && line.contains("wrong-volume")).count();
    stage
        .promise(lines == 2, "the pager was called once for each mapping of httpd, though start and guard both met it");
    let outcome = stage.datastore(&["alarm", "list"])?;
    stage.promise(outcome.text.contains("wrong-volume"), "the alarms are open");
    Ok(())
}

fn right_disk(stage: &mut Stage) -> Result {
    stage.scene("The right disk again: one command brings everything back");
    unmount_all(stage)?;
    let aside = stage.beside("the-right-disk");
    match stage.volume() {
        Volume::Image => {
            let disk = stage.path("disk.img");
            fs::rename(&aside, &disk).doing("put the right disk back")?;
            stage.shell(&format!("mount -o loop {} {}", disk.display(), stage.path("/store/data0").display()))?;
        }
        Volume::Directory => {
            let volume = stage.path("/store/data0");
            fs::rename(&volume, stage.beside("the-wrong-disk")).doing("take the wrong volume away")?;
            fs::rename(&aside, &volume).doing("put the right volume back")?;
        }
    }
    let outcome = stage.datastore(&["apply", "--yes"])?;
    stage.promise(outcome.ok(), "apply is done");
    stage.datastore(&["status"])?;
    all_active(stage)?;
    let page = stage.path("/var/www/virtual/index.html").display().to_string();
    let outcome = stage.program(&format!("cat {page}"))?;
    stage.promise(outcome.text == "hello\n", "the page is as it was");
    let outcome = stage.datastore(&["alarm", "list"])?;
    stage.promise(outcome.text == "no alarm is open\n", "the alarms are over");
    Ok(())
}

fn again(stage: &mut Stage) -> Result {
    stage.scene("Apply again: already so");
    let mounts = || fs::read("/proc/self/mountinfo").doing("read the mount table");
    let before = mounts()?;
    let fstab = fs::read(stage.path("/etc/fstab")).doing("read the server's fstab")?;
    let outcome = stage.datastore(&["apply", "--yes"])?;
    stage.promise(outcome.ok(), "apply is done");
    let same = mounts()? == before && fs::read(stage.path("/etc/fstab")).doing("read the server's fstab")? == fstab;
    stage.promise(same, "the mount table and fstab are the same, byte for byte");
    Ok(())
}

fn hook(stage: &mut Stage) -> Result {
    stage.scene("A hook fills a web root that is new and empty");
    datastore_tests::programs::bind_into(stage.root()).doing("put a shell into the server's root")?;
    datastore_tests::programs::hooks_into(stage.root()).doing("put the hooks into the server's root")?;
    stage.file(WEB)?;
    let outcome = stage.datastore(&["apply", "web", "--yes"])?;
    stage.promise(outcome.ok(), "apply is done");
    stage.promise_state("/var/www/html", "active")?;
    let page = stage.path("/var/www/html/index.html").display().to_string();
    let outcome = stage.program(&format!("cat {page}"))?;
    stage.promise(outcome.text.contains("It works"), "the hook has put a page there");
    let said = stage.shell(&format!("tail -n +1 {}/*.log", stage.path("/var/lib/datastore/hooks").display()))?;
    stage.promise(said.text.contains("index.html"), "what the hook said is kept");
    stage.program(&format!("echo mine > {page}"))?;
    let outcome = stage.datastore(&["restart", "web"])?;
    let kept = stage.program(&format!("cat {page}"))?;
    stage.promise(outcome.ok() && kept.text == "mine\n", "it ran again, and left the store as it was");
    Ok(())
}

fn hook_that_fails(stage: &mut Stage) -> Result {
    stage.scene("A hook that fails: its app is not bound and must not start, and somebody is told");
    program_file(stage, NOT_YET)?;
    stage.file(PICKY)?;
    let outcome = stage.datastore(&["apply", "picky", "--yes"])?;
    stage.promise(outcome.code == Some(1) && outcome.text.contains("has run out"), "apply says what the hook said");
    stage.promise(!is_mounted(stage, "/var/lib/picky")?, "nothing is bound");
    let fstab = fs::read_to_string(stage.path("/etc/fstab")).doing("read the server's fstab")?;
    stage.promise(!fstab.contains("picky"), "fstab does not name it");
    let outcome = stage.datastore(&["guard", "picky"])?;
    stage.promise(outcome.refused(), "the guard refuses to let picky start");
    let outcome = stage.datastore(&["alarm", "list"])?;
    let one = outcome.text.matches("/var/lib/picky  ").count() == 1;
    stage.promise(one && outcome.text.contains("hook-failed"), "one alarm is open for it: hook-failed");
    stage.promise_state("/var/www/html", "active")
}

fn all_active(stage: &mut Stage) -> Result {
    for mount_point in MOUNT_POINTS {
        stage.promise_state(mount_point, "active")?;
    }
    Ok(())
}

/// Whether the kernel has a mount there. Not shown.
fn is_mounted(stage: &Stage, path: &str) -> Result<bool> {
    let full = stage.path(path);
    let table = datastore_tests::mounts::text("self");
    Ok(datastore_tests::mounts::parse(&table).iter().any(|mount| mount.mount_point == full))
}

/// Takes every mount of the server away, as a disk that vanishes does; newest first.
fn unmount_all(stage: &Stage) -> Result {
    let table = datastore_tests::mounts::parse(&datastore_tests::mounts::text("self"));
    for mount in datastore_tests::mounts::below(&table, stage.root()).iter().rev() {
        stage.shell(&format!("umount {}", mount.mount_point.display()))?;
    }
    Ok(())
}
