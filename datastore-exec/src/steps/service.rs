//! The services of an app go down and come up.

use std::time::{Duration, Instant};

use datastore_core::alarm as alarms;
use datastore_core::moving::Running;
use datastore_core::plan::Remark;
use datastore_core::value::AppName;
use datastore_core::{Error, ErrorKind};

use super::{Failure, Hands};
use crate::report::{Probed, ServiceRow, ServiceState};
use crate::service::{Manager, Up};
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
            let ups = manager.start_all(running, START);
            let down = ups.iter().filter_map(|(_, up)| up.as_ref().err());
            let left: Vec<String> = opened.iter().chain(down).map(Error::chain).collect();
            let detail = if left.is_empty() {
                format!("{}; what was stopped before it runs again", error.chain())
            } else {
                format!("{}; not all that was stopped runs again: {}", error.chain(), left.join("; "))
            };
            Err(failed(hands, app, error.kind(), detail, error.get_hint()))
        }
    }
}

/// Lets the app start, then starts its services. What became of each is told beside.
pub(super) fn start(hands: &Hands<'_>, app: &AppName, running: &Running) -> Result<(), Failure> {
    let rows = match begin(hands, app, running) {
        Ok(rows) => rows,
        // None of them was started.
        Err(error) => running.up().map(|name| row(name, Err(&error))).collect(),
    };
    let down: Vec<&ServiceRow> = rows.iter().filter(|row| row.state == ServiceState::Failed).collect();
    let each: Vec<&str> = down.iter().map(|row| row.detail.as_str()).collect();
    let complaint = (!each.is_empty()).then(|| each.join("; "));
    let hint = down.first().map(|row| row.hint.clone());
    hands.probed.replace(Some(Probed::of(app, rows)));
    let Some(complaint) = complaint else {
        if !running.is_empty() {
            tell(hands, alarm::services_run(hands.root, app));
        }
        return Ok(());
    };
    let detail = format!("{complaint}; the data of `{app}` is whole and in place");
    Err(failed(hands, app, ErrorKind::System, detail, hint.as_deref()))
}

fn begin(hands: &Hands<'_>, app: &AppName, running: &Running) -> Result<Vec<ServiceRow>, Error> {
    let since = Instant::now();
    // First of all, so that somebody can start it by hand if nobody answers here.
    closed::open(hands.root, app)?;
    let manager = manager(hands, running)?;
    let begun = manager.begin_all(running, START);
    // The look a moment later keeps nobody from the data.
    hands.took("start services", since);
    let ups = manager.probe_all(begun);
    Ok(ups.iter().map(|(name, up)| row(name, up.as_ref().copied())).collect())
}

fn row(name: &str, up: Result<Up, &Error>) -> ServiceRow {
    let (state, detail, hint) = match up {
        Ok(Up::Runs) => (ServiceState::Running, String::new(), ""),
        Ok(Up::Ended) => (ServiceState::Ended, String::new(), ""),
        Err(error) => (ServiceState::Failed, error.chain(), error.get_hint().unwrap_or_default()),
    };
    ServiceRow { service: name.into(), state, detail, hint: hint.into() }
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
fn manager(hands: &Hands<'_>, running: &Running) -> Result<Manager, Error> {
    if running.is_empty() { Ok(Manager::None) } else { Manager::of(hands.root) }
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
            assert_eq!(hands.probed.take(), Some(Probed::of(&app, Vec::new())));
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
    fn every_service_that_was_not_started_is_named() {
        Sandbox::run(|sandbox| {
            let (root, ids, mut quiet) = (sandbox.root(), Ids::new(&sandbox.root()).unwrap(), Silent);
            let hands = Hands::new(&root, &ids, "20261123T174301250Z-1a2b3c4d", &mut quiet);
            let app = AppName::parse("shop").unwrap();
            // The app cannot be opened: its mark is a directory.
            sandbox.dirs(&["run/datastore/closed/shop"]);
            let services = ["a.service", "b.service"].map(String::from).to_vec();
            let running = Running { triggers: Vec::new(), services };
            let why = start(&hands, &app, &running).unwrap_err().error;
            let probed = hands.probed.take().unwrap();
            assert!(!probed.is_well() && why.kind() == ErrorKind::System, "{probed:?}");
            let rows: Vec<_> = probed.services.iter().map(|row| (row.service.as_str(), row.state)).collect();
            assert_eq!(rows, [("a.service", ServiceState::Failed), ("b.service", ServiceState::Failed)]);
            assert!(why.chain().ends_with("; the data of `shop` is whole and in place"), "{}", why.chain());
            assert_eq!(alarm::open(&root).unwrap().alarms[0].word(), "service-failed");
        });
    }
}
