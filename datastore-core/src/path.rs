//! Absolute paths, as the kernel sees them: bytes.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

/// The longest path that a system call takes, its terminating NUL included (`PATH_MAX`, limits.h).
pub const PATH_MAX: usize = 4096;
/// The longest name of one directory entry (`NAME_MAX`, limits.h).
pub const NAME_MAX: usize = 255;

/// An absolute path in its only spelling: it begins with `/`, and has no empty, `.` or `..` component, no NUL, no
/// slash at its end (but for `/` itself), and fits the kernel's limits.
///
/// It is relative to the *root* that the user gave (`--root`), which core never sees. Cloning is cheap. The order is
/// that of the bytes, in which a directory comes before everything inside it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbsPath(Arc<[u8]>);

/// Why some bytes are not an [`AbsPath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Nothing at all.
    #[error("the path is empty")]
    Empty,
    /// It does not begin with `/`.
    #[error("the path is relative; it must begin with `/`")]
    Relative,
    /// A component is `..`.
    #[error("the path contains `..`")]
    ParentComponent,
    /// A component is `.`, which some readers of fstab do not fold.
    #[error("the path contains `.` as a component")]
    DotComponent,
    /// A byte is NUL or another control character.
    #[error("the path contains a control character")]
    Control,
    /// A component is longer than [`NAME_MAX`] bytes.
    #[error("a component of the path is longer than 255 bytes")]
    NameTooLong,
    /// The whole is longer than [`PATH_MAX`] allows.
    #[error("the path is longer than 4095 bytes")]
    TooLong,
}

impl AbsPath {
    /// Reads a path that somebody wrote: repeated slashes and one at the end are folded, control characters refused.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let text = text.as_ref();
        // Those of Unicode beyond ASCII as well: terminals obey some of them, and a message would show none of them as it is.
        let is_control = |chunk: std::str::Utf8Chunk<'_>| chunk.valid().contains(char::is_control);
        if text.iter().any(u8::is_ascii_control) || !text.is_ascii() && text.utf8_chunks().any(is_control) {
            return Err(PathError::Control);
        }
        Self::from_kernel(text)
    }

    /// Takes a path as the kernel gives it: the same, but any byte other than NUL may stand in it.
    pub fn from_kernel(bytes: &[u8]) -> Result<Self, PathError> {
        match bytes.first() {
            None => return Err(PathError::Empty),
            Some(b'/') => {}
            Some(_) => return Err(PathError::Relative),
        }
        // Nearly every path comes in its only spelling; then it is copied once.
        let mut length = 0;
        for component in components(bytes) {
            match component {
                b".." => return Err(PathError::ParentComponent),
                b"." => return Err(PathError::DotComponent),
                c if c.len() > NAME_MAX => return Err(PathError::NameTooLong),
                c => length += 1 + c.len(),
            }
        }
        if memchr::memchr(0, bytes).is_some() {
            return Err(PathError::Control);
        }
        if length >= PATH_MAX {
            return Err(PathError::TooLong);
        }
        if length == bytes.len() || bytes.len() == 1 {
            return Ok(Self(bytes.into()));
        }
        let mut out = Vec::with_capacity(length.max(1));
        for component in components(bytes) {
            out.push(b'/');
            out.extend_from_slice(component);
        }
        if out.is_empty() {
            out.push(b'/');
        }
        Ok(Self(out.into()))
    }

    /// A path that the code itself spells out.
    ///
    /// # Panics
    /// If the literal is not a path. Never call it with input.
    #[must_use]
    pub fn literal(text: &'static str) -> Self {
        Self::parse(text).expect("a path literal in the code is valid")
    }

    /// `/`.
    #[must_use]
    pub fn root() -> Self {
        Self::literal("/")
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path without its first slash: what to resolve below a descriptor of the root. Empty for `/`.
    #[must_use]
    pub fn relative(&self) -> &[u8] {
        &self.0[1..]
    }

    /// The text, where the bytes are UTF-8. Paths from configuration always are.
    #[must_use]
    pub fn to_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Whether this is `/`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// The directory that holds it; `None` for `/`.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let slash = self.0.iter().rposition(|&b| b == b'/').expect("an absolute path has a slash");
        Some(if slash == 0 { Self::root() } else { Self(self.0[..slash].into()) })
    }

    /// The last component; empty for `/`.
    #[must_use]
    pub fn file_name(&self) -> &[u8] {
        let slash = self.0.iter().rposition(|&b| b == b'/').expect("an absolute path has a slash");
        &self.0[slash + 1..]
    }

    /// The components, from the top.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        components(&self.0)
    }

    /// Every directory above it, nearest first, `/` last.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.parent(), Self::parent)
    }

    /// The same as bytes, for look-ups: none of them is made anew.
    pub fn above(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let slash = rest.iter().rposition(|&b| b == b'/').filter(|_| rest.len() > 1)?;
            rest = &rest[..slash.max(1)];
            Some(rest)
        })
    }

    /// How many components it has; 0 for `/`.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.components().count()
    }

    /// Whether it is `other` or lies below it, by components: `/ab` is not within `/a`.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        other.is_root() || (self.0.starts_with(&other.0) && matches!(self.0.get(other.0.len()), None | Some(b'/')))
    }

    /// Whether it lies below `other` and is not `other`.
    #[must_use]
    pub fn is_below(&self, other: &Self) -> bool {
        self != other && self.is_within(other)
    }

    /// What remains of it below `base`, with its leading slash; `None` if it is not within `base`. `/` if equal.
    #[must_use]
    pub fn below(&self, base: &Self) -> Option<Self> {
        if !self.is_within(base) {
            return None;
        }
        if base.is_root() {
            return Some(self.clone());
        }
        let rest = &self.0[base.0.len()..];
        Some(if rest.is_empty() { Self::root() } else { Self(rest.into()) })
    }

    /// This path with more components after it. The text may hold several, and may begin with a slash.
    pub fn join(&self, rest: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let mut bytes = self.0.to_vec();
        bytes.push(b'/');
        bytes.extend_from_slice(rest.as_ref());
        Self::from_kernel(&bytes)
    }

    /// [`AbsPath::join`] for names that the code itself spells out or that were checked before.
    ///
    /// # Panics
    /// If the result is no path.
    #[must_use]
    pub fn child(&self, rest: &str) -> Self {
        self.join(rest).expect("a checked name joins a path")
    }
}

/// What stands between the slashes.
fn components(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&b| b == b'/').filter(|c| !c.is_empty())
}

/// A path is looked up by its bytes too: equality, order and hash are theirs.
impl std::borrow::Borrow<[u8]> for AbsPath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// Prints the path as text; bytes that are not UTF-8 and control characters are escaped as `\xNN`, so that a path can
/// stand in a message without breaking the line or the terminal.
impl fmt::Display for AbsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.0))
    }
}

impl fmt::Debug for AbsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AbsPath({self})")
    }
}

/// Whether bytes are printable ASCII, which [`printable`] leaves as it is.
#[must_use]
pub fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| (0x20..0x7f).contains(b))
}

/// The bytes as text for a message: what is not UTF-8 or is a control character becomes `\xNN`.
#[must_use]
pub fn printable(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(bytes.len());
    // Nearly every text is plain, and a list of thousands of rows has a hundred thousand of them.
    if let (true, Ok(text)) = (is_plain(bytes), std::str::from_utf8(bytes)) {
        out.push_str(text);
        return out;
    }
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                let mut buffer = [0; 4];
                for b in c.encode_utf8(&mut buffer).bytes() {
                    let _ = write!(out, "\\x{b:02x}");
                }
            } else {
                out.push(c);
            }
        }
        for b in chunk.invalid() {
            let _ = write!(out, "\\x{b:02x}");
        }
    }
    out
}

/// A path that is UTF-8 is a string; any other is its list of bytes, so that nothing is lost.
impl Serialize for AbsPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => serializer.collect_seq(self.0.iter()),
        }
    }
}

impl<'de> Deserialize<'de> for AbsPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = AbsPath;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an absolute path")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<AbsPath, E> {
                AbsPath::from_kernel(text.as_bytes()).map_err(E::custom)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<AbsPath, A::Error> {
                let mut bytes = Vec::new();
                while let Some(b) = seq.next_element::<u8>()? {
                    bytes.push(b);
                }
                AbsPath::from_kernel(&bytes).map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling() {
        for (given, kept) in [("/", "/"), ("//", "/"), ("/a//b/", "/a/b"), ("/a/b", "/a/b")] {
            assert_eq!(AbsPath::parse(given).unwrap().to_str().unwrap(), kept);
        }
    }

    #[test]
    fn refusals() {
        for (given, why) in [
            ("", PathError::Empty),
            ("a/b", PathError::Relative),
            ("/a/../b", PathError::ParentComponent),
            ("/a/./b", PathError::DotComponent),
            ("/a\nb", PathError::Control),
            ("/a\0b", PathError::Control),
            ("/a\u{9b}b", PathError::Control),
        ] {
            assert_eq!(AbsPath::parse(given), Err(why), "{given:?}");
        }
        assert_eq!(AbsPath::parse(format!("/{}", "x".repeat(256))), Err(PathError::NameTooLong));
        assert_eq!(AbsPath::parse("/abcdefg".repeat(600)), Err(PathError::TooLong));
    }

    #[test]
    fn containment_is_by_component() {
        let a = AbsPath::literal("/a");
        assert!(AbsPath::literal("/a/b").is_below(&a));
        assert!(a.is_within(&a) && !a.is_below(&a));
        assert!(!AbsPath::literal("/ab").is_within(&a));
        assert!(a.is_below(&AbsPath::root()));
        assert_eq!(AbsPath::literal("/a/b/c").below(&a), Some(AbsPath::literal("/b/c")));
        assert_eq!(a.below(&a), Some(AbsPath::root()));
    }

    #[test]
    fn what_lies_above() {
        for path in ["/", "/a", "/a/b", "/ab/c/d"].map(AbsPath::literal) {
            let ancestors: Vec<AbsPath> = path.ancestors().collect();
            assert!(path.above().eq(ancestors.iter().map(AbsPath::as_bytes)), "{path}");
        }
        let index = std::collections::HashMap::from([(AbsPath::literal("/a"), 1)]);
        assert_eq!(AbsPath::literal("/a/b").above().find_map(|at| index.get(at)), Some(&1));
    }

    #[test]
    fn parents_sort_first() {
        let mut paths: Vec<_> = ["/a/b", "/a-b", "/a", "/a/b/c"].map(AbsPath::literal).to_vec();
        paths.sort();
        assert_eq!(paths, ["/a", "/a-b", "/a/b", "/a/b/c"].map(AbsPath::literal));
    }

    #[test]
    fn bytes_survive_json() {
        let odd = AbsPath::from_kernel(b"/a\xff\nb").unwrap();
        let json = serde_json::to_string(&odd).unwrap();
        assert_eq!(serde_json::from_str::<AbsPath>(&json).unwrap(), odd);
        assert_eq!(odd.to_string(), "/a\\xff\\x0ab");
    }
}
