//! Random scenarios: a machine, what is asked of datastore one after the other, and what others do in between.

use std::fmt::Write as _;

use super::disturb::Event;
use super::draw::Choices;
use super::machine::Machine;
use crate::goal::{Apps, Goal};
use crate::mapping::BindOptions;
use crate::path::AbsPath;
use crate::value::{AppName, Id};

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Somebody asks datastore.
    Ask(Goal),
    /// Somebody does something to the machine.
    Do(Event),
}

/// What happens, in order, to the machine that [`base`] sets up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// What stands before the first goal: configlets, directories, data.
    pub before: Vec<Event>,
    /// What happens then.
    pub acts: Vec<Act>,
}

/// The apps that a scenario may have.
pub const APPS: &[&str] = &["alpha", "beta", "gamma", "delta"];
/// Their mount points: some lie in others.
pub const POINTS: &[&str] =
    &["/srv/a", "/srv/b", "/srv/c", "/srv/a/in", "/srv/a/in/deep", "/var/lib/x", "/srv", "/new/there"];
/// Where their stores lie below the base: some in one another.
const TARGETS: &[&str] = &["a", "b", "c", "in", "deep/x", "d", "e", "f", "a/inside", "deep"];
/// Bases of the two volumes.
const BASES: &[&str] = &["/store/data0/live/server1", "/store/data1/live/server1"];

/// The identities of the volumes, and of a disk that is neither.
const IDS: [&str; 3] = [
    "11111111-1111-4111-8111-111111111111",
    "22222222-2222-4222-8222-222222222222",
    "33333333-3333-4333-8333-333333333333",
];
/// Lines of others in fstab.
pub const FSTAB: &str = "# by hand\nUUID=6a3f4c1e-0f3d-4a57-9d0a-0c4f6f0e7a11 / ext4\terrors=remount-ro 0 1\n\n\
                         /disks/data1 /store/data1 none bind,rw,nofail 0 0\ntmpfs /tmp tmpfs defaults,size=2g 0 0\n";

fn path(text: &str) -> AbsPath {
    AbsPath::parse(text).expect("a path of the scenarios")
}

/// The machine before anything: two volumes (a plain directory, and a directory of another disk, bound), a third disk, an
/// app that is known and disabled, users, and somebody else's fstab.
#[must_use]
pub fn base() -> Vec<Event> {
    let volume = |at: &str, name: &str, id: &str| {
        let text = format!("version = 1\nid = \"{id}\"\nname = \"{name}\"\nhost = \"server1\"\n");
        Event::Write(path(&format!("{at}/.datastore/volume.toml")), text)
    };
    let globals = format!(
        "host = \"server1\"\n[volume.data0]\nid = \"{}\"\n[volume.data1]\nid = \"{}\"\nsource = \"/disks/data1\"\n\
         type = \"none\"\n[app.known.mapping.\"/srv/known\"]\ntarget = \"%{{base}}/known\"\n",
        IDS[0], IDS[1]
    );
    vec![
        Event::MakeDir(path("/disks"), 0o755),
        Event::Disk(path("/disks")),
        Event::MakeDir(path("/etc/datastore.d"), 0o755),
        Event::Write(path("/etc/datastore.conf"), globals),
        Event::Write(path("/etc/passwd"), USERS.into()),
        Event::Write(path("/etc/group"), GROUPS.into()),
        Event::Write(path("/etc/fstab"), FSTAB.into()),
        volume("/store/data0", "data0", IDS[0]),
        volume("/disks/data1", "data1", IDS[1]),
        volume("/disks/other", "data1", IDS[2]),
        Event::MakeDir(path("/store/data1"), 0o755),
        Event::Bind(path("/disks/data1"), path("/store/data1")),
    ]
}

const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:Alice:/home/alice:/bin/sh\n";
const GROUPS: &str = "root:x:0:\nmail:x:12:\n";

/// A mapping as a configlet declares it.
#[derive(Debug, Clone)]
struct Declared {
    point: &'static str,
    target: &'static str,
    rest: String,
}

/// A configlet.
#[derive(Debug, Clone)]
struct Configlet {
    app: &'static str,
    head: String,
    mappings: Vec<Declared>,
}

impl Configlet {
    fn draw(c: &mut Choices<'_>, app: &'static str) -> Self {
        let head = match c.below(12) {
            10 => "enabled = false\n".into(),
            11 => BROKEN[c.below(BROKEN.len())].to_owned(),
            _ => String::new(),
        };
        let count = 1 + c.below(3);
        let mut mappings: Vec<Declared> = (0..count).map(|_| declared(c)).collect();
        // One mount point stands once in a file.
        let mut seen = Vec::new();
        mappings.retain(|m| {
            !seen.contains(&m.point) && {
                seen.push(m.point);
                true
            }
        });
        Self { app, head, mappings }
    }

    fn file(&self) -> AbsPath {
        path(&format!("/etc/datastore.d/{}.conf", self.app))
    }

    fn event(&self) -> Event {
        let mut text = self.head.clone();
        for m in &self.mappings {
            let _ = write!(text, "[mapping.\"{}\"]\ntarget = \"%{{base}}/{}\"\n{}", m.point, m.target, m.rest);
        }
        Event::Write(self.file(), text)
    }
}

/// What makes a configlet wrong.
const BROKEN: &[&str] = &["titel = \"A typo\"\n", "title = \n", "enabled = \"perhaps\"\n"];

/// A configlet that is wrong, whatever it maps.
pub fn bad_configlet(c: &mut Choices<'_>, app: &'static str) -> Event {
    let mut configlet = Configlet::draw(c, app);
    BROKEN[c.below(BROKEN.len())].clone_into(&mut configlet.head);
    configlet.event()
}

fn declared(c: &mut Choices<'_>) -> Declared {
    let (point, target) = (*c.of(POINTS), *c.of(TARGETS));
    let mut rest = String::new();
    match c.below(5) {
        1 => rest.push_str("permissions = \"2770\"\ngroup = \"mail\"\n"),
        2 => rest.push_str("owner = \"alice\"\n"),
        _ => {}
    }
    match c.below(16) {
        12 => rest.push_str("owner = \"ghost\"\n"),
        13 => rest.push_str("options = [\"ro\"]\n"),
        14 => rest.push_str("options = [\"suid\", \"noexec\"]\n"),
        15 => rest.push_str("volume = \"data9\"\n"),
        8..12 => rest.push_str("volume = \"data1\"\n"),
        _ => {}
    }
    if rest.matches("owner").count() > 1 {
        rest = "owner = \"ghost\"\n".into();
    }
    Declared { point, target, rest }
}

impl Scenario {
    /// A scenario made of these choices: at most `acts` goals and events after what stands before.
    #[must_use]
    pub fn draw(c: &mut Choices<'_>, acts: usize) -> Self {
        let count = 1 + c.below(3);
        let mut apps: Vec<Configlet> = APPS[..count].iter().map(|app| Configlet::draw(c, app)).collect();
        let mut before: Vec<Event> = apps.iter().map(Configlet::event).collect();
        for _ in 0..c.below(4) {
            before.push(surprise(c, &apps));
        }
        let mut all = vec![Act::Ask(Goal::Apply(Apps::default()))];
        for _ in 0..c.below(acts.max(1)) {
            all.push(if c.below(5) < 3 { Act::Ask(goal(c)) } else { Act::Do(event(c, &mut apps)) });
        }
        Self { before, acts: all }
    }

    /// The machine before the first act.
    #[must_use]
    pub fn machine(&self) -> Machine {
        let mut machine = Machine::new();
        machine.labels = self.acts.len().is_multiple_of(2);
        base().iter().chain(&self.before).for_each(|event| machine.disturb(event));
        machine
    }
}

/// Something to ask for.
pub fn goal(c: &mut Choices<'_>) -> Goal {
    let name = |c: &mut Choices<'_>| {
        let known = if c.one_in(10) { "known" } else { c.of(APPS) };
        AppName::parse(known).expect("a name")
    };
    let mut names = vec![name(c)];
    if c.one_in(6) {
        let more = name(c);
        if !names.contains(&more) {
            names.push(more);
        }
    }
    let mut apps = Apps::named(names);
    match c.below(14) {
        0..3 => Goal::Apply(Apps::default()),
        3 => Goal::Apply(apps),
        4 | 5 => Goal::Start(apps),
        6 | 7 => Goal::Stop(apps),
        8 => Goal::Restart(apps),
        9 => Goal::Enable(apps),
        10 | 11 => Goal::Disable(apps),
        12 => Goal::Remap(apps),
        _ => {
            apps.accept = true;
            Goal::Start(apps)
        }
    }
}

/// Something that an administrator, a program or a disk does.
fn event(c: &mut Choices<'_>, apps: &mut Vec<Configlet>) -> Event {
    match c.below(10) {
        0..4 => edit(c, apps),
        4 => volume(c),
        _ => surprise(c, apps),
    }
}

/// An edit of the configuration.
fn edit(c: &mut Choices<'_>, apps: &mut Vec<Configlet>) -> Event {
    let which = c.below(apps.len());
    match c.below(8) {
        0 | 1 => {
            let target = *c.of(TARGETS);
            if let Some(m) = apps[which].mappings.first_mut() {
                m.target = target;
            }
        }
        2 => {
            let new = declared(c);
            apps[which].mappings = vec![new];
        }
        3 => BROKEN[c.below(BROKEN.len())].clone_into(&mut apps[which].head),
        4 => apps[which].head.clear(),
        5 => "enabled = false\n".clone_into(&mut apps[which].head),
        6 => return Event::Remove(apps[which].file()),
        _ => {
            let new = Configlet::draw(c, APPS[APPS.len() - 1]);
            apps.retain(|a| a.app != new.app);
            apps.push(new.clone());
            return new.event();
        }
    }
    apps[which].event()
}

/// Something about the volumes or the users.
fn volume(c: &mut Choices<'_>) -> Event {
    let place = path("/store/data1");
    match c.below(6) {
        0 => Event::Unmount(place),
        1 => Event::Bind(path("/disks/data1"), place),
        2 => Event::Bind(path("/disks/other"), place),
        3 => Event::Remount(place, BindOptions { ro: true, ..BindOptions::from_list(b"") }),
        4 => Event::Write(path("/etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n".into()),
        _ => Event::Write(path("/etc/passwd"), format!("{USERS}ghost:x:77:77::/:/bin/sh\n")),
    }
}

/// Something that nobody has told datastore.
fn surprise(c: &mut Choices<'_>, apps: &[Configlet]) -> Event {
    let declared: Vec<(&str, &str)> =
        apps.iter().flat_map(|a| a.mappings.iter().map(|m| (m.point, m.target))).collect();
    let (point, target) = if declared.is_empty() { ("/srv/a", "a") } else { *c.of(&declared) };
    let store = format!("{}/{target}", c.of(BASES));
    let at = if c.one_in(3) { store.as_str() } else { point };
    match c.below(17) {
        0 => Event::Touch(path(&format!("{at}/data"))),
        1 => Event::MakeDir(path(at), 0o755),
        2 => Event::Mode(path(at), 0o777),
        3 => Event::Owner(path(at), 1000),
        4 => Event::Identity(path(&store), None),
        5 => Event::Identity(path(&store), Some(Id::from_random([7; 16]))),
        6 => Event::Remove(path(&store)),
        7 | 8 => Event::Unmount(path(point)),
        9 => Event::Remount(path(point), BindOptions { ro: c.one_in(2), ..BindOptions::from_list(b"") }),
        10 => Event::Bind(path("/disks/other"), path(point)),
        11 => Event::AddLine(format!("{store} {point} none bind 0 0")),
        12 => Event::AddLine(format!("LABEL=old {point} ext4 defaults 0 2")),
        13 => Event::DropLine(path(point)),
        14 => Event::Thaw(path(point)),
        15 => Event::Write(path(&format!("{}/.datastore/manifest.toml", c.of(BASES))), "not a manifest\n".into()),
        _ => Event::Remove(path(&format!("{}/.datastore/manifest.toml", c.of(BASES)))),
    }
}
