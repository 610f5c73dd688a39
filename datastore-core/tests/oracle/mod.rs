//! Which mappings may be, told a second time from the rules alone ("Refused" in the manual's chapter on configuration): nothing of the
//! product is used here, so that a rule which it forgets is missed by somebody.
//!
//! The world: the host is `h`, volumes lie below `/store`, the default one is `data0`, nothing else is declared.

/// Where nothing may be, at, above or below.
const NEVER: &[&str] = &[
    "/boot",
    "/dev",
    "/proc",
    "/run",
    "/sys",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/store",
    "/var/lib/datastore",
    "/etc/datastore.d",
    "/etc/datastore.conf",
    "/etc/fstab",
];
/// Where something may be below, if somebody insists.
const ODD: &[&str] = &["/etc", "/usr"];

/// A path in its one spelling; `None` for what is none.
pub(crate) fn path(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    let bad = |part: &&str| *part == "." || *part == ".." || part.len() > 255;
    let folded = format!("/{}", parts.join("/"));
    let fits = text.starts_with('/') && !text.contains(char::is_control) && folded.len() < 4096;
    (fits && !parts.iter().any(bad)).then_some(folded)
}

/// Whether one path is the other, or lies in it.
pub(crate) fn within(inner: &str, outer: &str) -> bool {
    outer == "/" || inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
}

/// The mount point, if something may be mounted there.
pub(crate) fn mount_point(text: &str, unusual: bool) -> Option<String> {
    let path = path(text)?;
    let never = path == "/" || NEVER.iter().any(|dir| within(&path, dir) || within(dir, &path));
    let odd = ODD.iter().any(|dir| path == *dir || (within(&path, dir) && !unusual));
    (!never && !odd).then_some(path)
}

/// A name that becomes that of a file.
fn is_stem(name: &str, longest: usize) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && name.len() <= longest && !name.starts_with(['.', '-']) && name.chars().all(plain)
}

/// The store directory that a target means for an app, if it may be there: `/store/VOLUME/live/h/...`.
pub(crate) fn store(target: &str, app: &str, volume: Option<&str>) -> Option<String> {
    let named = volume.unwrap_or("data0");
    let base = format!("/store/{named}/live/h");
    let (mut text, mut rest) = (String::new(), target);
    while let Some((before, after)) = rest.split_once('%') {
        let (word, after) = after.strip_prefix('{')?.split_once('}')?;
        let words = [("base", &*base), ("store", "/store"), ("volume", named), ("host", "h"), ("app", app), ("%", "%")];
        text += before;
        text += words.iter().find(|(known, _)| *known == word)?.1;
        rest = after;
    }
    let path = path(&(text + rest))?;
    let mut parts = path.split('/').skip(1);
    let (top, on, live, host, first) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_in_place = (top, live, host) == ("store", "live", "h") && is_stem(on, 64) && is_stem(named, 64);
    (is_in_place && first != ".datastore" && volume.is_none_or(|volume| volume == on)).then_some(path)
}

/// Whether a text is a mode.
pub(crate) fn is_mode(text: &str) -> bool {
    matches!(text.len(), 3 | 4) && text.chars().all(|c| ('0'..='7').contains(&c))
}

/// Whether a text can be the name of a user or a group.
pub(crate) fn is_owner(text: &str) -> bool {
    let bad = |c: char| c.is_control() || matches!(c, ':' | '/' | ',');
    (1..=256).contains(&text.len()) && !text.starts_with('-') && !text.contains(bad)
}

/// Whether two mappings contradict each other: `(mount point, store)` of each.
pub(crate) fn clash(a: (&str, &str), b: (&str, &str)) -> bool {
    a.0 == b.0 || within(a.1, b.1) || within(b.1, a.1)
}
