use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::testing::{Sandbox, without};

/// A program that is ended, and waited for, when the test is over.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    /// Python, which can hold a file in any way; `code` is followed by a long sleep and finds its arguments in `a`.
    fn python(code: &str, args: &[&Path]) -> Self {
        let code = format!("import mmap, os, sys, time\na = sys.argv[1:]\n{code}\ntime.sleep(600)\n");
        Self::start(Command::new("python3").args(["-c", &code]).args(args))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ask(sandbox: &Sandbox) -> Holders {
    let root = sandbox.root();
    users(&Ids::new(&root).unwrap(), &root, &AbsPath::literal("/disk/tree")).unwrap()
}

/// What a program that has just been started uses, once it has come so far.
fn uses_of(sandbox: &Sandbox, running: &Running, enough: impl Fn(&Holder) -> bool) -> Holder {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let all = ask(sandbox);
        match all.processes.iter().find(|h| h.pid == running.0.id() && enough(h)) {
            Some(holder) => return holder.clone(),
            None => assert!(Instant::now() < until, "process {} was not found: {all:?}", running.0.id()),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a program has made a file that says it has come so far.
fn wait_for(path: &Path) {
    let until = Instant::now() + Duration::from_secs(20);
    while !path.exists() {
        assert!(Instant::now() < until, "{} was not made", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A plain directory `tree` on a disk of its own, with a neighbour whose name begins alike.
fn tree(body: impl Fn(&Sandbox, &Path) + Send + Sync) {
    Sandbox::run(|sandbox| {
        let disk = sandbox.ext4("disk");
        std::fs::create_dir_all(disk.join("tree/sub dir")).unwrap();
        std::fs::create_dir(disk.join("tree2")).unwrap();
        for file in ["tree/data", "tree/sub dir/data", "tree2/data"] {
            std::fs::write(disk.join(file), "0123456789").unwrap();
        }
        body(sandbox, &disk);
    });
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn writers_are_told_from_readers() {
    tree(|sandbox, disk| {
        let data = disk.join("tree/sub dir/data");
        assert_eq!(ask(sandbox).processes, []);
        let beside =
            Running::python("f = open(a[0], 'r+'); open(a[1], 'w')", &[&disk.join("tree2/data"), &disk.join("beside")]);
        wait_for(&disk.join("beside"));
        for (mode, writes) in [("r", false), ("r+", true), ("a", true), ("w", true)] {
            let running = Running::python(&format!("f = open(a[0], '{mode}')"), &[&data]);
            let holder = uses_of(sandbox, &running, |_| true);
            let expected = if writes { Use::Writing(shown(&data)) } else { Use::File(shown(&data)) };
            assert_eq!(
                (holder.writes(), holder.uses.as_slice(), holder.other_namespace),
                (writes, [expected].as_slice(), false)
            );
            assert_eq!(holder.to_string().contains("open for writing"), writes, "{holder}");
        }
        let cwd = Running::start(Command::new("sleep").arg("600").current_dir(disk.join("tree")));
        let holder = uses_of(sandbox, &cwd, |h| h.comm == "sleep");
        assert_eq!((holder.writes(), holder.uses), (false, vec![Use::WorkingDirectory(shown(&disk.join("tree")))]));
        // O_PATH gives no right to write, whatever else is asked for.
        let path = Running::python("f = os.open(a[0], os.O_PATH | os.O_RDWR)", &[&data]);
        assert!(!uses_of(sandbox, &path, |h| !h.uses.is_empty()).writes());
        let all = ask(sandbox);
        assert!(all.processes.iter().all(|h| h.pid != beside.0.id()), "{all:?}");
    });
}

#[test]
fn a_shared_mapping_writes_after_the_file_is_closed_and_a_private_one_does_not() {
    tree(|sandbox, disk| {
        let data = disk.join("tree/data");
        for (access, expected) in [
            ("mmap.ACCESS_WRITE", Use::MappedWritable(shown(&data))),
            ("mmap.ACCESS_COPY", Use::Mapped(shown(&data))),
            ("mmap.ACCESS_READ", Use::Mapped(shown(&data))),
        ] {
            // A mapping of Python keeps a descriptor of its own, which is closed behind its back.
            let code = format!(
                "f = open(a[0], 'r+b'); m = mmap.mmap(f.fileno(), 0, access={access}); f.close(); os.closerange(3, 64)"
            );
            let running = Running::python(&code, &[&data]);
            let holder = uses_of(sandbox, &running, |h| h.uses.len() == 1 && h.uses[0] == expected);
            assert_eq!(holder.writes(), access == "mmap.ACCESS_WRITE");
        }
    });
}

#[test]
fn a_bind_elsewhere_is_another_way_into_the_tree() {
    tree(|sandbox, disk| {
        sandbox.dirs(&["bound here", "whole"]);
        let (sub, whole) = (sandbox.dir().join("bound here"), sandbox.dir().join("whole"));
        rustix::mount::mount_bind(disk.join("tree/sub dir"), &sub).unwrap();
        rustix::mount::mount_bind(disk, &whole).unwrap();
        let through_sub = Running::python("f = open(a[0], 'a')", &[&sub.join("data")]);
        assert!(uses_of(sandbox, &through_sub, |_| true).writes());
        let through_whole = Running::python("f = open(a[0], 'a')", &[&whole.join("tree/data")]);
        assert!(uses_of(sandbox, &through_whole, |_| true).writes());
        let beside =
            Running::python("f = open(a[0], 'a'); open(a[1], 'w')", &[&whole.join("tree2/data"), &disk.join("beside")]);
        wait_for(&disk.join("beside"));
        assert_eq!(ask(sandbox).processes.len(), 2, "all but {}", beside.0.id());
        // Detached, it is in no table; the device is the same, and that is enough.
        rustix::mount::unmount(&sub, rustix::mount::UnmountFlags::DETACH).unwrap();
        assert!(uses_of(sandbox, &through_sub, |_| true).writes());
        // And the tree may be named by its bind.
        let root = sandbox.root();
        let by_bind = users(&Ids::new(&root).unwrap(), &root, &AbsPath::literal("/whole/tree")).unwrap();
        assert_eq!(by_bind.processes.len(), 2, "{by_bind:?}");
    });
}

#[test]
fn whoever_counts_by_a_doubt_alone_is_looked_at_again() {
    tree(|sandbox, disk| {
        sandbox.dirs(&["beside"]);
        let bind = sandbox.dir().join("beside");
        rustix::mount::mount_bind(disk.join("tree2"), &bind).unwrap();
        let mut running =
            Running::python("f = open(a[0], 'a'); open(a[1], 'w')", &[&bind.join("data"), &disk.join("on")]);
        wait_for(&disk.join("on"));
        // In no table any more: by its device alone it could be in the tree.
        rustix::mount::unmount(&bind, rustix::mount::UnmountFlags::DETACH).unwrap();
        let root = sandbox.root();
        let (ids, tree) = (Ids::new(&root).unwrap(), AbsPath::literal("/disk/tree"));
        let mut waited = 0;
        let found = users_after(&ids, &root, &tree, &mut || waited += 1).unwrap();
        assert_eq!((waited, found.processes.len()), (SECOND_LOOKS, 1), "{found:?}");

        let mut waited = 0;
        let gone = users_after(&ids, &root, &tree, &mut || {
            waited += 1;
            running.0.kill().unwrap();
            running.0.wait().unwrap();
        });
        assert_eq!((waited, gone.unwrap().processes), (1, vec![]));

        // What is surely in the tree, or surely not, is looked at once.
        let sure = Running::python("f = open(a[0], 'a')", &[&disk.join("tree/data")]);
        uses_of(sandbox, &sure, |_| true);
        let found = users_after(&ids, &root, &tree, &mut || panic!("there is no doubt")).unwrap();
        assert_eq!(found.processes.len(), 1);
    });
}

#[test]
fn a_writer_in_another_namespace_and_below_another_root_is_found() {
    tree(|sandbox, disk| {
        let data = disk.join("tree/data");
        let script = "mkdir -p \"$0/n\" && mount --bind \"$0/tree\" \"$0/n\" && exec sleep 600 >>\"$0/n/data\"";
        let running = Running::start(Command::new("unshare").args(["-m", "sh", "-c", script]).arg(disk));
        let holder = uses_of(sandbox, &running, |h| h.comm == "sleep");
        assert!(holder.writes() && holder.other_namespace, "{holder:?}");
        drop(running);

        // A root directory above the tree, with a bind that is outside of it for everybody else.
        let program = "os.chroot(a[0]); os.chdir('/'); f = open('/tree/data', 'a')";
        let running = Running::python(program, &[disk]);
        let holder = uses_of(sandbox, &running, |_| true);
        assert_eq!(holder.uses, [Use::Writing(shown(&data))]);
        drop(running);

        // Below the tree: the root directory is a use as well; and in a namespace of its own, nobody has a table from outside.
        let program =
            "import ctypes; ctypes.CDLL(None).unshare(0x20000); os.chroot(a[0]); os.chdir('/'); f = open('/data', 'a')";
        let running = Running::python(program, &[&disk.join("tree")]);
        let holder = uses_of(sandbox, &running, |h| h.uses.len() == 3);
        assert!(holder.writes() && holder.other_namespace, "{holder:?}");
        assert!(holder.uses.iter().any(|u| matches!(u, Use::RootDirectory(_))), "{holder:?}");
    });
}

#[test]
fn a_writer_whose_first_thread_has_ended_is_found() {
    tree(|sandbox, disk| {
        // exit(2) of a thread alone; what follows is the sleep of the other one.
        let code = "import ctypes, threading\nf = open(a[0], 'a')\n\
            m = mmap.mmap(os.open(a[1], os.O_RDWR), 0); os.closerange(4, 64)\n\
            threading.Thread(target=time.sleep, args=(600,)).start()\n\
            ctypes.CDLL(None).syscall(93 if os.uname().machine == 'aarch64' else 60, 0)";
        let running = Running::python(code, &[&disk.join("tree/data"), &disk.join("tree/sub dir/data")]);
        let holder = uses_of(sandbox, &running, |h| h.uses.len() == 2);
        let (file, mapped) = (shown(&disk.join("tree/data")), shown(&disk.join("tree/sub dir/data")));
        assert_eq!(holder.uses, [Use::Writing(file), Use::MappedWritable(mapped)]);
    });
}

#[test]
fn names_that_come_and_go() {
    tree(|sandbox, disk| {
        // Deleted while it is open: it is still written to.
        let gone = Running::python(
            "f = open(a[0], 'r+'); os.unlink(a[0]); open(a[1], 'w')",
            &[&disk.join("tree/data"), &disk.join("1")],
        );
        wait_for(&disk.join("1"));
        let holder = uses_of(sandbox, &gone, |_| true);
        assert_eq!(holder.uses, [Use::Writing(shown(&disk.join("tree/data (deleted)")))]);
        // A name that only looks like it.
        std::fs::write(disk.join("tree/x (deleted)"), "").unwrap();
        let odd = Running::python("f = open(a[0], 'r+')", &[&disk.join("tree/x (deleted)")]);
        assert!(uses_of(sandbox, &odd, |_| true).writes());
        // Renamed out of the tree it is no business of the tree's, renamed into it it is.
        let (there, away) = (disk.join("tree/sub dir/data"), disk.join("tree2/away"));
        let out = Running::python("f = open(a[0], 'r+'); os.rename(a[0], a[1])", &[&there, &away]);
        wait_for(&away);
        assert!(ask(sandbox).processes.iter().all(|h| h.pid != out.0.id()));
        std::fs::rename(&away, &there).unwrap();
        assert!(uses_of(sandbox, &out, |_| true).writes());
    });
}

#[test]
fn without_privilege_it_says_how_much_was_not_seen() {
    tree(|sandbox, disk| {
        let running = Running::python("f = open(a[0], 'a')", &[&disk.join("tree/data")]);
        uses_of(sandbox, &running, |_| true);
        without(&[], || {
            rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(65534)).unwrap();
            let found = ask(sandbox);
            assert!(found.unseen > 0 && !found.is_nobody(), "{found:?}");
        });
        // And on a kernel that does not tell the mount of a file by statx(2).
        let old = without(&[libc::SYS_statx], || ask(sandbox));
        assert!(old.processes.iter().any(|h| h.pid == running.0.id() && h.writes()), "{old:?}");
    });
}

#[test]
fn one_writer_among_a_thousand_processes_is_found() {
    tree(|sandbox, disk| {
        let script = "i=0; while [ $i -lt 1000 ]; do sleep 600 & i=$((i+1)); done; : >\"$0/all\"; wait";
        let crowd = Running::start(std::os::unix::process::CommandExt::process_group(
            Command::new("sh").args(["-c", script]).arg(disk),
            0,
        ));
        wait_for(&disk.join("all"));
        let writer = Running::python("f = open(a[0], 'a')", &[&disk.join("tree/data")]);
        uses_of(sandbox, &writer, |_| true);
        let found = ask(sandbox);
        let pids: Vec<u32> = found.processes.iter().map(|h| h.pid).collect();
        let group = rustix::process::Pid::from_raw(i32::try_from(crowd.0.id()).unwrap()).unwrap();
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        assert_eq!(pids, [writer.0.id()]);
    });
}

#[test]
fn texts_of_the_kernel() {
    assert_eq!(translated(b"/", b"/mnt", b"/mnt/a").unwrap(), b"/a");
    assert_eq!(translated(b"/live/x", b"/mnt", b"/mnt").unwrap(), b"/live/x");
    assert_eq!(translated(b"/", b"/", b"/a/b").unwrap(), b"/a/b");
    assert_eq!(translated(b"/sub", b"/", b"/").unwrap(), b"/sub");
    assert_eq!(translated(b"/", b"/mnt", b"/mnt2/a"), None);
    assert!(beyond(b"", b"/a").is_some() && beyond(b"/a", b"/a").is_some() && beyond(b"/a", b"/ab").is_none());
    assert!(open_for_writing(b"pos:\t0\nflags:\t0100002\nmnt_id:\t29\n"));
    assert!(open_for_writing(b"flags:\t0102001\n") && open_for_writing(b"pos:\t0\n"));
    assert!(!open_for_writing(b"flags:\t0100000\n") && !open_for_writing(b"flags:\t012000000\n"));
}
