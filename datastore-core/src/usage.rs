//! What fills the volumes: how much each store directory and each tree that was put aside takes, as it was measured last. A measure is
//! a walk over everything, which only root can make and which takes its time, so what it found is kept for whoever reads later.

use serde::{Deserialize, Serialize};

use crate::mapping::Mapping;
use crate::moving::Left;
use crate::path::AbsPath;
use crate::value::AppName;
use crate::wanted::Wanted;

/// How much is in one tree. Of a file with several names the contents count once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// What it takes on the disk; `null` if that was not measured.
    pub bytes: Option<u64>,
    /// The length of its files, which is more where they have holes or are compressed, and less where a file takes whole blocks.
    pub apparent: Option<u64>,
    /// How many files, directories and other things are in it, the top among them.
    pub entries: Option<u64>,
    /// When it was measured, in seconds since 1970.
    pub measured: Option<i64>,
    /// Whether everything in it was counted.
    pub complete: bool,
    /// Why not; else empty.
    pub detail: String,
}

impl Amount {
    /// One that nobody has measured yet.
    #[must_use]
    pub fn unknown() -> Self {
        Self { detail: "not measured yet".into(), ..Self::default() }
    }

    /// One that cannot be measured now.
    #[must_use]
    pub fn untold(why: String) -> Self {
        Self { detail: why, ..Self::default() }
    }
}

/// What a store directory holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreUsage {
    /// The app.
    pub app: String,
    /// The mount point.
    pub mount_point: String,
    /// The store directory.
    pub store: String,
    /// Its volume.
    pub volume: String,
    /// How much.
    #[serde(flatten)]
    pub amount: Amount,
}

impl StoreUsage {
    /// Of a mapping.
    #[must_use]
    pub fn of(mapping: &Mapping, amount: Amount) -> Self {
        Self {
            app: mapping.app.to_string(),
            mount_point: mapping.mount_point.to_string(),
            store: mapping.store.to_string(),
            volume: mapping.volume.to_string(),
            amount,
        }
    }

    fn is_of(&self, other: &Self) -> bool {
        (&self.app, &self.mount_point, &self.store) == (&other.app, &other.mount_point, &other.store)
    }
}

/// What a tree holds that an operation put aside: what `reclaim` would remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedUsage {
    /// The app.
    pub app: String,
    /// The mount point at which it was seen.
    pub mount_point: String,
    /// Where it is.
    pub tree: String,
    /// The volume that it lies on; empty for one that lies on none.
    pub volume: String,
    /// How much.
    #[serde(flatten)]
    pub amount: Amount,
    /// When it was put aside, in seconds since 1970; `null` where not known.
    pub since: Option<i64>,
    /// Until when it is to be kept. Nothing removes it by itself then.
    pub expires: Option<i64>,
}

impl ParkedUsage {
    /// Of a tree that was put aside.
    #[must_use]
    pub fn of(left: &Left, wanted: &Wanted, amount: Amount) -> Self {
        Self {
            app: left.app.to_string(),
            mount_point: left.mount_point.to_string(),
            tree: left.path.to_string(),
            volume: volume_of(wanted, &left.path),
            amount,
            since: left.since,
            expires: left.until,
        }
    }
}

/// The name of the volume that a path lies on; empty if it lies on none.
fn volume_of(wanted: &Wanted, path: &AbsPath) -> String {
    let on = wanted.volumes.iter().filter(|volume| path.is_within(&volume.path));
    on.max_by_key(|volume| volume.path.depth()).map(|volume| volume.name.to_string()).unwrap_or_default()
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// When something of it was measured last, in seconds since 1970; `null` if nothing was.
    pub measured: Option<i64>,
    /// Whether every row was measured, and everything in it was counted.
    pub complete: bool,
    /// The store directories, by mount point.
    pub stores: Vec<StoreUsage>,
    /// The trees that were put aside, the oldest first.
    pub parked: Vec<ParkedUsage>,
}

impl Usage {
    /// What holds still of what was kept: a row for each mapping that is asked for, and for one that is not if its store was measured; none
    /// for a mapping that is gone, and no amount for one whose data lies elsewhere by now. `parked` are the trees that are put aside, for
    /// whoever can see that.
    #[must_use]
    pub fn now(self, wanted: &Wanted, parked: Option<&[Left]>) -> Self {
        let mut kept = self.stores;
        let mut row = |mapping: &Mapping| {
            let row = StoreUsage::of(mapping, Amount::unknown());
            let known = kept.iter().position(|kept| kept.is_of(&row)).map(|i| kept.swap_remove(i).amount);
            match known {
                Some(amount) => Some(StoreUsage { amount, ..row }),
                None => mapping.enabled.then_some(row),
            }
        };
        let stores = wanted.mappings.iter().filter_map(&mut row).collect();
        let parked = match parked {
            None => self.parked,
            Some(now) => {
                let amount = |left: &Left| {
                    let tree = left.path.to_string();
                    let known = self.parked.iter().find(|kept| kept.tree == tree);
                    known.map_or_else(Amount::unknown, |kept| kept.amount.clone())
                };
                now.iter().filter(|left| left.parked).map(|left| ParkedUsage::of(left, wanted, amount(left))).collect()
            }
        };
        Self { stores, parked, ..self }.summed()
    }

    /// Puts what was measured in the place of what was known; other rows stay as they are.
    #[must_use]
    pub fn with(mut self, fresh: Self) -> Self {
        for row in fresh.stores {
            match self.stores.iter_mut().find(|known| known.is_of(&row)) {
                Some(known) => *known = row,
                None => self.stores.push(row),
            }
        }
        for row in fresh.parked {
            match self.parked.iter_mut().find(|known| known.tree == row.tree) {
                Some(known) => *known = row,
                None => self.parked.push(row),
            }
        }
        self.stores.sort_by(|a, b| (&a.mount_point, &a.app).cmp(&(&b.mount_point, &b.app)));
        self.summed()
    }

    /// The rows of these apps; of all if none is named.
    #[must_use]
    pub fn of(mut self, apps: &[AppName]) -> Self {
        let is = |name: &str| apps.is_empty() || apps.iter().any(|app| app.as_str() == name);
        self.stores.retain(|row| is(&row.app));
        self.parked.retain(|row| is(&row.app));
        self.summed()
    }

    /// Everything but the rows of these apps; nothing if none is named, which means all.
    #[must_use]
    pub fn without(mut self, apps: &[AppName]) -> Self {
        let is = |name: &str| apps.is_empty() || apps.iter().any(|app| app.as_str() == name);
        self.stores.retain(|row| !is(&row.app));
        self.parked.retain(|row| !is(&row.app));
        self
    }

    fn amounts(&self) -> impl Iterator<Item = &Amount> {
        self.stores.iter().map(|row| &row.amount).chain(self.parked.iter().map(|row| &row.amount))
    }

    /// With what the rows come to.
    fn summed(mut self) -> Self {
        self.measured = self.amounts().filter_map(|amount| amount.measured).max();
        self.complete = self.measured.is_some() && self.amounts().all(|amount| amount.complete);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{GLOBALS, Input, Role};
    use crate::resolve::{Incumbents, resolve};

    fn wanted(shop: &str) -> Wanted {
        let globals = "host = \"server1\"\n[volume.data0]\n[volume.data1]\n[app.home]\nenabled = false\n[app.home.mapping.\"/home\"]\ntarget = \"%{base}/home\"\n";
        let inputs = vec![
            Input::read(GLOBALS, Role::Globals, "", globals),
            Input::read("/etc/datastore.d/shop.conf", Role::Configlet, "shop", shop),
        ];
        resolve(inputs, &Incumbents::new())
    }

    const SHOP: &str = "[mapping.\"/srv/shop\"]\ntarget = \"%{base}/shop\"\n";

    fn amount(bytes: u64, at: i64) -> Amount {
        Amount {
            bytes: Some(bytes),
            apparent: Some(bytes),
            entries: Some(1),
            measured: Some(at),
            complete: true,
            detail: String::new(),
        }
    }

    fn left(path: &'static str, parked: bool) -> Left {
        Left {
            app: AppName::parse("shop").unwrap(),
            mount_point: AbsPath::literal("/srv/shop"),
            path: AbsPath::literal(path),
            parked,
            entries: 0,
            bytes: 0,
            since: Some(5),
            until: Some(9),
            expired: false,
        }
    }

    fn measured(wanted: &Wanted, bytes: u64, at: i64) -> Usage {
        let stores = wanted.mappings.iter().map(|m| StoreUsage::of(m, amount(bytes, at))).collect();
        Usage { stores, ..Usage::default() }
    }

    fn shown(usage: &Usage) -> Vec<(&str, Option<u64>)> {
        usage.stores.iter().map(|row| (&*row.mount_point, row.amount.bytes)).collect()
    }

    #[test]
    fn without_a_measure_there_is_a_row_for_what_is_asked_for() {
        let usage = Usage::default().now(&wanted(SHOP), None);
        assert_eq!(shown(&usage), [("/srv/shop", None)]);
        assert_eq!((usage.measured, usage.complete), (None, false));
        assert_eq!(usage.stores[0].volume, "data0");
        assert_eq!(usage.stores[0].amount.detail, "not measured yet");
    }

    #[test]
    fn what_is_gone_or_lies_elsewhere_is_dropped() {
        let before = wanted(SHOP);
        let kept = measured(&before, 7, 100);
        assert_eq!(shown(&kept.clone().now(&before, None)), [("/home", Some(7)), ("/srv/shop", Some(7))]);
        // It was moved: what was measured is not what is there.
        let moved = wanted("[mapping.\"/srv/shop\"]\ntarget = \"%{base}/shop\"\nvolume = \"data1\"\n");
        let now = kept.clone().now(&moved, None);
        assert_eq!(shown(&now), [("/home", Some(7)), ("/srv/shop", None)]);
        assert_eq!((now.measured, now.complete), (Some(100), false));
        let other = wanted("[mapping.\"/srv/new\"]\ntarget = \"%{base}/new\"\n");
        assert_eq!(shown(&kept.now(&other, None)), [("/home", Some(7)), ("/srv/new", None)]);
    }

    #[test]
    fn a_measure_of_one_app_leaves_the_others() {
        let wanted = wanted(SHOP);
        let shop = [AppName::parse("shop").unwrap()];
        let kept = measured(&wanted, 7, 100).now(&wanted, None);
        let fresh = measured(&wanted, 9, 200).of(&shop);
        let all = kept.without(&shop).with(fresh);
        assert_eq!(shown(&all), [("/home", Some(7)), ("/srv/shop", Some(9))]);
        assert_eq!((all.measured, all.complete), (Some(200), true));
        assert_eq!(shown(&all.clone().of(&shop)), [("/srv/shop", Some(9))]);
        assert_eq!(all.of(&[AppName::parse("home").unwrap()]).measured, Some(100));
    }

    #[test]
    fn parked_trees_are_those_that_are_there() {
        let wanted = wanted(SHOP);
        let trees = [left("/store/data1/live/server1/.datastore/parked/1/shop", true), left("/srv/copy", false)];
        let usage = Usage::default().now(&wanted, Some(&trees));
        assert_eq!(usage.parked.len(), 1, "a copy of which nothing has come is not put aside");
        let row = &usage.parked[0];
        assert_eq!((&*row.volume, row.since, row.expires, row.amount.bytes), ("data1", Some(5), Some(9), None));
        let fresh = Usage { parked: vec![ParkedUsage { amount: amount(3, 50), ..row.clone() }], ..Usage::default() };
        let kept = usage.with(fresh);
        // Who cannot see what is there now is told what was kept.
        assert_eq!(kept.clone().now(&wanted, None).parked[0].amount.bytes, Some(3));
        assert_eq!(kept.clone().now(&wanted, Some(&trees)).parked[0].amount.bytes, Some(3));
        assert!(kept.now(&wanted, Some(&[])).parked.is_empty());
        let beside = [left("/srv/.datastore-parked-1/shop", true)];
        assert_eq!(Usage::default().now(&wanted, Some(&beside)).parked[0].volume, "", "on no volume");
    }

    #[test]
    fn the_fields_of_a_row_stand_side_by_side() {
        let row = serde_json::to_value(&measured(&wanted(SHOP), 7, 100).stores[0]).unwrap();
        assert_eq!((&row["bytes"], &row["app"]), (&7.into(), &"home".into()));
        let back: StoreUsage = serde_json::from_value(row).unwrap();
        assert_eq!(back.amount, amount(7, 100));
    }
}
