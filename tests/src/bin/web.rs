//! `cargo xtask web`: shows the web page on a server that is thrown away afterwards.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks with whoever started it")]

use std::fs;
use std::io::Write as _;

use datastore_tests::web::{Programs, Web};

/// Its disks; the last one is no volume yet.
const DISKS: &[(&str, u64)] = &[("sdb", 480 << 20), ("sdc", 480 << 20), ("sdd", 256 << 20)];
/// Its apps, with what is at their mount points before anything is done, in files of 100 kB.
const APPS: &[(&str, &str, u32)] =
    &[("photos", "Photos", 900), ("mail", "Mail", 300), ("shop", "Web shop", 40), ("wiki", "Wiki", 0)];
/// What can be moved long enough to be watched.
const LETTERS: u32 = 60_000;

fn main() {
    let port = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let web = port.map_or_else(|| Web::new(DISKS, 2), |port| Web::at(port, &Programs::built(), DISKS, 2));
    let sandbox = web.sandbox();
    for (app, title, files) in APPS {
        let text = format!("title = \"{title}\"\n[mapping.\"/srv/{app}\"]\ntarget = \"%{{base}}/{app}\"\n");
        sandbox.configlet(app, &text);
        let at = sandbox.directory(format!("srv/{app}"), 0o755);
        for n in 0..*files {
            fs::write(at.join(n.to_string()), vec![b'x'; 100_000]).expect("write a file");
        }
    }
    web.datastore(&["import", "photos", "--yes"]);
    web.datastore(&["import", "mail", "--yes"]);
    web.datastore(&["apply", "--yes"]);
    for n in 0..LETTERS {
        fs::write(sandbox.path(format!("srv/mail/letter-{n}")), [b'x'; 500]).expect("write a file");
    }
    web.datastore(&["stop", "wiki"]);
    web.datastore(&["usage"]);
    println!("the page of a server that is thrown away afterwards:\n\n    {}\n\nEnter ends it.", web.entry());
    let _ = std::io::stdout().flush();
    let _ = std::io::stdin().read_line(&mut String::new());
    web.grumbles().iter().for_each(|line| eprintln!("{line}"));
}
