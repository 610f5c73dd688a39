//! One line of fstab: its six fields, and the escapes in them.
//!
//! Reading follows libmount (util-linux 2.38, the reader behind mount(8), findmnt(8) and systemd), so that we see an
//! entry exactly where it sees one; `tests/fstab_findmnt.rs` holds the two against each other.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::text;
use crate::AbsPath;
use crate::path::printable;
use crate::planted::{Bug, has};

/// The six fields of a line (fstab(5)), with their escapes resolved.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// What is mounted: `LABEL=data0`, `/dev/sda1`, `server:/export`, or the source directory of a bind.
    #[serde(with = "text")]
    pub spec: Vec<u8>,
    /// Where: the mount point, or `none`.
    #[serde(with = "text")]
    pub file: Vec<u8>,
    /// The type of the file system; `none` for a bind.
    #[serde(with = "text")]
    pub vfstype: Vec<u8>,
    /// The mount options, separated by commas. Empty where a hand-made line ends before them.
    #[serde(with = "text")]
    pub options: Vec<u8>,
    /// For dump(8); 0 where missing. A negative number reads as 0, one that is too large as the largest.
    pub freq: u32,
    /// The order of fsck(8) at boot; 0 where missing. Read as `freq` is.
    pub passno: u32,
}

impl Entry {
    /// Reads one line, with or without its line end.
    ///
    /// `None` is a blank line, a comment, or a line that libmount passes over too: fewer than three fields, a fifth or
    /// sixth field that is no number, or a NUL byte. What follows the sixth field is ignored. A carriage return just
    /// before the line end belongs to the line end.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut rest = skip_blanks(line);
        if rest.is_empty() || rest[0] == b'#' || memchr::memchr(0, rest).is_some() {
            return None;
        }
        let spec = field(&mut rest)?;
        let file = field(&mut rest)?;
        let vfstype = field(&mut rest)?;
        let options = field(&mut rest).unwrap_or_default();
        let freq = number(&mut rest)?;
        let passno = number(&mut rest)?;
        Some(Self { spec, file, vfstype, options, freq, passno })
    }

    /// The line, without a line end: fields separated by one space, with exactly space, tab, newline and backslash
    /// escaped as `\040 \011 \012 \134`. systemd keeps any other escape literal.
    ///
    /// Not every entry can be written: an empty field, a NUL byte or a `#` at the very beginning would not be read
    /// back. [`Entry::is_writable`] tells.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let fields = [&self.spec, &self.file, &self.vfstype, &self.options];
        let mut out = Vec::with_capacity(fields.iter().map(|f| f.len() + 1).sum::<usize>() + 8);
        for text in fields {
            if has(Bug::UnescapedFstab) {
                out.extend_from_slice(text);
            } else {
                escape_into(&mut out, text);
            }
            out.push(b' ');
        }
        match (self.freq, self.passno) {
            (0, 0) => out.extend_from_slice(b"0 0"),
            (freq, passno) => out.extend_from_slice(format!("{freq} {passno}").as_bytes()),
        }
        out
    }

    /// Whether [`Entry::render`] gives a line which reads back as this entry.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        let fields = [&self.spec, &self.file, &self.vfstype, &self.options];
        self.spec.first() != Some(&b'#') && fields.iter().all(|f| !f.is_empty() && memchr::memchr(0, f).is_none())
    }

    /// The options in their order. A comma between double quotes does not separate (mount(8)).
    pub fn option_list(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.options;
        let is_quoted = memchr::memchr(b'"', rest).is_some();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let comma = if is_quoted { bare_comma(rest) } else { memchr::memchr(b',', rest) };
            let end = comma.unwrap_or(rest.len());
            let option = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            Some(option)
        })
        .filter(|option| !option.is_empty())
    }

    /// Whether an option has this name, with or without a value.
    #[must_use]
    pub fn has_option(&self, name: &str) -> bool {
        self.option_list().any(|option| {
            option.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'='))
        })
    }

    /// The value of an option such as `X-datastore=home`; the last one if it is given several times, as mount(8) has it.
    #[must_use]
    pub fn option_value(&self, key: &str) -> Option<&[u8]> {
        self.option_list().filter_map(|option| option.strip_prefix(key.as_bytes())?.strip_prefix(b"=")).last()
    }

    /// Whether it is a bind mount.
    #[must_use]
    pub fn is_bind(&self) -> bool {
        self.has_option("bind") || self.has_option("rbind")
    }

    /// The mount point; `None` for swap and for anything that is no path in our sense (such as one with `..`).
    /// Components `.` are left out, as mount(8) and systemd do: such a line mounts something there all the same.
    #[must_use]
    pub fn mount_point(&self) -> Option<AbsPath> {
        if memchr::memmem::find(&self.file, b"/.").is_none() {
            return AbsPath::from_kernel(&self.file).ok();
        }
        let mut plain = self.file.split(|&b| b == b'/').filter(|c| *c != b".").collect::<Vec<_>>().join(&b'/');
        if plain.is_empty() {
            plain.push(b'/');
        }
        AbsPath::from_kernel(&plain).ok()
    }

    /// Where the line belongs in our block, before its mount point is looked at: file systems (0), then volumes that
    /// are bound directories (1), then the binds of mappings (2), which carry `X-datastore=`.
    pub(super) fn rank(&self) -> u8 {
        match (self.is_bind(), self.has_option("X-datastore")) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => 2,
        }
    }
}

/// Prints the line as it would be written, fit for a message.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.render()))
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({self})")
    }
}

/// Where the first comma stands that is not between double quotes.
fn bare_comma(options: &[u8]) -> Option<usize> {
    let (mut quoted, mut before) = (false, 0);
    options.iter().position(|&b| {
        if b == b'"' && before != b'\\' {
            quoted = !quoted;
        }
        before = b;
        b == b',' && !quoted
    })
}

fn skip_blanks(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(line.len());
    &line[start..]
}

/// Takes one field off, resolved. A `\000` in it ends its text, since libmount holds it as a C string.
fn field(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let text = skip_blanks(rest);
    let end = memchr::memchr2(b' ', b'\t', text).unwrap_or(text.len());
    *rest = &text[end..];
    if end == 0 {
        return None;
    }
    let mut out = unescape(&text[..end]).into_owned();
    if let Some(nul) = memchr::memchr(0, &out) {
        out.truncate(nul);
    }
    Some(out)
}

/// Takes the fifth or sixth field off, as libmount does with strtol(3): 0 where the line has ended, `None` where
/// something else than a number stands there.
fn number(rest: &mut &[u8]) -> Option<u32> {
    let text = skip_blanks(rest);
    if text.is_empty() {
        *rest = text;
        return Some(0);
    }
    // strtol(3) passes over any white space, not only the blanks that separate fields.
    let start = text.iter().position(|b| !matches!(b, b' ' | b'\t' | 0x0a..=0x0d)).unwrap_or(text.len());
    let text = &text[start..];
    let (negative, digits) = match text.first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let end = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
    if end == 0 || !matches!(digits.get(end), None | Some(b' ' | b'\t')) {
        return None;
    }
    *rest = &digits[end..];
    let value = digits[..end].iter().fold(0_u32, |n, d| n.saturating_mul(10).saturating_add(u32::from(d - b'0')));
    Some(if negative { 0 } else { value })
}

fn escape_into(out: &mut Vec<u8>, text: &[u8]) {
    for &b in text {
        match b {
            b' ' => out.extend_from_slice(b"\\040"),
            b'\t' => out.extend_from_slice(b"\\011"),
            b'\n' => out.extend_from_slice(b"\\012"),
            b'\\' => out.extend_from_slice(b"\\134"),
            _ => out.push(b),
        }
    }
}

/// The text with exactly space, tab, newline and backslash as `\040 \011 \012 \134`: how we write fstab, and how the
/// kernel writes the paths in mountinfo.
#[must_use]
pub fn escape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 8);
    escape_into(&mut out, text);
    out
}

/// Resolves every `\ooo` of three octal digits, as libmount does for fstab and mountinfo alike; only the low eight bits
/// of the number count. Any other backslash stands for itself.
#[must_use]
pub fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'\\', text) else {
        return Cow::Borrowed(text);
    };
    let mut out = Vec::with_capacity(text.len());
    out.extend_from_slice(&text[..first]);
    let mut rest = &text[first..];
    while let Some((&b, after)) = rest.split_first() {
        match rest {
            [b'\\', a @ b'0'..=b'7', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                out.push(((a & 7) << 6) | ((b & 7) << 3) | (c & 7));
                rest = tail;
            }
            _ => {
                out.push(b);
                rest = after;
            }
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(text: &str) -> Option<Entry> {
        Entry::parse(text.as_bytes())
    }

    #[test]
    fn real_lines() {
        let e = entry("LABEL=data0 /store/data0 ext4 defaults,nofail,x-systemd.device-timeout=30s 0 2\n").unwrap();
        assert_eq!(e.mount_point(), Some(AbsPath::literal("/store/data0")));
        assert_eq!((e.freq, e.passno, e.rank()), (0, 2, 0));
        assert_eq!(e.option_value("x-systemd.device-timeout"), Some(&b"30s"[..]));
        assert!(e.has_option("nofail") && !e.has_option("no") && !e.has_option("x-systemd"));
        assert_eq!(e.render(), b"LABEL=data0 /store/data0 ext4 defaults,nofail,x-systemd.device-timeout=30s 0 2");

        let e =
            entry("/store/data0/live/server1/home\t/home/\tnone\tbind,rw,X-datastore=a,X-datastore=home\t0 0").unwrap();
        assert_eq!(e.mount_point(), Some(AbsPath::literal("/home")));
        assert_eq!(e.option_value("X-datastore"), Some(&b"home"[..]));
        assert_eq!(e.rank(), 2);
        assert_eq!(entry("/big /store/data1 none rbind 0 0").unwrap().rank(), 1);
        assert_eq!(entry("UUID=1 none swap sw 0 0").unwrap().mount_point(), None);
        assert_eq!(entry("a /b/../c ext4 rw").unwrap().mount_point(), None);
        assert_eq!(entry("a /b/./c/. ext4 rw").unwrap().mount_point(), Some(AbsPath::literal("/b/c")));
        assert_eq!(entry("a /.b/.c ext4 rw").unwrap().mount_point(), Some(AbsPath::literal("/.b/.c")));
        assert_eq!(entry("a /. ext4 rw").unwrap().mount_point(), Some(AbsPath::root()));
        assert_eq!(entry("a ./b ext4 rw").unwrap().mount_point(), None);
    }

    #[test]
    fn what_is_no_entry() {
        for text in [
            "",
            "\r\n",
            "  \t",
            "# c",
            " #c",
            "/a",
            "/a /b",
            "/a /b ext4 rw x",
            "/a /b ext4 rw 0 2x",
            "a b c d 1 #",
            "a b c d\0 0 0",
        ] {
            assert_eq!(entry(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_libmount_tolerates() {
        let e = entry(" \t /a  /b\text4\r\n").unwrap();
        assert_eq!((&e.vfstype[..], &e.options[..], e.freq), (&b"ext4"[..], &b""[..], 0));
        assert!(!e.is_writable());
        assert_eq!(entry("a b c d 1 2 # note").unwrap().passno, 2);
        assert_eq!(entry("a b c d -1 99999999999").map(|e| (e.freq, e.passno)), Some((0, u32::MAX)));
        assert_eq!(entry("a b c d \x0b +7").map(|e| e.freq), Some(7));
        assert_eq!(entry("a b\\000c d e").unwrap().file, b"b");
        assert_eq!(entry("a \\040\\011\\012\\134\\043\\777\\08\\ d e").unwrap().file, b" \t\n\\#\xff\\08\\");
    }

    #[test]
    fn quoted_commas_do_not_separate() {
        let e = entry("a b c x=\"1,2\",,y,context=\"a:b,c\" 0 0").unwrap();
        assert_eq!(e.option_list().collect::<Vec<_>>(), [&b"x=\"1,2\""[..], b"y", b"context=\"a:b,c\""]);
        assert!(e.has_option("y") && !e.has_option("2\""));
    }

    #[test]
    fn exactly_four_bytes_are_escaped() {
        for b in 1..=255_u8 {
            let e = Entry {
                spec: vec![b'/', b],
                file: vec![b'/', b, b'x'],
                vfstype: b"t".into(),
                options: vec![b, b],
                freq: 0,
                passno: 1,
            };
            assert_eq!(Entry::parse(&e.render()), Some(e.clone()), "{b}");
            assert_eq!(e.render().contains(&b'\\'), matches!(b, b' ' | b'\t' | b'\n' | b'\\'), "{b}");
        }
    }

    #[test]
    fn unwritable_entries() {
        let good = entry("a b c d 0 0").unwrap();
        assert!(good.is_writable());
        for bad in [
            Entry { spec: b"#a".into(), ..good.clone() },
            Entry { file: Vec::new(), ..good.clone() },
            Entry { options: b"r\0w".into(), ..good.clone() },
        ] {
            assert!(!bad.is_writable() && Entry::parse(&bad.render()).as_ref() != Some(&bad), "{bad:?}");
        }
    }

    #[test]
    fn json_keeps_every_byte() {
        let e = entry("a /\\040\\377 c d 0 0").unwrap();
        let json = serde_json::to_string(&e).unwrap();
        assert_eq!(json, r#"{"spec":"a","file":[47,32,255],"vfstype":"c","options":"d","freq":0,"passno":0}"#);
        assert_eq!(serde_json::from_str::<Entry>(&json).unwrap(), e);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            if let Some(e) = Entry::parse(&bytes) {
                prop_assert!(!e.is_writable() || Entry::parse(&e.render()) == Some(e));
            }
        }

        #[test]
        fn an_entry_reads_back(fields in prop::collection::vec(prop::collection::vec(1_u8.., 1..12), 4), freq: u32, passno: u32) {
            let [spec, file, vfstype, options] = fields.try_into().unwrap();
            let e = Entry { spec, file, vfstype, options, freq, passno };
            prop_assume!(e.is_writable());
            prop_assert_eq!(Entry::parse(&e.render()), Some(e));
        }

        #[test]
        fn escapes_undo_each_other(bytes: Vec<u8>) {
            let escaped = escape(&bytes);
            prop_assert_eq!(unescape(&escaped), bytes);
        }
    }
}
