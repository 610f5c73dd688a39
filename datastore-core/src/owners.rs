//! Who owns the files of a base: names for the numbers on the disk, and how the numbers become those of another machine.
//!
//! A disk knows numbers only. Beside the manifest of each base lies a table of names and numbers, as the machine had them that used it last; a machine on
//! which the same names have other numbers gives the files its own. Numbers of the old and of the new machine overlap as a rule (one's 101 is the
//! other's 102, and the other way round), and the change may be cut off at any file. So it goes over a detour: first each old number becomes a number
//! that no machine gives anybody ([`DETOUR`]), then the table is written anew, then each of those becomes the new number. Whatever is found after a
//! crash can be told from what was not reached yet, on whatever machine, for the table names the new numbers as long as one is on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::amount::count;
use crate::checksum;
use crate::manifest::{ManifestError, VERSION, demand_shallow};
use crate::observed::Lookup;
use crate::syntax::print::quoted;
use crate::value::OwnerName;

/// The name of the file beside the manifest.
pub const FILE: &str = "owners.toml";
/// The bit that tells a number on its way: login.defs(5), systemd and SSSD give nobody a number that large.
pub const DETOUR: u32 = 1 << 31;

/// Numbers by name, of users or of groups.
pub type Table = BTreeMap<OwnerName, u32>;
/// How many files have each number.
pub type Census = BTreeMap<u32, u64>;

/// Users or groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Users (passwd(5)).
    User,
    /// Groups (group(5)).
    Group,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Group => "group",
        })
    }
}

/// `live/<host>/.datastore/owners.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    /// The users.
    pub users: Table,
    /// The groups.
    pub groups: Table,
    /// Users whose number is on its way: the one that it becomes.
    pub coming_users: Table,
    /// The same for groups.
    pub coming_groups: Table,
}

#[derive(Deserialize)]
struct File {
    version: i64,
    #[serde(default)]
    user: Table,
    #[serde(default)]
    group: Table,
    #[serde(default)]
    coming: Coming,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Coming {
    user: Table,
    group: Table,
}

impl Owners {
    /// Reads it.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        demand_shallow(text)?;
        let damaged = |why: &str| ManifestError::Damaged(why.to_owned());
        let file: File = toml::from_str(text).map_err(|error| damaged(error.message()))?;
        if file.version > VERSION {
            return Err(ManifestError::Newer(file.version));
        }
        if !checksum::is_toml_whole(text) {
            return Err(damaged(checksum::WRONG));
        }
        let Coming { user, group } = file.coming;
        Ok(Self { users: file.user, groups: file.group, coming_users: user, coming_groups: group })
    }

    /// Writes it.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = format!("version = {VERSION}\n");
        let tables = [
            ("user", &self.users),
            ("group", &self.groups),
            ("coming.user", &self.coming_users),
            ("coming.group", &self.coming_groups),
        ];
        for (title, table) in tables.into_iter().filter(|(_, table)| !table.is_empty()) {
            let _ = writeln!(out, "\n[{title}]");
            for (name, number) in table {
                let _ = writeln!(out, "{} = {number}", quoted(name.as_str()));
            }
        }
        checksum::toml("# Written by datastore(8): whose the numbers are that own the files of these stores.\n", &out)
    }

    /// The table of one kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> &Table {
        match kind {
            Kind::User => &self.users,
            Kind::Group => &self.groups,
        }
    }

    /// The numbers that are on their way, of one kind.
    #[must_use]
    pub fn coming(&self, kind: Kind) -> &Table {
        match kind {
            Kind::User => &self.coming_users,
            Kind::Group => &self.coming_groups,
        }
    }

    /// Whether numbers are on their way.
    #[must_use]
    pub fn is_on_its_way(&self) -> bool {
        !(self.coming_users.is_empty() && self.coming_groups.is_empty())
    }

    /// What is to stand in the file on this machine: the names that it knows, and those of before that it does not, unless their number is
    /// somebody's here: whose files have that number cannot be told any more.
    #[must_use]
    pub fn renewed(&self, now: &Self) -> Self {
        let merge = |old: &Table, now: &Table| {
            let taken: BTreeSet<u32> = now.values().copied().collect();
            let mut all = now.clone();
            for (name, number) in old.iter().filter(|(_, number)| !taken.contains(number)) {
                all.entry(name.clone()).or_insert(*number);
            }
            all
        };
        Self { users: merge(&self.users, &now.users), groups: merge(&self.groups, &now.groups), ..Self::default() }
    }
}

/// What this machine knows of the names and numbers of a base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Here {
    /// Numbers by name.
    pub numbers: BTreeMap<OwnerName, Lookup>,
    /// Names by number.
    pub names: BTreeMap<u32, String>,
}

/// A number that becomes another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Renumber {
    /// What files have now.
    pub from: u32,
    /// What they will have.
    pub to: u32,
}

/// A number that stays, because nobody here has the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stays {
    /// The name; `None` where the old machine has left none.
    pub name: Option<OwnerName>,
    /// The number.
    pub number: u32,
    /// How many files have it.
    pub files: u64,
    /// Whose it is here; then it may not stay, for he would own them.
    pub taken_by: Option<String>,
}

/// What becomes of the numbers of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Names whose number is another one here: the number now, the one to be, how many files.
    pub renamed: Vec<(OwnerName, Renumber, u64)>,
    /// What stays as it is.
    pub stays: Vec<Stays>,
    /// The table afterwards.
    pub table: Table,
}

impl Change {
    /// The first half of the way: from what files have to the detour.
    #[must_use]
    pub fn away(&self) -> Vec<Renumber> {
        let detour = |(_, pair, _): &(OwnerName, Renumber, u64)| Renumber { from: pair.from, to: pair.to | DETOUR };
        let mut pairs: Vec<Renumber> = self.renamed.iter().map(detour).filter(|pair| pair.from != pair.to).collect();
        pairs.sort();
        pairs
    }

    /// The names whose number changes, with the one that it becomes.
    #[must_use]
    pub fn coming(&self) -> Table {
        self.renamed.iter().map(|(name, pair, _)| (name.clone(), pair.to)).collect()
    }

    /// The second half: from the detour to the numbers of this machine.
    #[must_use]
    pub fn home(&self) -> Vec<Renumber> {
        let mut pairs: Vec<Renumber> =
            self.renamed.iter().map(|(_, pair, _)| Renumber { from: pair.to | DETOUR, to: pair.to }).collect();
        pairs.sort();
        pairs.dedup();
        pairs
    }
}

/// Says what becomes of the numbers that were found.
///
/// # Errors
/// A sentence and what to do about it: a lookup that failed, a number that is no number of a person, two that would become one.
pub fn change(kind: Kind, found: &Census, owners: &Owners, here: &Here) -> Result<Change, (String, String)> {
    let (table, coming) = (owners.of(kind), owners.coming(kind));
    let known = |name: &OwnerName| match here.numbers.get(name) {
        Some(Lookup::Found(number)) => Ok(Some(*number)),
        Some(Lookup::Failed(why)) => Err((
            format!("the {kind} `{name}` cannot be looked up: {why}"),
            format!("getent {} {name}", if kind == Kind::User { "passwd" } else { "group" }),
        )),
        Some(Lookup::Unknown) | None => Ok(None),
    };
    let by_number: BTreeMap<u32, &OwnerName> = table.iter().map(|(name, number)| (*number, name)).collect();
    let by_way: BTreeMap<u32, &OwnerName> = coming.iter().map(|(name, number)| (*number | DETOUR, name)).collect();
    let mut by_new = BTreeMap::new();
    for name in table.keys() {
        if let Some(number) = known(name)? {
            by_new.insert(number, name);
        }
    }
    let name_of = |number: u32| by_way.get(&number).or_else(|| by_number.get(&number)).copied();
    let mut change = Change::default();
    for (&number, &files) in found {
        let name = name_of(number);
        let to = name.map(&known).transpose()?.flatten();
        let Some((name, to)) = name.zip(to) else {
            // Root is root everywhere.
            if number != 0 {
                let taken_by = here.names.get(&number).cloned();
                change.stays.push(Stays { name: name.cloned(), number, files, taken_by });
            }
            continue;
        };
        if to & DETOUR != 0 {
            return Err((
                format!("the {kind} `{name}` has the number {to} here, and datastore cannot give that to files"),
                format!("give `{name}` a number below {DETOUR}"),
            ));
        }
        if to != number {
            change.renamed.push((name.clone(), Renumber { from: number, to }, files));
        }
    }
    let given: BTreeSet<u32> = change.renamed.iter().flat_map(|(_, pair, _)| [pair.to, pair.to | DETOUR]).collect();
    if let Some(stays) = change.stays.iter().find(|stays| given.contains(&stays.number)) {
        let (number, files) = (stays.number, count(usize::try_from(stays.files).unwrap_or(usize::MAX), "file"));
        let whose = stays.name.as_ref().map_or_else(|| "nobody".to_owned(), |name| format!("`{name}`"));
        return Err((
            format!(
                "{files} of {whose} ({kind} number {number}) could not be told from those of the {kind} who has that number here"
            ),
            match &stays.name {
                Some(name) => format!("install what makes the {kind} `{name}`, then run the command again"),
                None => {
                    format!(
                        "mount the volume by hand and give these files an owner: find DIR -{} {number}",
                        id_of(kind)
                    )
                }
            },
        ));
    }
    change.table = table_after(table, &by_new);
    Ok(change)
}

fn id_of(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "uid",
        Kind::Group => "gid",
    }
}

/// The table once the files have the numbers of this machine.
fn table_after(table: &Table, by_new: &BTreeMap<u32, &OwnerName>) -> Table {
    let mut after: Table = by_new.iter().map(|(number, name)| ((*name).clone(), *number)).collect();
    for (name, number) in table {
        if !by_new.contains_key(number) {
            after.entry(name.clone()).or_insert(*number);
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> OwnerName {
        OwnerName::parse(text).unwrap()
    }
    fn table(pairs: &[(&str, u32)]) -> Table {
        pairs.iter().map(|(text, number)| (name(text), *number)).collect()
    }
    fn users(pairs: &[(&str, u32)]) -> Owners {
        Owners { users: table(pairs), ..Owners::default() }
    }
    fn here(pairs: &[(&str, u32)]) -> Here {
        Here {
            numbers: pairs.iter().map(|(text, number)| (name(text), Lookup::Found(*number))).collect(),
            names: pairs.iter().map(|(text, number)| (*number, (*text).to_owned())).collect(),
        }
    }
    fn pairs(all: &[Renumber]) -> Vec<(u32, u32)> {
        all.iter().map(|pair| (pair.from, pair.to)).collect()
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let owners = Owners {
            users: table(&[("DOM\\my \"sql", 27), ("alice", 1001)]),
            groups: table(&[("mail", 12)]),
            ..Owners::default()
        };
        assert_eq!(Owners::parse(&owners.render()).unwrap(), owners);
        let on_its_way = Owners { coming_groups: table(&[("mail", 8)]), ..owners };
        assert_eq!(Owners::parse(&on_its_way.render()).unwrap(), on_its_way);
        assert!(on_its_way.is_on_its_way());
        assert_eq!(Owners::parse("version = 1\n").unwrap(), Owners::default());
        assert_eq!(Owners::parse("version = 2\n"), Err(ManifestError::Newer(2)));
        for bad in [
            "",
            "version = 1\n[user]\n\"a:b\" = 1\n",
            "version = 1\n[user]\na = -1\n",
            "version = 1\n[user]\na = \"1\"\n",
        ] {
            assert!(matches!(Owners::parse(bad), Err(ManifestError::Damaged(_))), "{bad:?}");
        }
    }

    #[test]
    fn numbers_that_changed_places_go_over_the_detour() {
        let found = Census::from([(0, 9), (101, 3), (102, 4), (5, 1)]);
        let change = change(
            Kind::User,
            &found,
            &users(&[("mysql", 101), ("postgres", 102), ("games", 5), ("root", 0)]),
            &here(&[("mysql", 102), ("postgres", 101), ("games", 5), ("root", 0)]),
        )
        .unwrap();
        assert_eq!(pairs(&change.away()), [(101, 102 | DETOUR), (102, 101 | DETOUR)]);
        assert_eq!(pairs(&change.home()), [(101 | DETOUR, 101), (102 | DETOUR, 102)]);
        assert_eq!(change.table, table(&[("mysql", 102), ("postgres", 101), ("games", 5), ("root", 0)]));
        assert!(change.stays.is_empty());
    }

    /// Whatever a crash leaves is told apart: plays every file through both halves, cut off at every point, and once more from there.
    #[test]
    fn a_change_that_was_cut_off_is_finished() {
        let old = Owners { groups: table(&[("a", 101), ("b", 102), ("c", 103), ("gone", 900)]), ..Owners::default() };
        let now = here(&[("a", 102), ("b", 103), ("c", 101)]);
        // A third machine, to which the disk may be brought in the middle of it.
        let elsewhere = here(&[("a", 103), ("b", 101), ("c", 500)]);
        let files = [101, 101, 102, 102, 103, 900];
        let census = |files: &[u32]| {
            let mut census = Census::new();
            files.iter().for_each(|number| *census.entry(*number).or_default() += 1);
            census
        };
        let apply = |files: &mut [u32], pairs: &[Renumber], most: usize| {
            for file in files.iter_mut().take(most) {
                *file = pairs.iter().find(|pair| pair.from == *file).map_or(*file, |pair| pair.to);
            }
        };
        for (end, right) in [(&now, [102, 102, 103, 103, 101, 900]), (&elsewhere, [103, 103, 101, 101, 500, 900])] {
            for (written, cut) in [false, true].into_iter().flat_map(|w| (0..=files.len()).map(move |cut| (w, cut))) {
                let mut now_files = files;
                let first = change(Kind::Group, &census(&now_files), &old, &now).unwrap();
                let mut known = Owners { coming_groups: first.coming(), ..old.clone() };
                apply(&mut now_files, &first.away(), if written { files.len() } else { cut });
                if written {
                    known.groups = first.table.clone();
                    apply(&mut now_files, &first.home(), cut);
                }
                let again = change(Kind::Group, &census(&now_files), &known, end).unwrap();
                apply(&mut now_files, &again.away(), files.len());
                apply(&mut now_files, &again.home(), files.len());
                assert_eq!(now_files, right, "cut off after {cut} files, table written: {written}");
                let table = Owners { groups: again.table.clone(), ..Owners::default() };
                let last = change(Kind::Group, &census(&now_files), &table, end).unwrap();
                assert!(last.renamed.is_empty(), "{last:?}");
            }
        }
    }

    #[test]
    fn who_is_not_here_keeps_the_number_and_is_told() {
        let found = Census::from([(1001, 7), (4000, 1), (1002, 2)]);
        let change =
            change(Kind::User, &found, &users(&[("alice", 1001), ("bob", 1002)]), &here(&[("carol", 1001)])).unwrap();
        let stays = |name: Option<&str>, number, files, taken: Option<&str>| Stays {
            name: name.map(self::name),
            number,
            files,
            taken_by: taken.map(Into::into),
        };
        assert_eq!(
            change.stays,
            [
                stays(Some("alice"), 1001, 7, Some("carol")),
                stays(Some("bob"), 1002, 2, None),
                stays(None, 4000, 1, None)
            ]
        );
        assert_eq!(change.table, table(&[("alice", 1001), ("bob", 1002)]));
    }

    #[test]
    fn two_that_would_become_one_are_refused() {
        let found = Census::from([(101, 1), (998, 1)]);
        let refused =
            |old: &[(&str, u32)]| change(Kind::User, &found, &users(old), &here(&[("mysql", 998)])).unwrap_err();
        assert!(refused(&[("mysql", 101)]).1.contains("find DIR -uid 998"));
        assert!(refused(&[("mysql", 101), ("dump", 998)]).1.contains("makes the user `dump`"));
    }

    #[test]
    fn names_of_before_stay_known() {
        let old = users(&[("alice", 1001), ("bob", 1002), ("carol", 1003)]);
        let now = Owners {
            users: table(&[("alice", 1005), ("dora", 1002)]),
            groups: table(&[("mail", 8)]),
            ..Owners::default()
        };
        let renewed = old.renewed(&now);
        assert_eq!(renewed.users, table(&[("alice", 1005), ("dora", 1002), ("carol", 1003)]));
        assert_eq!(renewed.groups, table(&[("mail", 8)]));
    }
}
