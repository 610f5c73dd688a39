//! What stands below /usr/share/doc: whose it is, and what is new.

use super::{Job, REVISION, VERSION, template};
use crate::failure::Result;

/// Who packs. The variables are Debian's own (debuild(1)).
pub(super) fn maintainer() -> String {
    let name = std::env::var("DEBFULLNAME").unwrap_or_else(|_| "The datastore authors".into());
    let address = std::env::var("DEBEMAIL").unwrap_or_else(|_| "datastore@users.noreply.github.com".into());
    format!("{name} <{address}>")
}

/// What is new, for people.
pub(super) fn changelog(job: &Job) -> Result<String> {
    job.repo.read("CHANGELOG.md")
}

/// The same in the form that Debian's tools read: each package has one entry, which points to the other.
pub(super) fn debian_changelog(job: &Job) -> Result<String> {
    Ok(format!(
        "datastore ({VERSION}-{REVISION}) unstable; urgency=medium\n\n  * What is new in version {VERSION} stands in changelog.gz.\n\n \
         -- {}  {}\n",
        maintainer(),
        job.stamp.format("+%a, %d %b %Y %H:%M:%S +0000")?
    ))
}

/// Whose it is, in the form that Debian's tools read.
pub(super) fn debian_copyright(job: &Job) -> Result<String> {
    let path = "packaging/deb/copyright";
    template::fill(path, &job.repo.read(path)?, &[("year", job.stamp.format("+%Y")?)])
}
