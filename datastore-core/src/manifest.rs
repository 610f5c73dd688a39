//! The manifest of a base and the identity file of a volume: what a disk says of itself, so that it can be told from
//! another one and read without the machine that wrote it.
//!
//! Both are TOML. A store takes one line of the manifest, so that `guard` finds its line without reading the rest.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

use crate::checksum;
use crate::path::AbsPath;
use crate::syntax::depth::is_too_deep;
use crate::syntax::print::quoted;
use crate::value::{AppName, HostName, Id, Mode, OwnerName, VolumeName};

/// The version that is written; a higher one is refused.
pub const VERSION: i64 = 1;
/// The name of the directory that holds the manifest and the identity file.
pub const DIRECTORY: &str = ".datastore";

/// Why a manifest or an identity file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Written by a newer program.
    #[error("it has version {0}, and this program knows {VERSION}")]
    Newer(i64),
    /// Not what we write.
    #[error("{0}")]
    Damaged(String),
}

/// What the manifest says of one store directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The identity that the directory carries.
    pub id: Id,
    /// The app.
    pub app: AppName,
    /// Where it is bound.
    pub mount_point: AbsPath,
    /// Owner by name, for a machine where the number is another.
    pub owner: OwnerName,
    /// Owner by number.
    pub uid: u32,
    /// Group by name.
    pub group: OwnerName,
    /// Group by number.
    pub gid: u32,
    /// Mode.
    pub mode: Mode,
}

/// A change of one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The store directory, relative to the base.
    pub store: String,
    /// The entry before.
    pub from: Option<Entry>,
    /// The entry after.
    pub to: Option<Entry>,
}

impl Edit {
    /// The way back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        Self { store: self.store.clone(), from: self.to.clone(), to: self.from.clone() }
    }
}

/// `live/<host>/.datastore/manifest.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    entries: BTreeMap<String, Entry>,
}

impl Manifest {
    /// Reads a manifest.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        demand_whole(text)?;
        if let Some(entries) = canonical::read(text) {
            return Ok(Self { entries });
        }
        let table = document(text)?;
        let mut entries = BTreeMap::new();
        if let Some(stores) = table.get("store") {
            let stores = stores.get_ref().as_table().ok_or_else(|| damaged("`store` is no table"))?;
            for (key, value) in stores {
                entries.insert(key.get_ref().clone().into_owned(), entry(key.get_ref(), value.get_ref())?);
            }
        }
        Ok(Self { entries })
    }

    /// Reads the entries of some stores and passes over the others: for `guard`, which runs before every start of a service. Only the
    /// form that [`Manifest::render`] writes can be read so; of any other form, all is read.
    pub fn only(text: &str, stores: &[String]) -> Result<Self, ManifestError> {
        demand_whole(text)?;
        let entries = match canonical::some(text, stores) {
            Some(entries) => entries,
            None => {
                let mut all = Self::parse(text)?;
                all.entries.retain(|store, _| stores.contains(store));
                all.entries
            }
        };
        Ok(Self { entries })
    }

    /// Finds the entry of one store in a long manifest by bisection, since its lines are sorted: `read` gives some bytes from an
    /// offset (at least a line's length, unless the file ends). `None` if it is not found so, which says nothing: the file may be of
    /// another form.
    ///
    /// The checksum is that of the whole, which is not read here. So whoever believes an entry holds its identity against that of the
    /// directory: one that the disk has changed is then no other store's.
    pub fn bisect(size: u64, store: &str, mut read: impl FnMut(u64) -> Option<Vec<u8>>) -> Option<Entry> {
        let head = canonical::head(&read(0)?)?;
        let (mut low, mut high) = (head as u64, size);
        while low < high {
            let middle = low + (high - low) / 2;
            // The first line that begins at or after the middle; `low` itself is the beginning of one.
            let from = middle.max(low + 1) - 1;
            let bytes = read(from)?;
            let skip = if middle == low { 0 } else { memchr::memchr(b'\n', &bytes)? + 1 };
            let start = from + skip as u64;
            if start >= high {
                high = middle;
                continue;
            }
            let mut line = bytes.get(skip..)?.to_vec();
            if memchr::memchr(b'\n', &line).is_none() {
                line = read(start)?;
            }
            line.truncate(memchr::memchr(b'\n', &line)?);
            let (key, entry) = canonical::line(std::str::from_utf8(&line).ok()?)?;
            match key.as_str().cmp(store) {
                std::cmp::Ordering::Equal => return Some(entry),
                std::cmp::Ordering::Less => low = start + line.len() as u64 + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// The entries given, without a file.
    #[must_use]
    pub fn from_entries(entries: impl IntoIterator<Item = (String, Entry)>) -> Self {
        Self { entries: entries.into_iter().collect() }
    }

    /// Writes it in the only form: one line for each store, sorted.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = VERSION_LINE.to_owned();
        out.push_str(STORES);
        for (store, e) in &self.entries {
            let _ = writeln!(
                out,
                "{} = {{ id = \"{}\", app = \"{}\", mount_point = {}, owner = {}, uid = {}, group = {}, gid = {}, mode = \"{}\" }}",
                quoted(store),
                e.id,
                e.app,
                quoted(&e.mount_point.to_string()),
                quoted(e.owner.as_str()),
                e.uid,
                quoted(e.group.as_str()),
                e.gid,
                e.mode,
            );
        }
        checksum::toml(ABOUT, &out)
    }

    /// The entry of one store.
    #[must_use]
    pub fn get(&self, store: &str) -> Option<&Entry> {
        self.entries.get(store)
    }

    /// Every entry, by store.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// Makes every edit, or none if one finds another entry than it expects: then the store's name is returned.
    pub fn edit<'e>(&mut self, edits: impl Iterator<Item = &'e Edit> + Clone) -> Result<(), String> {
        for edit in edits.clone() {
            if self.entries.get(&edit.store) != edit.from.as_ref() && self.entries.get(&edit.store) != edit.to.as_ref()
            {
                return Err(edit.store.clone());
            }
        }
        for edit in edits {
            match &edit.to {
                Some(entry) => self.entries.insert(edit.store.clone(), entry.clone()),
                None => self.entries.remove(&edit.store),
            };
        }
        Ok(())
    }
}

/// `/store/dataN/.datastore/volume.toml`. It has no checksum: the identity is held against the one that the configuration names, so that one
/// which the disk has changed is another volume's; name and host are words to propose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeFile {
    /// The identity.
    pub id: Id,
    /// The name under which it was made.
    pub name: VolumeName,
    /// The host that made it.
    pub host: Option<HostName>,
}

impl VolumeFile {
    /// Reads it.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let table = document(text)?;
        let text = |key: &str| table.get(key).and_then(|v| v.get_ref().as_str().map(str::to_owned));
        let need = |key: &str| text(key).ok_or_else(|| damaged(&format!("`{key}` is missing")));
        Ok(Self {
            id: Id::parse(&need("id")?).map_err(|e| damaged(&e.0))?,
            name: VolumeName::parse(&need("name")?).map_err(|e| damaged(&e.0))?,
            host: text("host").map(|h| HostName::parse(&h)).transpose().map_err(|e| damaged(&e.0))?,
        })
    }

    /// Writes it.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = format!("{ABOUT}{VERSION_LINE}");
        let _ = writeln!(out, "id = \"{}\"\nname = \"{}\"", self.id, self.name);
        if let Some(host) = &self.host {
            let _ = writeln!(out, "host = \"{host}\"");
        }
        out
    }
}

/// The form that [`Manifest::render`] writes, read line by line: a manifest of ten thousand stores takes a few milliseconds this way.
/// Whatever is not exactly of that form is left to the TOML reader, which has the last word.
mod canonical {
    use std::collections::HashSet;

    use super::{ABOUT, BTreeMap, Entry, STORES, VERSION_LINE, checksum};
    use crate::path::AbsPath;
    use crate::value::{AppName, Id, Mode, OwnerName};

    /// How long the head of a manifest is, with its checksum or as it was before there was one.
    pub(super) fn head(bytes: &[u8]) -> Option<usize> {
        let rest = bytes.strip_prefix(ABOUT.as_bytes())?;
        let sum = checksum::toml_head(ABOUT) - ABOUT.len();
        let rest = if rest.starts_with(b"sum = ") { rest.get(sum..)? } else { rest };
        let rest = rest.strip_prefix(VERSION_LINE.as_bytes())?.strip_prefix(STORES.as_bytes())?;
        Some(bytes.len() - rest.len())
    }

    fn lines(text: &str) -> Option<std::str::Lines<'_>> {
        Some(text.get(head(text.as_bytes())?..)?.lines())
    }

    /// The entries of some stores. Every line is looked at so far that it is known to be another store's.
    pub(super) fn some(text: &str, stores: &[String]) -> Option<BTreeMap<String, Entry>> {
        let wanted: HashSet<&str> = stores.iter().map(String::as_str).collect();
        let mut found = BTreeMap::new();
        for text in lines(text)? {
            let (store, rest) = text.strip_prefix('"')?.split_once('"')?;
            if !rest.starts_with(" = { id = \"") || store.contains('\\') {
                return None;
            }
            if wanted.contains(store) {
                let (store, entry) = line(text)?;
                if found.insert(store, entry).is_some() {
                    return None;
                }
            }
        }
        Some(found)
    }

    pub(super) fn read(text: &str) -> Option<BTreeMap<String, Entry>> {
        let lines = lines(text)?;
        let entries: Vec<(String, Entry)> = lines.map(line).collect::<Option<_>>()?;
        let count = entries.len();
        // Sorted already, so this is cheap; a key that stands twice is an error that the TOML reader explains.
        let map: BTreeMap<String, Entry> = entries.into_iter().collect();
        (map.len() == count).then_some(map)
    }

    pub(super) fn line(line: &str) -> Option<(String, Entry)> {
        let plain = |b: u8| b != b'\\' && !b.is_ascii_control();
        if !line.bytes().all(plain) || (!line.is_ascii() && line.contains(char::is_control)) {
            return None;
        }
        let mut rest = line;
        let mut text = |before: &str| -> Option<&str> {
            let (value, after) = rest.strip_prefix(before)?.split_once('"')?;
            rest = after;
            Some(value)
        };
        let store = text("\"")?.to_owned();
        let id = Id::parse(text(" = { id = \"")?).ok()?;
        let app = AppName::parse(text(", app = \"")?).ok()?;
        let mount_point = AbsPath::parse(text(", mount_point = \"")?).ok()?;
        let owner = OwnerName::parse(text(", owner = \"")?).ok()?;
        let (uid, after) = rest.strip_prefix(", uid = ")?.split_once(',')?;
        let (group, after) = after.strip_prefix(" group = \"")?.split_once('"')?;
        let (gid, after) = after.strip_prefix(", gid = ")?.split_once(',')?;
        let mode = Mode::parse(after.strip_prefix(" mode = \"")?.strip_suffix("\" }")?).ok()?;
        let number = |text: &str| -> Option<u32> {
            let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
            if plain { text.parse().ok() } else { None }
        };
        let group = OwnerName::parse(group).ok()?;
        Some((store, Entry { id, app, mount_point, owner, uid: number(uid)?, group, gid: number(gid)?, mode }))
    }
}

/// How both files begin.
const ABOUT: &str =
    "# Written by datastore(8). Its identity tells this disk from another one: do not edit or copy it.\n";
/// The line of [`VERSION`].
const VERSION_LINE: &str = "version = 1\n";
const _: () = assert!(VERSION == 1, "its line says so too");
/// What stands before the lines of the stores.
const STORES: &str = "\n[store]\n";

/// Refuses what no program of ours has written, and what whoever reads it may have no room for.
pub(crate) fn demand_shallow(text: &str) -> Result<(), ManifestError> {
    if is_too_deep(text) { Err(damaged("it nests deeper than any file of ours does")) } else { Ok(()) }
}

/// Refuses what the disk has changed, unless a newer program has written it: that one may count in another way.
fn demand_whole(text: &str) -> Result<(), ManifestError> {
    if checksum::is_toml_whole(text) {
        return Ok(());
    }
    Err(document(text)
        .err()
        .filter(|why| matches!(why, ManifestError::Newer(_)))
        .unwrap_or_else(|| damaged(checksum::WRONG)))
}

fn damaged(why: &str) -> ManifestError {
    ManifestError::Damaged(why.to_owned())
}

fn document(text: &str) -> Result<DeTable<'_>, ManifestError> {
    demand_shallow(text)?;
    let table = DeTable::parse(text).map_err(|e| damaged(e.message()))?.into_inner();
    let version =
        table.get("version").and_then(|v| v.get_ref().as_integer()).and_then(|i| i.as_str().parse::<i64>().ok());
    match version {
        None => Err(damaged("`version` is missing")),
        Some(version) if version > VERSION => Err(ManifestError::Newer(version)),
        Some(_) => Ok(table),
    }
}

fn entry(store: &str, value: &DeValue<'_>) -> Result<Entry, ManifestError> {
    let table = value.as_table().ok_or_else(|| damaged(&format!("`{store}` is no table")))?;
    let text = |key: &str| {
        table
            .get(key)
            .and_then(|v| v.get_ref().as_str())
            .ok_or_else(|| damaged(&format!("`{key}` of `{store}` is missing")))
    };
    let number = |key: &str| {
        let value = table.get(key).and_then(|v| v.get_ref().as_integer()).and_then(|i| i.as_str().parse().ok());
        value.ok_or_else(|| damaged(&format!("`{key}` of `{store}` is no number")))
    };
    let wrong = |e: crate::value::ValueError| damaged(&e.0);
    Ok(Entry {
        id: Id::parse(text("id")?).map_err(wrong)?,
        app: AppName::parse(text("app")?).map_err(wrong)?,
        mount_point: AbsPath::parse(text("mount_point")?).map_err(|e| damaged(&e.to_string()))?,
        owner: OwnerName::parse(text("owner")?).map_err(wrong)?,
        uid: number("uid")?,
        group: OwnerName::parse(text("group")?).map_err(wrong)?,
        gid: number("gid")?,
        mode: Mode::parse(text("mode")?).map_err(wrong)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(mount_point: &str) -> Entry {
        Entry {
            id: Id::from_random([3; 16]),
            app: AppName::parse("mysqld").unwrap(),
            mount_point: AbsPath::parse(mount_point).unwrap(),
            owner: OwnerName::parse("DOM\\my \"sql").unwrap(),
            uid: 27,
            group: OwnerName::parse("mysql").unwrap(),
            gid: 27,
            mode: Mode::parse("2755").unwrap(),
        }
    }

    #[test]
    fn round_trip_whole_and_in_parts() {
        let mut manifest = Manifest::default();
        let edits: Vec<Edit> = ["mysql", "www/virtual", "a \"b\" \\c", "é"]
            .iter()
            .map(|s| Edit { store: (*s).into(), from: None, to: Some(sample(&format!("/srv/{s}"))) })
            .collect();
        manifest.edit(edits.iter()).unwrap();
        let text = manifest.render();
        assert_eq!(Manifest::parse(&text).unwrap(), manifest);
        for edit in &edits {
            let only = Manifest::only(&text, std::slice::from_ref(&edit.store)).unwrap();
            assert_eq!(only.get(&edit.store), edit.to.as_ref());
            assert_eq!(only.entries.len(), 1);
        }
        assert_eq!(Manifest::only(&text, &["sql".into()]).unwrap(), Manifest::default());
        // The way back leaves nothing, and a second time is no error.
        let back: Vec<Edit> = edits.iter().map(Edit::inverse).collect();
        manifest.edit(back.iter()).unwrap();
        manifest.edit(back.iter()).unwrap();
        assert_eq!(manifest, Manifest::default());
    }

    #[test]
    fn the_quick_way_reads_what_the_toml_reader_reads() {
        let mut manifest = Manifest::default();
        let edits: Vec<Edit> = ["a", "b/c", "d e", "ü"]
            .iter()
            .map(|s| {
                let mut entry = sample(&format!("/srv/{s}"));
                entry.owner = OwnerName::parse("mysql").unwrap();
                Edit { store: (*s).into(), from: None, to: Some(entry) }
            })
            .collect();
        manifest.edit(edits.iter()).unwrap();
        let text = manifest.render();
        assert_eq!(canonical::read(&text), Some(manifest.entries.clone()));
        // Anything else is left to the other reader, which agrees or explains.
        for (from, to) in
            [("uid = 27", "uid =  27"), ("mode = \"2755\" }", "mode = \"2755\" } # x"), ("\"a\" =", "a =")]
        {
            let odd = text.replace(from, to);
            assert_ne!(odd, text);
            // As somebody edits it.
            let odd = odd
                .lines()
                .filter(|line| !line.starts_with("sum = "))
                .map(|line| format!("{line}\n"))
                .collect::<String>();
            assert_eq!(canonical::read(&odd), None, "{odd}");
            assert_eq!(Manifest::only(&odd, &["a".into()]).unwrap().get("a"), manifest.get("a"));
            assert_eq!(Manifest::parse(&odd).unwrap(), manifest);
        }
        let twice = format!("{text}{}", text.lines().last().unwrap());
        assert_eq!(canonical::read(&twice), None);
        assert!(Manifest::parse(&twice).is_err());
    }

    #[test]
    fn bisection_finds_every_store_and_no_other() {
        for count in [0_usize, 1, 2, 3, 50, 700] {
            let stores: Vec<String> = (0..count).map(|n| format!("s{:0width$}", n * 2, width = n % 40 + 1)).collect();
            let entry = |s: &String| {
                let mut entry = sample(&format!("/srv/{s}"));
                entry.owner = OwnerName::parse("mysql").unwrap();
                (s.clone(), entry)
            };
            let manifest = Manifest::from_entries(stores.iter().map(entry));
            let text = manifest.render();
            for room in [700, 8192] {
                let read = |at: u64| {
                    let at = usize::try_from(at).unwrap();
                    Some(text.as_bytes()[at..(at + room).min(text.len())].to_vec())
                };
                for store in &stores {
                    let found = Manifest::bisect(text.len() as u64, store, read);
                    assert_eq!(found.as_ref(), manifest.get(store), "{store} of {count}");
                }
                assert_eq!(Manifest::bisect(text.len() as u64, "s", read), None);
                assert_eq!(Manifest::bisect(text.len() as u64, "zzz", read), None);
            }
        }
    }

    #[test]
    fn another_entry_is_not_overwritten() {
        let mut manifest = Manifest::default();
        manifest.edit([Edit { store: "a".into(), from: None, to: Some(sample("/a")) }].iter()).unwrap();
        let edit = Edit { store: "a".into(), from: None, to: Some(sample("/b")) };
        assert_eq!(manifest.edit([edit].iter()), Err("a".into()));
    }

    #[test]
    fn newer_and_damaged_files_are_refused() {
        assert_eq!(Manifest::parse("version = 2\n"), Err(ManifestError::Newer(2)));
        assert!(matches!(Manifest::parse("[store]\n"), Err(ManifestError::Damaged(_))));
        assert!(matches!(Manifest::parse("version = 1\n[store]\na = { id = 1 }\n"), Err(ManifestError::Damaged(_))));
        let file = VolumeFile { id: Id::from_random([1; 16]), name: VolumeName::parse("data0").unwrap(), host: None };
        assert_eq!(VolumeFile::parse(&file.render()).unwrap(), file);
    }
}
