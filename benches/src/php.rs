//! How fast PHP is told what is bound where: by the extension, and by starting the command; whether that takes memory in the long run; and how long
//! PHP is at the overview of the web page.

use std::path::{Path, PathBuf};
use std::process::Command;

use datastore_tests::web::{Programs, Web};
use serde_json::Value;

use crate::measure::{median, run};
use crate::world::World;

/// What the pages of a server with some apps ask for.
const FEW: usize = 12;
/// As many mappings as the project promises something for.
const MANY: usize = 10_000;
/// How many pairs of the extension and the command.
const PAIRS: usize = 201;
/// How many calls while memory is watched.
const CALLS: u64 = 1_000_000;

/// How many mappings the overview shows, and how often it is asked for.
const SHOWN: usize = 100;
const VIEWS: usize = 41;

/// What to measure.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Where `cargo xtask install` has put everything.
    pub(crate) installed: PathBuf,
    /// How often `status` of many mappings is asked for.
    pub(crate) runs: usize,
    /// So many times fewer mappings and calls.
    pub(crate) shrink: u64,
}

/// Medians, in seconds unless said otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) promised: bool,
    /// Mappings that are bound, and rows with those that are declared; what the extension takes, what the command takes.
    pub(crate) few: ([usize; 2], f64, f64),
    /// The same, what the extension takes.
    pub(crate) many: ([usize; 2], f64),
    /// Calls, what the process held after the first 1,000 of them, what it held after all (KiB).
    pub(crate) memory: (u64, u64, u64),
    /// Mappings that are shown, and how long PHP is at the page.
    pub(crate) page: (usize, f64),
}

/// Measures all three.
pub(crate) fn measure(plan: &Plan) -> Result<Figures, String> {
    let datastore = plan.installed.join("usr/sbin/datastore");
    let shrink = usize::try_from(plan.shrink).unwrap_or(1);
    let php = Php::find(&plan.installed)?;
    eprintln!("telling PHP of {FEW} mappings ...");
    let world = bound(&datastore, FEW)?;
    without_defaults(&world)?;
    let told = php.ask(&world, "pairs", &datastore, PAIRS as u64 / plan.shrink.min(50))?;
    let few = ([FEW, rows(&told, FEW)?], middle(&told, "ours")?, middle(&told, "theirs")?);
    let calls = CALLS / plan.shrink;
    eprintln!("telling it {calls} times ...");
    let told = php.ask(&world, "memory", &datastore, calls)?;
    let kib = |name: &str| told[name].as_u64().ok_or_else(|| format!("no `{name}` in {told}"));
    let memory = (calls, kib("early")?, kib("late")?);
    drop(world);
    let many = MANY / shrink;
    eprintln!("telling PHP of {many} mappings ...");
    let world = bound(&datastore, many)?;
    let told = php.ask(&world, "status", &datastore, plan.runs as u64)?;
    let many = ([many, rows(&told, many)?], middle(&told, "ours")?);
    drop(world);
    let shown = (SHOWN / shrink).max(1);
    eprintln!("asking for the overview with {shown} mappings ...");
    let page = (shown, php.overview(&datastore, shown)?);
    Ok(Figures { promised: plan.shrink == 1, few, many, memory, page })
}

/// A root with so many mappings, all bound.
fn bound(datastore: &Path, size: usize) -> Result<World, String> {
    let world = World::new(datastore, size);
    run(&mut world.datastore(&["apply", "--yes"]))?;
    world.expect_bound("apply").map(|()| world)
}

/// Takes the default mappings out, so that there are no rows but those of the apps.
fn without_defaults(world: &World) -> Result<(), String> {
    let path = world.root().join("etc/datastore.conf");
    let text = std::fs::read_to_string(&path).map_err(|why| format!("read {}: {why}", path.display()))?;
    let mut is_default = false;
    let kept = text.lines().filter(|line| {
        if line.starts_with('[') {
            is_default = line.starts_with("[app.");
        }
        !is_default
    });
    let kept: Vec<&str> = kept.collect();
    std::fs::write(&path, kept.join("\n") + "\n").map_err(|why| format!("write {}: {why}", path.display()))
}

/// PHP with the extension alone.
struct Php {
    extension: PathBuf,
    library: PathBuf,
}

impl Php {
    fn find(installed: &Path) -> Result<Self, String> {
        let say = |program: &str, arg: &str| {
            let told = run(Command::new(program).arg(arg))?;
            Ok::<_, String>(told.stdout.trim().trim_start_matches('/').to_owned())
        };
        let extension = installed.join(say("php-config", "--extension-dir")?).join("datastore.so");
        let library = installed.join("usr/lib").join(say("cc", "-print-multiarch")?);
        if !extension.is_file() {
            return Err(format!("{} is not there; start this by `cargo xtask bench`", extension.display()));
        }
        Ok(Self { extension, library })
    }

    /// Seconds that PHP is at the overview, by its own word, with so many apps that are bound and measured.
    fn overview(&self, datastore: &Path, shown: usize) -> Result<f64, String> {
        let programs = Programs {
            datastore: datastore.to_path_buf(),
            gate: datastore.with_file_name("datastore-webconfig"),
            extension: self.extension.clone(),
            library: self.library.join("libdatastore.so.0").canonicalize().map_err(|why| why.to_string())?,
        };
        let web = Web::of(&programs, &[("sdb", 256 << 20)], 1);
        for n in 0..shown {
            let text = format!("[mapping.\"/srv/app{n}\"]\ntarget = \"%{{base}}/app{n}\"\n");
            web.sandbox().configlet(&format!("app{n}"), &text);
        }
        web.datastore(&["apply", "--yes"]).ok();
        web.datastore(&["usage"]).ok();
        let visitor = web.visitor();
        let times = (0..VIEWS).map(|_| {
            let answer = visitor.get("/app/datastore");
            let rows = answer.body.matches("data-state='active'").count();
            let time =
                answer.header("Server-Timing").and_then(|text| text.strip_prefix("php;dur=")?.parse::<f64>().ok());
            time.filter(|_| rows == shown)
                .ok_or_else(|| format!("{rows} of {shown} rows are on the page: {}", answer.head))
        });
        let times = times.collect::<Result<Vec<f64>, String>>()?;
        median(times).map(|ms| ms / 1000.0).ok_or_else(|| "nothing was measured".to_owned())
    }

    fn ask(&self, world: &World, what: &str, datastore: &Path, times: u64) -> Result<Value, String> {
        let mut command = world.command("php");
        command.args(["-n", "-d"]).arg(format!("extension={}", self.extension.display()));
        command.arg(datastore_tests::repository("benches/src/php/calls.php")).arg(what).arg(world.root());
        command.arg(datastore).arg(times.to_string()).env("LD_LIBRARY_PATH", &self.library);
        let told = run(&mut command)?.stdout;
        serde_json::from_str(&told).map_err(|why| format!("what PHP told of {what} is no JSON: {why}: {told}"))
    }
}

/// How many rows were told: at least as many as there are mappings of ours.
fn rows(told: &Value, least: usize) -> Result<usize, String> {
    let rows = told["rows"].as_u64().and_then(|rows| usize::try_from(rows).ok()).unwrap_or(0);
    if rows < least { Err(format!("{rows} rows were told of {least} mappings")) } else { Ok(rows) }
}

fn middle(told: &Value, name: &str) -> Result<f64, String> {
    let times = told[name].as_array().into_iter().flatten().filter_map(Value::as_f64);
    median(times).ok_or_else(|| format!("no `{name}` in {told}"))
}
