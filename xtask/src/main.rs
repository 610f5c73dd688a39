//! Everything that a developer does with the repository: `cargo xtask help`.
//!
//! One module for each command, named like it; [`tool`] runs programs, [`repo`] knows where things lie.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for developers talks on the terminal")]

mod bench;
mod book;
mod check;
mod demo;
mod failure;
mod fuzz;
mod install;
mod older;
mod package;
mod php;
mod prove;
mod repo;
mod setup;
mod test;
mod tool;
mod web;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use repo::Repo;

/// Everything that a developer does with the repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what the other commands need (Debian packages, cargo-nextest, cargo-deny, mdbook), where it is missing
    Setup,
    /// Everything that a commit must pass: setup, format, lints, licences, tests, documentation, generated files, fuzz corpora
    Test,
    /// Everything that takes minutes, with what it counted, in docs/proof.md; goes on where it was stopped (needs root)
    Prove(prove::Args),
    /// Generated files are fresh, links lead somewhere, versions agree, no file has grown too long
    Check(check::Args),
    /// Makes pages for a browser of the book in docs/, and says where they are
    Book,
    /// A tour on real mounts in a throwaway root; the machine stays as it was
    Demo(demo::Args),
    /// Speed beside other programs, with the bounds that we promise (needs root); `binds`, `copies`, `delta`, `writer`, `php` for one series
    Bench(bench::Args),
    /// Builds the PHP extension and runs its own tests (needs root)
    Php(php::Args),
    /// Builds and installs everything below a directory, for packages: command, library, header, manual, completions, PHP extension
    Install(install::Args),
    /// Makes packages, .deb and .rpm, in target/packages, and has lintian and rpmlint look at them
    Package(package::Args),
    /// Shows the web page on a server that is thrown away afterwards (needs root)
    Web(web::Args),
    /// Runs a fuzz target for a while; without a target, lists them
    Fuzz(fuzz::Args),
}

fn main() -> ExitCode {
    let result = Repo::find().and_then(|repo| match Cli::parse().command {
        Command::Setup => setup::run(&repo),
        Command::Test => test::run(&repo),
        Command::Php(args) => php::run(&repo, &args),
        Command::Prove(args) => prove::run(&repo, &args),
        Command::Check(args) => check::run(&repo, &args),
        Command::Book => book::run(&repo),
        Command::Demo(args) => demo::run(&repo, &args),
        Command::Bench(args) => bench::run(&repo, &args),
        Command::Install(args) => install::run(&repo, &args).map(drop),
        Command::Package(args) => package::run(&repo, &args),
        Command::Web(args) => web::run(&repo, &args),
        Command::Fuzz(args) => fuzz::run(&repo, &args),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_that_is_written_about_exists() {
        let repo = Repo::find().unwrap();
        let mut found = 0;
        for file in repo.files().unwrap().into_iter().filter(|file| file.extension().is_some_and(|e| e == "md")) {
            let text = repo.read(&file).unwrap();
            for code in text.split(['`', '\n']) {
                let code = code.trim_start_matches("$ ").split('#').next().unwrap_or_default();
                let Some(words) = code.strip_prefix("cargo xtask ") else { continue };
                let parsed = Cli::try_parse_from(["cargo xtask"].into_iter().chain(words.split_whitespace()));
                // `help` is an error to clap, which is printed and ends well.
                let understood = parsed.map_or_else(|error| error.exit_code() == 0, |_| true);
                assert!(understood, "{}: `cargo xtask {words}`", file.display());
                found += 1;
            }
        }
        assert!(found > 5, "{found} commands were found");
    }
}
