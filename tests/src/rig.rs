//! A small Debian that is booted with systemd, or entered without it, for one test.
//!
//! The system is made once, into `target/rig` (`cargo clean` removes it), by mmdebstrap from the packages of Debian's mirror. Each test
//! has an overlay on it, so that nothing it does is seen by another, and a boot takes less than a second.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::mount::{MountFlags, UnmountFlags};

use crate::command::Run;
use crate::sandbox::{fresh_directory, plain_command};
use crate::{binary, image, repository};

/// What is in the system beside what Debian calls essential.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,udev,procps,sysvinit-utils,mariadb-server";
/// To be changed with what the system is made of, so that one made before is not taken for it.
const VERSION: &str = "bookworm-1";
/// Where programs of this build are put.
const BIN: &str = "usr/local/bin";
/// The last loop device that a disk may be on.
const LOOPS: u32 = 255;
/// Longer takes no boot, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A small system.
#[derive(Debug)]
pub struct Rig {
    home: PathBuf,
    booted: Option<Booted>,
}

#[derive(Debug)]
struct Booted {
    nspawn: Child,
    /// Its first process, seen from here.
    first: i32,
    groups: Vec<PathBuf>,
}

impl Booted {
    /// Its first process takes all others along.
    fn kill(&mut self) {
        match rustix::process::Pid::from_raw(self.first).filter(|_| self.first > 1) {
            Some(first) => _ = rustix::process::kill_process(first, rustix::process::Signal::KILL),
            None => _ = self.nspawn.kill(),
        }
    }
}

impl Rig {
    /// A system in which nothing runs: what is executed in it ([`Rig::run`]) sees no systemd, so that init scripts are used.
    ///
    /// # Panics
    /// If it cannot be made. A test that cannot have its system must not pass.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "needs root: run `cargo xtask test` as root");
        let tree = tree();
        let home = fresh_directory("datastore-rig-");
        for dir in ["upper", "work", "root"] {
            fs::create_dir(home.join(dir)).expect("a directory of the rig");
        }
        let at = |dir: &str| home.join(dir).display().to_string();
        // Else a directory of the tree could not be renamed, which it can on any disk.
        let options =
            format!("lowerdir={},upperdir={},workdir={},redirect_dir=on", tree.display(), at("upper"), at("work"));
        let options = std::ffi::CString::new(options).expect("no NUL in a path");
        rustix::mount::mount("overlay", home.join("root"), "overlay", MountFlags::empty(), options.as_c_str())
            .unwrap_or_else(|e| panic!("mount an overlay on {}: {e}", home.display()));
        let rig = Self { home, booted: None };
        // Each boot has a /dev of its own, in which disks have no nodes; one that is made for a disk later on needs one as well.
        let nodes = format!(
            "/bin/sh -c 'for n in $$(seq 0 {LOOPS}); do [ -e /dev/loop$$n ] || mknod /dev/loop$$n b 7 $$n; done'"
        );
        let unit = format!(
            "[Unit]\nDefaultDependencies=no\nBefore=local-fs-pre.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={nodes}\n"
        );
        rig.write("/usr/lib/systemd/system/rig-disks.service", 0o644, &unit);
        let wants = rig.path("/usr/lib/systemd/system/local-fs-pre.target.wants");
        fs::create_dir_all(&wants).expect("make directories");
        symlink("../rig-disks.service", wants.join("rig-disks.service")).expect("enable the unit of the disks");
        for program in [binary::services(), binary::datastore()] {
            let name = program.file_name().expect("a program has a name").to_owned();
            fs::copy(&program, rig.path(BIN).join(name)).expect("copy a program into the rig");
        }
        rig
    }

    /// The same, booted: returns when systemd says that it is up.
    ///
    /// # Panics
    /// As [`Rig::new`], and if it does not come up.
    #[must_use]
    #[track_caller]
    pub fn booted(prepare: impl FnOnce(&Self)) -> Self {
        let mut rig = Self::new();
        prepare(&rig);
        rig.boot();
        rig
    }

    /// Installs datastore as a package does: the command, the init script, the generator, and the units, which are enabled.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn install(&self) {
        let copy = |from: &Path, to: &str| {
            let to = self.path(to);
            fs::create_dir_all(to.parent().expect("a file has a directory")).expect("make directories");
            fs::copy(from, &to).unwrap_or_else(|e| panic!("copy {} to {}: {e}", from.display(), to.display()));
        };
        copy(&binary::datastore(), "/usr/sbin/datastore");
        copy(&repository("packaging/sysv/datastore"), "/etc/init.d/datastore");
        copy(&repository("packaging/sysv/50-datastore"), "/usr/lib/lsb/init-functions.d/50-datastore");
        copy(&binary::generator(), "/usr/lib/systemd/system-generators/datastore-generator");
        let units = repository("packaging/systemd");
        for unit in fs::read_dir(&units).expect("the units").map(|entry| entry.expect("a unit").file_name()) {
            let name = unit.to_str().expect("a name of a unit");
            copy(&units.join(name), &format!("/usr/lib/systemd/system/{name}"));
            let text = fs::read_to_string(units.join(name)).expect("a unit");
            for target in text.lines().filter_map(|line| line.strip_prefix("WantedBy=")) {
                let wants = self.path(format!("/etc/systemd/system/{target}.wants"));
                fs::create_dir_all(&wants).expect("make directories");
                let _ = symlink(format!("/usr/lib/systemd/system/{name}"), wants.join(name));
            }
        }
    }

    /// Boots it once more, as `systemctl reboot` does.
    ///
    /// # Panics
    /// If it does not come up again.
    #[track_caller]
    pub fn reboot(&mut self) {
        self.run(&["systemctl", "reboot"]);
        let booted = self.booted.as_mut().expect("a system that runs");
        let ended = booted.nspawn.wait().expect("wait for systemd-nspawn");
        // What systemd-nspawn says of a system that asks for it.
        assert_eq!(ended.code(), Some(133), "it did not ask for a reboot");
        self.ended();
        self.boot();
    }

    /// Boots it once more after all of its processes have been killed at once.
    ///
    /// # Panics
    /// If it does not come up again.
    #[track_caller]
    pub fn crash(&mut self) {
        let booted = self.booted.as_mut().expect("a system that runs");
        booted.kill();
        let _ = booted.nspawn.wait();
        self.ended();
        self.boot();
    }

    fn ended(&mut self) {
        if let Some(booted) = self.booted.take() {
            booted.groups.iter().for_each(|group| remove_group(group));
        }
    }

    /// A path of the system, as the machine sees it.
    #[must_use]
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.home.join("root").join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Writes a file into the system, with this mode.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn write(&self, path: &str, mode: u32, text: &str) {
        let full = self.path(path);
        fs::create_dir_all(full.parent().expect("a file has a directory")).expect("make directories");
        fs::write(&full, text).unwrap_or_else(|e| panic!("write {}: {e}", full.display()));
        fs::set_permissions(&full, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("mode");
    }

    /// A disk for the system: a sparse image with a file system, `/NAME.img` in it.
    ///
    /// # Panics
    /// If mkfs refuses.
    #[track_caller]
    pub fn disk(&self, name: &str, bytes: u64, fs_type: &str) {
        image::make(&self.path(format!("{name}.img")), bytes, Some((fs_type, name)));
    }

    /// Runs a program in the system to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, words: &[S]) -> Run {
        // A failure shows the directory in which units are made, not the whole system.
        Run::new(&mut self.command(words), &self.path("/etc/systemd/system"))
    }

    /// The same, not yet started.
    ///
    /// # Panics
    /// If there are no words.
    #[must_use]
    pub fn command<S: AsRef<OsStr>>(&self, words: &[S]) -> Command {
        let mut command = match &self.booted {
            Some(booted) => {
                let mut command = plain_command("nsenter");
                command.args(["-t", &booted.first.to_string(), "-m", "-u", "-i", "-n", "-p", "-C", "--"]);
                command
            }
            None => {
                // Its own first process makes it a machine of its own: what is left running ends with it.
                let mut command = plain_command("unshare");
                command.args(["-m", "-p", "-u", "-i", "-n", "--fork", "--kill-child", "--mount-proc", "-R"]);
                command.arg(self.path("/"));
                command
            }
        };
        command.args(words);
        command
    }

    #[track_caller]
    fn boot(&mut self) {
        let name = self.home.file_name().expect("a directory has a name").to_string_lossy().into_owned();
        let name = name.to_lowercase().replace("datastore-rig-", "rig");
        let console = fs::File::create(self.home.join("console")).expect("a file for the console");
        // Where the machine has cgroups of version 1, systemd wants a place in its own hierarchy, and in the unified one.
        let groups: Vec<PathBuf> = ["systemd", "unified"]
            .iter()
            .map(|h| Path::new("/sys/fs/cgroup").join(h))
            .filter(|h| h.is_dir())
            .map(|h| h.join(&name))
            .collect();
        let mut script = String::from("set -e; ");
        for group in &groups {
            fs::create_dir(group).unwrap_or_else(|e| panic!("make the cgroup {}: {e}", group.display()));
            script.push_str(&format!("echo $$ >{}/cgroup.procs; ", group.display()));
        }
        script.push_str("exec systemd-nspawn \"$@\"");
        let mut command = plain_command("sh");
        command.args([
            "-c",
            &script,
            "sh",
            "-q",
            "-b",
            "--register=no",
            "--keep-unit",
            "--private-network",
            "--console=pipe",
        ]);
        command.arg(format!("--machine={name}")).arg("-D").arg(self.path("/"));
        command.arg("--bind=/dev/loop-control");
        command.stdin(Stdio::null()).stdout(console.try_clone().expect("a second descriptor")).stderr(console);
        let nspawn = command.spawn().unwrap_or_else(|e| panic!("systemd-nspawn (package systemd-container): {e}"));
        self.booted = Some(Booted { nspawn, first: 0, groups });
        let begun = Instant::now();
        loop {
            self.look_for_first();
            let booted = self.booted.as_mut().expect("just booted");
            let ended = booted.nspawn.try_wait().expect("wait for systemd-nspawn");
            let up = ended.is_none() && booted.first != 0 && {
                let state = self.command(&["systemctl", "is-system-running", "--wait"]).output().expect("run nsenter");
                matches!(state.stdout.as_slice(), b"running\n" | b"degraded\n")
            };
            if up {
                return;
            }
            assert!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "the small system did not come up: {}",
                fs::read_to_string(self.home.join("console")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The first process of the system is the only child of systemd-nspawn.
    fn look_for_first(&mut self) {
        let booted = self.booted.as_mut().expect("booted");
        let pid = booted.nspawn.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        booted.first = children.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
    }
}

impl Default for Rig {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(booted) = &mut self.booted {
            // Nothing in it is worth a shutdown.
            booted.kill();
            let _ = booted.nspawn.wait();
            self.ended();
        }
        let _ = rustix::mount::unmount(self.path("/"), UnmountFlags::DETACH);
        // Only what is not mounted any more, so that nothing but the overlay's own files goes.
        let left = crate::mounts::below(&crate::mounts::all(), &self.home);
        if left.is_empty() {
            let _ = fs::remove_dir_all(&self.home);
        }
    }
}

fn remove_group(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}

/// The system that all rigs lie on; made if it is not there.
#[track_caller]
fn tree() -> PathBuf {
    let target = binary::profile_dir().parent().expect("a profile lies in the build directory").join("rig");
    fs::create_dir_all(&target).expect("a directory for the rig");
    let tree = target.join(VERSION);
    let lock = fs::File::create(target.join("lock")).expect("a lock for the rig");
    flock(&lock, FlockOperation::LockExclusive).expect("lock the rig");
    if tree.is_dir() {
        return tree;
    }
    let half = target.join("half");
    if half.exists() {
        fs::remove_dir_all(&half).expect("remove a half-made system");
    }
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=minbase", &format!("--include={PACKAGES}"), "bookworm"]).arg(&half);
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("mmdebstrap: {e}; `cargo xtask setup` installs it"));
    assert!(output.status.success(), "mmdebstrap: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    fs::rename(&half, &tree).expect("name the system");
    tree
}
