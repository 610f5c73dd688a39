//! Plans `adopt`: a volume from another or a reinstalled machine, whose data becomes this machine's.
//!
//! The volume is taken as `volume add` takes one. Before the configuration names it, its files get the owners that have the same names here, and apps that
//! nobody here declares get their configlets back. Binding is no part of it: `enable` does that, with all that it refuses.

use std::collections::BTreeMap;

use super::add::Adder;
use super::{CONFIG, Site, refuse};
use crate::amount::count;
use crate::config::{CONFIGLETS, Input, Role};
use crate::edit::Placed;
use crate::error::{Error, ErrorKind, Result};
use crate::goal::{Adopt, Goal};
use crate::manifest::{DIRECTORY, Edit, Entry, Manifest, VolumeFile};
use crate::observed::{FileFacts, Lookup};
use crate::owners::{self, Change, Here, Kind, Owners, Stays};
use crate::path::AbsPath;
use crate::plan::{Plan, Remark, Subject};
use crate::resolve::{incumbents, resolve};
use crate::standing::View;
use crate::step::{Action, ManifestEdit};
use crate::switch;
use crate::value::{AppName, HostName, Id, Mode};
use crate::wanted::{Volume, Wanted};

/// So many are named in a message.
const NAMED: usize = 5;

/// What a volume brings, looked at without changing anything on it.
#[derive(Debug, Clone)]
pub struct Brought {
    /// Its identity.
    pub file: FileFacts<VolumeFile>,
    /// The hosts that have data on it.
    pub hosts: Vec<HostName>,
    /// What the one that is asked for says of its stores.
    pub manifest: FileFacts<Manifest>,
    /// Whose the numbers are.
    pub owners: FileFacts<Owners>,
    /// The configlets that the machine had which used it last, by their file names.
    pub configlets: BTreeMap<String, String>,
    /// The stores that are there.
    pub stores: Vec<StoreFound>,
    /// What this machine knows of those users.
    pub users: Here,
    /// What it knows of those groups.
    pub groups: Here,
    /// Mount points of its stores at which something stands here.
    pub in_the_way: Vec<AbsPath>,
    /// Another disk that is attached and carries the same identity.
    pub twin: Option<String>,
}

/// A store directory that was walked over.
#[derive(Debug, Clone)]
pub struct StoreFound {
    /// Where it is, relative to the base.
    pub key: String,
    /// How many files each user has in it.
    pub users: owners::Census,
    /// How many files each group has in it.
    pub groups: owners::Census,
}

/// Whose data is adopted, and the name under which this machine presents it: what was asked for, else what can be meant.
///
/// # Errors
/// [`ErrorKind::Refused`] if there is no data of a host, or of several and nobody said which; or if this machine presents its own under another name.
pub fn hosts(
    brought: &[HostName],
    wanted: Option<&HostName>,
    from: Option<HostName>,
    host: Option<HostName>,
) -> Result<(HostName, HostName)> {
    let all = || brought.iter().map(HostName::as_str).collect::<Vec<_>>().join(", ");
    let from = match (from, brought) {
        (Some(from), _) if brought.contains(&from) => from,
        (Some(from), _) => {
            return refuse(format!("the volume has no data of host `{from}`"), format!("there is: {}", all()));
        }
        (None, []) => {
            return refuse("the volume has no data of any host", "datastore volume add takes it as it is");
        }
        (None, [one]) => one.clone(),
        (None, _) => match wanted.filter(|own| brought.contains(own)) {
            Some(own) => own.clone(),
            None => {
                return refuse(format!("the volume has data of several hosts: {}", all()), "say whose: --host NAME");
            }
        },
    };
    let host = match (host, wanted) {
        (Some(host), Some(own)) if host != *own => {
            return refuse(
                format!("this machine presents its data as `{own}`, and has one name only"),
                format!("rename the data of `{from}` to this machine's: --as {own}"),
            );
        }
        (Some(host), _) => host,
        (None, Some(own)) if *own != from => {
            return refuse(
                format!("the volume has the data of `{from}`, and this machine presents its data as `{own}`"),
                format!("rename it to this machine's: --as {own}"),
            );
        }
        (None, _) => from.clone(),
    };
    Ok((from, host))
}

/// Plans `adopt`. `inputs` is the configuration as it is.
pub fn adopt(goal: &Goal, view: &View<'_>, site: &Site, brought: &Brought, inputs: &[Input], seed: Id) -> Result<Plan> {
    let Goal::Adopt(request) = goal else {
        return Err(Error::new(ErrorKind::Usage, format!("`{goal}` adopts nothing")));
    };
    let adder = Adder::new(goal, view, site, seed)?;
    let mut adoption = Adoption { request, brought, view, adder, subjects: Vec::new() };
    let volume = adoption.adder.taken()?;
    adoption.is_one_of_ours()?;
    adoption.base(&volume)?;
    adoption.numbers(&volume)?;
    adoption.adder.identity_file(&volume);
    adoption.adder.configuration(&volume, view.wanted.host.is_none())?;
    adoption.configlets(&volume, inputs)?;
    adoption.adder.fstab(&volume);
    adoption.tell();
    let subjects = adoption.subjects;
    Ok(Plan { mappings: subjects, ..adoption.adder.plan(goal) })
}

struct Adoption<'a> {
    request: &'a Adopt,
    brought: &'a Brought,
    view: &'a View<'a>,
    adder: Adder<'a>,
    /// The mappings whose stores are on it.
    subjects: Vec<Subject>,
}

impl Adoption<'_> {
    fn is_one_of_ours(&self) -> Result<()> {
        let name = &self.request.volume.name;
        match &self.brought.file {
            FileFacts::Is(_) => {}
            FileFacts::Absent => {
                return refuse(
                    "this is no volume of datastore: it has no identity",
                    format!("datastore volume add {name} takes it as it is"),
                );
            }
            FileFacts::Hidden => {
                // Of a machine that crashed, as a rule; or nothing can be shown that is not mounted (before Linux 5.2).
                return refuse(
                    "whose files are on it cannot be seen before it has been mounted once: it was not unmounted cleanly, or this kernel is too old",
                    format!("mount it on {}, then: datastore adopt {name}", self.adder.site.path),
                );
            }
            damaged @ FileFacts::Damaged(_) => return self.adder.identity(damaged).map(drop),
        }
        if let Some(twin) = &self.brought.twin {
            return refuse(
                format!(
                    "{twin} carries the same identity: one of the two is a copy, and nobody could tell which is mounted at the next boot"
                ),
                "detach the one that is not meant",
            );
        }
        Ok(())
    }

    /// The directory of the host's stores, under the name that this machine has.
    fn base(&mut self, volume: &Volume) -> Result<()> {
        let (from, host) = (&self.request.from, &self.request.host);
        let is_renamed = from != host && self.brought.hosts.contains(from);
        if is_renamed {
            if self.brought.hosts.contains(host) {
                return refuse(
                    format!("the volume has data of `{host}` too, so that of `{from}` cannot get its name"),
                    format!("look at both: {}/{from} and {}/{host}", volume.live(), volume.live()),
                );
            }
            let (from, to) = (volume.live().child(from.as_str()), volume.live().child(host.as_str()));
            self.adder.push(Action::RenameBase { from, to });
        }
        self.adder.directories(volume)?;
        if is_renamed {
            let renamed = self.home(volume);
            self.adder.steps.retain(|s| !matches!(&s.action, Action::MakeDir { path, .. } if *path == renamed));
        }
        Ok(())
    }

    fn home(&self, volume: &Volume) -> AbsPath {
        volume.live().child(self.request.host.as_str())
    }

    fn manifest(&self) -> Result<impl Iterator<Item = (&str, &Entry)>> {
        match &self.brought.manifest {
            FileFacts::Is(manifest) => Ok(Some(manifest).into_iter().flat_map(Manifest::iter)),
            FileFacts::Absent => Ok(None.into_iter().flat_map(Manifest::iter)),
            FileFacts::Hidden => {
                Err(Error::new(ErrorKind::Privilege, "the manifest of the volume cannot be read without privilege")
                    .hint("run it as root"))
            }
            FileFacts::Damaged(why) => refuse(
                format!("the manifest of the volume is damaged: {why}"),
                format!("bring live/{}/{DIRECTORY}/manifest.toml back from a backup", self.request.from),
            ),
        }
    }

    /// Whose the numbers are: what the old machine has left, and what the manifest says.
    fn owners(&self) -> Result<Owners> {
        let mut owners = match &self.brought.owners {
            FileFacts::Is(owners) => owners.clone(),
            FileFacts::Damaged(why) => {
                return refuse(
                    format!("the names of owners on the volume cannot be read: {why}"),
                    format!("mend or remove live/{}/{DIRECTORY}/{}", self.request.from, owners::FILE),
                );
            }
            FileFacts::Absent | FileFacts::Hidden => Owners::default(),
        };
        for (_, entry) in self.manifest()? {
            owners.users.entry(entry.owner.clone()).or_insert(entry.uid);
            owners.groups.entry(entry.group.clone()).or_insert(entry.gid);
        }
        Ok(owners)
    }

    /// Gives files the numbers that their owners have here.
    fn numbers(&mut self, volume: &Volume) -> Result<()> {
        let owners = self.owners()?;
        let users = self.change(Kind::User, &owners)?;
        let groups = self.change(Kind::Group, &owners)?;
        let home = self.home(volume);
        let room = home.child(DIRECTORY);
        if !users.renamed.is_empty() || !groups.renamed.is_empty() {
            let mounts = &self.view.observed.mounts;
            if let Some((_, entry)) = self.manifest()?.find(|(_, entry)| mounts.at(&entry.mount_point).is_some()) {
                return refuse(
                    format!("owners must get other numbers, and something is mounted at {}", entry.mount_point),
                    format!("datastore stop {}", entry.app),
                );
            }
            let is_there = |found: &StoreFound| home.join(found.key.as_bytes()).ok();
            let stores: Vec<AbsPath> = self.brought.stores.iter().filter_map(is_there).collect();
            let renumber =
                |users: Vec<_>, groups: Vec<_>| Action::Renumber { stores: stores.clone(), users, groups, exact: true };
            let before = self.brought.owners.said().map(Owners::render);
            let begun = Owners { coming_users: users.coming(), coming_groups: groups.coming(), ..owners };
            let turned = Owners { users: users.table.clone(), groups: groups.table.clone(), ..begun.clone() };
            let ended =
                Owners { coming_users: owners::Table::new(), coming_groups: owners::Table::new(), ..turned.clone() };
            let texts = [before, Some(begun.render()), Some(turned.render()), Some(ended.render())];
            let steps =
                [Some(renumber(users.away(), groups.away())), Some(renumber(users.home(), groups.home())), None];
            for (pair, then) in texts.windows(2).zip(steps) {
                let [from, to] = [pair[0].clone(), pair[1].clone()];
                if from != to {
                    let path = room.child(owners::FILE);
                    self.adder.push(Action::WriteFile { path, from, to, mode: Mode::from_bits(0o600) });
                }
                if let Some(step) = then {
                    let is_idle = matches!(&step, Action::Renumber { users, groups, .. } if users.is_empty() && groups.is_empty());
                    if !is_idle {
                        self.adder.push(step);
                        self.adder.push(Action::Flush { path: volume.path.clone() });
                    }
                }
            }
        }
        let number = |here: &Here, name, old| match here.numbers.get(name) {
            Some(Lookup::Found(number)) => *number,
            _ => old,
        };
        let edits: Vec<ManifestEdit> = self
            .manifest()?
            .filter_map(|(store, entry)| {
                let (uid, gid) = (
                    number(&self.brought.users, &entry.owner, entry.uid),
                    number(&self.brought.groups, &entry.group, entry.gid),
                );
                let to = Entry { uid, gid, ..entry.clone() };
                let edit = Edit { store: store.into(), from: Some(entry.clone()), to: Some(to) };
                (edit.from != edit.to).then_some(ManifestEdit { mapping: None, edit })
            })
            .collect();
        if !edits.is_empty() {
            self.adder.push(Action::Manifest { home, edits });
        }
        Ok(())
    }

    /// What becomes of the numbers of one kind; what must be told of it is told.
    fn change(&mut self, kind: Kind, owners: &Owners) -> Result<Change> {
        let mut found = owners::Census::new();
        for store in &self.brought.stores {
            let census = if kind == Kind::User { &store.users } else { &store.groups };
            census.iter().for_each(|(number, files)| *found.entry(*number).or_default() += files);
        }
        let here = if kind == Kind::User { &self.brought.users } else { &self.brought.groups };
        let change = match owners::change(kind, &found, owners, here) {
            Ok(change) => change,
            Err((message, hint)) => return refuse(message, hint),
        };
        let told = |stays: &Stays| {
            let whose = stays.name.as_ref().map_or_else(|| "nobody".into(), |name| format!("`{name}`"));
            let files = count(usize::try_from(stays.files).unwrap_or(usize::MAX), "file");
            match &stays.taken_by {
                Some(other) => format!("{} is {whose} there and `{other}` here ({files})", stays.number),
                None => format!("{} is {whose} ({files})", stays.number),
            }
        };
        let list = |some: &[&Stays]| {
            let more = if some.len() > NAMED { format!(", and {} more", some.len() - NAMED) } else { String::new() };
            format!("{}{more}", some.iter().take(NAMED).map(|s| told(s)).collect::<Vec<_>>().join(", "))
        };
        let is_mixed_up = |s: &&Stays| s.name.is_some() && s.taken_by.is_some();
        let mixed: Vec<&Stays> = change.stays.iter().filter(is_mixed_up).collect();
        if let Some(first) = mixed.first().and_then(|stays| stays.name.as_ref()) {
            return refuse(
                format!("files would get another owner, for these names are not known here: {kind} {}", list(&mixed)),
                format!(
                    "install what makes the {kind} `{first}`, or make it: {kind}add {first}; then run the command again"
                ),
            );
        }
        let unknown: Vec<&Stays> = change.stays.iter().collect();
        if let Some(first) = unknown.first() {
            let option = if kind == Kind::User { "-u" } else { "-g" };
            let name = first.name.as_ref().map_or("NAME", |name| name.as_str());
            self.adder.remarks.push(Remark {
                detail: format!("these numbers stay, for nobody here has the name: {kind} {}", list(&unknown)),
                hint: format!(
                    "install what makes them, or make them with the same number: {kind}add {option} {} {name}",
                    first.number
                ),
            });
        }
        Ok(change)
    }

    /// The configlets of apps that have data on the volume and that nobody here declares; and where stores are, if that must be said.
    fn configlets(&mut self, volume: &Volume, inputs: &[Input]) -> Result<()> {
        let mut inputs = self.with_new_globals(inputs);
        let known = incumbents(&self.view.observed.fstab);
        let mut apps: BTreeMap<AppName, Vec<(AbsPath, Entry)>> = BTreeMap::new();
        let home = self.home(volume);
        for (key, entry) in self.manifest()? {
            if self.brought.stores.iter().any(|found| found.key == key)
                && let Ok(store) = home.join(key.as_bytes())
            {
                apps.entry(entry.app.clone()).or_default().push((store, entry.clone()));
            }
        }
        let before = resolve(inputs.clone(), &known);
        let mut brought = Vec::new();
        for (app, stores) in &apps {
            let is_known = before.app(app).is_some();
            if self.bring_back(app, is_known, stores, volume, &mut inputs)? {
                brought.push(app);
            }
        }
        let mut now = resolve(inputs.clone(), &known);
        for (app, stores) in &apps {
            let asked: Vec<&(AbsPath, Entry)> = stores
                .iter()
                .filter(|(_, entry)| now.of_app(app).any(|(_, m)| m.mount_point == entry.mount_point))
                .collect();
            let lies = |now: &Wanted, (store, entry): &(AbsPath, Entry)| {
                now.of_app(app).any(|(_, m)| m.mount_point == entry.mount_point && m.store == *store)
            };
            if !asked.iter().all(|one| lies(&now, one)) {
                if let Some((_, entry)) =
                    asked.iter().find(|(_, e)| self.view.observed.mounts.at(&e.mount_point).is_some())
                {
                    self.adder.remarks.push(Remark {
                        detail: format!(
                            "`{app}` has data at {} already; what the volume has of it stays unused",
                            entry.mount_point
                        ),
                        hint: format!("datastore status {app}"),
                    });
                    continue;
                }
                let place = |(store, entry): &&(AbsPath, Entry)| Placed {
                    mount_point: entry.mount_point.clone(),
                    volume: volume.name.clone(),
                    target: Some(store.clone()),
                };
                let placed: Vec<Placed> = asked.iter().map(place).collect();
                self.adder.steps.extend(switch::settle(app, &placed, &mut inputs)?);
                now = resolve(inputs.clone(), &known);
            }
            let is_sound = now.app(app).is_some_and(|app| app.problem.is_none());
            if !is_sound || asked.is_empty() || !asked.iter().all(|one| lies(&now, one)) {
                self.adder.remarks.push(Remark {
                    detail: format!("the configuration of `{app}` does not lead to its data on the volume"),
                    hint: format!("datastore config check {app}"),
                });
                continue;
            }
            if brought.contains(&app) {
                self.tell_of_hooks(app, &now);
            }
            self.subjects.extend(asked.iter().map(|(store, entry)| Subject {
                app: app.clone(),
                mount_point: entry.mount_point.clone(),
                store: store.clone(),
                volume: Some(volume.name.clone()),
            }));
        }
        Ok(())
    }

    /// The configuration with what the plan writes into `/etc/datastore.conf`.
    fn with_new_globals(&self, inputs: &[Input]) -> Vec<Input> {
        let mut inputs = inputs.to_vec();
        let written = self.adder.steps.iter().find_map(|step| match &step.action {
            Action::WriteFile { path, to: Some(text), .. } if path.to_string() == CONFIG => Some(text),
            _ => None,
        });
        if let Some(text) = written {
            inputs.retain(|input| input.path != CONFIG);
            inputs.push(Input::read(CONFIG, Role::Globals, "", text.as_str()));
        }
        inputs
    }

    /// The files that the old machine had and this one has not; of an app that nothing here declares, a configlet of what the manifest says. Says whether
    /// something of the old machine's is among them.
    fn bring_back(
        &mut self,
        app: &AppName,
        is_known: bool,
        stores: &[(AbsPath, Entry)],
        volume: &Volume,
        inputs: &mut Vec<Input>,
    ) -> Result<bool> {
        let mut is_brought = false;
        let kept = |name: &str| self.brought.configlets.get(name).cloned();
        let [own, local] = [format!("{app}.conf"), format!("{app}.local.conf")];
        let text = kept(&own);
        let is_made = text.is_none() && !is_known;
        let text = text.or_else(|| is_made.then(|| rendered(stores, volume, self.adder.host.as_str())));
        for (name, role, text) in [(&own, Role::Configlet, text), (&local, Role::Local, kept(&local))] {
            let Some(text) = text else { continue };
            // What somebody, or a package, says of the app here counts.
            let says = |input: &Input| match input.role {
                Role::Configlet | Role::ClearOsDefault => role == Role::Configlet,
                other => other == role,
            };
            if inputs.iter().any(|input| input.app == app.as_str() && says(input)) {
                continue;
            }
            is_brought |= !is_made;
            let path = format!("{CONFIGLETS}/{name}");
            let at = AbsPath::parse(&path).map_err(|error| Error::new(ErrorKind::Usage, error.to_string()))?;
            inputs.push(Input::read(path, role, app.as_str(), text.as_str()));
            self.adder.push(Action::WriteFile { path: at, from: None, to: Some(text), mode: Mode::from_bits(0o644) });
        }
        if is_made {
            self.adder.remarks.push(Remark {
                detail: format!("the volume has no configlet of `{app}`, so its services and hooks are not known"),
                hint: format!(
                    "name its services in {CONFIGLETS}/{app}.conf, so that they do not start without their data"
                ),
            });
        }
        Ok(is_brought)
    }

    fn tell(&mut self) {
        let others: Vec<&str> = self
            .brought
            .hosts
            .iter()
            .filter(|h| **h != self.request.from && **h != self.request.host)
            .map(HostName::as_str)
            .collect();
        if !others.is_empty() {
            self.adder.remarks.push(Remark {
                detail: format!("the volume has data of other hosts too, which stays as it is: {}", others.join(", ")),
                hint: String::new(),
            });
        }
        for subject in self.subjects.iter().filter(|subject| self.brought.in_the_way.contains(&subject.mount_point)) {
            let (app, at) = (&subject.app, &subject.mount_point);
            self.adder.remarks.push(Remark {
                detail: format!(
                    "{at} is not empty here; it is not covered, so `{app}` is not bound until that is put aside"
                ),
                hint: format!("stop what uses it; mv {at} {at}.old && datastore start {app}"),
            });
        }
        let is_bound = |subject: &&Subject| self.view.observed.mounts.at(&subject.mount_point).is_some();
        let pending: Vec<&Subject> = self.subjects.iter().filter(|subject| !is_bound(subject)).collect();
        if !pending.is_empty() {
            let places = pending.iter().map(|subject| format!("{} ({})", subject.mount_point, subject.app));
            let mut apps: Vec<&str> = pending.iter().map(|subject| subject.app.as_str()).collect();
            apps.dedup();
            self.adder.remarks.push(Remark {
                detail: format!("then what is on it is bound at {}", places.collect::<Vec<_>>().join(", ")),
                hint: format!(
                    "where it is to be seen is what the disk says; by hand: datastore enable {}",
                    apps.join(" ")
                ),
            });
        }
    }

    /// A configlet that comes from the disk may name programs of this machine, which are run as root.
    fn tell_of_hooks(&mut self, app: &AppName, now: &Wanted) {
        let own = now.app(app).into_iter().flat_map(|app| app.hooks.iter());
        let hooks = own.chain(now.of_app(app).flat_map(|(_, mapping)| mapping.hooks.iter()));
        let mut programs: Vec<String> = hooks.map(|(when, hook)| format!("{} ({when})", hook.program)).collect();
        programs.sort();
        programs.dedup();
        if !programs.is_empty() {
            self.adder.remarks.push(Remark {
                detail: format!(
                    "the configlet of `{app}` from the volume has programs run as root: {}",
                    programs.join(", ")
                ),
                hint: format!("datastore config show {app}"),
            });
        }
    }
}

/// A configlet of what the manifest says.
fn rendered(stores: &[(AbsPath, Entry)], volume: &Volume, host: &str) -> String {
    use crate::syntax::print::quoted;
    use std::fmt::Write as _;
    let home = volume.live().child(host);
    let mut out = String::from("# Written by `datastore adopt` from what the volume says of its stores.\n");
    for (store, entry) in stores {
        let key = store.below(&home).map(|key| key.to_string()).unwrap_or_default();
        let target = format!("%{{base}}{}", key.replace('%', "%{%}"));
        let _ = write!(
            out,
            "\n[mapping.{}]\ntarget      = {}\npermissions = \"{}\"\nowner       = {}\ngroup       = {}\nvolume      = \"{}\"\n",
            quoted(&entry.mount_point.to_string()),
            quoted(&target),
            entry.mode,
            quoted(entry.owner.as_str()),
            quoted(entry.group.as_str()),
            volume.name,
        );
    }
    out
}
