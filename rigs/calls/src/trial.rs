//! One run with a fault in it, and what must hold afterwards.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use datastore_rigs::quietly;
use datastore_rigs::tracer::Outcome;
use datastore_tests::scenes::Scene;
use datastore_tests::{Run, Sandbox, helpers, picture, skeleton};

use crate::allowed;
use crate::fault::{self, Counts, Ended, Fault, Met};
use crate::stage::Stage;

/// What a message says of what holds now.
const HOLDS: [&str; 18] = [
    "counts as interrupted",
    "cannot be written to standard output",
    "cannot bring `",
    "not done:",
    "failed:",
    "nothing further was begun",
    "no further one was begun",
    "what was done holds",
    "what was removed is gone",
    "taken back",
    "nothing has been",
    "nothing was",
    "datastore recover",
    "left as it was",
    "it is as it was",
    "unchanged",
    "not been changed",
    "stays",
];

/// What came of a run, where all holds that must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// The command ended before it came to the call.
    NotMet,
    /// It was killed, and the same came of it in the end.
    Killed,
    /// It failed and said so, before it had changed anything.
    Refused,
    /// It failed and said so, and the same came of it in the end.
    Failed,
    /// It did all that it was to do; the fault is one of [`allowed::ALLOWED`], by number.
    Harmless(usize),
}

/// A scene, and what an undisturbed run of its command comes to.
#[derive(Debug)]
pub struct Trial {
    /// The scene.
    pub scene: &'static Scene,
    stage: Stage,
    wanted: String,
}

/// Where the scenes keep data.
const DATA: &str = "/var/spool/mail";

impl Trial {
    /// Sets the scene, and runs its command once.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn of(scene: &'static Scene) -> Self {
        let stage = Stage::of(scene);
        let wanted = stage.perform(|sandbox| {
            sandbox.datastore(scene.command).ok();
            look(sandbox)
        });
        Self { scene, stage, wanted }
    }

    /// The calls of an undisturbed run.
    ///
    /// # Panics
    /// If it fails.
    #[must_use]
    pub fn record(&self, counts: Counts) -> Vec<Met> {
        let (outcome, calls) = self.stage.perform(|sandbox| fault::record(sandbox, self.scene.command, counts));
        assert_eq!(outcome.code, Some(0), "{}, traced: {}", self.scene.name, outcome.stderr);
        calls
    }

    /// The same of a run after another one: what is left to do for it.
    #[must_use]
    pub fn record_again(&self, counts: Counts) -> (Outcome, Vec<Met>) {
        self.stage.perform(|sandbox| {
            sandbox.datastore(self.scene.command).ok();
            fault::record(sandbox, self.scene.command, counts)
        })
    }

    /// Something else in a copy of the scene.
    pub fn perform<T>(&self, act: impl FnOnce(&Sandbox) -> T) -> T {
        self.stage.perform(act)
    }

    /// Puts a fault into a run, and looks at what came of it.
    ///
    /// # Errors
    /// What does not hold, with the call.
    pub fn one(&self, counts: Counts, at: usize, fault: Fault) -> Result<Came, String> {
        let mut when = format!("{}: {fault} call {at}", self.scene.name);
        quietly(|| {
            self.stage.perform(|sandbox| {
                let ended = fault::put(sandbox, self.scene.command, counts, at, fault);
                let Some(hit) = &ended.hit else { return Came::NotMet };
                let call = short(&hit.call.to_string(), sandbox.root());
                when = format!("{}: {fault} {call} ({:?} {at})", self.scene.name, hit.phase);
                let Ended { outcome, .. } = &ended;
                sane(outcome);
                if matches!(fault, Fault::KillBefore | Fault::KillAfter) {
                    self.nothing_is_torn(sandbox);
                    self.converges(sandbox);
                    return Came::Killed;
                }
                if outcome.code == Some(0) {
                    self.is_as_wanted(sandbox, "success was told");
                    let entry = allowed::entry(hit, fault, sandbox.root());
                    return Came::Harmless(entry.unwrap_or_else(|| panic!("it was passed over without a word")));
                }
                if let Fault::FailsFromHere(_) = fault {
                    // Where no sync works any more not everything can be taken back; see `tests/found.rs`.
                    self.nothing_is_torn(sandbox);
                    return Came::Failed;
                }
                self.failed(sandbox, outcome, hit, at)
            })
        })
        .map_err(|why| format!("{when}: {why}"))
    }

    /// A run that said that it failed.
    fn failed(&self, sandbox: &Sandbox, outcome: &Outcome, hit: &Met, at: usize) -> Came {
        explains_itself(outcome, hit, sandbox.root());
        let now = picture::exact(sandbox.root());
        let is_untouched = self.stage.is_untouched(&now);
        let said = said(outcome, sandbox.root());
        // Of two operations the first stays.
        let is_second = said.contains("the volume has been adopted and stays so");
        if said.contains("everything that was done before has been taken back") && !is_second {
            let (now, before) = (without_copies(&now), without_copies(self.stage.before()));
            picture::same_but_for_new_directories(&now, &before, "it says that all has been taken back");
        } else if !is_untouched {
            assert!(HOLDS.iter().any(|words| said.contains(words)), "it does not say what holds now: {said}");
        }
        // Where nothing was changed the same command does what it does undisturbed; that is looked at now and then.
        if is_untouched && !at.is_multiple_of(5) {
            return Came::Refused;
        }
        self.nothing_is_torn(sandbox);
        self.converges(sandbox);
        if is_untouched { Came::Refused } else { Came::Failed }
    }

    /// Kills a run, and then one recovery after the other, each at the so-many-th change.
    ///
    /// # Errors
    /// What does not hold. The number is that of the recoveries that were killed: fewer if they ended before.
    pub fn nested(&self, at: usize, recoveries: &[usize]) -> Result<usize, String> {
        let mut when = format!("{}: killed after change {at}", self.scene.name);
        quietly(|| {
            self.stage.perform(|sandbox| {
                let ended = fault::put(sandbox, self.scene.command, fault::changing, at, Fault::KillAfter);
                let Some(hit) = ended.hit else { return 0 };
                when = format!("{}: killed after {}", self.scene.name, short(&hit.call.to_string(), sandbox.root()));
                self.wait_for_helpers(sandbox);
                picture::let_time_pass(sandbox.root());
                let mut killed = 0;
                for at in recoveries {
                    let ended = fault::put(sandbox, &["recover"], fault::changing, *at, Fault::KillAfter);
                    sane(&ended.outcome);
                    let Some(hit) = ended.hit else { break };
                    when = format!("{when}, recovery killed after {}", short(&hit.call.to_string(), sandbox.root()));
                    killed += 1;
                    self.wait_for_helpers(sandbox);
                    picture::let_time_pass(sandbox.root());
                }
                self.nothing_is_torn(sandbox);
                self.converges(sandbox);
                killed
            })
        })
        .map_err(|why| format!("{when}: {why}"))
    }

    /// What must hold the moment after anything.
    ///
    /// # Panics
    /// If it does not.
    pub fn nothing_is_torn(&self, sandbox: &Sandbox) {
        self.wait_for_helpers(sandbox);
        let fstab = picture::fstab(&sandbox.read("/etc/fstab"));
        assert_eq!(fstab.foreign, skeleton::FSTAB, "lines of others in fstab");
        if sandbox.exists("/etc/datastore.conf") {
            sandbox.datastore(&["config", "check"]).ok();
            sandbox.datastore(&["status", "--json"]).ok();
        }
    }

    /// `recover` and the same command come to what is wanted.
    ///
    /// # Panics
    /// If they do not.
    pub fn converges(&self, sandbox: &Sandbox) {
        picture::let_time_pass(sandbox.root());
        let recovered = sandbox.datastore(&["recover"]);
        if recovered.status.code() != Some(0) {
            recovered.fail("recover");
        }
        let mut again = sandbox.datastore(self.scene.command);
        if let Some(instead) = self.told_instead(&again) {
            again = sandbox.datastore(&instead);
        }
        if again.status.code() != Some(0) && !self.is_gone(&again) {
            again.fail("the same command again");
        }
        self.is_as_wanted(sandbox, "recovered, and the same command again");
    }

    /// Demands that all is as after an undisturbed run.
    ///
    /// # Panics
    /// If it is not.
    pub fn is_as_wanted(&self, sandbox: &Sandbox, when: &str) {
        picture::same(&look(sandbox), &self.wanted, when);
        // A copy for the next machine is tidied by the next operation, and where the same command is refused there is none yet.
        let mut left = picture::leftovers(sandbox.root());
        left.retain(|path| !path.ends_with(".config-copy.tmp"));
        assert_eq!(left, Vec::<String>::new(), "what is left of it");
    }

    /// What is to be run instead of the same command, where that says so.
    fn told_instead(&self, again: &Run) -> Option<Vec<&'static str>> {
        match self.scene.name {
            // What was made is not made again.
            "volume add (format)" if again.stderr.contains("leave out --format") => {
                let words = self.scene.command.iter().copied();
                let at = self.scene.command.iter().position(|word| *word == "--format")?;
                Some(words.enumerate().filter(|(i, _)| *i != at && *i != at + 1).map(|(_, word)| word).collect())
            }
            // An operation that was finished with a part that failed is no interrupted one.
            "recover" => Some(vec!["apply", "--yes"]),
            _ => None,
        }
    }

    /// What `recover` has removed is not known any more, and what it has finished does not go on.
    fn is_gone(&self, again: &Run) -> bool {
        let (code, unknown) = match self.scene.name {
            "volume remove" => (2, "no volume is called"),
            "config remove" => (2, "no app is called"),
            "move (resume)" => (3, "failed or stopped half-way"),
            name if name.starts_with("undo of") => (3, "no import or move of"),
            _ => return false,
        };
        again.status.code() == Some(code) && again.stderr.contains(unknown)
    }

    /// A mkfs or mount that the killed command had started dies with it; the kernel needs a moment for that.
    fn wait_for_helpers(&self, sandbox: &Sandbox) {
        if !self.scene.command.contains(&"--device") {
            return;
        }
        helpers::wait_for(&sandbox.path("images/disk.img").display().to_string());
    }
}

/// A root after all is done: its picture, and the times and links of the data.
fn look(sandbox: &Sandbox) -> String {
    fn walk(dir: &Path, out: &mut String) {
        let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let meta = path.symlink_metadata().unwrap_or_else(|e| panic!("stat {}: {e}", path.display()));
            let _ = writeln!(out, "data {} {}.{} {}", last(&path), meta.mtime(), meta.mtime_nsec(), meta.nlink());
            if meta.is_dir() {
                walk(&path, out);
            }
        }
    }
    let mut text: String = picture::of(sandbox.root()).lines().map(|line| in_order(line) + "\n").collect();
    text.push('\n');
    walk(&sandbox.path(DATA), &mut text);
    text
}

/// A line of fstab with its options in one order: where the configuration could not be read, a line is changed as it stands.
fn in_order(line: &str) -> String {
    let mut fields: Vec<String> = line.split(' ').map(str::to_owned).collect();
    if let [_, _, kind, options, _, _] = &mut fields[..]
        && kind == "none"
    {
        let mut sorted: Vec<&str> = options.split(',').collect();
        sorted.sort_unstable();
        *options = sorted.join(",");
    }
    fields.join(" ")
}

fn last(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A picture without copies that have not come to their place, which stay for the next run, and without manifests that tell of nothing.
fn without_copies(picture: &str) -> String {
    let (mut out, mut block, mut is_inside) = (String::new(), String::new(), false);
    for line in picture.lines() {
        let begins = !is_inside && line.ends_with(" {") && line.contains(" /");
        let is_copy = line.contains("/.datastore/incoming");
        if begins || is_inside {
            block.push_str(line);
            block.push('\n');
            is_inside = !line.ends_with('}');
            if !is_inside {
                let is_idle = block.contains("/.datastore/manifest.toml") && !block.contains("\" = {");
                if !is_idle && !block.contains("/.datastore/incoming") {
                    out.push_str(&block);
                }
                block.clear();
            }
        } else if !is_copy {
            out.push_str(line);
            out.push('\n');
        }
    }
    out.trim_end().to_owned()
}

/// No panic, no hang, no death of its own.
///
/// # Panics
/// If there was one.
pub fn sane(outcome: &Outcome) {
    assert!(!outcome.hung, "it hangs");
    let is_panic = outcome.code == Some(101) || outcome.stderr.contains("panicked");
    assert!(!is_panic, "it panicked: {}", outcome.stderr);
    let own = outcome.signal.filter(|signal| *signal != libc::SIGKILL);
    assert_eq!(own, None, "it died of a signal: {}", outcome.stderr);
}

/// The failure names one of the files at hand, or the call itself.
fn explains_itself(outcome: &Outcome, hit: &Met, root: &Path) {
    let said = said(outcome, root);
    let itself = ["cannot be written to standard output", "cannot run `", "cannot be run"];
    if itself.iter().any(|words| said.contains(words)) {
        return;
    }
    // What is tried on a file for a moment is told by its directory; and who cannot follow changes says that somebody writes.
    let is_tried = |path: &Path| {
        path.to_string_lossy().contains("/.datastore-try") || path.to_string_lossy().ends_with("(deleted)")
    };
    let shown =
        |path: &Path| if is_tried(path) { path.parent().unwrap_or(path).to_path_buf() } else { path.to_path_buf() };
    let names: Vec<String> = hit.call.paths().iter().map(|path| plain_name(&shown(path), root)).collect();
    if said.contains("something still writes to")
        || hit.call.paths().iter().any(|p| p.starts_with(root.join("run/datastore")))
    {
        return;
    }
    let is_named = names.iter().any(|name| !name.is_empty() && said.contains(name.as_str()));
    // clone(2) and clone3(2) are one to whoever reads it.
    let number = hit.call.number.to_string();
    assert!(
        is_named || said.contains(number.trim_end_matches('3')),
        "neither {number} nor any of {names:?} is in the message: {said}"
    );
}

/// What it said, as people read it who have no other root.
fn said(outcome: &Outcome, root: &Path) -> String {
    let given = format!("datastore --root {} ", root.display());
    format!("{}{}", outcome.stdout, outcome.stderr).replace(&given, "datastore ")
}

/// The last name of a path, as people know it: a temporary file `.NAME.TAG.tmp` stands for NAME.
fn plain_name(path: &Path, root: &Path) -> String {
    if path == root {
        return "/".to_owned();
    }
    let path = if path.ends_with("..") { path.parent().unwrap_or(path) } else { path };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = name.trim_end_matches(" (deleted)");
    let name = name.strip_suffix(".tmp").and_then(|n| n.strip_prefix('.')).unwrap_or(name);
    name.rsplit_once('.').filter(|(_, tag)| tag.contains("Z-")).map_or(name, |(name, _)| name).to_owned()
}

/// A call without the name of the root.
#[must_use]
pub fn short(call: &str, root: &Path) -> String {
    call.replace(&root.display().to_string(), "")
}
