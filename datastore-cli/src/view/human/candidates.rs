//! `volume candidates`.

use std::borrow::Cow;

use anstyle::{AnsiColor, Style};
use datastore_core::candidate::{Candidate, CandidateState, Candidates};

use super::Table;
use super::status::or_dash;
use super::text::size;
use crate::view::hint::typed;
use crate::view::look::Look;

/// Devices, each with the command that makes a volume of it.
pub(in crate::view) fn candidates(found: &Candidates, look: Look) -> String {
    if found.candidates.is_empty() {
        return "no device is free: all are mounted, part of something else, or too small\n".into();
    }
    let mut table = Table::new(["STATE", "DEVICE", ">SIZE", "TYPE", "LABEL", "MODEL"]);
    for row in &found.candidates {
        let cells = [
            Cow::Borrowed(row.state.as_str()),
            Cow::Borrowed(&*row.device),
            size(row.bytes).into(),
            or_dash(&row.fstype).into(),
            or_dash(&row.label).into(),
            or_dash(&row.model).into(),
        ];
        table.row(cells, colour_of(row.state), &below(row));
    }
    let mut out = table.draw(look);
    if !found.complete {
        out.push_str("\nnot everything could be seen\n");
    }
    out
}

fn below(row: &Candidate) -> Vec<String> {
    let mut lines = Vec::new();
    if !row.volume.is_empty() {
        let host = if row.host.is_empty() { String::new() } else { format!(" of host {}", row.host) };
        lines.push(format!("it was prepared as volume {}{host}", row.volume));
    }
    if !row.detail.is_empty() {
        lines.push(row.detail.clone());
    }
    if !row.hint.is_empty() {
        lines.push(format!("hint: {}", typed(&row.hint)));
    }
    lines
}

fn colour_of(state: CandidateState) -> Style {
    let colour = |c: AnsiColor| Style::new().fg_color(Some(c.into()));
    match state {
        CandidateState::Empty => colour(AnsiColor::Green),
        CandidateState::PreparedVolume => colour(AnsiColor::Cyan),
        CandidateState::HasFileSystem => colour(AnsiColor::Yellow),
        CandidateState::HasOtherData => Style::new(),
        CandidateState::Unknown => Style::new().dimmed(),
    }
}

#[cfg(test)]
pub(in crate::view) mod tests {
    use super::*;

    /// A device in each state.
    pub(in crate::view) fn every_candidate() -> Candidates {
        let row = |(i, &state): (usize, &CandidateState)| Candidate {
            device: format!("/dev/sd{}", char::from(b'b' + u8::try_from(i).unwrap())),
            by_id: String::new(),
            bytes: 512 << 20,
            model: "DISK".into(),
            fstype: if state == CandidateState::PreparedVolume { "ext4".into() } else { String::new() },
            label: String::new(),
            state,
            volume: if state == CandidateState::PreparedVolume { "data3".into() } else { String::new() },
            host: if state == CandidateState::PreparedVolume { "mail".into() } else { String::new() },
            detail: if state == CandidateState::Unknown {
                "only root can see what is on it".into()
            } else {
                String::new()
            },
            hint: if state == CandidateState::Empty { "datastore volume add data1".into() } else { String::new() },
        };
        Candidates { candidates: CandidateState::ALL.iter().enumerate().map(row).collect(), complete: false }
    }

    #[test]
    fn every_state_is_shown_with_what_there_is_to_say() {
        let text = candidates(&every_candidate(), Look::default());
        for state in CandidateState::ALL {
            assert!(text.lines().any(|line| line.starts_with(state.as_str())), "{state}: {text}");
        }
        for part in [
            "hint: datastore volume add data1\n",
            "it was prepared as volume data3 of host mail\n",
            "only root can see what is on it\n",
            "\nnot everything could be seen\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let none = Candidates { candidates: vec![], complete: true };
        assert!(candidates(&none, Look::default()).starts_with("no device is free"));
    }
}
