//! What somebody asks for, in words: a verb, apps, options. The command, the C library and what is built on it read them here.

use crate::error::{Error, ErrorKind, Result};
use crate::goal::{self, Apps, Destination, Goal};
use crate::moving::{Keep, Verify};
use crate::path::AbsPath;
use crate::value::{AppName, VolumeName};

/// A verb with what was said beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The verb, one of [`Request::VERBS`].
    pub verb: String,
    /// The apps; each counts once.
    pub apps: Vec<AppName>,
    /// Store directories are taken as they are (`accept-store`).
    pub accept_store: bool,
    /// Only what need not be kept any longer (`expired`).
    pub expired: bool,
    /// Where to move (`to`).
    pub to: Option<Destination>,
    /// The way back (`undo`).
    pub undo: bool,
    /// Which side counts then (`keep`).
    pub keep: Option<Keep>,
    /// Again what stopped half-way (`resume`).
    pub resume: bool,
    /// The copy that nothing came of is removed (`abort`).
    pub abort: bool,
    /// How many seconds services may be down (`max-downtime`).
    pub max_downtime: Option<u32>,
    /// How a copy is compared (`verify`).
    pub verify: Option<Verify>,
}

/// What a request comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// This.
    Goal(Goal),
    /// Whatever import or move of this app stopped half-way: the journals tell which.
    Resume(AppName),
}

impl Request {
    /// The verbs that are requests about apps.
    pub const VERBS: &[&str] =
        &["apply", "start", "stop", "restart", "enable", "disable", "remap", "import", "move", "reclaim"];
    /// The options, as words.
    pub const OPTIONS: &[&str] =
        &["accept-store", "expired", "to", "undo", "keep", "resume", "abort", "max-downtime", "verify"];

    /// A verb about apps, without options.
    #[must_use]
    pub fn new(verb: &str, apps: Vec<AppName>) -> Self {
        Self { verb: verb.into(), apps, ..Self::default() }
    }

    /// The same of a verb that somebody has written.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for one that is none of these.
    pub fn named(verb: &str) -> Result<Self> {
        if Self::VERBS.contains(&verb) {
            return Ok(Self::new(verb, Vec::new()));
        }
        Err(wrong(format!("`{verb}` is no verb about apps")).hint(format!("there are: {}", Self::VERBS.join(", "))))
    }

    /// Sets an option by its word. Those that take no value ignore it.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for an option that does not exist, or a value that makes no sense.
    pub fn set(&mut self, option: &str, value: &str) -> Result<()> {
        let wrong = |why: String| wrong(format!("`{value}` cannot be the value of `{option}`: {why}"));
        match option {
            "accept-store" => self.accept_store = true,
            "expired" => self.expired = true,
            "undo" => self.undo = true,
            "resume" => self.resume = true,
            "abort" => self.abort = true,
            "to" => self.to = Some(destination(value).map_err(wrong)?),
            "keep" => self.keep = Some(word(Keep::ALL, Keep::as_str, value).map_err(wrong)?),
            "verify" => self.verify = Some(word(Verify::ALL, Verify::as_str, value).map_err(wrong)?),
            "max-downtime" => {
                self.max_downtime = Some(value.parse().map_err(|_| wrong("a number of seconds is wanted".into()))?);
            }
            _ => {
                let hint = format!("there are: {}", Self::OPTIONS.join(", "));
                return Err(self::wrong(format!("there is no option `{option}`")).hint(hint));
            }
        }
        Ok(())
    }

    /// The goal.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for a verb that is none of these, one that needs an app and has none, or options that it cannot take.
    pub fn asked(self) -> Result<Asked> {
        Self::named(&self.verb)?;
        let verb = self.verb.as_str();
        if self.apps.is_empty() && !matches!(verb, "apply" | "reclaim") {
            return Err(wrong(format!("`{verb}` needs the name of an app")));
        }
        self.demand_own_options()?;
        let apps = Apps { accept: self.accept_store, ..Apps::named(self.apps.clone()) };
        Ok(Asked::Goal(match verb {
            "start" => Goal::Start(apps),
            "stop" => Goal::Stop(apps),
            "restart" => Goal::Restart(apps),
            "enable" => Goal::Enable(apps),
            "disable" => Goal::Disable(apps),
            "remap" => Goal::Remap(apps),
            "import" => Goal::Import(goal::Import { apps, verify: self.verify }),
            "reclaim" => Goal::Reclaim(goal::Reclaim { apps, expired: self.expired }),
            "move" => return self.moving(apps),
            _ => Goal::Apply(apps),
        }))
    }

    /// What a move is to do: one of four things.
    fn moving(self, apps: Apps) -> Result<Asked> {
        let [app] = &apps.names[..] else { return Err(wrong("`move` takes one app".into())) };
        let said = [self.to.is_some(), self.undo, self.resume, self.abort].into_iter().filter(|said| *said).count();
        if said != 1 {
            return Err(wrong("`move` needs one of `to`, `undo`, `resume` and `abort`".into()));
        }
        let with_to = self.to.is_some() || self.max_downtime.is_none() && self.verify.is_none();
        if !with_to || self.keep.is_some() && !self.undo {
            return Err(wrong("`max-downtime` and `verify` belong to `to`, and `keep` to `undo`".into()));
        }
        Ok(match self.to {
            Some(to) => {
                let (max_downtime, verify) = (self.max_downtime, self.verify);
                Asked::Goal(Goal::Move(goal::Move { apps, to, max_downtime, verify }))
            }
            None if self.resume => Asked::Resume(app.clone()),
            None if self.undo => Asked::Goal(Goal::Undo(goal::Undo { apps, keep: self.keep })),
            None => Asked::Goal(Goal::Abort(apps)),
        })
    }

    /// Refuses options of other verbs.
    fn demand_own_options(&self) -> Result<()> {
        let given: [(&str, bool, &[&str]); 9] = [
            ("accept-store", self.accept_store, &["apply", "start"]),
            ("expired", self.expired, &["reclaim"]),
            ("to", self.to.is_some(), &["move"]),
            ("undo", self.undo, &["move"]),
            ("keep", self.keep.is_some(), &["move"]),
            ("resume", self.resume, &["move"]),
            ("abort", self.abort, &["move"]),
            ("max-downtime", self.max_downtime.is_some(), &["move"]),
            ("verify", self.verify.is_some(), &["import", "move"]),
        ];
        for (option, is_given, verbs) in given {
            if is_given && !verbs.contains(&self.verb.as_str()) {
                let what = format!("`{}` cannot take `{option}`", self.verb);
                return Err(wrong(what).hint(format!("only {} can", verbs.join(" and "))));
            }
        }
        Ok(())
    }
}

/// A path begins with `/`, the name of a volume does not.
///
/// # Errors
/// A sentence on why it is neither.
pub fn destination(text: &str) -> std::result::Result<Destination, String> {
    if text.starts_with('/') {
        AbsPath::parse(text).map(Destination::Directory).map_err(|e| e.to_string())
    } else {
        VolumeName::parse(text).map(Destination::Volume).map_err(|e| e.to_string())
    }
}

/// The name of an app that somebody has written.
///
/// # Errors
/// [`ErrorKind::Usage`] if it cannot be one.
pub fn app_name(text: &str) -> Result<AppName> {
    AppName::parse(text).map_err(|why| unparsable(text, &why))
}

/// That a text is not what it should be, and why.
#[must_use]
pub fn unparsable(text: &str, why: &dyn std::fmt::Display) -> Error {
    let (shown, why) = (text.chars().take(100).collect::<String>(), why.to_string());
    // Some reasons name it themselves.
    wrong(if why.starts_with(&format!("`{text}`")) { why } else { format!("`{shown}`: {why}") })
}

fn word<T: Copy>(all: &[T], as_str: fn(T) -> &'static str, text: &str) -> std::result::Result<T, String> {
    let words = || all.iter().map(|one| as_str(*one)).collect::<Vec<_>>().join(" or ");
    all.iter().copied().find(|one| as_str(*one) == text).ok_or_else(|| format!("{} is wanted", words()))
}

fn wrong(what: String) -> Error {
    Error::new(ErrorKind::Usage, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Result<Request> {
        let mut words = line.split(' ');
        let mut request = Request::new(words.next().unwrap(), Vec::new());
        for word in words {
            match word.strip_prefix("--") {
                Some(option) => {
                    let (name, value) = option.split_once('=').unwrap_or((option, ""));
                    request.set(name, value)?;
                }
                None => request.apps.push(AppName::parse(word).unwrap()),
            }
        }
        Ok(request)
    }

    #[test]
    fn requests_come_to_goals() {
        for (line, goal) in [
            ("apply", "apply"),
            ("apply a b a --accept-store", "apply a b --accept-store"),
            ("stop a", "stop a"),
            ("import a --verify=content", "import a --verify content"),
            ("reclaim --expired", "reclaim --expired"),
            (
                "move a --to=data1 --max-downtime=5 --verify=sample",
                "move a --to data1 --max-downtime 5 --verify sample",
            ),
            ("move a --to=/store/data1/x", "move a --to /store/data1/x"),
            ("move a --undo --keep=old", "move a --undo --keep old"),
            ("move a --abort", "move a --abort"),
        ] {
            let Asked::Goal(asked) = request(line).unwrap().asked().unwrap() else { panic!("{line}") };
            assert_eq!(asked.to_string(), goal, "{line}");
        }
        assert_eq!(request("move a --resume").unwrap().asked().unwrap(), Asked::Resume("a".parse().unwrap()));
    }

    #[test]
    fn what_is_no_name_is_told_once() {
        assert!(app_name("no/name").unwrap_err().message().starts_with("`no/name`: the app name contains '/'"));
        assert_eq!(unparsable("x", &"`x` is no plan").message(), "`x` is no plan");
        let long = app_name(&"x".repeat(70_000)).unwrap_err();
        assert!(long.message().len() < 200, "{}", long.message());
    }

    #[test]
    fn every_verb_is_a_goal_of_that_name() {
        for verb in Request::VERBS {
            let line = if *verb == "move" { "move a --to=data1".into() } else { format!("{verb} a") };
            let Asked::Goal(goal) = request(&line).unwrap().asked().unwrap() else { panic!("{line}") };
            assert_eq!(goal.verb(), *verb);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "sleep a",
            "stop",
            "stop a --accept-store",
            "start a --verify=content",
            "import a --expired",
            "import a --max-downtime=5",
            "move a",
            "move a b --to=data1",
            "move a --to=data1 --undo",
            "move a --undo --verify=content",
            "move a --to=data1 --keep=old",
        ] {
            let refused = request(line).unwrap().asked();
            assert_eq!(refused.expect_err(line).kind(), ErrorKind::Usage, "{line}");
        }
        for line in
            ["move a --to=a/b", "move a --keep=both", "import a --verify=", "move a --max-downtime=-1", "stop a --now"]
        {
            assert_eq!(request(line).expect_err(line).kind(), ErrorKind::Usage, "{line}");
        }
        for option in Request::OPTIONS {
            let known = Request::default().set(option, "old").err().is_none_or(|e| !e.message().contains("no option"));
            assert!(known, "{option}");
        }
    }
}
