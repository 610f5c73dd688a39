//! Rust, C, PHP and the command say the same: one list of cases, asked of all four, on real mounts. `-- --nocapture` shows the table.

#![allow(clippy::print_stdout, reason = "the table belongs to the test's output")]

mod answer;
mod cases;
mod surface;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;

use datastore_tests::{Sandbox, documents, repository};

use answer::Answer;
use cases::{Apart, CASES, Case, Machine};
use surface::{Place, Surface, Surfaces};

/// What the header defines itself, so that no library is called.
const NO_CALLS: &[&str] = &["datastore_text"];

/// Machines that are asked more than once.
#[derive(Default)]
struct Shared(Vec<(Machine, Sandbox, Option<File>)>);

impl Shared {
    fn get(&mut self, machine: Machine) -> &Sandbox {
        let at = self.0.iter().position(|(of, _, _)| *of == machine).unwrap_or_else(|| {
            let (sandbox, lock) = machine.set();
            self.0.push((machine, sandbox, lock));
            self.0.len() - 1
        });
        &self.0[at].1
    }
}

/// The words of a question.
fn words(question: &str, before: &[Answer], machine: &Sandbox) -> Vec<Vec<u8>> {
    let word = |word: &str| match word {
        "{id}" | "{operation}" => {
            let name = word.trim_matches(['{', '}']);
            let known = before.iter().rev().find_map(|answer| answer.field(name)).or_else(|| last_operation(machine));
            known.unwrap_or_else(|| panic!("{name} of {before:?}")).into_bytes()
        }
        "{mebibyte}" => vec![b'x'; 1 << 20],
        "{latin}" => vec![0xe9, b't', 0xe9],
        plain => plain.as_bytes().to_vec(),
    };
    question.split(' ').map(word).collect()
}

/// The newest operation of a machine.
fn last_operation(machine: &Sandbox) -> Option<String> {
    let names = std::fs::read_dir(machine.path("run/datastore/ops")).ok()?.filter_map(Result::ok);
    let names = names.filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned));
    names.max()
}

/// Asks all questions of a case, and gives the last answer.
fn ask(surfaces: &mut Surfaces, surface: Surface, case: &Case, sandbox: &Sandbox) -> Answer {
    let root = match case.scene {
        Machine::Nowhere => sandbox.path("nowhere"),
        _ => sandbox.root().to_path_buf(),
    };
    let place = Place { sandbox, root, as_nobody: case.scene == Machine::MixedForNobody };
    let mut answers = Vec::new();
    for question in case.asks {
        answers.push(surfaces.ask(surface, &place, &words(question, &answers, sandbox)));
    }
    answers.pop().expect("a case asks something")
}

/// Asks one surface; says what stands in the table, and how it differs from the first.
fn judge(
    surfaces: &mut Surfaces,
    shared: &mut Shared,
    case: &Case,
    surface: Surface,
    first: &mut Option<(Answer, String)>,
) -> Result<&'static str, String> {
    let apart = case.apart_of(surface);
    if apart == Some(Apart::Unsayable) {
        return Ok("-");
    }
    let fresh = (!case.is_shared()).then(|| case.scene.set());
    let sandbox = match &fresh {
        Some((sandbox, _lock)) => sandbox,
        None => shared.get(case.scene),
    };
    let answer = ask(surfaces, surface, case, sandbox);
    if answer.kind() != case.comes_to {
        return Err(format!("{:?} was wanted: {answer:#?}", case.comes_to));
    }
    if apart == Some(Apart::OwnWords) {
        return Ok("own words");
    }
    // What holds afterwards, too.
    let after = match case.scene {
        Machine::Bare | Machine::Nowhere => String::new(),
        _ => format!("{:#?}", sandbox.rows()),
    };
    let Some((wanted, wanted_after)) = first else {
        *first = Some((answer, after));
        return Ok("ok");
    };
    if let Some(difference) = wanted.difference(&answer, apart) {
        return Err(difference);
    }
    if *wanted_after == after { Ok("ok") } else { Err(format!("afterwards: {wanted_after} and {after}")) }
}

#[test]
fn four_surfaces_say_the_same() {
    let (mut surfaces, mut shared) = (Surfaces::build(), Shared::default());
    let mut table = format!("{:<45}", "case");
    Surface::ALL.iter().for_each(|surface| write!(table, " {:<9}", surface.name()).expect("a string"));
    let mut wrong = Vec::new();
    for case in CASES {
        write!(table, "\n{:<45}", case.name).expect("a string");
        let mut first = None;
        for &surface in Surface::ALL {
            let verdict = judge(&mut surfaces, &mut shared, case, surface, &mut first);
            write!(table, " {:<9}", verdict.as_ref().map_or("DIFFERS", |verdict| *verdict)).expect("a string");
            if let Err(why) = verdict {
                wrong.push(format!("{}, {}: {why}", case.name, surface.name()));
            }
        }
    }
    println!("{table}\n{} cases", CASES.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));

    let header = std::fs::read_to_string(repository("include/datastore.h")).expect("the header");
    let mut unused = documents::declared(&header);
    unused.retain(|name| !surfaces.functions.contains(name) && !NO_CALLS.contains(&name.as_str()));
    assert_eq!(unused, BTreeSet::new(), "functions that no case leads to");
    let methods = surfaces.methods_there_are();
    assert_eq!(
        methods.difference(&surfaces.methods).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "methods without a case"
    );
    assert!(methods.len() > 15);
}

#[test]
fn fields_come_in_the_same_order() {
    let (mut surfaces, mut shared) = (Surfaces::build(), Shared::default());
    let sandbox = shared.get(Machine::Mixed);
    let place = Place { sandbox, root: sandbox.root().to_path_buf(), as_nobody: false };
    for question in ["status", "plan apply"] {
        let words = words(question, &[], sandbox);
        let [c, php, command] =
            [Surface::C, Surface::Php, Surface::Command].map(|surface| surfaces.ask(surface, &place, &words).fields());
        assert!(command.len() > 20, "{question}: {command:?}");
        assert!(c == command && php == command, "{question}: {command:?}, {c:?}, {php:?}");
    }
}
