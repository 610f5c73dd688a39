//! Asks the engine what a case of the suite `parity` asks: as tests/c/parity.c does, which says how, but as a program in Rust.

#![allow(clippy::print_stdout, reason = "the answer goes to standard output")]

use std::io::Read as _;
use std::path::Path;

use datastore_core::journal::OperationId;
use datastore_core::log::Query;
use datastore_core::plan::PlanId;
use datastore_core::request::{Request, app_name, unparsable};
use datastore_core::value::AppName;
use datastore_core::{Error, ErrorKind, Result};
use datastore_exec::event::{Event, Listener};
use datastore_exec::{Engine, document};
use serde::Serialize;
use serde_json::{Value, json};

/// The kinds of events that there were, each once.
#[derive(Default)]
struct Heard(Vec<&'static str>);

impl Listener for Heard {
    fn event(&mut self, event: &Event<'_>) {
        let name = match event {
            Event::Recovering { .. } => "recovering",
            Event::GivenUp { .. } => "given-up",
            Event::Begin { .. } => "begin",
            Event::Doing { .. } => "doing",
            Event::Done { .. } => "done",
            Event::Walking { .. } => "walking",
            Event::Failed { .. } => "failed",
            Event::End { .. } => "end",
            _ => return,
        };
        if !self.0.contains(&name) {
            self.0.push(name);
        }
    }
}

fn main() {
    let root = std::env::args_os().nth(1).unwrap_or_default();
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("words on standard input");
    let words: Vec<&str> = text.lines().collect();
    let mut heard = Heard::default();
    let answer = match answer(Path::new(&root), &words, &mut heard) {
        Ok(told) => json!({"told": told, "events": heard.0}),
        Err(error) => json!({"error": {
            "kind": error.kind(),
            "errno": error.errno().unwrap_or(0),
            "head": error.message(),
            "message": error.chain(),
            "hint": error.get_hint().unwrap_or_default(),
        }}),
    };
    println!("{answer}");
}

fn told(document: &impl Serialize) -> Result<Value> {
    serde_json::to_value(document).map_err(|why| Error::new(ErrorKind::System, "no JSON").caused_by(why))
}

fn answer(root: &Path, words: &[&str], heard: &mut Heard) -> Result<Value> {
    let engine = Engine::open(root)?;
    let (what, rest) = words.split_first().ok_or_else(|| Error::new(ErrorKind::Usage, "nothing is asked"))?;
    let first = rest.first().copied().unwrap_or_default();
    let names = || rest.iter().map(|word| app_name(word)).collect::<Result<Vec<AppName>>>();
    match *what {
        "status" => told(&engine.status(&names()?)?),
        "doctor" => told(&engine.doctor(&names()?)?),
        "usage" => told(&engine.usage(&names()?)?),
        "candidates" => told(&engine.candidates()?),
        "log" => told(&document::Log { operations: &engine.log(&Query { apps: names()?, ..Query::default() })? }),
        "check" => {
            let app = rest.first().map(|word| app_name(word)).transpose()?;
            told(&document::Diagnostics::of(&engine.config()?.diagnostics_of(app.as_ref())?))
        }
        "guard" => engine.guard(&app_name(first)?).map(|()| Value::Null),
        "operation" => told(&engine.operation(&OperationId::parse(first).map_err(|why| unparsable(first, &why))?)?),
        "recover" => told(&document::Recovered { recovered: &engine.recover(heard)? }),
        "load" => {
            let prepared = engine.load(&PlanId::parse(first).map_err(|why| unparsable(first, &why))?)?;
            told(&engine.apply(prepared, heard)?)
        }
        _ => change(&engine, what, rest, heard),
    }
}

/// What begins with a goal: VERB [APP|OPTION=VALUE...]
fn change(engine: &Engine, what: &str, words: &[&str], heard: &mut Heard) -> Result<Value> {
    let mut request = Request::named(words.first().copied().unwrap_or_default())?;
    for word in words.iter().skip(1) {
        match word.split_once('=') {
            Some((option, value)) => request.set(option, value)?,
            None => request.apps.push(app_name(word)?),
        }
    }
    let goal = engine.goal(request.asked()?)?;
    match what {
        "run" => told(&engine.run(&goal, heard)?),
        "apply" => told(&engine.apply(engine.plan(&goal)?, heard)?),
        _ => {
            let (prepared, keep) = (engine.plan(&goal)?, what == "keep");
            if keep {
                engine.save(&prepared)?;
            }
            told(&document::Plan::of(prepared.plan(), keep))
        }
    }
}
