//! What may be said of data that moves.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args};
use datastore_core::goal::Destination;
use datastore_core::moving::{Keep, Verify};
use datastore_core::request::{Request, destination};
use datastore_core::value::AppName;

/// `import`
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The app
    #[arg(value_name = "APP")]
    pub(crate) app: AppName,
    /// How the copy is held against what was there: by all contents (the default below 1 GiB), or by those of a sample.
    /// Names, owners, modes, times, attributes and sizes always are
    #[arg(long, value_name = "HOW", value_parser = verify())]
    pub(crate) verify: Option<Verify>,
}

/// `move`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["to", "undo", "resume", "abort"]))]
pub(crate) struct Move {
    /// The app
    #[arg(value_name = "APP")]
    pub(crate) app: AppName,
    #[command(flatten)]
    pub(crate) how: How,
}

/// What a move is to do.
#[derive(Debug, Args)]
pub(crate) struct How {
    /// Where to: the name of a volume, or a directory on one
    #[arg(long, value_name = "VOLUME|DIR", value_parser = destination)]
    pub(crate) to: Option<Destination>,
    /// Take the last move or import of the app back: what it put aside comes back to its place, and what is there now is put aside
    #[arg(long, conflicts_with_all = ["to", "max_downtime", "verify"])]
    pub(crate) undo: bool,
    /// Which side counts if the data has changed since: as it was then (old), or as it is now (new). Without it `--undo` refuses then
    #[arg(long, value_name = "SIDE", requires = "undo", value_parser = keep())]
    pub(crate) keep: Option<Keep>,
    /// Do again what an import or a move of the app was to do that failed or stopped half-way; what it has copied is used
    #[arg(long, conflicts_with_all = ["to", "max_downtime", "verify", "undo"])]
    pub(crate) resume: bool,
    /// Remove the copy that an import or a move of the app left when it failed or stopped half-way
    #[arg(long, conflicts_with_all = ["to", "max_downtime", "verify", "undo", "resume"])]
    pub(crate) abort: bool,
    /// Go on copying until the services need not be stopped for longer than so many seconds; give up if that cannot be
    #[arg(long, value_name = "SECONDS")]
    pub(crate) max_downtime: Option<u32>,
    /// As for `import`
    #[arg(long, value_name = "HOW", value_parser = verify())]
    pub(crate) verify: Option<Verify>,
}

impl How {
    /// What is asked for by that.
    pub(crate) fn request(self, verb: &str, apps: Vec<AppName>) -> Request {
        let Self { to, undo, keep, resume, abort, max_downtime, verify } = self;
        Request { to, undo, keep, resume, abort, max_downtime, verify, ..Request::new(verb, apps) }
    }
}

/// `reclaim`
#[derive(Debug, Args)]
pub(crate) struct Reclaim {
    /// Only these apps
    #[arg(value_name = "APP")]
    pub(crate) apps: Vec<AppName>,
    /// Only what need not be kept any longer: 30 days after it was put aside
    #[arg(long)]
    pub(crate) expired: bool,
}

/// The words for how a copy is verified.
fn verify() -> impl TypedValueParser<Value = Verify> {
    let words = PossibleValuesParser::new(Verify::ALL.iter().map(|how| how.as_str()));
    words.map(|word| Verify::ALL.iter().copied().find(|how| how.as_str() == word).unwrap_or(Verify::Content))
}

/// The words for the side that counts.
fn keep() -> impl TypedValueParser<Value = Keep> {
    let words = PossibleValuesParser::new(Keep::ALL.iter().map(|side| side.as_str()));
    words.map(|word| Keep::ALL.iter().copied().find(|side| side.as_str() == word).unwrap_or(Keep::Old))
}
