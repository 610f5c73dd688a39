use super::*;

/// Does something to the so-many-th call of a name, and writes all calls down.
struct At {
    name: Sysno,
    left: usize,
    verdict: Verdict,
    after: bool,
    seen: Vec<Sysno>,
    shown: Option<Shown>,
    enough: bool,
}

impl At {
    fn new(name: Sysno, nth: usize, verdict: Verdict, after: bool) -> Self {
        Self { name, left: nth, verdict, after, seen: Vec::new(), shown: None, enough: false }
    }

    fn meets(&mut self, call: &Call) -> Verdict {
        if call.number != self.name || self.left == 0 {
            return Verdict::Go;
        }
        self.left -= 1;
        if self.left == 0 { self.verdict } else { Verdict::Go }
    }
}

impl Watch for At {
    fn before(&mut self, call: &Call) -> Verdict {
        self.seen.push(call.number);
        if call.number == self.name {
            self.shown = Some(Shown::of(call));
        }
        if self.after { Verdict::Go } else { self.meets(call) }
    }

    fn after(&mut self, call: &Call, _: i64) -> Verdict {
        if self.after { self.meets(call) } else { Verdict::Go }
    }

    fn has_seen_enough(&self) -> bool {
        self.enough && self.left == 0
    }
}

fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
    command
}

#[test]
fn a_call_fails_or_is_the_last_before_or_after_it_was_made() {
    for (verdict, after, code, one, two) in [
        (Verdict::Go, false, Some(0), true, true),
        (Verdict::Fail(libc::ENOSPC), false, Some(1), true, false),
        (Verdict::Fail(libc::ENOSPC), true, Some(1), true, true),
        (Verdict::Answer(0), false, Some(0), true, false),
        (Verdict::Kill, false, None, true, false),
        (Verdict::Kill, true, None, true, true),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = At::new(Sysno::mkdir, 2, verdict, after);
        let place = |name: &str| dir.path().join(name).display().to_string();
        let outcome = run(command("mkdir", &[&place("one"), &place("two")]), &mut watch).unwrap();
        let when = format!("{verdict:?}, after: {after}");
        assert_eq!(outcome.code, code, "{when}: {}", outcome.stderr);
        assert_eq!((dir.path().join("one").exists(), dir.path().join("two").exists()), (one, two), "{when}");
        assert!(watch.seen.contains(&Sysno::mkdir), "{when}");
        assert_eq!(watch.shown.unwrap().to_string(), format!("mkdir({:?})", place("two")));
        if let Verdict::Fail(_) = verdict {
            assert!(outcome.stderr.contains("No space left"), "{when}: {}", outcome.stderr);
        }
    }
}

#[test]
fn what_the_command_prints_is_kept_and_what_it_reads_is_given() {
    let script = "read line; echo $line; echo err >&2; kill -USR1 $$; exit 3";
    let mut watch = At::new(Sysno::reboot, 1, Verdict::Go, false);
    let outcome = run_with(command("sh", &["-c", script]), b"told\n", PATIENCE, &mut watch).unwrap();
    assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (None, "told\n", "err\n"));
    assert_eq!((outcome.signal, outcome.hung), (Some(libc::SIGUSR1), false));
}

#[test]
fn a_call_does_less_than_was_asked() {
    struct Half(bool);
    impl Watch for Half {
        fn before(&mut self, call: &Call) -> Verdict {
            let mut args = call.args;
            if call.number != Sysno::write || self.0 {
                return Verdict::Go;
            }
            self.0 = true;
            args[2] = 2;
            Verdict::GoWith(args)
        }
        fn has_seen_enough(&self) -> bool {
            self.0
        }
    }
    let outcome = run(command("cat", &["/proc/sys/kernel/ostype"]), &mut Half(false)).unwrap();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "Linux\n"));
}

#[test]
fn who_takes_too_long_is_killed() {
    let mut watch = At::new(Sysno::reboot, 1, Verdict::Go, false);
    let outcome = run_with(command("sleep", &["100"]), b"", Duration::from_millis(200), &mut watch).unwrap();
    assert!(outcome.hung && outcome.signal == Some(libc::SIGKILL), "{outcome:?}");
}

#[test]
fn a_call_is_shown_with_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().canonicalize().unwrap();
    std::fs::create_dir_all(top.join("a/b")).unwrap();
    let mut watch = At::new(Sysno::unlinkat, 9, Verdict::Go, false);
    let outcome = run(command("rm", &["-r", &top.join("a").display().to_string()]), &mut watch).unwrap();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let shown = watch.shown.unwrap();
    assert_eq!(shown.paths(), [top.join("a")], "{shown}");
    assert!(shown.to_string().starts_with("unlinkat("), "{shown}");
}
