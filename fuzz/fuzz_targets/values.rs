//! The small texts that everything else is made of: names, modes, identities, options, limits, hooks, names of units. What is accepted
//! has one spelling, is itself once it was printed, and says nothing that a terminal or a line of a log would obey.
#![no_main]

use datastore_core::AbsPath;
use datastore_core::expand::{Names, expand};
use datastore_core::hook::Hook;
use datastore_core::journal::OperationId;
use datastore_core::mapping::BindOptions;
use datastore_core::path::printable;
use datastore_core::plan::PlanId;
use datastore_core::request::destination;
use datastore_core::unit;
use datastore_core::value::{AppName, HostName, Id, Mode, OwnerName, VolumeName};
use datastore_core::watch::Limit;

/// What was accepted is accepted again once it was printed, as the same.
fn settles<T: PartialEq + std::fmt::Debug + ToString, E: ToString>(text: &str, parse: fn(&str) -> Result<T, E>) {
    match parse(text) {
        Ok(value) => {
            let printed = value.to_string();
            assert!(!printed.chars().any(char::is_control));
            let Ok(again) = parse(&printed) else { panic!("{printed:?} is not read again") };
            assert_eq!(again, value);
        }
        Err(why) => _ = why.to_string(),
    }
}

/// A name that becomes that of a file, or a part of one.
fn is_file_name(name: &str) {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.@".contains(&b);
    assert!(name.bytes().all(plain) && !name.starts_with(['.', '-']) && (1..=128).contains(&name.len()), "{name:?}");
}

/// What systemd makes of the name of a mount unit (`systemd-escape --unescape --path`).
fn unescaped(unit: &str) -> Vec<u8> {
    let mut rest = unit.strip_suffix(".mount").expect("it is a mount unit").as_bytes();
    let mut path = vec![b'/'];
    if rest == b"-" {
        return path;
    }
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'-', _) => path.push(b'/'),
            (b'\\', [b'x', digits @ ..]) => {
                let digits: &str = std::str::from_utf8(&digits[..2]).expect("two digits");
                path.push(u8::from_str_radix(digits, 16).expect("hexadecimal"));
                rest = &after[3..];
            }
            (first, _) => path.push(*first),
        }
    }
    path
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(path) = AbsPath::from_kernel(data)
        && let Some(unit) = unit::mount(&path)
    {
        assert!(unit.bytes().all(|b| b.is_ascii_graphic() && b != b'/'), "{unit}");
        assert_eq!(unescaped(&unit), path.as_bytes());
    }
    let options = BindOptions::from_list(data);
    assert_eq!(BindOptions::from_list(options.to_string().as_bytes()), options);
    let Ok(text) = std::str::from_utf8(data) else { return };
    settles(text, AppName::parse);
    settles(text, VolumeName::parse);
    settles(text, HostName::parse);
    settles(text, OwnerName::parse);
    settles(text, Mode::parse);
    settles(text, Id::parse);
    settles(text, OperationId::parse);
    settles(text, Hook::parse);
    for name in [AppName::parse(text).ok().map(|n| n.to_string()), VolumeName::parse(text).ok().map(|n| n.to_string())]
    {
        name.as_deref().into_iter().for_each(is_file_name);
    }
    if let Ok(id) = PlanId::parse(text) {
        assert!(id.as_str() == text && text.bytes().all(|b| b.is_ascii_alphanumeric()));
    }
    if let Ok(limit) = Limit::parse(text) {
        assert!(!matches!(limit, Limit::Percent(share) if share >= 100));
    }
    if let Ok(to) = destination(text) {
        assert!(!printable(format!("{to:?}").as_bytes()).chars().any(char::is_control));
    }
    let mut options = BindOptions::default();
    for word in text.split(',') {
        assert_eq!(options.set(word).is_ok(), BindOptions::WORDS.contains(&word));
    }
    let names = Names { store: "/store", volume_path: "/store/data0", volume: "data0", host: Some("h"), app: "a" };
    if let Ok(expanded) = expand(text, names) {
        assert!(text.contains('%') || expanded == text);
    }
});
