//! A small server for a page, with up to two empty disks, and a shell of root's.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use datastore_tests::server::Server;
use datastore_tests::{binary, repository};

/// The empty disks: names in /dev, and bytes.
const DISKS: &[(&str, u64)] = &[("sdb", 512 << 20), ("sdc", 512 << 20)];
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
    server: Server,
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
        let wanted: Vec<_> = DISKS.iter().filter(|(name, _)| text.contains(name)).copied().collect();
        let server = Server::new(&wanted);
        server.put(&binary::datastore(), "/usr/local/sbin/datastore");
        built(&server, text);
        let shell = Shell::new(&server);
        let mut machine = Self { shell, server };
        machine.run(HELPERS);
        machine
    }

    /// Writes a file. Its directory is made if it is missing.
    pub(crate) fn write(&self, path: &str, mode: u32, text: &str) {
        let full = self.server.sandbox.write(path, text);
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
    fn new(server: &Server) -> Self {
        let mut command = server.inside("cd /root && exec bash --norc --noprofile 2>&1");
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

/// What somebody who has built the repository in /root/datastore finds there.
fn built(server: &Server, text: &str) {
    if text.contains("target/release") {
        server.put(&binary::datastore(), "/root/datastore/target/release/datastore");
    }
    if text.contains("datastore-generator") {
        server.put(&binary::generator(), "/usr/local/sbin/datastore-generator");
    }
    if text.contains("libdatastore_ffi.so") {
        server.put(&binary::c_library(), "/root/datastore/target/debug/libdatastore_ffi.so");
        // Which compiler `cc` is, and the rest of it.
        server.also(&["/etc/alternatives", "/usr/lib/gcc", "/usr/include"]);
        for file in ["include/datastore.h", "examples/c/status.c"] {
            server.put(&repository(file), &format!("/root/datastore/{file}"));
        }
    }
    if text.contains("target/php-ext") {
        let (extension, library) = binary::php_extension();
        server.put(&extension, "/root/datastore/target/php-ext/sources/modules/datastore.so");
        let library = library.join("libdatastore.so.0").canonicalize().expect("the C library");
        server.put(&library, "/root/datastore/target/php-ext/prefix/lib/libdatastore.so.0");
        server.put(&repository("examples/php/status.php"), "/root/datastore/examples/php/status.php");
        // Which PHP `php` is, and what it looks for in any case.
        server.also(&["/etc/alternatives", "/usr/share/zoneinfo"]);
    }
    if text.contains("datastore-webconfig") {
        server.put(&binary::gate(), "/usr/local/sbin/datastore-webconfig");
    }
    for name in EXAMPLES.iter().filter(|name| text.contains(&format!("target/debug/examples/{name}"))) {
        server.put(&binary::example(name), &format!("/root/datastore/target/debug/examples/{name}"));
    }
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
