//! The guard while it looks: whatever call of it fails, no app starts without its data.

#![allow(clippy::print_stderr, reason = "violations belong to the test's output")]

use datastore_rigs::{Effort, Evidence, quietly};
use datastore_tests::{Sandbox, scenes};

use crate::allowed;
use crate::fault::{self, Fault};
use crate::kind;
use crate::stage::Stage;
use crate::trial::{sane, short};

/// A machine on which somebody asks the guard.
struct Question {
    name: &'static str,
    before: fn(&Sandbox),
    /// Whether the data is there.
    is_there: bool,
}

fn whole(_: &Sandbox) {}

fn unbound(sandbox: &Sandbox) {
    sandbox.unmount("/var/spool/mail");
}

fn another_store(sandbox: &Sandbox) {
    sandbox.unmount("/var/spool/mail");
    sandbox.bind("/store/data0/live/server1/html", "/var/spool/mail");
}

fn another_directory(sandbox: &Sandbox) {
    sandbox.unmount("/var/spool/mail");
    sandbox.directory("/srv", 0o755);
    sandbox.bind("/srv", "/var/spool/mail");
}

fn stopped(sandbox: &Sandbox) {
    sandbox.datastore(&["stop", "mail"]).ok();
}

fn covered(sandbox: &Sandbox) {
    sandbox.tmpfs("/var/spool/mail", 1 << 20);
}

fn nameless(sandbox: &Sandbox) {
    rustix::fs::removexattr(sandbox.path("/var/spool/mail"), "trusted.datastore.id").expect("take the identity away");
}

const QUESTIONS: &[Question] = &[
    Question { name: "all is right", before: whole, is_there: true },
    Question { name: "nothing is bound", before: unbound, is_there: false },
    Question { name: "another store is bound", before: another_store, is_there: false },
    Question { name: "another directory is bound", before: another_directory, is_there: false },
    Question { name: "it was stopped", before: stopped, is_there: false },
    Question { name: "something covers it", before: covered, is_there: false },
    Question { name: "the store carries no identity", before: nameless, is_there: false },
];

/// The command.
const GUARD: &[&str] = &["guard", "mail"];

/// Every call of the guard failed, on a machine where the data is there and on others where it is not.
///
/// # Panics
/// If it let somebody start who must not, or kept silent about what it could not see.
pub fn guards() {
    let mut evidence = Evidence::new("calls", "guard", &[7, 10]);
    let mut violations = Vec::new();
    for question in QUESTIONS {
        let sandbox = Sandbox::in_memory();
        scenes::applied(&sandbox);
        (question.before)(&sandbox);
        let stage = Stage::freeze(sandbox);
        let (outcome, calls) = stage.perform(|sandbox| fault::record(sandbox, GUARD, fault::all));
        assert_eq!(outcome.code == Some(0), question.is_there, "{}: {}", question.name, outcome.stderr);
        let most = Effort::asked().of(kind::FEW, kind::ERRNOS.len());
        for (at, met) in calls.iter().enumerate() {
            // Where the data is not there, one errno says as much as another.
            let errnos = kind::ERRNOS.iter().take(most).map(|(errno, _)| *errno).filter(|e| met.errnos.contains(e));
            let few = Effort::asked().of(if question.is_there { 2 } else { 1 }, most);
            for errno in errnos.take(few) {
                evidence.count("runs", 1);
                match asked(&stage, question, at, Fault::Fails(errno)) {
                    Ok(true) => evidence.count("let start", 1),
                    Ok(false) => evidence.count("kept from starting", 1),
                    Err(why) => violations.push(why),
                }
            }
        }
    }
    for why in violations.iter().take(40) {
        eprintln!("- {why}");
    }
    assert!(violations.is_empty(), "{} violations", violations.len());
    evidence.conclude();
}

/// Asks the guard with a fault; whether it lets the app start.
fn asked(stage: &Stage, question: &Question, at: usize, fault: Fault) -> Result<bool, String> {
    let mut when = format!("{}: {fault} call {at}", question.name);
    quietly(|| {
        stage.perform(|sandbox| {
            let ended = fault::put(sandbox, GUARD, fault::all, at, fault);
            let Some(hit) = &ended.hit else { return ended.outcome.code == Some(0) };
            when = format!("{}: {fault} {}", question.name, short(&hit.call.to_string(), sandbox.root()));
            sane(&ended.outcome);
            let lets_start = ended.outcome.code == Some(0);
            assert!(question.is_there || !lets_start, "it lets the app start");
            if lets_start {
                let is_allowed = allowed::entry(hit, fault, sandbox.root()).is_some();
                assert!(is_allowed, "it was passed over without a word");
            } else {
                // Its words may be what could not be written.
                let is_about_files = hit.call.paths().iter().any(|path| path.starts_with(sandbox.root()));
                assert!(!is_about_files || !ended.outcome.stderr.trim().is_empty(), "it says nothing");
            }
            lets_start
        })
    })
    .map_err(|why| format!("{when}: {why}"))
}
