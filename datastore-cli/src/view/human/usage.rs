//! `usage`.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};
use datastore_core::usage::{Amount, Usage};

use super::Table;
use super::status::{or_dash, time};
use super::text::{clean, count, size};
use crate::view::hint::typed;
use crate::view::look::Look;

/// Store directories and what was put aside, the largest first, and what that comes to on each volume.
pub(in crate::view) fn usage(usage: &Usage, look: Look) -> String {
    let parts = [stores(usage, look), parked(usage, look), sums(usage)];
    let mut out = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n");
    if out.is_empty() {
        out.push_str("nothing is in the store, and nothing is put aside\n");
    }
    match usage.measured {
        Some(at) => out.push_str(&format!("\nmeasured at {}\n", time(at))),
        None => out.push_str(&format!("\nnothing was measured yet: {}\n", typed("datastore usage"))),
    }
    out
}

fn stores(usage: &Usage, look: Look) -> String {
    let mut rows: Vec<_> = usage.stores.iter().collect();
    rows.sort_by_key(|row| Reverse(row.amount.bytes));
    let mut table = Table::new(["APP", "MOUNT POINT", "VOLUME", ">ON DISK", ">LENGTH", ">ENTRIES"]);
    for row in rows {
        let [bytes, apparent, entries] = amounts(&row.amount);
        let cells = [&*row.app, &*row.mount_point, or_dash(&row.volume)].map(Cow::Borrowed);
        let [app, mount_point, volume] = cells;
        table.row([app, mount_point, volume, bytes, apparent, entries], style(&row.amount), &below(&row.amount));
    }
    table.draw(look)
}

fn parked(usage: &Usage, look: Look) -> String {
    let mut rows: Vec<_> = usage.parked.iter().collect();
    rows.sort_by_key(|row| Reverse(row.amount.bytes));
    let mut table = Table::new(["PUT ASIDE", "TREE", "VOLUME", ">ON DISK", ">ENTRIES", "SINCE", "KEPT UNTIL"]);
    for row in &rows {
        let [bytes, _, entries] = amounts(&row.amount);
        let [app, tree, volume] = [&*row.app, &*row.tree, or_dash(&row.volume)].map(Cow::Borrowed);
        let at = |moment: Option<i64>| Cow::Owned(moment.map_or_else(|| "-".into(), time));
        let cells = [app, tree, volume, bytes, entries, at(row.since), at(row.expires)];
        table.row(cells, style(&row.amount), &below(&row.amount));
    }
    let mut out = table.draw(look);
    if !rows.is_empty() {
        out.push_str(&format!("hint: what is put aside is removed by: {}\n", typed("datastore reclaim")));
    }
    out
}

/// A line for each volume.
fn sums(usage: &Usage) -> String {
    #[derive(Default)]
    struct Sum {
        stores: (u64, usize),
        parked: (u64, usize),
    }
    let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
    let add = |to: &mut (u64, usize), amount: &Amount| {
        to.0 = to.0.saturating_add(amount.bytes.unwrap_or(0));
        to.1 += 1;
    };
    usage.stores.iter().for_each(|row| add(&mut sums.entry(&row.volume).or_default().stores, &row.amount));
    usage.parked.iter().for_each(|row| add(&mut sums.entry(&row.volume).or_default().parked, &row.amount));
    let line = |(volume, sum): (&&str, &Sum)| {
        let stores = format!("{} in {}", size(sum.stores.0), count(sum.stores.1, "store"));
        let parked = format!("{} put aside", size(sum.parked.0));
        let volume = if volume.is_empty() { "on no volume".into() } else { clean(volume) };
        match (sum.stores.1, sum.parked.1) {
            (_, 0) => format!("{volume}: {stores}\n"),
            (0, _) => format!("{volume}: {parked}\n"),
            _ => format!("{volume}: {stores}, {parked}\n"),
        }
    };
    if usage.measured.is_none() { String::new() } else { sums.iter().map(line).collect() }
}

/// On the disk, by length, and how many entries.
fn amounts(amount: &Amount) -> [Cow<'static, str>; 3] {
    let known = |value: Option<u64>, text: fn(u64) -> String| value.map_or(Cow::Borrowed("-"), |v| text(v).into());
    [known(amount.bytes, size), known(amount.apparent, size), known(amount.entries, |n| n.to_string())]
}

fn below(amount: &Amount) -> Vec<String> {
    if amount.detail.is_empty() { Vec::new() } else { vec![amount.detail.clone()] }
}

fn style(amount: &Amount) -> Style {
    if amount.complete { Style::new() } else { Style::new().fg_color(Some(AnsiColor::Yellow.into())) }
}

#[cfg(test)]
pub(in crate::view) mod tests {
    use datastore_core::usage::{ParkedUsage, StoreUsage};

    use super::*;

    fn amount(bytes: u64, detail: &str) -> Amount {
        Amount {
            bytes: Some(bytes),
            apparent: Some(bytes * 2),
            entries: Some(7),
            measured: Some(1_795_459_883),
            complete: detail.is_empty(),
            detail: detail.into(),
        }
    }

    fn store(app: &str, amount: Amount) -> StoreUsage {
        StoreUsage {
            app: app.into(),
            mount_point: format!("/srv/{app}"),
            store: format!("/store/data0/live/server1/{app}"),
            volume: "data0".into(),
            amount,
        }
    }

    pub(in crate::view) fn some() -> Usage {
        let parked = ParkedUsage {
            app: "shop".into(),
            mount_point: "/srv/shop".into(),
            tree: "/srv/.datastore-parked-0a1b2c3d/shop".into(),
            volume: String::new(),
            amount: amount(4096, ""),
            since: Some(1_795_459_883),
            expires: None,
        };
        Usage {
            measured: Some(1_795_459_883),
            complete: false,
            stores: vec![
                store("mail", amount(1 << 20, "")),
                store("new", Amount::unknown()),
                store("shop", amount(1 << 30, "without what could not be looked at: `/x`\u{1b}[31m")),
            ],
            parked: vec![parked],
        }
    }

    #[test]
    fn the_largest_comes_first_and_what_is_not_known_says_so() {
        let text = usage(&some(), Look::default());
        let first: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
        let at = |word: &str| first.iter().position(|first| *first == word).unwrap_or_else(|| panic!("{word}: {text}"));
        assert!(at("shop") < at("mail") && at("mail") < at("new"), "{text}");
        assert!(text.contains("shop  /srv/shop    data0   1.0 GiB  2.0 GiB        7\n"), "{text}");
        assert!(text.contains("      without what could not be looked at: `/x`\\x1b[31m\n"), "{text}");
        assert!(
            text.contains("new   /srv/new     data0         -        -        -\n      not measured yet\n"),
            "{text}"
        );
        assert!(text.contains("2026-11-23T18:51:23Z  -\n"), "{text}");
        assert!(text.contains("hint: what is put aside is removed by: datastore reclaim\n"), "{text}");
        assert!(text.contains("on no volume: 4.0 KiB put aside\ndata0: 1.0 GiB in 3 stores\n"), "{text}");
        assert!(text.ends_with("\nmeasured at 2026-11-23T18:51:23Z\n"), "{text}");
        let nothing = usage(&Usage::default(), Look::default());
        assert!(
            nothing.starts_with("nothing is in the store") && nothing.ends_with(": datastore usage\n"),
            "{nothing}"
        );
    }
}
