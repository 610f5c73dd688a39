//! Our reading of the mount table against the kernel: a tree of stacked, covered and escaped mounts is made in a mount
//! namespace of its own, and for each path the kernel says which mount an open file lies in (`mnt_id`, proc(5)).
//!
//! Namespaces must be there: where unshare(1) may not make one, the test fails and does not pass in silence.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the oracle is the kernel, asked by a shell; core itself stays pure"
)]

use std::process::Command;

use datastore_core::AbsPath;
use datastore_core::mountinfo::MountTable;

/// Prints the table, a line `==`, and `ID PATH` for each path.
const SCRIPT: &str = r#"
set -e
mount -t tmpfs top /tmp
cd /tmp
mkdir -p a/b a/c "d e/f" g/h/i
mount -t tmpfs under a/b            # covered by the next but one
mount -t tmpfs c a/c
mount -t tmpfs over a
mkdir -p a/b/x
mount -t tmpfs again a/b
mount -t tmpfs twice a/b
mkdir a/b/x
mount -t tmpfs "" "d e"
mkdir "d e/f"
mount --bind "d e/f" g/h
mkdir g/h/i
mount --bind g g
mount --bind /tmp/a g/h
cat /proc/self/mountinfo
echo ==
for path in / /tmp /tmp/a /tmp/a/b /tmp/a/b/x "/tmp/d e" "/tmp/d e/f" /tmp/g /tmp/g/h /tmp/g/h/b /proc /usr; do
    exec 3<"$path"
    while read -r key id; do
        case $key in mnt_id:) echo "$id $path" ;; esac
    done </proc/self/fdinfo/3
done
"#;

#[test]
fn a_path_lies_in_the_mount_that_the_kernel_names() {
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT])
        .output()
        .expect("unshare(1) of util-linux is needed for this test");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let (lines, answers) = text.split_once("==\n").unwrap();
    let whole = MountTable::parse(lines.as_bytes()).unwrap();
    let below = whole.clone().rebased(&AbsPath::literal("/tmp"));
    let mut asked = 0;
    for answer in answers.lines() {
        let (id, path) = answer.split_once(' ').unwrap();
        let path = AbsPath::parse(path).unwrap();
        assert_eq!(whole.holding(&path).map(|mount| mount.id().to_string()).as_deref(), Some(id), "{path}\n{lines}");
        if let Some(short) = path.below(&AbsPath::literal("/tmp")) {
            assert_eq!(
                below.holding(&short).map(|mount| mount.id().to_string()).as_deref(),
                Some(id),
                "{path}\n{lines}"
            );
        }
        asked += 1;
    }
    assert_eq!(asked, 12, "{text}");
    assert_eq!(whole.stacked(&AbsPath::literal("/tmp/a/b")), 2, "{lines}");
    assert!(whole.at(&AbsPath::literal("/tmp/a/c")).is_none(), "{lines}");
}
