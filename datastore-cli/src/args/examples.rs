//! The examples in the help of a verb: lines that begin with two spaces, each a command and, behind two spaces or more, what it does.

/// The command of such a line, without what the shell does around it.
pub(crate) fn command(line: &str) -> &str {
    let line = line.trim_start();
    let line = line.split_once("  ").map_or(line, |(command, _)| command);
    let line = line.strip_prefix("source <(").map_or(line, |inner| inner.trim_end_matches(')'));
    line.split_once([';', '&', '|', '>', '<']).map_or(line, |(command, _)| command).trim_end()
}
