//! `cargo xtask php`: builds the PHP extension in `target/php-ext` against the C library of this build, and runs its own tests (phpt).

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Doing as _, Failure, Result};
use crate::repo::Repo;
use crate::setup;
use crate::tool::Tool;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Generate what PHP is told of the classes from the stub, and nothing else (needs Debian's php-parser)
    #[arg(long)]
    arginfo: bool,
}

/// Where the sources of the extension are.
const SOURCES: &str = "php-ext";

pub(crate) fn run(repo: &Repo, args: &Args) -> Result {
    if args.arginfo {
        return arginfo(repo);
    }
    setup::run(repo)?;
    build(repo)?;
    test(repo)
}

/// Where it is built: `sources` has the extension, `prefix` the library as it is when it is installed.
fn room(repo: &Repo) -> PathBuf {
    repo.target().join("php-ext")
}

/// Builds the library and the extension.
pub(crate) fn build(repo: &Repo) -> Result {
    repo.cargo(&["build", "--quiet", "--package", "datastore-ffi"]).run()?;
    let (prefix, sources) = (room(repo).join("prefix"), room(repo).join("sources"));
    put(&repo.path("include/datastore.h"), &prefix.join("include/datastore.h"))?;
    let library = repo.target().join("debug/libdatastore_ffi.so");
    for name in ["libdatastore.so", "libdatastore.so.0"] {
        let link = prefix.join("lib").join(name);
        fs::create_dir_all(prefix.join("lib")).doing(format_args!("make {}", prefix.display()))?;
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(&library, &link).doing(format_args!("link {}", link.display()))?;
    }
    let mut changed = false;
    for file in repo.files()?.iter().filter(|file| file.starts_with(SOURCES)) {
        let to = sources.join(file.strip_prefix(SOURCES).unwrap_or(file));
        changed |= put(&repo.path(file), &to)? && file.ends_with("config.m4");
    }
    let within = |program: &str| Tool::new(program).current_dir(&sources);
    if changed || !sources.join("Makefile").exists() {
        within("phpize").output()?;
        within("./configure").arg(format!("--with-datastore={}", prefix.display())).output()?;
    }
    // Files that are not there any more would be linked all the same, and the header is no dependency.
    within("make").args(["-s", "clean"]).output()?;
    within("make").arg("-s").env("CFLAGS", "-O2 -g -Werror").output().map(drop)
}

/// Runs the tests of the extension, in a mount namespace of their own.
pub(crate) fn test(repo: &Repo) -> Result {
    Tool::new("unshare")
        .args(["--mount", "--propagation", "private", "--", "make", "-s", "test"])
        .current_dir(&room(repo).join("sources"))
        .env("LD_LIBRARY_PATH", room(repo).join("prefix/lib"))
        .env("NO_INTERACTION", "1")
        .env("NO_COLOR", "1")
        .env("REPORT_EXIT_STATUS", "1")
        .env("TEST_PHP_ARGS", "-q --show-diff")
        .run()
}

/// Writes a file unless it is like that already; says whether it was written.
fn put(from: &Path, to: &Path) -> Result<bool> {
    let text = fs::read(from).doing(format_args!("read {}", from.display()))?;
    if fs::read(to).is_ok_and(|there| there == text) {
        return Ok(false);
    }
    fs::create_dir_all(to.parent().unwrap_or(to)).doing(format_args!("make the directory of {}", to.display()))?;
    fs::write(to, text).doing(format_args!("write {}", to.display()))?;
    Ok(true)
}

/// Runs PHP's own generator. It looks for its parser beside itself, and would fetch it from the network.
fn arginfo(repo: &Repo) -> Result {
    let api = Tool::new("php-config").arg("--phpapi").output()?;
    let generator = PathBuf::from(format!("/usr/lib/php/{}/build/gen_stub.php", api.trim()));
    let room = repo.target().join("gen-stub");
    let parser = room.join("PHP-Parser-4.15.1");
    fs::create_dir_all(&parser).doing(format_args!("make {}", parser.display()))?;
    put(&generator, &room.join("gen_stub.php"))?;
    if !Path::new("/usr/share/php/PhpParser").is_dir() {
        return Err(Failure::new("the generator needs PHP-Parser").hint("apt-get install php-parser"));
    }
    let _ = fs::remove_file(parser.join("lib"));
    std::os::unix::fs::symlink("/usr/share/php", parser.join("lib"))
        .doing(format_args!("link {}", parser.display()))?;
    let stub = repo.path(SOURCES).join("datastore.stub.php");
    Tool::new("php").arg(room.join("gen_stub.php")).arg("-f").arg(stub).run()
}
