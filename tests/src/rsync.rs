//! What rsync(1) finds to differ between two trees.

use std::path::Path;

use crate::Sandbox;

impl Sandbox {
    /// What `rsync -naHAXi --delete` would change in either tree to make it equal to the other: a line for each entry.
    ///
    /// # Panics
    /// If rsync fails.
    #[must_use]
    #[track_caller]
    pub fn differences(&self, a: &Path, b: &Path) -> Vec<String> {
        let one_way = |from: &Path, to: &Path| {
            let (from, to) = (format!("{}/", from.display()), format!("{}/", to.display()));
            let run = self.run(self.command("rsync").args(["-naHAXi", "--delete", &from, &to])).ok();
            run.stdout.lines().map(|line| format!("{from} {to}: {line}")).collect::<Vec<_>>()
        };
        [one_way(a, b), one_way(b, a)].concat()
    }
}
