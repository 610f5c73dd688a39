//! Configlets made of pieces, good and bad: what is let through is held against rules that share no code with the product
//! (`datastore-core/tests/oracle`), and what is wrong with one configlet changes nothing for the others.
#![no_main]

use datastore_core::config::{GLOBALS, Input, Role};
use datastore_core::resolve::{Incumbents, resolve};
use datastore_core::syntax::print::quoted;
use datastore_core::wanted::Wanted;
use libfuzzer_sys::arbitrary::{Result, Unstructured};

#[path = "../../datastore-core/tests/oracle/mod.rs"]
mod oracle;

const GLOBAL_TEXT: &str = "host = \"h\"\n[volume.data0]\nid = \"11111111-2222-4333-8444-555555555555\"\n";
const APPS: [&str; 4] = ["a", "b", "c.d", "e@1"];
const PIECES: &[&str] = &[
    "/",
    "//",
    "/a",
    "/b",
    "/srv",
    "/var",
    "/lib",
    "/etc",
    "/usr",
    "/store",
    "/data0",
    "/live",
    "/h",
    "/..",
    "/.",
    "/x",
    " ",
    "/.datastore",
    "/datastore",
    "/datastore.d",
    "/fstab",
    "/boot",
    "/dev",
    "/run",
    "\\",
    "\u{85}",
    "\u{e9}",
    "%{base}",
    "%{store}",
    "%{volume}",
    "%{host}",
    "%{app}",
    "%{%}",
    "%",
    "%{",
    "}",
    "%{base}/",
    "\n",
    "\u{7f}",
    "...",
];

/// A text of pieces, or any text.
fn text(u: &mut Unstructured<'_>) -> Result<String> {
    if u.ratio(1, 24)? {
        return Ok(u.arbitrary::<&str>()?.to_owned());
    }
    let count = u.int_in_range(1..=5)?;
    (0..count).map(|_| u.choose(PIECES).copied()).collect()
}

struct Said {
    mount_point: String,
    target: String,
    permissions: Option<String>,
    owner: Option<String>,
    volume: Option<String>,
    unusual: bool,
}

fn said(u: &mut Unstructured<'_>) -> Result<Said> {
    let mount_point = if u.ratio(1, 2)? { format!("/srv{}", text(u)?) } else { text(u)? };
    let target = if u.ratio(1, 2)? { format!("%{{base}}{}", text(u)?) } else { text(u)? };
    let some = |u: &mut Unstructured<'_>, words: &[&str]| -> Result<Option<String>> {
        Ok(if u.ratio(1, 4)? { Some((*u.choose(words)?).to_owned()) } else { None })
    };
    let permissions = some(u, &["0755", "700", "8", "07777", ""])?;
    let owner = some(u, &["root", "-x", "a:b", "DOM\\u"])?;
    let volume = some(u, &["data0", "data1", "..", "a/b"])?;
    Ok(Said { mount_point, target, permissions, owner, volume, unusual: u.ratio(1, 4)? })
}

impl Said {
    fn toml(&self) -> String {
        let mut text = format!("[mapping.{}]\ntarget = {}\n", quoted(&self.mount_point), quoted(&self.target));
        for (key, value) in [("permissions", &self.permissions), ("owner", &self.owner), ("volume", &self.volume)] {
            if let Some(value) = value {
                text += &format!("{key} = {}\n", quoted(value));
            }
        }
        text + if self.unusual { "unusual = true\n" } else { "" }
    }

    fn told(&self, app: &str) -> Option<(String, String)> {
        let point = oracle::mount_point(&self.mount_point, self.unusual)?;
        let store = oracle::store(&self.target, app, self.volume.as_deref())?;
        let mode = self.permissions.as_deref().is_none_or(oracle::is_mode);
        (mode && self.owner.as_deref().is_none_or(oracle::is_owner)).then_some((point, store))
    }
}

/// The mappings that nothing is wrong with.
fn good(wanted: &Wanted) -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let good = wanted.mappings.iter().filter(|m| m.problem.is_none());
    good.map(|m| (m.app.to_string(), m.mount_point.as_bytes().to_vec(), m.store.as_bytes().to_vec())).collect()
}

fn run(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    let mut configlets: Vec<(&str, Vec<Said>)> = Vec::new();
    for app in APPS {
        if u.ratio(1, 4)? {
            continue;
        }
        let count = u.int_in_range(0..=3)?;
        let all: Vec<Said> = (0..count).map(|_| said(&mut u)).collect::<Result<_>>()?;
        // One key twice is an error of the language.
        let keys: std::collections::HashSet<&str> = all.iter().map(|s| s.mount_point.as_str()).collect();
        if keys.len() == all.len() {
            configlets.push((app, all));
        }
    }
    let inputs = |but: &[String]| {
        let there = configlets.iter().filter(|(app, _)| !but.iter().any(|bad| bad == app));
        let each = there.map(|(app, all)| {
            let text: String = all.iter().map(Said::toml).collect();
            Input::read(format!("/etc/datastore.d/{app}.conf"), Role::Configlet, *app, text)
        });
        std::iter::once(Input::read(GLOBALS, Role::Globals, "", GLOBAL_TEXT)).chain(each).collect()
    };
    let wanted = resolve(inputs(&[]), &Incumbents::new());
    let mut asked = Vec::new();
    for (app, all) in &configlets {
        let told: Option<Vec<_>> = all.iter().map(|said| said.told(app)).collect();
        let refused = wanted.app(&app.parse().expect("a name")).expect("it is declared").problem.is_some();
        assert_eq!(refused, told.is_none(), "{app}: {:?}", wanted.diagnostics);
        asked.extend(told.into_iter().flatten().map(|(point, store)| ((*app).to_owned(), point, store)));
    }
    let mut through: Vec<(String, Vec<u8>, Vec<u8>)> = Vec::new();
    for (i, (app, point, store)) in asked.iter().enumerate() {
        let mut others = asked.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, other)| other);
        if !others.any(|(_, p, s)| oracle::clash((point, store), (p, s))) {
            through.push((app.clone(), point.clone().into_bytes(), store.clone().into_bytes()));
        }
    }
    through.sort();
    let mut found = good(&wanted);
    found.sort();
    assert_eq!(found, through, "{:?}", wanted.diagnostics);
    for finding in &wanted.diagnostics {
        assert!(!finding.one_line().chars().any(char::is_control), "{finding:?}");
    }
    let bad: Vec<String> = wanted.apps.iter().filter(|a| a.problem.is_some()).map(|a| a.name.to_string()).collect();
    if !bad.is_empty() {
        assert_eq!(good(&resolve(inputs(&bad), &Incumbents::new())), good(&wanted));
    }
    Ok(())
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = run(data);
});
