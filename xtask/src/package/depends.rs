//! What programs and libraries need of the system, as dpkg-shlibdeps finds it.

use std::fs;
use std::path::{Path, PathBuf};

use super::layout::below;
use super::{Job, VERSION};
use crate::failure::{Doing as _, Result};
use crate::tool::Tool;

/// The packages in which the libraries are that these paths of a package need: `libc6 (>= 2.34), libgcc-s1 (>= 4.2)`. Empty if there are none.
pub(super) fn libraries(job: &Job, root: &Path, paths: &[PathBuf]) -> Result<String> {
    let programs: Vec<PathBuf> = paths.iter().map(|path| below(root, path)).filter(|path| is_elf(path)).collect();
    if programs.is_empty() {
        return Ok(String::new());
    }
    // It wants to be among the sources of a Debian package, and is told there of the library that is not installed on this machine.
    let sources = job.room.join("depends");
    let debian = sources.join("debian");
    fs::create_dir_all(&debian).doing(format_args!("make {}", debian.display()))?;
    let files = [
        ("control", "Source: datastore\n\nPackage: datastore\nArchitecture: any\n".to_owned()),
        ("shlibs.local", format!("libdatastore 0 libdatastore0 (>= {VERSION})\n")),
    ];
    for (name, text) in files {
        fs::write(debian.join(name), text).doing(format_args!("write {}", debian.join(name).display()))?;
    }
    let ours = job.placed.iter().find(|placed| placed.path.ends_with("libdatastore.so.0"));
    let ours = ours.and_then(|placed| placed.path.parent()).unwrap_or(Path::new("/usr/lib"));
    let mut tool = Tool::new("dpkg-shlibdeps").arg("-O").arg("--warnings=0").current_dir(&sources);
    tool = tool.arg(format!("-l{}", below(&job.installed, ours).display()));
    let said = tool.args(programs.iter().map(|program| format!("-e{}", program.display()))).output()?;
    let found = said.lines().find_map(|line| line.strip_prefix("shlibs:Depends=")).unwrap_or_default().trim();
    Ok(job.older.as_ref().map_or_else(|| found.to_owned(), |older| for_older(found, older.version())))
}

/// The same for an older C library. dpkg-shlibdeps goes by the libraries of this machine, where what were libraries beside it are part of it since
/// 2.34; what the programs really want has been looked at already.
fn for_older(found: &str, glibc: &str) -> String {
    let one = |package: &str| match package.split_once(' ') {
        Some(("libc6", _)) => format!("libc6 (>= {glibc})"),
        _ => package.to_owned(),
    };
    found.split(", ").map(one).collect::<Vec<_>>().join(", ")
}

fn is_elf(path: &Path) -> bool {
    // A link is read where it leads to.
    path.symlink_metadata().is_ok_and(|meta| meta.is_file())
        && fs::read(path).is_ok_and(|content| content.starts_with(b"\x7fELF"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_c_library_is_enough_where_it_was_asked_for() {
        assert_eq!(for_older("libc6 (>= 2.34), libgcc-s1 (>= 4.2)", "2.17"), "libc6 (>= 2.17), libgcc-s1 (>= 4.2)");
    }
}
