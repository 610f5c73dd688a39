//! The manual that every copy of the command carries: one page about the command, made from its own parser, and those about the files,
//! written by hand in man(7).

mod plain;
mod reference;
mod roff;

use std::borrow::Cow;

pub(crate) use plain::plain;

/// When the pages last changed in what they say; man(7) wants a date.
const DATE: &str = "2026-11-24";

/// One page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Its name, under which man(1) finds it.
    pub(crate) name: &'static str,
    /// Its section.
    pub(crate) section: u8,
    /// What it is about.
    pub(crate) title: &'static str,
    /// Its source, where it is written by hand.
    text: Option<&'static str>,
}

/// All of them; the first is shown unless another is asked for.
pub(crate) const PAGES: &[Page] = &[
    Page { name: "datastore", section: 8, title: "keep the data of a whole server in one place", text: None },
    Page {
        name: "datastore.conf",
        section: 5,
        title: "host, volumes, alarms and default mappings",
        text: Some(include_str!("../../packaging/man/datastore.conf.5")),
    },
    Page {
        name: "datastore.d",
        section: 5,
        title: "configlets: which data of an app lies in the store",
        text: Some(include_str!("../../packaging/man/datastore.d.5")),
    },
    Page {
        name: "datastore-configlet",
        section: 7,
        title: "how to write a configlet, from nothing to data in the store",
        text: Some(include_str!("../../packaging/man/datastore-configlet.7")),
    },
];

/// Their names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|page| page.name)
}

/// The page of this name.
pub(crate) fn find(name: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.name == name)
}

impl Page {
    /// Its source in man(7).
    pub(crate) fn source(&self) -> Cow<'static, str> {
        self.text.map_or_else(|| reference::page(self, DATE).into(), Cow::Borrowed)
    }
}

#[cfg(test)]
mod tests;
