//! Paths that somebody typed, turned into paths below the root.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use datastore_core::{AbsPath, Error, ErrorKind, Result};

/// The path below the root that a device, image or directory on the command line means.
///
/// A relative path counts from `cwd`. What lies inside the root becomes the path below it; what lies under `/dev` is
/// taken as it is; any other absolute path is understood as one below the root already, because an image build that says
/// `/disk.img` means the one in the image. `root` is absolute, with its links resolved.
///
/// # Errors
/// [`ErrorKind::Usage`] for a relative path that leads out of the root, and for what is no path at all.
pub(crate) fn below_root(root: &Path, cwd: &Path, typed: &Path) -> Result<AbsPath> {
    let wrong = |why: String| Error::new(ErrorKind::Usage, format!("`{}` cannot be used: {why}", typed.display()));
    let whole = cwd.join(typed);
    let parse = |path: &Path| AbsPath::parse(path.as_os_str().as_bytes()).map_err(|why| wrong(why.to_string()));
    let whole: PathBuf = whole.components().filter(|c| !matches!(c, Component::CurDir)).collect();
    if let Ok(inside) = whole.strip_prefix(root) {
        return parse(&Path::new("/").join(inside));
    }
    if whole.starts_with("/dev") || typed.is_absolute() {
        return parse(&whole);
    }
    Err(wrong(format!("it lies outside of the root `{}`", root.display()))
        .hint("give the path as it is below the root, beginning with `/`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_path_means() {
        for (root, cwd, typed, meant) in [
            ("/", "/home/me", "/dev/sdb", Some("/dev/sdb")),
            ("/", "/home/me", "disk.img", Some("/home/me/disk.img")),
            ("/", "/home/me", "./disk.img", Some("/home/me/disk.img")),
            ("/", "/", "x", Some("/x")),
            ("/mnt", "/home/me", "/mnt/disk.img", Some("/disk.img")),
            ("/mnt", "/mnt/srv", "disk.img", Some("/srv/disk.img")),
            ("/mnt", "/home/me", "/disk.img", Some("/disk.img")),
            ("/mnt", "/home/me", "/mnt2/disk.img", Some("/mnt2/disk.img")),
            ("/mnt", "/home/me", "/dev/loop3", Some("/dev/loop3")),
            ("/mnt", "/dev", "loop3", Some("/dev/loop3")),
            ("/mnt", "/home/me", "disk.img", None),
            ("/", "/home/me", "../disk.img", None),
            ("/", "/", "", Some("/")),
        ] {
            let got = below_root(Path::new(root), Path::new(cwd), Path::new(typed));
            assert_eq!(got.as_ref().ok().and_then(AbsPath::to_str), meant, "{root} {cwd} {typed}: {got:?}");
        }
    }
}
