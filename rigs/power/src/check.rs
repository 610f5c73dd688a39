//! What must hold on a machine that was booted after a power cut.

use std::cell::RefCell;
use std::fmt::Write as _;

use datastore_rigs::quietly;
use datastore_tests::{Mount, Run, picture, skeleton};

use crate::machine::Machine;
use crate::states::Left;
use crate::story::{APP, AT, Promise, Story};
use crate::tree;

/// What a story must come to.
#[derive(Debug)]
pub struct Wanted {
    /// The data, if the story has any.
    pub data: Option<String>,
    /// What the disks look like in the end.
    pub picture: String,
}

impl Wanted {
    /// Runs the story to its end, undisturbed.
    ///
    /// # Panics
    /// If that does not go well.
    #[must_use]
    pub fn of(story: &Story, machine: &Machine) -> Self {
        booted(machine);
        let data = story.has_data.then(|| told(machine));
        machine.datastore(&story.command(machine));
        machine.off();
        booted(machine);
        machine.datastore(&["recover"]);
        let _ = machine.sandbox.datastore(&["apply", "--yes"]);
        // Once more, as after a cut: what it says then is not looked at, what it does is.
        let _ = machine.sandbox.datastore(&story.command(machine));
        let picture = picture_of(machine);
        machine.off();
        machine.reset();
        Self { data, picture }
    }
}

#[track_caller]
fn booted(machine: &Machine) {
    machine.boot().unwrap_or_else(|e| panic!("boot: {e}"));
}

#[track_caller]
fn told(machine: &Machine) -> String {
    tree::told(&machine.sandbox.path(AT)).unwrap_or_else(|e| panic!("the data: {e}"))
}

/// The picture without the options of mounts, which the boot of the rig chooses.
fn picture_of(machine: &Machine) -> String {
    machine.dismiss_bystanders();
    let picture = picture::of(machine.root());
    let line = |line: &str| match line.strip_prefix("mount ") {
        Some(mount) => mount.rsplit_once("] ").map_or(mount, |(mount, _)| mount).to_owned(),
        None => line.to_owned(),
    };
    picture.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Boots the machine on a state, and holds it against what is wanted; it is off afterwards.
///
/// # Errors
/// What does not hold, and what was said on the way.
pub fn check(story: &Story, machine: &Machine, wanted: &Wanted, left: &Left, again: bool) -> Result<(), String> {
    machine.show(&left.state);
    let look = Look { story, machine, wanted, said: RefCell::default() };
    let result = quietly(|| {
        booted(machine);
        look.before_anything(left.done);
        look.recovered();
        if again {
            look.done_again();
        }
    });
    machine.off();
    let Look { said, .. } = look;
    result.map_err(|e| {
        let said = said.into_inner();
        format!("{}, {:?} after {}, done: {}: {e}\n{said}", story.name, left.cut, left.after, left.done)
    })
}

/// A look at one state.
struct Look<'a> {
    story: &'a Story,
    machine: &'a Machine,
    wanted: &'a Wanted,
    /// What was run, and what it said.
    said: RefCell<String>,
}

impl Look<'_> {
    fn datastore(&self, args: &[&str]) -> Run {
        let run = self.machine.sandbox.datastore(args);
        let code = run.status.code().map_or("killed".to_owned(), |code| code.to_string());
        let _ =
            writeln!(self.said.borrow_mut(), "$ datastore {} ({code})\n{}{}", args.join(" "), run.stdout, run.stderr);
        // Neither is an answer, whatever it was asked.
        assert!(!matches!(run.status.code(), None | Some(101)), "it panicked or was killed");
        run
    }

    /// Before anything of ours has run but the guard.
    fn before_anything(&self, done: bool) {
        let fstab = picture::fstab(&self.machine.sandbox.read("/etc/fstab"));
        assert_eq!(fstab.foreign, skeleton::FSTAB, "lines of others in fstab");
        let is_declared = self.machine.sandbox.exists("/etc/datastore.d/mail.conf");
        let guard = is_declared.then(|| self.datastore(&["guard", APP]));
        let may_start = guard.as_ref().is_some_and(|guard| guard.status.success());
        if may_start {
            assert!(self.bound().is_some(), "the guard lets the app start without its bind");
            self.same_data("the guard lets the app start on other data");
        }
        if done {
            self.promised(&fstab, may_start);
        }
    }

    /// What was promised holds.
    fn promised(&self, fstab: &picture::Fstab, may_start: bool) {
        let is_in = |text: &str| fstab.ours.iter().any(|line| line.contains(text));
        match self.story.promised {
            Promise::Active(disk) => {
                assert!(may_start, "the command had said that it is done, and the guard refuses");
                let source = self.bound().map(|mount| mount.source);
                assert_eq!(source.as_deref(), Some(self.machine.device(disk)), "the app's data are on another disk");
            }
            Promise::Unbound => assert!(self.bound().is_none(), "it is still bound"),
            Promise::Line(text) => assert!(is_in(text), "fstab has no line with {text}: {fstab:?}"),
            Promise::NoLine(text) => assert!(!is_in(text), "fstab has a line with {text}: {fstab:?}"),
            Promise::Reclaimed => {
                let plan = self.datastore(&["reclaim", "--json", "--yes"]).ok().json();
                assert!(plan["operation"].is_null(), "something was left to reclaim: {plan}");
            }
        }
    }

    /// After what the services of a boot do.
    fn recovered(&self) {
        picture::let_time_pass(self.machine.root());
        self.datastore(&["recover"]).ok();
        // It says so with its exit code where something is refused, such as a mount point with data in it that nobody has imported.
        let applied = self.datastore(&["apply", "--yes"]);
        if !matches!(applied.status.code(), Some(0 | 3)) {
            applied.fail("apply after recover");
        }
        if self.wanted.data.is_some() {
            self.same_data("after recover and apply");
            let guard = self.datastore(&["guard", APP]);
            assert_eq!(
                guard.status.success(),
                self.bound().is_some(),
                "the guard lets in who has no data, or not who has"
            );
        }
    }

    /// After the administrator has typed the same once more.
    fn done_again(&self) {
        let run = self.datastore(&self.story.command(self.machine));
        let is_gone = run.status.code() == Some(2) && run.stderr.contains("no volume is called");
        if run.status.code() != Some(0) && !is_gone {
            run.fail("the same command again");
        }
        self.same_data("after the same command again");
        picture::same(&picture_of(self.machine), &self.wanted.picture, "after the same command again");
        let mut left = picture::leftovers(self.machine.root());
        // What never became a journal is removed by the next operation; where nothing was to be done there was none.
        left.retain(|path| !path.ends_with(".new"));
        assert_eq!(left, Vec::<String>::new(), "after the same command again");
    }

    fn bound(&self) -> Option<Mount> {
        self.machine.sandbox.bound(AT)
    }

    fn same_data(&self, when: &str) {
        let Some(wanted) = &self.wanted.data else { return };
        let now = told(self.machine);
        if now != *wanted {
            panic!("{when}: the data are not what they were\nnow:\n{}wanted:\n{}", short(&now), short(wanted));
        }
    }
}

/// The beginnings of the lines.
fn short(text: &str) -> String {
    text.lines().fold(String::new(), |out, line| out + "  " + &line.chars().take(160).collect::<String>() + "\n")
}
