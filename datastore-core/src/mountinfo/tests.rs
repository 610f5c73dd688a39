use proptest::prelude::*;

use super::*;

/// A server in the field, with what is hard in it: two layers on /dev/shm, an escaped name, an empty source, a bind of a
/// removed directory, a namespace file, propagation of all kinds, a field that nobody knows yet.
const SERVER: &str = "\
22 27 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
24 27 0:6 / /dev rw,nosuid,relatime shared:2 - devtmpfs udev rw,size=4007052k,nr_inodes=1001763,mode=755,inode64
25 24 0:23 / /dev/shm rw,nosuid,nodev shared:4 - tmpfs tmpfs rw,inode64
27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
30 25 0:27 / /dev/shm rw,relatime - tmpfs tmpfs rw,size=24684084k
61 27 8:17 / /store/data0 rw,relatime shared:30 master:7 propagate_from:2 future:9 strange - ext4 /dev/sdb1 rw
62 27 8:17 /live/server1/home /home rw,nosuid,nodev,relatime shared:30 - ext4 /dev/sdb1 rw
63 27 8:17 /live/server1/my\\040mail /var/spool/my\\040mail\\134x rw unbindable - ext4 /dev/sdb1 rw
64 27 0:40 / /srv rw,relatime - tmpfs  rw
65 64 0:40 /d//deleted /srv/e rw,relatime - tmpfs  rw
66 27 0:4 net:[4026531840] /run/netns/a rw shared:5 - nsfs nsfs rw
67 27 0:50 / /mnt/x rw - fuse.sshfs a\\040b\\043c rw,user_id=0,odd option
";

fn path(text: &str) -> AbsPath {
    AbsPath::parse(text).unwrap()
}

fn table(text: &str) -> MountTable {
    MountTable::parse(text).unwrap()
}

fn at(table: &MountTable, text: &str) -> Option<u32> {
    table.at(&path(text)).map(|mount| mount.id())
}

fn holding(table: &MountTable, text: &str) -> Option<u32> {
    table.holding(&path(text)).map(|mount| mount.id())
}

fn ids(mounts: &[Mount<'_>]) -> Vec<u32> {
    mounts.iter().map(Mount::id).collect()
}

#[test]
fn fields_of_a_server() {
    let server = table(SERVER);
    assert_eq!((server.len(), server.is_empty()), (12, false));
    let data = server.at(&path("/store/data0")).unwrap();
    assert_eq!((data.id(), data.parent(), data.major(), data.minor()), (61, 27, 8, 17));
    assert_eq!((&*data.fstype(), &*data.source(), data.super_options()), (&b"ext4"[..], &b"/dev/sdb1"[..], &b"rw"[..]));
    let expected = Propagation { shared: Some(30), master: Some(7), propagate_from: Some(2), unbindable: false };
    assert_eq!(data.propagation(), expected);

    let home = server.at(&path("/home")).unwrap();
    assert!(home.has_option("nosuid") && home.has_option("rw") && !home.has_option("no") && !home.has_option("suid"));
    assert_eq!(data.root_of(&path("/store/data0/live/server1/home")), Some(home.root().into_owned()));
    assert_eq!(data.root_of(&path("/store/data0")), Some(b"/".to_vec()));
    assert_eq!(home.root_of(&path("/home/a b\\c")), Some(b"/live/server1/home/a b\\c".to_vec()));
    assert_eq!(home.root_of(&path("/homes")), None);

    let mail = server.at(&path("/var/spool/my mail\\x")).unwrap();
    assert_eq!((mail.id(), &*mail.root()), (63, &b"/live/server1/my mail"[..]));
    assert_eq!(mail.path(), Some(path("/var/spool/my mail\\x")));
    assert!(mail.propagation().unbindable && mail.propagation().shared.is_none());
    let gone = server.at(&path("/srv/e")).unwrap();
    assert!(gone.is_deleted() && !mail.is_deleted() && gone.source().is_empty());
    assert_eq!(gone.root_of(&path("/srv/e/x")), None);
    assert_eq!(&*server.at(&path("/run/netns/a")).unwrap().root(), b"net:[4026531840]");
    let far = server.at(&path("/mnt/x")).unwrap();
    assert_eq!((&*far.source(), far.super_options()), (&b"a b#c"[..], &b"rw,user_id=0,odd option"[..]));
}

#[test]
fn lookups_by_path() {
    let server = table(SERVER);
    assert_eq!((at(&server, "/"), at(&server, "/hom"), at(&server, "/home/x")), (Some(27), None, None));
    assert_eq!(
        (holding(&server, "/home/x/y"), holding(&server, "/homes"), holding(&server, "/srv/e/f")),
        (Some(62), Some(27), Some(65))
    );
    assert_eq!((at(&server, "/dev/shm"), server.stacked(&path("/dev/shm"))), (Some(30), 2));
    assert_eq!((server.stacked(&path("/")), server.stacked(&path("/hom"))), (1, 0));
    assert_eq!(ids(&server.below(&path("/srv"))), [65]);
    assert_eq!(ids(&server.below(&path("/s"))), [0_u32; 0]);
    assert_eq!(ids(&server.below(&AbsPath::root())), [24, 30, 62, 67, 22, 66, 64, 65, 61, 63]);
    let covered = server.by_id(25).unwrap();
    assert!(!covered.is_visible() && server.iter().filter(Mount::is_visible).count() == 11);
    assert_eq!(format!("{covered:?}"), "Mount(25 on 24: / at /dev/shm (hidden))");
}

#[test]
fn what_is_covered_is_not_there() {
    let line = |id: u32, parent: u32, point: &str| format!("{id} {parent} 0:1 / {point} rw - t t rw\n");
    let under = line(2, 1, "/a/b");
    // A mount on a directory above hides it, wherever the lines stand.
    for text in [[line(1, 0, "/"), under.clone(), line(3, 1, "/a")], [line(3, 1, "/a"), under, line(1, 0, "/")]] {
        let t = table(&text.concat());
        assert_eq!((at(&t, "/a/b"), holding(&t, "/a/b"), at(&t, "/a")), (None, Some(3), Some(3)));
        assert_eq!((t.stacked(&path("/a/b")), ids(&t.below(&path("/a")))), (0, Vec::new()));
    }
    // But not what is mounted in the mount that covers.
    let t = table(&[line(1, 0, "/"), line(2, 1, "/a/b"), line(3, 1, "/a"), line(4, 3, "/a/b")].concat());
    assert_eq!((at(&t, "/a/b"), t.stacked(&path("/a/b"))), (Some(4), 1));
    // A new mount put beneath an old one stands later in the file, and is not the one that is seen.
    let t = table(&[line(1, 0, "/"), line(2, 3, "/a"), line(3, 1, "/a")].concat());
    assert_eq!((at(&t, "/a"), t.stacked(&path("/a"))), (Some(2), 2));
    // A second mount on / covers everything of the first.
    let t = table(&[line(1, 0, "/"), line(2, 1, "/a"), line(3, 1, "/")].concat());
    assert_eq!((at(&t, "/"), at(&t, "/a"), holding(&t, "/a/x"), t.stacked(&path("/"))), (Some(3), None, Some(3), 2));
}

#[test]
fn odd_tables() {
    let line = |id: u32, parent: u32, point: &str| format!("{id} {parent} 0:1 / {point} rw - t t rw\n");
    assert!(table("").is_empty() && table("").holding(&AbsPath::root()).is_none());
    // In a chroot(2) nothing is mounted on /.
    let t = table(&[line(5, 4, "/a"), line(6, 5, "/a/b")].concat());
    assert_eq!((at(&t, "/"), holding(&t, "/x"), holding(&t, "/a/b/c"), at(&t, "/a")), (None, None, Some(6), Some(5)));
    // The first file system of all is its own parent; parents in a circle are reached by nobody.
    let t = table(&[line(1, 1, "/"), line(2, 3, "/a"), line(3, 2, "/a")].concat());
    assert_eq!((at(&t, "/"), at(&t, "/a"), t.stacked(&path("/"))), (Some(1), None, 1));
    // An id that stands twice counts once.
    let t = table(&[line(1, 0, "/"), line(2, 1, "/a"), line(2, 1, "/b")].concat());
    assert_eq!((at(&t, "/a"), at(&t, "/b")), (None, Some(2)));
}

#[test]
fn no_mount_table() {
    for (text, line, field) in [
        ("\n", 1, "mount id"),
        ("1 2 0:1 / / rw - t t rw\n1x 2 0:1 / / rw - t t rw\n", 2, "mount id"),
        ("4294967296 2 0:1 / / rw - t t rw\n", 1, "mount id"),
        ("1 2 0;1 / / rw - t t rw\n", 1, "device number"),
        ("1 2 0:1 /\n", 1, "root"),
        ("1 2 0:1 / a rw - t t rw\n", 1, "mount point"),
        ("1 2 0:1 /  rw - t t rw\n", 1, "mount point"),
        ("1 2 0:1 / /\n", 1, "mount point"),
        ("1 2 0:1 / / rw shared:1\n", 1, "`-` after the optional fields"),
        ("1 2 0:1 / / rw - ext4\n", 1, "file system type"),
        ("1 2 0:1 / / rw - ext4 a\n", 1, "source"),
    ] {
        assert_eq!(MountTable::parse(text).err(), Some(MountinfoError::Line { line, field }), "{text:?}");
    }
    let cut = MountTable::parse("1 2 0:1 / / rw - t t rw").unwrap_err();
    assert_eq!(
        (&cut, &*cut.to_string()),
        (&MountinfoError::CutOff { line: 1 }, "line 1 of mountinfo, the last, is cut off; read the file again")
    );
    // The shortest of all.
    assert_eq!(table("1 2 0:1  /  -   \n").at(&AbsPath::root()).map(|m| m.options().len()), Some(0));
}

#[test]
fn as_seen_from_another_root() {
    let text = "\
1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 8:2 /sub\\040dir /tmp rw - ext4 /dev/sda2 rw
3 2 8:3 / /tmp/r\\040x/store/data0 rw - ext4 /dev/sda3 rw
4 2 8:3 /live /tmp/r\\040x/home rw - ext4 /dev/sda3 rw
5 4 8:3 /live /tmp/r\\040x/home rw - ext4 /dev/sda3 rw
6 2 8:3 / /tmp/r\\040xy rw - ext4 /dev/sda3 rw
7 1 8:4 / /tmp/r\\040x/home rw - ext4 /dev/sda4 rw
";
    let whole = table(text);
    assert!(!whole.by_id(7).unwrap().is_visible());
    let t = whole.clone().rebased(&path("/tmp/r x"));
    assert_eq!(
        (at(&t, "/"), at(&t, "/store/data0"), at(&t, "/home"), at(&t, "/tmp")),
        (Some(2), Some(3), Some(5), None)
    );
    assert_eq!((t.stacked(&path("/home")), t.len(), t.stacked(&path("/"))), (2, 5, 1));
    assert_eq!((holding(&t, "/var/x"), holding(&t, "/home/a")), (Some(2), Some(5)));
    assert_eq!(ids(&t.below(&AbsPath::root())), [5, 3]);
    let root = t.at(&AbsPath::root()).unwrap();
    assert_eq!(
        (&*root.root(), root.root_of(&path("/store"))),
        (&b"/sub dir/r x"[..], Some(b"/sub dir/r x/store".to_vec()))
    );
    // A root that is a mount point itself.
    let t = whole.clone().rebased(&path("/tmp/r x/home"));
    assert_eq!((at(&t, "/"), t.stacked(&AbsPath::root()), t.len()), (Some(5), 2, 3));
    assert_eq!(&*t.at(&AbsPath::root()).unwrap().root(), b"/live");
    // A root below the topmost mount; twice is as once.
    let t = whole.clone().rebased(&path("/var")).rebased(&path("/lib"));
    assert_eq!((at(&t, "/"), &*t.at(&AbsPath::root()).unwrap().root()), (Some(1), &b"/var/lib"[..]));
    assert_eq!(whole.rebased(&AbsPath::root()).len(), 7);
}

/// The table as the kernel would make it, and a walk through it as slow and plain as can be.
#[derive(Debug, Default)]
struct Model {
    mounts: Vec<(u32, u32, AbsPath)>,
}

impl Model {
    /// The mounts that a walk comes to at the path itself, each on the top of the one before.
    fn walk(&self, to: &AbsPath) -> (u32, Vec<u32>) {
        let mut now = 0;
        let mut steps: Vec<AbsPath> = to.ancestors().collect();
        steps.reverse();
        steps.push(to.clone());
        let mut here = Vec::new();
        for step in steps {
            here.clear();
            while let Some(next) = self.mounts.iter().find(|(_, parent, point)| *parent == now && *point == step) {
                now = next.0;
                here.push(now);
            }
        }
        (now, here)
    }

    fn text(&self) -> String {
        let lines = self.mounts.iter().map(|(id, parent, point)| {
            let point = String::from_utf8(escape(point.as_bytes())).unwrap();
            format!("{id} {parent} 0:{id} / {point} rw - t t rw\n")
        });
        lines.collect()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Mount(AbsPath),
    Beneath(AbsPath),
    Unmount(AbsPath),
}

fn some_path() -> impl Strategy<Value = AbsPath> {
    prop::collection::vec(prop::sample::select(vec!["a", "ab", "b c"]), 0..4)
        .prop_map(|c| path(&format!("/{}", c.join("/"))))
}

fn some_model() -> impl Strategy<Value = Model> {
    let step = (0..6, some_path()).prop_map(|(kind, path)| match kind {
        0 => Step::Unmount(path),
        1 => Step::Beneath(path),
        _ => Step::Mount(path),
    });
    prop::collection::vec(step, 0..25).prop_map(|steps| {
        let mut model = Model { mounts: vec![(1, 0, AbsPath::root())] };
        for (id, step) in (2..).zip(steps) {
            match step {
                Step::Mount(point) => {
                    let (holder, _) = model.walk(&point);
                    model.mounts.push((id, holder, point));
                }
                Step::Beneath(point) => {
                    if let Some(&top) = model.walk(&point).1.last() {
                        let mount = model.mounts.iter_mut().find(|m| m.0 == top).unwrap();
                        let parent = std::mem::replace(&mut mount.1, id);
                        model.mounts.push((id, parent, point));
                    }
                }
                Step::Unmount(point) => {
                    let top = model.walk(&point).1.last().copied();
                    let busy = |top| model.mounts.iter().any(|m| m.1 == top);
                    if let Some(top) = top.filter(|&top| top != 1 && !busy(top)) {
                        model.mounts.retain(|m| m.0 != top);
                    }
                }
            }
        }
        model
    })
}

fn every_path() -> Vec<AbsPath> {
    let mut all = vec![AbsPath::root()];
    for depth in 0..3 {
        let above: Vec<AbsPath> = all.iter().filter(|p| p.depth() == depth).cloned().collect();
        all.extend(above.iter().flat_map(|p| ["a", "ab", "b c"].map(|name| p.child(name))));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1000), ..ProptestConfig::default() })]

    #[test]
    fn lookups_are_as_a_plain_walk(mut model in some_model(), turn: prop::sample::Index) {
        let turn = turn.index(model.mounts.len());
        model.mounts.rotate_left(turn);
        let table = table(&model.text());
        for p in every_path() {
            let (holder, stack) = model.walk(&p);
            prop_assert_eq!(table.at(&p).map(|m| m.id()), stack.last().copied(), "at {}", p);
            prop_assert_eq!(table.holding(&p).map(|m| m.id()), Some(holder), "holding {}", p);
            prop_assert_eq!(table.stacked(&p), stack.len(), "stacked {}", p);
            let mut below: Vec<AbsPath> = every_path().into_iter().filter(|q| q.is_below(&p) && !model.walk(q).1.is_empty()).collect();
            below.sort();
            prop_assert_eq!(table.below(&p).iter().map(|m| m.path().unwrap()).collect::<Vec<_>>(), below);
        }
    }

    #[test]
    fn another_root_shows_what_lies_below_it(model in some_model(), root in some_path()) {
        let whole = table(&model.text());
        let part = whole.clone().rebased(&root);
        for p in every_path() {
            let full = if p.is_root() { root.clone() } else { root.join(p.as_bytes()).unwrap() };
            let id = |mount: Option<Mount<'_>>| mount.map(|m| m.id());
            prop_assert_eq!(id(part.holding(&p)), id(whole.holding(&full)), "holding {}", p);
            prop_assert_eq!(part.holding(&p).and_then(|m| m.root_of(&p)), whole.holding(&full).and_then(|m| m.root_of(&full)));
            if !p.is_root() {
                prop_assert_eq!(id(part.at(&p)), id(whole.at(&full)), "at {}", p);
                prop_assert_eq!(part.stacked(&p), whole.stacked(&full));
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        let _ = MountTable::parse(bytes);
    }

    #[test]
    fn damaged_tables_are_read_without_panic(at: prop::sample::Index, byte: u8, cut: prop::sample::Index, p in some_path()) {
        let mut bytes = SERVER.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(table) = MountTable::parse(bytes.clone()) {
            let _ = (table.holding(&p), table.stacked(&p), table.below(&p).len());
            for mount in table.iter() {
                let _ = (mount.root(), mount.path(), mount.source(), mount.propagation(), mount.is_deleted());
            }
            let _ = table.rebased(&p);
        }
        bytes.truncate(cut.index(bytes.len()));
        let _ = MountTable::parse(bytes);
    }
}

/// The order of growth, not the time: a machine with very many mounts must not bring a table to its knees.
#[test]
fn deep_stacks_are_no_trouble() {
    use std::fmt::Write as _;
    let mut text = String::from("1 0 0:1 / / rw - t t rw\n");
    for id in 2..50_000_u32 {
        writeln!(text, "{id} {} 0:1 / /a rw - t t rw", id - 1).unwrap();
    }
    let table = table(&text);
    assert_eq!((table.stacked(&path("/a")), at(&table, "/a")), (49_998, Some(49_999)));
}

#[test]
fn a_mount_point_that_ends_in_a_slash_does_not_become_the_top_of_a_rebased_table() {
    let table = MountTable::parse(
        "1 1 8:0 / / rw - ext4 /dev/a rw\n2 1 8:1 / /r rw - ext4 /dev/b rw\n3 2 8:2 / /r/ rw - ext4 /dev/c rw\n",
    );
    let rebased = table.unwrap().rebased(&AbsPath::literal("/r"));
    assert_eq!(rebased.at(&AbsPath::root()).map(|top| top.id()), Some(2));
    assert_eq!(rebased.len(), 1);
}
