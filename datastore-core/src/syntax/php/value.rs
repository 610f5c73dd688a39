//! Values that can be known without running anything, and what string literals say.

use std::rc::Rc;

use super::finding::Finding;
use super::lex::name_length;
use crate::diag::{Code, Located};

/// How deep arrays may lie in one another: the deepest that means anything is mount point, key, option.
pub(super) const DEEPEST_LIST: u8 = 8;

/// What an expression gives.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(Rc<str>),
    Integer(i64),
    Bool(bool),
    Null,
    List(List),
    /// An element of an array that cannot be known, and why. Its neighbours can.
    Refused(Rc<Finding>),
}

/// An array. Cloning is cheap.
#[derive(Debug, Clone)]
pub(super) struct List {
    pub(super) entries: Rc<[Entry]>,
    /// 1 for an array that holds no array. It is bounded, for dropping a value recurses.
    pub(super) depth: u8,
}

/// `value` or `key => value`.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Option<Located<Value>>,
    pub(super) value: Located<Value>,
}

impl Value {
    /// What PHP makes of it when it is joined to a string; `None` for what is no scalar.
    pub(super) fn to_text(&self) -> Option<Rc<str>> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Integer(number) => Some(number.to_string().into()),
            Self::Bool(true) => Some("1".into()),
            Self::Bool(false) | Self::Null => Some("".into()),
            Self::List(_) | Self::Refused(_) => None,
        }
    }

    /// What it is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a number",
            Self::Bool(_) => "TRUE or FALSE",
            Self::Null => "NULL",
            Self::List(_) => "an array",
            Self::Refused(_) => "unknown",
        }
    }
}

/// An integer literal: decimal, or by its prefix octal, hexadecimal or binary. `None` where PHP makes a float of it
/// or does not take it at all.
pub(super) fn integer(literal: &str) -> Option<i64> {
    let digits = literal.replace('_', "");
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, &digits[..]),
    };
    i64::from_str_radix(digits, radix).ok()
}

/// What a literal in single quotes says: only `\\` and `\'` are escapes.
pub(super) fn quoted(literal: &str) -> Rc<str> {
    let inner = &literal[1..literal.len() - 1];
    if !inner.contains('\\') {
        return inner.into();
    }
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(&next @ ('\\' | '\''))) => {
                out.push(next);
                chars.next();
            }
            _ => out.push(c),
        }
    }
    out.into()
}

/// Works out what a literal in double quotes says. `variable` gives the text of a simple variable by its name (without
/// `$`) or says why not; `start` is where the literal stands in the file.
pub(super) fn template(
    literal: &str,
    start: u32,
    mut variable: impl FnMut(&str, (u32, u32)) -> Result<Rc<str>, Finding>,
) -> Result<Rc<str>, Finding> {
    let bytes = &literal.as_bytes()[1..literal.len() - 1];
    let place = |from: usize, to: usize| {
        let offset = |at: usize| start + 1 + u32::try_from(at).unwrap_or(0);
        (offset(from), offset(to))
    };
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        match rest[0] {
            b'\\' => {
                let taken = escape(rest, &mut out)
                    .ok_or_else(|| Finding::new(place(at, at + 2), Code::Syntax, "`\\u{...}` names no character"))?;
                at += taken;
            }
            b'$' if name_length(&rest[1..]) > 0 => {
                let n = 1 + name_length(&rest[1..]);
                if matches!(&rest[n..], [b'[', ..] | [b'-', b'>', ..] | [b'?', b'-', b'>', ..]) {
                    return Err(complicated(place(at, at + n)));
                }
                let name = std::str::from_utf8(&rest[1..n]).unwrap_or_default();
                out.extend_from_slice(variable(name, place(at, at + n))?.as_bytes());
                at += n;
            }
            b'{' if rest.get(1) == Some(&b'$') => {
                let n = name_length(&rest[2..]);
                if n == 0 || rest.get(2 + n) != Some(&b'}') {
                    return Err(complicated(place(at, at + 2 + n)));
                }
                let name = std::str::from_utf8(&rest[2..2 + n]).unwrap_or_default();
                out.extend_from_slice(variable(name, place(at, at + 3 + n))?.as_bytes());
                at += 3 + n;
            }
            b'$' if rest.get(1) == Some(&b'{') => return Err(complicated(place(at, at + 2))),
            byte => {
                out.push(byte);
                at += 1;
            }
        }
    }
    match String::from_utf8(out) {
        Ok(text) => Ok(text.into()),
        Err(_) => Err(Finding::new(place(0, bytes.len()), Code::BadValue, "the escapes in this string are not UTF-8")
            .hint("write the characters themselves")),
    }
}

fn complicated(range: (u32, u32)) -> Finding {
    Finding::new(range, Code::NotEvaluable, "only a simple variable can be worked out inside a string")
        .hint("write `{$name}`, or join the parts with ` . `")
}

/// Appends what the escape at the beginning of `rest` means, and gives its length. An escape that PHP does not know
/// stands for itself. `None` if `\u{...}` names no character.
fn escape(rest: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let digits = |from: usize, radix: u32, most: usize| {
        rest[from..].iter().take(most).take_while(|b| char::from(**b).is_digit(radix)).count()
    };
    let number = |from: usize, n: usize, radix: u32| {
        rest[from..from + n].iter().try_fold(0u32, |sum, b| {
            sum.checked_mul(radix).and_then(|s| s.checked_add(char::from(*b).to_digit(radix)?))
        })
    };
    let simple = match rest.get(1) {
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'r') => b'\r',
        Some(b'v') => 0x0b,
        Some(b'e') => 0x1b,
        Some(b'f') => 0x0c,
        Some(&b @ (b'\\' | b'$' | b'"')) => b,
        Some(b'0'..=b'7') => {
            let n = digits(1, 8, 3);
            // PHP keeps the low eight bits.
            out.push((number(1, n, 8)? & 0xff) as u8);
            return Some(1 + n);
        }
        Some(b'x') if digits(2, 16, 2) > 0 => {
            let n = digits(2, 16, 2);
            out.push((number(2, n, 16)? & 0xff) as u8);
            return Some(2 + n);
        }
        Some(b'u') if rest.get(2) == Some(&b'{') => {
            let n = digits(3, 16, rest.len());
            if n == 0 || rest.get(3 + n) != Some(&b'}') {
                return None;
            }
            let c = char::from_u32(number(3, n, 16)?)?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(4 + n);
        }
        // `\{` stands for itself, and hides the brace from a `$` after it.
        Some(b'{') => {
            out.extend_from_slice(b"\\{");
            return Some(2);
        }
        _ => {
            out.push(b'\\');
            return Some(1);
        }
    };
    out.push(simple);
    Some(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(literal: &str) -> Result<String, Code> {
        template(literal, 0, |name, range| match name {
            "base" => Ok("/store".into()),
            _ => Err(Finding::new(range, Code::NotEvaluable, "no")),
        })
        .map(|t| t.to_string())
        .map_err(|f| f.code)
    }

    #[test]
    fn single_quotes() {
        assert_eq!(&*quoted(r"'a\'b\\c\n$d'"), r"a'b\c\n$d");
        assert_eq!(&*quoted("''"), "");
    }

    #[test]
    fn double_quotes() {
        for (literal, text) in [
            (r#""a\tb\"\\\$x""#, "a\tb\"\\$x"),
            (r#""\x41\101\u{e9}\e""#, "AA\u{e9}\u{1b}"),
            (r#""\xc3\xa9""#, "\u{e9}"),
            (r#""\q\x\{$base""#, "\\q\\x\\{/store"),
            (r#""$base/x{$base}""#, "/store/x/store"),
            (r#""%{base}/www $ {x}""#, "%{base}/www $ {x}"),
        ] {
            assert_eq!(read(literal).as_deref(), Ok(text), "{literal}");
        }
    }

    #[test]
    fn double_quotes_refused() {
        for (literal, code) in [
            (r#""$other""#, Code::NotEvaluable),
            (r#""$base[0]""#, Code::NotEvaluable),
            (r#""$base->x""#, Code::NotEvaluable),
            (r#""{$base['a']}""#, Code::NotEvaluable),
            (r#""${base}""#, Code::NotEvaluable),
            (r#""\xff""#, Code::BadValue),
            (r#""\u{110000}""#, Code::Syntax),
            (r#""\u{ffffffffffff}""#, Code::Syntax),
            (r#""\u{}""#, Code::Syntax),
        ] {
            assert_eq!(read(literal), Err(code), "{literal}");
        }
    }

    #[test]
    fn integers() {
        assert_eq!(integer("0755"), Some(493));
        assert_eq!(integer("0o17"), Some(15));
        assert_eq!(integer("0x1F"), Some(31));
        assert_eq!(integer("1_000"), Some(1000));
        assert_eq!(integer("089"), None);
        assert_eq!(integer("99999999999999999999"), None);
    }
}
