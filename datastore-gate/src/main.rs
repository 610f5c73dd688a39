//! `datastore-webconfig`: the one command that sudo(8) lets the user of the web pages run as root.
//!
//! It takes the command lines of [`mod@line`], each word by word, and runs the `datastore` beside itself with exactly these words. Anything else
//! is refused with exit code 2, and nothing is run. It reads no file, no variable and no input: whoever wants to know what a web page
//! can do on this machine has to read this file and that one.

mod line;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// The whole environment of what is run.
const ENVIRONMENT: [(&str, &str); 2] = [("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LANG", "C.UTF-8")];

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    // Once all is well, this process is `datastore`.
    let why = line::check(&words).and_then(|()| run(&words));
    tell(&format!("datastore-webconfig: {}\n", why.unwrap_or_else(|why| why)));
    ExitCode::from(2)
}

/// Becomes the `datastore` beside this program. Comes back only with what went wrong.
fn run(words: &[OsString]) -> Result<String, String> {
    let program = beside()?;
    close_others()?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let error =
        Command::new(&program).args(words).env_clear().envs(ENVIRONMENT).current_dir("/").arg0("datastore").exec();
    Err(format!("{} cannot be run: {error}; nothing has been done", program.display()))
}

/// `datastore` in the directory of this very program, whatever the path by which it was called.
fn beside() -> Result<PathBuf, String> {
    let itself = std::fs::read_link("/proc/self/exe")
        .map_err(|error| format!("/proc/self/exe cannot be read: {error}; nothing has been done"))?;
    Ok(itself.with_file_name(OsStr::new("datastore")))
}

/// Closes every descriptor but input, output and errors.
fn close_others() -> Result<(), String> {
    let told = |error: std::io::Error| format!("/proc/self/fd cannot be read: {error}; nothing has been done");
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd").map_err(told)? {
        open.extend(entry.map_err(told)?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    for number in open.into_iter().filter(|number| *number > 2) {
        // The one that was read from is closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

fn tell(text: &str) {
    // There is nobody to tell if that fails.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
