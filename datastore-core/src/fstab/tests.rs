use proptest::prelude::*;

use super::*;

const HOME: &str = "/store/data0/live/s/home /home none bind,rw,nofail,X-datastore=home 0 0";
const DATA: &str = "LABEL=data0 /store/data0 ext4 defaults,nofail 0 2";
const DEBIAN: &str = "# /etc/fstab: static file system information.\n#\n# <file system> <mount point>   <type>  <options>       <dump>  <pass>\nUUID=0a3407de-014b-458b-b5c1-848e92a327a3 /               ext4    errors=remount-ro 0       1\nUUID=f9fe0b69-a280-415d-a03a-a32752370dee none            swap    sw              0       0\n/dev/sr0        /media/cdrom0   udf,iso9660 user,noauto     0       0\n";

fn path(text: &str) -> AbsPath {
    AbsPath::parse(text).unwrap()
}

fn entry(text: &str) -> Entry {
    Entry::parse(text.as_bytes()).unwrap()
}

fn bind(mount_point: &str) -> Entry {
    entry(&format!("/store/data0/live/s{mount_point} {mount_point} none bind,X-datastore=a 0 0"))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Applies changes, each of one mount point, and checks that their inverses give the same bytes again.
fn edited(before: &str, changes: &[(&str, Option<Entry>)]) -> String {
    let table = Fstab::parse(before.as_bytes());
    let edits: Vec<Edit> = changes.iter().map(|(p, to)| table.change(&path(p), to.clone())).collect();
    let after = table.edit(&edits).unwrap();
    let back: Vec<Edit> = edits.iter().map(Edit::inverse).collect();
    assert_eq!(text(Fstab::parse(&after).edit(&back).unwrap()), before);
    text(after)
}

fn block(lines: &[&str]) -> String {
    let mut out = String::from_utf8(BEGIN.to_vec()).unwrap();
    for line in lines {
        out.push_str(line);
        out.push('\n');
    }
    out + std::str::from_utf8(END).unwrap()
}

#[test]
fn a_new_block_goes_to_the_end_and_vanishes_again() {
    let after = edited(DEBIAN, &[("/home", Some(entry(HOME))), ("/store/data0", Some(entry(DATA)))]);
    assert_eq!(after, format!("{DEBIAN}{}", block(&[DATA, HOME])));
    // Not an undo but the next operation: the file is as if we had never been here.
    assert_eq!(edited(&after, &[("/home", None), ("/store/data0", None)]), DEBIAN);
}

#[test]
fn a_missing_final_newline_is_added_and_its_absence_restored() {
    assert_eq!(edited("# x", &[("/home", Some(entry(HOME)))]), format!("# x\n{}", block(&[HOME])));
    assert_eq!(edited("", &[("/home", Some(entry(HOME)))]), block(&[HOME]));
    assert_eq!(edited("a\r", &[("/home", Some(entry(HOME)))]), format!("a\r\n{}", block(&[HOME])));
}

#[test]
fn the_order_is_file_systems_then_bound_volumes_then_binds_parents_first() {
    let volume = entry("/big /store/data1 none bind 0 0");
    let changes = ["/z", "/a/b", "/a", "/a-b"].map(|p| (p, Some(bind(p))));
    let mut all = changes.to_vec();
    all.push(("/store/data1", Some(volume)));
    all.push(("/store/data0", Some(entry(DATA))));
    let after = edited("", &all);
    let order: Vec<String> =
        Fstab::parse(after.as_bytes()).entries().map(|row| row.entry.mount_point().unwrap().to_string()).collect();
    assert_eq!(order, ["/store/data0", "/store/data1", "/a", "/a-b", "/a/b", "/z"]);
    // A line more goes to its place; nothing else moves.
    let more = edited(&after, &[("/a/a", Some(bind("/a/a")))]);
    assert_eq!(more.replace(&format!("{}\n", text(bind("/a/a").render())), ""), after);
    assert!(
        more.find(" /a-b ").unwrap() < more.find(" /a/a ").unwrap()
            && more.find(" /a/a ").unwrap() < more.find(" /a/b ").unwrap()
    );
}

#[test]
fn a_hand_made_line_is_taken_into_the_block_and_goes_back_to_its_place() {
    let hand = "/store/data0/live/s/home   /home/ none\tbind,rw 0 0 # mine\r\n";
    let before = format!("# a\n{hand}# b\n/x /y ext4 rw 0 0");
    let after = edited(&before, &[("/home", Some(entry(HOME)))]);
    assert_eq!(after, format!("# a\n# b\n/x /y ext4 rw 0 0\n{}", block(&[HOME])));
    // Two of them, of which one is the last line of the file and has no line end.
    let after = edited(&before, &[("/home", Some(entry(HOME))), ("/y", Some(bind("/y")))]);
    assert_eq!(after, format!("# a\n# b\n{}", block(&[HOME, &text(bind("/y").render())])));
}

#[test]
fn a_block_in_the_middle_stays_where_it_is() {
    let before = format!("# a\n{}/x /y ext4 rw 0 0\n# z", block(&[HOME]));
    assert_eq!(edited(&before, &[("/home", None)]), "# a\n/x /y ext4 rw 0 0\n# z");
    let noauto = entry(&HOME.replace("rw", "noauto"));
    let after = edited(&before, &[("/home", Some(noauto)), ("/y", Some(bind("/y")))]);
    let inner = block(&[&HOME.replace("rw", "noauto"), &text(bind("/y").render())]);
    assert_eq!(after, format!("# a\n{inner}# z"));
}

#[test]
fn what_others_put_into_the_block_stays() {
    let odd =
        format!("{}\t#typed here\n{HOME}\r\n\nUUID=1 none swap sw 0 0\n{}", text(BEGIN.to_vec()), text(END.to_vec()));
    let table = Fstab::parse(odd.as_bytes());
    assert_eq!(table.entries().map(|row| (row.line, row.ours)).collect::<Vec<_>>(), [(3, true), (5, false)]);
    let after = edited(&odd, &[("/home", None)]);
    assert_eq!(after, odd.replace(&format!("{HOME}\r\n"), ""));
    edited(&odd, &[("/home", Some(entry(&HOME.replace("rw", "ro")))), ("/a", Some(bind("/a")))]);
    // An empty block that somebody left is no reason to fail, and not ours to judge.
    edited(&block(&[]), &[("/home", Some(entry(HOME)))]);
    assert_eq!(text(Fstab::parse(block(&[]).as_bytes()).edit(&[]).unwrap()), block(&[]));
}

#[test]
fn a_new_line_comes_after_its_parent_in_a_block_that_somebody_shuffled() {
    let shuffled = block(&[&text(bind("/z").render()), &text(bind("/a").render())]);
    let after = edited(&shuffled, &[("/a/b", Some(bind("/a/b")))]);
    assert!(after.find(" /a ").unwrap() < after.find(" /a/b ").unwrap());
}

#[test]
fn edits_whose_expectation_does_not_hold_change_nothing() {
    let table = Fstab::parse(DEBIAN.as_bytes());
    let add = table.change(&path("/home"), Some(entry(HOME)));
    // Somebody wrote a line by hand in the meantime.
    let hand = format!("{DEBIAN}/dev/sdb1 /home ext4 defaults 0 2\n");
    let error = Fstab::parse(hand.as_bytes()).edit(std::slice::from_ref(&add)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "fstab has the line `/dev/sdb1 /home ext4 defaults 0 2` (line 7) for /home now, where no line of datastore was expected"
    );
    // Ours has changed.
    let after = table.edit(std::slice::from_ref(&add)).unwrap();
    let other = text(after).replace("bind,rw", "bind,ro");
    let error = Fstab::parse(other.as_bytes()).edit(&[add.inverse()]).unwrap_err();
    assert!(
        matches!(&error, EditError::Changed { found, line: 8, .. } if matches!(**found, Stand::Ours(_))),
        "{error}"
    );
    // One bad edit stops the good one.
    let good = Fstab::parse(hand.as_bytes()).change(&path("/srv"), Some(bind("/srv")));
    assert!(Fstab::parse(hand.as_bytes()).edit(&[good.clone(), add]).is_err());
    assert_eq!(
        Fstab::parse(hand.as_bytes()).edit(&[good.clone(), good]),
        Err(EditError::Twice { mount_point: path("/srv") })
    );
}

#[test]
fn a_foreign_line_is_found_by_its_text_though_lines_have_moved() {
    let before = "/dev/sdb1 /home ext4 defaults 0 2\n";
    let take = Fstab::parse(before.as_bytes()).change(&path("/home"), Some(entry(HOME)));
    let moved = format!("# one line more\n{before}");
    let after = Fstab::parse(moved.as_bytes()).edit(std::slice::from_ref(&take)).unwrap();
    assert_eq!(text(after), format!("# one line more\n{}", block(&[HOME])));
    let reformatted = before.replace(' ', "\t");
    assert!(matches!(Fstab::parse(reformatted.as_bytes()).edit(&[take]), Err(EditError::Changed { .. })));
}

#[test]
fn two_lines_for_one_mount_point_in_our_block_are_refused() {
    let twice = block(&[HOME, HOME, &text(bind("/a").render())]);
    let table = Fstab::parse(twice.as_bytes());
    let error = table.edit(&[table.change(&path("/home"), None)]).unwrap_err();
    assert_eq!(error, EditError::Several { mount_point: path("/home"), first: 2, second: 3 });
    edited(&twice, &[("/a", None)]);
}

#[test]
fn broken_markers_are_refused() {
    let broken = format!("{}{HOME}\n", text(BEGIN.to_vec()));
    let table = Fstab::parse(broken.as_bytes());
    assert_eq!(table.block(), Err(BlockError::Unclosed { line: 1 }));
    assert!(table.ours(&path("/home")).is_none() && table.foreign(&path("/home")).len() == 1);
    assert_eq!(table.edit(&[]), Err(EditError::Block(BlockError::Unclosed { line: 1 })));
}

#[test]
fn lines_that_would_not_read_back_are_refused() {
    let table = Fstab::parse(b"");
    for bad in [
        Entry { spec: b"#x".into(), ..entry(HOME) },
        Entry { options: Vec::new(), ..entry(HOME) },
        Entry { spec: b"a\0".into(), ..entry(HOME) },
        bind("/elsewhere"),
    ] {
        let error = table.edit(&[table.change(&path("/home"), Some(bad))]).unwrap_err();
        assert!(matches!(error, EditError::Unwritable { .. }), "{error}");
    }
    let smuggle = Stand::Foreign { text: format!("{HOME}\n/evil /etc none bind 0 0\n").into(), entry: entry(HOME) };
    let error = table.edit(&[Edit { to: smuggle, ..table.change(&path("/home"), None) }]).unwrap_err();
    assert!(matches!(error, EditError::Unwritable { .. }), "{error}");
}

#[test]
fn edits_survive_json() {
    let table = Fstab::parse(b"# x\n/d /home ext4 rw,\xff 0 0");
    let edit = table.change(&path("/home"), Some(entry(HOME)));
    let json = serde_json::to_string(&edit).unwrap();
    assert_eq!(serde_json::from_str::<Edit>(&json).unwrap(), edit);
    assert_eq!(serde_json::from_str::<Edit>(&serde_json::to_string(&edit.inverse()).unwrap()).unwrap(), edit.inverse());
}

/// Lines as one meets them in the field, and some that one should not.
fn some_line() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "",
        "# comment",
        "\t# x",
        "garbage",
        "/s /m5 xfs",
        "\r",
        "/a /b",
        "UUID=1 none swap sw 0 0",
        "/s /m0 ext4 defaults",
        "/s\t/m1\tnone  bind 0 0 # hand",
        "/s /m2/ none bind,X-datastore=a 0 0\r",
        "/s /m3 none bind,X-datastore=a 0 0",
        "/s /m4 none bind,X-datastore=a 0 0",
        "/s /m4/a none bind,X-datastore=b 0 0",
        "LABEL=d /m5 xfs nofail 0 2",
        "/s /with\\040blank none bind 0 0",
        "/s /m0 tmpfs rw 0 x",
        "a /m1 c d 0 0",
    ]);
    prop_oneof![
        8 => known.prop_map(|line| line.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..30).prop_map(|line| line.into_iter().filter(|&b| b != b'\n').collect()),
    ]
}

fn some_file() -> impl Strategy<Value = Vec<u8>> {
    let lines = || prop::collection::vec(some_line(), 0..8);
    (lines(), prop::option::of((prop::collection::vec(some_line(), 0..5), any::<bool>())), lines(), any::<bool>())
        .prop_map(|(mut all, block, after, open)| {
            if let Some((inner, ours)) = block {
                let strip = |marker: &[u8]| marker[..marker.len() - 1].to_vec();
                all.push(if ours { strip(BEGIN) } else { b"# datastore: begin".to_vec() });
                all.extend(inner);
                all.push(strip(END));
            }
            all.extend(after);
            let mut out = all.join(&b'\n');
            if !open && !all.is_empty() {
                out.push(b'\n');
            }
            out
        })
}

fn some_changes() -> impl Strategy<Value = Vec<(AbsPath, Option<Entry>)>> {
    let points =
        prop::sample::subsequence(vec!["/m0", "/m1", "/m2", "/m3", "/m4", "/m4/a", "/m5", "/m6", "/with blank"], 0..9);
    (points, prop::collection::vec(0..4_u8, 9)).prop_map(|(points, kinds)| {
        let to = |point: &str, kind| {
            let (vfstype, options) = match kind {
                0 => return None,
                1 => ("ext4", "nofail"),
                2 => ("none", "bind"),
                _ => ("none", "bind,X-datastore=q"),
            };
            Some(Entry {
                spec: b"/s x".into(),
                file: point.into(),
                vfstype: vfstype.into(),
                options: options.into(),
                freq: 0,
                passno: 0,
            })
        };
        points.into_iter().zip(kinds).map(|(point, kind)| (path(point), to(point, kind))).collect()
    })
}

/// Whether each slice of `few` stands in `all`, in this order.
fn in_order<'a>(few: impl Iterator<Item = &'a [u8]>, all: &[&[u8]]) -> bool {
    let mut rest = all.iter();
    few.into_iter().all(|wanted| rest.any(|line| line == &wanted))
}

fn plain_lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|&b| b == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(4000), ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_come_back(bytes: Vec<u8>) {
        prop_assert_eq!(Fstab::parse(&bytes).render(), bytes);
    }

    #[test]
    fn edit_and_undo_is_identity(before in some_file(), changes in some_changes()) {
        let table = Fstab::parse(&before);
        let edits: Vec<Edit> = changes.iter().map(|(p, to)| table.change(p, to.clone())).collect();
        let after = match table.edit(&edits) {
            Ok(after) => after,
            Err(error) => {
                prop_assert!(matches!(error, EditError::Several { .. }), "{error}");
                return Ok(());
            }
        };
        let now = Fstab::parse(&after);
        prop_assert_eq!(now.block(), Ok(()));
        let stood = |p: &AbsPath| table.ours(p).is_some() || !table.foreign(p).is_empty();
        for (p, to) in &changes {
            prop_assert_eq!(now.ours(p).map(|row| row.entry.clone()), to.clone(), "{}", p);
            prop_assert!(now.foreign(p).len() <= table.foreign(p).len());
            if to.is_some() && !stood(p) {
                prop_assert_eq!(now.foreign(p).len(), 0);
            }
        }
        // Every line that no edit speaks of stands where it stood among the others.
        let touched: std::collections::HashSet<u32> =
            edits.iter().filter_map(|e| e.was.as_ref()).map(|place| place.line).collect();
        let lines = plain_lines(&before);
        let kept = lines.iter().enumerate().filter(|(i, _)| !touched.contains(&number(*i))).map(|(_, l)| *l);
        let ours_gone = |line: &[u8]| line == &BEGIN[..BEGIN.len() - 1] || line == &END[..END.len() - 1];
        prop_assert!(in_order(kept.filter(|l| !ours_gone(l)), &plain_lines(&after)));

        let back: Vec<Edit> = edits.iter().rev().map(Edit::inverse).collect();
        prop_assert_eq!(now.edit(&back).map(|b| b.escape_ascii().to_string()), Ok(before.escape_ascii().to_string()));
    }

    #[test]
    fn undo_of_one_operation_leaves_the_lines_of_a_later_one(before in some_file(), first in some_changes(), second in some_changes()) {
        let table = Fstab::parse(&before);
        let a: Vec<Edit> = first.iter().map(|(p, to)| table.change(p, to.clone())).collect();
        let Ok(middle) = table.edit(&a) else { return Ok(()) };
        let middle = Fstab::parse(&middle);
        let b: Vec<Edit> = second.iter().filter(|(p, _)| !first.iter().any(|(q, _)| p == q)).map(|(p, to)| middle.change(p, to.clone())).collect();
        let Ok(last) = middle.edit(&b) else { return Ok(()) };
        let last = Fstab::parse(&last);
        let back: Vec<Edit> = a.iter().map(Edit::inverse).collect();
        let end = last.edit(&back).unwrap();
        let end = Fstab::parse(&end);
        prop_assert_eq!(end.block(), Ok(()));
        for e in &b {
            prop_assert_eq!(end.ours(&e.mount_point).map(|r| r.entry), last.ours(&e.mount_point).map(|r| r.entry));
        }
        for e in &a {
            prop_assert_eq!(end.ours(&e.mount_point).map(|r| r.entry), table.ours(&e.mount_point).map(|r| r.entry));
            prop_assert_eq!(end.foreign(&e.mount_point).len(), table.foreign(&e.mount_point).len());
        }
    }
}
