//! What `plan` may be asked for: a verb, with everything that says what it is to do.

use clap::Args;
use datastore_core::goal::{self, Goal};
use datastore_core::value::AppName;
use datastore_core::{Error, ErrorKind, Result};

use super::apps;
use super::moving::{How, Move};

/// The verbs that `plan` can show.
pub(crate) const PLANNED: &[&str] =
    &["apply", "start", "stop", "restart", "enable", "disable", "remap", "import", "move", "reclaim"];

/// `plan`
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// A verb (apply, start, stop, restart, enable, disable, remap, import, move, reclaim; apply unless given), then apps
    #[arg(value_name = "VERB|APP")]
    words: Vec<String>,
    /// Keep the plan, to be applied later by its id
    #[arg(long)]
    pub(crate) save: bool,
    /// As for `apply` and `start`
    #[arg(long)]
    accept_store: bool,
    /// As for `reclaim`
    #[arg(long)]
    expired: bool,
    #[command(flatten, next_help_heading = "As for `move` (and --verify for `import`)")]
    how: How,
}

/// What is to be planned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// This.
    Goal(Goal),
    /// What `move` comes to with these words.
    Move(Move),
}

impl Plan {
    /// What the plan is to be made for.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if a word is no app's name, a verb that needs an app has none, or an option is of another verb.
    pub(crate) fn asked(self) -> Result<Asked> {
        let wrong = |what: String| Error::new(ErrorKind::Usage, what);
        let mut words = self.words;
        let verb = |word: Option<&String>| word.and_then(|w| PLANNED.iter().find(|name| w == *name));
        let (name, at) = match (verb(words.first()), verb(words.get(1))) {
            (Some(first), _) => (*first, Some(0)),
            (None, Some(second)) => (*second, Some(1)),
            (None, None) => ("apply", None),
        };
        if let Some(at) = at {
            words.remove(at);
        }
        let names = words
            .iter()
            .map(|word| AppName::parse(word).map_err(|why| wrong(why.to_string()).hint("datastore plan --help")));
        let mut names = names.collect::<Result<Vec<_>>>()?;
        if names.is_empty() && !matches!(name, "apply" | "reclaim") {
            return Err(
                wrong(format!("`plan {name}` needs the name of an app")).hint(format!("datastore plan {name} APP"))
            );
        }
        let options: [(&[&str], Option<&str>); 4] = [
            (&["apply", "start"], self.accept_store.then_some("--accept-store")),
            (&["reclaim"], self.expired.then_some("--expired")),
            (&["import", "move"], self.how.verify.map(|_| "--verify")),
            (&["move"], self.how.of_move()),
        ];
        for (verbs, given) in options {
            if let Some(option) = given.filter(|_| !verbs.contains(&name)) {
                let only = verbs.join(" and ");
                return Err(wrong(format!("`plan {name}` cannot take {option}")).hint(format!("only {only} can")));
            }
        }
        if name == "move" {
            let app = names.remove(0);
            if !names.is_empty() {
                return Err(wrong("`plan move` takes one app".into()).hint("datastore plan move APP --to VOLUME|DIR"));
            }
            if !self.how.is_said() {
                let what = "`plan move` needs --to, --undo, --resume or --abort";
                return Err(wrong(what.into()).hint("datastore plan move APP --to VOLUME|DIR"));
            }
            return Ok(Asked::Move(Move { app, how: self.how }));
        }
        let apps = apps(names, self.accept_store);
        Ok(Asked::Goal(match name {
            "start" => Goal::Start(apps),
            "stop" => Goal::Stop(apps),
            "restart" => Goal::Restart(apps),
            "enable" => Goal::Enable(apps),
            "disable" => Goal::Disable(apps),
            "remap" => Goal::Remap(apps),
            "import" => Goal::Import(goal::Import { apps, verify: self.how.verify }),
            "reclaim" => Goal::Reclaim(goal::Reclaim { apps, expired: self.expired }),
            _ => Goal::Apply(apps),
        }))
    }
}
