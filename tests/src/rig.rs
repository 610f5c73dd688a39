//! A small Debian that is booted with systemd or with SysV init, or entered without either, for one test.
//!
//! The system is made once, into `target/rig` (`cargo clean` removes it), by mmdebstrap from the packages of Debian's mirror. Each test
//! has an overlay on it, so that nothing it does is seen by another, and a boot takes less than a second.

mod init;
mod tree;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, UnmountFlags};

use crate::command::Run;
use crate::sandbox::{fresh_directory, plain_command};
use crate::{binary, image, repository};

pub use init::Init;

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
    init: Init,
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
        Self::with(Init::Systemd)
    }

    /// The same with this first process.
    ///
    /// # Panics
    /// As [`Rig::new`].
    #[must_use]
    #[track_caller]
    pub fn with(init: Init) -> Self {
        assert!(rustix::process::geteuid().is_root(), "needs root: run `cargo xtask test` as root");
        let tree = tree::of(init);
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
        let rig = Self { home, init, booted: None };
        init.prepare(&rig, LOOPS);
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

    /// Boots one that was made by [`Rig::with`].
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    #[track_caller]
    pub fn up(mut self) -> Self {
        self.boot();
        self
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
        if self.init == Init::Sysv {
            self.run(&["update-rc.d", "datastore", "defaults"]).ok();
            return;
        }
        if self.init == Init::Machine {
            copy(&repository("packaging/selinux/datastore.cil"), "/usr/share/selinux/packages/datastore.cil");
        }
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
        self.run(self.init.reboot());
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

    /// The directory that is its own, in which tests may keep files beside the system.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Makes a symbolic link in the system.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn link(&self, path: &str, to: &str) {
        let full = self.path(path);
        fs::create_dir_all(full.parent().expect("a file has a directory")).expect("make directories");
        symlink(to, &full).unwrap_or_else(|e| panic!("link {}: {e}", full.display()));
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
            let up = ended.is_none() && booted.first != 0 && { self.init.is_up(self) };
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
