//! A maildir into which mail is delivered and from which it is read comes into the store, and goes to another file system: no mail is lost, and none
//! is there twice.

#![allow(clippy::print_stderr, reason = "the figures belong to the test's output")]

use std::collections::BTreeMap;
use std::path::Path;

use datastore_tests::Rig;

use super::{booted, figures, longest_gap, unit, wait_until};

const MAIL: &str = "services = [\"deliver\", \"read\"]\n[mapping.\"/srv/mail\"]\ntarget = \"%{base}/mail\"\n";

/// Delivers as maildir(5) wants it, every second mail by link(2) and the others by rename(2), and notes what it has delivered, with the time. When it is to
/// end, it ends after a mail.
const DELIVER: &str = r#"#!/usr/bin/perl
use IO::Handle; use Time::HiRes qw(time sleep);
my ($end, $n) = (0, 0);
$SIG{TERM} = sub { $end = 1 };
open(my $log, '>>', '/var/tmp/delivered') or die; $log->autoflush;
if (open(my $last, '<', '/var/tmp/delivered')) { while (<$last>) { ($n) = split } }
chdir '/srv/mail' or die;
until ($end) {
    $n++;
    open(my $mail, '>', "tmp/$n") or die;
    print $mail "mail $n\n" . ('x' x ($n * 37 % 20000)); $mail->flush; $mail->sync; close $mail or die;
    if ($n % 2) { link("tmp/$n", "new/$n") or die; unlink "tmp/$n" or die } else { rename("tmp/$n", "new/$n") or die }
    print $log "$n ", time, "\n";
    sleep 0.002;
}
"#;

/// Takes what is new.
const READ: &str = r#"#!/usr/bin/perl
use Time::HiRes qw(sleep);
my $end = 0;
$SIG{TERM} = sub { $end = 1 };
chdir '/srv/mail' or die;
until ($end) {
    opendir(my $new, 'new') or die;
    for my $name (grep { !/^\./ } readdir $new) { rename("new/$name", "cur/$name:2,S") or die }
    closedir $new;
    sleep 0.01;
}
"#;

fn delivered(rig: &Rig) -> Vec<(u64, f64)> {
    let text = std::fs::read_to_string(rig.path("/var/tmp/delivered")).unwrap_or_default();
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let parse =
        |line: &str| line.split_once(' ').map(|(n, at)| (n.parse().expect("a mail"), at.parse().expect("a time")));
    whole.lines().filter_map(parse).collect()
}

fn wait_for_mails(rig: &Rig, more: usize) {
    let wanted = delivered(rig).len() + more;
    wait_until("mail is delivered", || delivered(rig).len() >= wanted);
}

/// How often each mail is there, by what it says of itself.
fn there(rig: &Rig) -> BTreeMap<u64, usize> {
    let run = rig.run(&["sh", "-c", "cd /srv/mail && find new cur -type f -exec head -qn1 {} +"]).ok();
    let mut counts = BTreeMap::new();
    for line in run.stdout.lines() {
        let number = line.strip_prefix("mail ").unwrap_or_else(|| panic!("{line:?} is no mail"));
        *counts.entry(number.parse().expect("a number")).or_default() += 1;
    }
    counts
}

#[test]
fn no_mail_is_lost_and_none_is_doubled() {
    let rig = booted(&[("data0", 512, "ext4"), ("data1", 512, "xfs")], |rig| {
        rig.write("/etc/datastore.d/mail.conf", 0o644, MAIL);
        for dir in ["tmp", "new", "cur"] {
            std::fs::create_dir_all(rig.path(Path::new("/srv/mail").join(dir))).unwrap();
        }
        for (name, text) in [("deliver", DELIVER), ("read", READ)] {
            rig.write(&format!("/usr/local/bin/{name}"), 0o755, text);
            unit(rig, &format!("{name}.service"), &format!("[Service]\nExecStart=/usr/local/bin/{name}\n"));
        }
    });
    rig.run(&["systemctl", "start", "deliver", "read"]).ok();
    wait_for_mails(&rig, 500);
    for words in [&["import", "mail"][..], &["move", "mail", "--to", "data1"], &["move", "mail", "--to", "data0"]] {
        let before = delivered(&rig).len();
        let report = rig.run(&[&["datastore"], words, &["--yes", "--json"]].concat()).ok().json();
        assert_eq!((&report["outcome"], &report["probe"]["ready"]), (&"done".into(), &true.into()), "{report:#}");
        wait_for_mails(&rig, 200);
        let times: Vec<f64> = delivered(&rig)[before.saturating_sub(1)..].iter().map(|(_, at)| *at).collect();
        eprintln!("{}: {}; no delivery for {:.2} s", words.join(" "), figures(&report), longest_gap(&times));
        rig.run(&["datastore", "guard", "mail"]).ok();
        rig.run(&["systemctl", "is-active", "deliver", "read"]).ok();
    }
    rig.run(&["systemctl", "stop", "deliver", "read"]).ok();
    let (delivered, there) = (delivered(&rig), there(&rig));
    let wrong: Vec<u64> = delivered.iter().map(|(n, _)| *n).filter(|n| there.get(n) != Some(&1)).collect();
    assert!(wrong.is_empty(), "of {} mails lost or doubled: {wrong:?}", delivered.len());
    assert_eq!(there.len(), delivered.len(), "mails that nobody delivered");
    assert!(rig.run(&["sh", "-c", "ls -A /srv/mail/tmp"]).ok().stdout.is_empty(), "half a mail");
    eprintln!("{} mails", delivered.len());
}
