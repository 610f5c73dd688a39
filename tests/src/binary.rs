//! The programs under test, which cargo puts beside the test executables.

use std::path::{Path, PathBuf};

/// The `datastore` command of this build: `target/<profile>/datastore`.
///
/// # Panics
/// If it is not there. The message has the command that builds it.
#[must_use]
pub fn datastore() -> PathBuf {
    expect(&profile_dir(), "datastore", "datastore-cli")
}

/// The `datastore-webconfig` command of this build.
///
/// # Panics
/// If it is not there. The message has the command that builds it.
#[must_use]
pub fn gate() -> PathBuf {
    expect(&profile_dir(), "datastore-webconfig", "datastore-gate")
}

/// The `datastore-generator` of this build.
///
/// # Panics
/// If it is not there. The message has the command that builds it.
#[must_use]
pub fn generator() -> PathBuf {
    expect(&profile_dir(), "datastore-generator", "datastore-generator")
}

/// The `nosys` helper of this build (`tests/src/bin/nosys.rs`).
///
/// # Panics
/// If it is not there. The message has the command that builds it.
#[must_use]
pub fn nosys() -> PathBuf {
    expect(&profile_dir(), "nosys", "datastore-tests")
}

/// The `services` helper of this build (`tests/src/bin/services.rs`).
///
/// # Panics
/// If it is not there. The message has the command that builds it.
#[must_use]
pub fn services() -> PathBuf {
    expect(&profile_dir(), "services", "datastore-tests")
}

/// The program of this build that asks the engine (`tests/src/bin/parity.rs`).
///
/// # Panics
/// If it is not there. The message has the command that builds it.
#[must_use]
pub fn parity() -> PathBuf {
    expect(&profile_dir(), "parity", "datastore-tests")
}

/// The C library of this build.
///
/// # Panics
/// If it is not there. The message has the command that builds it.
#[must_use]
pub fn c_library() -> PathBuf {
    expect(&profile_dir(), "libdatastore_ffi.so", "datastore-ffi")
}

/// The PHP extension, and the directory of the C library under the name that it has when it is installed: `cargo xtask php` builds both.
///
/// # Panics
/// If it is not there. The message has the command that builds it.
#[must_use]
pub fn php_extension() -> (PathBuf, PathBuf) {
    let room = target("php-ext");
    let extension = room.join("sources/modules/datastore.so");
    assert!(extension.is_file(), "{} is not there; build it: cargo xtask php", extension.display());
    (extension, room.join("prefix/lib"))
}

/// What `cargo xtask install` has put below a directory of the build, for tests.
///
/// # Panics
/// If the build has no such place.
#[must_use]
pub fn installed() -> PathBuf {
    target("installed")
}

/// A package of this build, by its name and kind: `deb` or `rpm`.
///
/// # Panics
/// If it is not there, or if there are several. The message has the command that makes it.
#[must_use]
pub fn package(name: &str, kind: &str) -> PathBuf {
    let dir = target("packages-for-tests");
    let files = std::fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let between = if kind == "deb" { '_' } else { '-' };
    let is_it = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let version = file.strip_prefix(name).and_then(|rest| rest.strip_prefix(between));
        path.extension().is_some_and(|e| e == kind)
            && version.is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()))
    };
    let mut found: Vec<PathBuf> = files.filter(is_it).collect();
    let one = found.pop().filter(|_| found.is_empty());
    let place = dir.display();
    one.unwrap_or_else(|| panic!("{name} is not in {place} as a .{kind}; make it: cargo xtask package --for-tests"))
}

/// A path of the directory that everything is built in.
///
/// # Panics
/// If this program does not lie in one.
#[must_use]
pub fn target(path: &str) -> PathBuf {
    profile_dir().parent().expect("a profile lies in a directory").join(path)
}

/// A program of `examples/` of this build.
///
/// # Panics
/// If it is not there. The message has the command that builds it.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    expect(&profile_dir().join("examples"), name, "datastore-examples --examples")
}

/// `target/<profile>`: the test executables lie in `deps` below it.
pub(crate) fn profile_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("the path of the test executable");
    let dir = exe.parent().expect("an executable lies in a directory");
    if dir.ends_with("deps") {
        dir.parent().expect("deps lies in a directory").to_path_buf()
    } else {
        dir.to_path_buf()
    }
}

fn expect(dir: &Path, name: &str, package: &str) -> PathBuf {
    find(dir, name, package).unwrap_or_else(|message| panic!("{message}"))
}

/// The program in this directory, or a message with the command that builds it.
fn find(dir: &Path, name: &str, package: &str) -> Result<PathBuf, String> {
    let path = dir.join(name);
    if path.is_file() {
        return Ok(path);
    }
    let release = if dir.ends_with("release") { " --release" } else { "" };
    Err(format!(
        "{} is not there; build it with `cargo build{release} --package {package}` (`cargo xtask test` does)",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_the_command_that_builds_it() {
        let dir = tempfile::tempdir().unwrap();
        let message = find(&dir.path().join("release"), "datastore", "datastore-cli").unwrap_err();
        assert!(message.contains("release/datastore is not there"), "{message}");
        assert!(message.contains("`cargo build --release --package datastore-cli`"), "{message}");
        std::fs::write(dir.path().join("datastore"), "").unwrap();
        assert_eq!(find(dir.path(), "datastore", "datastore-cli").unwrap(), dir.path().join("datastore"));
    }
}
