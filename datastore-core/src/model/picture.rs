//! What a machine looks like, as text that is equal for two machines that came to the same: every directory and file with
//! mode, owner, seal, identity and content, and what is mounted. Identities are numbered in the order in which they are met.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::machine::Machine;
use super::tree::{Ino, Kind};
use crate::path::printable;
use crate::value::Id;

impl Machine {
    /// Draws it.
    #[must_use]
    pub fn picture(&self) -> String {
        // The checksum of a manifest is another one where its identities are.
        let exact = self.exact();
        let lines = exact.lines().filter(|line| !line.starts_with("sum = ")).collect::<Vec<_>>();
        number_identities(&lines.join("\n"))
    }

    /// The same with the identities themselves.
    #[must_use]
    pub fn exact(&self) -> String {
        let mut out = String::new();
        let mut mounts: Vec<String> = self
            .mounts
            .iter()
            .map(|m| {
                let fs = self.tree.node(m.root).fs;
                let removed = if self.tree.node(m.root).removed { "//deleted" } else { "" };
                let (point, root) = (self.mounts.point(&self.tree, m), self.tree.path(m.root));
                format!("mount {} = {fs}:{}{removed} ({})", printable(&point), printable(&root), m.options)
            })
            .collect();
        mounts.sort();
        // Every file system, from its own top: also what is covered, and what is mounted nowhere at the moment.
        for (fs, top) in self.tree.tops() {
            let _ = writeln!(out, "disk {fs}");
            self.draw(top, &mut out);
        }
        out.push_str(&mounts.join("\n"));
        out
    }

    fn draw(&self, ino: Ino, out: &mut String) {
        let node = self.tree.node(ino);
        let _ = write!(out, "{} {}", printable(&self.tree.path(ino)), node.attrs);
        if node.immutable {
            out.push_str(" immutable");
        }
        if self.labels && node.label != 0 {
            let _ = write!(out, " label {}", node.label);
        }
        if let Some(id) = node.id {
            let _ = write!(out, " {id}");
        }
        if let Kind::File(bytes) = &node.kind {
            let _ = write!(out, "\n<{}>", String::from_utf8_lossy(bytes));
        }
        out.push('\n');
        for (_, inner) in self.tree.names(ino) {
            self.draw(inner, out);
        }
    }
}

/// Replaces every UUID by its number in the order in which they are met.
#[must_use]
pub fn number_identities(text: &str) -> String {
    const LENGTH: usize = 36;
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut out = String::with_capacity(text.len());
    let bytes = text.as_bytes();
    let (mut done, mut at) = (0, 0);
    while at + LENGTH <= bytes.len() {
        let looks = bytes[at + 8] == b'-' && bytes[at + 13] == b'-' && bytes[at + 18] == b'-' && bytes[at + 23] == b'-';
        match text.get(at..at + LENGTH).filter(|id| looks && Id::parse(id).is_ok()) {
            Some(id) => {
                let next = numbers.len() + 1;
                let number = *numbers.entry(id).or_insert(next);
                out.push_str(&text[done..at]);
                let _ = write!(out, "#{number}");
                at += LENGTH;
                done = at;
            }
            None => at += 1,
        }
    }
    out.push_str(&text[done..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_numbered_as_they_are_met() {
        let (a, b) = (Id::from_random([1; 16]), Id::from_random([2; 16]));
        assert_eq!(number_identities(&format!("x {b} y{a}-{b}")), "x #1 y#2-#1");
    }
}
