//! Commands in hints, as they can be typed: with the root that this command was given.

use std::path::Path;
use std::sync::OnceLock;

/// ` --root DIR`, for another root than the machine's own. The hints themselves come from core, which knows no root.
static GIVEN: OnceLock<String> = OnceLock::new();

/// Keeps the root for every hint that is still to be printed.
pub(crate) fn with_root(root: &Path) {
    if root != Path::new("/") {
        let _ = GIVEN.set(format!(" --root {}", quoted(&root.to_string_lossy())));
    }
}

/// A hint to be printed.
pub(super) fn typed(hint: &str) -> String {
    GIVEN.get().map_or_else(|| hint.to_owned(), |given| with(hint, given))
}

/// Puts an option behind each `datastore` that is followed by a verb.
fn with(hint: &str, option: &str) -> String {
    const PROGRAM: &str = "datastore";
    let mut out = String::with_capacity(hint.len() + option.len());
    let mut rest = hint;
    while let Some(at) = rest.find(PROGRAM) {
        let (before, after) = (&rest[..at], &rest[at + PROGRAM.len()..]);
        out.push_str(before);
        out.push_str(PROGRAM);
        let begins_word = before.chars().next_back().is_none_or(|c| c.is_whitespace() || "`(".contains(c));
        let has_verb = after.strip_prefix(' ').is_some_and(|verb| verb.starts_with(|c: char| c.is_ascii_lowercase()));
        if begins_word && has_verb {
            out.push_str(option);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,".contains(c);
    if !path.is_empty() && path.chars().all(plain) { path.into() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_gets_the_root_and_nothing_else_does() {
        for (hint, wanted) in [
            ("datastore start www", "datastore --root /mnt start www"),
            (
                "umount /x && datastore start a (then: datastore remap a)",
                "umount /x && datastore --root /mnt start a (then: datastore --root /mnt remap a)",
            ),
            ("`datastore status` shows all", "`datastore --root /mnt status` shows all"),
            ("this is a defect of datastore: report it", "this is a defect of datastore: report it"),
            ("look at /etc/datastore.d and /x/datastore y", "look at /etc/datastore.d and /x/datastore y"),
            ("datastore --help", "datastore --help"),
        ] {
            assert_eq!(with(hint, " --root /mnt"), wanted);
        }
    }

    #[test]
    fn a_path_is_quoted_for_the_shell_where_it_must_be() {
        assert_eq!(quoted("/mnt/sys-root_1.0"), "/mnt/sys-root_1.0");
        assert_eq!(quoted("/a b/it's"), r"'/a b/it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
