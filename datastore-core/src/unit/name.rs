//! How systemd writes names and paths (systemd.unit(5), "String escaping for inclusion in unit names", "Specifiers").

use std::fmt::Write as _;

use crate::path::AbsPath;

/// Longer is no name of a unit (`UNIT_NAME_MAX`).
const LONGEST: usize = 255;
/// What a name of a unit ends with.
const KINDS: [&str; 11] = [
    ".service",
    ".socket",
    ".target",
    ".timer",
    ".path",
    ".mount",
    ".automount",
    ".swap",
    ".slice",
    ".scope",
    ".device",
];

/// The unit of a service: `.service` may be left out where an administrator writes it.
#[must_use]
pub fn service(name: &str) -> String {
    if KINDS.iter().any(|kind| name.ends_with(kind)) { name.to_owned() } else { format!("{name}.service") }
}

/// The mount unit of a mount point (`systemd-escape --path --suffix=mount`); `None` where that would be too long for a name, and systemd makes
/// another one of it.
#[must_use]
pub fn mount(path: &AbsPath) -> Option<String> {
    let mut name = String::new();
    if path.is_root() {
        name.push('-');
    }
    for (i, &byte) in path.relative().iter().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if i == 0 => name.push_str("\\x2e"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' => name.push(char::from(byte)),
            _ => {
                let _ = write!(name, "\\x{byte:02x}");
            }
        }
    }
    name.push_str(".mount");
    (name.len() <= LONGEST).then_some(name)
}

/// The line that has the file systems mounted which hold a path, and that themselves are ordered before.
pub(super) fn requires(path: &AbsPath) -> String {
    let text = path.to_str().map(specifiers);
    // Words are separated by spaces and may be quoted; a backslash stands for itself.
    let word = text.and_then(|text| match (text.contains('"'), text.contains(['\'', ' '])) {
        (false, false) => Some(text),
        (false, true) => Some(format!("\"{text}\"")),
        (true, _) if !text.contains('\'') => Some(format!("'{text}'")),
        (true, _) => None,
    });
    match (word, mount(path)) {
        (Some(word), _) => format!("RequiresMountsFor={word}\n"),
        (None, Some(unit)) => format!("Requires={unit}\nAfter={unit}\n"),
        (None, None) => String::new(),
    }
}

/// A line with a path, which is the rest of the line as it stands. One that could not be read back is left to the guard.
pub(super) fn assert(key: &str, path: &AbsPath) -> String {
    match path.to_str() {
        Some(text) if !text.ends_with(['\\', ' ']) => format!("{key}={}\n", specifiers(text)),
        _ => String::new(),
    }
}

fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}
