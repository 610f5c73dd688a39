//! Services that start without asking the guard.

use super::{Check, Finding, Seen, Severity};
use crate::standing::View;
use crate::value::AppName;

pub(super) fn check(view: &View<'_>, seen: &Seen, out: &mut Vec<Finding>) {
    let asked = view.wanted.apps.iter().filter(|a| a.enabled && a.problem.is_none());
    let services = asked.flat_map(|a| a.services.iter().map(|s| (&a.name, s)));
    for ((app, service), files) in services.zip(&seen.services) {
        if files.texts.iter().any(|text| guards(text, app)) {
            continue;
        }
        out.push(
            Finding::new(Check::NoGuard, Severity::Note, format!("{service} starts without asking the guard"))
                .app(app)
                .cause("should a bind be missing, it would start on an empty directory, which the seal keeps it from filling")
                .hint(guard_hint(service, app)),
        );
    }
}

/// The edit that puts the guard before a start.
fn guard_hint(service: &str, app: &AppName) -> String {
    match service.strip_suffix(".service") {
        Some(_) => format!("systemctl edit {service}: [Service] ExecStartPre=+datastore guard {app}"),
        None => format!("in /etc/default/{service} or /etc/sysconfig/{service}: datastore guard {app} || exit 1"),
    }
}

/// Whether a start script or a unit calls `datastore [OPTION...] guard APP`.
fn guards(text: &[u8], app: &AppName) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])).any(|line| {
        let words: Vec<&str> =
            line.split(|c: char| c.is_whitespace() || "\"';&|()".contains(c)).filter(|w| !w.is_empty()).collect();
        // `ExecStartPre=+/usr/sbin/datastore`
        let is_program = |word: &str| word.rsplit(['/', '=', '+', '-', '@', '!']).next() == Some("datastore");
        let asks = |pair: &[&str]| pair == ["guard", app.as_str()];
        words.iter().position(|w| is_program(w)).is_some_and(|at| words[at..].windows(2).any(asks))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_calls_the_guard() {
        let app = AppName::parse("mysqld").unwrap();
        for (text, calls) in [
            ("[Service]\nExecStartPre=+/usr/sbin/datastore guard mysqld\n", true),
            ("ExecStartPre=+datastore guard mysqld", true),
            ("datastore --root /mnt guard mysqld || exit 1", true),
            ("if ! /usr/bin/datastore guard \"mysqld\"; then exit 1; fi", true),
            ("# datastore guard mysqld", false),
            ("datastore guard mysqld2", false),
            ("datastore status mysqld # guard", false),
            ("my-guard mysqld", false),
            ("", false),
        ] {
            assert_eq!(guards(text.as_bytes(), &app), calls, "{text}");
        }
    }
}
