//! `cargo xtask web`: the web page on a server that is thrown away afterwards, with apps and data to try it on.

use crate::failure::Result;
use crate::php;
use crate::repo::{Build, Repo};
use crate::setup;
use crate::tool::Tool;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The port on this machine; any that is free unless given
    #[arg(long)]
    port: Option<u16>,
}

pub(crate) fn run(repo: &Repo, args: &Args) -> Result {
    setup::run(repo)?;
    repo.build_cli(&Build::Debug)?;
    php::build(repo)?;
    repo.cargo(&["build", "--quiet", "--package", "datastore-tests", "--bins"]).run()?;
    Tool::new(repo.target().join("debug/web")).args(args.port.map(|port| port.to_string())).run()
}
