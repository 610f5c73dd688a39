//! What the reader objects to, before it is turned into a [`Diagnostic`].

use crate::diag::{Code, Diagnostic, FileId, Severity, Sources, Span};

/// How many errors, and how many warnings, are shown of one file. To print one costs a walk through the file, so a
/// large file full of mistakes must not cost a walk for each.
const SHOWN: usize = 100;

/// One objection. Offsets are bytes of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) code: Code,
    pub(super) severity: Severity,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Finding {
    /// An error about a range of bytes.
    pub(super) fn new(range: (u32, u32), code: Code, message: impl Into<String>) -> Self {
        Self { start: range.0, end: range.1, code, severity: Severity::Error, message: message.into(), hint: None }
    }
    /// An error about a value.
    pub(super) fn at(span: Span, code: Code, message: impl Into<String>) -> Self {
        Self::new((span.start, span.end), code, message)
    }
    /// The same with a hint.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// The same, no worse than `severity`.
    pub(super) fn at_most(mut self, severity: Severity) -> Self {
        self.severity = self.severity.min(severity);
        self
    }
}

/// The objections to one file: the first hundred of each severity, and how many more there are.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    errors: usize,
    warnings: usize,
    first_dropped: Option<Code>,
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        let count = match finding.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= SHOWN {
            self.kept.push(finding);
        } else if self.first_dropped.is_none() {
            self.first_dropped = Some(finding.code);
        }
    }

    /// All as diagnostics, in the order of the file.
    pub(super) fn diagnose(mut self, file: FileId, sources: &Sources) -> Vec<Diagnostic> {
        self.kept.sort_by_key(|f| f.start);
        let mut out: Vec<_> = self
            .kept
            .into_iter()
            .map(|f| {
                let span = Span { file, start: f.start, end: f.end };
                Diagnostic { severity: f.severity, hint: f.hint, ..sources.diagnose(span, f.code, f.message) }
            })
            .collect();
        if let Some(code) = self.first_dropped {
            let more = self.errors.saturating_sub(SHOWN) + self.warnings.saturating_sub(SHOWN);
            let last = Diagnostic::about_file(sources.name(file), code, format!("{more} more findings are not shown"))
                .hint("mend the ones above, then check again");
            // Errors beyond the limit imply errors that are shown, so this one may be a warning.
            out.push(last.warning());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_no_error_hides_behind_warnings() {
        let mut sources = Sources::default();
        let file = sources.add("a.conf", "$x");
        let mut findings = Findings::default();
        for _ in 0..500 {
            findings.push(Finding::new((0, 1), Code::Duplicate, "twice").at_most(Severity::Warning));
        }
        findings.push(Finding::new((0, 1), Code::Syntax, "wrong"));
        let all = findings.diagnose(file, &sources);
        assert_eq!(all.len(), SHOWN + 2);
        assert_eq!(all.iter().filter(|d| d.is_error()).count(), 1);
        assert_eq!(all.last().unwrap().message, "400 more findings are not shown");
    }
}
