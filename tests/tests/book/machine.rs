//! A small server for a page: its own disk as `/`, the machine's programs (read-only), a name, two empty disks, and a shell of root's.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use datastore_tests::{Sandbox, binary, repository};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::mount_bind;

/// Bytes of the disk that holds `/`, sparse.
const DISK: u64 = 1 << 30;
/// The empty disks: names in /dev, and bytes.
const DISKS: &[(&str, u64)] = &[("sdb", 512 << 20), ("sdc", 512 << 20)];
/// Loop devices of which the server has nodes, for images and for looking at disks.
const LOOPS: u32 = 256;
/// The Rust programs in `examples/`.
const EXAMPLES: &[&str] = &["apply", "configlet", "guard", "status"];
/// What hidden commands begin with again and again.
const HELPERS: &str = r#"
app() {
    printf '[mapping."/srv/%s"]\ntarget = "%%{base}/%s"\n' "$1" "$1" > "/etc/datastore.d/$1.conf"
}
ready() {
    datastore init --yes && for name; do app "$name"; done && datastore apply --yes
}
"#;
/// What the shell says after each command, with its exit code.
const END: &str = "--- the command has ended with";

/// The server. Everything that runs on it ends with this value.
pub(crate) struct Machine {
    // In the order in which they must go.
    shell: Shell,
    _disks: Vec<File>,
    sandbox: Sandbox,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    /// Both outputs, as on a terminal.
    pub(crate) lines: Vec<String>,
}

struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Shell {
    fn drop(&mut self) {
        // `unshare --kill-child` takes everything with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Machine {
    /// A new one. `text` is the page: what it does not speak of need not be there.
    pub(crate) fn new(text: &str) -> Self {
        let sandbox = Sandbox::on_fresh_disk(DISK);
        sandbox.programs();
        sandbox.shipped_hooks();
        for (dir, mode) in [("tmp", 0o1777), ("sys", 0o755), ("usr/local", 0o755), ("usr/local/sbin", 0o755)] {
            sandbox.directory(dir, mode);
        }
        for dir in ["srv", "var/log", "var/tmp", "etc/systemd", "etc/systemd/system"] {
            sandbox.directory(dir, 0o755);
        }
        mount_bind("/sys", sandbox.path("/sys")).expect("bind /sys");
        sandbox.read_only("/sys");
        put(&sandbox, &binary::datastore(), "/usr/local/sbin/datastore");
        built(&sandbox, text);
        let wanted: Vec<_> = DISKS.iter().filter(|(name, _)| text.contains(name)).collect();
        let disks: Vec<File> = wanted.iter().map(|(name, bytes)| disk(&sandbox, name, *bytes)).collect();
        let taken: Vec<u64> = disks.iter().map(|disk| disk.metadata().expect("stat a disk").rdev()).collect();
        node(&sandbox, "loop-control", FileType::CharacterDevice, makedev(10, 237));
        for number in 0..LOOPS {
            let device = makedev(7, number);
            if !taken.contains(&device) {
                node(&sandbox, &format!("loop{number}"), FileType::BlockDevice, device);
            }
        }
        only_these_disks(&sandbox, &wanted, &taken);
        syslog(&sandbox);
        let shell = Shell::new(&sandbox);
        let mut machine = Self { shell, _disks: disks, sandbox };
        machine.run(HELPERS);
        machine
    }

    /// Writes a file. Its directory is made if it is missing.
    pub(crate) fn write(&self, path: &str, mode: u32, text: &str) {
        let full = self.sandbox.write(path, text);
        fs::set_permissions(full, fs::Permissions::from_mode(mode)).expect("mode of a file just written");
    }

    /// Runs a command of which every part must end well.
    pub(crate) fn prepare(&mut self, command: &str) -> Result<(), String> {
        self.run("failed=; trap 'failed=1' ERR");
        let outcome = self.run(command);
        match self.run("trap - ERR; test -z \"$failed\"").code {
            0 if outcome.code == 0 => Ok(()),
            _ => Err(outcome.lines.join("\n")),
        }
    }

    /// Runs a command as somebody would who types it.
    pub(crate) fn run(&mut self, command: &str) -> Outcome {
        let quoted = command.replace('\'', r"'\''");
        // A shell within the shell reads what comes next; nobody else may.
        let input = if command.ends_with(" bash") { "" } else { " < /dev/null" };
        let end = format!("printf '\\n%s %s\\n' '{END}' \"$?\"");
        writeln!(self.shell.input, "eval '{quoted}'{input}\n{end}").expect("type a command");
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            let read = self.shell.output.read_until(b'\n', &mut line).expect("read what the shell says");
            let line = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            assert!(read > 0, "the shell has ended in `{command}`: {lines:#?}");
            if let Some(code) = line.strip_prefix(END) {
                while lines.last().is_some_and(String::is_empty) {
                    lines.pop();
                }
                return Outcome { code: code.trim().parse().expect("an exit code"), lines };
            }
            lines.push(as_typed(line));
        }
    }
}

impl Shell {
    fn new(sandbox: &Sandbox) -> Self {
        let inside = "mount -t proc proc /proc && mount --bind /run/partitions /proc/partitions && hostname server1 && \
                      cd /root && exec bash --norc --noprofile 2>&1";
        let mut command = sandbox.command("unshare");
        command.args(["--pid", "--uts", "--fork", "--kill-child=KILL", "--", "chroot"]).arg(sandbox.root());
        command.args(["/bin/bash", "-c", inside]).env("HOME", "/root").env("LC_ALL", "C").env_remove("RUST_BACKTRACE");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("start unshare");
        let input = child.stdin.take().expect("its input is a pipe");
        let output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        Self { child, input, output }
    }
}

/// A shell that somebody types into does not say in which line it met an error.
fn as_typed(line: String) -> String {
    match line.strip_prefix("bash: line ").and_then(|rest| rest.split_once(": ")) {
        Some((_, rest)) => format!("bash: {rest}"),
        None => line,
    }
}

/// Puts a program of this build somewhere.
fn put(sandbox: &Sandbox, program: &Path, path: &str) {
    let to = sandbox.write(path, "");
    mount_bind(program, &to).unwrap_or_else(|e| panic!("bind {} on {}: {e}", program.display(), to.display()));
    sandbox.read_only(path);
}

/// Directories of this machine, read-only.
fn also(sandbox: &Sandbox, dirs: &[&str]) {
    for dir in dirs {
        mount_bind(*dir, sandbox.directory(dir, 0o755)).unwrap_or_else(|e| panic!("bind {dir}: {e}"));
        sandbox.read_only(dir);
    }
}

/// What somebody who has built the repository in /root/datastore finds there.
fn built(sandbox: &Sandbox, text: &str) {
    if text.contains("target/release") {
        put(sandbox, &binary::datastore(), "/root/datastore/target/release/datastore");
    }
    if text.contains("libdatastore_ffi.so") {
        put(sandbox, &binary::c_library(), "/root/datastore/target/debug/libdatastore_ffi.so");
        // Which compiler `cc` is, and the rest of it.
        also(sandbox, &["/etc/alternatives", "/usr/lib/gcc", "/usr/include"]);
        for file in ["include/datastore.h", "examples/c/status.c"] {
            put(sandbox, &repository(file), &format!("/root/datastore/{file}"));
        }
    }
    if text.contains("target/php-ext") {
        let (extension, library) = binary::php_extension();
        put(sandbox, &extension, "/root/datastore/target/php-ext/sources/modules/datastore.so");
        let library = library.join("libdatastore.so.0").canonicalize().expect("the C library");
        put(sandbox, &library, "/root/datastore/target/php-ext/prefix/lib/libdatastore.so.0");
        put(sandbox, &repository("examples/php/status.php"), "/root/datastore/examples/php/status.php");
        // Which PHP `php` is, and what it looks for in any case.
        also(sandbox, &["/etc/alternatives", "/usr/share/zoneinfo"]);
    }
    for name in EXAMPLES.iter().filter(|name| text.contains(&format!("target/debug/examples/{name}"))) {
        put(sandbox, &binary::example(name), &format!("/root/datastore/target/debug/examples/{name}"));
    }
}

fn node(sandbox: &Sandbox, name: &str, kind: FileType, device: u64) {
    let path = sandbox.path(format!("/dev/{name}"));
    mknodat(CWD, &path, kind, Mode::from_raw_mode(0o660), device)
        .unwrap_or_else(|e| panic!("make {}: {e}", path.display()));
}

/// An empty disk. It is there as long as somebody has it open or mounted.
fn disk(sandbox: &Sandbox, name: &str, bytes: u64) -> File {
    let image = sandbox.root().with_extension(name);
    datastore_tests::image::make(&image, bytes, None);
    let run = sandbox.run(sandbox.command("losetup").args(["--find", "--show"]).arg(&image)).ok();
    let device = run.stdout.trim();
    let disk = File::open(device).unwrap_or_else(|e| panic!("open {device}: {e}"));
    // With the device open, both only say that it goes with whoever uses it last.
    sandbox.run(sandbox.command("losetup").args(["--detach", device])).ok();
    fs::remove_file(&image).expect("remove the name of an image");
    let meta = disk.metadata().expect("stat a disk");
    assert!(meta.file_type().is_block_device(), "{device} is no disk");
    node(sandbox, name, FileType::BlockDevice, meta.rdev());
    disk
}

/// Lets the server know its own disks and no other: whatever looks for a label would find another test's disk as well.
fn only_these_disks(sandbox: &Sandbox, disks: &[&(&str, u64)], devices: &[u64]) {
    let block = sandbox.directory("/run/block", 0o755);
    let mut table = String::from("major minor  #blocks  name\n\n");
    for (device, (name, bytes)) in devices.iter().zip(disks) {
        let (major, minor) = (rustix::fs::major(*device), rustix::fs::minor(*device));
        table += &format!("{major:4} {minor:8} {:10} {name}\n", bytes >> 10);
        symlink(format!("/sys/devices/virtual/block/loop{minor}"), block.join(name)).expect("a link to a disk");
    }
    mount_bind(&block, sandbox.path("/sys/block")).expect("bind a table of disks over /sys/block");
    // The shell binds it over its /proc/partitions.
    sandbox.write("/run/partitions", table);
}

/// Somebody takes what is sent to /dev/log, as a syslog does.
fn syslog(sandbox: &Sandbox) {
    let socket = UnixDatagram::bind(sandbox.path("/dev/log")).expect("make /dev/log");
    // It ends with the test's process.
    std::thread::spawn(move || while socket.recv(&mut [0; 8192]).is_ok() {});
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_finds_its_own_disks_alone() {
        let mut other = Machine::new("sdb");
        let mut this = Machine::new("sdc");
        assert_eq!(other.run("mkfs.ext4 -q -L twin /dev/sdb && blkid -L twin").lines, ["/dev/sdb"]);
        assert_eq!(this.run("blkid -L twin").code, 2);
        assert_eq!(this.run("mkfs.ext4 -q -L twin /dev/sdc && blkid -L twin").lines, ["/dev/sdc"]);
        assert_eq!(this.run("mount LABEL=twin /mnt && findmnt -no SOURCE /mnt").lines, ["/dev/sdc"]);
    }
}
