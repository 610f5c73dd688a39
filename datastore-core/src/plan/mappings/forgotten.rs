//! Mappings that are forgotten: lines of ours in fstab that the configuration no longer names.

use std::collections::BTreeMap;

use super::{Aim, Builder};
use crate::goal::Apps;
use crate::manifest;
use crate::mapping::BindOptions;
use crate::mountinfo::Mount;
use crate::observed::FileFacts;
use crate::path::{AbsPath, printable};
use crate::plan::{Remark, Subject};
use crate::state::Reason;
use crate::status::Row;
use crate::step::{Action, FstabEdit, Step};
use crate::value::{AppName, Attrs};

impl Builder<'_, '_> {
    /// Lines of ours that the configuration no longer names.
    pub(super) fn forgotten(&mut self, aim: Aim, apps: &Apps, by_name: bool) {
        let fstab = &self.view.observed.fstab;
        let mut lost: BTreeMap<AppName, Vec<AbsPath>> = BTreeMap::new();
        for row in fstab.entries().filter(|r| r.ours) {
            let (Some(tag), Some(mount_point)) = (row.entry.option_value("X-datastore"), row.entry.mount_point())
            else {
                continue;
            };
            let Some(app) = std::str::from_utf8(tag).ok().and_then(|t| AppName::parse(t).ok()) else { continue };
            let wanted = self.view.wanted;
            let declared = wanted.at(&mount_point).iter().any(|&i| wanted.mappings[i].app == app);
            let broken = wanted.app(&app).is_some_and(|a| a.problem.is_some() || !a.unresolved.is_empty());
            let take = by_name && matches!(aim, Aim::Remapped | Aim::Gone | Aim::Down);
            // An app whose configuration is wrong says nothing about what it maps: its lines stay as they are, unless somebody
            // takes the app down.
            let stays = if broken { !take || aim == Aim::Remapped } else { declared };
            let in_hand =
                self.fstab.iter().any(|e| e.edit.mount_point == mount_point) || self.going.contains(&mount_point);
            if stays || in_hand || !apps.has(&app) {
                continue;
            }
            if !take {
                lost.entry(app).or_default().push(mount_point);
                continue;
            }
            let Ok(store) = AbsPath::from_kernel(&row.entry.spec) else { continue };
            let subject =
                Subject { app: app.clone(), mount_point: mount_point.clone(), store: store.clone(), volume: None };
            let mount = self.view.observed.mounts.at(&mount_point);
            if let Some(mount) = &mount {
                let landscape = &self.view.landscape;
                let source = landscape.source_of(mount).or_else(|| landscape.deleted_source_of(mount));
                if source.as_ref() != Some(&store) {
                    self.notes.push(not_ours(&subject, mount));
                    continue;
                }
            }
            let subject = self.subject_of(subject);
            if let Some(mount) = mount {
                self.unbind(subject, &mount_point, store, None, BindOptions::from_list(mount.options()));
            }
            let to = if aim == Aim::Down {
                let mut entry = row.entry.clone();
                if !entry.has_option("noauto") {
                    entry.options.extend_from_slice(b",noauto");
                }
                Some(entry)
            } else {
                None
            };
            if to.as_ref() != Some(row.entry) {
                let edit = fstab.change(&mount_point, to);
                self.fstab.push(FstabEdit { mapping: Some(subject), edit });
            }
            if aim != Aim::Down {
                // What it is to be was said in the configuration that has gone; the manifest remembers.
                let to = self.remembered(&mount_point).unwrap_or(Attrs::root(0o755));
                let path = self.view.nesting().beneath(&mount_point);
                self.unseals.push(Step { mapping: Some(subject), action: Action::Unseal { path, to } });
            }
        }
        for (app, mount_points) in lost {
            let list: Vec<String> = mount_points.iter().take(3).map(ToString::to_string).collect();
            let more =
                if mount_points.len() > 3 { format!(" and {} more", mount_points.len() - 3) } else { String::new() };
            self.remarks.push(Remark {
                detail: format!(
                    "the configuration of `{app}` no longer names {}{more}; the bind and its line in fstab stay",
                    list.join(", ")
                ),
                hint: format!("datastore disable {app}, or datastore remap {app}"),
            });
        }
    }

    /// Mode and owner of the store that was bound at a mount point, by any manifest.
    fn remembered(&self, mount_point: &AbsPath) -> Option<Attrs> {
        let manifests = self.view.observed.manifests.values();
        let mut entries = manifests.filter_map(FileFacts::said).flat_map(manifest::Manifest::iter);
        let (_, entry) = entries.find(|(_, e)| e.mount_point == *mount_point)?;
        Some(Attrs { mode: entry.mode, uid: entry.uid, gid: entry.gid })
    }
}

/// The row of a line of ours where something is mounted that it does not name, as far as can be told.
fn not_ours(subject: &Subject, mount: &Mount<'_>) -> Row {
    let (source, at) = (printable(&mount.source()), &subject.mount_point);
    subject.refused(
        Reason::ForeignMount,
        format!("{source} ({}) is mounted at {at}, and is not known as {}", printable(&mount.fstype()), subject.store),
        format!("look whose it is: findmnt {at}; mount its volume, or: umount {at}; then run the command again"),
    )
}
