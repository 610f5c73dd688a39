//! Packages for Debian, by dpkg-deb.
//!
//! What cannot be made of the files themselves is in `packaging/deb`: the paragraphs of all packages in `control`, and for each package what is
//! named after it (`datastore.postinst`).

use std::fs;
use std::path::{Path, PathBuf};

use super::layout::{self, Kind, below};
use super::stamp::Stamp;
use super::{Job, Package, REVISION, VERSION, depends, documents, template};
use crate::failure::{Doing as _, Failure, Result};
use crate::tool::Tool;

/// What dpkg knows beside control, md5sums and conffiles, with the mode.
const PARTS: &[(&str, u32)] = &[
    ("preinst", 0o755),
    ("postinst", 0o755),
    ("prerm", 0o755),
    ("postrm", 0o755),
    ("config", 0o755),
    ("templates", 0o644),
    ("triggers", 0o644),
    ("shlibs", 0o644),
];

/// Makes all of them, and says where they are.
pub(super) fn build(job: &Job) -> Result<Vec<PathBuf>> {
    let machine = Tool::new("dpkg").arg("--print-architecture").output()?.trim().to_owned();
    job.packages().map(|package| one(job, package, &machine)).collect()
}

fn one(job: &Job, package: Package, machine: &str) -> Result<PathBuf> {
    let name = package.name();
    let root = job.room.join("deb").join(name);
    let mut paths = layout::lay(job, package, Kind::Debian, &root)?;
    let doc = Path::new("/usr/share/doc").join(name);
    layout::write(&below(&root, &doc.join("copyright")), documents::debian_copyright(job)?, 0o644)?;
    layout::write_gzip(&below(&root, &doc.join("changelog")), documents::changelog(job)?)?;
    layout::write_gzip(&below(&root, &doc.join("changelog.Debian")), documents::debian_changelog(job)?)?;
    paths.extend(["copyright", "changelog.gz", "changelog.Debian.gz"].map(|file| doc.join(file)));
    if let Some(text) = part(job, name, "lintian-overrides")? {
        let path = Path::new("/usr/share/lintian/overrides").join(name);
        layout::write(&below(&root, &path), text, 0o644)?;
        paths.push(path);
    }

    let debian = root.join("DEBIAN");
    layout::write(&debian.join("md5sums"), sums(&root, &paths)?, 0o644)?;
    let conffiles = conffiles(&root, &paths);
    if !conffiles.is_empty() {
        layout::write(&debian.join("conffiles"), conffiles, 0o644)?;
    }
    for (kind, mode) in PARTS {
        if let Some(text) = part(job, name, kind)? {
            layout::write(&debian.join(kind), text, *mode)?;
        }
    }
    let mut values = job.values();
    values.push(("machine", machine.to_owned()));
    values.push(("maintainer", documents::maintainer()));
    values.push(("libraries", depends::libraries(job, &root, &paths)?));
    values.push(("size", size(&root, &paths).to_string()));
    let all = job.repo.read("packaging/deb/control")?;
    layout::write(
        &debian.join("control"),
        template::fill("packaging/deb/control", &paragraph(&all, name)?, &values)?,
        0o644,
    )?;
    // Systems that cannot read what newer ones would choose are meant, too.
    let how: &[&str] = if job.in_a_hurry { &["-Zgzip", "-z1"] } else { &["-Zxz"] };
    pack(job.stamp, how, &root, &job.out.join(format!("{name}_{VERSION}-{REVISION}_{machine}.deb")))
}

/// What is said of a package in `packaging/deb`, if anything is.
fn part(job: &Job, name: &str, kind: &str) -> Result<Option<String>> {
    let path = format!("packaging/deb/{name}.{kind}");
    if !job.repo.path(&path).exists() {
        return Ok(None);
    }
    template::fill(&path, &job.repo.read(&path)?, &job.values()).map(Some)
}

/// The paragraph of one package, and what all of them have in common, which stands first.
fn paragraph(all: &str, name: &str) -> Result<String> {
    let mut paragraphs = all.split("\n\n").map(str::trim);
    let common = paragraphs.next().unwrap_or_default();
    let first = format!("Package: {name}\n");
    let own = paragraphs.find(|text| text.starts_with(&first));
    let own = own.ok_or_else(|| Failure::new(format!("packaging/deb/control says nothing of {name}")))?;
    let (head, rest) = own.split_once('\n').unwrap_or((own, ""));
    Ok(format!("{head}\n{common}\n{rest}\n"))
}

/// What an administrator may change: dpkg keeps it, and asks.
fn conffiles(root: &Path, paths: &[PathBuf]) -> String {
    let is_file = |path: &&PathBuf| path.starts_with("/etc") && below(root, path).is_file();
    paths.iter().filter(is_file).map(|path| format!("{}\n", path.display())).collect()
}

fn sums(root: &Path, paths: &[PathBuf]) -> Result<String> {
    let is_file = |path: &Path| below(root, path).symlink_metadata().is_ok_and(|meta| meta.is_file());
    let mut files: Vec<&Path> = paths.iter().map(PathBuf::as_path).filter(|path| is_file(path)).collect();
    files.sort();
    let names = files.iter().map(|path| path.strip_prefix("/").unwrap_or(path));
    Tool::new("md5sum").args(names).current_dir(root).output()
}

/// In KiB, as dpkg counts.
fn size(root: &Path, paths: &[PathBuf]) -> u64 {
    let bytes = |path: &PathBuf| below(root, path).symlink_metadata().map_or(0, |meta| meta.len());
    paths.iter().map(|path| bytes(path).div_ceil(1024).max(1)).sum()
}

fn pack(stamp: Stamp, how: &[&str], root: &Path, to: &Path) -> Result<PathBuf> {
    let tool = Tool::new("dpkg-deb").args(["--build", "--root-owner-group"]).args(how).arg(root).arg(to);
    stamp.told(tool).output()?;
    fs::metadata(to).doing(format_args!("find {}", to.display()))?;
    Ok(to.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tree_makes_one_package_whenever_it_is_packed() {
        let dir = tempfile::tempdir().unwrap();
        let control = "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n";
        let made = |name: &str, order: &[&str], when: &str| {
            let root = dir.path().join(name);
            layout::write(&root.join("DEBIAN/control"), control, 0o644).unwrap();
            for file in order {
                layout::write(&below(&root, Path::new(file)), file, 0o644).unwrap();
                layout::write_gzip(&below(&root, Path::new(file)), file).unwrap();
            }
            let all = Tool::new("find").arg(&root).args(["-exec", "touch", "--date", when, "{}", "+"]);
            all.run().unwrap();
            let stamp = Stamp::at(1_000_000_000);
            fs::read(pack(stamp, &["-Zxz"], &root, &dir.path().join(format!("{name}.deb"))).unwrap()).unwrap()
        };
        let first = made("one", &["/usr/a", "/usr/b"], "2024-01-01");
        assert!(first == made("two", &["/usr/b", "/usr/a"], "2025-12-31"), "they differ");
    }

    #[test]
    fn every_package_has_a_paragraph() {
        let all = crate::repo::Repo::find().unwrap().read("packaging/deb/control").unwrap();
        for package in Package::ALL {
            let text = paragraph(&all, package.name()).unwrap();
            for field in ["Package: ", "Version: ", "Architecture: ", "Section: ", "Depends: ", "Description: "] {
                assert_eq!(text.lines().filter(|line| line.starts_with(field)).count(), 1, "{field}in {text}");
            }
        }
        assert!(paragraph(&all, "other").is_err());
    }
}
