//! What hooks wrote: `/var/lib/datastore/hooks/<operation>.log`, for root alone, as long as the operation's journal is kept.

use std::collections::HashSet;
use std::os::fd::OwnedFd;

use datastore_core::journal::OperationId;
use datastore_core::{AbsPath, Result};
use rustix::fs::OFlags;

use crate::root::{Root, if_there};
use crate::run_files;
use crate::sys::{Entry, fd};

/// Where the logs are.
const DIR: &str = "/var/lib/datastore/hooks";

/// The log of an operation.
pub(crate) fn path(operation: &str) -> AbsPath {
    AbsPath::literal(DIR).child(&format!("{operation}.log"))
}

/// Adds lines to the log of an operation, one write for all of them.
pub(crate) fn add(root: &Root, operation: &str, lines: &[String]) -> Result<()> {
    let dir = run_files::make_dirs(root, DIR, 0o700)?;
    let name = format!("{operation}.log");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NONBLOCK;
    let file = fd::open(Entry::new(&dir, name.as_bytes()), flags, 0o600)?;
    let mut text = lines.join("\n");
    text.push('\n');
    fd::write_all(&file, text.as_bytes())?;
    Ok(())
}

/// Removes the logs of operations whose journals are gone. What fails is left for the next time.
pub(crate) fn prune(root: &Root, journals: &HashSet<OperationId>) {
    let opened = if_there(root.open_file(&AbsPath::literal(DIR), OFlags::RDONLY | OFlags::DIRECTORY, 0));
    let Ok(Some(dir)) = opened else { return };
    for name in names(&dir) {
        let operation = std::str::from_utf8(&name).ok().and_then(|n| n.strip_suffix(".log"));
        if let Some(operation) = operation.and_then(|o| OperationId::parse(o).ok())
            && !journals.contains(&operation)
        {
            let _ = fd::remove_file(Entry::new(&dir, &name));
        }
    }
}

fn names(dir: &OwnedFd) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    let _ = fd::each_name(dir, |name| {
        names.push(name.to_vec());
        true
    });
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Sandbox;

    #[test]
    fn logs_go_with_their_journals() {
        Sandbox::run(|sandbox| {
            let root = sandbox.root();
            let operation = |n: u8| OperationId::new("2026-11-24T10:00:00.000Z", [0, 0, 0, n]).unwrap();
            // Where no hook has run there is nothing to do.
            prune(&root, &HashSet::new());
            for n in 0..3 {
                add(&root, operation(n).as_str(), &["one".into(), "two".into()]).unwrap();
            }
            sandbox.file("var/lib/datastore/hooks/notes.txt", "somebody's");
            add(&root, operation(1).as_str(), &["three".into()]).unwrap();
            prune(&root, &HashSet::from([operation(1)]));
            let dir = sandbox.dir().join("var/lib/datastore/hooks");
            let mut left: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
            left.sort();
            assert_eq!(left, [format!("{}.log", operation(1)).as_str(), "notes.txt"]);
            let text = std::fs::read_to_string(dir.join(format!("{}.log", operation(1)))).unwrap();
            assert_eq!(text, "one\ntwo\nthree\n");
        });
    }
}
