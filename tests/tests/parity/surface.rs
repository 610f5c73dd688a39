//! The four ways to ask.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use datastore_tests::{Run, Sandbox, binary, c_program, repository};
use serde_json::Value;

use crate::answer::Answer;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    /// The crates, by the program `parity` of this package.
    Rust,
    /// The library, by `tests/c/parity.c`, which is built with the address sanitizer.
    C,
    /// The extension, by `tests/php/parity.php`.
    Php,
    /// The command with `--json`.
    Command,
}

impl Surface {
    pub(crate) const ALL: &[Self] = &[Self::Rust, Self::C, Self::Php, Self::Command];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::C => "C",
            Self::Php => "PHP",
            Self::Command => "command",
        }
    }
}

/// Everything that was built to ask with, and what was called by it.
pub(crate) struct Surfaces {
    c: c_program::Program,
    /// Functions of the library that the C program called.
    pub(crate) functions: BTreeSet<String>,
    /// Methods that the PHP program called.
    pub(crate) methods: BTreeSet<String>,
}

/// Who asks, and of which root.
pub(crate) struct Place<'a> {
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) root: PathBuf,
    pub(crate) as_nobody: bool,
}

impl Surfaces {
    pub(crate) fn build() -> Self {
        let c = c_program::build("parity", c_program::Built::Sanitized);
        Self { c, functions: BTreeSet::new(), methods: BTreeSet::new() }
    }

    /// Asks one question.
    pub(crate) fn ask(&mut self, surface: Surface, place: &Place<'_>, words: &[Vec<u8>]) -> Answer {
        match surface {
            Surface::Rust => Answer::of_driver(&driven(place, place.command(&binary::parity()), words)),
            Surface::C => self.by_c(place, words),
            Surface::Php => {
                let answer = Answer::of_driver(&driven(place, php(place), words));
                self.methods.extend(answer.calls.iter().cloned());
                answer
            }
            Surface::Command => by_command(place, words),
        }
    }

    fn by_c(&mut self, place: &Place<'_>, words: &[Vec<u8>]) -> Answer {
        let mut command = place.command(&self.c.path);
        command.env("LD_LIBRARY_PATH", place.library());
        // The loader tells which functions are called for the first time; it writes as whoever runs the program.
        let bindings = tempfile::tempdir().expect("a directory");
        if !place.as_nobody {
            command.env("LD_DEBUG", "bindings").env("LD_DEBUG_OUTPUT", bindings.path().join("log"));
        }
        let answer = Answer::of_driver(&driven(place, command, words));
        for file in std::fs::read_dir(bindings.path()).expect("the log").filter_map(Result::ok) {
            let log = std::fs::read_to_string(file.path()).expect("text");
            let symbols = log.lines().filter_map(|line| line.split_once("symbol `")?.1.split('\'').next());
            self.functions.extend(symbols.filter(|name| name.starts_with("datastore_")).map(str::to_owned));
        }
        answer
    }

    /// The public methods that the extension has.
    pub(crate) fn methods_there_are(&self) -> BTreeSet<String> {
        let sandbox = Sandbox::in_memory();
        let place = Place { sandbox: &sandbox, root: sandbox.root().to_path_buf(), as_nobody: false };
        let run = driven(&place, php(&place), &[b"methods".to_vec()]);
        let names = run.json()["told"].as_array().expect("a list").clone();
        names.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }
}

impl Place<'_> {
    /// A program where whoever asks can run it: the build may lie where nobody cannot go.
    fn own(&self, program: &Path) -> PathBuf {
        if !self.as_nobody {
            return program.to_path_buf();
        }
        let name = match program.file_name().and_then(|name| name.to_str()).expect("a name") {
            "libdatastore_ffi.so" => "libdatastore.so.0",
            name => name,
        };
        let copy = self.sandbox.path("programs").join(name);
        if !copy.exists() {
            std::fs::create_dir_all(self.sandbox.path("programs")).expect("make a directory");
            // By cp(1): while this process had it open for writing, a child of another thread's could keep it so (ETXTBSY).
            self.sandbox.run(self.sandbox.command("cp").arg("--dereference").arg(program).arg(&copy)).ok();
        }
        copy
    }

    fn command(&self, program: &Path) -> Process {
        self.sandbox.command(self.own(program))
    }

    /// The directory of the library under its installed name.
    fn library(&self) -> PathBuf {
        if !self.as_nobody {
            return binary::php_extension().1;
        }
        self.own(&binary::c_library()).parent().expect("a directory").to_path_buf()
    }

    fn run(&self, mut command: Process, input: &[u8]) -> Run {
        if self.as_nobody {
            command.uid(65_534).gid(65_534);
        }
        Run::with_input(&mut command, &self.root, input)
    }
}

/// PHP with the extension alone.
fn php(place: &Place<'_>) -> Process {
    let mut command = place.sandbox.command("php");
    command.args(["-n", "-d", "display_errors=stderr", "-d"]);
    command.arg(format!("extension={}", place.own(&binary::php_extension().0).display()));
    command.arg(place.own(&repository("tests/php/parity.php"))).env("LD_LIBRARY_PATH", place.library());
    command
}

/// Runs one of the three programs.
fn driven(place: &Place<'_>, mut command: Process, words: &[Vec<u8>]) -> Run {
    let input: Vec<u8> = words.iter().flat_map(|word| word.iter().copied().chain([b'\n'])).collect();
    command.arg(&place.root);
    place.run(command, &input).ok()
}

/// The words as the command has them; where a question has no verb, as other programs read it.
fn by_command(place: &Place<'_>, words: &[Vec<u8>]) -> Answer {
    let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
    let (what, rest) = (text(&words[0]), &words[1..]);
    let options = || {
        rest.iter().flat_map(|word| {
            let (name, value) = match word.iter().position(|byte| *byte == b'=') {
                Some(at) => (format!("--{}", text(&word[..at])).into_bytes(), &word[at + 1..]),
                None => (word.clone(), &word[..0]),
            };
            std::iter::once(name).chain((!value.is_empty()).then(|| value.to_vec()))
        })
    };
    let run = |verb: &[&str], words: Vec<Vec<u8>>| {
        let mut command = place.command(&binary::datastore());
        command.arg("--root").arg(&place.root).arg("--json").args(verb).args(words.into_iter().map(OsString::from_vec));
        Answer::of_command(&place.run(command, &[]))
    };
    match &*what {
        "operation" => {
            let path = place.root.join("run/datastore/ops").join(format!("{}.json", text(&rest[0])));
            let file = std::fs::read_to_string(path).expect("the file of the operation");
            Answer::told(serde_json::from_str(&file).expect("JSON"))
        }
        "check" => run(&["config", "check"], rest.to_vec()),
        "usage" => run(&["usage", "--kept"], rest.to_vec()),
        "candidates" => run(&["volume", "candidates"], Vec::new()),
        "plan" => run(&["plan"], options().collect()),
        "keep" => run(&["plan", "--save"], options().collect()),
        "run" => run(&["--yes"], options().collect()),
        "load" => run(&["apply", "--yes", "--plan"], rest.to_vec()),
        "apply" => {
            let kept = run(&["plan", "--save"], options().collect());
            let id = kept.field("id").unwrap_or_else(|| panic!("a plan was wanted: {kept:?}"));
            run(&["apply", "--yes", "--plan"], vec![id.into_bytes()])
        }
        "guard" => run(&["guard"], rest.to_vec()).without_the_word_that_all_is_well(),
        verb => run(&[verb], rest.to_vec()),
    }
}
