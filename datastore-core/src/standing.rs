//! What one mapping is, from what is wanted and what is observed. Status and every planner ask here, so that they cannot
//! disagree.

mod hook;
mod store;
mod volume;

use crate::fstab::Entry;
use crate::landscape::Landscape;
use crate::manifest::Manifest;
use crate::mapping::{BindOptions, Mapping};
use crate::nesting::Nesting;
use crate::observed::{DirFacts, FileFacts, Identity, Lookup, MappingFacts, Observed};
use crate::path::{AbsPath, printable};
use crate::state::{Reason, Refusal, State};
use crate::step::Top;
use crate::value::{AppName, Attrs, Id};
use crate::wanted::{Volume, Wanted};

/// What is wanted, what is, and where the volumes lie.
#[derive(Debug)]
pub struct View<'a> {
    /// What the configuration asks for.
    pub wanted: &'a Wanted,
    /// The machine.
    pub observed: &'a Observed,
    /// The volumes in the mount table.
    pub landscape: Landscape,
}

/// How the question is meant.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask {
    /// The app was asked for by name, so what it waits for is a refusal.
    pub by_name: bool,
    /// The store may be another one than fstab says: `start` after a stop, and `remap`.
    pub new_store: bool,
    /// Store directories are taken as they are.
    pub accept: bool,
    /// What we have bound there comes off first, so that it does not count: `restart` and `remap` must not take off what could not
    /// be put on again.
    pub comes_off: bool,
}

/// What one mapping is.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The word.
    pub state: State,
    /// Why it is refused.
    pub refusal: Option<Refusal>,
    /// One sentence for a state that needs one.
    pub detail: String,
    /// The command that changes it.
    pub hint: String,
    /// What is bound at the mount point.
    pub bound: Option<Bound>,
    /// What differs from the configuration although the bind is right.
    pub drift: Vec<Drift>,
    /// Our line in fstab.
    pub line: Option<OurLine>,
    /// A hand-made line for the same bind, which is taken into our block.
    pub hand_made: Option<u32>,
    /// The mode, owner and group that the store must have, once its owner exists.
    pub attrs: Option<Attrs>,
}

/// A bind that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Whether it is the store that the configuration names.
    pub right: bool,
    /// What is bound, if it lies on a volume of ours.
    pub source: Option<AbsPath>,
    /// Its options.
    pub options: BindOptions,
    /// Whether it is this mapping's: our line names this source, or it is the wanted store and no other app has the line.
    pub ours: bool,
}

/// Our line in fstab, held against the one that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OurLine {
    /// The line.
    pub entry: Entry,
    /// Whether its source is the wanted store.
    pub same_store: bool,
    /// Whether it says `noauto`: stopped on purpose.
    pub noauto: bool,
    /// Whether it is exactly what would be written, `noauto` apart.
    pub exact: bool,
}

/// One thing that differs although the bind is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// Mode, owner or group of the store.
    Attrs {
        /// What it has.
        is: Attrs,
        /// What it must have.
        wanted: Attrs,
    },
    /// Options of the bind.
    Options {
        /// What it has.
        is: BindOptions,
        /// What it must have.
        wanted: BindOptions,
    },
    /// The line in fstab.
    Fstab(&'static str),
    /// The store carries no identity yet.
    NoIdentity,
    /// The store carries the identity of the one that the mapping had before: its data was copied here with all attributes.
    FormerIdentity,
    /// The manifest does not tell of it, or tells something else.
    Manifest,
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Attrs { is, wanted } => write!(f, "the store directory has {is}, not {wanted}"),
            Self::Options { is, wanted } => write!(f, "it is bound {is}, not {wanted}"),
            Self::Fstab(what) => f.write_str(what),
            Self::NoIdentity => f.write_str("the store directory carries no identity"),
            Self::FormerIdentity => {
                f.write_str("the store directory carries the identity of the one it was copied from")
            }
            Self::Manifest => f.write_str("the manifest on the volume is not up to date"),
        }
    }
}

impl<'a> View<'a> {
    /// Puts the two together.
    #[must_use]
    pub fn new(wanted: &'a Wanted, observed: &'a Observed) -> Self {
        Self { wanted, observed, landscape: Landscape::new(wanted, &observed.mounts) }
    }

    /// Which mappings lie in which.
    #[must_use]
    pub fn nesting(&self) -> Nesting<'a> {
        Nesting { wanted: self.wanted, mounts: &self.observed.mounts, fstab: &self.observed.fstab }
    }

    /// The number of a volume and what is wanted of it.
    #[must_use]
    pub fn volume_of(&self, mapping: &Mapping) -> (usize, &'a Volume) {
        let i = self.wanted.volumes.binary_search_by(|v| v.name.cmp(&mapping.volume));
        let i = i.expect("resolve() lists the volume of every mapping");
        (i, &self.wanted.volumes[i])
    }

    /// Where the file system is mounted that holds a path.
    #[must_use]
    pub fn file_system_of(&self, path: &AbsPath) -> AbsPath {
        self.observed.mounts.holding(path).and_then(|mount| mount.path()).unwrap_or_else(AbsPath::root)
    }

    /// The identity that the manifest knows for a mapping's store.
    #[must_use]
    pub fn recorded(&self, mapping: &Mapping) -> Option<&'a crate::manifest::Entry> {
        match self.observed.manifests.get(&mapping.home) {
            Some(FileFacts::Is(manifest)) => manifest.get(&mapping.key()),
            _ => None,
        }
    }

    /// Whether an identity is that of the store which a mapping had before an edit. It comes along when that one's data is copied by
    /// hand with all attributes (`cp -a`), or when the directory itself is moved.
    #[must_use]
    pub fn is_former(&self, mapping: &Mapping, id: Id) -> bool {
        let manifests = self.observed.manifests.values().filter_map(FileFacts::said);
        let mut entries = manifests.flat_map(Manifest::iter);
        entries.any(|(_, e)| e.id == id && e.app == mapping.app && e.mount_point == mapping.mount_point)
    }

    /// The line that fstab must have for a mapping.
    #[must_use]
    pub fn line_for(&self, mapping: &Mapping, noauto: bool) -> Entry {
        crate::plan::lines::bind(mapping, self.volume_of(mapping).1, noauto)
    }

    /// What a mapping is, by its number in [`Wanted::mappings`]. The facts about it must have been asked for.
    #[must_use]
    pub fn assess(&self, i: usize, ask: Ask) -> Standing {
        let mapping = &self.wanted.mappings[i];
        let mut standing = Standing {
            state: State::Pending,
            refusal: None,
            detail: String::new(),
            hint: String::new(),
            bound: None,
            drift: Vec::new(),
            line: self.our_line(mapping),
            hand_made: None,
            attrs: None,
        };
        let Some(facts) = self.observed.mappings.get(i).and_then(Option::as_ref) else {
            return standing.detailed(State::Disabled, "not looked at", "");
        };
        standing.bound = self.bound(mapping, facts, standing.line.as_ref());
        match self.judge(mapping, facts, ask, &mut standing) {
            Ok(()) => standing,
            Err(refusal) => standing.refused(refusal),
        }
    }

    /// What many mappings are, in their order. `make` says what is kept of each; it works with two threads where that is worth
    /// it, and `take` gets the results some thousand at a time, so that they need not all be there at once.
    pub fn assess_all<T: Send>(
        &self,
        which: &[usize],
        ask: Ask,
        make: impl Fn(usize, Standing) -> T + Sync,
        mut take: impl FnMut(T),
    ) {
        let assess = |which: &[usize]| which.iter().map(|&i| make(i, self.assess(i, ask))).collect::<Vec<T>>();
        for some in which.chunks(2048) {
            if some.len() < 512 {
                assess(some).into_iter().for_each(&mut take);
                continue;
            }
            let (first, second) = some.split_at(some.len() / 2);
            let second = std::thread::scope(|scope| {
                let other = scope.spawn(|| assess(second));
                assess(first).into_iter().for_each(&mut take);
                other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            second.into_iter().for_each(&mut take);
        }
    }

    /// The app that our line in fstab for a mapping's mount point belongs to, if that is another one which is still declared. The
    /// line of an app that nobody declares any more goes to whoever declares its mount point now.
    #[must_use]
    pub fn anothers(&self, mapping: &Mapping) -> Option<&'a AppName> {
        let row = self.observed.fstab.ours(&mapping.mount_point)?;
        let tag = row.entry.option_value("X-datastore").filter(|tag| *tag != mapping.app.as_str().as_bytes())?;
        let app = AppName::parse(std::str::from_utf8(tag).ok()?).ok()?;
        self.wanted.app(&app).map(|app| &app.name)
    }

    fn our_line(&self, mapping: &Mapping) -> Option<OurLine> {
        let row = self.observed.fstab.ours(&mapping.mount_point).filter(|_| self.anothers(mapping).is_none())?;
        let noauto = row.entry.has_option("noauto");
        Some(OurLine {
            entry: row.entry.clone(),
            same_store: row.entry.spec == mapping.store.as_bytes(),
            noauto,
            exact: *row.entry == self.line_for(mapping, noauto),
        })
    }

    /// What is bound at the mount point, if anything.
    fn bound(&self, mapping: &Mapping, facts: &MappingFacts, line: Option<&OurLine>) -> Option<Bound> {
        let mount = self.observed.mounts.at(&mapping.mount_point)?;
        let source = self.landscape.source_of(&mount);
        // Inodes tell for certain where both may be seen; a path in the mount table has to do where not.
        let right = match (facts.mount_point.dir(), facts.store.dir()) {
            (Some(seen), Some(store)) => (seen.dev, seen.ino) == (store.dev, store.ino),
            _ => source.as_ref() == Some(&mapping.store),
        };
        let was = source.clone().or_else(|| self.landscape.deleted_source_of(&mount));
        let by_line = line.is_some_and(|l| was.as_ref().is_some_and(|s| l.entry.spec == s.as_bytes()));
        let ours = by_line || (right && self.anothers(mapping).is_none());
        Some(Bound { right, source, options: BindOptions::from_list(mount.options()), ours })
    }

    fn judge(&self, m: &Mapping, facts: &MappingFacts, ask: Ask, out: &mut Standing) -> Result<(), Refusal> {
        if let Some(problem) = &m.problem {
            return Err(Refusal::clone(problem));
        }
        let right = !ask.comes_off && out.bound.as_ref().is_some_and(|b| b.right);
        let waiting = self.owners(m, out);
        if !m.enabled {
            out.state = State::Disabled;
            let hint = format!("datastore enable {}", m.app);
            if right {
                out.say(
                    format!("not asked for, but {} is still bound", m.store),
                    format!("datastore disable {}", m.app),
                );
            } else {
                out.say("not asked for".into(), hint);
            }
            return Ok(());
        }
        self.judge_volume(m)?;
        self.judge_lines(m, right, out)?;
        if let Some(bound) = &out.bound
            && !bound.right
            && !(ask.comes_off && bound.ours)
        {
            return Err(self.wrong_bind(m, bound));
        }
        self.judge_store(m, facts, ask, out, waiting.is_some())?;
        if right {
            // The owner of data that is in use may have gone; that must not make it look unused.
            if let Some(why) = waiting {
                out.state = State::Drifted;
                out.say(
                    why,
                    format!("create the user or group, or edit the configlet, then: datastore apply {}", m.app),
                );
                return Ok(());
            }
            self.find_drift(m, facts, out);
            return Ok(());
        }
        if let Some(why) = waiting {
            if ask.by_name {
                let hint = format!(
                    "install the package that creates it, or edit the configlet, then: datastore start {}",
                    m.app
                );
                return Err(Refusal::new(Reason::OwnerUnknown, why, hint));
            }
            out.state = State::Waiting;
            out.say(why, String::new());
            return Ok(());
        }
        self.judge_mount_point(m, facts)?;
        match &out.line {
            Some(line) if line.noauto && !ask.new_store => {
                out.state = State::Inactive;
                out.say("stopped on purpose".into(), format!("datastore start {}", m.app));
            }
            Some(line) if !line.same_store && !ask.new_store => {
                let was = printable(&line.entry.spec);
                return Err(Refusal::new(
                    Reason::WrongStore,
                    format!("the configuration says {}, but {was} was bound here before", m.store),
                    format!("datastore remap {} (then copy the data, then: datastore start {})", m.app, m.app),
                ));
            }
            _ => {
                self.judge_hooks(m)?;
                out.state = State::Pending;
                out.say("not bound".into(), format!("datastore apply {}", m.app));
            }
        }
        Ok(())
    }

    /// Looks the owners up; says what is missing.
    fn owners(&self, m: &Mapping, out: &mut Standing) -> Option<String> {
        let user = self.observed.users.get(&m.owner);
        let group = self.observed.groups.get(&m.group);
        if let (Some(Lookup::Found(uid)), Some(Lookup::Found(gid))) = (user, group) {
            out.attrs = Some(Attrs { mode: m.mode, uid: *uid, gid: *gid });
            return None;
        }
        let say = |what: &str, name: &dyn std::fmt::Display, found: Option<&Lookup>| match found {
            Some(Lookup::Found(_)) => None,
            Some(Lookup::Failed(why)) => Some(format!("looking up {what} `{name}` failed: {why}")),
            Some(Lookup::Unknown) | None => Some(format!("{what} `{name}` does not exist yet")),
        };
        let all = [say("user", &m.owner, user), say("group", &m.group, group)];
        Some(all.into_iter().flatten().collect::<Vec<_>>().join("; "))
    }

    /// The one hand-made line for a mapping's very bind, if that is all that others say of its mount point.
    fn hand_made(&self, m: &Mapping) -> Option<u32> {
        match self.observed.fstab.foreign(&m.mount_point).as_slice() {
            [row] if row.entry.spec == m.store.as_bytes() && row.entry.is_bind() => Some(row.line),
            _ => None,
        }
    }

    /// Whether a line of fstab that is not ours, and that may not be taken into our block, names a mapping's mount point.
    #[must_use]
    pub fn is_foreign(&self, m: &Mapping) -> bool {
        !self.observed.fstab.foreign(&m.mount_point).is_empty() && self.hand_made(m).is_none()
    }

    /// Lines of others for the same mount point.
    fn judge_lines(&self, m: &Mapping, right: bool, out: &mut Standing) -> Result<(), Refusal> {
        let foreign = self.observed.fstab.foreign(&m.mount_point);
        if foreign.is_empty() {
            return Ok(());
        }
        if let Some(line) = self.hand_made(m) {
            // Beside a line of ours it is a harmless second one: what is mounted is not mounted again.
            out.hand_made = Some(line).filter(|_| out.line.is_none());
            return Ok(());
        }
        let row = &foreign[0];
        let what =
            format!("line {} of /etc/fstab mounts {} on {}", row.line, printable(&row.entry.spec), m.mount_point);
        let hint = format!("remove that line from /etc/fstab, then: datastore apply {}", m.app);
        if right {
            out.drift.push(Drift::Fstab("a line in fstab that is not ours names the same mount point"));
            return Ok(());
        }
        Err(Refusal::new(Reason::ForeignMount, what, hint))
    }

    fn wrong_bind(&self, m: &Mapping, bound: &Bound) -> Refusal {
        let another = self.anothers(m);
        match (&bound.source, another) {
            (Some(source), _) if bound.ours => Refusal::new(
                Reason::WrongStore,
                format!("the configuration says {}, but {source} is bound", m.store),
                format!("datastore remap {} (then copy the data, then: datastore start {})", m.app, m.app),
            ),
            (Some(source), Some(other)) => Refusal::new(
                Reason::ClaimedElsewhere,
                format!("{source} of `{other}` is bound at {}", m.mount_point),
                format!("datastore remap {other}, or: datastore disable {}", m.app),
            ),
            _ => {
                let mount = self.observed.mounts.at(&m.mount_point);
                let what = mount.map_or_else(String::new, |mount| {
                    format!("{} ({})", printable(&mount.source()), printable(&mount.fstype()))
                });
                let deleted = mount.is_some_and(|mount| mount.is_deleted());
                if deleted {
                    return Refusal::new(
                        Reason::WrongStore,
                        format!("what is bound at {} has been deleted", m.mount_point),
                        format!(
                            "datastore stop {0}; then bring {1} back from a backup, or begin with an empty one: \
                             datastore start {0} --accept-store",
                            m.app, m.store
                        ),
                    );
                }
                Refusal::new(
                    Reason::ForeignMount,
                    format!("{what} is mounted at {}, which is not {}", m.mount_point, m.store),
                    format!(
                        "look whose it is: findmnt {0}; if it may go: umount {0} && datastore start {1}",
                        m.mount_point, m.app
                    ),
                )
            }
        }
    }

    /// What differs although the bind is right.
    fn find_drift(&self, m: &Mapping, facts: &MappingFacts, out: &mut Standing) {
        if let (Some(store), Some(wanted)) = (facts.store.dir().or(facts.mount_point.dir()), out.attrs)
            && store.attrs != wanted
        {
            out.drift.push(Drift::Attrs { is: store.attrs, wanted });
        }
        if let Some(bound) = &out.bound
            && bound.options != m.options
        {
            out.drift.push(Drift::Options { is: bound.options, wanted: m.options });
        }
        match &out.line {
            None if out.hand_made.is_some() => out.drift.push(Drift::Fstab("its line in fstab is hand-made")),
            None => out.drift.push(Drift::Fstab("fstab has no line for it")),
            Some(line) if line.noauto => {
                out.drift.push(Drift::Fstab("its line in fstab says noauto, so it would not come back after a reboot"));
            }
            Some(line) if !line.exact => out.drift.push(Drift::Fstab("its line in fstab differs")),
            Some(_) => {}
        }
        if self.wants_record(m, facts, out.attrs) {
            out.drift.push(Drift::Manifest);
        }
        if out.drift.is_empty() {
            out.state = State::Active;
        } else {
            out.state = State::Drifted;
            let all: Vec<String> = out.drift.iter().map(ToString::to_string).collect();
            out.say(all.join("; "), format!("datastore apply {}", m.app));
        }
    }

    /// Whether the manifest must be written for a mapping.
    fn wants_record(&self, m: &Mapping, facts: &MappingFacts, attrs: Option<Attrs>) -> bool {
        match self.observed.manifests.get(&m.home) {
            None | Some(FileFacts::Hidden | FileFacts::Damaged(_)) => false,
            Some(FileFacts::Absent) => true,
            Some(FileFacts::Is(_)) => {
                let id = facts.store.dir().and_then(DirFacts::identity).or_else(|| self.recorded(m).map(|e| e.id));
                match (attrs, id) {
                    (Some(attrs), Some(id)) => self.recorded(m) != Some(&record(m, attrs, id)),
                    _ => false,
                }
            }
        }
    }
}

/// What the manifest says of a mapping.
#[must_use]
pub fn record(m: &Mapping, attrs: Attrs, id: Id) -> crate::manifest::Entry {
    crate::manifest::Entry {
        id,
        app: m.app.clone(),
        mount_point: m.mount_point.clone(),
        owner: m.owner.clone(),
        uid: attrs.uid,
        group: m.group.clone(),
        gid: attrs.gid,
        mode: m.mode,
    }
}

impl DirFacts {
    /// The identity, if one was seen.
    #[must_use]
    pub fn identity(&self) -> Option<Id> {
        match self.id {
            Identity::Is(id) => Some(id),
            _ => None,
        }
    }

    /// What it has beside its name.
    #[must_use]
    pub fn top(&self) -> Top {
        Top { attrs: self.attrs, id: self.identity() }
    }
}

impl Standing {
    /// The same, refused for a reason that was found besides.
    #[must_use]
    pub(crate) fn refused(mut self, refusal: Refusal) -> Self {
        self.state = State::Refused;
        self.say(refusal.detail.clone(), refusal.hint.clone());
        self.refusal = Some(refusal);
        self
    }

    fn say(&mut self, detail: String, hint: String) {
        self.detail = detail;
        self.hint = hint;
    }

    fn detailed(mut self, state: State, detail: &str, hint: &str) -> Self {
        self.state = state;
        self.say(detail.into(), hint.into());
        self
    }
}
