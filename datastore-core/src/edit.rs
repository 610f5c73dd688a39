//! Changes of our own configuration files that keep everything else in them: comments, order, white space (toml_edit).

use toml_edit::{DocumentMut, Item, Table, Value, value};

use crate::error::{Error, ErrorKind, Result};
use crate::path::AbsPath;
use crate::syntax::depth::is_too_deep;
use crate::value::{HostName, VolumeName};
use crate::wanted::Volume;

/// The `/etc/datastore.conf` that `init` writes where there is none: the default mappings, all disabled.
pub const DEFAULT_CONFIG: &str = include_str!("../../packaging/defaults/datastore.conf");

/// How a new override begins.
const ABOUT: &str = "# What this machine changes about the app. Lies over its configlet or default mapping.\n";

fn document(file: &str, text: &str) -> Result<DocumentMut> {
    if is_too_deep(text) {
        let what = format!("{file} cannot be edited: it nests deeper than any configuration does");
        return Err(Error::new(ErrorKind::Invalid, what).hint("datastore config check"));
    }
    text.parse().map_err(|e: toml_edit::TomlError| {
        Error::new(ErrorKind::Invalid, format!("{file} cannot be edited: {}", e.message()))
            .hint("datastore config check")
    })
}

/// Sets a value, and keeps the white space and the comment around the one that was there.
fn put(table: &mut Table, key: &str, mut new: Value) {
    let Some(item) = table.get_mut(key) else {
        table.insert(key, Item::Value(new));
        return;
    };
    if let Some(old) = item.as_value() {
        *new.decor_mut() = old.decor().clone();
    }
    *item = Item::Value(new);
}

/// The text of an override that says whether an app is asked for.
pub fn enabled(file: &str, text: Option<&str>, on: bool) -> Result<String> {
    let Some(text) = text else {
        return Ok(format!("{ABOUT}enabled = {on}\n"));
    };
    let mut document = document(file, text)?;
    put(document.as_table_mut(), "enabled", on.into());
    Ok(document.to_string())
}

/// Where a mapping is to be from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The mapping's mount point.
    pub mount_point: AbsPath,
    /// Its volume.
    pub volume: VolumeName,
    /// Its store directory, where the one that is written elsewhere would not lie on that volume.
    pub target: Option<AbsPath>,
}

/// The text of an override that says where mappings are.
pub fn placed(file: &str, text: Option<&str>, mappings: &[Placed]) -> Result<String> {
    let (about, text) = text.map_or((ABOUT, ""), |text| ("", text));
    let mut document = document(file, text)?;
    let all = document.entry("mapping").or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    let wrong = || {
        Error::new(ErrorKind::Invalid, format!("{file} cannot be edited: `mapping` is no table"))
            .hint("datastore config check")
    };
    let all = all.as_table_like_mut().ok_or_else(wrong)?;
    for Placed { mount_point, volume, target } in mappings {
        let one = all.entry(&mount_point.to_string()).or_insert_with(|| Item::Table(Table::new()));
        let one = one.as_table_like_mut().ok_or_else(wrong)?;
        one.insert("volume", value(volume.as_str()));
        if let Some(target) = target {
            one.insert("target", value(target.to_string()));
        }
    }
    Ok(format!("{about}{document}"))
}

/// The text of `/etc/datastore.conf` with the host's name.
pub fn host(file: &str, text: &str, host: &HostName) -> Result<String> {
    let mut document = document(file, text)?;
    let is_new = document.get("host").is_none();
    put(document.as_table_mut(), "host", host.as_str().into());
    if is_new && document.as_table().len() > 1 {
        // A key after the first table would belong to that table, so it is written before everything else.
        document.as_table_mut().sort_values_by(|a, _, b, _| (a != "host").cmp(&(b != "host")));
    }
    Ok(document.to_string())
}

/// The text of `/etc/datastore.conf` with a volume.
pub fn volume(file: &str, text: &str, volume: &Volume, path: Option<&AbsPath>) -> Result<String> {
    let mut document = document(file, text)?;
    let mut table = Table::new();
    if let Some(id) = volume.id {
        table["id"] = value(id.to_string());
    }
    if let Some(path) = path {
        table["path"] = value(path.to_string());
    }
    for (key, text) in [("source", &volume.source), ("type", &volume.fstype), ("options", &volume.options)] {
        if let Some(text) = text {
            table[key] = value(text.as_str());
        }
    }
    let volumes = document.entry("volume").or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    match volumes.as_table_like_mut() {
        Some(volumes) => {
            volumes.insert(volume.name.as_str(), Item::Table(table));
        }
        None => {
            return Err(Error::new(ErrorKind::Invalid, format!("`volume` in {file} is no table"))
                .hint("datastore config check"));
        }
    }
    Ok(document.to_string())
}

/// The text of `/etc/datastore.conf` without a volume.
pub fn without_volume(file: &str, text: &str, name: &VolumeName) -> Result<String> {
    let mut document = document(file, text)?;
    if let Some(volumes) = document.get_mut("volume").and_then(Item::as_table_like_mut) {
        volumes.remove(name.as_str());
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Id;

    #[test]
    fn comments_and_order_stay() {
        let text = "# mine\nhost = \"old\" # here\n\n[volume.data1]\nid = \"x\"\n# end\n";
        let named = host("f", text, &HostName::parse("new").unwrap()).unwrap();
        assert_eq!(named, text.replace("\"old\"", "\"new\""));
        let disk = Volume {
            name: VolumeName::parse("data0").unwrap(),
            path: AbsPath::literal("/store/data0"),
            declared: true,
            id: Some(Id::from_random([9; 16])),
            source: Some("LABEL=data0".into()),
            fstype: Some("ext4".into()),
            options: None,
        };
        let with = volume("f", text, &disk, None).unwrap();
        assert!(with.starts_with(text.trim_end_matches("# end\n")), "{with}");
        assert!(
            with.contains("[volume.data0]\nid = \"") && with.contains("source = \"LABEL=data0\"\ntype = \"ext4\"\n")
        );
        assert_eq!(without_volume("f", &with, &disk.name).unwrap(), text);
    }

    #[test]
    fn the_host_is_written_above_the_tables() {
        let named = host("f", "# c\n[app.home]\ntitle = \"x\"\n", &HostName::parse("h").unwrap()).unwrap();
        assert!(named.parse::<DocumentMut>().unwrap().get("host").is_some(), "{named}");
    }

    #[test]
    fn the_switch() {
        let on = enabled("f", None, true).unwrap();
        assert!(on.ends_with("enabled = true\n"), "{on}");
        assert_eq!(enabled("f", Some(&on), false).unwrap(), on.replace("true", "false"));
        assert!(enabled("f", Some("a = ["), true).is_err());
    }

    #[test]
    fn a_place_stands_below_what_the_file_is_about() {
        let (mount_point, volume) = (AbsPath::literal("/srv/a"), VolumeName::parse("data1").unwrap());
        let there = [Placed { mount_point, volume, target: None }];
        let new = placed("f", None, &there).unwrap();
        assert_eq!(new, format!("{ABOUT}[mapping.\"/srv/a\"]\nvolume = \"data1\"\n"));
        assert_eq!(placed("f", Some(&new), &there).unwrap(), new);
    }
}
