//! Alarms: the open ones, and what became of a test.

use std::borrow::Cow;

use datastore_core::alarm::Alarm;
use datastore_core::state::State;
use datastore_exec::alarm::Delivery;

use super::Table;
use super::status::{explained, or_dash, time};
use super::text::clean;
use crate::view::look::{Look, colour_of};

/// The open ones, oldest first.
pub(in crate::view) fn alarms(alarms: &[Alarm], look: Look) -> String {
    let mut table = Table::new(["ALARM", "ABOUT", "MOUNT POINT", "SINCE"]);
    for alarm in alarms {
        let mut below = explained(None, &alarm.detail, &alarm.hint);
        if !alarm.told {
            below.push("not everybody could be told of it yet".into());
        }
        let about: Cow<'_, str> =
            if alarm.kind.is_of_volume() { format!("volume {}", alarm.volume).into() } else { (&alarm.app).into() };
        let [word, mount_point] = [alarm.word(), or_dash(&alarm.mount_point)].map(Cow::Borrowed);
        // A volume that is nearly full is there all the same.
        let state = if alarm.state == State::Active { State::Drifted } else { alarm.state };
        table.row([word, about, mount_point, time(alarm.since).into()], colour_of(state), &below);
    }
    if alarms.is_empty() { "no alarm is open\n".into() } else { table.draw(look) }
}

/// One line for each way.
pub(in crate::view) fn deliveries(told: &[Delivery]) -> String {
    if told.is_empty() {
        return "no way is configured: see [alarm] in /etc/datastore.conf\n".into();
    }
    let line = |d: &Delivery| match &d.error {
        None => format!("sent    {} ({})\n", d.sink, clean(&d.to)),
        Some(why) => format!("failed  {} ({}): {}\n", d.sink, clean(&d.to), clean(why)),
    };
    told.iter().map(line).collect()
}
