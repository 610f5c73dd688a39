//! Requests, one word a line: what the gate lets through, and what core makes of words. No line that is let through names a path but
//! that of a device, and whatever it has planned is a request that core understands.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use datastore_core::request::{Asked, Request, app_name};

#[rustfmt::skip]
#[path = "../../datastore-gate/src/line.rs"]
mod line;

/// The request behind the words of a plan.
fn request(words: &[&str]) -> datastore_core::Result<Asked> {
    let [verb, rest @ ..] = words else { unreachable!("a plan has a verb") };
    let mut request = Request::named(verb)?;
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        match word.strip_prefix("--") {
            Some("save" | "json") => {}
            Some(option @ ("to" | "keep" | "max-downtime" | "verify")) => {
                request.set(option, rest.next().expect("a value stands behind it"))?;
            }
            Some(option) => request.set(option, "")?,
            None => request.apps.push(app_name(word)?),
        }
    }
    request.asked()
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let words: Vec<OsString> = data.split(|&b| b == b'\n').map(|word| OsString::from_vec(word.to_vec())).collect();
    let text: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
    if line::check(&words).is_ok() {
        let text = text.expect("what is let through is text");
        for (i, word) in text.iter().enumerate() {
            let is_device = i > 0 && text[i - 1] == "--device";
            let plain = word.chars().all(|c| c.is_ascii_graphic()) && !word.contains("..");
            assert!(plain && word.contains('/') == is_device && (!is_device || word.starts_with("/dev/")), "{text:?}");
        }
        if let ["plan", rest @ ..] = &text[..] {
            let asked = request(rest).unwrap_or_else(|why| panic!("{text:?}: {}", why.chain()));
            if let Asked::Goal(goal) = asked {
                assert!(!goal.to_string().contains('/'), "{goal}");
            }
        }
    } else if let Some([verb, rest @ ..]) = text.as_deref() {
        // Any words at all, as the C library takes them: `--name value` in turn, and apps.
        let Ok(mut request) = Request::named(verb) else { return };
        let mut rest = rest.iter();
        while let Some(word) = rest.next() {
            let taken = match word.strip_prefix("--") {
                Some(option) => request.set(option, rest.next().copied().unwrap_or_default()),
                None => app_name(word).map(|name| request.apps.push(name)),
            };
            if let Err(error) = taken {
                assert!(!error.chain().chars().any(char::is_control), "{:?}", error.chain());
                return;
            }
        }
        if let Ok(Asked::Goal(goal)) = request.asked() {
            assert!(!goal.to_string().chars().any(char::is_control), "{goal:?}");
        }
    }
});
