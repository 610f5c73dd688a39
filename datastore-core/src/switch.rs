//! The changes of configuration that a goal implies: made in the inputs before they are resolved, and planned as steps.

use crate::config::{CONFIGLETS, Content, Input, Role};
use crate::edit;
use crate::error::{Error, ErrorKind, Result};
use crate::goal::{Goal, Import};
use crate::path::AbsPath;
use crate::resolve::{Incumbents, resolve};
use crate::step::{Action, Step};
use crate::value::{AppName, Mode};

/// `enable` and `disable` switch apps in their overrides; what is imported is asked for from then on.
///
/// # Errors
/// An override cannot be changed: it is not UTF-8, not TOML, or could not be read safely.
pub fn switch(goal: &Goal, inputs: &mut Vec<Input>) -> Result<Vec<Step>> {
    let (apps, on) = match goal {
        Goal::Enable(apps) | Goal::Import(Import { apps, .. }) => (apps, true),
        Goal::Disable(apps) => (apps, false),
        _ => return Ok(Vec::new()),
    };
    // An app of which only lines in fstab are left has nothing to switch, and an override would outlive it.
    let known = resolve(inputs.clone(), &Incumbents::new());
    let names: Vec<&AppName> = apps.names.iter().filter(|n| known.app(n).is_some()).collect();
    names.into_iter().map(|app| one(app, on, inputs)).filter_map(Result::transpose).collect()
}

fn one(app: &AppName, on: bool, inputs: &mut Vec<Input>) -> Result<Option<Step>> {
    let path = format!("{CONFIGLETS}/{app}.local.conf");
    let at = inputs.iter().position(|i| i.path == path);
    let old = match at.map(|i| &inputs[i].content) {
        None => None,
        Some(Content::Bytes(bytes)) => Some(String::from_utf8(bytes.clone()).map_err(|_| {
            Error::new(ErrorKind::Invalid, format!("{path} is not UTF-8, so it was not touched"))
                .hint("datastore config check")
        })?),
        Some(Content::Unreadable(why) | Content::Unsafe(why)) => {
            return Err(Error::new(ErrorKind::Refused, format!("{path} cannot be changed: {why}"))
                .hint("datastore config check"));
        }
    };
    let declared = inputs.iter().any(|i| i.app == app.as_str() && i.role == Role::Configlet);
    // A configlet is asked for unless it says otherwise, so there is nothing to write for it.
    if on && declared && old.is_none() && !says_no(inputs, app) {
        return Ok(None);
    }
    let new = edit::enabled(&path, old.as_deref(), on)?;
    if old.as_ref() == Some(&new) {
        return Ok(None);
    }
    let input = Input {
        path: path.clone(),
        role: Role::Local,
        app: app.to_string(),
        content: Content::Bytes(new.clone().into_bytes()),
    };
    match at {
        Some(i) => inputs[i] = input,
        None => inputs.push(input),
    }
    let path = AbsPath::parse(&path).map_err(|e| Error::new(ErrorKind::Usage, e.to_string()))?;
    let action = Action::WriteFile { path, from: old, to: Some(new), mode: Mode::from_bits(0o644) };
    Ok(Some(Step { mapping: None, action }))
}

/// Whether a configlet itself mentions `enabled`: then only resolving tells, and the override is written to be sure.
fn says_no(inputs: &[Input], app: &AppName) -> bool {
    inputs.iter().filter(|i| i.app == app.as_str() && i.role == Role::Configlet).any(|i| match &i.content {
        Content::Bytes(bytes) => bytes.windows(7).any(|w| w == b"enabled"),
        _ => true,
    })
}
