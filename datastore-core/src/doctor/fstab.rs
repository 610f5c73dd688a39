//! fstab: lines that nobody declares, lines of others that name a place of ours, and whether it can be edited.

use super::{Check, Finding, Severity};
use crate::fstab::Row;
use crate::path::{AbsPath, printable};
use crate::standing::View;
use crate::status;

const FSTAB: &str = "/etc/fstab";

pub(super) fn check(view: &View<'_>, out: &mut Vec<Finding>) {
    let observed = view.observed;
    if let Err(error) = observed.fstab.block() {
        let finding = Finding::new(Check::FstabFixed, Severity::Error, error.to_string());
        out.push(finding.path(FSTAB).cause("our lines cannot be told from the others").hint(error.hint()));
    }
    if let Some(why) = &observed.fstab_fixed {
        let finding = Finding::new(Check::FstabFixed, Severity::Warning, format!("{FSTAB} cannot be replaced: {why}"));
        let hint = "make /etc and /etc/fstab writable";
        out.push(finding.path(FSTAB).cause("every verb that changes a bind changes it too").hint(hint));
    }
    for row in status::forgotten(view) {
        let cause = "its configlet was removed; that unbinds nothing";
        out.push(
            Finding::new(Check::StrayLine, Severity::Warning, format!("fstab: {}", row.detail))
                .app(&row.app)
                .at(&row.mount_point)
                .path(FSTAB)
                .cause(cause)
                .hint(format!("datastore disable {}", row.app)),
        );
    }
    let inside = Block::of(view);
    for row in observed.fstab.entries() {
        if row.ours {
            stray(view, row, out);
        } else {
            foreign(view, row, inside.has(row.line), out);
        }
    }
}

/// The lines between which our block lies, as far as its lines tell.
struct Block {
    first: u32,
    last: u32,
}

impl Block {
    fn of(view: &View<'_>) -> Self {
        let lines = || view.observed.fstab.entries().filter(|r| r.ours).map(|r| r.line);
        Self { first: lines().min().unwrap_or(u32::MAX), last: lines().max().unwrap_or(0) }
    }

    fn has(&self, line: u32) -> bool {
        (self.first..=self.last).contains(&line)
    }
}

/// One of our lines that is no mapping's: it must be a volume's.
fn stray(view: &View<'_>, row: Row<'_>, out: &mut Vec<Finding>) {
    let Some(place) = row.entry.mount_point() else { return };
    if row.entry.option_value("X-datastore").is_some() || view.wanted.volumes.iter().any(|v| v.path == place) {
        return;
    }
    let detail = format!(
        "line {} in our block mounts {} on {place}, and no volume is declared there",
        row.line,
        printable(&row.entry.spec)
    );
    out.push(
        Finding::new(Check::StrayLine, Severity::Warning, detail)
            .path(FSTAB)
            .cause("somebody wrote it there, or a volume was removed from the configuration by hand")
            .hint(format!("remove line {} from {FSTAB}, or move it out of the block", row.line)),
    );
}

/// A line of somebody else.
fn foreign(view: &View<'_>, row: Row<'_>, inside: bool, out: &mut Vec<Finding>) {
    let edit = format!("remove line {} from {FSTAB}", row.line);
    if inside {
        let detail = format!("line {} stands in our block and is not ours: {}", row.line, row.entry);
        let finding = Finding::new(Check::StrayLine, Severity::Warning, detail).path(FSTAB);
        out.push(
            finding
                .cause("somebody wrote it there")
                .hint(format!("move line {} of {FSTAB} out of the block", row.line)),
        );
        return;
    }
    let place = row.entry.mount_point();
    if let Some(place) = &place
        && let Some(m) = view.wanted.at(place).iter().map(|&i| &view.wanted.mappings[i]).next()
    {
        // Of an app that is asked for, status tells as a refusal or as drift.
        if !view.wanted.at(place).iter().any(|&i| view.wanted.mappings[i].enabled) {
            let detail =
                format!("line {} mounts {} on a mount point of `{}`", row.line, printable(&row.entry.spec), m.app);
            let finding = Finding::new(Check::ForeignLine, Severity::Note, detail);
            let cause = "nothing is bound there as long as the app is not asked for; `enable` will be refused";
            out.push(finding.app(&m.app).at(place).path(FSTAB).cause(cause).hint(edit));
        }
        return;
    }
    let source = AbsPath::from_kernel(&row.entry.spec).ok();
    let ours = |path: &AbsPath| view.wanted.volumes.iter().any(|v| path.is_within(&v.live()));
    let cause = if source.as_ref().is_some_and(ours) {
        "a second way to the same data, which no `stop` closes"
    } else if place.as_ref().is_some_and(ours) {
        "it would cover a store with something else"
    } else {
        return;
    };
    let detail = format!("line {} names a store of ours: {}", row.line, row.entry);
    out.push(Finding::new(Check::ForeignLine, Severity::Warning, detail).path(FSTAB).cause(cause).hint(edit));
}
