//! What is asked: scenes on a real machine, each with one or more questions.

use std::fs::File;

use datastore_tests::holder;
use datastore_tests::scenes::{self, Scene};
use datastore_tests::{Sandbox, strace};

use crate::surface::Surface;

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) scene: Machine,
    /// The questions, one after the other on one machine, in the words of `tests/c/parity.c`. `{id}` and `{operation}` are those of the
    /// answer before, `{mebibyte}` is a text of that length, `{latin}` is no UTF-8.
    pub(crate) asks: &'static [&'static str],
    /// What the last one comes to: the kind of the error, or none.
    pub(crate) comes_to: Option<&'static str>,
    pub(crate) apart: &'static [(Surface, Apart)],
}

/// What stands before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Machine {
    /// Two volumes; apps of which one is stopped, one is broken, and one has data at its mount point. All surfaces ask the same one.
    Mixed,
    /// The same, asked by nobody.
    MixedForNobody,
    /// Like `Mixed`, and something was moved there.
    Moved,
    /// A root without configuration.
    Bare,
    /// A root that does not exist.
    Nowhere,
    /// What stands before a scene of `datastore_tests::scenes`; a fresh one for each surface.
    Fresh(&'static str),
    /// The same, and somebody is at work on `web`.
    Locked(&'static str),
    /// The same, and its command was killed at the first call of this name.
    Killed(&'static str, &'static str),
}

/// Why a surface need not say what the others say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Apart {
    /// It cannot be asked that.
    Unsayable,
    /// It says the same, with another hint.
    OwnHint,
    /// It refuses by its own words, before the engine is asked: only the kind of the error counts.
    OwnWords,
}

const fn told(name: &'static str, scene: Machine, asks: &'static [&'static str]) -> Case {
    Case { name, scene, asks, comes_to: None, apart: &[] }
}

const fn error(name: &'static str, scene: Machine, asks: &'static [&'static str], kind: &'static str) -> Case {
    Case { name, scene, asks, comes_to: Some(kind), apart: &[] }
}

impl Case {
    const fn apart(self, apart: &'static [(Surface, Apart)]) -> Self {
        Self { apart, ..self }
    }

    /// How a surface may differ.
    pub(crate) fn apart_of(&self, surface: Surface) -> Option<Apart> {
        self.apart.iter().find(|(of, _)| *of == surface).map(|(_, apart)| *apart)
    }
}

use Apart::{OwnHint, OwnWords, Unsayable};
use Machine::{Bare, Fresh, Killed, Locked, Mixed, MixedForNobody, Moved, Nowhere};
use Surface::{Command, Php, Rust};

/// The parser of the command line has words of its own.
const BY_PARSER: &[(Surface, Apart)] = &[(Command, OwnWords)];
/// It knows which help has more.
const ITS_HELP: &[(Surface, Apart)] = &[(Command, OwnHint)];
/// An argument of a program ends at a NUL and has a longest length; text of Rust is UTF-8.
const NO_ARGUMENT: &[(Surface, Apart)] = &[(Command, Unsayable), (Rust, OwnWords)];
/// How far an operation is, other programs read from a file: there is no verb for it.
const BY_FILE: &[(Surface, Apart)] = &[(Command, Unsayable)];

pub(crate) const CASES: &[Case] = &[
    told("status: all", Mixed, &["status"]),
    told("status: an app", Mixed, &["status web"]),
    told("status: several apps", Mixed, &["status mail web"]),
    error("status: unknown app", Mixed, &["status nobody"], "usage"),
    error("status: no configuration", Bare, &["status"], "invalid"),
    told("check: all, with an error", Mixed, &["check"]),
    told("check: of an app, clean", Mixed, &["check web"]),
    told("check: of an app, with an error", Mixed, &["check broken"]),
    error("check: unknown app", Mixed, &["check nobody"], "usage"),
    told("check: clean", Fresh("apply"), &["check"]),
    told("doctor: all", Mixed, &["doctor"]),
    told("doctor: an app", Mixed, &["doctor late"]),
    error("doctor: unknown app", Mixed, &["doctor nobody"], "usage"),
    told("guard: ok", Mixed, &["guard mail"]),
    error("guard: refused", Mixed, &["guard web"], "refused"),
    error("guard: broken", Mixed, &["guard broken"], "refused"),
    error("guard: unknown app", Mixed, &["guard nobody"], "usage"),
    told("log: all", Mixed, &["log"]),
    told("log: an app", Mixed, &["log web"]),
    told("log: unknown app", Mixed, &["log nobody"]),
    told("usage: never measured", Mixed, &["usage"]),
    told("usage: measured, and put aside", Moved, &["usage"]),
    told("usage: an app", Moved, &["usage mail"]),
    error("usage: unknown app", Mixed, &["usage nobody"], "usage"),
    told("usage: nobody asks", MixedForNobody, &["usage"]),
    told("candidates", Mixed, &["candidates"]),
    told("candidates: nobody asks", MixedForNobody, &["candidates"]),
    told("operation: known", Moved, &["operation {operation}"]),
    error("operation: unknown", Mixed, &["operation 20201123T174301250Z-1a2b3c4d"], "usage").apart(BY_FILE),
    error("operation: no name of one", Mixed, &["operation yesterday"], "usage").apart(BY_FILE),
    told("plan: apply", Mixed, &["plan apply"]),
    told("plan: apply, all refused", Mixed, &["plan apply late"]),
    told("plan: start", Mixed, &["plan start web"]),
    told("plan: start, empty", Mixed, &["plan start mail"]),
    told("plan: stop", Mixed, &["plan stop mail"]),
    told("plan: restart", Mixed, &["plan restart mail"]),
    told("plan: enable", Mixed, &["plan enable web"]),
    told("plan: disable", Mixed, &["plan disable mail"]),
    told("plan: remap", Mixed, &["plan remap mail"]),
    told("plan: import", Mixed, &["plan import late verify=content"]),
    told("plan: move", Mixed, &["plan move mail to=data1 max-downtime=60"]),
    told("plan: reclaim", Moved, &["plan reclaim mail"]),
    told("plan: undo", Moved, &["plan move mail undo="]),
    error("plan: move to an unknown volume", Mixed, &["plan move mail to=data7"], "usage"),
    error("plan: unknown app", Mixed, &["plan stop nobody"], "usage"),
    error("plan: without an app", Mixed, &["plan stop"], "usage").apart(BY_PARSER),
    error("plan: no verb", Mixed, &["plan sleep mail"], "usage").apart(BY_PARSER),
    error("plan: no option", Mixed, &["plan stop mail now="], "usage").apart(BY_PARSER),
    error("plan: an option of another verb", Mixed, &["plan stop mail to=data1"], "usage"),
    error("plan: no value of an option", Mixed, &["plan move mail to=data1 max-downtime=soon"], "usage")
        .apart(BY_PARSER),
    error("bad name: status", Mixed, &["status no/name"], "usage").apart(ITS_HELP),
    error("bad name: guard", Mixed, &["guard no/name"], "usage").apart(ITS_HELP),
    error("bad name: plan", Mixed, &["plan stop no/name"], "usage").apart(ITS_HELP),
    error("bad name: with a NUL", Mixed, &["guard ma\0il"], "usage").apart(NO_ARGUMENT),
    error("bad name: of 1 MiB", Mixed, &["guard {mebibyte}"], "usage").apart(NO_ARGUMENT),
    error("bad name: no UTF-8", Mixed, &["guard {latin}"], "usage").apart(&[(Command, OwnWords), (Rust, Unsayable)]),
    error("root that does not exist", Nowhere, &["status"], "system"),
    told("nobody: status", MixedForNobody, &["status"]),
    told("nobody: plan", MixedForNobody, &["plan stop mail"]),
    error("nobody: guard", MixedForNobody, &["guard mail"], "privilege"),
    error("nobody: keep", MixedForNobody, &["keep stop mail"], "privilege"),
    error("nobody: stop", MixedForNobody, &["run stop mail"], "privilege"),
    error("nobody: log", MixedForNobody, &["log"], "privilege"),
    error("locked: start", Locked("start"), &["run start web"], "locked"),
    told("locked: apply goes on without it", Locked("start"), &["run apply"]),
    // With --yes the command finishes first what was interrupted.
    error("interrupted: apply of a plan", Killed("stop", "umount2"), &["apply stop web"], "interrupted").apart(BY_FILE),
    told("interrupted: start finishes it first", Killed("stop", "umount2"), &["run start web"]),
    told("recover: nothing", Fresh("stop"), &["recover"]).apart(&[(Php, Unsayable)]),
    told("recover: a stop that was killed", Killed("stop", "umount2"), &["recover"]).apart(&[(Php, Unsayable)]),
    told("apply", Fresh("apply"), &["run apply"]),
    told("apply of a plan", Fresh("apply"), &["apply apply web"]),
    told("apply of a plan that was kept", Fresh("stop"), &["keep stop web", "load {id}"]),
    error(
        "apply of a plan on a changed machine",
        Fresh("stop"),
        &["keep stop web", "run stop web", "load {id}"],
        "refused",
    ),
    error("apply of a plan that nobody kept", Mixed, &["load 0123456789abcdef"], "usage"),
    told("start", Fresh("start"), &["run start web"]),
    told("start again", Fresh("start"), &["run start web", "run start web"]),
    told("stop", Fresh("stop"), &["run stop web"]),
    told("restart", Fresh("restart"), &["run restart web"]),
    told("enable", Fresh("enable"), &["run enable web"]),
    told("disable", Fresh("disable"), &["run disable web"]),
    told("remap", Fresh("remap"), &["run remap web"]),
    told("import", Fresh("import"), &["run import mail"]),
    told("import (rename)", Fresh("import (rename)"), &["run import mail verify=content"]),
    told("move", Fresh("move"), &["run move mail to=data1 verify=content max-downtime=60"]),
    told("move and back", Fresh("move"), &["run move mail to=data1", "run move mail undo="]),
    told("undo", Fresh("undo of a move"), &["run move mail undo="]),
    told("undo of an import", Fresh("undo of an import"), &["run move mail undo="]),
    told("reclaim", Fresh("undo of a move"), &["run reclaim mail"]),
    error("move to an unknown volume", Fresh("move"), &["run move mail to=data7"], "usage"),
    error("move: nothing to resume", Fresh("move"), &["run move mail resume="], "refused"),
    error("undo of nothing", Fresh("move"), &["run move mail undo="], "refused"),
];

impl Case {
    /// Whether all surfaces may ask the same machine.
    pub(crate) fn is_shared(&self) -> bool {
        !matches!(self.scene, Fresh(_) | Locked(_) | Killed(..))
    }
}

impl Machine {
    /// Makes it. What is given with it must live as long as it is asked.
    pub(crate) fn set(self) -> (Sandbox, Option<File>) {
        match self {
            Mixed => (mixed(Scene::named("move").set()), None),
            Moved => {
                let sandbox = mixed(Scene::named("undo of a move").set());
                sandbox.datastore(&["usage"]).ok();
                (sandbox, None)
            }
            MixedForNobody => {
                let sandbox = Sandbox::new();
                scenes::applied(&sandbox);
                (mixed(sandbox), None)
            }
            Bare | Nowhere => (Sandbox::in_memory(), None),
            Fresh(scene) => (Scene::named(scene).set(), None),
            Locked(scene) => {
                let sandbox = Scene::named(scene).set();
                let lock = holder::lock(&sandbox, "web");
                (sandbox, Some(lock))
            }
            Killed(scene, call) => {
                let scene = Scene::named(scene);
                let sandbox = scene.set();
                let killed = strace::kill(&sandbox, call, 1, scene.command);
                assert!(killed.hit.is_some(), "`{}` never called {call}", scene.name);
                (sandbox, None)
            }
        }
    }
}

/// One app stopped, one that is broken, one whose mount point has data.
fn mixed(sandbox: Sandbox) -> Sandbox {
    sandbox.datastore(&["stop", "web"]).ok();
    sandbox.configlet("broken", "titel = \"x\"\n[mapping.\"/var/broken\"]\ntarget = \"%{bass}/broken\"\n");
    sandbox.configlet("late", "[mapping.\"/var/late\"]\ntarget = \"%{base}/late\"\n");
    sandbox.write("/var/late/train", "text");
    sandbox
}
