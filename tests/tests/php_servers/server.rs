//! A server that runs as long as a test, and how it is asked.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use datastore_tests::Sandbox;
use rustix::process::{Pid, Signal, kill_process};

/// How many processes serve.
pub(crate) const WORKERS: usize = 3;
/// How many ask at once.
const ASKING: usize = 4;

/// Gets a page by its query, once.
type Get = Box<dyn Fn(&str) -> Result<String, String> + Sync>;

/// A server; it ends, with its workers, when this is dropped.
pub(crate) struct Server {
    child: Child,
    get: Get,
    root: PathBuf,
    log: PathBuf,
}

impl Server {
    /// Starts it, and waits until it answers.
    pub(crate) fn start(sandbox: &Sandbox, mut command: Command, log: &Path, get: Get) -> Self {
        // Apache ends its whole group of processes, which would be the test's too.
        command.process_group(0);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|why| panic!("start {command:?}: {why}; cargo xtask setup installs it"));
        let server = Self { child, get, root: sandbox.root().to_path_buf(), log: log.to_path_buf() };
        let patience = Instant::now();
        while let Err(why) = (server.get)(&server.query("exit", "")) {
            assert!(patience.elapsed() < Duration::from_secs(20), "{command:?}: {why}\n{}", server.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn query(&self, ask: &str, app: &str) -> String {
        format!("root={}&ask={ask}&app={app}", self.root.display())
    }

    /// One page.
    pub(crate) fn get(&self, ask: &str, app: &str) -> String {
        (self.get)(&self.query(ask, app)).unwrap_or_else(|why| panic!("{ask}: {why}\n{}", self.log()))
    }

    /// The same page many times, by several who ask at once.
    pub(crate) fn get_many(&self, ask: &str, times: usize) -> Vec<String> {
        let (query, left) = (self.query(ask, ""), AtomicUsize::new(times));
        let get = &self.get;
        let one = || {
            let mut pages = Vec::new();
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                pages.push(get(&query));
            }
            pages
        };
        let pages = std::thread::scope(|scope| {
            let all: Vec<_> = (0..ASKING).map(|_| scope.spawn(one)).collect();
            all.into_iter().flat_map(|thread| thread.join().expect("pages")).collect::<Result<Vec<_>, _>>()
        });
        pages.unwrap_or_else(|why| panic!("{ask}: {why}\n{}", self.log()))
    }

    /// What it has written to its log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its workers end with it if it may end by itself.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let patience = Instant::now();
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) && patience.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What stands in a page below its head, of whatever server; fails if there is none.
pub(crate) fn body(answer: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(answer);
    match text.split_once("\r\n\r\n") {
        Some((_, body)) => Ok(body.to_owned()),
        None => Err(format!("this is no page: {text:?}")),
    }
}
