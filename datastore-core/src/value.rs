//! Small checked values: names, modes and identities. A value that exists is valid, so inner code never checks again.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is not the value that it should be: a sentence without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(pub String);

fn refuse<T>(why: impl Into<String>) -> Result<T, ValueError> {
    Err(ValueError(why.into()))
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks a text.
            pub fn parse(text: &str) -> Result<Self, ValueError> {
                let check: fn(&str) -> Result<(), ValueError> = $check;
                check(text)?;
                Ok(Self(text.into()))
            }
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = ValueError;
            fn from_str(text: &str) -> Result<Self, ValueError> {
                Self::parse(text)
            }
        }
        impl TryFrom<String> for $name {
            type Error = ValueError;
            fn try_from(text: String) -> Result<Self, ValueError> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().into()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

/// Names that become file names: ASCII letters, digits, `-`, `_`, `.` and `@`, not beginning with `.` or `-`.
fn file_stem(what: &str, text: &str, longest: usize) -> Result<(), ValueError> {
    if text.is_empty() {
        return refuse(format!("the {what} is empty"));
    }
    if text.len() > longest {
        return refuse(format!("the {what} is longer than {longest} characters"));
    }
    if text.starts_with(['.', '-']) {
        return refuse(format!("the {what} `{text}` begins with `{}`", &text[..1]));
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@'))) {
        Some(c) => refuse(format!("the {what} contains {c:?}; letters, digits, `-`, `_`, `.` and `@` are allowed")),
        None => Ok(()),
    }
}

name_type!(
    /// The name of an app: that of its configlet without `.conf`. It never ends in `.local`, which marks an override.
    AppName,
    |text| {
        file_stem("app name", text, 128)?;
        if text.ends_with(".local") { refuse("an app name must not end in `.local`") } else { Ok(()) }
    }
);
name_type!(
    /// The name of a volume, `data0` and so on; also its directory below `/store` and its label.
    VolumeName,
    |text| {
        file_stem("volume name", text, 64)?;
        if text.contains('@') { refuse("a volume name must not contain `@`") } else { Ok(()) }
    }
);
name_type!(
    /// The name of the host that presents the data, written to the config by `init`.
    HostName,
    |text| {
        file_stem("host name", text, 64)?;
        // Two machines of that name would present each other's data as their own.
        if matches!(text, "localhost" | "localhost.localdomain") {
            return refuse(format!("`{text}` is the name of every machine; choose one that tells whose data it is"));
        }
        Ok(())
    }
);
name_type!(
    /// The name of a user or a group, to be looked up through NSS. Domain names (`DOM\user`, `user@dom`) are allowed.
    OwnerName,
    |text| {
        if text.is_empty() {
            return refuse("the name is empty");
        }
        if text.len() > 256 {
            return refuse("the name is longer than 256 characters");
        }
        if text.starts_with('-') {
            return refuse("the name begins with `-`");
        }
        match text.chars().find(|c| c.is_control() || matches!(c, ':' | '/' | ',')) {
            Some(c) => refuse(format!("the name contains {c:?}")),
            None => Ok(()),
        }
    }
);

/// Permission bits, 0 to 07777 (inode(7)), written as three or four octal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mode(u16);

impl Mode {
    /// The bits; anything above 07777 is cut off, so that `st_mode` can be given.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self((bits & 0o7777) as u16)
    }
    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0 as u32
    }
    /// Whether what is made in a directory of this mode has its group (`S_ISGID`, inode(7)).
    #[must_use]
    pub const fn is_setgid(self) -> bool {
        self.0 & 0o2000 != 0
    }
    /// The same mode with that bit.
    #[must_use]
    pub const fn with_setgid(self) -> Self {
        Self(self.0 | 0o2000)
    }
    /// Reads three or four octal digits.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        if !(3..=4).contains(&text.len()) || !text.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
            return refuse(format!("`{text}` is not a mode: three or four octal digits are, such as \"0755\""));
        }
        Ok(Self(u16::from_str_radix(text, 8).expect("octal digits")))
    }
}
impl TryFrom<String> for Mode {
    type Error = ValueError;
    fn try_from(text: String) -> Result<Self, ValueError> {
        Self::parse(&text)
    }
}
impl From<Mode> for String {
    fn from(mode: Mode) -> String {
        mode.to_string()
    }
}
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}
impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The identity of a volume or a store directory: a UUID, always printed in lower case with hyphens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(Uuid);

impl Id {
    /// A version 4 UUID from 16 random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }
    /// A new identity that `self` and some bytes decide: the same seed gives the same identities, so that a plan can
    /// be made again and compared.
    #[must_use]
    pub fn derive(self, what: &[u8]) -> Self {
        use sha2::{Digest as _, Sha256};
        let digest = Sha256::new().chain_update(self.0.as_bytes()).chain_update(what).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self::from_random(bytes)
    }
    /// Reads a UUID.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        Uuid::try_parse(text).map(Self).map_err(|_| ValueError(format!("`{text}` is not a UUID")))
    }
}
impl TryFrom<String> for Id {
    type Error = ValueError;
    fn try_from(text: String) -> Result<Self, ValueError> {
        Self::parse(&text)
    }
}
impl From<Id> for String {
    fn from(id: Id) -> String {
        id.to_string()
    }
}
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}
impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Mode, owner and group of a directory, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attrs {
    /// Permission bits.
    pub mode: Mode,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
}

impl Attrs {
    /// Owned by root, with this mode.
    #[must_use]
    pub const fn root(mode: u32) -> Self {
        Self { mode: Mode::from_bits(mode), uid: 0, gid: 0 }
    }
}

impl fmt::Display for Attrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:{}", self.mode, self.uid, self.gid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        assert_eq!(Mode::parse("2775").unwrap().bits(), 0o2775);
        assert_eq!(Mode::parse("755").unwrap().to_string(), "0755");
        for bad in ["", "7", "75", "0888", "07555", "rwxr-xr-x", "-755"] {
            assert!(Mode::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names() {
        assert!(AppName::parse("cyrus-imapd").is_ok());
        for bad in ["", ".hidden", "-x", "a/b", "a b", "a\nb", "x.local"] {
            assert!(AppName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(OwnerName::parse("DOM\\user").is_ok());
        assert!(OwnerName::parse("a:b").is_err());
    }

    #[test]
    fn identities_come_from_their_seed() {
        let seed = Id::from_random([7; 16]);
        assert_eq!(seed.derive(b"/home"), seed.derive(b"/home"));
        assert_ne!(seed.derive(b"/home"), seed.derive(b"/home2"));
        assert_eq!(Id::parse(&seed.to_string()).unwrap(), seed);
    }
}
