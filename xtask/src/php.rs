//! `cargo xtask php`: builds the PHP extension in `target/php-ext` against the C library of this build, and runs its own tests (phpt).

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Doing as _, Failure, Result};
use crate::repo::{Build, Repo};
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

/// The version of PHP that it is built for: 8.2.
pub(crate) fn version() -> Result<String> {
    let whole = Tool::new("php-config").arg("--version").output()?;
    Ok(whole.trim().split('.').take(2).collect::<Vec<_>>().join("."))
}

/// Where it is built: `sources` has the extension, `prefix` the library as it is when it is installed.
fn room(repo: &Repo) -> PathBuf {
    repo.target().join("php-ext")
}

/// Builds the library and the extension.
pub(crate) fn build(repo: &Repo) -> Result {
    let library = repo.build_library(&Build::Debug)?;
    let (prefix, sources) = (room(repo).join("prefix"), room(repo).join("sources"));
    put(&repo.path("include/datastore.h"), &prefix.join("include/datastore.h"))?;
    for name in ["libdatastore.so", "libdatastore.so.0"] {
        let link = prefix.join("lib").join(name);
        fs::create_dir_all(prefix.join("lib")).doing(format_args!("make {}", prefix.display()))?;
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(&library, &link).doing(format_args!("link {}", link.display()))?;
    }
    make(repo, &sources, |configure| configure.arg(format!("--with-datastore={}", prefix.display())))
}

/// Builds the extension against the library that is installed below a directory, which is found as anybody would: by pkg-config. Says where the
/// extension is.
pub(crate) fn build_installed(repo: &Repo, destdir: &Path, pkgconfig: &Path, stripped: bool) -> Result<PathBuf> {
    let sources = repo.target().join("php-ext-installed");
    // Which library it was made for stands in its Makefile.
    let _ = fs::remove_file(sources.join("Makefile"));
    make(repo, &sources, |configure| {
        let found = configure.arg("--with-datastore").env("PKG_CONFIG_PATH", pkgconfig);
        // Else what lies in /usr would be taken for known to the compiler.
        let found = found.env("PKG_CONFIG_ALLOW_SYSTEM_CFLAGS", "1").env("PKG_CONFIG_ALLOW_SYSTEM_LIBS", "1");
        // And where it lies now is not where it will be.
        found.env("PKG_CONFIG_SYSROOT_DIR", destdir).env("PHP_RPATH", "no")
    })?;
    let extension = sources.join("modules/datastore.so");
    if stripped {
        Tool::new("strip").arg("--strip-unneeded").arg(&extension).run()?;
    }
    Ok(extension)
}

/// Builds the extension in a directory.
fn make(repo: &Repo, sources: &Path, how: impl FnOnce(Tool) -> Tool) -> Result {
    let mut changed = false;
    for file in repo.files()?.iter().filter(|file| file.starts_with(SOURCES)) {
        let to = sources.join(file.strip_prefix(SOURCES).unwrap_or(file));
        changed |= put(&repo.path(file), &to)? && file.ends_with("config.m4");
    }
    let within = |program: &str| Tool::new(program).current_dir(sources);
    if changed || !sources.join("Makefile").exists() {
        within("phpize").output()?;
        how(within("./configure")).output()?;
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

/// Every file of the web page can be read by PHP.
pub(crate) fn lint(repo: &Repo) -> Result {
    let is_page = |file: &&PathBuf| file.starts_with("webconfig") && file.extension().is_some_and(|e| e == "php");
    for file in repo.files()?.iter().filter(is_page) {
        Tool::new("php").args(["-n", "-l"]).arg(repo.path(file)).output()?;
    }
    Ok(())
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
