//! Apps that must not start for now: their data is being moved. `/run/datastore/closed/APP` holds the name of the operation that does it,
//! and is gone when that lets the app start again, or the machine has booted anew.

use datastore_core::value::AppName;
use datastore_core::{AbsPath, Error, ErrorKind, Result};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::journal_file;
use crate::root::{Miss, Root, if_there};
use crate::run_files::{self, make_dirs};
use crate::sys::fd;

const DIR: &str = "/run/datastore/closed";
/// Longer is no name of an operation.
const LIMIT: usize = 4 << 10;

/// Keeps an app from starting. An earlier mark is replaced: its operation stopped half-way, and is being finished.
pub(crate) fn close(root: &Root, app: &AppName, operation: &str) -> Result<()> {
    let dir = make_dirs(root, DIR, 0o755)?;
    // `.` begins no name of an app.
    run_files::put(&dir, DIR, app.as_str(), &format!(".{app}.tmp"), operation.as_bytes())
}

/// Lets it start again.
pub(crate) fn open(root: &Root, app: &AppName) -> Result<()> {
    let path = path_of(app);
    root.forget_within(&path);
    let gone = match root.place(&path) {
        Ok(place) => fd::remove_file(place.entry()),
        Err(Miss::Absent(_)) => return Ok(()),
        Err(other) => return Err(Error::from(other)),
    };
    match gone {
        Err(error) if error.errno() != Errno::NOENT => {
            Err(error.because(format!("`{app}` must not start yet: {path} cannot be removed")))
        }
        _ => Ok(()),
    }
}

/// Why an app must not start, and what to do; `None` if nobody keeps it from that.
pub(crate) fn why(root: &Root, app: &AppName) -> Result<Option<(String, String)>> {
    let path = path_of(app);
    if if_there(root.stat(&path))?.is_none() {
        return Ok(None);
    }
    let Some(file) = if_there(root.open_file(&path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, 0))? else {
        return Ok(None);
    };
    let text = fd::read_all(&file, LIMIT)?;
    let is = |operation: &datastore_core::journal::OperationId| operation.tag().as_bytes() == text;
    let scan = match journal_file::scan(root) {
        // It must not start either way; who may not read journals is not told more.
        Err(error) if error.kind() == ErrorKind::Privilege => journal_file::Scan::default(),
        other => other?,
    };
    Ok(Some(if scan.running.iter().any(|told| is(&told.operation)) {
        ("its data is being moved".into(), "wait until that is done: datastore status".into())
    } else if scan.unfinished.iter().any(|told| is(&told.operation)) {
        ("an operation stopped half-way while it moved its data".into(), "datastore recover".into())
    } else {
        (
            format!("an operation that has ended, or cannot be seen, left {path}"),
            format!("datastore status {app}; if its data is in place: rm {path}"),
        )
    }))
}

fn path_of(app: &AppName) -> AbsPath {
    AbsPath::literal(DIR).child(app.as_str())
}
