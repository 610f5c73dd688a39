//! What `init` ends with: the apps that could be asked for, and what stands at their mount points.

use std::borrow::Cow;

use anstyle::Style;
use datastore_core::Result;
use serde::Serialize;

use super::hint::typed;
use super::human::Table;
use super::look::Look;

/// What stands at a mount point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Found {
    /// Nothing; `enable` makes it.
    Absent,
    /// An empty directory.
    Empty,
    /// A directory with something in it, which is not covered.
    Filled,
    /// It could not be read, or is no directory.
    Unreadable,
}

/// A mount point of an app.
#[derive(Debug, Serialize)]
pub(crate) struct Place {
    pub(crate) mount_point: String,
    pub(crate) found: Found,
}

/// An app that is declared and not asked for.
#[derive(Debug, Serialize)]
pub(crate) struct Offer {
    pub(crate) app: String,
    pub(crate) title: String,
    pub(crate) places: Vec<Place>,
}

/// Prints what is done after the plan that was shown.
pub(crate) fn then(lines: &[String]) -> Result<()> {
    let text: String = lines.iter().map(|line| format!("then: {}\n", super::human::clean(line))).collect();
    super::print(&text)
}

/// Prints them for people.
pub(crate) fn print(offers: &[Offer]) -> Result<()> {
    super::print(&draw(offers, Look::of_stdout()))
}

fn draw(offers: &[Offer], look: Look) -> String {
    let mut table = Table::new(["APP", "TITLE", "MOUNT POINT", "NOW"]);
    for offer in offers {
        for (i, place) in offer.places.iter().enumerate() {
            let now = match place.found {
                Found::Absent => "not there; will be made".into(),
                Found::Empty => "empty".into(),
                Found::Filled => typed(&format!("holds data: datastore import {}", offer.app)).into(),
                Found::Unreadable => "cannot be read as a directory".into(),
            };
            let [app, title] = [&offer.app, &offer.title].map(|text| Cow::Borrowed(if i == 0 { &**text } else { "" }));
            table.row([app, title, Cow::Borrowed(&*place.mount_point), now], Style::new(), &[]);
        }
    }
    let drawn = table.draw(look);
    if drawn.is_empty() {
        return "every app that is declared is asked for\n".into();
    }
    let how = typed("`datastore enable APP` does it");
    format!("\nThese apps are not asked for yet; {how}:\n{drawn}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_has_its_words() {
        let place = |mount_point: &str, found| Place { mount_point: mount_point.into(), found };
        let offers = [
            Offer {
                app: "httpd".into(),
                title: "Web server".into(),
                places: vec![place("/var/www/cgi-bin", Found::Absent), place("/var/www/html", Found::Empty)],
            },
            Offer {
                app: "home".into(),
                title: "Home directories".into(),
                places: vec![place("/home", Found::Filled), place("/x", Found::Unreadable)],
            },
        ];
        insta::assert_snapshot!(draw(&offers, Look::default()));
        assert_eq!(draw(&[], Look::default()), "every app that is declared is asked for\n");
    }
}
