//! The command line: what may be said. Values are only validated here; nothing asks the machine.

pub(crate) mod complete;
#[cfg(test)]
pub(crate) mod examples;
mod grammar;
mod moving;
mod plan;
mod setup;
mod since;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use datastore_core::AbsPath;
use datastore_core::goal::Apps;
use datastore_core::journal::OperationId;
use datastore_core::plan::PlanId;
use datastore_core::value::{AppName, VolumeName};

use crate::manual;

pub(crate) use moving::{Import, Move, Reclaim};
pub(crate) use plan::Plan;
pub(crate) use setup::{Adopt, Init, Source, VolumeAdd};
pub(crate) use since::Since;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "datastore",
    version,
    about = "Keeps the data of a whole server in one place and binds it where programs expect it",
    long_about = "Keeps the data of a whole server in one place, /store/dataN, and binds it where programs expect it.\n\n\
                  `datastore VERB [APP...]` and `datastore APP VERB` are the same.",
    after_help = crate::exit::table(),
    max_term_width = 110
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The heading of the options that stand anywhere.
const FOR_ALL: &str = "For every verb";

/// Options that stand anywhere.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The directory under which everything lies: an image, a rescued disk, a test
    #[arg(long, global = true, value_name = "DIR", default_value = "/", help_heading = FOR_ALL)]
    pub(crate) root: PathBuf,
    /// Print one JSON document and nothing else
    #[arg(long, global = true, help_heading = FOR_ALL)]
    pub(crate) json: bool,
    /// Do not ask
    #[arg(long, short = 'y', global = true, help_heading = FOR_ALL)]
    pub(crate) yes: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Set this machine up: its name, its first volume, and the data that is there
    #[command(after_help = "Examples:\n  \
        datastore init                        asks for everything\n  \
        datastore init --yes                  on the disk that is there\n  \
        datastore init --device /dev/sdb1     a disk that has a file system\n  \
        datastore init --device /dev/sdb --format xfs      one that is empty\n  \
        datastore init --host mail --enable httpd --import home cyrus-imapd\n  \
        datastore init --answers server1.toml --yes        unattended")]
    Init(Init),
    /// Take over a volume of a reinstalled or of another machine: its data, its owners by name, its configlets
    #[command(after_help = "Examples:\n  \
        datastore adopt                       the disk that carries a volume\n  \
        datastore adopt --show                what would be done; changes nothing\n  \
        datastore adopt --device /dev/sdb1\n  \
        datastore adopt data1 --device /dev/sdc1 --host server1 --as server2\n  \
        datastore --root /mnt/sysroot adopt --device /dev/sdb1 --yes")]
    Adopt(Adopt),
    /// Add, list or remove volumes
    #[command(after_help = "Examples:\n  \
        datastore volume list\n  \
        datastore volume add data1 --device /dev/sdc1")]
    #[command(subcommand)]
    Volume(VolumeVerb),
    /// Show what a verb would do, and change nothing
    #[command(after_help = "Examples:\n  \
        datastore plan                        what `apply` would do\n  \
        datastore plan stop httpd             what `stop httpd` would do\n  \
        datastore plan move home --to data1   how much, how long, which services\n  \
        datastore plan remap home --save      keep it for `apply --plan ID`")]
    Plan(Plan),
    /// Make the machine as the configuration asks for
    #[command(after_help = "Examples:\n  \
        datastore apply                       everything; shows the plan and asks\n  \
        datastore apply --yes                 the same without asking\n  \
        datastore apply httpd mysqld          these two\n  \
        datastore apply --plan 1f0c2d3e4b5a6978      what `plan --save` kept")]
    Apply(Apply),
    /// Show what is bound where, from the kernel
    #[command(after_help = "Examples:\n  \
        datastore status\n  \
        datastore status httpd                its exit code is of the LSB\n  \
        datastore status --json")]
    Status(Names),
    /// Hold configuration, fstab, kernel, volumes and stores against each other, and say what mends each finding
    #[command(after_help = "Examples:\n  \
        datastore doctor                      exit code 0: no more than notes\n  \
        datastore doctor httpd                what concerns this app\n  \
        datastore doctor --json")]
    Doctor(Names),
    /// Check the configuration; the same as `config check`
    #[command(after_help = "Examples:\n  datastore check\n  datastore check httpd")]
    Check(MaybeApp),
    /// Bind the data of apps
    #[command(after_help = "Examples:\n  \
        datastore start httpd\n  \
        datastore httpd start\n  \
        datastore start home --accept-store   after a restore from a backup")]
    Start(Start),
    /// Unbind the data of apps, until `start`; what is left is sealed
    #[command(after_help = "Examples:\n  datastore stop httpd\n  datastore httpd stop")]
    Stop(SomeApps),
    /// Unbind and bind the data of apps
    #[command(after_help = "Examples:\n  datastore restart httpd\n  datastore httpd restart")]
    Restart(SomeApps),
    /// Ask for apps from now on
    #[command(after_help = "Examples:\n  datastore enable home\n  datastore enable home mysqld --yes")]
    Enable(SomeApps),
    /// Do not ask for apps any more, and give their plain directories back; the data stays in the store
    #[command(after_help = "Examples:\n  datastore disable samba\n  datastore samba disable --yes")]
    Disable(SomeApps),
    /// After an edit: take the old binds down, make the new store directories, rewrite fstab
    #[command(after_help = "Examples:\n  \
        datastore remap httpd                 then: datastore start httpd")]
    Remap(SomeApps),
    /// Exit 0 only if all data of an app is in place; for start scripts
    #[command(after_help = "Examples:\n  \
        datastore guard mysqld && exec mysqld\n  \
        datastore --root /mnt guard home\n  \
        datastore guard --service mariadb     every app that names it")]
    Guard(Guard),
    /// Finish operations that stopped half-way
    #[command(after_help = "Examples:\n  datastore recover")]
    Recover,
    /// Watch what is bound, the volumes and the configuration; raise and clear alarms
    #[command(after_help = "Examples:\n  \
        datastore watch                       one line a change, without end\n  \
        datastore watch --json                the same for programs\n  \
        datastore watch --once                one look, for cron")]
    Watch(Watch),
    /// List the open alarms, or try whether alarms arrive
    #[command(after_help = "Examples:\n  \
        datastore alarm list\n  \
        datastore alarm test")]
    #[command(subcommand)]
    Alarm(AlarmVerb),
    /// Check, explain or convert configuration
    #[command(after_help = "Examples:\n  \
        datastore config check\n  \
        datastore config show httpd --origin")]
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Bring the data that stands at an app's mount points into the store; what was there is put aside
    #[command(after_help = "Examples:\n  \
        datastore plan import home         how much there is, what would be done\n  \
        datastore import home              copied while it is in use\n  \
        datastore mysqld import --yes --verify content")]
    Import(Import),
    /// Move the data of an app to another volume or directory; what was there is put aside
    #[command(after_help = "Examples:\n  \
        datastore move mysqld --to data1   copied while it is in use\n  \
        datastore move home --to data1 --max-downtime 5\n  \
        datastore mysqld move --to /store/data1/live/db/mysql --yes\n  \
        datastore move home --undo         back to where it was before\n  \
        datastore move home --undo --keep new      with what has changed since\n  \
        datastore move home --resume       go on with one that stopped half-way\n  \
        datastore move home --abort        remove the copy of a failed move")]
    Move(Move),
    /// Remove trees that `import` and `move` have put aside; lists them and asks
    #[command(after_help = "Examples:\n  \
        datastore plan reclaim                what there is, and how much\n  \
        datastore reclaim mysqld\n  \
        datastore reclaim --yes               all of them\n  \
        datastore reclaim --expired --yes     what need not be kept any longer")]
    Reclaim(Reclaim),
    /// Measure what fills the volumes: the data of each app, and what was put aside
    #[command(after_help = "Examples:\n  \
        datastore usage                       all of it; takes as long as a walk\n  \
        datastore usage mysqld                this app; the others stay\n  \
        datastore usage --kept                what was found last, without root\n  \
        datastore usage --kept --json")]
    Usage(Usage),
    /// Look under the live binds of an app: what lies there that nobody can see
    #[command(after_help = "Examples:\n  \
        datastore peek home                   without touching the bind\n  \
        datastore home peek --list            with what is in directories\n  \
        datastore peek home /home/alice/mail  only this\n  \
        datastore peek home --copy-to /root/hidden     to /root/hidden/home")]
    Peek(Peek),
    /// Show which operations have run, and what came of each
    #[command(after_help = "Examples:\n  \
        datastore log                         all that are kept, the newest last\n  \
        datastore log httpd --last 3\n  \
        datastore log --failed --since 2d     what went wrong in two days\n  \
        datastore log --operation 20261123T174301250Z-1a2b3c4d\n  \
        datastore log --follow --json         one object a line, as they come")]
    Log(Log),
    /// Print what a shell needs to complete the words of this command
    #[command(after_help = "Examples:\n  \
        source <(datastore completions bash)  for this shell alone\n  \
        datastore completions bash > /etc/bash_completion.d/datastore\n  \
        datastore completions zsh > ${fpath[1]}/_datastore\n  \
        datastore completions fish > /etc/fish/completions/datastore.fish")]
    Completions(Completions),
    /// Open a page of the manual; in a pipe, print its source
    #[command(after_help = "Examples:\n  \
        datastore man                         this command: datastore(8)\n  \
        datastore man datastore-configlet     how to write a configlet\n  \
        datastore man --list                  all pages\n  \
        datastore man datastore.conf > datastore.conf.5")]
    Man(Man),
}

/// `volume ...`
#[derive(Debug, Subcommand)]
pub(crate) enum VolumeVerb {
    /// Add a volume, new or prepared before
    #[command(after_help = "Examples:\n  \
        datastore volume add data1 --device /dev/sdc1\n  \
        datastore volume add data1 --device /dev/sdc --format ext4\n  \
        datastore --root /mnt volume add data1 --device /disk.img --yes\n  \
        datastore volume add data2 --directory /srv/big\n  \
        datastore volume add data3 --at /mnt/nfs       what is mounted there")]
    Add(VolumeAdd),
    /// List the block devices that nobody uses, what is on each, and how it becomes a volume
    #[command(after_help = "Examples:\n  datastore volume candidates\n  datastore volume candidates --json")]
    Candidates,
    /// List the volumes
    #[command(after_help = "Examples:\n  datastore volume list\n  datastore volume list --json")]
    List,
    /// Remove a volume that no app uses any more; its data stays on it
    #[command(after_help = "Examples:\n  datastore volume remove data1")]
    Remove {
        /// Its name
        #[arg(value_name = "NAME")]
        name: VolumeName,
    },
}

/// `alarm ...`
#[derive(Debug, Subcommand)]
pub(crate) enum AlarmVerb {
    /// List the alarms that are open
    #[command(after_help = "Examples:\n  datastore alarm list\n  datastore alarm list --json")]
    List,
    /// Send a test through every way that `[alarm]` in /etc/datastore.conf names
    #[command(after_help = "Examples:\n  datastore alarm test        exit code 0 only if every way took it")]
    Test,
}

/// `config ...`
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Check all configuration, or that of one app
    #[command(after_help = "Examples:\n  datastore config check\n  datastore config check httpd --json")]
    Check(MaybeApp),
    /// Show what the configuration comes to
    #[command(after_help = "Examples:\n  \
        datastore config show\n  \
        datastore config show httpd --origin   where each value was written")]
    Show {
        /// Only this app
        #[arg(value_name = "APP")]
        app: Option<AppName>,
        /// Say where each value was written
        #[arg(long)]
        origin: bool,
    },
    /// Declare an app as a JSON document on standard input says, within what root allows to programs
    #[command(after_help = "Examples:\n  \
        datastore config add --json < photos.json\n\n\
        The least: {\"app\": \"photos\", \"mappings\": [{\"mount_point\": \"/srv/photos\"}]}\n\
        Also title, and of a mapping target, permissions, owner, group, volume.\n\
        It writes /etc/datastore.d/APP.conf, and binds nothing. Root allows it by\n\
        [config_add] in /etc/datastore.conf.")]
    Add,
    /// Remove a configlet that `config add` has written, of an app that is disabled; its data stays
    #[command(after_help = "Examples:\n  datastore config remove photos")]
    Remove(OneApp),
    /// Print a configlet in PHP, of datastore or ClearOS, as TOML
    #[command(after_help = "Examples:\n  \
        datastore config import httpd.conf > /etc/datastore.d/httpd.conf\n  \
        datastore config import home_default.conf home.conf\n\n\
        Later files lie over earlier ones, as ClearOS lays its two files over\n\
        each other.")]
    Import {
        /// The files of one app
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
}

/// `apply`
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// Only these apps
    #[arg(value_name = "APP")]
    pub(crate) apps: Vec<AppName>,
    /// Apply this plan, which `plan --save` kept, or nothing
    #[arg(long, value_name = "ID", value_parser = PlanId::parse, conflicts_with_all = ["apps", "accept_store"])]
    pub(crate) plan: Option<PlanId>,
    /// Take store directories as they are, also with another identity or none
    #[arg(long)]
    pub(crate) accept_store: bool,
}

/// `start`
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// The apps
    #[arg(value_name = "APP", required = true)]
    pub(crate) apps: Vec<AppName>,
    /// Take store directories as they are, also with another identity or none
    #[arg(long)]
    pub(crate) accept_store: bool,
}

/// `usage`
#[derive(Debug, Args)]
pub(crate) struct Usage {
    /// Only these apps
    #[arg(value_name = "APP")]
    pub(crate) apps: Vec<AppName>,
    /// Do not measure: show what was measured last
    #[arg(long)]
    pub(crate) kept: bool,
}

/// `peek`
#[derive(Debug, Args)]
pub(crate) struct Peek {
    /// The app
    #[arg(value_name = "APP")]
    pub(crate) app: AppName,
    /// Only what lies at this path, at or below one of its mount points
    #[arg(value_name = "PATH", value_parser = abs_path)]
    pub(crate) path: Option<AbsPath>,
    /// List what is in directories too
    #[arg(long)]
    pub(crate) list: bool,
    /// Copy it to this directory, each mount point to its own path below; it is made if missing, and must be empty
    #[arg(long, value_name = "DIR")]
    pub(crate) copy_to: Option<PathBuf>,
}

/// `log`
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Only operations that concern these apps
    #[arg(value_name = "APP")]
    pub(crate) apps: Vec<AppName>,
    /// Only those that began since a time (2026-11-23, 2026-11-23T17:43:01Z; UTC) or for so long (2h, 3d)
    #[arg(long, value_name = "TIME", value_parser = Since::parse)]
    pub(crate) since: Option<Since>,
    /// Only the newest so many
    #[arg(long, value_name = "N")]
    pub(crate) last: Option<usize>,
    /// Only those that did not end as they should
    #[arg(long)]
    pub(crate) failed: bool,
    /// One operation, with every step
    #[arg(long, value_name = "ID", value_parser = OperationId::parse,
          conflicts_with_all = ["apps", "since", "last", "failed", "follow"])]
    pub(crate) operation: Option<OperationId>,
    /// Go on: show each operation that begins or ends, until interrupted
    #[arg(long, short = 'f')]
    pub(crate) follow: bool,
}

/// `completions`
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
    /// Say what may stand in this place of the words behind `--`, counted from 0; the shells ask so
    #[arg(long, value_name = "N", hide = true, requires = "words")]
    pub(crate) word: Option<usize>,
    /// The words of the command line
    #[arg(value_name = "WORD", last = true, hide = true, requires = "word")]
    pub(crate) words: Vec<OsString>,
}

/// A shell that completes words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// GNU bash
    Bash,
    /// The Z shell
    Zsh,
    /// The friendly interactive shell
    Fish,
}

/// `man`
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The page
    #[arg(value_name = "PAGE", default_value = "datastore", value_parser = PossibleValuesParser::new(manual::names()))]
    pub(crate) page: String,
    /// List the pages
    #[arg(long)]
    pub(crate) list: bool,
}

/// Any number of apps.
#[derive(Debug, Args)]
pub(crate) struct Names {
    /// Only these apps
    #[arg(value_name = "APP")]
    pub(crate) apps: Vec<AppName>,
}

/// At least one app.
#[derive(Debug, Args)]
pub(crate) struct SomeApps {
    /// The apps
    #[arg(value_name = "APP", required = true)]
    pub(crate) apps: Vec<AppName>,
}

/// One app.
#[derive(Debug, Args)]
pub(crate) struct OneApp {
    /// The app
    #[arg(value_name = "APP")]
    pub(crate) app: AppName,
}

/// Who wants to start.
#[derive(Debug, Args)]
#[group(skip)]
#[command(group(ArgGroup::new("whom").required(true).args(["app", "service"])))]
pub(crate) struct Guard {
    /// The app
    #[arg(value_name = "APP")]
    pub(crate) app: Option<AppName>,
    /// A service: every app that names it must have its data; where none does, nobody minds
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// Its services are about to start: if they may not, they are started once the data is there
    #[arg(long, requires = "app")]
    pub(crate) at_start: bool,
}

/// `watch`
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Look once and end; what is wrong is told at once
    #[arg(long)]
    pub(crate) once: bool,
}

/// One app or none.
#[derive(Debug, Args)]
pub(crate) struct MaybeApp {
    /// Only this app
    #[arg(value_name = "APP")]
    pub(crate) app: Option<AppName>,
}

fn abs_path(text: &str) -> Result<AbsPath, datastore_core::path::PathError> {
    AbsPath::parse(text)
}

/// Reads the words of a command line, in either grammar. The error is also what `--help` and `--version` come to.
pub(crate) fn parse(words: &[OsString]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(grammar::rewrite(words))
}

/// Whether the words hold `--json`, for command lines that could not be understood.
pub(crate) fn asks_for_json(words: &[OsString]) -> bool {
    words.iter().skip(1).take_while(|w| *w != "--").any(|w| w == "--json")
}

/// These apps, each once.
pub(crate) fn apps(names: Vec<AppName>, accept: bool) -> Apps {
    Apps { accept, ..Apps::named(names) }
}

#[cfg(test)]
mod tests;
