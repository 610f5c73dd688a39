//! How deep a text in TOML nests, told before anybody reads it.
//!
//! The reader has a limit for the parts of one key and one for tables in tables, and the two multiply: a few kilobytes become a tree of
//! thousands of levels, which is taken apart by recursion, and that takes more stack than a thread has.

/// More levels than this are no configuration; ours has four.
const DEEPEST: usize = 128;

/// Whether a text may nest deeper than anything of ours does.
pub(crate) fn is_too_deep(text: &str) -> bool {
    let mut rest = text.as_bytes();
    // The parts of the keys in front of the brackets that are open, and of the one that is being read.
    let (mut above, mut here): (Vec<usize>, usize) = (Vec::new(), 1);
    let mut all = here;
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'"' | b'\'' => rest = behind_text(*first, after),
            b'#' => rest = &after[memchr::memchr(b'\n', after).unwrap_or(after.len())..],
            b'.' => (here, all) = (here + 1, all + 1),
            b'[' | b'{' => {
                above.push(here);
                (here, all) = (1, all + 1);
            }
            b']' | b'}' => {
                if let Some(outer) = above.pop() {
                    (here, all) = (outer, all - here);
                }
            }
            b',' => (here, all) = (1, all + 1 - here),
            b'\n' if above.is_empty() => (here, all) = (1, 1),
            _ => {}
        }
        if all > DEEPEST {
            return true;
        }
    }
    false
}

/// What follows a text in quotes, of which the first was taken off. One on a single line ends there.
fn behind_text(quote: u8, rest: &[u8]) -> &[u8] {
    if let [a, b, inside @ ..] = rest
        && (*a, *b) == (quote, quote)
    {
        let mut at = 0;
        while at < inside.len() {
            match inside[at] {
                b'\\' if quote == b'"' => at += 2,
                b if b == quote && inside[at..].starts_with(&[quote; 3]) => return &inside[at + 3..],
                _ => at += 1,
            }
        }
        return &[];
    }
    let mut at = 0;
    while at < rest.len() {
        match rest[at] {
            b'\n' => return &rest[at..],
            b'\\' if quote == b'"' => at += 2,
            b if b == quote => return &rest[at + 1..],
            _ => at += 1,
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_outside_of_texts_nests() {
        let many = |text: &str| text.repeat(1000);
        for plain in [
            format!("a = \"{}\"", many("[{.")),
            format!("a = '{}' # {}\nb = 1", many("[{."), many("[")),
            format!("a = \"\"\"{}\n\\\"\"\"\"\nb = '''{}'''", many("[{.\n"), many("[")),
            format!("a = [{}]", many("1.5, ")),
            format!("mapping = {{{}}}", many("\"/a.b\" = { target.x = 1 }, ")),
            many("[a.b]\nc.d = 1\n"),
        ] {
            assert!(!is_too_deep(&plain), "{plain:.80}");
        }
        for deep in [many("["), many("a = {"), format!("{} = 1", many("a.")), format!("a = \"{}\n{}", "[", many("["))] {
            assert!(is_too_deep(&deep), "{deep:.80}");
        }
        let keys = vec!["a"; 30].join(".");
        assert!(is_too_deep(&format!("{keys} = {{ ").repeat(5)));
    }
}
