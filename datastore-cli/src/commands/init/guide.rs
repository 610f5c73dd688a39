//! The questions of `init`. Nothing is changed here: what comes of them is shown as a plan.

use std::io::{BufRead as _, Write as _};

use datastore_core::candidate::{Candidate, CandidateState};
use datastore_core::value::{AppName, HostName};
use datastore_core::{Error, ErrorKind, Result, amount};
use datastore_exec::Engine;

use super::answers::Answers;
use super::{host, offers, weight};
use crate::view;
use crate::view::offers::{Found, Offer};

/// Who answers.
pub(super) trait Person {
    /// Says something.
    fn tell(&mut self, text: &str);
    /// Asks, and returns the line without its end; `None` at the end of the input.
    fn ask(&mut self, question: &str) -> Result<Option<String>>;
}

/// Somebody at a terminal.
pub(super) struct Terminal;

impl Person for Terminal {
    fn tell(&mut self, text: &str) {
        view::note(text);
    }

    fn ask(&mut self, question: &str) -> Result<Option<String>> {
        view::question(question);
        let _ = std::io::stderr().flush();
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line).map_err(|error| {
            Error::new(ErrorKind::System, "the answer cannot be read; nothing has been changed").caused_by(error)
        })?;
        Ok((read > 0).then(|| line.trim().to_owned()))
    }
}

/// Asks for everything. `None` if somebody gave up.
pub(super) fn ask(engine: &Engine, mut answers: Answers, person: &mut impl Person) -> Result<Option<Answers>> {
    person.tell("Nothing is changed before you have seen the whole plan. An empty answer takes what is in brackets.\n");
    let known = host(engine, None).ok();
    let Some(name) = ask_for_host(known.as_ref(), person)? else { return Ok(None) };
    let wanted = engine.config_of(&name)?;
    answers.host = Some(name);
    let disks = engine.candidates()?.candidates;
    if !ask_for_disk(&disks, &mut answers, person)? {
        return Ok(None);
    }
    let offers = offers(&wanted, engine);
    let is_full = |offer: &&Offer| offer.places.iter().any(|place| place.found == Found::Filled);
    let (full, bare): (Vec<&Offer>, Vec<&Offer>) = offers.iter().partition(is_full);
    let line = |offer: &Offer, places: &str| format!("  {:<14} {:<22} {places}", offer.app, offer.title);
    if !full.is_empty() {
        person.tell("\nThere is data that could be kept in the store:");
        for offer in &full {
            let filled = offer.places.iter().filter(|place| place.found == Found::Filled);
            let places =
                filled.filter_map(|p| Some(weight(engine, &datastore_core::AbsPath::parse(&p.mount_point).ok()?)));
            person.tell(&line(offer, &places.collect::<Vec<_>>().join(", ")));
        }
        let Some(apps) = ask_for_apps("Bring in the data of which apps? names, all or none [none]: ", &full, person)?
        else {
            return Ok(None);
        };
        answers.import = apps;
    }
    if !bare.is_empty() {
        person.tell("\nThese apps have no data yet; what they will have is kept in the store if you ask for them:");
        for offer in &bare {
            let places: Vec<&str> = offer.places.iter().map(|place| place.mount_point.as_str()).collect();
            person.tell(&line(offer, &places.join(", ")));
        }
        let Some(apps) = ask_for_apps("Ask for which of them? names, all or none [none]: ", &bare, person)? else {
            return Ok(None);
        };
        answers.enable = apps;
    }
    person.tell("");
    Ok(Some(answers))
}

/// The name; `None` if somebody gave up.
fn ask_for_host(known: Option<&HostName>, person: &mut impl Person) -> Result<Option<HostName>> {
    let bracket = known.map(|name| format!(" [{name}]")).unwrap_or_default();
    loop {
        let question = format!("The name under which this machine presents its data{bracket}: ");
        let Some(line) = person.ask(&question)? else { return Ok(None) };
        match (line.as_str(), known) {
            ("", Some(name)) => return Ok(Some(name.clone())),
            (text, _) => match HostName::parse(text) {
                Ok(name) => return Ok(Some(name)),
                Err(why) => person.tell(&why.to_string()),
            },
        }
    }
}

/// Where the data is to be; false if somebody gave up.
fn ask_for_disk(disks: &[Candidate], answers: &mut Answers, person: &mut impl Person) -> Result<bool> {
    let usable: Vec<&Candidate> = disks.iter().filter(|disk| !disk.hint.is_empty()).collect();
    person.tell("\nWhere is the data to be kept?");
    for (i, disk) in usable.iter().enumerate() {
        person.tell(&format!("  {}  {}", i + 1, described(disk)));
    }
    let here = usable.len() + 1;
    person.tell(&format!("  {here}  on the disk of the system, in /store/{}", answers.volume));
    loop {
        let Some(line) = person.ask(&format!("A number [{here}]: "))? else { return Ok(false) };
        let number = if line.is_empty() { Ok(here) } else { line.parse::<usize>() };
        let Ok(number) = number.map_err(drop).and_then(|n| if (1..=here).contains(&n) { Ok(n) } else { Err(()) })
        else {
            person.tell(&format!("one of 1 to {here}"));
            continue;
        };
        let Some(disk) = usable.get(number - 1) else { return Ok(true) };
        match disk.state {
            CandidateState::PreparedVolume => {
                person.tell(&format!(
                    "That disk has data of a machine with a data store. To take it over: {}",
                    disk.hint
                ));
                return Ok(false);
            }
            CandidateState::Empty => {
                let Some(format) = ask_for_format(person)? else { return Ok(false) };
                answers.source.format = Some(format);
            }
            CandidateState::HasFileSystem | CandidateState::HasOtherData | CandidateState::Unknown => {}
        }
        let lasting = if disk.by_id.is_empty() { &disk.device } else { &disk.by_id };
        answers.source.device = Some(lasting.into());
        return Ok(true);
    }
}

fn described(disk: &Candidate) -> String {
    let size = amount::size(disk.bytes);
    let model = if disk.model.is_empty() { String::new() } else { format!(", {}", disk.model) };
    let what = match disk.state {
        CandidateState::Empty => "empty: a file system is made".to_owned(),
        CandidateState::PreparedVolume => {
            let host = if disk.host.is_empty() { String::new() } else { format!(" of {}", disk.host) };
            format!("carries volume {}{host}", disk.volume)
        }
        _ => format!("{}, taken as it is", disk.fstype),
    };
    format!("{} ({size}{model}): {what}", disk.device)
}

fn ask_for_format(person: &mut impl Person) -> Result<Option<String>> {
    loop {
        let Some(line) = person.ask("Which file system? ext4, xfs or btrfs [ext4]: ")? else { return Ok(None) };
        match line.as_str() {
            "" => return Ok(Some("ext4".into())),
            "ext4" | "xfs" | "btrfs" => return Ok(Some(line)),
            _ => person.tell("ext4, xfs or btrfs"),
        }
    }
}

/// Some of these apps; `None` if somebody gave up.
fn ask_for_apps(question: &str, offers: &[&Offer], person: &mut impl Person) -> Result<Option<Vec<AppName>>> {
    'again: loop {
        let Some(line) = person.ask(question)? else { return Ok(None) };
        let words: Vec<&str> = line.split(|c: char| c.is_whitespace() || c == ',').filter(|w| !w.is_empty()).collect();
        let names: Vec<&str> = match words.as_slice() {
            [] | ["none"] => Vec::new(),
            ["all"] => offers.iter().map(|offer| offer.app.as_str()).collect(),
            _ => words,
        };
        let mut apps = Vec::new();
        for name in names {
            match (offers.iter().any(|offer| offer.app == name), AppName::parse(name)) {
                (true, Ok(app)) => apps.push(app),
                _ => {
                    person.tell(&format!("none of them is called `{}`", name.escape_debug()));
                    continue 'again;
                }
            }
        }
        return Ok(Some(apps));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Source;
    use datastore_core::value::VolumeName;

    /// Somebody who has his answers ready.
    struct Ready {
        answers: Vec<&'static str>,
        told: String,
    }

    impl Ready {
        fn with(answers: &[&'static str]) -> Self {
            Self { answers: answers.iter().rev().copied().collect(), told: String::new() }
        }
    }

    impl Person for Ready {
        fn tell(&mut self, text: &str) {
            self.told.push_str(text);
            self.told.push('\n');
        }
        fn ask(&mut self, question: &str) -> Result<Option<String>> {
            self.tell(question);
            Ok(self.answers.pop().map(str::to_owned))
        }
    }

    fn nothing() -> Answers {
        let volume = VolumeName::parse("data0").unwrap();
        Answers { host: None, volume, source: Source::default(), import: vec![], enable: vec![] }
    }

    fn disk(device: &str, state: CandidateState) -> Candidate {
        Candidate {
            device: device.into(),
            by_id: String::new(),
            bytes: 10 << 30,
            model: "Disk".into(),
            fstype: if state == CandidateState::HasFileSystem { "xfs".into() } else { String::new() },
            label: String::new(),
            state,
            volume: if state == CandidateState::PreparedVolume { "data0".into() } else { String::new() },
            host: String::new(),
            detail: String::new(),
            hint: if state == CandidateState::HasOtherData { String::new() } else { "datastore adopt".into() },
        }
    }

    #[test]
    fn a_name_is_asked_for_until_it_is_one() {
        let mut person = Ready::with(&["localhost", "a b", "web"]);
        assert_eq!(ask_for_host(None, &mut person).unwrap().unwrap().as_str(), "web");
        let known = HostName::parse("server1").ok();
        assert_eq!(ask_for_host(known.as_ref(), &mut Ready::with(&[""])).unwrap().unwrap().as_str(), "server1");
        assert_eq!(ask_for_host(known.as_ref(), &mut Ready::with(&[])).unwrap(), None);
    }

    #[test]
    fn disks_are_chosen_by_number() {
        let disks = [
            disk("/dev/sda", CandidateState::HasOtherData),
            disk("/dev/sdb", CandidateState::Empty),
            disk("/dev/sdc", CandidateState::HasFileSystem),
            disk("/dev/sdd", CandidateState::PreparedVolume),
        ];
        let choose = |lines: &[&'static str]| {
            let (mut answers, mut person) = (nothing(), Ready::with(lines));
            let went_on = ask_for_disk(&disks, &mut answers, &mut person).unwrap();
            (went_on, answers.source.device, answers.source.format, person.told)
        };
        let (went_on, device, format, told) = choose(&["7", "x", "1", "vfat", "xfs"]);
        assert_eq!((went_on, device, format.as_deref()), (true, Some("/dev/sdb".into()), Some("xfs")));
        assert!(!told.contains("/dev/sda") && told.contains("/dev/sdb (10 GiB, Disk): empty"), "{told}");
        assert_eq!(choose(&["2"]).1, Some("/dev/sdc".into()));
        let (went_on, _, _, told) = choose(&["3"]);
        assert!(!went_on && told.contains("To take it over: datastore adopt"), "{told}");
        assert_eq!(choose(&[""]).1, None, "the disk of the system");
        assert!(!choose(&[]).0, "the input ended");
    }

    #[test]
    fn apps_are_chosen_by_name() {
        let offer = |app: &str| Offer { app: app.into(), title: String::new(), places: vec![] };
        let (home, mail) = (offer("home"), offer("mail"));
        let choose = |lines: &[&'static str]| {
            let apps = ask_for_apps("which? ", &[&home, &mail], &mut Ready::with(lines)).unwrap();
            apps.map(|apps| apps.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(choose(&["all"]).as_deref(), Some("home mail"));
        assert_eq!(choose(&["none"]).as_deref(), Some(""));
        assert_eq!(choose(&[""]).as_deref(), Some(""));
        assert_eq!(choose(&["web", "mail, home"]).as_deref(), Some("mail home"));
        assert_eq!(choose(&[]), None);
    }
}
