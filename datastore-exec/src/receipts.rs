//! Receipts of what was moved: `/var/lib/datastore/receipts/<operation>.json`, one for each operation, as long as something that it
//! put aside is there.

use datastore_core::journal::OperationId;
use datastore_core::moving::{Downtime, Receipt};
use datastore_core::value::{AppName, Attrs};
use datastore_core::{AbsPath, Error, ErrorKind, Result, moving};
use rustix::fs::OFlags;

use crate::durable::{self, Expect};
use crate::root::{Root, if_there};
use crate::sys::fd;
use crate::{observe, run_files};

/// Where they are.
pub(crate) const DIR: &str = "/var/lib/datastore/receipts";

fn path(operation: &str) -> AbsPath {
    AbsPath::literal(DIR).child(&format!("{operation}.json"))
}

/// Writes the receipt of an operation, so that it survives a power cut.
pub(crate) fn write(root: &Root, operation: &str, receipt: &Receipt) -> Result<()> {
    run_files::make_dirs(root, DIR, 0o700)?;
    let text = receipt.render();
    let _ = durable::replace(root, &path(operation), &text, operation, Attrs::root(0o600), Expect::Anything)?;
    Ok(())
}

/// Adds to the receipt of an operation how long the app could not be used.
pub(crate) fn add_downtime(root: &Root, operation: &OperationId, downtime: &Downtime) -> Result<()> {
    let Some(receipt) = read(root, operation)? else { return Ok(()) };
    write(root, operation.as_str(), &Receipt { downtime: Some(downtime.clone()), ..receipt })
}

/// The receipt of the last import or move of an app; `None` if there is none.
pub(crate) fn last(root: &Root, app: &AppName) -> Result<Option<Receipt>> {
    Ok(all(root)?.into_iter().rev().map(|(_, receipt)| receipt).find(|receipt| receipt.app == *app))
}

/// The receipt of an operation; `None` if there is none.
pub(crate) fn read(root: &Root, operation: &OperationId) -> Result<Option<Receipt>> {
    let path = path(operation.as_str());
    let Some(bytes) = observe::read(root, &path)? else { return Ok(None) };
    let receipt = Receipt::parse(&bytes).map_err(|e| {
        Error::new(ErrorKind::Invalid, format!("the receipt {path} cannot be understood: {e}"))
            .hint(format!("look at it, and move it away: less {path}"))
    })?;
    Ok(Some(receipt))
}

/// All receipts, the oldest first. One that cannot be understood is left where it is.
pub(crate) fn all(root: &Root) -> Result<Vec<(OperationId, Receipt)>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let Some(dir) = if_there(root.open_file(&AbsPath::literal(DIR), flags, 0))? else { return Ok(Vec::new()) };
    let mut operations = Vec::new();
    fd::each_name(&dir, |name| {
        let stem = name.strip_suffix(b".json").and_then(|stem| std::str::from_utf8(stem).ok());
        operations.extend(stem.and_then(|stem| OperationId::parse(stem).ok()));
        true
    })?;
    operations.sort();
    let receipt = |operation: OperationId| Some((read(root, &operation).ok()??, operation));
    Ok(operations.into_iter().filter_map(receipt).map(|(receipt, operation)| (operation, receipt)).collect())
}

/// Removes the receipts of which nothing is left.
pub(crate) fn prune(root: &Root) -> Result<()> {
    all(root)?.iter().try_for_each(|(operation, _)| settle(root, operation))
}

/// Removes the receipt of an operation that moved nothing in the end: what it tells of as put aside is in its place.
pub(crate) fn settle(root: &Root, operation: &OperationId) -> Result<()> {
    let Some(receipt) = read(root, operation)? else { return Ok(()) };
    let is_there = |path: &AbsPath| Ok::<_, Error>(if_there(root.stat(path))?.is_some());
    for tree in &receipt.trees {
        // What was renamed is in its new place, or back in its old one. A plain directory is there in any case.
        let holds = match (&tree.parked, &tree.to_volume) {
            // One that is half removed counts, or nobody would remove the rest.
            (Some(parked), _) => is_there(parked)? || is_there(&moving::going(parked))?,
            (None, Some(_)) => is_there(&tree.to)?,
            (None, None) => !is_there(&tree.from)?,
        };
        if holds {
            return Ok(());
        }
    }
    fd::remove_file(root.place(&path(operation.as_str()))?.entry())?;
    Ok(())
}
