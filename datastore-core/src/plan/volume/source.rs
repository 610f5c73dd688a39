//! What a volume is made of, and the steps up to its mount.

use super::add::Adder;
use super::{Device, Signature, busy, refuse, usable};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::VolumeFile;
use crate::mountinfo::Mount;
use crate::observed::{FileFacts, Place};
use crate::path::{AbsPath, printable};
use crate::plan::Remark;
use crate::step::Action;
use crate::value::Id;
use crate::wanted::Volume;

/// The smallest size at which each kind of file system can be made and used.
const SMALLEST: &[(&str, u64)] = &[("ext4", 8 << 20), ("xfs", 300 << 20), ("btrfs", 114 << 20)];

impl Adder<'_> {
    /// A plain directory, or a file system that is mounted at the path already.
    pub(super) fn here(&mut self) -> Result<Volume> {
        if self.request.format.is_some() {
            return Err(Error::new(ErrorKind::Usage, "--format needs --device")
                .hint("name the disk or the image: --device DEV"));
        }
        let path = &self.site.path;
        let mount = self.view.observed.mounts.at(path);
        let foreign = self.view.observed.fstab.foreign(path);
        let ours = self.view.observed.fstab.ours(path);
        if foreign.len() > 1 || (ours.is_some() && !foreign.is_empty()) {
            let count = foreign.len() + usize::from(ours.is_some());
            return refuse(format!("/etc/fstab has {count} lines for {path}"), "keep one of them");
        }
        let is_ours = ours.is_some();
        let line = ours.or_else(|| foreign.into_iter().next()).map(|row| row.entry.clone());
        if let Some(line) = &line
            && mount.is_none()
        {
            return refuse(
                format!("/etc/fstab mounts {} on {path}, but it is not mounted", printable(&line.spec)),
                format!("mount {path}"),
            );
        }
        let id = self.identity(&self.site.file)?;
        let Some(mount) = mount else {
            self.make_place()?;
            return Ok(self.base(id, None, None, None));
        };
        usable(path, &self.site.place)?;
        let fstype = printable(mount.fstype().as_ref());
        if matches!(fstype.as_str(), "tmpfs" | "ramfs") {
            self.remarks.push(Remark {
                detail: format!("{path} is a {fstype}: what is on it is gone after a reboot"),
                hint: format!("name a disk: datastore volume add {} --device DEV", self.request.name),
            });
        }
        if let Some(line) = line {
            let kind = if line.is_bind() { "none".into() } else { printable(&line.vfstype) };
            let mut volume = self.base(id, Some(printable(&line.spec)), Some(kind), None);
            // What we wrote ourselves comes from the declaration, if that is still there.
            if volume.options.is_none() && (!is_ours || self.declared.is_none()) {
                volume.options = Some(printable(&line.options)).filter(|o| !o.is_empty());
            }
            return Ok(volume);
        }
        let (source, need) = self.source_of(&mount)?;
        Ok(self.base(id, Some(source), Some(fstype), need.as_deref()))
    }

    /// What fstab must say so that this mount is made again, and the option that it needs.
    fn source_of(&self, mount: &Mount<'_>) -> Result<(String, Option<String>)> {
        let path = &self.site.path;
        let device = self.site.device.as_ref();
        let root = mount.root();
        let mut need = None;
        if root.as_ref() != b"/" {
            let subvolume = format!("subvol={}", printable(&root));
            let plain = !subvolume.contains([',', '\\']) && !subvolume.contains(char::is_whitespace);
            let said = mount.super_options().split(|&b| b == b',').any(|o| o == subvolume.as_bytes());
            if mount.fstype().as_ref() != b"btrfs" || !plain || !said {
                // A line with the device would mount the whole of it there at the next boot.
                return refuse(
                    format!(
                        "what is mounted at {path} is the directory {} of {}, and /etc/fstab has no line for it",
                        printable(&root),
                        printable(mount.source().as_ref())
                    ),
                    format!("umount {path}, then name it: datastore volume add {} --directory DIR", self.request.name),
                );
            }
            need = Some(subvolume);
        }
        match device {
            Some(Device { is_image: true, path: Some(image), .. }) => Ok((image.to_string(), Some("loop".into()))),
            Some(Device { is_image: true, path: None, .. }) => refuse(
                format!(
                    "{path} shows an image that lies elsewhere, or is gone: after a reboot it could not be mounted"
                ),
                "give it a line in /etc/fstab, then run the command again",
            ),
            Some(Device { signature: Some(Signature { uuid: Some(uuid), .. }), .. }) => {
                Ok((format!("UUID={uuid}"), need))
            }
            _ => Ok((printable(mount.source().as_ref()), need)),
        }
    }

    /// A directory elsewhere, to be bound at the path.
    pub(super) fn directory(&mut self, directory: &AbsPath) -> Result<Volume> {
        if self.request.format.is_some() {
            return Err(Error::new(ErrorKind::Usage, "--format needs --device, not --directory")
                .hint("name the disk or the image: --device DEV"));
        }
        let path = &self.site.path;
        if directory.is_within(&self.view.wanted.store) || directory.is_within(path) || path.is_within(directory) {
            return refuse(
                format!("{directory} lies where volumes are mounted, or {path} lies in it"),
                "name a directory elsewhere",
            );
        }
        let Some((place, file)) = &self.site.directory else {
            return Err(Error::new(ErrorKind::Usage, format!("{directory} was not looked at")));
        };
        usable(directory, place)?;
        let Place::Dir(inside) = place else {
            return refuse(format!("{directory} does not exist"), format!("mkdir {directory}"));
        };
        let is_there = self.view.observed.mounts.at(path).is_some()
            && self.site.place.dir().is_some_and(|at| (at.dev, at.ino) == (inside.dev, inside.ino));
        let id = self.identity(file)?;
        let volume = self.base(id, Some(directory.to_string()), Some("none".into()), None);
        self.line_fits(&[directory.to_string()])?;
        if !is_there {
            self.free_place()?;
            self.make_place()?;
            self.push_mount(directory.to_string(), &volume);
        }
        Ok(volume)
    }

    /// Nothing is mounted at the path, and nothing stands in it.
    fn free_place(&self) -> Result<()> {
        let path = &self.site.path;
        if let Some(mount) = self.view.observed.mounts.at(path) {
            let what = printable(mount.source().as_ref());
            return refuse(
                format!("{what} is mounted at {path} already"),
                format!("umount {path}, or take it as it is: datastore volume add {}", self.request.name),
            );
        }
        match &self.site.place {
            Place::Dir(dir) if dir.empty == Some(false) => refuse(
                format!("{path} is not empty; a file system mounted there would hide what is in it"),
                format!("move it away: ls -A {path}"),
            ),
            _ => Ok(()),
        }
    }

    /// A hand-made line of fstab for the path is one of the same source; else it is not ours to replace.
    fn line_fits(&self, names: &[String]) -> Result<()> {
        let path = &self.site.path;
        let foreign = self.view.observed.fstab.foreign(path);
        if foreign.len() > 1 {
            return refuse(format!("/etc/fstab has {} lines for {path}", foreign.len()), "keep one of them");
        }
        match foreign.first() {
            Some(row) if !names.iter().any(|name| row.entry.spec == name.as_bytes()) => refuse(
                format!("/etc/fstab mounts {} on {path} (line {})", printable(&row.entry.spec), row.line),
                "take that line out, or choose another name for the volume",
            ),
            _ => Ok(()),
        }
    }

    /// A block device or an image.
    pub(super) fn device(&mut self, device: &AbsPath) -> Result<Volume> {
        let Some(facts) = &self.site.device else {
            return refuse(format!("{device} does not exist, or is neither a block device nor a file"), "lsblk");
        };
        let path = &self.site.path;
        let is_here = self.view.observed.mounts.at(path).is_some() && facts.mounted_at.contains(path);
        if !is_here {
            // Where it is mounted here too, others beside it are somebody's own business.
            if let Some(elsewhere) = facts.mounted_at.first() {
                return refuse(format!("{device} is mounted at {elsewhere}"), format!("umount {elsewhere}"));
            }
            if let Some(why) = &facts.in_use {
                return busy(format!("{device} is in use: {why}"), format!("lsblk {device}"));
            }
        }
        let found = if is_here { &self.site.file } else { &facts.file };
        let volume = match self.to_make(device, facts, found, is_here)? {
            Some(format) => self.make(device, facts, &format)?,
            None => self.take(device, facts, found, is_here)?,
        };
        if !is_here {
            self.free_place()?;
            self.make_place()?;
            self.push_mount(device.to_string(), &volume);
        }
        Ok(volume)
    }

    /// The file system to make; `None` to take the one that is there.
    fn to_make(
        &self,
        device: &AbsPath,
        facts: &Device,
        found: &FileFacts<VolumeFile>,
        is_here: bool,
    ) -> Result<Option<String>> {
        // A second run of the same command finds its own file system, and must not make it again.
        let mine =
            matches!((found, self.declared), (FileFacts::Is(file), Some(declared)) if declared.id == Some(file.id));
        match (&self.request.format, &facts.signature) {
            (Some(_), _) if mine => Ok(None),
            (Some(format), None) => Ok(Some(format.clone())),
            (Some(_), Some(signature)) if is_here => refuse(
                format!("{device} holds {signature} and is mounted at {}", self.site.path),
                "leave out --format to take it as it is",
            ),
            (Some(format), Some(_)) if self.request.force => Ok(Some(format.clone())),
            // Left by a mkfs that was killed, most likely ours: nothing can be on it.
            (Some(format), Some(signature)) if signature.is_unfinished => Ok(Some(format.clone())),
            (Some(_), Some(signature)) => {
                let take =
                    if signature.is_filesystem { "leave out --format to take it as it is, or add" } else { "add" };
                refuse(
                    format!("{device} is not empty: it holds {signature}"),
                    format!("{take} --force to destroy what is on it"),
                )
            }
            (None, None) => refuse(format!("{device} holds no file system"), "make one: --format ext4 (or xfs, btrfs)"),
            (None, Some(signature)) if !signature.is_filesystem => refuse(
                format!("{device} holds {signature}, which is no file system"),
                "name a partition or a volume that holds one",
            ),
            (None, Some(signature)) if signature.is_unfinished => refuse(
                format!("{device} holds {signature} file system: its making was interrupted, and nothing can be on it"),
                format!("make it again: --format {}", signature.kind),
            ),
            (None, Some(_)) => Ok(None),
        }
    }

    /// A new file system.
    fn make(&mut self, device: &AbsPath, facts: &Device, format: &str) -> Result<Volume> {
        check_size(device, format, facts.size)?;
        let label = self.request.name.as_str().to_owned();
        let longest = match format {
            "xfs" => 12,
            "btrfs" => 255,
            _ => 16,
        };
        if label.len() > longest {
            return refuse(
                format!("{format} labels hold {longest} characters; `{label}` is longer"),
                "choose a shorter name for the volume",
            );
        }
        let uuid = self.seed.derive(b"filesystem");
        let source = if facts.is_image { device.to_string() } else { format!("LABEL={label}") };
        self.line_fits(&[device.to_string(), format!("LABEL={label}")])?;
        let (device, fstype) = (device.clone(), format.to_owned());
        // Force is needed for what was found, and would hide what came there since.
        let force = facts.signature.is_some();
        self.push(Action::MakeFilesystem { device, fstype, label, uuid, force });
        let id: Id = self.seed.derive(b"volume");
        Ok(self.base(id, Some(source), Some(format.to_owned()), facts.is_image.then_some("loop")))
    }

    /// The file system that is there.
    fn take(
        &mut self,
        device: &AbsPath,
        facts: &Device,
        found: &FileFacts<VolumeFile>,
        is_here: bool,
    ) -> Result<Volume> {
        let found = if !is_here && *found == FileFacts::Hidden && self.view.observed.privileged {
            self.unseen(device);
            &FileFacts::Absent
        } else {
            found
        };
        let id = self.identity(found)?;
        let signature = facts.signature.clone().unwrap_or_default();
        let label = signature.label.as_ref().map(|label| format!("LABEL={label}"));
        let uuid = signature.uuid.as_ref().map(|uuid| format!("UUID={uuid}"));
        let is_labelled = signature.label.as_deref() == Some(self.request.name.as_str());
        let names: Vec<String> =
            [Some(device.to_string()), label.clone(), uuid.clone()].into_iter().flatten().collect();
        self.line_fits(&names)?;
        let source = match (label, uuid) {
            _ if facts.is_image => device.to_string(),
            (Some(label), _) if is_labelled => label,
            (_, Some(uuid)) => uuid,
            (_, None) => device.to_string(),
        };
        Ok(self.base(id, Some(source), Some(signature.kind), facts.is_image.then_some("loop")))
    }
}

fn check_size(device: &AbsPath, format: &str, size: u64) -> Result<()> {
    match SMALLEST.iter().find(|(name, _)| *name == format) {
        None => Err(Error::new(
            ErrorKind::Usage,
            format!("`{}` is no file system that datastore makes", format.escape_debug()),
        )
        .hint("ext4, xfs or btrfs")),
        Some((_, smallest)) if size < *smallest => refuse(
            format!("{device} has {} MiB; {format} needs {} MiB at least", size >> 20, smallest >> 20),
            "name a larger device, or another file system",
        ),
        Some(_) => Ok(()),
    }
}
