//! Watches the machine while it runs: what is bound, the volumes, the configuration. Whoever wants to know reads
//! `/run/datastore/status.json`; whoever must know hears of it as an alarm.
//!
//! Nothing is asked again and again. The kernel wakes us: by its mount table (poll(2) on mountinfo), by changes of our files (inotify(7)), by
//! what takes or frees room on a volume and by errors of its file system (fanotify(7)), and by its log (`/dev/kmsg`), where a disk that is
//! going says so. After each of these all is looked at anew, and what is different is told. So a machine on which nothing happens has no work
//! with us. Only where a file system tells nothing (over the network, before Linux 5.9) its volume is looked at every half minute.
//!
//! What is new and was not bound a moment ago is told only when it is still so two seconds later: a package may be just about to bring the
//! other half.

mod answers;
mod changes;
mod duties;
pub(crate) mod kernel_log;
mod room;
pub(crate) mod told;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use datastore_core::alarm::{Findings, Kind, Trouble};
use datastore_core::journal::Unfinished;
use datastore_core::plan::Remark;
use datastore_core::resolve::{Incumbents, resolve};
use datastore_core::state::State;
use datastore_core::status::{Row, Status, VolumeRow};
use datastore_core::value::VolumeName;
use datastore_core::wanted::{Volume, Wanted};
use datastore_core::watch::{self, OnReturn};
use datastore_core::{AbsPath, Error, ErrorKind, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::Serialize;

use self::answers::{Answers, may_be_silent};
use self::changes::{Changes, Known};
use self::duties::Duties;
use self::kernel_log::KernelLog;
use self::room::RoomWatch;
use crate::engine::Engine;
use crate::journal_file::list::DIRECTORIES;
use crate::lock::{self, Attempt, Share};
use crate::notices::{Notices, Place};
use crate::sys::{clock, proc};
use crate::{alarm, guard, load, operation, run_files, units};

/// The version of the file for everybody.
const VERSION: u32 = 1;
const RUN: &str = "/run/datastore";
const STATUS: &str = "status.json";
/// What comes together is looked at together.
const GATHER: Duration = Duration::from_millis(50);
/// So long it must stay as it is before somebody is told of what was never bound.
const PATIENCE: Duration = Duration::from_secs(2);
/// When an alarm that did not arrive is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(60);
/// At most this part of the time goes into looking, if that need not wait longer than this.
const SHARE: u32 = 20;
const LONGEST: Duration = Duration::from_secs(5);

/// How long to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// One look, for cron(8) where nobody keeps a program running.
    Once,
    /// Until it is ended.
    Always,
}

/// What a watcher has seen.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "seen", rename_all = "snake_case")]
pub enum Seen<'a> {
    /// Nothing is missed from now on. Before it stands what the first look has found.
    Ready {
        /// How many mappings are asked for.
        mappings: usize,
        /// How many volumes there are.
        volumes: usize,
    },
    /// A mapping is in another state than before.
    Mapping {
        /// Its app.
        app: &'a str,
        /// Its mount point.
        mount_point: &'a str,
        /// What it was before; `None` if there was none.
        was: Option<State>,
        /// How it is now; `None` if it is not declared any more.
        now: Option<&'a Row>,
    },
    /// A volume is in another state than before.
    Volume {
        /// What it was before; `None` if there was none.
        was: Option<State>,
        /// How it is now.
        now: &'a VolumeRow,
    },
    /// Something that was done, or could not be.
    Remark(&'a Remark),
}

/// The file for everybody.
#[derive(Debug, Serialize)]
struct StatusFile<'a> {
    version: u32,
    /// When it was looked at, in seconds since 1970.
    at: i64,
    /// The watcher. While it runs nothing has changed since.
    pid: u32,
    #[serde(flatten)]
    status: &'a Status,
}

/// What of one look is more than status.
struct Beside {
    /// The mappings that an operation is at work on.
    in_hand: BTreeSet<(String, String)>,
    /// Apps that must not start because nothing says what their data is.
    bare: Vec<Row>,
    troubles: Vec<Trouble>,
}

pub(crate) fn watch(engine: &Engine, span: Span, each: &mut dyn FnMut(Seen<'_>) -> Result<bool>) -> Result<()> {
    operation::demand_privilege("watch: it raises alarms, and keeps /run/datastore/status.json")?;
    let _lock = match lock::take(engine.root(), "watch", Share::Exclusive, "watch", Duration::ZERO)? {
        Attempt::Taken(lock) => lock,
        Attempt::Held(held) if span == Span::Once => return Err(Error::from(held).hint("it is watched already")),
        Attempt::Held(held) => return Err(Error::from(held).hint("one is enough: systemctl status datastore-watch")),
    };
    Watcher::new(engine)?.run(span, each)
}

struct Watcher {
    engine: Engine,
    answers: Answers,
    known: Known,
    duties: Duties,
    room: RoomWatch,
    /// What was wrong with volumes when they were last looked at.
    troubles: Vec<Trouble>,
    /// Where the volumes are that are there.
    volumes: Vec<AbsPath>,
    /// How many mappings are asked for.
    mappings: usize,
    /// How long the last look took.
    took: Duration,
    /// Whether there was a look that has seen anything.
    has_seen: bool,
    /// Why nothing could be seen at the last look.
    blind: Option<Blind>,
    /// A digest of what the file says.
    written: Option<u64>,
}

/// Nothing can be seen.
struct Blind {
    why: String,
    since: Instant,
    is_told: bool,
}

/// When the next look is due although nothing happens.
type Due = Option<Instant>;

impl Watcher {
    fn new(engine: &Engine) -> Result<Self> {
        Ok(Self {
            engine: engine.anew(),
            answers: Answers::new()?,
            known: Known::default(),
            duties: Duties::default(),
            room: RoomWatch::new(),
            troubles: Vec::new(),
            volumes: Vec::new(),
            mappings: 0,
            took: Duration::ZERO,
            has_seen: false,
            blind: None,
            written: None,
        })
    }

    fn run(&mut self, span: Span, each: &mut dyn FnMut(Seen<'_>) -> Result<bool>) -> Result<()> {
        let mounts = proc::open_mountinfo().map_err(|e| e.because("the kernel's mount table cannot be watched"))?;
        let log = KernelLog::open();
        let mut is_first = true;
        loop {
            self.engine = self.engine.anew();
            let root = self.engine.root();
            // Watched before looked at, so that nothing comes in between.
            let wanted = resolve(load::globals(root), &Incumbents::new());
            let notices = Notices::of(root, places(&wanted))?;
            let (goes_on, due) = self.round(&wanted, span, each)?;
            let goes_on =
                goes_on && (!is_first || each(Seen::Ready { mappings: self.mappings, volumes: self.volumes.len() })?);
            if !goes_on || span == Span::Once {
                return Ok(());
            }
            is_first = false;
            give_memory_back();
            let ended = Instant::now();
            self.wait(&mounts, log.as_ref(), &notices, due)?;
            // What belongs together has come by then; and whoever changes things without end does not keep us busy without end.
            std::thread::sleep(GATHER.max((self.took * SHARE).min(LONGEST).saturating_sub(ended.elapsed())));
        }
    }

    /// Sleeps until there is something to look at.
    fn wait(&mut self, mounts: &OwnedFd, log: Option<&KernelLog>, notices: &Notices, due: Due) -> Result<()> {
        loop {
            let now = Instant::now();
            let due = [due, self.room.due()].into_iter().flatten().min();
            if due.is_some_and(|due| due <= now) {
                return Ok(());
            }
            let timeout = due.and_then(|due| Timespec::try_from(due - now).ok());
            let mut polled = vec![
                PollFd::new(mounts, PollFlags::PRI),
                PollFd::new(notices, PollFlags::IN),
                PollFd::new(&self.answers, PollFlags::IN),
            ];
            polled.extend(log.iter().map(|log| PollFd::from_borrowed_fd(log.as_fd(), PollFlags::IN)));
            polled.extend(self.room.descriptors().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            match poll(&mut polled, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => {
                    let error = Error::new(ErrorKind::System, "nothing can be waited for");
                    return Err(error.with_errno(errno.raw_os_error()).caused_by(errno));
                }
            }
            // All of them are taken, so that nobody wakes us twice for the same.
            let has_changed = !polled[0].revents().is_empty();
            let told = [notices.take()?, self.answers.take(), log.is_some_and(KernelLog::take), self.room.take()];
            if has_changed || told.contains(&true) {
                return Ok(());
            }
        }
    }

    /// Looks once, and tells what is different. Whether to go on, and when to look again at the latest.
    fn round(
        &mut self,
        wanted: &Wanted,
        span: Span,
        each: &mut dyn FnMut(Seen<'_>) -> Result<bool>,
    ) -> Result<(bool, Due)> {
        let root = self.engine.root();
        let now = Instant::now();
        let mut due: Due = None;
        let mut by = |at: Instant| due = Some(due.map_or(at, |due: Instant| due.min(at)));
        let over_network: Vec<&Volume> = wanted.volumes.iter().filter(|volume| may_be_silent(volume)).collect();
        if !over_network.is_empty() {
            by(now + answers::EVERY);
        }
        let silent = self.answers.silent(root, over_network.into_iter());
        if !silent.is_empty() {
            // Nothing else can be said until they answer: whoever looks at what is bound from there waits as well.
            let others =
                self.troubles.iter().filter(|trouble| silent.iter().all(|silent| silent.volume != trouble.volume));
            let troubles: Vec<Trouble> = others.chain(&silent).cloned().collect();
            self.room.put_off();
            let remarks = alarm::seen(
                root,
                &Findings { bad: Vec::new(), unsure: BTreeSet::new(), covers: |_: &str| false },
                &troubles,
            );
            let goes_on = tell_all(&remarks, each)?;
            return Ok((goes_on, due));
        }
        // Asked before looked at, too; and not before it is known that they answer.
        self.room.ask(root, &self.volumes);
        let begun = Instant::now();
        let looked = self.engine.look(&[], |view, status| {
            let of = |told: &Unfinished| {
                told.mappings.iter().map(|m| (m.app.to_string(), m.mount_point.to_string())).collect::<Vec<_>>()
            };
            let in_hand = view.observed.running.iter().flat_map(of).collect();
            let book = alarm::open(root).unwrap_or_default();
            let was = |kind: Kind, volume: &VolumeName| book.has_of_volume(kind, volume);
            let bare = units::bare_apps(root, view.wanted).into_iter();
            let bare = bare.map(|app| guard::undeclared(&app, &guard::bare(&app))).collect();
            Beside { in_hand, bare, troubles: watch::troubles(view, &status.volumes, was) }
        });
        self.took = begun.elapsed();
        let (status, beside) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                let (goes_on, ripe) = self.is_blind(&error, now, span, each)?;
                ripe.into_iter().for_each(by);
                return Ok((goes_on, due));
            }
        };
        self.blind = None;
        let patience = if span == Span::Once { Duration::ZERO } else { PATIENCE };
        let rows = status.mappings.iter().chain(&beside.bare);
        let changes = self.known.take(rows, &status.volumes, &beside.in_hand, (now, patience));
        changes.ripe.into_iter().for_each(&mut by);
        let findings = Findings { bad: changes.bad.clone(), unsure: changes.unsure.clone(), covers: |_: &str| true };
        let mut remarks = alarm::seen(root, &findings, &beside.troubles);
        if !remarks.is_empty() {
            by(now + TRY_AGAIN);
        }
        remarks.extend(self.write(&status).err().map(|error| Remark {
            detail: format!("{RUN}/{STATUS} could not be written: {}", error.chain()),
            hint: "df /run".into(),
        }));
        let is_first = !std::mem::replace(&mut self.has_seen, true);
        let goes_on = tell_changes(&changes, is_first, each)? && tell_all(&remarks, each)?;
        let done = if span == Span::Always {
            self.duties.fulfil(&self.engine, wanted, &status, &changes.lost)
        } else {
            Vec::new()
        };
        self.duties.due().into_iter().for_each(&mut by);
        let goes_on = goes_on && tell_all(&done, each)?;
        self.troubles = beside.troubles;
        self.mappings = status.mappings.iter().filter(|row| row.state != State::Disabled).count();
        let there = status.volumes.iter().filter(|row| row.state == State::Active);
        self.volumes = there.filter_map(|row| AbsPath::parse(&row.path).ok()).collect();
        Ok((goes_on, due))
    }

    /// Nothing can be seen at all: there is no configuration any more, or fstab cannot be read. The apps that are known to run must not be
    /// started again, so that is an alarm.
    fn is_blind(
        &mut self,
        error: &Error,
        now: Instant,
        span: Span,
        each: &mut dyn FnMut(Seen<'_>) -> Result<bool>,
    ) -> Result<(bool, Due)> {
        let why = error.chain();
        let known = self.blind.take().filter(|blind| blind.why == why);
        let blind = self.blind.insert(known.unwrap_or(Blind { why, since: now, is_told: false }));
        let ripe = blind.since + PATIENCE;
        if span == Span::Always && now < ripe {
            return Ok((true, Some(ripe)));
        }
        let root = self.engine.root();
        let rows: Vec<Row> = units::known_apps(root).iter().map(|app| guard::undeclared(app, error)).collect();
        let findings = Findings { bad: rows.iter().collect(), unsure: BTreeSet::new(), covers: |_: &str| false };
        let mut remarks = alarm::seen(root, &findings, &self.troubles);
        if !blind.is_told {
            blind.is_told = true;
            let hint = error.get_hint().unwrap_or_default().to_owned();
            remarks.push(Remark { detail: format!("nothing can be seen: {}", blind.why), hint });
        }
        Ok((tell_all(&remarks, each)?, None))
    }

    /// Keeps the file for everybody.
    fn write(&mut self, status: &Status) -> Result<()> {
        let mut hasher = DefaultHasher::new();
        hasher.write(&serde_json::to_vec(status).unwrap_or_default());
        let digest = hasher.finish();
        if self.written == Some(digest) {
            return Ok(());
        }
        let file = StatusFile { version: VERSION, at: clock::now(), pid: std::process::id(), status };
        let dir = run_files::make_dirs(self.engine.root(), RUN, 0o755)?;
        run_files::put(&dir, RUN, STATUS, ".status.json.tmp", &serde_json::to_vec(&file).unwrap_or_default())?;
        self.written = Some(digest);
        Ok(())
    }
}

/// The files whose change may change something.
fn places(wanted: &Wanted) -> Vec<Place> {
    let named = |dir: &'static str, names: &[&str]| {
        (AbsPath::literal(dir), Some(names.iter().map(|name| name.as_bytes().to_vec()).collect()))
    };
    let mut places: Vec<Place> = vec![
        named("/etc", &["datastore.conf", "fstab", "passwd", "group"]),
        named("/etc/clearos", &["storage.conf"]),
        (AbsPath::literal("/etc/datastore.d"), None),
        (AbsPath::literal("/etc/clearos/storage.d"), None),
    ];
    places.extend(DIRECTORIES.map(|dir| (AbsPath::literal(dir), None)));
    if wanted.watch.on_return == OnReturn::Start {
        // What volumes are mounted from: udev(7) makes these links.
        places.extend(["/dev/disk/by-label", "/dev/disk/by-uuid"].map(|dir| (AbsPath::literal(dir), None)));
        let sources = wanted.volumes.iter().filter_map(|volume| AbsPath::parse(volume.source.as_deref()?).ok());
        places.extend(sources.filter_map(|path| Some((path.parent()?, Some(vec![path.file_name().to_vec()])))));
    }
    places
}

fn tell_changes(changes: &Changes<'_>, is_first: bool, each: &mut dyn FnMut(Seen<'_>) -> Result<bool>) -> Result<bool> {
    // At first everything is new; then it is told what is not as it should be.
    let is_news = |state: State| !is_first || !matches!(state, State::Active | State::Disabled | State::Inactive);
    for (row, was) in changes.volumes.iter().filter(|(row, _)| is_news(row.state)) {
        if !each(Seen::Volume { now: row, was: *was })? {
            return Ok(false);
        }
    }
    for (row, was) in changes.mappings.iter().filter(|(row, _)| is_news(row.state)) {
        let (app, mount_point) = (&row.app, &row.mount_point);
        if !each(Seen::Mapping { app, mount_point, was: *was, now: Some(row) })? {
            return Ok(false);
        }
    }
    for ((app, mount_point), was) in &changes.gone {
        if !each(Seen::Mapping { app, mount_point, was: Some(*was), now: None })? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn tell_all(remarks: &[Remark], each: &mut dyn FnMut(Seen<'_>) -> Result<bool>) -> Result<bool> {
    for remark in remarks {
        if !each(Seen::Remark(remark))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A look at ten thousand mappings takes memory that is not needed until the next one.
#[allow(unsafe_code, reason = "the C library offers it to C alone")]
fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) may be called at any time by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
