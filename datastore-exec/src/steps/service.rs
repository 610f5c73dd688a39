//! The services of an app go down and come up.

use std::time::Duration;

use datastore_core::alarm as alarms;
use datastore_core::moving::Running;
use datastore_core::plan::Remark;
use datastore_core::value::AppName;
use datastore_core::{Error, ErrorKind};

use super::{Failure, Hands};
use crate::service::Manager;
use crate::{alarm, closed};

/// How long one service may take to go down. systemd's own limit (TimeoutStopSec=) is shorter as a rule.
const STOP: Duration = Duration::from_secs(300);
/// How long one may take to come up: a database that was killed may have much to repair.
const START: Duration = Duration::from_secs(900);

/// Keeps the app from starting, then stops its services. If one does not go down, everything is as before: the app may start, and what
/// ran is started again.
pub(super) fn stop(hands: &Hands<'_>, app: &AppName, running: &Running) -> Result<(), Failure> {
    let manager = manager(hands, running)?;
    closed::close(hands.root, app, hands.tag)?;
    match manager.stop_all(running, STOP) {
        Ok(remarks) => {
            tell(hands, remarks);
            Ok(())
        }
        Err(error) => {
            let opened = closed::open(hands.root, app).err();
            let down = manager.start_all(running, START);
            let left: Vec<String> = opened.iter().map(Error::chain).chain(complaint(&down)).collect();
            let detail = if left.is_empty() {
                format!("{}; what was stopped before it runs again", error.chain())
            } else {
                format!("{}; not all that was stopped runs again: {}", error.chain(), left.join("; "))
            };
            Err(failed(hands, app, error.kind(), detail, error.get_hint()))
        }
    }
}

/// Lets the app start, then starts its services.
pub(super) fn start(hands: &Hands<'_>, app: &AppName, running: &Running) -> Result<(), Failure> {
    // First of all, so that somebody can start it by hand if nobody answers here.
    closed::open(hands.root, app)?;
    let down = manager(hands, running)?.start_all(running, START);
    let Some(complaint) = complaint(&down) else {
        if !running.is_empty() {
            tell(hands, alarm::services_run(hands.root, app));
        }
        return Ok(());
    };
    let detail = format!("{complaint}; the data of `{app}` is whole and in place");
    Err(failed(hands, app, ErrorKind::System, detail, down.iter().find_map(|(_, error)| error.get_hint())))
}

/// Raises the alarm at once, whatever else is still to be done, and returns the error.
fn failed(hands: &Hands<'_>, app: &AppName, kind: ErrorKind, detail: String, hint: Option<&str>) -> Failure {
    let hint = hint.unwrap_or("datastore status").to_owned();
    let error = Error::new(kind, detail.clone()).hint(hint.clone());
    tell(hands, alarm::services_failed(hands.root, app, &alarms::Failure { detail, hint }));
    error.into()
}

fn tell(hands: &Hands<'_>, remarks: Vec<Remark>) {
    remarks.into_iter().for_each(|remark| hands.remark(remark.detail, remark.hint));
}

/// Where there is nothing to stop or start nobody need answer.
fn manager(hands: &Hands<'_>, running: &Running) -> Result<Manager, Failure> {
    if running.is_empty() { Ok(Manager::None) } else { Ok(Manager::of(hands.root)?) }
}

/// What failed, each with its service.
fn complaint(down: &[(&str, Error)]) -> Option<String> {
    let each: Vec<String> = down.iter().map(|(_, error)| error.chain()).collect();
    (!each.is_empty()).then(|| each.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Silent;
    use crate::sys::ids::Ids;
    use crate::testing::Sandbox;

    #[test]
    fn an_app_without_services_is_closed_and_opened_too() {
        Sandbox::run(|sandbox| {
            let (root, ids, mut quiet) = (sandbox.root(), Ids::new(&sandbox.root()).unwrap(), Silent);
            let hands = Hands::new(&root, &ids, "20261123T174301250Z-1a2b3c4d", &mut quiet);
            let (app, none) = (AppName::parse("shop").unwrap(), Running::default());
            start(&hands, &app, &none).unwrap();
            for _ in 0..2 {
                stop(&hands, &app, &none).unwrap();
                let mark = sandbox.dir().join("run/datastore/closed/shop");
                assert_eq!(std::fs::read_to_string(&mark).unwrap(), hands.tag);
                assert_eq!(std::fs::read_dir(mark.parent().unwrap()).unwrap().count(), 1, "nothing is beside it");
            }
            assert!(closed::why(&root, &app).unwrap().is_some());
            start(&hands, &app, &none).unwrap();
            assert_eq!(closed::why(&root, &app).unwrap(), None);
            start(&hands, &app, &none).unwrap();
        });
    }

    #[test]
    fn every_service_that_did_not_start_is_named() {
        let failed = |name: &'static str| (name, Error::new(ErrorKind::System, format!("{name} could not be started")));
        let told = complaint(&[failed("a.service"), failed("b.service")]).unwrap();
        assert_eq!(told, "a.service could not be started; b.service could not be started");
        assert_eq!(complaint(&[]), None);
    }
}
