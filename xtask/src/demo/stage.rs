//! Where the scenes are played: runs real commands, prints them with their real output, and notes what was not as
//! promised.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::Volume;
use crate::failure::{Doing as _, Failure, Result};

/// A finished command.
pub(super) struct Outcome {
    /// Its exit code; `None` if a signal killed it.
    pub(super) code: Option<i32>,
    /// Both outputs, as they came.
    pub(super) text: String,
}

impl Outcome {
    /// Exit code 0.
    pub(super) fn ok(&self) -> bool {
        self.code == Some(0)
    }
    /// An orderly refusal: neither success nor a crash (101 is the code of a panic, 127 of a missing program).
    pub(super) fn refused(&self) -> bool {
        matches!(self.code, Some(code) if !matches!(code, 0 | 101 | 126 | 127))
    }
}

/// The root, the command, and what has gone wrong so far.
pub(super) struct Stage {
    root: PathBuf,
    scratch: PathBuf,
    datastore: PathBuf,
    volume: Volume,
    start: Instant,
    scenes: u32,
    promises: u32,
    broken: Vec<String>,
}

impl Stage {
    /// Makes the root `server` in the scratch directory.
    pub(super) fn new(scratch: &Path, datastore: &Path, volume: Volume) -> Result<Self> {
        let root = scratch.join("server");
        fs::create_dir(&root).doing(format_args!("make {}", root.display()))?;
        Ok(Self {
            root,
            scratch: scratch.to_path_buf(),
            datastore: datastore.to_path_buf(),
            volume,
            start: Instant::now(),
            scenes: 0,
            promises: 0,
            broken: Vec::new(),
        })
    }

    /// What the volume is.
    pub(super) fn volume(&self) -> Volume {
        self.volume
    }
    /// The server's root.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }
    /// A path beside the server's root, for another machine's things.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }
    /// A path of the server (`/home`) as the machine sees it.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Begins a scene.
    pub(super) fn scene(&mut self, title: &str) {
        self.scenes += 1;
        println!("\n== {}. {title}  ({:.2} s)", self.scenes, self.start.elapsed().as_secs_f64());
    }

    /// Writes a file of the server and shows it.
    pub(super) fn file(&self, (path, text): (&str, &str)) -> Result {
        let full = self.path(path);
        if let Some(parent) = full.parent() {
            fs::create_dir_all(parent).doing(format_args!("make {}", parent.display()))?;
        }
        fs::write(&full, text).doing(format_args!("write {}", full.display()))?;
        println!("--- /{path}");
        print!("{text}");
        Ok(())
    }

    /// Runs `datastore` on the server and shows what it says.
    pub(super) fn datastore(&self, args: &[&str]) -> Result<Outcome> {
        self.datastore_at(&self.root, args)
    }

    /// Runs `datastore` on another root and shows what it says.
    pub(super) fn datastore_at(&self, root: &Path, args: &[&str]) -> Result<Outcome> {
        let mut command = Command::new(&self.datastore);
        command.arg("--root").arg(root).args(args);
        self.show(&format!("datastore --root {} {}", root.display(), args.join(" ")), &mut command)
    }

    /// Runs a line of shell and shows what it says.
    pub(super) fn shell(&self, line: &str) -> Result<Outcome> {
        self.show(line, Command::new("sh").args(["-c", line]))
    }

    /// Runs a line of shell as a program of the server would. In a user namespace all capabilities are dropped first:
    /// they would let it write where only the mode forbids it, and the immutable flag is not to be had there.
    pub(super) fn program(&self, line: &str) -> Result<Outcome> {
        match self.volume {
            Volume::Image => self.shell(line),
            Volume::Directory => self.show(
                &format!("setpriv --bounding-set=-all --inh-caps=-all sh -c '{line}'"),
                Command::new("setpriv").args(["--bounding-set=-all", "--inh-caps=-all", "sh", "-c", line]),
            ),
        }
    }

    /// Prints the command and its output. The long path of the root is `$R` in the command, as the tour's first
    /// lines say; the output is as it is.
    fn show(&self, line: &str, command: &mut Command) -> Result<Outcome> {
        println!("$ {}", line.replace(&self.root.display().to_string(), "$R"));
        std::io::stdout().flush().doing("write to the terminal")?;
        // One pipe for both, so that they come in their order.
        let (mut reader, writer) = std::io::pipe().doing("make a pipe")?;
        command.stdin(Stdio::null()).stdout(writer.try_clone().doing("make a pipe")?).stderr(writer);
        command.env("LC_ALL", "C.UTF-8").current_dir("/");
        let mut child = command.spawn().doing(format_args!("start `{line}`"))?;
        // Our own copies of the pipe's end would keep it open for ever.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut bytes).doing(format_args!("read the output of `{line}`"))?;
        let status = child.wait().doing(format_args!("wait for `{line}`"))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        print!("{text}");
        if !text.is_empty() && !text.ends_with('\n') {
            println!();
        }
        if !status.success() {
            println!("[{status}]");
        }
        Ok(Outcome { code: status.code(), text })
    }

    /// Notes whether a promise holds.
    pub(super) fn promise(&mut self, holds: bool, what: &str) {
        self.promises += 1;
        println!("  {} {what}", if holds { "ok   " } else { "WRONG" });
        if !holds {
            self.broken.push(what.to_owned());
        }
    }

    /// The row of each mount point in `status --json`, which is not shown.
    pub(super) fn rows(&self) -> Result<Vec<Value>> {
        let mut command = Command::new(&self.datastore);
        let output = command
            .arg("--root")
            .arg(&self.root)
            .args(["status", "--json"])
            .output()
            .doing("run `datastore status`")?;
        let json: Value =
            serde_json::from_slice(&output.stdout).doing("read the output of `datastore status --json`")?;
        let rows =
            json["mappings"].as_array().ok_or_else(|| Failure::new("`datastore status --json` has no `mappings`"))?;
        Ok(rows.clone())
    }

    /// Promises that a mapping is in this state, by `status --json`.
    pub(super) fn promise_state(&mut self, mount_point: &str, state: &str) -> Result {
        let rows = self.rows()?;
        let found = rows.iter().find(|row| row["mount_point"] == mount_point).map(|row| row["state"].clone());
        let found = found.unwrap_or(Value::Null);
        self.promise(found == state, &format!("{mount_point} is {state} (status --json says {found})"));
        Ok(())
    }

    /// The sum.
    pub(super) fn close(self) -> Result {
        let seconds = self.start.elapsed().as_secs_f64();
        println!("\n{} scenes, {} promises, {} broken; {seconds:.2} s", self.scenes, self.promises, self.broken.len());
        for what in &self.broken {
            println!("  WRONG {what}");
        }
        if self.broken.is_empty() {
            Ok(())
        } else {
            Err(Failure::new(format!("{} promises were broken", self.broken.len())))
        }
    }
}
