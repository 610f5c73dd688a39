//! What a declaration changes of the files of the configuration, and whether they are there to be changed so.

use super::{Declaration, MOST_APPS, Policy, Written, file_of, refused, written};
use crate::config::{CONFIGLETS, Content, Input, Role};
use crate::diag::Sources;
use crate::error::{Error, ErrorKind, Result};
use crate::path::AbsPath;
use crate::resolve::{Incumbents, resolve};
use crate::step::{Action, Step};
use crate::syntax::{php, toml};
use crate::value::{AppName, Mode};
use crate::wanted::Wanted;

/// Puts the configlet among the inputs. The step that writes it; none if it is there already.
///
/// # Errors
/// [`ErrorKind::Refused`] if root has not allowed it, or the name is somebody else's.
pub fn lay(declaration: &Declaration, inputs: &mut Vec<Input>) -> Result<Vec<Step>> {
    let known = resolve(inputs.clone(), &Incumbents::new());
    known.config_add.demand_on()?;
    allowed(&known.config_add, declaration)?;
    let app = &declaration.app;
    let old = demand_ours(app, inputs, &known)?.map(|(text, _)| text);
    if old.is_none() && declared_so(inputs) >= MOST_APPS {
        let what = format!("{MOST_APPS} apps have been declared by programs, and no more may be");
        return Err(refused(what, "remove one that is not needed: datastore config remove APP"));
    }
    let new = declaration.render();
    let path = declaration.file();
    inputs.retain(|input| input.path != path);
    inputs.push(Input::read(path, Role::Configlet, app.as_str(), &*new));
    if old.as_ref() == Some(&new) {
        return Ok(Vec::new());
    }
    Ok(vec![write(&declaration.file(), old, Some(new))?])
}

/// Takes the configlet of an app from the inputs, and what our own verbs have written over it. The steps that remove them.
///
/// # Errors
/// [`ErrorKind::Refused`] if root has not allowed it, or the configlet is somebody else's; [`ErrorKind::Usage`] if nobody declares the app.
pub fn lift(app: &AppName, inputs: &mut Vec<Input>) -> Result<Vec<Step>> {
    let known = resolve(inputs.clone(), &Incumbents::new());
    known.config_add.demand_on()?;
    known.demand_app(app)?;
    let Some(text) = demand_ours(app, inputs, &known)? else {
        return Err(not_ours(app, "it has no configlet that `datastore config add` has written"));
    };
    // The override first: what is left if the machine stops between the two is still an app.
    let mut steps = Vec::new();
    let (text, declaration) = text;
    if let Some(over) = over(&declaration, inputs)? {
        steps.push(write(&over_of(app), Some(over), None)?);
    }
    steps.push(write(&file_of(app), Some(text), None)?);
    let gone = [over_of(app), file_of(app)];
    inputs.retain(|input| !gone.contains(&input.path));
    Ok(steps)
}

fn write(path: &str, from: Option<String>, to: Option<String>) -> Result<Step> {
    let path = AbsPath::parse(path).map_err(|why| Error::new(ErrorKind::Usage, why.to_string()))?;
    Ok(Step { mapping: None, action: Action::WriteFile { path, from, to, mode: Mode::from_bits(0o644) } })
}

fn allowed(policy: &Policy, declaration: &Declaration) -> Result<()> {
    declaration.mappings.iter().try_for_each(|m| policy.demand_allowed(&declaration.app, &m.mount_point))
}

fn over_of(app: &AppName) -> String {
    format!("{CONFIGLETS}/{app}.local.conf")
}

/// How many configlets `config add` has written.
fn declared_so(inputs: &[Input]) -> usize {
    let is_ours = |input: &&Input| {
        input.role == Role::Configlet
            && AppName::parse(&input.app).is_ok_and(|app| match &input.content {
                Content::Bytes(bytes) => {
                    std::str::from_utf8(bytes).is_ok_and(|text| written(&app, text) != Written::Others)
                }
                _ => false,
            })
    };
    inputs.iter().filter(is_ours).count()
}

fn not_ours(app: &AppName, why: impl std::fmt::Display) -> Error {
    refused(format!("`{app}` is not for programs to change: {why}"), "choose another name, or let root edit it")
}

/// The text of an input.
fn text_of(input: &Input) -> Result<&str, String> {
    match &input.content {
        Content::Bytes(bytes) => std::str::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", input.path)),
        Content::Unreadable(why) | Content::Unsafe(why) => Err(format!("{} cannot be believed: {why}", input.path)),
    }
}

/// The configlet of an app, which `config add` must have written and nobody else changed; `None` if there is no such app at all.
fn demand_ours(app: &AppName, inputs: &[Input], known: &Wanted) -> Result<Option<(String, Declaration)>> {
    let path = file_of(app);
    let Some(input) = inputs.iter().find(|input| input.path == path) else {
        // Of any layer: a default mapping, ClearOS's file, an override that stands alone.
        let of_app = |input: &&Input| {
            input.app == app.as_str() || input.app.strip_suffix("-system").is_some_and(|name| name == app.as_str())
        };
        let other = inputs.iter().find(of_app).map(|input| input.path.clone());
        let other = other.or_else(|| known.app(app).and_then(|app| app.files.first().cloned()));
        return match other {
            Some(file) => Err(not_ours(app, format!("{file} has an app of that name"))),
            None => Ok(None),
        };
    };
    let text = text_of(input).map_err(|why| not_ours(app, why))?;
    match written(app, text) {
        Written::Ours(declaration) => {
            over(&declaration, inputs)?;
            Ok(Some((text.to_owned(), *declaration)))
        }
        Written::Edited(why) => Err(not_ours(app, format!("root has edited {path}: {why}"))),
        Written::Others => Err(not_ours(app, format!("`datastore config add` has not written {path}"))),
    }
}

/// The override of an app, which must hold nothing but what `enable`, `disable` and `move` write.
fn over(declaration: &Declaration, inputs: &[Input]) -> Result<Option<String>> {
    let app = &declaration.app;
    let path = over_of(app);
    let Some(input) = inputs.iter().find(|input| input.path == path) else { return Ok(None) };
    let refuse = |why: String| Err(not_ours(app, format!("root has edited {path}: {why}")));
    let text = text_of(input).map_err(|why| not_ours(app, why))?;
    if php::is_php(text) {
        return refuse("it is PHP".into());
    }
    let mut sources = Sources::default();
    let file = sources.add(&path, text);
    let (raw, found) = toml::configlet(file, &sources);
    if let Some(found) = found.first() {
        return refuse(found.one_line());
    }
    let is_more = raw.title.is_some()
        || raw.services.is_some()
        || raw.premount.is_some()
        || raw.postmount.is_some()
        || raw.hook_timeout.is_some();
    let is_declared = |at: &str| declaration.mappings.iter().any(|m| m.mount_point.to_string() == at);
    let says_more = raw.mappings.iter().any(|m| {
        !is_declared(&m.mount_point.value)
            || [&m.permissions, &m.owner, &m.group, &m.premount, &m.postmount].into_iter().any(Option::is_some)
            || m.options.is_some()
            || m.unusual.is_some()
    });
    if is_more || says_more {
        return refuse("it says more than `enable`, `disable` and `move` write".into());
    }
    Ok(Some(text.to_owned()))
}
