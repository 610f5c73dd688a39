//! What lintian and rpmlint say. Anything that is not accepted with a reason in `packaging` fails.

use std::path::PathBuf;

use crate::failure::Result;
use crate::repo::Repo;
use crate::tool::Tool;

/// Has both look at what was made.
pub(super) fn look(repo: &Repo, made: &[PathBuf]) -> Result {
    let of_kind =
        |kind: &str| made.iter().filter(|path| path.extension().is_some_and(|e| e == kind)).collect::<Vec<_>>();
    Tool::new("lintian")
        .args(["--fail-on", "error,warning", "--allow-root", "--no-cfg", "--tag-display-limit", "0"])
        .args(of_kind("deb"))
        .run()
        .map_err(|e| e.hint("mend it, or accept it with a reason in packaging/deb/PACKAGE.lintian-overrides"))?;
    Tool::new("rpmlint")
        .arg("--config")
        .arg(repo.path("packaging/rpm/rpmlint.toml"))
        .arg("--strict")
        .args(of_kind("rpm"))
        .output()
        .map(drop)
        .map_err(|e| e.hint("mend it, or accept it with a reason in packaging/rpm/rpmlint.toml"))
}
