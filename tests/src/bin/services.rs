//! `services VERB LIMIT NAME...`: services as a move handles them, for tests inside a small system. Prints a line for each answer; a
//! failure ends with 1 and the whole chain.
//!
//! `state`: a line each. `running`: what would be stopped, as JSON, and the remarks. `stop`, `start`: one by one. `around`: finds what
//! runs, stops it, prints the states, starts it again.

use std::process::ExitCode;
use std::time::Duration;

use datastore_core::Error;
use datastore_exec::Root;
use datastore_exec::service::Manager;

#[allow(clippy::print_stderr, reason = "a program of tests")]
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [verb, seconds, names @ ..] = args.as_slice() else {
        eprintln!("usage: services VERB SECONDS NAME...");
        return ExitCode::from(2);
    };
    let limit = Duration::from_secs_f64(seconds.parse().expect("a number of seconds"));
    match run(verb, limit, names) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", complaint(&error));
            ExitCode::FAILURE
        }
    }
}

fn complaint(error: &Error) -> String {
    format!("{:?}: {} [{}]", error.kind(), error.message(), error.get_hint().unwrap_or_default())
}

#[allow(clippy::print_stdout, reason = "a program of tests")]
fn run(verb: &str, limit: Duration, names: &[String]) -> Result<(), Error> {
    let manager = Manager::of(&Root::open("/".as_ref())?)?;
    let states = |when: &str| -> Result<(), Error> {
        for name in names {
            println!("{when}{name} {}", manager.state(name)?);
        }
        Ok(())
    };
    match verb {
        "state" => states(""),
        "stop" => names.iter().try_for_each(|name| {
            println!("{name} {:?}", manager.stop(name, limit)?);
            Ok(())
        }),
        "start" => names.iter().try_for_each(|name| manager.start(name, limit).map(drop)),
        "running" | "around" => {
            let (running, remarks) = manager.running(names)?;
            println!("{}", serde_json::to_string(&running).expect("names"));
            remarks.iter().for_each(|remark| println!("remark {}", remark.detail));
            if verb == "running" {
                return Ok(());
            }
            match manager.stop_all(&running, limit) {
                Ok(remarks) => remarks.iter().for_each(|remark| println!("remark {}", remark.detail)),
                Err(error) => {
                    let down = manager.start_all(&running, limit);
                    states("back ")?;
                    down.iter().filter_map(|(_, up)| up.as_ref().err()).for_each(|error| {
                        println!("still down {}", complaint(error));
                    });
                    return Err(error);
                }
            }
            states("down ")?;
            let down = manager.start_all(&running, limit);
            states("up ")?;
            down.into_iter().try_for_each(|(_, up)| up.map(drop))
        }
        other => panic!("no verb `{other}`"),
    }
}
