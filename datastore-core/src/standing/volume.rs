//! Whether a volume is the one that it must be.

use super::View;
use crate::mapping::Mapping;
use crate::observed::{FileFacts, Place, VolumeFacts};
use crate::state::{Reason, Refusal};
use crate::wanted::Volume;

impl View<'_> {
    pub(crate) fn judge_volume(&self, m: &Mapping) -> Result<(), Refusal> {
        let (i, volume) = self.volume_of(m);
        self.judge_volume_itself(i, volume)
    }

    /// Whether a volume is the one that it must be.
    pub fn judge_volume_itself(&self, i: usize, volume: &Volume) -> Result<(), Refusal> {
        let facts: Option<&VolumeFacts> = self.observed.volumes.get(i);
        let name = &volume.name;
        let missing = |detail: String, hint: String| Err(Refusal::new(Reason::VolumeMissing, detail, hint));
        let place = if volume.path == self.wanted.store.child(name.as_str()) {
            String::new()
        } else {
            format!(" --at {}", volume.path)
        };
        if !volume.declared {
            return missing(
                format!("no volume `{name}` ({}) is declared", volume.path),
                format!("datastore volume add {name}{place}"),
            );
        }
        let Some(facts) = facts else {
            return missing(format!("volume `{name}` was not looked at"), "datastore status".into());
        };
        if volume.source.is_some() && !self.landscape.is_mounted(i) {
            let source = volume.source.as_deref().unwrap_or_default();
            return missing(
                format!("volume `{name}` ({source}) is not mounted at {}", volume.path),
                format!("mount {}", volume.path),
            );
        }
        match &facts.top {
            Place::Dir(_) | Place::Hidden => {}
            Place::Absent { missing: at } => {
                return missing(
                    format!("{at}, the place of volume `{name}`, does not exist"),
                    format!("bring {} back from where its data is now: its disk, or a backup", volume.path),
                );
            }
            Place::Other { at, what } => {
                return missing(
                    format!("{at} is {what}, not the directory of volume `{name}`"),
                    format!("ls -ld {at}"),
                );
            }
            Place::Failed(why) => {
                return missing(format!("volume `{name}` cannot be looked at: {why}"), "dmesg | tail".into());
            }
        }
        let wrong = |detail: String| {
            let hint = format!(
                "look at what is mounted: findmnt {}; if it is the right disk: datastore volume add {name}{place}",
                volume.path
            );
            Err(Refusal::new(Reason::WrongVolume, detail, hint))
        };
        match (&facts.file, volume.id) {
            (FileFacts::Hidden, _) => Ok(()),
            (FileFacts::Is(file), Some(id)) if file.id == id => Ok(()),
            (FileFacts::Is(file), Some(id)) => {
                wrong(format!("{} holds the volume with identity {}, not `{name}` with {id}", volume.path, file.id))
            }
            (FileFacts::Absent, Some(id)) => {
                wrong(format!("{} carries no identity; volume `{name}` has {id}", volume.path))
            }
            (FileFacts::Damaged(why), _) => wrong(format!("the identity of volume `{name}` cannot be read: {why}")),
            (_, None) => missing(
                format!("volume `{name}` has no identity in /etc/datastore.conf"),
                format!("datastore volume add {name}{place}"),
            ),
        }
    }
}
