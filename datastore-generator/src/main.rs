//! `datastore-generator`: tells systemd, whenever that reads its units, which services must not start on the wrong data (systemd.generator(7)).
//!
//! systemd runs it very early, and waits for it: it reads the configuration and fstab, writes small files into the directory that it is given,
//! and does nothing else. What it writes is `datastore_core::unit`'s business. An administrator may run it by hand, to see that:
//! `datastore-generator [--root DIR] DIRECTORY`.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use datastore_exec::{Root, units};

const USAGE: &str = "usage: datastore-generator [--root DIR] DIRECTORY [EARLY LATE]";

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let (root, rest) = match &words[..] {
        [option, root, rest @ ..] if option == "--root" => (Path::new(root), rest),
        rest => (Path::new("/"), rest),
    };
    // The other two are for what comes before or after everything else.
    let into = match rest {
        [into] | [into, _, _] => Path::new(into),
        _ => return fail(USAGE, ExitCode::from(2)),
    };
    match Root::open(root).and_then(|root| units::generate(&root, into)) {
        Ok(()) => ExitCode::SUCCESS,
        // systemd takes it to the kernel's log, and goes on.
        Err(error) => fail(&format!("datastore-generator: {}", error.chain()), ExitCode::FAILURE),
    }
}

fn fail(text: &str, code: ExitCode) -> ExitCode {
    // There is nobody to tell if that fails.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
    code
}
