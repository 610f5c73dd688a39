//! The `datastore` command: arguments in, one call of the engine, a view out.
//!
//! The grammar is in [`args`], the verbs are in [`commands`], everything that prints is in [`view`], the pages of the
//! manual are in [`manual`], and what a result means for the exit code is in [`exit`]. No policy lives here.

mod args;
mod commands;
mod exit;
mod manual;
mod place;
mod quick;
mod view;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    if quick::lets_start(&words) {
        return ExitCode::SUCCESS;
    }
    let exit = match args::parse(&words) {
        Ok(cli) => commands::run(cli),
        Err(error) => view::not_understood(&error, args::asks_for_json(&words)),
    };
    exit.into()
}
