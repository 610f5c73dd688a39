//! Hooks: programs that run before and after the binds of an app, as the configuration names them and as a plan runs them.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::path::{AbsPath, PathError};
use crate::value::{AppName, HostName, VolumeName};

/// How many seconds a hook may take where nothing else is configured.
pub const USUAL_SECONDS: u32 = 300;
/// The most that can be configured: a day.
pub const MOST_SECONDS: u32 = 86_400;

/// A hook, as a configlet names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The program.
    pub program: AbsPath,
    /// Whether it may be missing: written with a `-` before the path, as systemd.exec(5) has it for `EnvironmentFile=`.
    pub optional: bool,
}

impl Hook {
    /// Reads `/path`, or `-/path` for one that may be missing.
    ///
    /// # Errors
    /// What is wrong with the path.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let path = text.strip_prefix('-');
        Ok(Self { program: AbsPath::parse(path.unwrap_or(text))?, optional: path.is_some() })
    }
}

/// As a configlet has it.
impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.optional { "-" } else { "" }, self.program)
    }
}

/// The hooks of an app, or of one mapping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Before.
    pub premount: Option<Hook>,
    /// After.
    pub postmount: Option<Hook>,
}

impl Hooks {
    /// The one that runs at this time.
    #[must_use]
    pub fn at(&self, when: When) -> Option<&Hook> {
        match when {
            When::Premount => self.premount.as_ref(),
            When::Postmount => self.postmount.as_ref(),
        }
    }
    /// Those that are named.
    pub fn iter(&self) -> impl Iterator<Item = (When, &Hook)> {
        [When::Premount, When::Postmount].into_iter().filter_map(|when| Some((when, self.at(when)?)))
    }
}

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Before the bind.
    Premount,
    /// After it.
    Postmount,
}

/// What a hook runs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Once for all binds of its app.
    App,
    /// Once for one mapping.
    Mapping,
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Premount => "premount",
            Self::Postmount => "postmount",
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::App => "app",
            Self::Mapping => "mapping",
        })
    }
}

/// One run of a hook, with nothing left to decide. It gets no arguments: a configlet can give none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookRun {
    /// The program.
    pub program: AbsPath,
    /// Before or after the binds.
    pub when: When,
    /// For the app or for one mapping.
    pub scope: Scope,
    /// The app.
    pub app: AppName,
    /// The host that presents the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// How long it may take, in seconds.
    pub seconds: u32,
    /// The binds of this plan that it runs for, by mount point.
    pub binds: Vec<HookBind>,
}

/// A bind that a hook runs for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookBind {
    /// The mapping, by its number in the plan.
    pub mapping: u32,
    /// The mount point.
    pub mount_point: AbsPath,
    /// The store directory.
    pub store: AbsPath,
    /// The volume.
    pub volume: VolumeName,
    /// Whether the store directory was made by this plan, or by the interrupted operation that it finishes.
    pub new_store: bool,
}

impl HookRun {
    /// What the hook is told in its environment, besides `PATH` and `LC_ALL`. Binds of mappings in `without` have failed and are
    /// left out; `None` if none remains, so that there is nothing to run for.
    ///
    /// A hook of an app gets lists, one item a line and all in one order; a path from the configuration has no newline.
    #[must_use]
    pub fn environment(&self, without: &HashSet<u32>) -> Option<Vec<(&'static str, String)>> {
        let binds: Vec<&HookBind> = self.binds.iter().filter(|b| !without.contains(&b.mapping)).collect();
        if binds.is_empty() {
            return None;
        }
        let list = |of: &dyn Fn(&HookBind) -> String| binds.iter().map(|b| of(b)).collect::<Vec<_>>().join("\n");
        let path = |path: &AbsPath| path.to_str().map_or_else(|| path.to_string(), str::to_owned);
        Some(vec![
            ("DATASTORE_HOOK", self.when.to_string()),
            ("DATASTORE_SCOPE", self.scope.to_string()),
            ("DATASTORE_APP", self.app.to_string()),
            ("DATASTORE_HOST", self.host.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("DATASTORE_MOUNT_POINT", list(&|b| path(&b.mount_point))),
            ("DATASTORE_STORE", list(&|b| path(&b.store))),
            ("DATASTORE_VOLUME", list(&|b| b.volume.to_string())),
            ("DATASTORE_NEW_STORE", list(&|b| u8::from(b.new_store).to_string())),
        ])
    }
}

/// "the premount hook /x of `shop`".
impl fmt::Display for HookRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} hook {} of `{}`", self.when, self.program, self.app)?;
        match (self.scope, self.binds.first()) {
            (Scope::Mapping, Some(bind)) => write!(f, " for {}", bind.mount_point),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_that_may_be_missing_has_a_dash() {
        let hook = Hook::parse("-/usr/lib/x").unwrap();
        assert_eq!((hook.program.to_string().as_str(), hook.optional), ("/usr/lib/x", true));
        assert_eq!(hook.to_string(), "-/usr/lib/x");
        assert_eq!(Hook::parse("/x").unwrap().to_string(), "/x");
        for wrong in ["x", "--/x", "- /x", "-", "", "/x\n/y"] {
            assert!(Hook::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn lists_have_one_item_a_line_without_those_that_failed() {
        let bind = |mapping, mount_point: &'static str, new_store| HookBind {
            mapping,
            mount_point: AbsPath::literal(mount_point),
            store: AbsPath::literal("/store/data0/live/h").child(&mapping.to_string()),
            volume: "data0".parse().unwrap(),
            new_store,
        };
        let run = HookRun {
            program: AbsPath::literal("/hook"),
            when: When::Premount,
            scope: Scope::App,
            app: "shop".parse().unwrap(),
            host: Some("h".parse().unwrap()),
            seconds: 1,
            binds: vec![bind(0, "/a b", true), bind(1, "/c", false), bind(2, "/d", true)],
        };
        let told = run.environment(&HashSet::from([1])).unwrap();
        let of = |name| told.iter().find(|(n, _)| *n == name).unwrap().1.as_str();
        assert_eq!(of("DATASTORE_MOUNT_POINT"), "/a b\n/d");
        assert_eq!(of("DATASTORE_STORE"), "/store/data0/live/h/0\n/store/data0/live/h/2");
        assert_eq!(of("DATASTORE_NEW_STORE"), "1\n1");
        assert_eq!((of("DATASTORE_HOOK"), of("DATASTORE_SCOPE"), of("DATASTORE_HOST")), ("premount", "app", "h"));
        assert!(run.environment(&HashSet::from([0, 1, 2])).is_none());
    }
}
