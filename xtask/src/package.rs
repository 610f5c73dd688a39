//! `cargo xtask package`: packages for Debian and for systems with rpm, in `target/packages`.
//!
//! What `cargo xtask install` puts below a directory is laid out for each kind of package ([`layout`]), and packed ([`deb`], [`rpm`]). Two runs
//! over one commit make the same bytes.

mod deb;
mod depends;
mod documents;
mod layout;
mod lint;
mod rpm;
mod stamp;
mod template;

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Doing as _, Result};
use crate::install;
use crate::older::Older;
use crate::repo::{Build, Repo};
use crate::setup;
use stamp::Stamp;

pub(crate) use crate::install::{Package, Placed, VERSION};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// For systems with this version of the C library or a later one: 2.17 for CentOS 7
    #[arg(long, value_name = "VERSION")]
    glibc: Option<String>,
    /// Of the build that the tests have, and packed in a hurry
    #[arg(long, hide = true, conflicts_with = "glibc")]
    for_tests: bool,
}

impl Args {
    /// What `tests/tests/packages` installs.
    pub(crate) fn for_tests() -> Self {
        Self { glibc: None, for_tests: true }
    }
}

/// How often a distribution would have packed this version.
const REVISION: &str = "1";

/// What all packages of one run have in common.
struct Job<'a> {
    repo: &'a Repo,
    stamp: Stamp,
    /// Where everything was installed.
    installed: PathBuf,
    placed: Vec<Placed>,
    /// Where packages are laid out.
    room: PathBuf,
    /// Where they go.
    out: PathBuf,
    /// The version of PHP that its extension is for.
    php: String,
    older: Option<Older>,
    in_a_hurry: bool,
}

impl Job<'_> {
    /// The packages that there is something for, and that could be installed.
    fn packages(&self) -> impl Iterator<Item = Package> {
        let there = |package: Package| self.placed.iter().any(|placed| placed.package == package);
        Package::ALL.into_iter().filter(move |package| match package {
            // The page asks through the extension.
            Package::Web => there(Package::Php),
            package => there(*package),
        })
    }

    /// What stands for `@name@` in a template.
    fn values(&self) -> Vec<(&'static str, String)> {
        vec![
            ("version", VERSION.to_owned()),
            ("revision", REVISION.to_owned()),
            ("description", env!("CARGO_PKG_DESCRIPTION").to_owned()),
            ("php", self.php.clone()),
            ("phpapi", self.phpapi().to_owned()),
        ]
    }

    /// The number by which PHP tells extensions that fit: Debian has them in a directory of that name.
    fn phpapi(&self) -> &str {
        let is_extension = |placed: &&Placed| placed.package == Package::Php && placed.path.ends_with("datastore.so");
        let directory = self.placed.iter().find(is_extension).and_then(|placed| placed.path.parent());
        directory.and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default()
    }
}

/// Builds, packs, looks through what came of it, and says what there is.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result {
    if !args.for_tests {
        setup::run(repo)?;
    }
    let older = args.glibc.as_ref().map(|glibc| Older::new(repo, glibc)).transpose()?;
    let name = match (&older, args.for_tests) {
        (Some(older), _) => format!("packages/glibc-{}", older.version()),
        (None, true) => "packages-for-tests".into(),
        (None, false) => "packages".into(),
    };
    let out = repo.target().join(name);
    let room = repo.target().join("package").join(out.file_name().unwrap_or_default());
    clear(&out)?;
    let _ = fs::remove_dir_all(&room);
    let installing = if args.for_tests {
        install::Args::for_tests(repo)
    } else {
        install::Args::for_packages(room.join("installed"), older.clone().map(Build::Older))
    };
    let placed = install::run(repo, &installing)?;
    let php = crate::php::version()?;
    let stamp = Stamp::of(repo)?;
    let installed = installing.destdir;
    let job = Job { repo, stamp, installed, placed, room, out, php, older, in_a_hurry: args.for_tests };
    let mut made = deb::build(&job)?;
    made.extend(rpm::build(&job)?);
    lint::look(repo, &made)?;
    print!("{}", table(&made)?);
    println!("they are in {}", job.out.display());
    Ok(())
}

/// Takes away the packages of an earlier run. Those for an older system lie in a directory of their own beside the others, and stay.
fn clear(dir: &Path) -> Result {
    fs::create_dir_all(dir).doing(format_args!("make {}", dir.display()))?;
    for entry in fs::read_dir(dir).doing(format_args!("read {}", dir.display()))?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|e| e == "deb" || e == "rpm") {
            fs::remove_file(&path).doing(format_args!("remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// One line for each package, with its size.
fn table(made: &[PathBuf]) -> Result<String> {
    let mut lines = String::from("\nPACKAGE                                        SIZE\n");
    for path in made {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let bytes = fs::metadata(path).doing(format_args!("look at {}", path.display()))?.len();
        lines.push_str(&format!("{name:<40} {:>6} KiB\n", bytes.div_ceil(1024)));
    }
    Ok(lines)
}
