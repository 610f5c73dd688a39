//! Block devices that nobody uses and that could become a volume: what is on each, and the command that makes it one.

use serde::{Deserialize, Serialize};

use crate::manifest::VolumeFile;
use crate::observed::FileFacts;
use crate::plan::volume::Signature;
use crate::state::words;
use crate::value::{Id, VolumeName};
use crate::wanted::Wanted;

words! {
    /// What is on a device.
    CandidateState {
        /// Nothing that is known: it takes a file system.
        Empty = "empty",
        /// A file system, with files or without.
        HasFileSystem = "has-file-system",
        /// A file system that was prepared as a volume, here or elsewhere.
        PreparedVolume = "prepared-volume",
        /// Something else: a part of a RAID or of LVM, an encrypted device, a partition table without partitions.
        HasOtherData = "has-other-data",
        /// It could not be looked at.
        Unknown = "unknown",
    }
}

/// File systems that hold neither owners nor modes, or cannot be written, so that no app can have its data there.
const UNFIT: [&str; 8] = ["exfat", "hfs", "hfsplus", "iso9660", "ntfs", "squashfs", "udf", "vfat"];
/// File systems that are looked into for the identity of a volume: those that a volume has as a rule. Nobody's USB stick is to bring the
/// kernel to load a driver because disks are listed.
const LOOKED_INTO: [&str; 5] = ["btrfs", "ext2", "ext3", "ext4", "xfs"];

/// Whether a file system is to be looked into for the identity of a volume.
#[must_use]
pub fn is_looked_into(signature: &Signature) -> bool {
    signature.is_filesystem && !signature.is_unfinished && LOOKED_INTO.contains(&signature.kind.as_str())
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its path.
    pub device: String,
    /// A path that means it on every boot, `/dev/disk/by-id/...`; empty where there is none.
    pub by_id: String,
    /// Its size.
    pub bytes: u64,
    /// What the disk calls itself; empty where it does not.
    pub model: String,
    /// The file system, or what else is on it; empty where nothing is, or nobody could look.
    pub fstype: String,
    /// Its label; empty where it has none.
    pub label: String,
    /// What is on it.
    pub state: CandidateState,
    /// The name that it has as a volume; empty where it was not prepared as one.
    pub volume: String,
    /// The host whose volume it is; empty just so.
    pub host: String,
    /// A sentence where there is more to say; else empty.
    pub detail: String,
    /// The command that makes a volume of it and keeps what is on it; empty where that cannot be.
    pub hint: String,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidates {
    /// The devices, by name.
    pub candidates: Vec<Candidate>,
    /// Whether it could be seen of each what is on it.
    pub complete: bool,
}

/// What was seen of a device.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its path.
    pub device: String,
    /// A path that stays.
    pub by_id: String,
    /// Its size.
    pub bytes: u64,
    /// What the disk calls itself.
    pub model: String,
    /// What is on it, and its identity as a volume; or why nobody could look.
    pub found: Result<(Option<Signature>, FileFacts<VolumeFile>), String>,
}

/// What becomes of devices on this machine.
#[derive(Debug, Clone, Default)]
pub struct Setting {
    /// Whether the machine has a data store; else `init` is what begins one.
    pub is_set_up: bool,
    /// Its volumes, with the identity that each must carry.
    pub volumes: Vec<(VolumeName, Option<Id>)>,
}

impl Setting {
    /// What the configuration says.
    #[must_use]
    pub fn of(wanted: &Wanted) -> Self {
        let volumes = wanted.volumes.iter().map(|volume| (volume.name.clone(), volume.id)).collect();
        Self { is_set_up: wanted.host.is_some(), volumes }
    }

    fn find(&self, name: &str) -> Option<&(VolumeName, Option<Id>)> {
        self.volumes.iter().find(|(known, _)| known.as_str() == name)
    }

    /// The name of the next volume.
    fn next(&self) -> String {
        let free = |name: &String| self.find(name).is_none();
        (0..).map(|n: u32| format!("data{n}")).find(free).unwrap_or_default()
    }

    fn command(&self, name: &str, device: &str, more: &str) -> String {
        match self.is_set_up {
            true => format!("datastore volume add {name} --device {device}{more}"),
            false => format!("datastore init --volume {name} --device {device}{more}"),
        }
    }
}

impl Candidates {
    /// What was seen, by the names of the devices.
    #[must_use]
    pub fn of(seen: Vec<Seen>, setting: &Setting) -> Self {
        let mut candidates: Vec<Candidate> = seen.into_iter().map(|seen| candidate(seen, setting)).collect();
        candidates.sort_by(|a, b| a.device.cmp(&b.device));
        let complete = candidates.iter().all(|candidate| candidate.state != CandidateState::Unknown);
        Self { candidates, complete }
    }
}

fn candidate(seen: Seen, setting: &Setting) -> Candidate {
    let Seen { device, by_id, bytes, model, found } = seen;
    let mut row = Candidate {
        device,
        by_id,
        bytes,
        model,
        fstype: String::new(),
        label: String::new(),
        state: CandidateState::Unknown,
        volume: String::new(),
        host: String::new(),
        detail: String::new(),
        hint: String::new(),
    };
    let (signature, file) = match found {
        Ok(found) => found,
        Err(why) => return Candidate { detail: why, ..row },
    };
    // Names such as sdb go from one disk to another when a disk is added.
    let lasting = if row.by_id.is_empty() { row.device.clone() } else { row.by_id.clone() };
    let next = setting.next();
    let Some(signature) = signature.filter(|found| !found.is_unfinished) else {
        let hint = setting.command(&next, &lasting, " --format ext4");
        return Candidate { state: CandidateState::Empty, hint, ..row };
    };
    row.fstype = signature.kind;
    row.label = signature.label.unwrap_or_default();
    if !signature.is_filesystem {
        row.state = CandidateState::HasOtherData;
        row.detail = "what is on it would have to go first".into();
        return row;
    }
    row.state = CandidateState::HasFileSystem;
    if UNFIT.contains(&row.fstype.as_str()) {
        row.detail = format!("no app can have its data on {}: what is on it would have to go first", row.fstype);
        return row;
    }
    row.hint = setting.command(&next, &lasting, "");
    match file {
        FileFacts::Is(file) => {
            row.state = CandidateState::PreparedVolume;
            (row.detail, row.hint) = match setting.find(file.name.as_str()) {
                // A reinstalled machine: with what is on the disk, not just with the disk.
                None if !setting.is_set_up => (String::new(), format!("datastore adopt --device {lasting}")),
                None => (String::new(), setting.command(file.name.as_str(), &lasting, "")),
                Some((name, id)) if *id == Some(file.id) => {
                    (format!("it is volume `{name}` of this machine, and not mounted"), "datastore volume list".into())
                }
                Some((name, _)) => (format!("this machine has another volume `{name}`"), String::new()),
            };
            row.volume = file.name.to_string();
            row.host = file.host.map(|host| host.to_string()).unwrap_or_default();
        }
        FileFacts::Damaged(why) => {
            row.detail = format!("it was prepared as a volume, but its identity is damaged: {why}");
        }
        FileFacts::Hidden => row.detail = "whether it was prepared as a volume could not be seen".into(),
        FileFacts::Absent => {}
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "fba2c4ca-dbc5-4382-932b-4813f56ecd07";

    fn seen(found: Result<(Option<Signature>, FileFacts<VolumeFile>), String>) -> Seen {
        Seen {
            device: "/dev/sdb".into(),
            by_id: "/dev/disk/by-id/ata-X".into(),
            bytes: 1 << 30,
            model: "X".into(),
            found,
        }
    }

    fn of(found: Result<(Option<Signature>, FileFacts<VolumeFile>), String>, volumes: &[&str]) -> Candidate {
        let volumes = volumes.iter().map(|v| (v.parse().unwrap(), Some(Id::parse(ID).unwrap()))).collect();
        Candidates::of(vec![seen(found)], &Setting { is_set_up: true, volumes }).candidates.remove(0)
    }

    fn ext4() -> Signature {
        Signature { kind: "ext4".into(), is_filesystem: true, label: Some("old".into()), ..Signature::default() }
    }

    #[test]
    fn the_words_are_fixed() {
        let words: Vec<_> = CandidateState::ALL.iter().map(|state| state.as_str()).collect();
        assert_eq!(words.join(" "), "empty has-file-system prepared-volume has-other-data unknown");
    }

    #[test]
    fn what_is_on_it_decides_the_command() {
        let empty = of(Ok((None, FileFacts::Absent)), &["data0", "data2"]);
        assert_eq!(empty.state, CandidateState::Empty);
        assert_eq!(empty.hint, "datastore volume add data1 --device /dev/disk/by-id/ata-X --format ext4");
        let full = of(Ok((Some(ext4()), FileFacts::Absent)), &["data0"]);
        assert_eq!((full.state, &*full.fstype, &*full.label), (CandidateState::HasFileSystem, "ext4", "old"));
        assert_eq!(full.hint, "datastore volume add data1 --device /dev/disk/by-id/ata-X", "it is not formatted");
        let unfinished = Signature { kind: "xfs".into(), is_unfinished: true, ..ext4() };
        assert_eq!(of(Ok((Some(unfinished), FileFacts::Absent)), &[]).state, CandidateState::Empty);
        let member = Signature { kind: "LVM2_member".into(), ..Signature::default() };
        let member = of(Ok((Some(member), FileFacts::Absent)), &[]);
        assert_eq!((member.state, &*member.hint), (CandidateState::HasOtherData, ""));
        for (kind, has_hint) in [("vfat", false), ("f2fs", true)] {
            let other = Signature { kind: kind.into(), ..ext4() };
            assert!(is_looked_into(&ext4()) && !is_looked_into(&other));
            let row = of(Ok((Some(other), FileFacts::Hidden)), &[]);
            assert_eq!((row.state, !row.hint.is_empty()), (CandidateState::HasFileSystem, has_hint), "{row:?}");
            assert!(!row.detail.is_empty());
        }
        let hidden = of(Err("only root may".into()), &[]);
        assert_eq!((hidden.state, &*hidden.detail, &*hidden.hint), (CandidateState::Unknown, "only root may", ""));
    }

    #[test]
    fn a_prepared_volume_comes_back_under_its_name() {
        let file = |id: &str| {
            let text = format!("version = 1\nid = \"{id}\"\nname = \"data7\"\nhost = \"other\"\n");
            FileFacts::Is(VolumeFile::parse(&text).unwrap())
        };
        let row = of(Ok((Some(ext4()), file(ID))), &["data0"]);
        assert_eq!((row.state, &*row.volume, &*row.host), (CandidateState::PreparedVolume, "data7", "other"));
        assert_eq!(row.hint, "datastore volume add data7 --device /dev/disk/by-id/ata-X");
        let fresh = Candidates::of(vec![seen(Ok((Some(ext4()), file(ID))))], &Setting::default()).candidates.remove(0);
        assert_eq!(fresh.hint, "datastore adopt --device /dev/disk/by-id/ata-X");
        let known = of(Ok((Some(ext4()), file(ID))), &["data7"]);
        assert!(known.detail.contains("of this machine") && known.hint == "datastore volume list", "{known:?}");
        let other = of(Ok((Some(ext4()), file(&ID.replace('f', "e")))), &["data7"]);
        assert!(other.detail.contains("another volume") && other.hint.is_empty(), "{other:?}");
    }

    #[test]
    fn before_init_the_first_one_begins_the_store() {
        let row = Candidates::of(vec![seen(Ok((None, FileFacts::Absent)))], &Setting::default()).candidates.remove(0);
        assert_eq!(row.hint, "datastore init --volume data0 --device /dev/disk/by-id/ata-X --format ext4");
        let unknown = Candidates::of(vec![seen(Err(String::new()))], &Setting::default());
        assert!(!unknown.complete && Candidates::of(vec![], &Setting::default()).complete);
    }
}
