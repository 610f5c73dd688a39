//! Which entries of the list of harmless faults a release has used, written down by all of its tests together.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use datastore_rigs::Effort;
use datastore_tests::binary;

use crate::allowed::ALLOWED;
use crate::scenes::ALL;

/// Where the tests of one run write; nextest gives each run a name.
fn directory() -> Option<PathBuf> {
    let run = std::env::var("NEXTEST_RUN_ID").ok()?;
    (Effort::asked() == Effort::Release).then(|| binary::target("rigs-calls").join(run))
}

/// Writes down which entries a campaign has used. The last one of a release holds the list against all of them.
///
/// # Panics
/// If it cannot be written, or an entry was used by none.
pub fn used(entries: &BTreeSet<usize>) {
    let Some(directory) = directory() else { return };
    let test = std::thread::current().name().unwrap_or("test").replace("::", "-");
    fs::create_dir_all(&directory).unwrap_or_else(|e| panic!("make {}: {e}", directory.display()));
    let binary = std::env::args().next().unwrap_or_default();
    let binary = PathBuf::from(binary).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let numbers: Vec<String> = entries.iter().map(ToString::to_string).collect();
    fs::write(directory.join(format!("{binary}-{test}")), numbers.join("\n")).expect("write the ledger");
    let all: Vec<String> = fs::read_dir(&directory)
        .expect("read the ledger")
        .map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("read the ledger"))
        .collect();
    if all.len() < ALL.len() * TESTS {
        return;
    }
    let seen: BTreeSet<usize> = all.iter().flat_map(|text| text.lines()).filter_map(|line| line.parse().ok()).collect();
    let unused = ALLOWED.iter().enumerate().filter(|(number, _)| !seen.contains(number));
    let unused: Vec<String> = unused.map(|(_, entry)| format!("{:?}: {}", entry.files, entry.why)).collect();
    assert!(unused.is_empty(), "no fault of this release needed these entries of the list any more: {unused:#?}");
}

/// How many campaigns each scene has that use the list.
const TESTS: usize = 1;
