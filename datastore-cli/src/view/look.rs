//! How wide the terminal is, and whether it takes colours.

use std::io::IsTerminal as _;

use anstyle::{AnsiColor, Style};
use datastore_core::state::State;

/// How to draw.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Look {
    /// Columns of the terminal; `None` for a pipe or a file, where nothing is cut.
    pub(super) width: Option<usize>,
    /// Whether to use colours.
    pub(super) colour: bool,
}

impl Look {
    /// What standard output wants: colours only on a terminal that is not dumb, and not with `NO_COLOR` (no-color.org).
    pub(super) fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        if !stdout.is_terminal() {
            return Self::default();
        }
        let set = |name| std::env::var_os(name).filter(|v| !v.is_empty());
        let colour = set("NO_COLOR").is_none() && set("TERM").is_some_and(|t| t != "dumb");
        let width = terminal_size::terminal_size_of(&stdout).map(|(w, _)| usize::from(w.0));
        // A terminal that does not know its width (a serial line) has 0.
        Self { width: width.filter(|w| *w > 0), colour }
    }

    /// The text in a style.
    pub(super) fn paint(self, style: Style, text: &str) -> String {
        if self.colour && style != Style::new() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// The colour of a state.
pub(super) fn colour_of(state: State) -> Style {
    let colour = |c: AnsiColor| Style::new().fg_color(Some(c.into()));
    match state {
        State::Active => colour(AnsiColor::Green),
        State::Refused | State::Interrupted => colour(AnsiColor::Red).bold(),
        State::Pending | State::Drifted | State::Waiting => colour(AnsiColor::Yellow),
        State::Moving => colour(AnsiColor::Cyan),
        State::Inactive | State::Disabled => Style::new().dimmed(),
    }
}
