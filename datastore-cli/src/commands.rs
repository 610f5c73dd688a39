//! The verbs: each makes one goal or asks one question, and hands the answer to a view.

mod adopt;
mod alarm;
mod apps;
mod change;
mod completions;
mod config;
mod config_import;
mod declaration;
mod init;
mod log;
mod look;
mod man;
mod peek;
mod usage;
mod volume;
mod watch;

use datastore_core::Result;
use datastore_exec::Engine;

use crate::args::{AlarmVerb, Cli, ConfigVerb, Global, Verb, VolumeVerb};
use crate::exit::{Code, Exit};
use crate::view;

/// What all verbs need.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) global: Global,
}

impl Session {
    fn engine(&self) -> Result<Engine> {
        Engine::open(&self.global.root)
    }
}

/// Does what the command line says, prints what came of it, and says what to exit with.
pub(crate) fn run(cli: Cli) -> Code {
    let session = Session { global: cli.global };
    view::hint::with_root(&session.global.root);
    match dispatch(&session, cli.verb) {
        Ok(code) => code,
        Err(error) => {
            view::failed(&error, session.global.json);
            Exit::of(error.kind()).into()
        }
    }
}

fn dispatch(session: &Session, verb: Verb) -> Result<Code> {
    Ok(match verb {
        Verb::Guard(args) => look::guard(session, &args)?.into(),
        Verb::Status(args) => look::status(session, &args.apps)?,
        Verb::Doctor(args) => look::doctor(session, &args.apps)?.into(),
        Verb::Plan(args) => look::plan(session, args)?.into(),
        Verb::Apply(args) => apps::apply(session, args)?.into(),
        Verb::Start(args) => apps::start(session, args)?.into(),
        Verb::Stop(args) => apps::stop(session, args)?.into(),
        Verb::Restart(args) => apps::restart(session, args)?.into(),
        Verb::Enable(args) => apps::enable(session, args)?.into(),
        Verb::Disable(args) => apps::disable(session, args)?.into(),
        Verb::Remap(args) => apps::remap(session, args)?.into(),
        Verb::Recover => apps::recover(session)?.into(),
        Verb::Init(args) => init::init(session, args)?.into(),
        Verb::Adopt(args) => adopt::adopt(session, &args)?.into(),
        Verb::Volume(VolumeVerb::Add(args)) => volume::add(session, args)?.into(),
        Verb::Volume(VolumeVerb::Candidates) => volume::candidates(session)?.into(),
        Verb::Volume(VolumeVerb::List) => volume::list(session)?.into(),
        Verb::Volume(VolumeVerb::Remove { name }) => volume::remove(session, name)?.into(),
        Verb::Watch(args) => watch::watch(session, &args)?.into(),
        Verb::Alarm(AlarmVerb::List) => alarm::list(session)?.into(),
        Verb::Alarm(AlarmVerb::Test) => alarm::test(session)?.into(),
        Verb::Check(args) => config::check(session, args.app.as_ref())?.into(),
        Verb::Config(ConfigVerb::Check(args)) => config::check(session, args.app.as_ref())?.into(),
        Verb::Config(ConfigVerb::Show { app, origin }) => config::show(session, app.as_ref(), origin)?.into(),
        Verb::Config(ConfigVerb::Add) => declaration::add(session)?.into(),
        Verb::Config(ConfigVerb::Remove(args)) => declaration::remove(session, &args.app)?.into(),
        Verb::Config(ConfigVerb::Import { files }) => config_import::import(session, &files)?.into(),
        Verb::Usage(args) => usage::usage(session, &args)?.into(),
        Verb::Peek(args) => peek::peek(session, args)?.into(),
        Verb::Log(args) => log::log(session, args)?.into(),
        Verb::Completions(args) => completions::completions(session, &args)?.into(),
        Verb::Man(args) => man::man(session, &args)?.into(),
        Verb::Import(args) => apps::import(session, args)?.into(),
        Verb::Move(args) => apps::move_to(session, args)?.into(),
        Verb::Reclaim(args) => apps::reclaim(session, args)?.into(),
    })
}
