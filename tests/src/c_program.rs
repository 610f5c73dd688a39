//! The C programs of `tests/c`, built against the library of this build.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Sandbox, binary, repository};

/// How a program is built.
#[derive(Debug, Clone, Copy)]
pub enum Built {
    /// As anybody would.
    Plain,
    /// With the address sanitizer, which also finds what is not freed.
    Sanitized,
}

/// A C program, with the library beside it under the name that it has when it is installed.
#[derive(Debug)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    dir: tempfile::TempDir,
}

/// Builds `tests/c/NAME.c`. A function is looked up when it is called first, so that the loader can tell which ones were.
///
/// # Panics
/// If the compiler has anything to say.
#[must_use]
pub fn build(name: &str, how: Built) -> Program {
    let dir = tempfile::tempdir().expect("a directory");
    let (library, path) = (binary::c_library(), dir.path().join(name));
    let mut cc = Command::new("cc");
    cc.args(["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-g", "-pthread", "-Wl,-z,lazy"]);
    if matches!(how, Built::Sanitized) {
        cc.args(["-fsanitize=address", "-fno-omit-frame-pointer"]);
    }
    cc.arg(format!("-I{}", repository("include").display())).arg("-o").arg(&path);
    cc.arg(repository(&format!("tests/c/{name}.c"))).arg(&library);
    let built = cc.output().expect("run cc");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    std::os::unix::fs::symlink(&library, dir.path().join("libdatastore.so.0")).expect("a link");
    Program { path, dir }
}

impl Program {
    /// The program in a sandbox: its first argument is the root.
    #[must_use]
    pub fn command(&self, sandbox: &Sandbox, args: &[&str]) -> Command {
        let mut command = sandbox.command(&self.path);
        command.arg(sandbox.root()).args(args).env("LD_LIBRARY_PATH", self.library());
        command
    }

    /// The same under valgrind, which finds what is used after it was freed, and what is not freed.
    #[must_use]
    pub fn valgrind(&self, sandbox: &Sandbox, args: &[&str]) -> Command {
        let plain = self.command(sandbox, args);
        let mut command = sandbox.command("valgrind");
        command.args(["-q", "--error-exitcode=98", "--leak-check=full", "--show-leak-kinds=definite"]);
        command.arg(format!("--suppressions={}", repository("tests/c/valgrind.supp").display()));
        command.args(["--errors-for-leak-kinds=definite"]).arg(&self.path).args(plain.get_args());
        command.env("LD_LIBRARY_PATH", self.library());
        command
    }

    /// Where the library is.
    #[must_use]
    pub fn library(&self) -> &Path {
        self.dir.path()
    }
}
