//! A whole machine, emulated by QEMU: a kernel of its own, real block devices that udev names by their labels and that come and go, and the
//! kernel's security modules. Slower than a [`Rig`] by far, so it is for what that cannot show.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Rig, image};

/// Longer takes nothing that it is asked, a boot included, however busy the machine under it.
const PATIENCE: Duration = Duration::from_secs(300);
const ROOT_BYTES: u64 = 3 << 30;
/// What its first shell says, which no program of it writes.
const READY: &str = "the machine is ready";
const ENDED: &str = "the line has ended with";

/// An emulated machine that is up.
#[derive(Debug)]
pub struct Machine {
    rig: Rig,
    qemu: Child,
    shell: BufReader<UnixStream>,
    monitor: BufReader<UnixStream>,
}

/// What a line of shell came to.
#[derive(Debug)]
pub struct Answer {
    line: String,
    /// Its exit code.
    pub code: i32,
    /// What it wrote, errors included.
    pub text: String,
}

impl Answer {
    /// Demands exit code 0.
    ///
    /// # Panics
    /// With what it wrote if it is another.
    #[track_caller]
    #[allow(clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "the check alone is a use")]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "`{}` in the machine:\n{}", self.line, self.text);
        self
    }
}

impl Machine {
    /// Boots one whose root is a copy of what has been prepared with [`Init::Machine`](crate::rig::Init::Machine), with these words for its kernel.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    #[track_caller]
    pub fn boot(rig: Rig, words: &str) -> Self {
        let home = rig.home().to_path_buf();
        let root = home.join("root.img");
        image::of_directory(&root, ROOT_BYTES, &rig.path("/"));
        let at = |name: &str| home.join(name);
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-M", "pc", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024"]);
        qemu.args(["-display", "none", "-nodefaults", "-nic", "none"]);
        qemu.arg("-serial").arg(format!("file:{}", at("console").display()));
        for (option, socket) in [("-serial", "shell"), ("-qmp", "monitor")] {
            qemu.arg(option).arg(format!("unix:{},server=on,wait=off", at(socket).display()));
        }
        qemu.arg("-kernel").arg(rig.path("/vmlinuz")).arg("-initrd").arg(rig.path("/initrd.img"));
        qemu.arg("-append").arg(format!("root=LABEL=root rw console=ttyS0 quiet systemd.show_status=1 {words}"));
        qemu.arg("-drive").arg(format!("file={},if=virtio,format=raw,cache=unsafe", root.display()));
        let qemu = qemu.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let qemu = qemu.unwrap_or_else(|e| panic!("qemu-system-x86_64: {e}; `cargo xtask prove` installs it"));
        let (shell, monitor) = (connect(&at("shell")), connect(&at("monitor")));
        let mut machine = Self { rig, qemu, shell, monitor };
        let _greeting = machine.event("QMP");
        let _ = machine.ask(&json!({ "execute": "qmp_capabilities" }));
        machine.wait_for_shell();
        machine
    }

    /// Runs a line of shell in it, as root and without input.
    ///
    /// # Panics
    /// If the machine does not answer.
    #[track_caller]
    pub fn run(&mut self, line: &str) -> Answer {
        self.type_in(&format!("( {line}\n) </dev/null 2>&1; code=$?; echo; echo \"{ENDED} $code\"\n"));
        let mut text = String::new();
        loop {
            let read = self.read_line();
            match read.trim_end().strip_prefix(ENDED) {
                Some(code) => {
                    let code = code.trim().parse().expect("an exit code");
                    return Answer { line: line.to_owned(), code, text: text.trim_end().to_owned() };
                }
                None => text.push_str(&read),
            }
        }
    }

    /// Runs it again and again until it succeeds.
    ///
    /// # Panics
    /// If it never does.
    #[track_caller]
    pub fn wait_until(&mut self, line: &str) {
        let begun = Instant::now();
        loop {
            let answer = self.run(line);
            if answer.code == 0 {
                return;
            }
            let look = "systemctl --failed; journalctl -b -o short-precise --no-pager | tail -n 60";
            assert!(begun.elapsed() < PATIENCE, "{line:?} stays so: {}\n{}", answer.text, self.run(look).text);
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Makes a disk with an ext4 file system of this label, and puts it in.
    ///
    /// # Panics
    /// If it cannot be made.
    #[track_caller]
    pub fn add_disk(&mut self, label: &str, bytes: u64) {
        let path = self.rig.home().join(format!("{label}.img"));
        image::make(&path, bytes, Some(("ext4", label)));
        let file = json!({ "driver": "file", "filename": path });
        let _ = self.ask(&json!({
            "execute": "blockdev-add",
            "arguments": { "driver": "raw", "node-name": label, "file": file, "cache": { "no-flush": true } }
        }));
        self.plug(label);
    }

    /// Puts a disk in, again.
    ///
    /// # Panics
    /// If the machine does not see it.
    #[track_caller]
    pub fn plug(&mut self, label: &str) {
        let arguments = json!({ "driver": "virtio-blk-pci", "drive": label, "id": label, "serial": label });
        let _ = self.ask(&json!({ "execute": "device_add", "arguments": arguments }));
        self.wait_until(&format!("test -e /dev/disk/by-id/virtio-{label}"));
    }

    /// Pulls a disk out while the machine runs, whoever uses it.
    ///
    /// # Panics
    /// If the machine does not let go of it.
    #[track_caller]
    pub fn unplug(&mut self, label: &str) {
        let _ = self.ask(&json!({ "execute": "device_del", "arguments": { "id": label } }));
        let _ = self.event("DEVICE_DELETED");
    }

    /// Shuts it down and boots it again. Says how long the boot took until all services were up, in seconds since its kernel began.
    ///
    /// # Panics
    /// If it does not come up.
    #[track_caller]
    pub fn reboot(&mut self) -> f64 {
        self.type_in("systemctl reboot\n");
        self.wait_for_shell();
        self.up_after()
    }

    /// What it has written on its console since it was made.
    fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.rig.home().join("console")).unwrap_or_default()).into_owned()
    }

    /// How long its boot took until all services were up, in seconds since its kernel began.
    #[track_caller]
    fn up_after(&mut self) -> f64 {
        let asked = self.run("systemctl show -p ActiveEnterTimestampMonotonic --value multi-user.target").ok();
        asked.text.parse::<f64>().expect("microseconds") / 1e6
    }

    #[track_caller]
    fn wait_for_shell(&mut self) {
        while self.read_line().trim_end() != READY {}
    }

    #[track_caller]
    fn type_in(&mut self, text: &str) {
        self.shell.get_mut().write_all(text.as_bytes()).expect("the machine takes input");
    }

    #[track_caller]
    fn read_line(&mut self) -> String {
        let mut bytes = Vec::new();
        if let Err(error) = self.shell.read_until(b'\n', &mut bytes) {
            panic!("the machine does not answer ({error}): {}", self.console());
        }
        assert!(!bytes.is_empty(), "the machine has ended");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Asks QEMU (its QMP), and returns the answer.
    #[track_caller]
    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.monitor.get_mut(), "{question}").expect("QEMU takes input");
        let mut answer = self.told(|told| told.contains_key("return") || told.contains_key("error"));
        assert!(!answer.contains_key("error"), "{question}: {answer:?}");
        answer.remove("return").expect("looked at")
    }

    /// Waits for something that QEMU says by itself.
    #[track_caller]
    fn event(&mut self, name: &str) -> BTreeMap<String, Value> {
        self.told(|told| told.contains_key(name) || told.get("event").is_some_and(|event| event == name))
    }

    #[track_caller]
    fn told(&mut self, is_it: impl Fn(&BTreeMap<String, Value>) -> bool) -> BTreeMap<String, Value> {
        loop {
            let mut line = String::new();
            self.monitor.read_line(&mut line).expect("QEMU answers");
            let told: BTreeMap<String, Value> = serde_json::from_str(&line).expect("QEMU speaks JSON");
            if is_it(&told) {
                return told;
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// Prepares the system of a machine: the shell on its second serial line.
pub(crate) fn prepare(rig: &Rig) {
    let unit = format!(
        "[Unit]\nDefaultDependencies=no\nAfter=multi-user.target\n[Service]\nTTYPath=/dev/ttyS1\n\
         StandardInput=tty-force\nStandardOutput=tty\nStandardError=tty\n\
         ExecStart=/bin/bash -c 'stty raw -echo; echo; echo {READY}; cat | /bin/bash'\n"
    );
    rig.write("/etc/systemd/system/rig-shell.service", 0o644, &unit);
    rig.link("/etc/systemd/system/multi-user.target.wants/rig-shell.service", "../rig-shell.service");
    // They would label everything once more, and boot again in the middle of a test for that.
    for unit in ["selinux-autorelabel.service", "selinux-autorelabel-mark.service"] {
        rig.link(&format!("/etc/systemd/system/{unit}"), "/dev/null");
    }
    rig.write("/etc/fstab", 0o644, "LABEL=root / ext4 defaults 0 1\n");
}

#[track_caller]
fn connect(path: &PathBuf) -> BufReader<UnixStream> {
    let begun = Instant::now();
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE)).expect("a limit of time");
                return BufReader::new(stream);
            }
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{}: {error}", path.display()),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
