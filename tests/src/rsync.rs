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

    /// Demands that two trees are alike but for what their tops have of their own: mode, owner, times, identity.
    ///
    /// # Panics
    /// With what differs.
    #[track_caller]
    pub fn alike_but_for_tops(&self, a: &Path, b: &Path) {
        self.alike_but_for(a, b, " ./");
    }

    /// Demands that two trees are alike but for the identities that their tops carry.
    ///
    /// # Panics
    /// With what differs.
    #[track_caller]
    pub fn alike_but_for_identities(&self, a: &Path, b: &Path) {
        self.alike_but_for(a, b, ": .d........x ./");
    }

    #[track_caller]
    fn alike_but_for(&self, a: &Path, b: &Path, end: &str) {
        let differs = self.differences(a, b);
        let differs: Vec<&String> = differs.iter().filter(|line| !line.ends_with(end)).collect();
        assert!(differs.is_empty(), "{differs:#?}");
    }
}
