//! The kernel's mount table, read by the tests' own few lines: they must not share an error with the product's parser.

use std::path::{Path, PathBuf};

/// One line of mountinfo (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Number of the mount; a newer one may get the number of one that is gone.
    pub id: u64,
    /// The mount on which it stands.
    pub parent: u64,
    /// Which directory of its file system is visible at the mount point.
    pub root: PathBuf,
    /// Where it stands.
    pub mount_point: PathBuf,
    /// Options of the mount itself, such as `rw,nosuid,nodev,relatime`.
    pub options: String,
    /// Such as `ext4`.
    pub fs_type: String,
    /// What was mounted, such as `/dev/loop0`.
    pub source: String,
}

impl Mount {
    /// Whether the mount has this option, `nosuid` for example.
    #[must_use]
    pub fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|o| o == option)
    }
}

/// Every mount of the calling thread's namespace, in the kernel's order. (`/proc/self` would be that of the first
/// thread, which may live in another.)
///
/// # Panics
/// If /proc cannot be read.
#[must_use]
pub fn all() -> Vec<Mount> {
    parse(&text("thread-self"))
}

/// The mountinfo of a process, `self`, or `thread-self`, as it stands.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn text(process: &str) -> String {
    let path = format!("/proc/{process}/mountinfo");
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("read {path}: {e}"));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The mounts at `root` or below it.
#[must_use]
pub fn below(mounts: &[Mount], root: &Path) -> Vec<Mount> {
    mounts.iter().filter(|m| m.mount_point.starts_with(root)).cloned().collect()
}

/// Reads a table.
///
/// # Panics
/// If a line has not the form that proc_pid_mountinfo(5) gives.
#[must_use]
pub fn parse(text: &str) -> Vec<Mount> {
    text.lines().map(|line| parse_line(line).unwrap_or_else(|| panic!("not a line of mountinfo: {line:?}"))).collect()
}

fn parse_line(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let right: Vec<&str> = right.split(' ').collect();
    Some(Mount {
        id: left.first()?.parse().ok()?,
        parent: left.get(1)?.parse().ok()?,
        root: PathBuf::from(unescape(left.get(3)?)),
        mount_point: PathBuf::from(unescape(left.get(4)?)),
        options: (*left.get(5)?).to_owned(),
        fs_type: unescape(right.first()?),
        source: unescape(right.get(1)?),
    })
}

/// Undoes the kernel's `\040` for space, tab, newline, backslash and `#`.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(code) = code {
            out.push(char::from(code));
            rest = &rest[at + 4..];
        } else {
            out.push('\\');
            rest = &rest[at + 1..];
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line_with_optional_fields_and_escapes() {
        let line =
            r"36 35 98:0 /mnt\0401 /mnt/a\134b rw,noatime master:1 shared:7 - ext3 /dev/root\011 rw,errors=continue";
        let mount = &parse(line)[0];
        assert_eq!((mount.id, mount.parent), (36, 35));
        assert_eq!(mount.root, Path::new("/mnt 1"));
        assert_eq!(mount.mount_point, Path::new("/mnt/a\\b"));
        assert_eq!((mount.fs_type.as_str(), mount.source.as_str()), ("ext3", "/dev/root\t"));
        assert!(mount.has("noatime") && !mount.has("atime"));
    }

    #[test]
    fn below_is_by_component() {
        let line = "1 0 0:1 / /a/bc rw - tmpfs t rw";
        assert!(below(&parse(line), Path::new("/a/b")).is_empty());
        assert_eq!(below(&parse(line), Path::new("/a/bc")).len(), 1);
    }
}
