//! Users and groups by name, and the other way round.
//!
//! On the machine itself they come from NSS (getpwnam_r(3)), which knows domain users too. Below another root they come
//! from its own `/etc/passwd` and `/etc/group`, for it may be an image of another machine; where it has no such file,
//! from NSS. A name of digits alone is a number, unless somebody is called so.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use datastore_core::observed::Lookup;
use datastore_core::path::printable;
use datastore_core::{AbsPath, Error};
use rustix::fs::OFlags;

use super::fd;
use crate::root::{Root, if_there};

/// The most that is read of a passwd or group file.
const LIMIT: usize = 64 << 20;

/// Looks up users and groups. Answers are kept, failures are not.
#[derive(Debug)]
pub struct Ids {
    users: Source,
    groups: Source,
}

#[derive(Debug)]
struct Source {
    /// The text of the root's own file.
    file: Option<Names>,
    nss: Nss,
    by_name: Mutex<HashMap<String, Lookup>>,
    by_id: Mutex<HashMap<u32, Option<String>>>,
}

#[derive(Debug, Clone, Copy)]
enum Nss {
    Users,
    Groups,
}

#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) by_name: HashMap<String, u32>,
    pub(crate) by_id: HashMap<u32, String>,
}

impl Ids {
    /// Prepares to look up. Fails if the root has such a file and it cannot be read.
    pub fn new(root: &Root) -> Result<Self, Error> {
        Ok(Self {
            users: Source::new(root, "/etc/passwd", Nss::Users)?,
            groups: Source::new(root, "/etc/group", Nss::Groups)?,
        })
    }
    /// The number of a user.
    #[must_use]
    pub fn user(&self, name: &str) -> Lookup {
        self.users.find(name)
    }
    /// The number of a group.
    #[must_use]
    pub fn group(&self, name: &str) -> Lookup {
        self.groups.find(name)
    }
    /// The name of a user; `None` if the number has none, or if it could not be found out.
    #[must_use]
    pub fn user_name(&self, uid: u32) -> Option<String> {
        self.users.name(uid)
    }
    /// The name of a group; `None` if the number has none, or if it could not be found out.
    #[must_use]
    pub fn group_name(&self, gid: u32) -> Option<String> {
        self.groups.name(gid)
    }
}

impl Source {
    fn new(root: &Root, path: &'static str, nss: Nss) -> Result<Self, Error> {
        let file = if root.is_machine() { None } else { read_names(root, &AbsPath::literal(path))? };
        Ok(Self { file, nss, by_name: Mutex::default(), by_id: Mutex::default() })
    }

    fn find(&self, name: &str) -> Lookup {
        if let Some(known) = self.by_name.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            return known.clone();
        }
        let found = match (&self.file, self.nss) {
            (Some(names), _) => names.by_name.get(name).map_or(Lookup::Unknown, |&id| Lookup::Found(id)),
            (None, Nss::Users) => answer(nix::unistd::User::from_name(name), |user| user.uid.as_raw()),
            (None, Nss::Groups) => answer(nix::unistd::Group::from_name(name), |group| group.gid.as_raw()),
        };
        let found = if found == Lookup::Unknown { number(name) } else { found };
        if !matches!(found, Lookup::Failed(_)) {
            self.by_name.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), found.clone());
        }
        found
    }

    fn name(&self, id: u32) -> Option<String> {
        if let Some(names) = &self.file {
            return names.by_id.get(&id).cloned();
        }
        if let Some(known) = self.by_id.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return known.clone();
        }
        let found = match self.nss {
            Nss::Users => nix::unistd::User::from_uid(id.into()).ok()?.map(|user| user.name),
            Nss::Groups => nix::unistd::Group::from_gid(id.into()).ok()?.map(|group| group.name),
        };
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner).insert(id, found.clone());
        found
    }
}

fn answer<T>(found: nix::Result<Option<T>>, id: impl FnOnce(T) -> u32) -> Lookup {
    use nix::errno::Errno;
    match found {
        Ok(Some(entry)) => Lookup::Found(id(entry)),
        // The errors that libraries give instead of "not found", as getpwnam_r(3) lists them.
        Ok(None) | Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => Lookup::Unknown,
        Err(errno) => Lookup::Failed(format!("{errno:?} ({})", errno.desc())),
    }
}

/// A name of digits as a number. The largest, `(uid_t) -1`, means "leave as it is" to chown(2) and is nobody.
fn number(name: &str) -> Lookup {
    let digits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    match name.parse::<u32>() {
        Ok(id) if digits && id != u32::MAX => Lookup::Found(id),
        _ => Lookup::Unknown,
    }
}

/// The names in a passwd or group file of the root, with their numbers; none where there is no such file.
pub(crate) fn names(root: &Root, path: &AbsPath) -> Result<HashMap<String, u32>, Error> {
    Ok(read_names(root, path)?.map(|names| names.by_name).unwrap_or_default())
}

fn read_names(root: &Root, path: &AbsPath) -> Result<Option<Names>, Error> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let Some(file) = if_there(root.open_file(path, flags, 0))? else { return Ok(None) };
    Ok(Some(parse(&fd::read_all(file, LIMIT)?)))
}

/// Reads passwd(5) or group(5): the name is the first field, the number the third. Of two lines with one name or one
/// number the first counts, as in getpwnam(3); other lines are passed over.
pub(crate) fn parse(text: &[u8]) -> Names {
    let mut names = Names::default();
    for line in text.split(|&b| b == b'\n') {
        let mut fields = line.split(|&b| b == b':');
        let (Some(name), Some(_), Some(id)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let id = std::str::from_utf8(id).ok().and_then(|id| id.parse::<u32>().ok());
        let (Some(id), false) = (id, name.is_empty() || matches!(name[0], b'#' | b'+' | b'-')) else { continue };
        let name = printable(name);
        names.by_id.entry(id).or_insert_with(|| name.clone());
        names.by_name.entry(name).or_insert(id);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine() {
        let ids = Ids::new(&Root::open("/".as_ref()).unwrap()).unwrap();
        assert_eq!(ids.user("root"), Lookup::Found(0));
        assert_eq!(ids.group("root"), Lookup::Found(0));
        assert_eq!(ids.user("no-such-user-here"), Lookup::Unknown);
        assert_eq!(ids.user("no-such-user-here"), Lookup::Unknown, "kept");
        assert_eq!(ids.user_name(0).as_deref(), Some("root"));
        assert_eq!(ids.group_name(4_000_000_000), None);
    }

    #[test]
    fn numbers_are_numbers_where_nobody_is_called_so() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("etc")).unwrap();
        std::fs::write(home.path().join("etc/passwd"), "1000:x:77:77::/:\n").unwrap();
        let ids = Ids::new(&Root::open(home.path()).unwrap()).unwrap();
        assert_eq!(ids.user("1000"), Lookup::Found(77));
        assert_eq!(ids.user("1001"), Lookup::Found(1001));
        for nobody in ["", "+5", "-1", "4294967295", "4294967296", "0x10", " 1"] {
            assert_eq!(ids.user(nobody), Lookup::Unknown, "{nobody:?}");
        }
    }

    #[test]
    fn an_image_has_its_own_names() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("etc")).unwrap();
        let passwd =
            "# c\nroot:x:0:0::/:\ncyrus:x:96:12::/:\nbad line\ncyrus:x:97:12::/:\n+nis:x:5:5::/:\nx:x:many::\n";
        std::fs::write(home.path().join("etc/passwd"), passwd).unwrap();
        let ids = Ids::new(&Root::open(home.path()).unwrap()).unwrap();
        assert_eq!(ids.user("cyrus"), Lookup::Found(96));
        assert_eq!(ids.user_name(96).as_deref(), Some("cyrus"));
        assert_eq!(ids.user_name(97).as_deref(), Some("cyrus"));
        assert_eq!(ids.user("daemon"), Lookup::Unknown, "this machine's users are not the image's");
        assert_eq!(ids.group("root"), Lookup::Found(0), "no group file there: this machine's");
        std::fs::write(home.path().join("etc/group"), "mail:x:12:\n").unwrap();
        let ids = Ids::new(&Root::open(home.path()).unwrap()).unwrap();
        assert_eq!(ids.group("mail"), Lookup::Found(12));
        assert_eq!(ids.group("root"), Lookup::Unknown);
    }

    #[test]
    fn a_link_out_of_the_image_is_not_read() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", home.path().join("etc/passwd")).unwrap();
        let error = Ids::new(&Root::open(home.path()).unwrap()).unwrap_err();
        assert!(error.message().contains("`/etc/passwd` is a symbolic link"), "{error}");
    }
}
