//! A data store, and what can be asked of it.

use std::ffi::{OsStr, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use datastore_core::journal::OperationId;
use datastore_core::log::Query;
use datastore_core::request::{app_name, unparsable};
use datastore_core::value::AppName;
use datastore_core::{Error as CoreError, ErrorKind, Result};
use datastore_exec::{Engine, document};

use crate::error::Error;
use crate::guard::{Out, free, guard, handle, looks_wrong};
use crate::progress::{Progress, Teller};
use crate::text::Text;
use crate::value::Value;

/// The data store of a machine, or of an image of one. Each call looks at the machine anew.
#[derive(Debug)]
pub struct Store(pub(crate) Engine);

/// More apps than this are no list of apps.
const MOST: usize = 65_535;

/// The apps that a caller named.
///
/// # Safety
/// Unless it looks wrong, `apps` points to so many texts.
unsafe fn names(apps: *const Text, count: usize) -> Result<Vec<AppName>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if looks_wrong(apps) || count > MOST {
        return Err(CoreError::new(ErrorKind::Usage, "`apps` is no list of so many texts"));
    }
    // SAFETY: the caller promises it.
    let texts = unsafe { std::slice::from_raw_parts(apps, count) };
    // SAFETY: as said at the top of the header.
    texts.iter().map(|text| app_name(unsafe { text.needed("app") }?)).collect()
}

/// Opens the data store below a root directory: `/` or no text for this machine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_open(root: Text, store: *mut *mut Store) -> *mut Error {
    guard(|| {
        // SAFETY: as said at the top of the header.
        let (root, out) = unsafe { (root.read("root")?.unwrap_or("/"), Out::new(store, "store")?) };
        out.put(Store(Engine::open(Path::new(OsStr::from_bytes(root.as_bytes())))?));
        Ok(())
    })
}

/// Frees a store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_free(store: *mut Store) {
    // SAFETY: as said at the top of the header.
    unsafe { free(store) }
}

/// Tells what is wrong in the configuration, or in that of one app: `diagnostics`, and how many of them are `errors`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_check(store: *const Store, app: Text, found: *mut *mut Value) -> *mut Error {
    guard(|| {
        // SAFETY: as said at the top of the header.
        let (store, app, out) = unsafe { (handle(store, "store")?, app.read("app")?, Out::new(found, "found")?) };
        let app = app.map(app_name).transpose()?;
        let wanted = store.0.config()?;
        out.put(Value::of(&document::Diagnostics::of(&wanted.diagnostics_of(app.as_ref())?))?);
        Ok(())
    })
}

/// Tells what is bound where, from the kernel: `mappings`, `volumes`, `operations`. No app named means all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_status(
    store: *const Store,
    apps: *const Text,
    count: usize,
    status: *mut *mut Value,
) -> *mut Error {
    guard(|| {
        // SAFETY: as said at the top of the header.
        let (store, apps, out) = unsafe { (handle(store, "store")?, names(apps, count)?, Out::new(status, "status")?) };
        out.put(Value::of(&store.0.status(&apps)?)?);
        Ok(())
    })
}

/// Holds everything against everything: `findings`, and whether the look was `complete`. No app named means all findings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_doctor(
    store: *const Store,
    apps: *const Text,
    count: usize,
    diagnosis: *mut *mut Value,
) -> *mut Error {
    guard(|| {
        // SAFETY: as said at the top of the header.
        let (store, apps, out) =
            unsafe { (handle(store, "store")?, names(apps, count)?, Out::new(diagnosis, "diagnosis")?) };
        out.put(Value::of(&store.0.doctor(&apps)?)?);
        Ok(())
    })
}

/// Lets an app start: NULL. Else the error says which mapping is not as it has to be, and why.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_guard(store: *const Store, app: Text) -> *mut Error {
    guard(|| {
        // SAFETY: as said at the top of the header.
        let (store, app) = unsafe { (handle(store, "store")?, app.needed("app")?) };
        store.0.guard(&app_name(app)?)
    })
}

/// Tells how far an operation is, or was when it ended: what `/run/datastore/ops/<id>.json` holds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_operation(store: *const Store, id: Text, progress: *mut *mut Value) -> *mut Error {
    guard(|| {
        // SAFETY: as said at the top of the header.
        let (store, id, out) = unsafe { (handle(store, "store")?, id.needed("id")?, Out::new(progress, "progress")?) };
        let id = OperationId::parse(id).map_err(|why| unparsable(id, &why))?;
        out.put(Value::of(&store.0.operation(&id)?)?);
        Ok(())
    })
}

/// Tells which operations have run, the oldest first: `operations`. No app named means all. It takes root.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_log(
    store: *const Store,
    apps: *const Text,
    count: usize,
    log: *mut *mut Value,
) -> *mut Error {
    guard(|| {
        // SAFETY: as said at the top of the header.
        let (store, apps, out) = unsafe { (handle(store, "store")?, names(apps, count)?, Out::new(log, "log")?) };
        let rows = store.0.log(&Query { apps, ..Query::default() })?;
        out.put(Value::of(&document::Log { operations: &rows })?);
        Ok(())
    })
}

/// Tells how much the data of apps and what was put aside takes, as `datastore usage` measured it last: `stores`, `parked`. Nothing is
/// measured. No app named means all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_usage(
    store: *const Store,
    apps: *const Text,
    count: usize,
    usage: *mut *mut Value,
) -> *mut Error {
    guard(|| {
        // SAFETY: as said at the top of the header.
        let (store, apps, out) = unsafe { (handle(store, "store")?, names(apps, count)?, Out::new(usage, "usage")?) };
        out.put(Value::of(&store.0.usage(&apps)?)?);
        Ok(())
    })
}

/// Tells which block devices nobody uses, and how each becomes a volume: `candidates`. Only root is told what is on them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_candidates(store: *const Store, candidates: *mut *mut Value) -> *mut Error {
    guard(|| {
        // SAFETY: as said at the top of the header.
        let (store, out) = unsafe { (handle(store, "store")?, Out::new(candidates, "candidates")?) };
        out.put(Value::of(&store.0.candidates()?)?);
        Ok(())
    })
}

/// Finishes what stopped half-way: `recovered` has a report for each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn datastore_recover(
    store: *const Store,
    progress: Progress,
    data: *mut c_void,
    recovered: *mut *mut Value,
) -> *mut Error {
    guard(|| {
        // SAFETY: as said at the top of the header.
        let (store, out) = unsafe { (handle(store, "store")?, Out::new(recovered, "recovered")?) };
        let reports = store.0.recover(&mut Teller::new(progress, data))?;
        out.put(Value::of(&document::Recovered { recovered: &reports })?);
        Ok(())
    })
}
