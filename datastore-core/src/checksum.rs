//! The checksum in our own files: what a disk has changed in them is noticed, and never taken for what was written.
//!
//! It is a CRC-32 of everything behind it, and stands before whatever it guards: in TOML on a line before the version, in JSON as the first
//! field. So a file that was cut anywhere lacks its version, is no JSON, or has another checksum. A file without one was written by a
//! program that made none; it is read as it is.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The key, in both languages.
const KEY: &str = "sum";
/// How it begins a line of TOML. No other key of ours is written so.
const LINE: &str = "\nsum = \"";

/// What is wrong with a file whose checksum is another one.
pub(crate) const WRONG: &str = "its checksum does not fit: the disk has changed it, or somebody has edited it; if that is meant, take `sum` out of it";

fn of(bytes: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(bytes))
}

/// A file in TOML: the comment that it begins with (its lines end with newlines), the checksum, the rest.
pub(crate) fn toml(comment: &str, rest: &str) -> String {
    format!("{}{LINE}{}\"\n{rest}", comment.trim_end_matches('\n'), of(rest.as_bytes()))
}

/// How a file in TOML begins: so many bytes, whatever the checksum is.
pub(crate) fn toml_head(comment: &str) -> usize {
    toml(comment, "").len()
}

/// Whether a file in TOML is as it was written.
pub(crate) fn is_toml_whole(text: &str) -> bool {
    // The keys of tables may be any text, but those of ours are quoted, and the checksum comes before all.
    let Some((before, after)) = text.split_once(LINE) else { return true };
    if before.lines().any(|line| !line.starts_with('#')) {
        return true;
    }
    after.split_once("\"\n").is_some_and(|(sum, rest)| sum == of(rest.as_bytes()))
}

/// A file in JSON, which is an object with one field at least: the same with the checksum as its first field, and a newline at its end.
fn json(mut object: Vec<u8>) -> Vec<u8> {
    object.push(b'\n');
    let rest = object.get(1..).unwrap_or_default();
    [format!("{{\n  \"{KEY}\": \"{}\",", of(rest)).as_bytes(), rest].concat()
}

/// Whether a file in JSON is as it was written.
fn is_json_whole(bytes: &[u8]) -> bool {
    let head = format!("{{\n  \"{KEY}\": \"");
    let Some(after) = bytes.strip_prefix(head.as_bytes()) else { return true };
    let parts = after.split_at_checked(8).and_then(|(sum, rest)| Some((sum, rest.strip_prefix(b"\",")?)));
    parts.is_some_and(|(sum, rest)| sum == of(rest).as_bytes())
}

/// Reads a file in JSON whose newest form is this version. A sentence if it is damaged, or was written by a newer program.
pub(crate) fn read_json<T: DeserializeOwned>(
    bytes: &[u8],
    newest: u32,
    version: impl FnOnce(&T) -> u32,
) -> Result<T, String> {
    let this: T = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let version = version(&this);
    if version > newest {
        return Err(format!("a newer datastore wrote it (version {version})"));
    }
    if !is_json_whole(bytes) {
        return Err(WRONG.into());
    }
    Ok(this)
}

/// Writes one.
pub(crate) fn write_json(this: &impl Serialize) -> Vec<u8> {
    json(serde_json::to_vec_pretty(this).expect("our files hold nothing that JSON cannot"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_whole_and_what_was_changed_is_not() {
        let text = toml("# about\n", "version = 1\na = 2\n");
        assert_eq!(text.lines().nth(1).unwrap().len(), "sum = \"01234567\"".len());
        assert_eq!(&text[toml_head("# about\n")..], "version = 1\na = 2\n");
        assert!(is_toml_whole(&text) && !is_toml_whole(&text.replace("a = 2", "a = 3")));
        assert!(is_toml_whole("version = 1\na = 3\n") && is_toml_whole("a = 1\nsum = \"x\"\n"));
        let text = json(b"{\n  \"a\": 1\n}".to_vec());
        assert_eq!(String::from_utf8_lossy(&text).lines().count(), 4);
        assert!(serde_json::from_slice::<serde_json::Value>(&text).unwrap()["a"] == 1);
        assert!(is_json_whole(&text) && is_json_whole(b"{\"a\":1}"));
        let changed = String::from_utf8(text).unwrap().replace("\"a\": 1", "\"a\": 2");
        assert!(!is_json_whole(changed.as_bytes()));
    }
}
