//! A tree of files as text, for data that must not change by a byte.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Everything below a directory: names, kinds, modes, owners, times, links, contents. Of the top itself nothing is told: its mode and owner
/// are what configuration asks for.
///
/// # Errors
/// What could not be read.
pub fn told(top: &Path) -> Result<String, String> {
    let mut out = String::new();
    walk(top, Path::new(""), &mut out).map_err(|(path, e)| format!("{}: {e}", path.display()))?;
    Ok(out)
}

fn walk(dir: &Path, name: &Path, out: &mut String) -> Result<(), (std::path::PathBuf, std::io::Error)> {
    let at = |e| (dir.to_path_buf(), e);
    let mut entries = fs::read_dir(dir).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(at)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), name.join(entry.file_name()));
        let at = |e| (path.clone(), e);
        let meta = path.symlink_metadata().map_err(at)?;
        let _ = write!(
            out,
            "{:?} {:o} {}:{} {}.{:09}",
            name,
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            meta.mtime_nsec()
        );
        if meta.is_symlink() {
            let _ = writeln!(out, " -> {:?}", fs::read_link(&path).map_err(at)?);
        } else if meta.is_file() {
            let _ =
                writeln!(out, " links {} {:?}", meta.nlink(), String::from_utf8_lossy(&fs::read(&path).map_err(at)?));
        } else {
            out.push('\n');
        }
        if meta.is_dir() {
            walk(&path, &name, out)?;
        }
    }
    Ok(())
}
