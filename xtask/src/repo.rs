//! Where the repository and its build lie, and which files belong to it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Doing as _, Failure, Result};
use crate::older::Older;
use crate::tool::Tool;

/// How programs are built.
#[derive(Debug, Clone)]
pub(crate) enum Build {
    /// For tests.
    Debug,
    /// As it is shipped.
    Release,
    /// As it is shipped, for systems with an older C library than that of this machine.
    Older(Older),
}

impl Build {
    /// Where cargo puts them, below its build directory.
    fn directory(&self) -> String {
        match self {
            Self::Debug => "debug".into(),
            Self::Release => "release".into(),
            Self::Older(older) => format!("{}/release", older.target()),
        }
    }
}

/// The repository from which xtask was built.
pub(crate) struct Repo {
    root: PathBuf,
    target: PathBuf,
}

impl Repo {
    /// Cargo tells where this package lies; the repository is the directory above.
    pub(crate) fn find() -> Result<Self> {
        let package =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let root = package.parent().map(Path::to_path_buf).filter(|root| root.join("Cargo.lock").is_file());
        let root = root.ok_or_else(|| {
            Failure::new(format!("{} is not in the repository", package.display())).hint("run it as `cargo xtask`")
        })?;
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
        Ok(Self { root, target })
    }

    /// The directory that holds the workspace.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's build directory, also for tools and scratch of ours.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// A path in the repository.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// The text of a file of the repository.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> Result<String> {
        let path = path.as_ref();
        fs::read_to_string(self.path(path)).doing(format_args!("read {}", path.display()))
    }

    /// Every file that is committed, or would be by `git add --all`, that exists; sorted.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        // In a container the checkout often belongs to another user; reading the list of files is harmless.
        let list = Tool::new("git")
            .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.root)
            .output()
            .map_err(|e| e.context("list the files of the repository"))?;
        let mut files: Vec<PathBuf> = list.split('\0').filter(|f| !f.is_empty()).map(PathBuf::from).collect();
        files.retain(|file| self.path(file).is_file());
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// A cargo command in the repository, with the cargo that runs us.
    pub(crate) fn cargo(&self, args: &[&str]) -> Tool {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Tool::new(cargo).called("cargo").args(args).current_dir(&self.root)
    }

    /// Builds the `datastore` command and says where it is.
    pub(crate) fn build_cli(&self, build: &Build) -> Result<PathBuf> {
        self.build("datastore-cli", "datastore", build)
    }

    /// Builds the one command that sudo lets web pages run, and says where it is.
    pub(crate) fn build_gate(&self, build: &Build) -> Result<PathBuf> {
        self.build("datastore-gate", "datastore-webconfig", build)
    }

    /// Builds what tells systemd of the apps, and says where it is.
    pub(crate) fn build_generator(&self, build: &Build) -> Result<PathBuf> {
        self.build("datastore-generator", "datastore-generator", build)
    }

    /// Builds the C library and says where it is.
    pub(crate) fn build_library(&self, build: &Build) -> Result<PathBuf> {
        self.build("datastore-ffi", "libdatastore_ffi.so", build)
    }

    fn build(&self, package: &str, file: &str, build: &Build) -> Result<PathBuf> {
        let tool = match build {
            Build::Debug => self.cargo(&["build", "--quiet", "--package", package]),
            Build::Release => self.cargo(&["build", "--quiet", "--release", "--package", package]),
            Build::Older(older) => older.cargo(self, package)?,
        };
        tool.run()?;
        Ok(self.target.join(build.directory()).join(file))
    }
}
