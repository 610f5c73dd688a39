//! The changes of configuration that a goal implies: made in the inputs before they are resolved, and planned as steps.

use crate::config::{CONFIGLETS, Content, Input, Role};
use crate::declaration;
use crate::edit::{self, Placed};
use crate::error::{Error, ErrorKind, Result};
use crate::goal::{Destination, Goal, Import, Move};
use crate::mapping::Mapping;
use crate::moving::{Moved, Receipt};
use crate::path::AbsPath;
use crate::plan::volume::unknown;
use crate::resolve::{Incumbents, resolve};
use crate::step::{Action, Step};
use crate::value::{AppName, Mode};
use crate::wanted::Wanted;

/// `enable` and `disable` switch apps in their overrides, `config add` and `config remove` write and remove configlets, what is imported is asked for from then on, and what is moved is elsewhere.
///
/// # Errors
/// An override cannot be changed: it is not UTF-8, not TOML, or could not be read safely. Nothing can be moved to where it is to be.
pub fn switch(goal: &Goal, inputs: &mut Vec<Input>) -> Result<Vec<Step>> {
    let (apps, on) = match goal {
        Goal::Enable(apps) | Goal::Import(Import { apps, .. }) => (apps, true),
        Goal::Disable(apps) => (apps, false),
        Goal::Move(request) => return place(request, inputs),
        Goal::Declare(request) => return declaration::lay(&request.declaration, inputs),
        Goal::Withdraw(apps) => {
            let each = apps.names.iter().map(|app| declaration::lift(app, inputs));
            return Ok(each.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect());
        }
        _ => return Ok(Vec::new()),
    };
    // An app of which only lines in fstab are left has nothing to switch, and an override would outlive it.
    let known = resolve(inputs.clone(), &Incumbents::new());
    let names: Vec<&AppName> = apps.names.iter().filter(|n| known.app(n).is_some()).collect();
    names.into_iter().map(|app| one(app, on, inputs)).filter_map(Result::transpose).collect()
}

/// The override of an app.
struct Override {
    path: String,
    /// Where it is among the inputs.
    at: Option<usize>,
    /// What it holds.
    old: Option<String>,
}

impl Override {
    fn of(app: &AppName, inputs: &[Input]) -> Result<Self> {
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
        Ok(Self { path, at, old })
    }

    /// Puts a new text among the inputs.
    fn put(&mut self, app: &AppName, new: &str, inputs: &mut Vec<Input>) {
        let input = Input::read(&*self.path, Role::Local, app.as_str(), new);
        match self.at {
            Some(i) => inputs[i] = input,
            None => {
                self.at = Some(inputs.len());
                inputs.push(input);
            }
        }
    }

    /// Takes it from the inputs.
    fn take(&mut self, inputs: &mut Vec<Input>) {
        if let Some(i) = self.at.take() {
            inputs.remove(i);
        }
    }

    /// The step that writes it; none if nothing changes.
    fn step(self, new: String) -> Result<Option<Step>> {
        self.rewritten(Some(new))
    }

    /// The step that writes or removes it; none if nothing changes.
    fn rewritten(self, new: Option<String>) -> Result<Option<Step>> {
        if self.old == new {
            return Ok(None);
        }
        let path = AbsPath::parse(&self.path).map_err(|e| Error::new(ErrorKind::Usage, e.to_string()))?;
        let action = Action::WriteFile { path, from: self.old, to: new, mode: Mode::from_bits(0o644) };
        Ok(Some(Step { mapping: None, action }))
    }
}

/// What an import or a move changed of the configuration is as it was before. What somebody has written since stays: of that only the
/// places of a move are changed.
///
/// # Errors
/// As [`switch`].
pub fn switch_back(receipt: &Receipt, inputs: &mut Vec<Input>) -> Result<Vec<Step>> {
    if receipt.is_undone() {
        return Ok(Vec::new());
    }
    let app = &receipt.app;
    let mut over = Override::of(app, inputs)?;
    let file = receipt.files.iter().find(|file| file.path.to_string() == over.path);
    let old = over.old.clone();
    if let Some(file) = file.filter(|file| file.to == old) {
        match &file.from {
            Some(text) => over.put(app, text, inputs),
            None => over.take(inputs),
        }
        return Ok(over.rewritten(file.from.clone())?.into_iter().collect());
    }
    let placed = |tree: &Moved| {
        let volume = tree.from_volume.clone()?;
        Some(Placed { mount_point: tree.mount_point.clone(), volume, target: Some(tree.from.clone()) })
    };
    let wanted: Vec<Placed> = receipt.trees.iter().filter_map(placed).collect();
    if wanted.is_empty() {
        // Imported: it was asked for by somebody who may ask for it still.
        return Ok(Vec::new());
    }
    Ok(settle(app, &wanted, inputs)?.into_iter().collect())
}

fn one(app: &AppName, on: bool, inputs: &mut Vec<Input>) -> Result<Option<Step>> {
    let mut over = Override::of(app, inputs)?;
    let declared = inputs.iter().any(|i| i.app == app.as_str() && i.role == Role::Configlet);
    // A configlet is asked for unless it says otherwise, so there is nothing to write for it.
    if on && declared && over.old.is_none() && !says_no(inputs, app) {
        return Ok(None);
    }
    let new = edit::enabled(&over.path, over.old.as_deref(), on)?;
    over.put(app, &new, inputs);
    over.step(new)
}

/// Whether a configlet itself mentions `enabled`: then only resolving tells, and the override is written to be sure.
fn says_no(inputs: &[Input], app: &AppName) -> bool {
    inputs.iter().filter(|i| i.app == app.as_str() && i.role == Role::Configlet).any(|i| match &i.content {
        Content::Bytes(bytes) => bytes.windows(7).any(|w| w == b"enabled"),
        _ => true,
    })
}

/// Says in the override of an app where its stores are to be.
fn place(request: &Move, inputs: &mut Vec<Input>) -> Result<Vec<Step>> {
    let known = resolve(inputs.clone(), &Incumbents::new());
    let mut steps = Vec::new();
    for app in &request.apps.names {
        let mappings: Vec<&Mapping> = known.of_app(app).map(|(_, m)| m).collect();
        if mappings.is_empty() {
            continue;
        }
        let wanted = mappings.iter().map(|m| aim(m, mappings.len(), request, &known)).collect::<Result<Vec<_>>>()?;
        steps.extend(settle(app, &wanted, inputs)?);
    }
    Ok(steps)
}

/// Says in the override of an app that its stores are at these places; the target of each is given.
pub(crate) fn settle(app: &AppName, wanted: &[Placed], inputs: &mut Vec<Input>) -> Result<Option<Step>> {
    let mut over = Override::of(app, inputs)?;
    // The volume alone, if that is enough: `%{base}` follows it.
    let bare: Vec<Placed> = wanted.iter().map(|p| Placed { target: None, ..p.clone() }).collect();
    let mut new = edit::placed(&over.path, over.old.as_deref(), &bare)?;
    over.put(app, &new, inputs);
    let now = resolve(inputs.clone(), &Incumbents::new());
    let is_there = |p: &Placed| {
        now.of_app(app).any(|(_, m)| m.mount_point == p.mount_point && Some(&m.store) == p.target.as_ref())
    };
    if !wanted.iter().all(is_there) {
        let placed: Vec<Placed> =
            wanted.iter().map(|p| if is_there(p) { Placed { target: None, ..p.clone() } } else { p.clone() }).collect();
        new = edit::placed(&over.path, over.old.as_deref(), &placed)?;
        over.put(app, &new, inputs);
    }
    over.step(new)
}

/// Where a mapping is to be; the target is always given.
fn aim(mapping: &Mapping, mappings: usize, request: &Move, known: &Wanted) -> Result<Placed> {
    let (volume, target) = match &request.to {
        Destination::Volume(name) => {
            let base = known.volume(name).filter(|v| v.declared).and_then(|volume| known.base(volume));
            let Some(base) = base else { return Err(unknown(name, known)) };
            let key = mapping.store.below(&mapping.home).unwrap_or_else(|| mapping.store.clone());
            (name.clone(), base.join(key.relative()))
        }
        Destination::Directory(dir) => {
            let holds = known.volumes.iter().filter(|v| v.declared && dir.is_below(&v.path));
            let Some(volume) = holds.max_by_key(|v| v.path.depth()) else {
                return Err(Error::new(
                    ErrorKind::Refused,
                    format!("{dir} lies on no volume; nothing has been changed"),
                )
                .hint("datastore volume list; a directory elsewhere becomes a volume by `datastore volume add`"));
            };
            let target = if mappings == 1 { Ok(dir.clone()) } else { dir.join(mapping.store.file_name()) };
            (volume.name.clone(), target)
        }
    };
    let target = target.map_err(|e| Error::new(ErrorKind::Usage, e.to_string()))?;
    Ok(Placed { mount_point: mapping.mount_point.clone(), volume, target: Some(target) })
}
