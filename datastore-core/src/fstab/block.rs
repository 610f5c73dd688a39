//! Our block: the lines between two marker lines.

/// The first line of our block, as we write it. Only the words before the bracket count when it is read.
pub const BEGIN: &[u8] = b"# datastore: begin (written by datastore(8), do not edit between these lines)\n";
/// The last line of our block, as we write it.
pub const END: &[u8] = b"# datastore: end\n";

const BEGIN_WORDS: &[u8] = b"# datastore: begin";
const END_WORDS: &[u8] = b"# datastore: end";

/// The lines of the markers, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) begin: usize,
    pub(super) end: usize,
}

/// The markers do not enclose one block, so nobody can tell which lines are ours. Nothing is edited then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// A begin without an end.
    #[error("line {line} of fstab begins datastore's block, but no line ends it")]
    Unclosed {
        /// The line of the begin, from 1.
        line: u32,
    },
    /// An end without a begin.
    #[error("line {line} of fstab ends datastore's block, but no line begins it")]
    Unopened {
        /// The line of the end, from 1.
        line: u32,
    },
    /// A begin inside a block.
    #[error("line {line} of fstab begins datastore's block again inside the block begun in line {first}")]
    Nested {
        /// The line of the second begin, from 1.
        line: u32,
        /// The line of the first begin, from 1.
        first: u32,
    },
    /// A second block.
    #[error("line {line} of fstab begins a second block of datastore; the first begins in line {first}")]
    Second {
        /// The line of the second begin, from 1.
        line: u32,
        /// The line of the first begin, from 1.
        first: u32,
    },
}

impl BlockError {
    /// The line in question, from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        match *self {
            Self::Unclosed { line }
            | Self::Unopened { line }
            | Self::Nested { line, .. }
            | Self::Second { line, .. } => line,
        }
    }

    /// What to do: a sentence without a full stop.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unclosed { .. } => "put the line `# datastore: end` after the last line that datastore wrote",
            Self::Unopened { .. } => {
                "put the line `# datastore: begin` before the first line that datastore wrote, or remove this one"
            }
            Self::Nested { .. } => "remove one of the two begin lines",
            Self::Second { .. } => "move the lines of the second block into the first and remove its two marker lines",
        }
    }
}

enum Marker {
    Begin,
    End,
}

fn marker(line: &[u8]) -> Option<Marker> {
    let line = line.trim_ascii();
    let is =
        |words: &[u8]| line.strip_prefix(words).is_some_and(|rest| matches!(rest.first(), None | Some(b' ' | b'\t')));
    if is(BEGIN_WORDS) {
        Some(Marker::Begin)
    } else if is(END_WORDS) {
        Some(Marker::End)
    } else {
        None
    }
}

/// Finds the block in the lines of a file.
pub(super) fn find<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<Option<Block>, BlockError> {
    let (mut open, mut found) = (None, None::<Block>);
    for (i, line) in lines.enumerate() {
        match (marker(line), open) {
            (None, _) => {}
            (Some(Marker::Begin), Some(first)) => {
                return Err(BlockError::Nested { line: super::number(i), first: super::number(first) });
            }
            (Some(Marker::Begin), None) => {
                if let Some(first) = found {
                    return Err(BlockError::Second { line: super::number(i), first: super::number(first.begin) });
                }
                open = Some(i);
            }
            (Some(Marker::End), None) => return Err(BlockError::Unopened { line: super::number(i) }),
            (Some(Marker::End), Some(begin)) => {
                found = Some(Block { begin, end: i });
                open = None;
            }
        }
    }
    match open {
        Some(begin) => Err(BlockError::Unclosed { line: super::number(begin) }),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> Result<Option<Block>, BlockError> {
        find(text.split_inclusive('\n').map(str::as_bytes))
    }

    #[test]
    fn one_block_or_none() {
        assert_eq!(block(""), Ok(None));
        assert_eq!(block("# datastore: beginning\n# datastore: ended\n"), Ok(None));
        assert_eq!(block("x\n# datastore: begin\n\n# datastore: end"), Ok(Some(Block { begin: 1, end: 3 })));
        assert_eq!(
            block("  # datastore: begin (older words)\r\n\t# datastore: end\r\n"),
            Ok(Some(Block { begin: 0, end: 1 }))
        );
        let ours = [BEGIN, END].concat();
        assert_eq!(find(ours.split_inclusive(|&b| b == b'\n')), Ok(Some(Block { begin: 0, end: 1 })));
    }

    #[test]
    fn broken_blocks_name_the_line() {
        let (b, e) = ("# datastore: begin\n", "# datastore: end\n");
        for (text, error) in [
            (format!("x\n{b}y\n"), BlockError::Unclosed { line: 2 }),
            (format!("x\n{e}y\n"), BlockError::Unopened { line: 2 }),
            (format!("{e}{b}"), BlockError::Unopened { line: 1 }),
            (format!("{b}x\n{b}{e}{e}"), BlockError::Nested { line: 3, first: 1 }),
            (format!("{b}{e}x\n{b}{e}"), BlockError::Second { line: 4, first: 1 }),
            (format!("{b}{e}{e}"), BlockError::Unopened { line: 3 }),
        ] {
            assert_eq!(block(&text), Err(error), "{text}");
            assert!(error.to_string().contains(&format!("line {}", error.line())) && !error.hint().is_empty());
        }
    }
}
