//! A program that prints lines as things happen.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value;

/// Longer no line is waited for, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program, and the lines that it has printed; it is killed when dropped.
#[derive(Debug)]
pub struct Follower {
    child: Child,
    lines: Receiver<String>,
}

impl Follower {
    /// Starts it.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap_or_else(|e| panic!("start {command:?}: {e}"));
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (send, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { child, lines }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next line.
    ///
    /// # Panics
    /// If there is none in half a minute, or it is no JSON.
    #[track_caller]
    pub fn next(&self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("a line within {PATIENCE:?}: {e}"));
        self.read(&line)
    }

    /// The next line, if there is one within this time.
    ///
    /// # Panics
    /// If it is no JSON, or the program has ended.
    #[track_caller]
    pub fn next_within(&self, time: Duration) -> Option<Value> {
        match self.lines.recv_timeout(time) {
            Ok(line) => Some(self.read(&line)),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("it has ended"),
        }
    }

    #[track_caller]
    fn read(&self, line: &str) -> Value {
        serde_json::from_str(line).unwrap_or_else(|e| {
            let rest: Vec<String> = self.lines.try_iter().collect();
            panic!("{line}\n{}: {e}", rest.join("\n"))
        })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
