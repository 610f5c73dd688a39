//! A declaration as a configlet, and back. Whatever could not have been written so is root's, and stays as it is.

use super::{BASE, Declaration, Declared, demand_title, target_of};
use crate::diag::{FileId, Located, Sources, Span};
use crate::path::AbsPath;
use crate::raw::{RawApp, RawMapping, RawTarget, RawText};
use crate::syntax::{print, toml};
use crate::value::{AppName, Mode, OwnerName, VolumeName};

/// How such a configlet begins.
const ABOUT: &str = "# Written by `datastore config add`. Root may edit it here; what that command does not write makes it root's alone.\n";

/// Printing asks for no place.
const NOWHERE: Span = Span { file: FileId(0), start: 0, end: 0 };

/// Whose a configlet is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// `config add` has written it, or could have.
    Ours(Box<Declaration>),
    /// `config add` has written it, and somebody has put in what it does not write; what, as a sentence.
    Edited(String),
    /// Somebody else has.
    Others,
}

impl Declaration {
    /// The configlet.
    #[must_use]
    pub fn render(&self) -> String {
        let put = |text: String| Some(Located::new(text, NOWHERE));
        let mapping = |m: &Declared| RawMapping {
            target: put(format!("{BASE}{}", m.target)).map(RawTarget::Path),
            permissions: put(m.permissions.to_string()),
            owner: put(m.owner.to_string()),
            group: put(m.group.to_string()),
            volume: m.volume.as_ref().and_then(|volume| put(volume.to_string())),
            ..RawMapping::new(Located::new(m.mount_point.to_string(), NOWHERE))
        };
        let raw = RawApp {
            title: self.title.clone().and_then(put),
            mappings: self.mappings.iter().map(mapping).collect(),
            ..RawApp::default()
        };
        format!("{ABOUT}{}", print::configlet(&raw, &Sources::default()).0)
    }

    /// What a configlet declares, if it holds nothing that a document cannot say.
    fn of(app: &AppName, text: &str) -> Result<Self, String> {
        let mut sources = Sources::default();
        let file = sources.add(&super::file_of(app), text);
        let (raw, found) = toml::configlet(file, &sources);
        if let Some(found) = found.first() {
            return Err(found.one_line());
        }
        let RawApp { title, enabled, services, premount, postmount, hook_timeout, mappings } = raw;
        let extra = [
            ("enabled", enabled.is_some()),
            ("services", services.is_some()),
            ("premount", premount.is_some()),
            ("postmount", postmount.is_some()),
            ("hook_timeout", hook_timeout.is_some()),
        ];
        none_of(&extra)?;
        let title = title.map(|title| title.value);
        if let Some(title) = &title {
            demand_title(title).map_err(|why| why.message().to_owned())?;
        }
        let mappings = mappings.into_iter().map(declared).collect::<Result<_, _>>()?;
        Ok(Self { app: app.clone(), title, mappings })
    }
}

fn declared(raw: RawMapping) -> Result<Declared, String> {
    let RawMapping { mount_point, target, permissions, owner, group, volume, premount, postmount, options, unusual } =
        raw;
    let extra = [
        ("premount", premount.is_some()),
        ("postmount", postmount.is_some()),
        ("options", options.is_some()),
        ("unusual", unusual.is_some()),
    ];
    none_of(&extra)?;
    let Some(RawTarget::Path(target)) = target else { return Err("a mapping has no target".into()) };
    let need =
        |field: &str, text: Option<RawText>| text.map(|t| t.value).ok_or_else(|| format!("a mapping has no {field}"));
    let value = |why: crate::value::ValueError| why.to_string();
    Ok(Declared {
        mount_point: AbsPath::parse(&mount_point.value).map_err(|why| why.to_string())?,
        target: target_of(&target.value).map_err(|why| why.message().to_owned())?,
        permissions: Mode::parse(&need("permissions", permissions)?).map_err(value)?,
        owner: OwnerName::parse(&need("owner", owner)?).map_err(value)?,
        group: OwnerName::parse(&need("group", group)?).map_err(value)?,
        volume: volume.map(|name| VolumeName::parse(&name.value)).transpose().map_err(value)?,
    })
}

fn none_of(keys: &[(&str, bool)]) -> Result<(), String> {
    match keys.iter().find(|(_, is_there)| *is_there) {
        Some((key, _)) => Err(format!("it holds `{key}`")),
        None => Ok(()),
    }
}

/// Whose a configlet is. Only one that comes out as it went in, byte by byte, is ours: a comment of root's is not to be lost either.
#[must_use]
pub fn written(app: &AppName, text: &str) -> Written {
    if !text.starts_with(ABOUT) {
        return Written::Others;
    }
    match Declaration::of(app, text) {
        Ok(declaration) if declaration.render() == text => Written::Ours(Box::new(declaration)),
        Ok(declaration) => {
            let ours = declaration.render();
            let same = text.lines().zip(ours.lines()).take_while(|(a, b)| a == b).count();
            Written::Edited(format!("line {} is not as the command writes it", same + 1))
        }
        Err(why) => Written::Edited(why),
    }
}
