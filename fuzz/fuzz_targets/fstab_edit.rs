//! Random tables and random changes of them: every byte of every field is read back, lines of others stay byte for byte and in their
//! order, and taking the changes back gives the very text from before.
#![no_main]

use datastore_core::AbsPath;
use datastore_core::fstab::{BEGIN, END, Edit, Entry, Fstab, Row};
use libfuzzer_sys::arbitrary::{Result, Unstructured};

/// A field of any bytes, or of pieces that matter.
fn field(u: &mut Unstructured<'_>, first: &[u8]) -> Result<Vec<u8>> {
    let mut text = first.to_vec();
    let count = u.int_in_range(1..=6)?;
    for _ in 0..count {
        match u.int_in_range(0..=3)? {
            0 => text.push(u.int_in_range(1..=255)?),
            1 => text.extend(*u.choose(&[b" ", b"\t", b"\n", b"\\", b"#", b"\r"])?),
            2 => text.extend(*u.choose(&[&b"\\040"[..], b"\\134", b"040", b"/a", b"b", b"="])?),
            _ => text.extend(*u.choose(&[&b"x"[..], b"data0", b",", b"\"", b".", b"\xc3\xa9"])?),
        }
    }
    Ok(text)
}

fn entry(u: &mut Unstructured<'_>) -> Result<Option<(AbsPath, Entry)>> {
    let file = field(u, b"/m/")?;
    let Ok(point) = AbsPath::from_kernel(&file) else { return Ok(None) };
    let entry = Entry {
        spec: field(u, b"/s/")?,
        file: point.as_bytes().to_vec(),
        vfstype: field(u, b"n")?,
        options: [b"X-datastore=a,".to_vec(), field(u, b"o")?].concat(),
        freq: u.int_in_range(0..=9)?,
        passno: u.arbitrary()?,
    };
    Ok(Some((point, entry)))
}

/// A line that is not ours.
fn foreign(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let size = u.arbitrary_len::<u8>()?.min(30);
    Ok(match u.int_in_range(0..=3)? {
        0 => u.bytes(size)?.iter().copied().filter(|b| *b != b'\n').collect(),
        1 => b"# note".to_vec(),
        2 => b"UUID=1\t/ ext4  errors=remount-ro 0 1 # root".to_vec(),
        _ => [
            b"/x ".to_vec(),
            field(u, b"/m/")?.iter().copied().filter(|b| *b != b'\n').collect(),
            b" none bind".to_vec(),
        ]
        .concat(),
    })
}

fn run(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for _ in 0..u.int_in_range(0..=4)? {
        lines.push(foreign(&mut u)?);
    }
    if u.arbitrary()? {
        lines.push(BEGIN.trim_ascii_end().into());
        for _ in 0..u.int_in_range(0..=3)? {
            lines.extend(entry(&mut u)?.map(|(_, entry)| entry.render()));
        }
        lines.push(END.trim_ascii_end().into());
        for _ in 0..u.int_in_range(0..=2)? {
            lines.push(foreign(&mut u)?);
        }
    }
    let mut text = lines.join(&b'\n');
    if u.arbitrary()? {
        text.push(b'\n');
    }
    let table = Fstab::parse(&text);
    assert_eq!(table.render(), text);
    let mut wanted: Vec<(AbsPath, Option<Entry>)> = Vec::new();
    for _ in 0..u.int_in_range(1..=4)? {
        let Some((point, entry)) = entry(&mut u)? else { continue };
        if wanted.iter().all(|(other, _)| *other != point) {
            wanted.push((point, (!u.ratio(1, 4)?).then_some(entry)));
        }
    }
    // Some of those that are there.
    let there: Vec<AbsPath> =
        table.entries().filter(|row| row.ours).filter_map(|row| row.entry.mount_point()).collect();
    for point in there {
        if u.arbitrary()? && wanted.iter().all(|(other, _)| *other != point) {
            wanted.push((point, None));
        }
    }
    let edits: Vec<Edit> = wanted.iter().map(|(point, entry)| table.change(point, entry.clone())).collect();
    let Ok(after) = table.edit(&edits) else { return Ok(()) };
    let now = Fstab::parse(&after);
    for (point, entry) in &wanted {
        assert_eq!(now.ours(point).map(|row| row.entry), entry.as_ref(), "{}", after.escape_ascii());
    }
    // What is of others, but for a line that was taken over.
    let is_wanted =
        |row: &Row<'_>| row.entry.mount_point().is_some_and(|point| wanted.iter().any(|(p, _)| *p == point));
    let others = |table: &Fstab| -> Vec<Entry> {
        table.entries().filter(|row| !row.ours && !is_wanted(row)).map(|row| row.entry.clone()).collect()
    };
    assert_eq!(others(&now), others(&table), "{}", after.escape_ascii());
    let back: Vec<Edit> = edits.iter().map(Edit::inverse).collect();
    let before = now.edit(&back).expect("what was just written can be taken back");
    assert_eq!(before, text, "{}", after.escape_ascii());
    Ok(())
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = run(data);
});
