//! What is on a device, as blkid(8) of util-linux finds it by looking at the device itself (`-p`), past every cache.

use datastore_core::path::printable;
use datastore_core::plan::volume::Signature;
use datastore_core::{Error, ErrorKind};

use super::device::Node;
use super::program;

/// Looks for file systems, other signatures and partition tables. `None` if there is none.
pub(crate) fn probe(node: &Node) -> Result<Option<Signature>, Error> {
    // By the descriptor: what is probed is what was opened, whatever its name leads to by now.
    let output = program::run("blkid", "util-linux", &["-p", "-o", "export", &node.proc_path()])?;
    match output.status.code() {
        Some(0) => {
            let mut found = parse(&output.stdout);
            if let Some(xfs) = found.as_mut().filter(|found| found.kind == "xfs") {
                xfs.is_unfinished = is_unfinished_xfs(node)?;
            }
            Ok(found)
        }
        // Also what it says of a device that it may not open, but this one is open.
        Some(2) => Ok(None),
        // blkid(8): "ambivalent", several at once.
        Some(8) => Ok(Some(Signature { kind: "several kinds of file systems at once".into(), ..Signature::default() })),
        _ => {
            let why = program::complaint(&output);
            Err(Error::new(ErrorKind::System, format!("cannot find out what is on {}: blkid: {why}", node.path)))
        }
    }
}

/// Whether mkfs.xfs was interrupted: it writes the superblock first, with `sb_inprogress` set, and clears that at the end
/// (`xfs_db`(8); struct `xfs_dsb` of the kernel's `xfs_format.h`). mkfs.ext4 and mkfs.btrfs write what makes them known last.
fn is_unfinished_xfs(node: &Node) -> Result<bool, Error> {
    const IN_PROGRESS: u64 = 126;
    let mut byte = [0];
    let read = rustix::io::pread(&node.fd, &mut byte, IN_PROGRESS).map_err(|errno| {
        Error::new(ErrorKind::System, format!("cannot read {}", node.path)).with_errno(errno.raw_os_error())
    })?;
    Ok(read == 1 && byte != [0])
}

/// Reads `KEY=value` lines.
pub(crate) fn parse(text: &[u8]) -> Option<Signature> {
    let mut found = Signature::default();
    let mut table = None;
    for line in text.split(|&b| b == b'\n') {
        let Some(at) = line.iter().position(|&b| b == b'=') else { continue };
        let value = || Some(printable(&unescape(&line[at + 1..])));
        match &line[..at] {
            b"TYPE" => found.kind = value()?,
            b"USAGE" => found.is_filesystem = &line[at + 1..] == b"filesystem",
            b"LABEL" => found.label = value(),
            b"UUID" => found.uuid = value(),
            b"PTTYPE" => table = value(),
            _ => {}
        }
    }
    if found.kind.is_empty() {
        found = Signature { kind: format!("a partition table ({})", table?), ..Signature::default() };
    }
    Some(found)
}

/// Resolves what blkid writes for a shell: a backslash before a special character, and `\x20` for others.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'\\', [b'x', a, b, more @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                let digit = |d: &u8| char::from(*d).to_digit(16).and_then(|d| u8::try_from(d).ok()).unwrap_or_default();
                out.push(digit(a) << 4 | digit(b));
                rest = more;
            }
            (b'\\', [next, more @ ..]) => {
                out.push(*next);
                rest = more;
            }
            _ => out.push(first),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let text = b"DEVNAME=/dev/x\nLABEL=la\\ b\\x0a\\\\x\nUUID=u-u\nTYPE=ext4\nUSAGE=filesystem\nPTTYPE=dos\n";
        let found = parse(text).unwrap();
        assert_eq!((found.kind.as_str(), found.is_filesystem), ("ext4", true));
        assert_eq!((found.label.as_deref(), found.uuid.as_deref()), (Some("la b\\x0a\\x"), Some("u-u")));
        let swap = parse(b"TYPE=swap\nUSAGE=other\n").unwrap();
        assert!(!swap.is_filesystem && swap.kind == "swap");
        let table = parse(b"DEVNAME=/dev/x\nPTUUID=a\nPTTYPE=gpt\n").unwrap();
        assert!(!table.is_filesystem && table.kind == "a partition table (gpt)");
        assert_eq!(parse(b"DEVNAME=/dev/x\n"), None);
    }
}
