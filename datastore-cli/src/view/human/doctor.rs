//! `doctor`.

use anstyle::{AnsiColor, Style};
use datastore_core::doctor::{Diagnosis, Finding, Severity};

use super::text::{clean, count, wrap};
use crate::view::hint::typed;
use crate::view::look::Look;

/// What stands before the lines of a finding.
const INDENT: usize = 4;

/// Everything that was found, the worst first, and how much of each.
pub(in crate::view) fn diagnosis(diagnosis: &Diagnosis, look: Look) -> String {
    let mut out = String::new();
    for &severity in Severity::ALL {
        let found: Vec<&Finding> = diagnosis.findings.iter().filter(|f| f.severity == severity).collect();
        if found.is_empty() {
            continue;
        }
        let title = count(found.len(), severity.as_str()).to_uppercase();
        out.push_str(&format!("{}\n", look.paint(colour_of(severity), &title)));
        found.into_iter().for_each(|f| finding(&mut out, f, look));
        out.push('\n');
    }
    if diagnosis.findings.is_empty() {
        out.push_str("nothing was found\n");
    } else {
        out.push_str(&format!("{}: {}\n", count(diagnosis.findings.len(), "finding"), counts(&diagnosis.findings)));
    }
    if !diagnosis.complete {
        out.push_str("not everything could be looked at\n");
    }
    out
}

/// "1 error, 2 warnings".
fn counts(findings: &[Finding]) -> String {
    let of = |severity: &Severity| findings.iter().filter(|f| f.severity == *severity).count();
    let all = Severity::ALL.iter().map(|s| (of(s), s)).filter(|(n, _)| *n > 0);
    all.map(|(n, severity)| count(n, severity.as_str())).collect::<Vec<_>>().join(", ")
}

fn finding(out: &mut String, f: &Finding, look: Look) {
    let mut head = vec![f.check.to_string()];
    head.extend([&f.app, &f.mount_point].into_iter().filter(|part| !part.is_empty()).map(|part| clean(part)));
    out.push_str(&format!("  {}\n", look.paint(Style::new().bold(), &head.join("  "))));
    let hint = if f.hint.is_empty() { String::new() } else { format!("hint: {}", typed(&f.hint)) };
    let room = look.width.map(|w| w.saturating_sub(INDENT).max(20));
    for line in [&f.detail, &f.cause, &hint].into_iter().filter(|line| !line.is_empty()) {
        for part in wrap(&clean(line), room) {
            out.push_str(&format!("{:INDENT$}{part}\n", ""));
        }
    }
}

fn colour_of(severity: Severity) -> Style {
    let colour = |c: AnsiColor| Style::new().fg_color(Some(c.into()));
    match severity {
        Severity::Error => colour(AnsiColor::Red).bold(),
        Severity::Warning => colour(AnsiColor::Yellow).bold(),
        Severity::Note => Style::new().bold(),
    }
}
