//! From layers to [`Wanted`]: names, paths and modes checked, expansions replaced, each mapping placed on its volume.

#![allow(clippy::literal_string_with_formatting_args, reason = "the hints show expansions of ours")]

mod places;
pub(crate) mod room;

use std::collections::HashMap;
use std::sync::Arc;

use crate::alarm::Sinks;
use crate::config::{Config, Input, Layered, MAX_MAPPINGS};
use crate::declaration::Policy;
use crate::diag::{Code, Diagnostic, Located, Sources, Span};
use crate::expand::{ExpandError, Names, expand};
use crate::fstab::Fstab;
use crate::hook::{Hook, Hooks, MOST_SECONDS, USUAL_SECONDS};
use crate::mapping::{BindOptions, Mapping, Origins};
use crate::overlap;
use crate::path::AbsPath;
use crate::raw::{RawMapping, RawTarget, RawText, RawVolume};
use crate::state::{Reason, Refusal};
use crate::value::{AppName, HostName, Id, Mode, OwnerName, ValueError, VolumeName};
use crate::wanted::{App, Volume, Wanted};
use crate::watch::Watching;
use places::{OURS, STATE, UNUSUAL, closed};
use room::{MOST_FINDINGS, excess};

/// Who has which mount point already, by our block in fstab: where two configlets claim one place, the one that has it keeps it.
pub type Incumbents = HashMap<AbsPath, AppName>;

/// Who has which mount point, by our block.
#[must_use]
pub fn incumbents(fstab: &Fstab) -> Incumbents {
    let rows = fstab.entries().filter(|r| r.ours);
    rows.filter_map(|row| {
        let app = std::str::from_utf8(row.entry.option_value("X-datastore")?).ok()?;
        Some((row.entry.mount_point()?, AppName::parse(app).ok()?))
    })
    .collect()
}

/// Reads all configuration and says what it asks for. Never fails: whatever is wrong stands in
/// [`Wanted::diagnostics`], and refuses the app it belongs to and no other.
#[must_use]
pub fn resolve(inputs: Vec<Input>, incumbents: &Incumbents) -> Wanted {
    let mut config = Config::read(inputs);
    let found = std::mem::take(&mut config.found);
    let mut resolver = Resolver {
        sources: &config.sources,
        found,
        said: 0,
        before: 0,
        beyond: None,
        volumes: Vec::new(),
        host: None,
        store: AbsPath::literal("/store"),
        default_volume: VolumeName::parse("data0").expect("a valid name"),
        alarm: Sinks::default(),
        watch: Watching::default(),
        config_add: Policy::default(),
        hook_seconds: USUAL_SECONDS,
        globals_problem: None,
    };
    resolver.globals(&config);
    let mut apps = Vec::new();
    let total: usize = config.apps.values().map(|layered| layered.app.mappings.len()).sum();
    let mut mappings = Vec::with_capacity(total.min(MAX_MAPPINGS));
    let clearos_on = config.clearos.enabled.as_ref().is_none_or(|e| e.value);
    // Taken apart as it is read, so that what was said and what is meant need not both be kept.
    let apps_in_excess = excess(&config.apps, total);
    for (name, layered) in std::mem::take(&mut config.apps) {
        let (app, its_mappings) = resolver.app(&name, &layered, clearos_on, !apps_in_excess.contains(&name));
        apps.push(app);
        mappings.extend(its_mappings);
    }
    overlap::check(&mut mappings, resolver.sources, incumbents, &mut resolver.found);
    let Resolver { found, volumes, host, store, default_volume, alarm, watch, config_add, .. } = resolver;
    let volumes = volumes.into_iter().map(|ground| Arc::unwrap_or_clone(ground).volume).collect();
    let sources = config.sources;
    let index = Default::default();
    let wanted = Wanted {
        host,
        store,
        default_volume,
        volumes,
        apps,
        mappings,
        alarm,
        watch,
        config_add,
        diagnostics: found,
        sources,
        index,
    };
    wanted.sorted()
}

struct Resolver<'a> {
    sources: &'a Sources,
    found: Vec<Diagnostic>,
    /// How much was reported, and how much of that before the app that is being read.
    said: usize,
    before: usize,
    /// What is reported of an app beyond [`MOST_FINDINGS`] is not kept.
    beyond: Option<Diagnostic>,
    volumes: Vec<Arc<Ground>>,
    host: Option<HostName>,
    store: AbsPath,
    default_volume: VolumeName,
    alarm: Sinks,
    watch: Watching,
    config_add: Policy,
    hook_seconds: u32,
    globals_problem: Option<Arc<Refusal>>,
}

/// A volume, with the places on it that every target is held against.
#[derive(Clone)]
struct Ground {
    volume: Volume,
    /// `<volume>/live/<host>`.
    base: AbsPath,
    /// Our own directory in the base.
    own: AbsPath,
}

/// A store directory, the directory that holds its manifest, and its volume.
type Placed = (AbsPath, AbsPath, VolumeName);

impl Resolver<'_> {
    fn report(&mut self, span: Span, code: Code, message: impl Into<String>) -> &mut Diagnostic {
        self.said += 1;
        if self.said - self.before > MOST_FINDINGS {
            return self.beyond.insert(Diagnostic::about_file("", code, ""));
        }
        self.found.push(self.sources.diagnose(span, code, message));
        self.found.last_mut().expect("just pushed")
    }

    /// Checks one text, or reports it.
    fn check<T>(&mut self, raw: Option<&RawText>, parse: impl Fn(&str) -> Result<T, ValueError>) -> Option<T> {
        let raw = raw?;
        match parse(&raw.value) {
            Ok(value) => Some(value),
            Err(why) => {
                self.report(raw.span, Code::BadValue, why.to_string());
                None
            }
        }
    }

    fn path(&mut self, raw: &RawText) -> Option<AbsPath> {
        match AbsPath::parse(&raw.value) {
            Ok(path) => Some(path),
            Err(why) => {
                self.report(raw.span, Code::ForbiddenPath, why.to_string());
                None
            }
        }
    }

    /// A program, whose path may have a `-` before it.
    fn hook(&mut self, raw: Option<&RawText>) -> Option<Hook> {
        let raw = raw?;
        match Hook::parse(&raw.value) {
            Ok(hook) => Some(hook),
            Err(why) => {
                self.report(raw.span, Code::ForbiddenPath, why.to_string());
                None
            }
        }
    }

    /// How long hooks may take.
    fn seconds(&mut self, raw: Option<&Located<i64>>) -> Option<u32> {
        let raw = raw?;
        let fits = u32::try_from(raw.value).ok().filter(|n| (1..=MOST_SECONDS).contains(n));
        if fits.is_none() {
            let message = format!("{} is no time limit: from 1 to {MOST_SECONDS} seconds", raw.value);
            self.report(raw.span, Code::BadValue, message);
        }
        fits
    }

    fn globals(&mut self, config: &Config) {
        let before = self.errors();
        let globals = &config.globals;
        self.host = self.check(globals.host.as_ref(), HostName::parse);
        if let Some(name) = self.check(globals.default_volume.as_ref(), VolumeName::parse) {
            self.default_volume = name;
        }
        self.hook_seconds = self.seconds(globals.hook_timeout.as_ref()).unwrap_or(self.hook_seconds);
        if let Some(raw) = &globals.store
            && let Some(path) = self.path(raw)
        {
            if path.depth() == 0 || closed(&path).is_some() {
                self.report(raw.span, Code::ForbiddenPath, format!("volumes cannot be mounted below {path}"));
            } else {
                self.store = path;
            }
        }
        self.alarm = Sinks::read(&globals.alarm, self.sources, &mut self.found);
        self.watch = Watching::read(&globals.watch, self.sources, &mut self.found);
        self.config_add = Policy::read(&globals.config_add, self.sources, &mut self.found);
        for raw in &globals.volumes {
            if let Some(volume) = self.volume(raw) {
                self.volumes.push(self.ground(volume));
            }
        }
        for (i, a) in globals.volumes.iter().enumerate() {
            let same =
                |b: &RawVolume| b.id.is_some() && b.id.as_ref().map(|t| &t.value) == a.id.as_ref().map(|t| &t.value);
            if let Some(b) = globals.volumes[..i].iter().find(|b| same(b)) {
                let message = format!("`{}` and `{}` have one identity", b.name.value, a.name.value);
                self.report(a.id.as_ref().expect("equal ids").span, Code::Duplicate, message);
            }
        }
        if config.globals_broken || self.errors() > before {
            let first = self.found.iter().find(|d| d.is_error());
            let detail = first.map_or_else(|| "/etc/datastore.conf is wrong".into(), Diagnostic::one_line);
            let reason = if first.is_some_and(|d| d.code == Code::Unsafe) {
                Reason::ConfigUnsafe
            } else {
                Reason::ConfigInvalid
            };
            self.globals_problem = Some(Arc::new(Refusal::new(reason, detail, "datastore config check")));
        } else if self.host.is_none() {
            self.globals_problem = Some(Arc::new(Refusal::new(
                Reason::VolumeMissing,
                "this machine has no data store yet: /etc/datastore.conf names no host",
                "datastore init",
            )));
        }
    }

    fn errors(&self) -> usize {
        self.found.iter().filter(|d| d.is_error()).count()
    }

    fn volume(&mut self, raw: &RawVolume) -> Option<Volume> {
        let name = self.check(Some(&raw.name), VolumeName::parse)?;
        let path = match &raw.path {
            None => self.store.join(name.as_str()).ok()?,
            Some(raw) => {
                let path = self.path(raw)?;
                if path.is_root() || closed(&path).is_some() {
                    self.report(raw.span, Code::ForbiddenPath, format!("a volume cannot be at {path}"));
                    return None;
                }
                path
            }
        };
        let id = self.check(raw.id.as_ref(), Id::parse);
        let word = |raw: Option<&RawText>| raw.map(|t| t.value.clone());
        for text in [&raw.source, &raw.fstype, &raw.options].into_iter().flatten() {
            if text.value.is_empty() || text.value.chars().any(char::is_control) || text.value.starts_with('-') {
                self.report(
                    text.span,
                    Code::BadValue,
                    "the value is empty, begins with `-`, or holds a control character",
                );
                return None;
            }
        }
        Some(Volume {
            name,
            path,
            declared: true,
            id,
            source: word(raw.source.as_ref()),
            fstype: word(raw.fstype.as_ref()),
            options: word(raw.options.as_ref()),
        })
    }

    fn app(&mut self, name: &AppName, layered: &Layered, clearos_on: bool, has_room: bool) -> (App, Vec<Mapping>) {
        let raw = &layered.app;
        let start = self.found.len();
        self.before = self.said;
        self.found.extend(layered.found.iter().cloned());
        let mut app = App {
            name: name.clone(),
            title: raw.title.as_ref().map(|t| t.value.clone()),
            enabled: raw.enabled.as_ref().map_or(!layered.is_default, |e| e.value)
                && (clearos_on || !layered.is_clearos),
            enabled_origin: raw.enabled.as_ref().map(|e| e.span),
            services: Vec::new(),
            hooks: Hooks::default(),
            has_hooks: [&raw.premount, &raw.postmount].into_iter().any(Option::is_some)
                || raw.mappings.iter().any(|m| m.premount.is_some() || m.postmount.is_some()),
            hook_seconds: self.hook_seconds,
            problem: None,
            unresolved: Vec::new(),
            files: layered.files.clone(),
        };
        for service in raw.services.iter().flat_map(|s| &s.value) {
            let bad = |c: char| !(c.is_ascii_alphanumeric() || "@._:\\-".contains(c));
            if service.value.is_empty() || service.value.starts_with('-') || service.value.contains(bad) {
                self.report(
                    service.span,
                    Code::BadValue,
                    format!("`{}` is no name of a service", service.value.escape_debug()),
                );
            } else {
                app.services.push(service.value.clone());
            }
        }
        app.hooks = Hooks { premount: self.hook(raw.premount.as_ref()), postmount: self.hook(raw.postmount.as_ref()) };
        app.hook_seconds = self.seconds(raw.hook_timeout.as_ref()).unwrap_or(app.hook_seconds);
        let mut mappings = Vec::new();
        if let (false, Some(first)) = (has_room, raw.mappings.first()) {
            let count = raw.mappings.len();
            let message = format!("more than {MAX_MAPPINGS} mappings in all, {count} of them here");
            self.report(first.mount_point.span, Code::TooLarge, message);
        }
        for raw in raw.mappings.iter().filter(|_| has_room) {
            match self.mapping(name, raw, app.enabled) {
                Some(mapping) => mappings.push(mapping),
                None => app.unresolved.push(crate::path::printable(raw.mount_point.value.as_bytes())),
            }
        }
        let errors: Vec<&Diagnostic> = self.found[start..].iter().filter(|d| d.is_error()).collect();
        if let Some(first) = errors.first() {
            let unsafe_ = errors.iter().find(|d| d.code == Code::Unsafe);
            let reason = if unsafe_.is_some() { Reason::ConfigUnsafe } else { Reason::ConfigInvalid };
            let detail = unsafe_.unwrap_or(first).one_line();
            app.problem = Some(Arc::new(Refusal::new(reason, detail, format!("datastore config check {name}"))));
        } else if layered.is_clearos {
            // ClearOS's own form needs neither host nor volume names.
        } else {
            app.problem = self.globals_problem.clone();
        }
        if app.problem.is_some() && mappings.is_empty() && app.unresolved.is_empty() {
            // Nothing of it could be read: one row says so.
            app.unresolved.push(String::new());
        }
        for mapping in &mut mappings {
            mapping.problem = app.problem.clone();
        }
        (app, mappings)
    }

    fn mapping(&mut self, app: &AppName, raw: &RawMapping, enabled: bool) -> Option<Mapping> {
        let before = self.said;
        let mount_point = self.path(&raw.mount_point);
        if let Some(mount_point) = &mount_point {
            self.check_mount_point(mount_point, raw);
        }
        let mode = self.check(raw.permissions.as_ref(), Mode::parse).unwrap_or(Mode::from_bits(0o755));
        let root = || OwnerName::parse("root").expect("a valid name");
        let owner = self.check(raw.owner.as_ref(), OwnerName::parse).unwrap_or_else(root);
        let group = self.check(raw.group.as_ref(), OwnerName::parse).unwrap_or_else(root);
        let options = self.options(raw.options.as_ref());
        let hooks = Hooks { premount: self.hook(raw.premount.as_ref()), postmount: self.hook(raw.postmount.as_ref()) };
        let (store, home, volume) = self.place(app, raw)?;
        if self.said > before {
            return None;
        }
        let target = match raw.target.as_ref()? {
            RawTarget::Path(text) => Some(text.span),
            RawTarget::ClearOs { base, directory } => directory.as_ref().or(base.as_ref()).map(|t| t.span),
        };
        let span = |raw: &Option<RawText>| raw.as_ref().map(|t| t.span);
        Some(Mapping {
            app: app.clone(),
            mount_point: mount_point?,
            store,
            home,
            volume,
            mode,
            owner,
            group,
            options,
            hooks,
            enabled,
            problem: None,
            origins: Origins {
                mount_point: raw.mount_point.span,
                target,
                permissions: span(&raw.permissions),
                owner: span(&raw.owner),
                group: span(&raw.group),
                volume: span(&raw.volume),
                options: raw.options.as_ref().map(|o| o.span),
            },
        })
    }

    fn options(&mut self, raw: Option<&Located<Vec<RawText>>>) -> BindOptions {
        let mut options = BindOptions::default();
        for word in raw.iter().flat_map(|list| &list.value) {
            if let Err(near) = options.set(&word.value) {
                let known = BindOptions::WORDS.join(", ");
                let hint = near.map_or_else(|| format!("known options: {known}"), |n| format!("did you mean `{n}`?"));
                let message = format!("`{}` is no option of a bind", word.value.escape_debug());
                self.report(word.span, Code::BadValue, message).hint = Some(hint);
            }
        }
        options
    }

    fn check_mount_point(&mut self, path: &AbsPath, raw: &RawMapping) {
        let span = raw.mount_point.span;
        let closed_path = closed(path);
        if path.is_root() {
            self.report(span, Code::ForbiddenPath, "nothing may be mounted on `/`");
        } else if let Some(dir) = closed_path {
            self.report(span, Code::ForbiddenPath, format!("{path} lies in {dir}, where nothing may be mounted"));
        } else if path.is_within(&self.store) || self.store.is_within(path) {
            let message = format!("{path} is at, above or inside {}, which holds the data", self.store);
            self.report(span, Code::ForbiddenPath, message);
        } else if STATE.is_within(path) || path.is_within(&STATE) {
            self.report(span, Code::ForbiddenPath, format!("{path} would cover {}, datastore's own state", *STATE));
        } else if let Some(dir) = UNUSUAL.iter().find(|d| path == *d) {
            self.report(span, Code::ForbiddenPath, format!("nothing may be mounted on {dir}"));
        } else if let Some(dir) = UNUSUAL.iter().find(|d| path.is_below(d)) {
            if OURS.iter().any(|ours| path.is_within(ours)) {
                self.report(span, Code::ForbiddenPath, format!("{path} is datastore's own configuration"));
            } else if !raw.unusual.as_ref().is_some_and(|u| u.value) {
                self.report(span, Code::ForbiddenPath, format!("{path} lies below {dir}, which is unusual for data"))
                    .hint = Some("if it is meant, add to this mapping: unusual = true".into());
            }
        }
    }

    /// Finds the store directory and its volume.
    fn place(&mut self, app: &AppName, raw: &RawMapping) -> Option<Placed> {
        match raw.target.as_ref() {
            None => {
                self.report(raw.mount_point.span, Code::MissingKey, "the mapping has no `target`").hint =
                    Some("add, for example: target = \"%{base}/name\"".into());
                None
            }
            Some(RawTarget::Path(target)) => self.place_target(app, raw, target),
            Some(RawTarget::ClearOs { base: Some(base), directory: Some(directory) }) => {
                self.place_clearos(base, directory)
            }
            Some(RawTarget::ClearOs { base, .. }) => {
                let key = if base.is_some() { "directory" } else { "base" };
                self.report(raw.mount_point.span, Code::MissingKey, format!("the mapping has no ['{key}']"));
                None
            }
        }
    }

    fn place_target(&mut self, app: &AppName, raw: &RawMapping, target: &RawText) -> Option<Placed> {
        let named = match raw.volume.as_ref() {
            None => None,
            some => Some(self.check(some, VolumeName::parse)?),
        };
        let meant = named.clone().unwrap_or_else(|| self.default_volume.clone());
        let usual = self.volume_or_usual(&meant);
        let names = Names {
            store: self.store.to_str()?,
            volume_path: usual.volume.path.to_str()?,
            volume: meant.as_str(),
            host: Some(self.host()),
            app: app.as_str(),
        };
        let text = match expand(&target.value, names) {
            Ok(text) => text,
            Err(why) => {
                let hint = match &why {
                    ExpandError::Unknown { near: Some(near), .. } => format!("did you mean `%{{{near}}}`?"),
                    _ => "known: %{base} %{store} %{volume} %{host} %{app} %{%}".into(),
                };
                self.report(target.span, Code::UnknownExpansion, why.to_string()).hint = Some(hint);
                return None;
            }
        };
        let store = self.path(&Located::new(text, target.span))?;
        // A target may name another volume outright, as the proposal does with /store/data11.
        let Some(ground) = self.volume_holding(&store) else {
            self.report(target.span, Code::ForbiddenPath, format!("{store} lies on no volume")).hint =
                Some(format!("begin the target with %{{base}}, which is {}", usual.base));
            return None;
        };
        let Ground { volume, base, own } = &*ground;
        if let Some(named) = named
            && named != volume.name
        {
            let message = format!("the target lies on {}, but the mapping names volume `{named}`", volume.name);
            self.report(target.span, Code::BadValue, message);
            return None;
        }
        if !store.is_below(base) || store.is_within(own) {
            self.report(target.span, Code::ForbiddenPath, format!("the store directory {store} is not below {base}"))
                .hint = Some("begin the target with %{base}".into());
            return None;
        }
        let placed = (store, base.clone(), volume.name.clone());
        self.need_volume(ground);
        Some(placed)
    }

    /// The host's name. Before `init` it has none; a stand-in lets everything else be checked, and the app is refused anyway.
    fn host(&self) -> &str {
        self.host.as_ref().map_or("-", HostName::as_str)
    }

    fn ground(&self, volume: Volume) -> Arc<Ground> {
        let base = volume.live().child(self.host());
        let own = base.child(crate::manifest::DIRECTORY);
        Arc::new(Ground { volume, base, own })
    }

    fn place_clearos(&mut self, base: &RawText, directory: &RawText) -> Option<Placed> {
        let base_path = self.path(base)?;
        let store = match base_path.join(directory.value.trim_matches('/')) {
            Ok(store) if store.is_below(&base_path) && !directory.value.chars().any(char::is_control) => store,
            Ok(_) => {
                self.report(directory.span, Code::ForbiddenPath, "the directory is empty or holds a control character");
                return None;
            }
            Err(why) => {
                self.report(directory.span, Code::ForbiddenPath, why.to_string());
                return None;
            }
        };
        if base_path.is_root() || closed(&base_path).is_some() {
            self.report(base.span, Code::ForbiddenPath, format!("{base_path} cannot hold data"));
            return None;
        }
        let own = ["backup", "log", "sbin", ".datastore"];
        if own.iter().any(|dir| store.is_within(&base_path.child(dir))) {
            self.report(directory.span, Code::ForbiddenPath, format!("{store} is datastore's own directory"));
            return None;
        }
        // The base's file system is the volume: one that is declared there, else one that must be declared first.
        let holds = |v: &Volume| v.path == base_path || (v.declared && base_path.is_within(&v.path));
        let ground = match self.volumes.iter().find(|g| holds(&g.volume)) {
            Some(ground) => ground.clone(),
            None => {
                let mut name = VolumeName::parse("clearos").expect("a valid name");
                let mut n = 1;
                while self.volumes.iter().any(|g| g.volume.name == name) {
                    n += 1;
                    name = VolumeName::parse(&format!("clearos{n}")).expect("a valid name");
                }
                self.ground(usual(name, base_path.clone()))
            }
        };
        let name = ground.volume.name.clone();
        self.need_volume(ground);
        Some((store, base_path, name))
    }

    fn volume_or_usual(&self, name: &VolumeName) -> Arc<Ground> {
        let known = self.volumes.iter().find(|g| g.volume.name == *name);
        known.cloned().unwrap_or_else(|| self.usual(name.clone()))
    }

    /// The volume that `/store/NAME` would be.
    fn usual(&self, name: VolumeName) -> Arc<Ground> {
        let path = self.store.child(name.as_str());
        self.ground(usual(name, path))
    }

    /// The volume whose directory a path lies in: a known one, the nearest first, else the one that `/store/NAME` would be.
    fn volume_holding(&self, path: &AbsPath) -> Option<Arc<Ground>> {
        let holding = self.volumes.iter().filter(|g| path.is_below(&g.volume.path));
        let known = holding.max_by_key(|g| g.volume.path.depth());
        if let Some(known) = known
            && known.volume.path != self.store
        {
            return Some(known.clone());
        }
        let rest = path.below(&self.store);
        let name = rest.as_ref().and_then(|rest| std::str::from_utf8(rest.components().next()?).ok());
        let implied = name.and_then(|name| VolumeName::parse(name).ok()).map(|name| self.usual(name));
        implied.filter(|g| path.is_below(&g.volume.path)).or_else(|| known.cloned())
    }

    fn need_volume(&mut self, ground: Arc<Ground>) {
        if !self.volumes.iter().any(|g| g.volume.name == ground.volume.name) {
            self.volumes.push(ground);
        }
    }
}

/// A volume that only its name tells of.
fn usual(name: VolumeName, path: AbsPath) -> Volume {
    Volume { name, path, declared: false, id: None, source: None, fstype: None, options: None }
}
