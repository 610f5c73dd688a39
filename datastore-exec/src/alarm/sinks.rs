//! The ways in which an alarm leaves the machine: syslog, a command, a mail, ClearOS's events.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use datastore_core::alarm::{Alarm, Occasion, Sinks, body, line, subject, token};
use datastore_core::path::printable;
use datastore_core::{AbsPath, Error, ErrorKind, Result};

use super::Delivery;
use crate::root::{Root, if_there};
use crate::site::program::{self, Limits};

/// The socket of the local syslog daemon (syslog(3)).
const SOCKET: &str = "/dev/log";
/// `LOG_DAEMON` (syslog(3)), shifted as in a message's priority.
const DAEMON: u8 = 3 << 3;
/// `LOG_ALERT`: "action must be taken immediately".
const ALERT: u8 = 1;
/// `LOG_NOTICE`.
const NOTICE: u8 = 5;
/// The program that takes events for ClearOS's list of them (of the package csplugin-events).
const EVENTS: &str = "/usr/bin/eventsctl";
/// What our events are called there: letters and `_` alone.
const EVENT: &str = "DATASTORE_ALARM";
/// A pager command or a mail program that takes longer is killed.
const LIMIT: Duration = Duration::from_secs(30);

/// Tells one alarm to every sink.
pub(super) fn tell(root: &Root, sinks: &Sinks, alarm: &Alarm, occasion: Occasion, host: &str) -> Vec<Delivery> {
    let mut all = Vec::new();
    let mut note = |sink, to: String, told: Result<()>| {
        all.push(Delivery { sink, to, error: told.err().map(|error| error.chain()) });
    };
    if sinks.syslog.unwrap_or(root.is_machine()) {
        note("syslog", SOCKET.into(), syslog(root, &line(alarm, occasion), occasion));
    }
    if let Some((path, arguments)) = sinks.command.split_first() {
        note("command", printable(path.as_bytes()), command(root, path, arguments, alarm, occasion, host));
    }
    for address in &sinks.mail {
        note("mail", address.clone(), mail(root, &sinks.sendmail, address, alarm, occasion, host));
    }
    // Below another root lies somebody else's system: what it has for a program is not run unasked.
    let is_there = || root.is_machine() && !matches!(if_there(root.stat(&AbsPath::literal(EVENTS))), Ok(None));
    if sinks.events.unwrap_or_else(is_there) {
        note("events", EVENTS.into(), event(root, alarm, occasion));
    }
    all
}

/// One message to the syslog daemon below the root. The daemon sets the time.
fn syslog(root: &Root, text: &str, occasion: Occasion) -> Result<()> {
    let path = root.outside(&AbsPath::literal(SOCKET))?;
    let path = Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()));
    let severity = if occasion == Occasion::Raised { ALERT } else { NOTICE };
    let message = format!("<{}>datastore[{}]: {text}", DAEMON | severity, std::process::id());
    let sent = UnixDatagram::unbound()
        .and_then(|socket| {
            // A daemon that hangs must not hold anybody up.
            socket.set_write_timeout(Some(Duration::from_secs(2)))?;
            socket.send_to(message.as_bytes(), path).map(drop)
        })
        .or_else(|error| match error.raw_os_error() {
            // EPROTOTYPE: some daemons listen on a stream; there a message ends with a NUL.
            Some(91) => {
                let mut stream = UnixStream::connect(path)?;
                stream.set_write_timeout(Some(Duration::from_secs(2)))?;
                std::io::Write::write_all(&mut stream, format!("{message}\0").as_bytes())
            }
            _ => Err(error),
        });
    sent.map_err(|error| Error::new(ErrorKind::System, "the syslog daemon cannot be reached").caused_by(error))
}

/// Runs a program that tells somebody. It gets the fields in its environment and the text of the mail as its input.
fn command(root: &Root, path: &str, arguments: &[String], alarm: &Alarm, occasion: Occasion, host: &str) -> Result<()> {
    let program = trusted(root, path)?;
    let since = alarm.since.to_string();
    let environment = [
        ("DATASTORE_ALARM", occasion.as_str()),
        ("DATASTORE_HOST", host),
        ("DATASTORE_KIND", alarm.kind.as_str()),
        ("DATASTORE_APP", &alarm.app),
        ("DATASTORE_VOLUME", &alarm.volume),
        ("DATASTORE_MOUNT_POINT", &alarm.mount_point),
        ("DATASTORE_STATE", alarm.state.as_str()),
        ("DATASTORE_REASON", alarm.reason.map_or("", |reason| reason.as_str())),
        ("DATASTORE_DETAIL", &alarm.detail),
        ("DATASTORE_HINT", &alarm.hint),
        ("DATASTORE_SINCE", &since),
        ("DATASTORE_SUBJECT", &subject(alarm, occasion, host)),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run(&program, &arguments, &environment, body(alarm, occasion, host).as_bytes())
}

/// Hands a mail to sendmail(8).
fn mail(root: &Root, sendmail: &AbsPath, address: &str, alarm: &Alarm, occasion: Occasion, host: &str) -> Result<()> {
    let program = trusted(root, &sendmail.to_string())?;
    // RFC 5322; RFC 3834 asks that no machine answers it. Addresses and subject hold no line breaks.
    let text = format!(
        "To: {address}\nSubject: {}\nAuto-Submitted: auto-generated\nPrecedence: bulk\nMIME-Version: 1.0\n\
         Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{}",
        ascii(&subject(alarm, occasion, host)),
        body(alarm, occasion, host)
    );
    // `-i`: a line with a single dot is no end.
    run(&program, &["-i", "--", address], &[], text.as_bytes())
}

/// Tells ClearOS's list of events. What is over takes the place of what it ends: both have the same token.
fn event(root: &Root, alarm: &Alarm, occasion: Occasion) -> Result<()> {
    let program = trusted(root, EVENTS)?;
    let level = if occasion == Occasion::Raised { "CRIT" } else { "NORM" };
    let (token, text) = (token(alarm), line(alarm, occasion));
    let send = ["-s", "-t", EVENT, "-l", level, "-b", "datastore", "-U", &token, "--", &text];
    run(&program, &send, &[], b"").or_else(|_| {
        // It takes no event of a kind that it was not told of. Should that not be why, the second attempt says what is.
        let _ = run(&program, &["-R", "-t", EVENT, "-b", "datastore"], &[], b"");
        run(&program, &send, &[], b"")
    })
}

/// A header holds ASCII alone; names of apps and hosts are that already.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

fn run(program: &Path, arguments: &[&str], environment: &[(&str, &str)], input: &[u8]) -> Result<()> {
    let ended = program::run_within(program, arguments, environment, &Limits { input, time: LIMIT })?;
    if ended.status.success() {
        return Ok(());
    }
    let shown = printable(program.as_os_str().as_encoded_bytes());
    let how = if ended.timed_out { format!("was killed after {} s", LIMIT.as_secs()) } else { ended.complaint() };
    Err(Error::new(ErrorKind::System, format!("{shown}: {how}")))
}

/// The program at a path below the root, with links resolved: `/usr/sbin/sendmail` is one on many machines. Neither it nor any
/// directory above it, up to the root, may be changed by anybody but root, so what is looked at is what is run.
fn trusted(root: &Root, path: &str) -> Result<PathBuf> {
    let wrong =
        |why: String| Error::new(ErrorKind::Refused, format!("{} is not run: {why}", printable(path.as_bytes())));
    let parsed = AbsPath::parse(path).map_err(|why| wrong(why.to_string()))?;
    let outside = |path: &AbsPath| -> Result<PathBuf> {
        Ok(PathBuf::from(std::ffi::OsStr::from_bytes(root.outside(path)?.as_bytes())))
    };
    let real = std::fs::canonicalize(outside(&parsed)?).map_err(|error| {
        wrong("it cannot be found".into()).with_errno(error.raw_os_error().unwrap_or(0)).caused_by(error)
    })?;
    let top = outside(&AbsPath::root())?;
    if !real.starts_with(&top) {
        return Err(wrong("it is a link that leads out of the root".into()));
    }
    for place in real.ancestors().take_while(|place| place.starts_with(&top)) {
        let meta = std::fs::metadata(place).map_err(|error| wrong("it cannot be looked at".into()).caused_by(error))?;
        let shown = printable(place.as_os_str().as_encoded_bytes());
        if meta.uid() != 0 {
            return Err(wrong(format!("{shown} belongs to user {}, not to root", meta.uid())));
        }
        if meta.mode() & 0o022 != 0 {
            return Err(wrong(format!("{shown} is writable by others than root (mode {:04o})", meta.mode() & 0o7777)));
        }
        if place == real && (!meta.is_file() || meta.mode() & 0o111 == 0) {
            return Err(wrong(format!("{shown} is no program")));
        }
    }
    Ok(real)
}
