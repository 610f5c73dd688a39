//! The time of day, and the boot.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use datastore_core::value::Id;

/// Seconds since 1970; 0 if the clock says that it is earlier.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs().try_into().unwrap_or(i64::MAX))
}

/// A time in whole milliseconds.
pub fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Which boot of the machine this is (`/proc/sys/kernel/random/boot_id`, proc(5)); `None` where nobody says.
pub fn boot() -> Option<Id> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Id::parse(text.trim()).ok()
}
