//! File systems in images, and what is in memory of them.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use datastore_tests::Sandbox;
use rustix::fs::Advice;

use crate::measure::run;

/// Makes an image of this many MiB that takes no room yet.
pub(crate) fn sparse(image: &Path, mib: u64) -> Result<(), String> {
    let made = File::create_new(image).and_then(|file| file.set_len(mib << 20));
    made.map_err(|e| format!("make {}: {e}", image.display()))
}

/// Makes an image that has all its room, so that nobody who writes to it later has to find any.
pub(crate) fn full(image: &Path, mib: u64) -> Result<(), String> {
    let zeros = vec![0; 1 << 20];
    let made = File::create_new(image).and_then(|mut file| {
        (0..mib).try_for_each(|_| file.write_all(&zeros))?;
        file.sync_all()
    });
    made.map_err(|e| format!("make {}: {e}", image.display()))
}

/// Makes an ext4 in an image, on which the kernel has nothing left to do by itself.
pub(crate) fn format(sandbox: &Sandbox, image: &Path, inodes: u64) -> Result<(), String> {
    let mut mkfs = sandbox.command("mkfs.ext4");
    mkfs.args(["-q", "-F", "-b", "4096", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", "-N"]);
    run(mkfs.arg(inodes.to_string()).arg(image)).map(drop)
}

/// Mounts a new ext4 from an image where the one before may still be mounted: ext4 is slow where many inodes were freed in the last
/// minute.
pub(crate) fn renew(sandbox: &Sandbox, image: &Path, inodes: u64, point: &str) -> Result<(), String> {
    if sandbox.bound(point).is_some() {
        sandbox.unmount(point);
    }
    format(sandbox, image, inodes)?;
    rustix::fs::sync();
    // What a disk is, is not in memory.
    File::open(image)
        .and_then(|file| Ok(rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?))
        .map_err(|e| format!("{}: {e}", image.display()))?;
    sandbox.mount_loop(image, point);
    Ok(())
}

/// Takes everything out of memory that is on a disk, but for these programs.
pub(crate) fn forget(sandbox: &Sandbox, programs: &[&Path]) -> Result<(), String> {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").map_err(|e| format!("drop the caches: {e}"))?;
    programs.iter().try_for_each(|program| run(sandbox.command(program).arg("--help")).map(drop))
}

/// Reads a whole tree; says how many entries and bytes it has.
pub(crate) fn read(top: &Path) -> io::Result<(u64, u64)> {
    let mut buffer = vec![0; 1 << 20];
    let (mut entries, mut bytes) = (1, 0);
    let mut dirs = vec![top.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            entries += 1;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                dirs.push(entry.path());
            } else if kind.is_file() {
                let mut file = File::open(entry.path())?;
                loop {
                    let got = file.read(&mut buffer)?;
                    if got == 0 {
                        break;
                    }
                    bytes += got as u64;
                }
            }
        }
    }
    Ok((entries, bytes))
}
