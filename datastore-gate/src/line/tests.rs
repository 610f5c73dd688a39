//! What is let through, and what is not.

use std::os::unix::ffi::OsStringExt as _;

use super::*;

const ID: &str = "1f0c2d3e4b5a6978";

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

fn passes(words: &[OsString]) -> bool {
    check(words).is_ok()
}

/// Every line that is let through, once in each of its shapes.
fn accepted() -> Vec<String> {
    let mut lines = Vec::new();
    for verb in ["apply", "start", "stop", "restart", "enable", "disable", "remap", "import", "reclaim"] {
        lines.push(format!("plan {verb} shop --save --json"));
    }
    for middle in [
        "apply",
        "reclaim",
        "reclaim --expired",
        "reclaim shop --expired",
        "import shop --verify content",
        "move shop --to data1",
        "move shop --to data1 --max-downtime 5",
        "move shop --to data1 --verify content",
        "move shop --to data1 --max-downtime 120 --verify content",
        "move shop --undo",
        "move shop --undo --keep old",
        "move shop --undo --keep new",
        "move shop --resume",
        "move shop --abort",
        // Words that are names here, whatever they are elsewhere.
        "start start",
        "stop my.app@2_x-y",
    ] {
        lines.push(format!("plan {middle} --save --json"));
    }
    lines.extend([
        format!("apply --plan {ID} --yes --json"),
        "config add --json".into(),
        "config remove shop --json".into(),
        "volume add data1 --device /dev/sdb --yes --json".into(),
        "volume add data1 --device /dev/mapper/vg-data_1 --format ext4 --yes --json".into(),
        "volume add data1 --device /dev/disk/by-id/ata-X:1+2.3 --format xfs --yes --json".into(),
        "volume add data1 --device /dev/sdb1 --format btrfs --yes --json".into(),
        "volume remove data1 --yes --json".into(),
        "recover --yes --json".into(),
        "doctor --json".into(),
        "usage --json".into(),
        "log --json".into(),
        "log shop --json".into(),
        "volume candidates --json".into(),
    ]);
    lines
}

#[test]
fn what_the_pages_need_is_let_through() {
    for line in accepted() {
        assert!(passes(&words(&line)), "{line}");
    }
}

#[test]
fn with_one_word_more_less_or_elsewhere_it_is_not() {
    let accepted = accepted();
    let known = |words: &[OsString]| {
        let line = words.join(std::ffi::OsStr::new(" "));
        accepted.iter().any(|known| line == **known)
    };
    // Words that name an app or a volume may be any name, so they are left out of what is put in.
    let extra = [
        "--root",
        "--root=/x",
        "-y",
        "--yes",
        "--json",
        "--save",
        "--force",
        "--accept-store",
        "--",
        "",
        "-",
        "/x",
        "a b",
        "\u{e4}",
    ];
    for line in &accepted {
        let line = words(line);
        for at in 0..=line.len() {
            for word in extra {
                let mut more = line.clone();
                more.insert(at, word.into());
                assert!(!passes(&more), "{more:?}");
                if at < line.len() && line[at] != word {
                    let mut other = line.clone();
                    other[at] = word.into();
                    assert!(!passes(&other), "{other:?}");
                }
            }
            if at < line.len() {
                let mut less = line.clone();
                less.remove(at);
                assert!(!passes(&less) || known(&less) || known_but_for_names(&less), "{less:?}");
                let mut twice = line.clone();
                twice.insert(at, line[at].clone());
                // A verb may stand twice where the second is a name: `plan apply apply`.
                let is_name = !line[at].to_string_lossy().starts_with('-') && known_but_for_names(&twice);
                assert!(is_name || !passes(&twice), "{twice:?}");
            }
            for other in at + 1..line.len() {
                let mut swapped = line.clone();
                swapped.swap(at, other);
                assert!(swapped == line || !passes(&swapped) || known_but_for_names(&swapped), "{swapped:?}");
            }
        }
    }
}

/// A line of a known shape in which a word that is a verb or a name elsewhere is the name.
fn known_but_for_names(words: &[OsString]) -> bool {
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let names = [
        "shop",
        "data1",
        "start",
        "stop",
        "add",
        "remove",
        "my.app@2_x-y",
        "apply",
        "reclaim",
        "restart",
        "enable",
        "disable",
        "remap",
        "import",
        "move",
        "log",
    ];
    let plain = |word: &str| {
        names.contains(&word) || word.starts_with("--") || ["plan", "content", "old", "new", "5", "120"].contains(&word)
    };
    words.iter().all(|word| plain(word))
}

#[test]
fn what_is_refused() {
    let odd = "x".repeat(1 << 20);
    for line in [
        "",
        "help",
        "--help",
        "--version",
        "init",
        "apply",
        "apply --yes --json",
        "apply shop --yes --json",
        "apply --plan 1F0C2D3E4B5A6978 --yes --json",
        "apply --plan ../../etc/passwd --yes --json",
        "apply --plan 1f0c2d3e4b5a69781 --yes --json",
        "apply --plan=1f0c2d3e4b5a6978 --yes --json",
        "--root / apply --plan 1f0c2d3e4b5a6978 --yes --json",
        "--root=/x doctor --json",
        "doctor --root=/x --json",
        "doctor --json --root /x",
        "doctor shop --json",
        "doctor --json -y",
        "status --json",
        "start shop --yes --json",
        "stop shop",
        "shop stop --json",
        "shop plan stop --save --json",
        "plan shop stop --save --json",
        "plan --save --json",
        "plan stop --save --json",
        "plan stop a b --save --json",
        "plan stop shop --json --save",
        "plan stop shop --save",
        "plan stop shop --save --json --json",
        "plan stop -a --save --json",
        "plan stop .a --save --json",
        "plan stop a.local --save --json",
        "plan stop a/b --save --json",
        "plan start shop --accept-store --save --json",
        "plan apply --accept-store --save --json",
        "plan apply --expired --save --json",
        "plan reclaim --expired --expired --save --json",
        "plan import shop --verify sample --save --json",
        "plan import shop --verify=content --save --json",
        "plan import shop --verify content --verify content --save --json",
        "plan move shop --save --json",
        "plan move --to data1 --save --json",
        "plan move shop --to /dir --save --json",
        "plan move shop --to -x --save --json",
        "plan move shop --to --save --json",
        "plan move shop --to=data1 --save --json",
        "plan move shop --to data1 --to data2 --save --json",
        "plan move shop --to data1 --undo --save --json",
        "plan move shop --to data1 --verify content --max-downtime 5 --save --json",
        "plan move shop --to data1 --max-downtime --save --json",
        "plan move shop --to data1 --max-downtime -5 --save --json",
        "plan move shop --to data1 --max-downtime +5 --save --json",
        "plan move shop --to data1 --max-downtime 1234567 --save --json",
        "plan move shop --to data1 --keep old --save --json",
        "plan move shop --undo --keep both --save --json",
        "plan move shop --undo --undo --save --json",
        "plan move shop --resume --abort --save --json",
        "plan volume add data1 --save --json",
        "config show --json",
        "config import /etc/shadow --json",
        "config add",
        "config add shop --json",
        "config add --yes --json",
        "config remove --json",
        "config remove -x --json",
        "config remove shop home --json",
        "volume list --json",
        "volume add data1 --yes --json",
        "volume add data1 --device sdb --yes --json",
        "volume add data1 --device /dev --yes --json",
        "volume add data1 --device /dev/ --yes --json",
        "volume add data1 --device /dev//sdb --yes --json",
        "volume add data1 --device /dev/../etc/x --yes --json",
        "volume add data1 --device /dev/disk/../../x --yes --json",
        "volume add data1 --device /dev/./sdb --yes --json",
        "volume add data1 --device /developer --yes --json",
        "volume add data1 --device /dev/shm/disk.img --yes --json",
        "volume add data1 --device /dev/fd/0 --yes --json",
        "volume add data1 --device /dev/stdin --yes --json",
        "volume add data1 --device /dev/mqueue/x --format ext4 --yes --json",
        "volume add data1 --device /etc/disk.img --yes --json",
        "volume add data1 --device /dev/sd*b --yes --json",
        "volume add data1 --device /dev/sdb --format vfat --yes --json",
        "volume add data1 --device /dev/sdb --format ext4 --force --yes --json",
        "volume add data1 --format ext4 --device /dev/sdb --yes --json",
        "volume add data1 --device /dev/sdb --format ext4 --format xfs --yes --json",
        "volume add data1 --directory /srv --yes --json",
        "volume add data1 --device /dev/sdb --at /srv --yes --json",
        "volume add data1 --device /dev/sdb --options suid --yes --json",
        "volume add a@b --device /dev/sdb --yes --json",
        "volume remove data1 --json",
        "volume remove data1 -y --json",
        "recover",
        "recover --json",
        "peek home --copy-to /srv --json",
        "man --json",
    ] {
        let message = check(&words(line)).expect_err(line);
        assert!(message.contains("nothing has been done") && message.contains("config add --json"), "{message}");
    }
    for (front, back) in [
        ("plan stop ", " --save --json"),
        ("config remove ", " --json"),
        ("volume add data1 --device /dev/", " --yes --json"),
        ("apply --plan ", " --yes --json"),
    ] {
        for middle in [
            "",
            " ",
            "\t",
            "\n",
            "a\n",
            "\u{1b}[2J",
            "\u{202e}",
            "a;b",
            "$(id)",
            "`id`",
            "a\\b",
            "'",
            "\"",
            "*",
            odd.as_str(),
        ] {
            let mut line = words(front.trim_end());
            if front.ends_with('/') {
                line.last_mut().unwrap().push(middle);
            } else {
                line.push(middle.into());
            }
            line.extend(words(back.trim_start()));
            assert!(!passes(&line), "{front:?} {middle:.20?}");
        }
    }
    assert!(!passes(&[]));
    let mut bytes = words("plan stop");
    bytes.push(OsString::from_vec(vec![b'a', 0xff, b'b']));
    bytes.extend(words("--save --json"));
    assert!(!passes(&bytes));
    assert!(!passes(&vec![OsString::from("doctor"); 100_000]));
}

/// Each line of the message, read as what it says, is a shape that is let through.
#[test]
fn the_message_says_what_is_let_through() {
    for form in FORMS.lines() {
        let form = form.split("   ").next().unwrap();
        let mut line = String::new();
        let mut optional = false;
        for word in form.split_whitespace() {
            optional |= word.starts_with('[');
            if !optional {
                let first = word.split('|').next().unwrap();
                let word = match first {
                    "VERB" => "stop",
                    "APP" => "shop",
                    "VOLUME" | "NAME" => "data1",
                    "ID" => ID,
                    "/dev/PATH" => "/dev/sdb",
                    word => word,
                };
                line.push_str(word);
                line.push(' ');
            }
            optional &= !word.ends_with(']');
        }
        assert!(passes(&words(line.trim_end())), "{form}: {line}");
    }
}
