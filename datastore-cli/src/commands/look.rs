//! The verbs that only look: `status`, `doctor`, `guard`, `plan`.

use datastore_core::value::AppName;
use datastore_core::{ErrorKind, Result};

use super::Session;
use crate::args::{Guard, Plan};
use crate::exit::{Code, Exit, Lsb};
use crate::view;

/// Shows what is. With apps named, the exit code is that of an init script.
pub(crate) fn status(session: &Session, apps: &[AppName]) -> Result<Code> {
    let status = match session.engine()?.status(apps) {
        Ok(status) => status,
        Err(error) if error.kind() == ErrorKind::Usage && !apps.is_empty() => {
            view::failed(&error, session.global.json);
            return Ok(Lsb::Unknown.into());
        }
        Err(error) => return Err(error),
    };
    view::status(&status, !apps.is_empty(), session.global.json)?;
    let code = if apps.is_empty() { Exit::Done.into() } else { Lsb::of(&status.mappings).into() };
    // The program ends here: to free ten thousand rows one by one would only take time.
    std::mem::forget(status);
    Ok(code)
}

/// Says what is wrong and what mends it.
pub(crate) fn doctor(session: &Session, apps: &[AppName]) -> Result<Exit> {
    let diagnosis = session.engine()?.doctor(apps)?;
    view::diagnosis(&diagnosis, session.global.json)?;
    Ok(if diagnosis.is_bad() { Exit::Failed } else { Exit::Done })
}

/// Says nothing if the app, or the service, may start.
pub(crate) fn guard(session: &Session, args: &Guard) -> Result<Exit> {
    let engine = session.engine()?;
    if let Some(app) = &args.app {
        if args.at_start {
            engine.guard_at_start(app)?;
        } else {
            engine.guard(app)?;
        }
        if session.global.json {
            view::json::guarded(app)?;
        }
    }
    if let Some(service) = &args.service {
        let apps = engine.guard_service(service)?;
        if session.global.json {
            view::json::service_guarded(service, &apps)?;
        }
    }
    Ok(Exit::Done)
}

/// Shows a plan, and keeps it if that was asked for.
pub(crate) fn plan(session: &Session, args: Plan) -> Result<Exit> {
    let save = args.save;
    let asked = args.asked()?;
    let engine = session.engine()?;
    let prepared = engine.plan(&engine.goal(asked)?)?;
    let saved = if save { Some(engine.save(&prepared)?) } else { None };
    let plan = prepared.checked.plan();
    view::plan(plan, saved.as_ref(), session.global.json)?;
    Ok(if plan.refused() > 0 { Exit::Refused } else { Exit::Done })
}
