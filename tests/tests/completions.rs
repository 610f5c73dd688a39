//! What real shells offer: bash, zsh and fish, with the script that `datastore completions` prints, on a machine with apps of its own.

use std::path::Path;

use datastore_tests::{Run, Sandbox, binary};

/// A machine that has an app of a name that no default mapping has.
fn machine() -> Sandbox {
    let sandbox = Sandbox::initialised();
    sandbox.configlet("shop-data", "[mapping.\"/var/shop\"]\ntarget = \"%{base}/shop\"\n");
    sandbox
}

/// Runs a shell that finds the `datastore` under test on its PATH, with the shell's script in `/script`.
#[track_caller]
fn shell(sandbox: &Sandbox, shell: &str, program: &str) -> Run {
    let script = sandbox.datastore(&["completions", shell]).ok().stdout;
    sandbox.write("/script", script);
    let binary = binary::datastore();
    let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap_or(Path::new("/")).display());
    let mut command = sandbox.command(shell);
    let options: &[&str] = match shell {
        "bash" => &["--norc", "--noprofile"],
        "zsh" => &["-f"],
        _ => &["--no-config"],
    };
    command.args(options).args(["-c", program]).env("PATH", path).env("HOME", sandbox.root()).env("TERM", "dumb");
    command.env("SCRIPT", sandbox.path("/script")).env("ROOT", sandbox.root());
    sandbox.run(command).ok()
}

/// The lines that each shell is asked to complete, and what it must offer: all words, or (with `..`) at least these.
const LINES: &[(&str, &str)] = &[
    ("datastore --root ROOT sto", "stop"),
    ("datastore --root ROOT sho", "shop-data"),
    ("datastore --root ROOT stop sho", "shop-data"),
    ("datastore --root ROOT stop shop-data hom", "home"),
    ("datastore --root ROOT shop-data re", "reclaim remap restart"),
    ("datastore --root ROOT shop-data config sh", "show"),
    ("datastore --root ROOT shop-data start --acc", "--accept-store"),
    ("datastore --root ROOT volume remove dat", "data0"),
    ("datastore volume add x --device /d --format x", "xfs"),
    ("datastore completions ", "bash fish zsh"),
    ("datastore --root ROOT stop nosuch", ""),
    ("datastore --root /no-such-root stop ho", ""),
];

/// Demands of each line what it says; `offered` asks the shell and gives the words in any order.
#[track_caller]
fn offers(sandbox: &Sandbox, offered: impl Fn(&str) -> Vec<String>) {
    for (line, wanted) in LINES {
        let mut words = offered(&line.replace("ROOT", &sandbox.root().display().to_string()));
        words.sort();
        assert_eq!(words.join(" "), *wanted, "{line}");
    }
}

#[test]
fn bash() {
    let sandbox = machine();
    // What readline does: cut the line into words, call the function that `complete` names, read COMPREPLY.
    let program = r#"
        . "$SCRIPT"
        [[ $(complete -p datastore) == *' -F _datastore '* ]] || exit 9
        read -r -a COMP_WORDS <<< "$LINE"
        [[ $LINE == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )) COMP_LINE=$LINE COMP_POINT=${#LINE}
        _datastore datastore "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        (( ${#COMPREPLY[@]} )) && printf '%s\n' "${COMPREPLY[@]}"
        exit 0
    "#;
    let offered = |line: &str| -> Vec<String> {
        let run = shell(&sandbox, "bash", &format!("LINE='{line}'{program}"));
        run.stdout.lines().map(str::to_owned).collect()
    };
    offers(&sandbox, offered);
    // Readline cuts at `=` too.
    let program =
        program.replace(r#"read -r -a COMP_WORDS <<< "$LINE""#, "COMP_WORDS=(datastore volume add x --format = x)");
    assert_eq!(shell(&sandbox, "bash", &program).stdout, "xfs\n");
}

#[test]
fn bash_goes_on_in_a_directory() {
    let sandbox = machine();
    sandbox.directory("/images", 0o755);
    // The function tells readline to put no space behind it.
    let program = r#"
        . "$SCRIPT"
        COMP_WORDS=(datastore init --device "$ROOT/ima") COMP_CWORD=3
        compopt() { printf '%s ' compopt "$@"; echo; }
        _datastore datastore "$ROOT/ima" --device
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let wanted = format!("compopt -o nospace \n{}/images/\n", sandbox.root().display());
    assert_eq!(shell(&sandbox, "bash", program).stdout, wanted);
}

#[test]
fn zsh() {
    let sandbox = machine();
    // A shell on a pseudo-terminal, in which a key lists what the completion offers between two marks.
    let program = r#"
        zmodload zsh/zpty
        zpty z zsh -f -i
        zpty -w z 'PS1= PS2= LISTMAX=100000 COLUMNS=300; stty columns 300 rows 200; unsetopt zle_bracketed_paste 2>/dev/null'
        zpty -w z "autoload -Uz compinit; $LOAD"
        zpty -w z 'compadd() { builtin compadd -O offered "$@"; print -rl -- "${(@)offered}" >> "$ROOT/offered"; builtin compadd "$@"; }'
        zpty -w z 'ask() { zle complete-word; print done > "$ROOT/done"; zle send-break }; zle -N ask; zle -C complete-word complete-word _main_complete; bindkey "^T" ask'
        zpty -w z 'print ready > "$ROOT/ready"'
        wait_for() { local n; for n in {1..600}; do [[ -e $1 ]] && return; zpty -r -t z line; sleep 0.05; done; print -u2 "no $1"; exit 9 }
        wait_for "$ROOT/ready"
        zpty -n -w z "$LINE"$'\x14'
        wait_for "$ROOT/done"
        zpty -d z
        [[ -e $ROOT/offered ]] && cat "$ROOT/offered"
        exit 0
    "#;
    let offered = |load: &str, line: &str| -> Vec<String> {
        for file in ["/ready", "/done", "/offered"] {
            let _ = std::fs::remove_file(sandbox.path(file));
        }
        let run = shell(&sandbox, "zsh", &format!("LINE='{line}' LOAD='{load}'{program}"));
        let mut words: Vec<String> = run.stdout.lines().filter(|l| !l.is_empty()).map(str::to_owned).collect();
        words.sort();
        words.dedup();
        words
    };
    // As a package installs it, and as somebody tries it.
    sandbox.write("/site/_datastore", sandbox.datastore(&["completions", "zsh"]).ok().stdout);
    offers(&sandbox, |line| offered("fpath=($ROOT/site $fpath); compinit -u -D", line));
    assert_eq!(offered("compinit -u -D; source $SCRIPT", "datastore sto"), ["stop"]);
}

#[test]
fn fish() {
    let sandbox = machine();
    let offered = |line: &str| -> Vec<String> {
        let run = shell(&sandbox, "fish", &format!("source $SCRIPT; complete -C '{line}'"));
        assert_eq!(run.stderr, "");
        run.stdout.lines().map(|l| l.split('\t').next().unwrap_or_default().to_owned()).collect()
    };
    offers(&sandbox, offered);
    let with_help = shell(&sandbox, "fish", "source $SCRIPT; complete -C 'datastore recov'");
    assert_eq!(with_help.stdout, "recover\tFinish operations that stopped half-way\n");
}

#[test]
fn completing_never_fails_and_reads_no_configlet() {
    let sandbox = machine();
    let root = sandbox.root().display().to_string();
    let ask = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let at = (words.len() - 1).to_string();
        let mut command = sandbox.command(binary::datastore());
        command.args(["completions", "fish", "--word", &at, "--"]).args(&words);
        let run = sandbox.run(command).ok();
        assert_eq!(run.stderr, "", "{line}");
        run.stdout
    };
    let stop = format!("datastore --root {root} stop sho");
    assert_eq!(ask(&stop), "shop-data\n");
    // Whatever is in the files, their names are known.
    sandbox.configlet("shop-data", "this is = not [toml");
    sandbox.write("/etc/datastore.conf", "[nonsense");
    assert_eq!(ask(&stop), "shop-data\n");
    std::fs::remove_file(sandbox.path("/etc/datastore.conf")).unwrap();
    std::fs::remove_dir_all(sandbox.path("/etc/datastore.d")).unwrap();
    for line in [stop.as_str(), "datastore", "", "datastore --root /no/such stop x"] {
        assert_eq!(ask(line), "", "{line}");
    }
    // A place that is not there.
    for at in ["0", "7"] {
        let run = sandbox.datastore(&["completions", "bash", "--word", at, "--", "datastore", "sto"]).ok();
        assert_eq!(run.stdout, "", "{at}");
    }
    let script = sandbox.datastore(&["completions", "zsh", "--json"]).ok().json();
    assert!(script["script"].as_str().unwrap().starts_with("#compdef datastore\n"), "{script:#}");
    let words =
        sandbox.datastore(&["completions", "bash", "--json", "--word", "1", "--", "datastore", "recov"]).ok().json();
    assert_eq!(words["words"][0]["word"], "recover");
    sandbox.datastore(&["completions", "tcsh"]).code(2).says("bash");
}
