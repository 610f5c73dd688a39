//! What `cargo xtask install` puts below a directory is found and works, as from a package.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use datastore_tests::documents::{same, steady};
use datastore_tests::{Run, Sandbox, binary, repository, scenes};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn installed() -> PathBuf {
    let dir = binary::installed();
    assert!(dir.join("usr/sbin/datastore").is_file(), "build it: cargo xtask install --destdir target/installed");
    dir
}

/// What a program prints that must end well.
fn output(program: impl AsRef<OsStr>, args: &[&str]) -> String {
    let output = Command::new(&program).args(args).output().expect("run a program");
    assert!(output.status.success(), "{:?}: {}", program.as_ref(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// Where libraries are: what `/usr/lib` is to Debian.
fn libraries() -> PathBuf {
    installed().join("usr/lib").join(output("cc", &["-print-multiarch"]))
}

fn pkg_config(args: &[&str], set: impl FnOnce(&mut Command) -> &mut Command) -> String {
    let mut command = Command::new("pkg-config");
    command.args(args).arg("datastore").env("PKG_CONFIG_PATH", libraries().join("pkgconfig"));
    let output = set(&mut command).output().expect("run pkg-config");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// The dynamic section of a program or library.
fn dynamic(path: &Path) -> String {
    output("readelf", &["--dynamic", "--wide", &path.display().to_string()])
}

#[test]
fn the_library_has_its_three_names_and_no_path_of_the_build() {
    let lib = libraries();
    let link = |name: &str| std::fs::read_link(lib.join(name)).expect("a link");
    assert_eq!(link("libdatastore.so"), Path::new("libdatastore.so.0"));
    assert_eq!(link("libdatastore.so.0"), PathBuf::from(format!("libdatastore.so.{VERSION}")));
    let library = lib.join(format!("libdatastore.so.{VERSION}"));
    assert!(dynamic(&library).contains("Library soname: [libdatastore.so.0]"));
    let extension = installed().join(output("php-config", &["--extension-dir"]).trim_start_matches('/'));
    let extension = extension.join("datastore.so");
    assert!(dynamic(&extension).contains("Shared library: [libdatastore.so.0]"));
    let command = installed().join("usr/sbin/datastore");
    for (file, mode) in [(&library, 0o644), (&extension, 0o644), (&command, 0o755)] {
        assert!(!dynamic(file).contains("RUNPATH"), "{}", file.display());
        assert_eq!(file.metadata().expect("a file").permissions().mode() & 0o7777, mode, "{}", file.display());
    }
    assert_eq!(output(&command, &["--version"]), format!("datastore {VERSION}"));
}

#[test]
fn pkg_config_tells_where_it_is_wherever_that_is() {
    assert_eq!(pkg_config(&["--modversion"], |command| command), VERSION);
    // In its place it needs no path at all: the compiler knows /usr.
    assert_eq!(pkg_config(&["--cflags", "--libs"], |command| command), "-ldatastore");
    let moved = pkg_config(&["--cflags", "--libs", "--define-variable=prefix=/opt/x"], |command| command);
    let lib = libraries().strip_prefix(installed().join("usr")).expect("below the prefix").display().to_string();
    assert_eq!(moved, format!("-I/opt/x/include -L/opt/x/{lib} -ldatastore"));
}

/// Builds a C program against what is installed, with what pkg-config says.
fn compile(source: &str, to: &Path) {
    let flags = pkg_config(&["--cflags", "--libs"], |command| {
        command.env("PKG_CONFIG_SYSROOT_DIR", installed());
        command.env("PKG_CONFIG_ALLOW_SYSTEM_CFLAGS", "1").env("PKG_CONFIG_ALLOW_SYSTEM_LIBS", "1")
    });
    let mut cc = Command::new("cc");
    cc.args(["-std=c99", "-Wall", "-Wextra", "-Werror"]).arg(repository(source));
    let built = cc.args(flags.split_whitespace()).arg("-o").arg(to).output().expect("run cc");
    assert!(built.status.success(), "{flags}: {}", String::from_utf8_lossy(&built.stderr));
}

#[test]
fn a_c_program_is_built_by_pkg_config_and_runs() {
    let sandbox = Sandbox::in_memory();
    scenes::applied(&sandbox);
    let dir = tempfile::tempdir().expect("a directory");
    compile("examples/c/status.c", &dir.path().join("status"));
    compile("tests/c/parity.c", &dir.path().join("parity"));
    let mut command = sandbox.command(dir.path().join("parity"));
    command.arg(sandbox.root()).env("LD_LIBRARY_PATH", libraries());
    let here = Run::with_input(&mut command, sandbox.root(), b"status\n").ok().json();
    let mut command = sandbox.command(installed().join("usr/sbin/datastore"));
    let there = sandbox.run(command.arg("--root").arg(sandbox.root()).args(["status", "--json"])).ok().json();
    same(&steady(&here["told"]), &steady(&there), "status");
}

#[test]
fn php_loads_the_extension_by_its_file() {
    let sandbox = Sandbox::in_memory();
    scenes::applied(&sandbox);
    let extensions = installed().join(output("php-config", &["--extension-dir"]).trim_start_matches('/'));
    let available = installed().join("etc/php/8.2/mods-available");
    let mut php = sandbox.command("php");
    // Nothing of this machine's own, and what phpenmod would link.
    php.args(["-c", "/nowhere", "-d"]).arg(format!("extension_dir={}", extensions.display()));
    let script = "echo json_encode((new Datastore\\Store($argv[1]))->status('web')), phpversion('datastore');";
    php.args(["-r", script, "--"]).arg(sandbox.root());
    php.env("PHP_INI_SCAN_DIR", available).env("LD_LIBRARY_PATH", libraries());
    let told = sandbox.run(php).ok();
    assert!(told.stdout.ends_with(VERSION) && told.stdout.contains("\"state\":\"active\""), "{}", told.stdout);
}

#[test]
fn the_manual_and_the_completions_are_where_they_are_looked_for() {
    let share = installed().join("usr/share");
    for page in ["datastore(8)", "datastore.conf(5)", "datastore.d(5)", "datastore-configlet(7)"] {
        let found = output("man", &["--manpath", &share.join("man").display().to_string(), "--where", page]);
        assert!(found.starts_with(&share.display().to_string()), "{page}: {found}");
    }
    for file in [
        "bash-completion/completions/datastore",
        "zsh/vendor-completions/_datastore",
        "fish/vendor_completions.d/datastore.fish",
    ] {
        assert!(share.join(file).is_file(), "{file}");
    }
}
