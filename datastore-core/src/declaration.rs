//! What a program without privilege may ask for: one app with its mappings, as one JSON document. The web pages of ClearOS send it to
//! `datastore config add`, which writes a configlet of it.
//!
//! A document can say nothing but names, paths, modes and owners: no field of it is a hook, a service or an option, and none will be.
//! What of that may be done at all is root's [`Policy`], and how it is held against the machine is
//! [`plan::declaration`](crate::plan::declaration).

mod layer;
mod policy;
mod text;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::path::AbsPath;
use crate::value::{AppName, Mode, OwnerName, VolumeName};

pub use layer::{lay, lift};
pub use policy::Policy;
pub use text::{Written, written};

/// A document is no longer.
pub const MOST_BYTES: usize = 64 << 10;
/// An app has no more mappings.
pub const MOST_MAPPINGS: usize = 32;
/// No more apps are declared so.
pub const MOST_APPS: usize = 200;
/// A title has no more characters.
const MOST_TITLE: usize = 200;
/// How every target begins.
const BASE: &str = "%{base}";

/// One app, as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declaration {
    /// Its name.
    pub app: AppName,
    /// What people call it.
    pub title: Option<String>,
    /// Its mappings, in the order of the document.
    pub mappings: Vec<Declared>,
}

/// One mapping, as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// The mount point.
    pub mount_point: AbsPath,
    /// The store directory, as a path below `%{base}`: it cannot lead anywhere else.
    pub target: AbsPath,
    /// The mode of the store directory.
    pub permissions: Mode,
    /// Its owner.
    pub owner: OwnerName,
    /// Its group.
    pub group: OwnerName,
    /// Its volume, if one was named.
    pub volume: Option<VolumeName>,
}

/// The document. A field that is not here is refused by its name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    app: String,
    #[serde(default)]
    title: Option<String>,
    mappings: Vec<Item>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    mount_point: String,
    #[serde(default)]
    target: Option<String>,
    #[serde(default)]
    permissions: Option<String>,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    volume: Option<String>,
}

impl Declaration {
    /// Reads a document.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if it is no document, or a value of it is none of its kind; [`ErrorKind::Refused`] for what no policy allows.
    pub fn parse(document: &[u8]) -> Result<Self> {
        if document.len() > MOST_BYTES {
            let what = format!("the document has more than {} KiB", MOST_BYTES >> 10);
            return Err(Error::new(ErrorKind::Usage, format!("{what}; nothing has been changed")));
        }
        let document: Document = serde_json::from_slice(document).map_err(|why| {
            Error::new(ErrorKind::Usage, format!("the document cannot be understood: {why}; nothing has been changed"))
                .hint("it is one JSON object, such as {\"app\": \"photos\", \"mappings\": [{\"mount_point\": \"/srv/photos\"}]}")
        })?;
        let app = AppName::parse(&document.app).map_err(|why| wrong("app", why))?;
        let title = document.title.filter(|title| !title.is_empty());
        if let Some(title) = &title {
            demand_title(title)?;
        }
        let mut mappings: Vec<Declared> = Vec::new();
        if document.mappings.is_empty() {
            return Err(wrong("mappings", "there is none"));
        }
        if document.mappings.len() > MOST_MAPPINGS {
            let what = format!("`{app}` has more than {MOST_MAPPINGS} mappings");
            return Err(refused(what, "declare several apps, or let root write the configlet"));
        }
        for item in document.mappings {
            let mapping = item.check(&app)?;
            if mappings.iter().any(|m| m.mount_point == mapping.mount_point) {
                return Err(wrong("mount_point", format!("{} is named twice", mapping.mount_point)));
            }
            mappings.push(mapping);
        }
        Ok(Self { app, title, mappings })
    }

    /// Where its configlet lies.
    #[must_use]
    pub fn file(&self) -> String {
        file_of(&self.app)
    }
}

/// Where the configlet of an app lies.
#[must_use]
pub fn file_of(app: &AppName) -> String {
    format!("{}/{app}.conf", crate::config::CONFIGLETS)
}

impl Item {
    fn check(self, app: &AppName) -> Result<Declared> {
        let mount_point = AbsPath::parse(&self.mount_point)
            .map_err(|why| wrong("mount_point", format!("{why}: `{}`", self.mount_point.escape_debug())))?;
        if mount_point.is_root() {
            return Err(refused("nothing may be mounted on `/`", "choose another mount point"));
        }
        let at = |field: &str, why: String| wrong(field, format!("{why} ({mount_point})"));
        let root = || OwnerName::parse("root").expect("a valid name");
        let owner = |field: &str, given: Option<String>| match given {
            None => Ok(root()),
            Some(name) => OwnerName::parse(&name).map_err(|why| at(field, why.to_string())),
        };
        let permissions = match &self.permissions {
            None => Mode::from_bits(0o755),
            Some(mode) => Mode::parse(mode).map_err(|why| at("permissions", why.to_string()))?,
        };
        let volume = match &self.volume {
            None => None,
            Some(name) => Some(VolumeName::parse(name).map_err(|why| at("volume", why.to_string()))?),
        };
        let target = match &self.target {
            Some(target) => target_of(target)?,
            None => usual_target(app, &mount_point)?,
        };
        let (owner, group) = (owner("owner", self.owner)?, owner("group", self.group)?);
        Ok(Declared { mount_point, target, permissions, owner, group, volume })
    }
}

/// The path below `%{base}` that a target names.
fn target_of(text: &str) -> Result<AbsPath> {
    let refuse = |why: &str| {
        Err(refused(
            format!("the target `{}` {why}", text.escape_debug()),
            "leave `target` out, or let it begin with %{base}/ and go on with plain names",
        ))
    };
    let Some(rest) = text.strip_prefix(BASE).filter(|rest| rest.starts_with('/')) else {
        return refuse("does not begin with %{base}/");
    };
    if rest.contains('%') {
        return refuse("has another expansion than %{base}");
    }
    match AbsPath::parse(rest) {
        Ok(path) if path.is_root() => refuse("is the base itself"),
        Ok(path) => Ok(path),
        Err(why) => refuse(&format!("cannot be used: {why}")),
    }
}

/// The store directory of a mapping that names none: `photos` for /srv/photos of the app `photos`, else `photos-raw` and the like. It does
/// not depend on other mappings, so that one which is added later moves nothing.
fn usual_target(app: &AppName, mount_point: &AbsPath) -> Result<AbsPath> {
    let last = std::str::from_utf8(mount_point.file_name()).unwrap_or("%");
    let name = if last == app.as_str() { last.to_owned() } else { format!("{app}-{last}") };
    AbsPath::parse(format!("/{name}")).ok().filter(|_| !last.contains('%')).ok_or_else(|| {
        let what = format!("no store directory can be called after {mount_point}");
        refused(what, "say which it is to be: \"target\": \"%{base}/name\"")
    })
}

fn demand_title(title: &str) -> Result<()> {
    if title.chars().any(char::is_control) {
        return Err(wrong("title", "it holds a control character"));
    }
    if title.chars().count() > MOST_TITLE {
        return Err(wrong("title", format!("it is longer than {MOST_TITLE} characters")));
    }
    Ok(())
}

/// That a field holds what it cannot.
fn wrong(field: &str, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Usage, format!("`{field}` cannot be used: {why}; nothing has been changed"))
}

/// That something must not be, with what to do.
pub(crate) fn refused(what: impl std::fmt::Display, hint: impl Into<String>) -> Error {
    Error::new(ErrorKind::Refused, format!("{what}; nothing has been changed")).hint(hint)
}

#[cfg(test)]
mod tests;
