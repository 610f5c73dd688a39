//! What `status --json` says, and a machine that is set up.

use serde_json::Value;

use crate::Sandbox;

impl Sandbox {
    /// A root after `datastore init`: host `server1`, volume `data0` in a plain directory, and the default mappings.
    ///
    /// # Panics
    /// If `init` fails.
    #[must_use]
    #[track_caller]
    pub fn initialised() -> Self {
        let sandbox = Self::new();
        sandbox.datastore(&["init", "--host", "server1", "--yes"]).ok();
        sandbox
    }

    /// All rows of mappings.
    ///
    /// # Panics
    /// If `status` fails.
    #[must_use]
    #[track_caller]
    pub fn rows(&self) -> Vec<Value> {
        let status = self.datastore(&["status", "--json"]).ok().json();
        status["mappings"].as_array().expect("status has mappings").clone()
    }

    /// The one row of a mount point.
    ///
    /// # Panics
    /// If there is none, or more than one.
    #[must_use]
    #[track_caller]
    pub fn row(&self, mount_point: &str) -> Value {
        let rows = self.rows();
        let found: Vec<&Value> = rows.iter().filter(|r| r["mount_point"] == mount_point).collect();
        assert_eq!(found.len(), 1, "one row of {mount_point} was wanted: {rows:#?}");
        found[0].clone()
    }

    /// The state of a mount point.
    ///
    /// # Panics
    /// If it has no row.
    #[must_use]
    #[track_caller]
    pub fn state(&self, mount_point: &str) -> String {
        text(&self.row(mount_point)["state"])
    }

    /// Demands a state of a mount point.
    ///
    /// # Panics
    /// With the whole row if it is another.
    #[track_caller]
    pub fn is(&self, mount_point: &str, state: &str) {
        let row = self.row(mount_point);
        assert_eq!(row["state"], state, "{row:#}");
    }

    /// What stands in fstab between our two marker lines.
    ///
    /// # Panics
    /// If there is no fstab.
    #[must_use]
    #[track_caller]
    pub fn our_lines(&self) -> Vec<String> {
        let fstab = self.read("/etc/fstab");
        let mut lines = fstab.lines().skip_while(|l| !l.starts_with("# datastore: begin")).skip(1);
        let ours: Vec<String> = lines.by_ref().take_while(|l| *l != "# datastore: end").map(str::to_owned).collect();
        assert!(!lines.any(|l| l.contains("X-datastore=")), "a line of ours stands outside of the block: {fstab}");
        ours
    }

    /// Everything in fstab but our block, byte for byte.
    ///
    /// # Panics
    /// If there is no fstab.
    #[must_use]
    #[track_caller]
    pub fn foreign_lines(&self) -> String {
        let mut inside = false;
        let mut out = String::new();
        for line in self.read("/etc/fstab").split_inclusive('\n') {
            inside |= line.starts_with("# datastore: begin");
            if !inside {
                out.push_str(line);
            }
            inside &= !line.starts_with("# datastore: end");
        }
        out
    }
}

/// A text in a JSON document.
///
/// # Panics
/// If it is no text.
#[must_use]
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text was wanted: {value:#}")).to_owned()
}

/// The names of the fields of a JSON object, sorted.
///
/// # Panics
/// If it is no object.
#[must_use]
#[track_caller]
pub fn fields(value: &Value) -> Vec<String> {
    let mut names: Vec<String> =
        value.as_object().unwrap_or_else(|| panic!("an object was wanted: {value:#}")).keys().cloned().collect();
    names.sort();
    names
}
