//! What `plan` may be asked for: a verb, with everything that says what it is to do.

use clap::Args;
use datastore_core::Result;
use datastore_core::request::{Asked, Request, app_name};

use super::moving::How;

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

impl Plan {
    /// What the plan is to be made for.
    ///
    /// # Errors
    /// [`datastore_core::ErrorKind::Usage`] if a word is no app's name, a verb that needs an app has none, or an option is of another verb.
    pub(crate) fn asked(self) -> Result<Asked> {
        let mut words = self.words;
        let verb = |word: Option<&String>| word.and_then(|w| Request::VERBS.iter().find(|name| w == *name));
        let (verb, at) = match (verb(words.first()), verb(words.get(1))) {
            (Some(first), _) => (*first, Some(0)),
            (None, Some(second)) => (*second, Some(1)),
            (None, None) => ("apply", None),
        };
        if let Some(at) = at {
            words.remove(at);
        }
        let hint = "datastore plan --help";
        let apps = words.iter().map(|word| app_name(word).map_err(|error| error.hint(hint))).collect::<Result<_>>()?;
        let (accept_store, expired) = (self.accept_store, self.expired);
        let request = Request { accept_store, expired, ..self.how.request(verb, apps) };
        request.asked().map_err(|error| if error.get_hint().is_none() { error.hint(hint) } else { error })
    }
}
