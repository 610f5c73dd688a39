//! From files to layers: which file says what of which app, the lowest layer first.

use std::collections::{BTreeMap, HashMap};

use crate::diag::{Code, Diagnostic, FileId, Sources};
use crate::raw::{RawApp, RawClearOsGlobals, RawGlobals, RawMapping, RawTarget};
use crate::syntax;
use crate::value::AppName;

/// The main configuration file.
pub const GLOBALS: &str = "/etc/datastore.conf";
/// The directory of configlets.
pub const CONFIGLETS: &str = "/etc/datastore.d";
/// A file larger than this is not configuration.
pub const MAX_FILE: u64 = 1 << 20;
/// More mappings than this are refused, so that no configlet can exhaust the machine.
pub const MAX_MAPPINGS: usize = 20_000;

/// What part a file plays, which follows from where it lies and what it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `/etc/datastore.conf`.
    Globals,
    /// `/etc/datastore.d/<app>.conf`.
    Configlet,
    /// `/etc/clearos/storage.conf`.
    ClearOsGlobals,
    /// `/etc/clearos/storage.d/<app>_default.conf`.
    ClearOsDefault,
    /// `/etc/clearos/storage.d/<app>-system.conf`, else `<app>.conf`.
    ClearOsOverride,
    /// `/etc/datastore.d/<app>.local.conf`.
    Local,
}

/// One file that was found, whether or not it could be read.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its path below the root, as messages show it.
    pub path: String,
    /// The part it plays.
    pub role: Role,
    /// The app in its name; empty for the two global files.
    pub app: String,
    /// What is in it.
    pub content: Content,
}

impl Input {
    /// One that could be read.
    pub fn read(path: impl Into<String>, role: Role, app: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), role, app: app.into(), content: Content::Bytes(bytes.into()) }
    }
}

/// What reading a file gave.
#[derive(Debug, Clone)]
pub enum Content {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// It could not be read; the reason.
    Unreadable(String),
    /// It, or a directory above it, could be changed by somebody other than root; the reason.
    Unsafe(String),
}

/// Everything that the files say of one app.
#[derive(Debug, Default)]
pub(crate) struct Layered {
    /// The layers merged: each value is that of the highest layer that has it, and its span says which that is.
    pub app: RawApp,
    /// Whether the lowest layer is a default mapping, which is disabled unless it says otherwise.
    pub is_default: bool,
    /// Whether it is ClearOS's form, which `$config['enabled']` switches as a whole.
    pub is_clearos: bool,
    /// The files, lowest layer first.
    pub files: Vec<String>,
    /// Findings that refuse the app.
    pub found: Vec<Diagnostic>,
}

/// All files read, nothing resolved.
#[derive(Debug)]
pub(crate) struct Config {
    pub globals: RawGlobals,
    pub clearos: RawClearOsGlobals,
    pub apps: BTreeMap<AppName, Layered>,
    /// Findings that belong to no app.
    pub found: Vec<Diagnostic>,
    /// Whether `/etc/datastore.conf` itself is wrong: then nothing that it would say is known.
    pub globals_broken: bool,
    pub sources: Sources,
}

/// Which role a file plays: `directory` is the directory it lies in below the root, `name` its own name. `None` for files that are nobody's
/// (backups of editors and packagers, hidden files).
#[must_use]
pub fn role_of<'n>(directory: &str, name: &'n str) -> Option<(Role, &'n str)> {
    if name.starts_with('.') {
        return None;
    }
    let stem = name.strip_suffix(".conf")?;
    match directory {
        "/etc/datastore.d" => Some(match stem.strip_suffix(".local") {
            Some(app) => (Role::Local, app),
            None => (Role::Configlet, stem),
        }),
        "/etc/clearos/storage.d" => Some(match stem.strip_suffix("_default") {
            Some(app) => (Role::ClearOsDefault, app),
            None => (Role::ClearOsOverride, stem),
        }),
        _ => None,
    }
}

impl Config {
    /// Reads every file and lays the layers of each app over each other.
    pub(crate) fn read(mut inputs: Vec<Input>) -> Self {
        // The globals come first because `$base` of the others stands there; then layer by layer, each by name.
        inputs.sort_by(|a, b| {
            (a.role != Role::Globals, a.role != Role::ClearOsGlobals, a.role, &a.path).cmp(&(
                b.role != Role::Globals,
                b.role != Role::ClearOsGlobals,
                b.role,
                &b.path,
            ))
        });
        let mut config = Self {
            globals: RawGlobals::default(),
            clearos: RawClearOsGlobals::default(),
            apps: BTreeMap::new(),
            found: Vec::new(),
            globals_broken: false,
            sources: Sources::default(),
        };
        let overrides: Vec<(String, String)> = inputs
            .iter()
            .filter(|i| i.role == Role::ClearOsOverride)
            .map(|i| (i.app.clone(), i.path.clone()))
            .collect();
        let mut apps = Vec::with_capacity(inputs.len());
        for input in inputs {
            match input.role {
                Role::Globals => config.read_globals(&input),
                Role::ClearOsGlobals => config.read_clearos_globals(&input),
                // Of the two overrides of ClearOS one counts: `<app>-system.conf` if it is there (REQUIREMENTS C6).
                Role::ClearOsOverride => {
                    let (app, system) = match input.app.strip_suffix("-system") {
                        Some(app) => (app.to_owned(), true),
                        None => (input.app.clone(), false),
                    };
                    let twin = format!("{app}-system");
                    if system || !overrides.iter().any(|(name, _)| *name == twin) {
                        apps.push(Input { app, ..input });
                    }
                }
                Role::Configlet | Role::ClearOsDefault | Role::Local => apps.push(input),
            }
        }
        let mut texts: Vec<Result<FileId, Diagnostic>> = Vec::with_capacity(apps.len());
        for input in &mut apps {
            texts.push(Self::text(input).map(|text| config.sources.add(&input.path, &text)));
            // The text is kept once.
            input.content = Content::Bytes(Vec::new());
        }
        for (input, read) in apps.into_iter().zip(config.parse(&texts)) {
            config.read_app(input, read);
        }
        config.check_layers();
        config
    }

    /// Reads the texts of configlets; many of them with two threads, because they do not depend on each other.
    fn parse(&self, texts: &[Result<FileId, Diagnostic>]) -> Vec<(RawApp, Vec<Diagnostic>)> {
        let one = |text: &Result<FileId, Diagnostic>| match text {
            Err(found) => (RawApp::default(), vec![found.clone()]),
            Ok(file) if syntax::php::is_php(&self.sources.text(*file)) => {
                syntax::php::configlet(*file, &self.sources, self.clearos.base.as_ref())
            }
            Ok(file) => syntax::toml::configlet(*file, &self.sources),
        };
        if texts.len() < 16 {
            return texts.iter().map(one).collect();
        }
        let (first, second) = texts.split_at(texts.len() / 2);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| second.iter().map(one).collect::<Vec<_>>());
            let mut all: Vec<_> = first.iter().map(one).collect();
            all.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            all
        })
    }

    /// The text of an input, or the finding that there is none.
    fn text(input: &Input) -> Result<String, Diagnostic> {
        match &input.content {
            Content::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(text.to_owned()),
                Err(error) => {
                    let line = bytes[..error.valid_up_to()].iter().filter(|&&b| b == b'\n').count() + 1;
                    let found = Diagnostic::about_file(
                        &input.path,
                        Code::Syntax,
                        format!("line {line} is not UTF-8 (byte {})", error.valid_up_to()),
                    );
                    Err(found.hint("save the file as UTF-8"))
                }
            },
            Content::Unreadable(why) => Err(Diagnostic::about_file(&input.path, Code::Unreadable, why.clone())),
            Content::Unsafe(why) => Err(Diagnostic::about_file(&input.path, Code::Unsafe, why.clone()).hint(format!(
                "look at the file and at the directories above it, then: chown root {0} && chmod go-w {0}",
                input.path
            ))),
        }
    }

    fn read_globals(&mut self, input: &Input) {
        match Self::text(input) {
            Err(found) => {
                self.globals_broken = true;
                self.found.push(found);
            }
            Ok(text) => {
                let file = self.sources.add(&input.path, &text);
                let (mut globals, found) = syntax::toml::globals(file, &self.sources);
                self.globals_broken |= found.iter().any(Diagnostic::is_error);
                self.found.extend(found);
                for (name, app) in std::mem::take(&mut globals.apps) {
                    match AppName::parse(&name.value) {
                        Ok(app_name) => {
                            let layered = Layered {
                                app,
                                is_default: true,
                                files: vec![input.path.clone()],
                                ..Layered::default()
                            };
                            self.apps.insert(app_name, layered);
                        }
                        Err(why) => {
                            self.globals_broken = true;
                            self.found.push(self.sources.diagnose(name.span, Code::BadName, why.to_string()));
                        }
                    }
                }
                self.globals = globals;
            }
        }
    }

    fn read_clearos_globals(&mut self, input: &Input) {
        match Self::text(input) {
            Err(found) => self.found.push(found),
            Ok(text) => {
                let file = self.sources.add(&input.path, &text);
                let (globals, found) = syntax::php::clearos_globals(file, &self.sources);
                self.clearos = globals;
                self.found.extend(found);
            }
        }
    }

    fn read_app(&mut self, input: Input, (app, found): (RawApp, Vec<Diagnostic>)) {
        let name = match AppName::parse(&input.app) {
            Ok(name) => name,
            Err(why) => {
                self.found.push(
                    Diagnostic::about_file(&input.path, Code::BadName, format!("the file's name is no app's: {why}"))
                        .hint("rename it to <app>.conf, or remove it"),
                );
                return;
            }
        };
        let known = self.apps.get(&name).is_some_and(|l| !l.is_default);
        match input.role {
            // A package's configlet says which directories are the package's; the default mapping of the same name
            // was a guess and steps back whole (docs/decisions.md).
            Role::Configlet => {
                let layered = Layered { app, files: vec![input.path], found, ..Layered::default() };
                self.apps.insert(name, layered);
            }
            Role::ClearOsDefault if known => {
                let message = format!("`{name}` has a configlet in /etc/datastore.d, so this file is passed over");
                self.found.push(Diagnostic::about_file(&input.path, Code::Duplicate, message).warning());
            }
            Role::ClearOsDefault => {
                let layered = Layered { app, is_clearos: true, files: vec![input.path], found, ..Layered::default() };
                self.apps.insert(name, layered);
            }
            Role::ClearOsOverride if !self.apps.get(&name).is_some_and(|l| l.is_clearos) => {
                let message =
                    format!("there is no /etc/clearos/storage.d/{name}_default.conf that this file could override");
                self.found.push(Diagnostic::about_file(&input.path, Code::Unreadable, message).warning());
            }
            _ => {
                let layered = self.apps.entry(name).or_default();
                if layered.files.is_empty() && !app.mappings.is_empty() {
                    // An override may stand alone if it says everything; what is missing is reported when it is resolved.
                    layered.is_default = false;
                }
                layered.files.push(input.path);
                layered.found.extend(found);
                merge(&mut layered.app, app);
            }
        }
    }

    /// An override for an app that nobody declares is most likely a typo in its name.
    fn check_layers(&mut self) {
        let names: Vec<String> = self.apps.keys().map(ToString::to_string).collect();
        for (name, layered) in &mut self.apps {
            let alone = layered.files.len() == 1 && layered.files[0].ends_with(".local.conf");
            if alone && layered.app.mappings.is_empty() {
                let others: Vec<&str> = names.iter().map(String::as_str).filter(|n| *n != name.as_str()).collect();
                let mut found = Diagnostic::about_file(
                    &layered.files[0],
                    Code::BadName,
                    format!("no configlet and no default mapping is called `{name}`, so this override changes nothing"),
                )
                .warning();
                if let Some(near) = crate::diag::nearest(name.as_str(), &others) {
                    found = found.hint(format!("did you mean {near}.local.conf?"));
                }
                self.found.push(found);
            }
        }
        self.apps.retain(|_, l| {
            !(l.files.len() == 1
                && l.files[0].ends_with(".local.conf")
                && l.app.mappings.is_empty()
                && l.found.is_empty())
        });
    }
}

/// Lays `over` over `under`, mapping by mapping and value by value.
fn merge(under: &mut RawApp, over: RawApp) {
    lay(&mut under.title, over.title);
    lay(&mut under.enabled, over.enabled);
    lay(&mut under.services, over.services);
    lay(&mut under.premount, over.premount);
    lay(&mut under.postmount, over.postmount);
    lay(&mut under.hook_timeout, over.hook_timeout);
    let known: HashMap<Vec<u8>, usize> =
        under.mappings.iter().enumerate().map(|(i, m)| (fold(&m.mount_point.value), i)).collect();
    for mapping in over.mappings {
        match known.get(&fold(&mapping.mount_point.value)) {
            None => under.mappings.push(mapping),
            Some(&below) => merge_mapping(&mut under.mappings[below], mapping),
        }
    }
}

/// The upper value, where there is one.
fn lay<T>(under: &mut Option<T>, over: Option<T>) {
    if over.is_some() {
        *under = over;
    }
}

fn merge_mapping(under: &mut RawMapping, over: RawMapping) {
    under.target = match (under.target.take(), over.target) {
        (
            Some(RawTarget::ClearOs { base: b1, directory: d1 }),
            Some(RawTarget::ClearOs { base: b2, directory: d2 }),
        ) => Some(RawTarget::ClearOs { base: b2.or(b1), directory: d2.or(d1) }),
        (below, above) => above.or(below),
    };
    lay(&mut under.permissions, over.permissions);
    lay(&mut under.owner, over.owner);
    lay(&mut under.group, over.group);
    lay(&mut under.volume, over.volume);
    lay(&mut under.premount, over.premount);
    lay(&mut under.postmount, over.postmount);
    lay(&mut under.options, over.options);
    lay(&mut under.unusual, over.unusual);
}

/// A mount point as written, in its one spelling where it has one, so that `/home/` overrides `/home`.
fn fold(written: &str) -> Vec<u8> {
    crate::path::AbsPath::parse(written).map_or_else(|_| written.as_bytes().to_vec(), |p| p.as_bytes().to_vec())
}
