use super::*;

fn row(app: &str, mount_point: &str, reason: Reason) -> Row {
    Row {
        app: app.into(),
        mount_point: mount_point.into(),
        store: String::new(),
        volume: String::new(),
        state: State::Refused,
        reason: Some(reason),
        detail: "a sentence".into(),
        hint: format!("datastore start {app}"),
    }
}

fn settle(book: &mut Book, bad: &[&Row], now: i64) -> (usize, usize) {
    let findings = Findings { bad: bad.to_vec(), unsure: BTreeSet::new(), covers: |_: &str| true };
    let change = book.settle(&findings, now);
    book.told(&change.raised);
    (change.raised.len(), change.cleared.len())
}

#[test]
fn once_raised_it_is_quiet_until_it_is_over() {
    let mut book = Book::default();
    let (a, b) = (row("a", "/a", Reason::VolumeMissing), row("b", "/b", Reason::WrongStore));
    assert_eq!(settle(&mut book, &[&a], 1), (1, 0));
    assert_eq!(settle(&mut book, &[&a, &b], 2), (1, 0), "the old one is not raised again");
    assert_eq!(book.alarms.iter().map(|alarm| alarm.since).collect::<Vec<_>>(), [1, 2]);
    // Another reason for the same mapping is another alarm.
    let worse = row("a", "/a", Reason::WrongVolume);
    assert_eq!(settle(&mut book, &[&worse, &b], 3), (1, 1));
    assert_eq!(settle(&mut book, &[], 4), (0, 2));
    assert_eq!(book, Book::default());
}

#[test]
fn what_was_not_looked_at_or_is_not_sure_stays_open() {
    let mut book = Book::default();
    let (a, b) = (row("a", "/a", Reason::HookFailed), row("b", "/b", Reason::WrongStore));
    settle(&mut book, &[&a, &b], 1);
    let only_a = Findings { bad: vec![], unsure: BTreeSet::new(), covers: |app: &str| app == "a" };
    assert_eq!(book.clone().settle(&only_a, 2).cleared.len(), 1);
    let unsure = Findings { bad: vec![], unsure: BTreeSet::from([("a", "/a")]), covers: |_: &str| true };
    let cleared = book.settle(&unsure, 2).cleared;
    assert_eq!(cleared.iter().map(|alarm| alarm.app.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn that_a_mapping_is_not_bound_is_no_alarm_beside_the_one_that_says_why() {
    let mut book = Book::default();
    let failed = row("a", "/a", Reason::HookFailed);
    let pending = |at: &str| Row { state: State::Pending, reason: None, ..row("a", at, Reason::HookFailed) };
    settle(&mut book, &[&failed], 1);
    let (a, b) = (pending("/a"), pending("/b"));
    let guard = Findings { bad: vec![&a, &b], unsure: BTreeSet::new(), covers: |_: &str| false };
    let raised = book.settle(&guard, 2).raised;
    assert_eq!(raised.iter().map(|alarm| alarm.mount_point.as_str()).collect::<Vec<_>>(), ["/b"]);
    assert_eq!(book.alarms.len(), 2);
}

#[test]
fn services_have_an_alarm_of_their_own() {
    let mut book = Book::default();
    let failure = |detail: &str| Failure { detail: detail.into(), hint: "journalctl -u a.service".into() };
    let only = |app: &'static str| move |other: &str| other == app;
    let first = book.settle_services(only("a"), Some(("a", &failure("a.service could not be started"))), 1);
    book.told(&first.raised);
    assert_eq!((first.raised.len(), first.cleared.len()), (1, 0));
    let again = book.settle_services(only("a"), Some(("a", &failure("b.service could not be started"))), 2);
    assert_eq!(again, Change::default(), "it is raised once");
    assert_eq!((book.alarms[0].since, book.alarms[0].detail.as_str()), (1, "b.service could not be started"));
    // That the mapping is bound, or is not, is another matter.
    let broken = row("a", "/a", Reason::WrongStore);
    assert_eq!(settle(&mut book, &[&broken], 3), (1, 0));
    assert_eq!(settle(&mut book, &[], 4), (0, 1));
    assert_eq!(Book::parse(&book.render()), Ok(book.clone()));
    assert_eq!(book.settle_services(only("b"), None, 5), Change::default());
    let over = book.settle_services(only("a"), None, 5);
    assert_eq!((over.raised.len(), over.cleared.len()), (0, 1));
    assert_eq!(book, Book::default());

    let alarm = &over.cleared[0];
    assert_eq!(
        line(alarm, Occasion::Raised),
        "`a`: service-failed: b.service could not be started (hint: journalctl -u a.service)"
    );
    assert_eq!(line(alarm, Occasion::Cleared), "`a`: service-failed is over");
    assert_eq!(subject(alarm, Occasion::Raised, "mail"), "datastore: `a` on mail: service-failed");
    assert!(body(alarm, Occasion::Raised, "").starts_with("what:        services of `a` are not as they should be\n"));
}

#[test]
fn an_alarm_of_before_there_were_kinds_is_about_a_mapping() {
    let mut book = Book::default();
    settle(&mut book, &[&row("a", "/a", Reason::NoSpace)], 7);
    let text = String::from_utf8(book.render()).unwrap();
    let old = text.replace("      \"kind\": \"mapping\",\n", "").replace("      \"volume\": \"\",\n", "");
    assert_ne!(old, text);
    assert!(Book::parse(old.as_bytes()).unwrap_err().contains("checksum"));
    // Nor had they a checksum.
    let old: String = old.lines().filter(|line| !line.contains("\"sum\"")).collect();
    assert_eq!(Book::parse(old.as_bytes()), Ok(book));
}

#[test]
fn what_was_not_told_everywhere_is_told_again() {
    let mut book = Book::default();
    let a = row("a", "/a", Reason::VolumeMissing);
    let findings = Findings { bad: vec![&a], unsure: BTreeSet::new(), covers: |_: &str| true };
    assert_eq!(book.settle(&findings, 1).raised.len(), 1);
    assert_eq!(book.settle(&findings, 2).raised[0].since, 1);
}

#[test]
fn the_book_is_read_as_it_was_written_and_a_newer_one_is_refused() {
    let mut book = Book::default();
    settle(&mut book, &[&row("a", "/a", Reason::NoSpace)], 7);
    assert_eq!(Book::parse(&book.render()), Ok(book));
    assert!(Book::parse(b"{\"version\":2,\"alarms\":[]}").unwrap_err().contains("version 2"));
    assert!(Book::parse(b"{\"version\":1").is_err());
}

#[test]
fn every_reason_has_its_words_on_one_line() {
    for &reason in Reason::ALL {
        let alarm = Alarm::of(&row("mysqld", "/var/lib/mysql", reason), 1);
        let text = line(&alarm, Occasion::Raised);
        assert_eq!(
            text,
            format!("`mysqld` must not start: /var/lib/mysql: {reason}: a sentence (hint: datastore start mysqld)")
        );
        assert_eq!(subject(&alarm, Occasion::Raised, "mail"), format!("datastore: `mysqld` on mail: {reason}"));
        assert!(body(&alarm, Occasion::Raised, "mail").contains("hint:        datastore start mysqld\n"));
        assert!(line(&alarm, Occasion::Cleared).ends_with(&format!("{reason} is over")));
    }
    let mut evil = Alarm::of(&row("a", "/a\nb", Reason::NoSpace), 1);
    evil.detail = "x\n\u{1b}[31mBcc: all".into();
    let all = [subject(&evil, Occasion::Raised, "h\ni"), line(&evil, Occasion::Raised)];
    assert!(all.iter().all(|text| !text.contains(char::is_control)), "{all:?}");
    assert!(body(&evil, Occasion::Raised, "").lines().all(|l| !l.starts_with("Bcc") && !l.contains('\u{1b}')));
}

fn trouble(kind: Kind, volume: &str) -> Trouble {
    Trouble {
        kind,
        volume: VolumeName::parse(volume).unwrap(),
        path: AbsPath::literal("/store").child(volume),
        state: if kind == Kind::Volume { State::Refused } else { State::Active },
        reason: (kind == Kind::Volume).then_some(Reason::VolumeMissing),
        detail: "a sentence".into(),
        hint: "a command".into(),
    }
}

#[test]
fn volumes_have_alarms_of_their_own_and_apps_say_nothing_of_them() {
    let mut book = Book::default();
    let (space, inodes) = (trouble(Kind::Space, "data0"), trouble(Kind::Inodes, "data0"));
    let raised = book.settle_volumes(&[space.clone(), inodes.clone()], 1).raised;
    assert_eq!(raised.iter().map(|a| a.kind).collect::<Vec<_>>(), [Kind::Space, Kind::Inodes]);
    book.told(&raised);
    let has = |book: &Book, kind, name: &str| book.has_of_volume(kind, &VolumeName::parse(name).unwrap());
    assert!(
        has(&book, Kind::Space, "data0") && !has(&book, Kind::Space, "data1") && !has(&book, Kind::ReadOnly, "data0")
    );
    // Found once more with other words, and on another volume.
    let words = Trouble { detail: "truer".into(), ..space };
    let change = book.settle_volumes(&[words, inodes, trouble(Kind::Space, "data1")], 2);
    assert_eq!((change.raised.len(), change.cleared.len()), (1, 0));
    assert_eq!((book.alarms[0].detail.as_str(), book.alarms[0].since), ("truer", 1));
    book.told(&change.raised);
    // An app that is well, or not, is another matter.
    assert_eq!(settle(&mut book, &[], 3), (0, 0));
    assert_eq!(book.settle_services(|_| true, None, 3), Change::default());
    assert_eq!(settle(&mut book, &[&row("data0", "/store/data0", Reason::VolumeMissing)], 3), (1, 0));
    assert_eq!(Book::parse(&book.render()), Ok(book.clone()));
    let change = book.settle_volumes(&[], 4);
    assert_eq!((change.raised.len(), change.cleared.len(), book.alarms.len()), (0, 3, 1));
}

#[test]
fn every_kind_has_its_words() {
    let all: Vec<Alarm> = Kind::ALL
        .iter()
        .map(|&kind| match kind {
            Kind::Mapping => Alarm::of(&row("shop", "/srv/shop", Reason::WrongStore), 1),
            Kind::Service => {
                Alarm::of_services("shop", &Failure { detail: "a sentence".into(), hint: "a command".into() }, 1)
            }
            _ => Alarm::of_volume(&trouble(kind, "data0"), 1),
        })
        .collect();
    let lines: Vec<String> = all.iter().map(|alarm| line(alarm, Occasion::Raised)).collect();
    assert_eq!(
        lines,
        [
            "`shop` must not start: /srv/shop: wrong-store: a sentence (hint: datastore start shop)",
            "`shop`: service-failed: a sentence (hint: a command)",
            "volume `data0`: volume-missing: a sentence (hint: a command)",
            "volume `data0`: space-low: a sentence (hint: a command)",
            "volume `data0`: inodes-low: a sentence (hint: a command)",
            "volume `data0`: read-only: a sentence (hint: a command)",
        ]
    );
    assert_eq!(line(&all[3], Occasion::Cleared), "volume `data0`: space-low is over");
    assert_eq!(subject(&all[4], Occasion::Raised, "mail"), "datastore: volume `data0` on mail: inodes-low");
    assert_eq!(
        body(&all[5], Occasion::Raised, ""),
        "what:        nothing can be written to volume `data0`\nvolume:      data0\npath:        /store/data0\n\
         reason:      read-only\ndetail:      a sentence\nhint:        a command\n"
    );
}
