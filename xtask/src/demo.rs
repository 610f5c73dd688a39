//! `cargo xtask demo`: a tour on real mounts. Everything happens in a throwaway root and in a mount namespace of its
//! own; at the end the machine is shown to be as it was.
//!
//! As root the volume is a disk image on a loop device. Without privilege the tour runs in a user namespace and the
//! volume is a plain directory.

mod configlets;
mod scenes;
mod stage;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::failure::{Doing as _, Failure, Result};
use crate::repo::{Build, Repo};
use crate::tool::Tool;

/// What the volume of the tour is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Volume {
    /// A disk image with ext4, on a loop device: needs root.
    Image,
    /// A plain directory.
    Directory,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// As without privilege, even if root: in a user namespace, with a directory as the volume
    #[arg(long)]
    unprivileged: bool,
    /// The tour itself, inside of its namespaces
    #[arg(long, hide = true, value_names = ["ROOT", "DATASTORE"], num_args = 2, requires = "volume")]
    inside: Option<Vec<PathBuf>>,
    #[arg(long, hide = true)]
    volume: Option<Volume>,
}

/// Outside: prepares, starts the tour in its namespaces, and compares the machine. Inside: the tour.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result {
    if let (Some([root, datastore]), Some(volume)) = (args.inside.as_deref(), args.volume) {
        return inside(root, datastore, volume);
    }
    let start = Instant::now();
    let datastore = repo.build_cli(&Build::Debug)?;
    println!("built in {:.1} s", start.elapsed().as_secs_f64());
    let volume =
        if args.unprivileged || !rustix::process::geteuid().is_root() { Volume::Directory } else { Volume::Image };
    let before = Machine::look()?;
    let scratch = tempfile::Builder::new()
        .prefix("datastore-demo-")
        .tempdir_in(env::var_os("TMPDIR").unwrap_or_else(|| "/var/tmp".into()))
        .doing("make a scratch directory")?
        .keep();
    let result = tour(&scratch, &datastore, volume);
    // The namespace is gone, and all mounts with it. What the tour left may be sealed.
    let cleared = datastore_tests::sandbox::clear(&scratch).doing(format_args!("remove {}", scratch.display()));
    let after = Machine::look()?;
    println!("\n== The machine, before and after");
    println!("mount table  {}  {}", before.mounts, after.mounts);
    println!("/etc/fstab   {}  {}", before.fstab, after.fstab);
    println!("loop devices {}  {}", before.loops, after.loops);
    result?;
    cleared?;
    if before != after {
        return Err(Failure::new(
            "the machine is not as it was before the demo (or somebody else changed it meanwhile)",
        ));
    }
    println!("unchanged; the tour took {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Runs this program again, in namespaces of its own.
fn tour(scratch: &Path, datastore: &Path, volume: Volume) -> Result {
    let this = env::current_exe().doing("find this program")?;
    let mut unshare = Tool::new("unshare").args(["--mount", "--propagation", "private"]);
    if volume == Volume::Directory {
        unshare = unshare.args(["--user", "--map-root-user"]);
    }
    let name = match volume {
        Volume::Image => "image",
        Volume::Directory => "directory",
    };
    unshare
        .arg("--")
        .arg(this)
        .args(["demo", "--volume", name, "--inside"])
        .arg(scratch)
        .arg(datastore)
        .run()
        .map_err(|e| e.context("the demo").hint("the lines marked WRONG say what was not as promised"))
}

/// All scenes, then the sum.
fn inside(scratch: &Path, datastore: &Path, volume: Volume) -> Result {
    let mut stage = stage::Stage::new(scratch, datastore, volume)?;
    scenes::play(&mut stage)?;
    stage.close()
}

/// Digests of what a demo must leave alone.
#[derive(Debug, PartialEq, Eq)]
struct Machine {
    mounts: String,
    fstab: String,
    loops: String,
}

impl Machine {
    fn look() -> Result<Self> {
        let digest = |command: &str| -> Result<String> {
            let sum = Tool::new("sh").args(["-c", &format!("{command} | sha256sum")]).output()?;
            Ok(sum.chars().take(16).collect())
        };
        Ok(Self {
            mounts: digest("cat /proc/self/mountinfo")?,
            fstab: digest("cat /etc/fstab 2>/dev/null")?,
            loops: digest("cat /sys/block/loop*/loop/backing_file 2>/dev/null | sort")?,
        })
    }
}
