//! Packages for systems with rpm, by rpmbuild and `packaging/rpm/datastore.spec`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::layout::{self, Kind, below};
use super::{Job, Package, documents, template};
use crate::failure::{Doing as _, Failure, Result};
use crate::older::Glibc;
use crate::tool::Tool;

/// Documents, from the repository.
const DOCUMENTS: &[(&str, &str)] =
    &[("%doc", "CHANGELOG.md"), ("%license", "LICENSE-MIT"), ("%license", "LICENSE-APACHE")];
/// Systems with a C library older than this one have an rpm older than 4.13, which knows no file triggers.
const FIRST_WITH_TRIGGERS: &str = "2.24";

/// Makes all of them, and says where they are.
pub(super) fn build(job: &Job) -> Result<Vec<PathBuf>> {
    let room = job.room.join("rpm");
    let (tree, lists) = (room.join("tree"), room.join("lists"));
    layout::directory(&lists)?;
    for package in job.packages() {
        let (mut lines, mut paths) = (String::new(), Vec::new());
        for path in layout::lay(job, package, Kind::Rpm, &tree)? {
            lines.push_str(&line(&tree, &path));
            paths.push(path);
        }
        for (kind, file) in DOCUMENTS {
            let directory = if *kind == "%doc" { "doc" } else { "licenses" };
            let path = Path::new("/usr/share").join(directory).join(package.name()).join(file);
            layout::write(&below(&tree, &path), job.repo.read(file)?, 0o644)?;
            lines.push_str(&format!("%attr(0644, root, root) {kind} {}\n", path.display()));
            paths.push(path);
        }
        lines.extend(
            directories(&paths).iter().map(|path| format!("%dir %attr(0755, root, root) {}\n", path.display())),
        );
        layout::write(&lists.join(package.name()), lines, 0o644)?;
    }
    let spec = room.join("datastore.spec");
    let path = "packaging/rpm/datastore.spec";
    layout::write(&spec, template::fill(path, &job.repo.read(path)?, &values(job, &tree, &lists)?)?, 0o644)?;
    let tool =
        Tool::new("rpmbuild").args(["-bb", "--quiet"]).arg("--define").arg(format!("_topdir {}", room.display()));
    job.stamp.told(tool).arg(&spec).output()?;
    collect(&room.join("RPMS"), job)
}

fn values(job: &Job, tree: &Path, lists: &Path) -> Result<Vec<(&'static str, String)>> {
    let first = Glibc::parse(FIRST_WITH_TRIGGERS);
    let triggers = job.older.as_ref().is_none_or(|older| Glibc::parse(older.version()) >= first);
    let number = |yes: bool| u8::from(yes).to_string();
    let mut values = job.values();
    values.extend([
        ("tree", tree.display().to_string()),
        ("lists", lists.display().to_string()),
        ("date", job.stamp.format("+%a %b %d %Y")?),
        ("maintainer", documents::maintainer()),
        ("payload", if job.in_a_hurry { "w1.gzdio" } else { "w6.xzdio" }.to_owned()),
        ("withphp", number(job.packages().any(|package| package == Package::Php))),
        ("withtriggers", number(triggers)),
    ]);
    Ok(values)
}

/// The directories that are ours, told by their name: rpm removes those that a package has, and no others.
fn directories(paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    let ours = |path: &Path| path.iter().any(|part| part.to_string_lossy().contains("datastore"));
    let above = paths.iter().flat_map(|path| path.ancestors().skip(1).take_while(|path| ours(path)));
    above.filter(|path| !path.starts_with("/etc")).map(Path::to_path_buf).collect()
}

/// The line of `%files` for one path. All that is below /etc may be changed by an administrator; init scripts are programs.
fn line(tree: &Path, path: &Path) -> String {
    let full = below(tree, path);
    let kind = match full.symlink_metadata() {
        Ok(meta) if meta.is_dir() => "%dir ",
        _ if path.starts_with("/etc/rc.d") => "",
        _ if path.starts_with("/etc") => "%config(noreplace) ",
        _ => "",
    };
    let mode = std::os::unix::fs::PermissionsExt::mode;
    let bits = full.symlink_metadata().map_or(0o644, |meta| mode(&meta.permissions()) & 0o7777);
    // Systems with rpm look into libraries only if they may be run.
    let bits = if path.to_string_lossy().contains(".so") { 0o755 } else { bits };
    // The mode of a link means nothing.
    if full.is_symlink() {
        format!("{}\n", path.display())
    } else {
        format!("%attr({bits:04o}, root, root) {kind}{}\n", path.display())
    }
}

/// Moves what was made to where packages go.
fn collect(from: &Path, job: &Job) -> Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    for machine in fs::read_dir(from).doing(format_args!("read {}", from.display()))?.flatten() {
        for package in fs::read_dir(machine.path()).doing(format_args!("read {}", machine.path().display()))?.flatten()
        {
            let to = job.out.join(package.file_name());
            fs::rename(package.path(), &to).doing(format_args!("move {}", package.path().display()))?;
            made.push(to);
        }
    }
    made.sort();
    let wanted = job.packages().count();
    if made.len() == wanted {
        Ok(made)
    } else {
        Err(Failure::new(format!("rpmbuild made {} packages, not {wanted}", made.len())))
    }
}
