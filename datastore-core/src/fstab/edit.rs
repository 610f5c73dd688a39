//! Changes of our block: what must stand before, what stands after, and the way back.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::block::{BEGIN, Block, BlockError, END};
use super::{Entry, Fstab, Stored, number, text};
use crate::AbsPath;
use crate::path::printable;

/// What fstab has for one mount point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stand {
    /// No line of ours, and none to be taken over.
    Absent,
    /// A line in our block.
    Ours(Entry),
    /// A hand-made line outside of our block.
    Foreign {
        /// The whole line with its line end.
        #[serde(with = "text")]
        text: Vec<u8>,
        /// Its fields.
        entry: Entry,
    },
}

/// Where something stood in a file, so that the inverse of an edit can put it back exactly. Only a help for finding the
/// place: that a file no longer looks like this refuses no edit. All numbers are of lines, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The line; 0 where there was none.
    pub line: u32,
    /// The line's whole text, if it was ours and not as we write it; else empty.
    #[serde(with = "text", default, skip_serializing_if = "Vec::is_empty")]
    pub text: Vec<u8>,
    /// The two lines of the markers, if there was a block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<(u32, u32)>,
    /// The number of the last line of the file if it had no line end; else 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub open_end: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// A change of the line of one mount point. [`Fstab::change`] makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The mount point.
    pub mount_point: AbsPath,
    /// What must stand before; otherwise nothing is changed.
    pub from: Stand,
    /// What stands afterwards.
    pub to: Stand,
    /// How many foreign lines for this mount point stand beside that, before and after. Checked unless `from` is a line
    /// of ours, so that no second line is added next to one that somebody wrote in the meantime.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub beside: u32,
    /// Where `from` stood when the edit was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<Place>,
    /// Where `to` belongs; `None` for its place in the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put: Option<Place>,
}

impl Edit {
    /// The way back. Applying some edits of one [`Fstab`] together, and then their inverses together, gives the same
    /// bytes again: a foreign line returns to its line, and a block that the edits began vanishes.
    #[must_use]
    pub fn inverse(&self) -> Self {
        Self {
            mount_point: self.mount_point.clone(),
            from: self.to.clone(),
            to: self.from.clone(),
            beside: self.beside,
            was: self.put.clone(),
            put: self.was.clone(),
        }
    }
}

impl Edit {
    /// The text that our line had, where it was not as we write it.
    fn given(&self, entry: &Entry) -> Option<&[u8]> {
        let text = &self.put.as_ref()?.text[..];
        (text.ends_with(b"\n") && is_line(text) && Entry::parse(text).as_ref() == Some(entry)).then_some(text)
    }
}

impl fmt::Display for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("no line of datastore"),
            Self::Ours(entry) => write!(f, "datastore's line `{entry}`"),
            Self::Foreign { text, .. } => write!(f, "the line `{}`", printable(text.trim_ascii_end())),
        }
    }
}

/// Why fstab was not edited. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// Our lines cannot be told from the others.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A mount point does not stand as the edit says.
    #[error("fstab has {} for {mount_point} now, where {expected} was expected", Now(.found, *.line, *.beside))]
    Changed {
        /// The mount point.
        mount_point: AbsPath,
        /// What the edit expected.
        expected: Box<Stand>,
        /// What stands there now.
        found: Box<Stand>,
        /// The line of `found`, from 1; 0 if there is none.
        line: u32,
        /// How many foreign lines for the mount point stand beside it.
        beside: u32,
    },
    /// Our block has two lines for one mount point, so nobody can tell which is meant.
    #[error(
        "lines {first} and {second} of fstab, in datastore's block, both mount on {mount_point}; remove one of them"
    )]
    Several {
        /// The mount point.
        mount_point: AbsPath,
        /// The first line, from 1.
        first: u32,
        /// The second line, from 1.
        second: u32,
    },
    /// Two of the edits given are of one mount point.
    #[error("two changes of fstab for {mount_point} at once")]
    Twice {
        /// The mount point.
        mount_point: AbsPath,
    },
    /// The line would not be read back as what it should be.
    #[error("a line for {mount_point} cannot be written to fstab: {why}")]
    Unwritable {
        /// The mount point.
        mount_point: AbsPath,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// What stands there now, for the message.
struct Now<'a>(&'a Stand, u32, u32);

impl fmt::Display for Now<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        if self.1 > 0 {
            write!(f, " (line {})", self.1)?;
        }
        match self.2 {
            0 => Ok(()),
            1 => f.write_str(" and one other line"),
            n => write!(f, " and {n} other lines"),
        }
    }
}

/// What a table has for a mount point, and how many foreign lines stand beside it.
struct Standing<'a> {
    what: Found<'a>,
    beside: usize,
}

#[derive(Clone, Copy)]
enum Found<'a> {
    Absent,
    Ours(&'a Stored),
    Foreign(&'a Stored),
}

fn standing<'a>(table: &'a Fstab, mount_point: &AbsPath) -> Standing<'a> {
    let mut foreign = table.foreign_rows(mount_point);
    if let Some(&ours) = table.ours.get(mount_point) {
        return Standing { what: Found::Ours(&table.rows[ours]), beside: foreign.count() };
    }
    match foreign.next() {
        Some(row) => Standing { what: Found::Foreign(row), beside: foreign.count() },
        None => Standing { what: Found::Absent, beside: 0 },
    }
}

fn to_stand(table: &Fstab, what: Found<'_>) -> (Stand, Option<usize>) {
    match what {
        Found::Absent => (Stand::Absent, None),
        Found::Ours(row) => (Stand::Ours(row.entry.clone()), Some(row.line)),
        Found::Foreign(row) => {
            (Stand::Foreign { text: table.line(row.line).to_vec(), entry: row.entry.clone() }, Some(row.line))
        }
    }
}

/// See [`Fstab::change`].
pub(super) fn change(table: &Fstab, mount_point: &AbsPath, to: Stand) -> Edit {
    let now = standing(table, mount_point);
    let (from, line) = to_stand(table, now.what);
    let text = match now.what {
        Found::Ours(row) if table.line(row.line) != written(&row.entry) => table.line(row.line).to_vec(),
        _ => Vec::new(),
    };
    let block = table.block.ok().flatten().map(|block| (number(block.begin), number(block.end)));
    let open_end = if table.bytes.last().is_none_or(|&b| b == b'\n') { 0 } else { number(table.lines.len() - 1) };
    let was = Place { line: line.map_or(0, number), text, block, open_end };
    let beside = u32::try_from(now.beside).unwrap_or(u32::MAX);
    Edit { mount_point: mount_point.clone(), from, to, beside, was: Some(was), put: None }
}

fn written(entry: &Entry) -> Vec<u8> {
    let mut line = entry.render();
    line.push(b'\n');
    line
}

/// The order inside our block.
type Key<'a> = (u8, &'a [u8]);

fn key<'a>(entry: &Entry, mount_point: &'a AbsPath) -> Key<'a> {
    (entry.rank(), mount_point.as_bytes())
}

/// A line of the result.
struct Piece<'a> {
    text: Cow<'a, [u8]>,
    /// Only for lines of ours.
    key: Option<Key<'a>>,
}

/// A line to go to a certain index of its part of the file.
struct Placed<'a> {
    index: usize,
    piece: Piece<'a>,
}

/// The edits, sorted by what they do to the lines of the file.
#[derive(Default)]
struct Work<'a> {
    /// Lines that go.
    drop: HashSet<usize>,
    /// Lines of ours that get another text.
    replace: HashMap<usize, Cow<'a, [u8]>>,
    /// Lines of ours that go to their place in the order.
    new: Vec<Piece<'a>>,
    /// Lines of ours that go back into our block, with the place.
    back: Vec<(&'a Place, Piece<'a>)>,
    /// Foreign lines that go back.
    foreign: Vec<(Option<&'a Place>, &'a [u8])>,
    /// Whether a line of ours went.
    shrinks: bool,
}

/// See [`Fstab::edit`].
pub(super) fn apply(table: &Fstab, edits: &[Edit]) -> Result<Vec<u8>, EditError> {
    let found = table.block?;
    let mut seen = HashSet::with_capacity(edits.len());
    let mut work = Work::default();
    for edit in edits {
        if !seen.insert(&edit.mount_point) {
            return Err(EditError::Twice { mount_point: edit.mount_point.clone() });
        }
        let row = expect(table, found, edit)?;
        check_writable(edit)?;
        sort_in(edit, row, &mut work);
    }
    Ok(assemble(table, found, edits, work))
}

/// Holds an edit's `from` against the file, and gives the row that it is.
fn expect<'a>(table: &'a Fstab, found: Option<Block>, edit: &Edit) -> Result<Option<&'a Stored>, EditError> {
    let now = standing(table, &edit.mount_point);
    if let (Found::Ours(ours), Some(block)) = (now.what, found) {
        let mut others = table.foreign_rows(&edit.mount_point);
        if let Some(other) = others.find(|row| (block.begin..block.end).contains(&row.line)) {
            return Err(EditError::Several {
                mount_point: edit.mount_point.clone(),
                first: number(ours.line),
                second: number(other.line),
            });
        }
    }
    let beside = edit.beside as usize;
    let row = match (&edit.from, now.what) {
        (Stand::Absent, Found::Absent) if beside == 0 => Some(None),
        // Foreign lines that were there before and that nobody wants to take over.
        (Stand::Absent, Found::Foreign(_)) if beside == now.beside + 1 => Some(None),
        (Stand::Ours(entry), Found::Ours(row)) if row.entry == *entry => {
            // A foreign line comes back: it must not double one that somebody wrote in the meantime.
            let doubles = matches!(edit.to, Stand::Foreign { .. }) && now.beside != beside;
            (!doubles).then_some(Some(row))
        }
        (Stand::Foreign { text, .. }, Found::Foreign(_)) if now.beside == beside => {
            let same = |row: &&Stored| table.line(row.line) == &text[..];
            let line = edit.was.as_ref().map_or(0, |place| place.line);
            let rows = || table.foreign_rows(&edit.mount_point);
            rows().filter(same).find(|row| number(row.line) == line).or_else(|| rows().find(same)).map(Some)
        }
        _ => None,
    };
    row.ok_or_else(|| {
        let (stand, line) = to_stand(table, now.what);
        EditError::Changed {
            mount_point: edit.mount_point.clone(),
            expected: Box::new(edit.from.clone()),
            found: Box::new(stand),
            line: line.map_or(0, number),
            beside: u32::try_from(now.beside).unwrap_or(u32::MAX),
        }
    })
}

fn check_writable(edit: &Edit) -> Result<(), EditError> {
    let why = match &edit.to {
        Stand::Absent => return Ok(()),
        Stand::Ours(entry) | Stand::Foreign { entry, .. } if !is_of(entry, &edit.mount_point) => {
            "it is of another mount point"
        }
        Stand::Ours(entry) if !entry.is_writable() && edit.given(entry).is_none() => {
            "a field is empty, holds a NUL byte, or begins as a comment does"
        }
        Stand::Foreign { text, entry } if !is_line(text) || Entry::parse(text).as_ref() != Some(entry) => {
            "its text is not what it says"
        }
        Stand::Ours(_) | Stand::Foreign { .. } => return Ok(()),
    };
    Err(EditError::Unwritable { mount_point: edit.mount_point.clone(), why })
}

/// Whether an entry mounts there; the usual spelling is told without reading it as a path.
fn is_of(entry: &Entry, mount_point: &AbsPath) -> bool {
    entry.file == mount_point.as_bytes() || entry.mount_point().as_ref() == Some(mount_point)
}

/// Whether a text is one line, its line end included or missing.
fn is_line(text: &[u8]) -> bool {
    !text.is_empty() && memchr::memchr(b'\n', text).is_none_or(|i| i + 1 == text.len())
}

fn sort_in<'a>(edit: &'a Edit, row: Option<&'a Stored>, work: &mut Work<'a>) {
    if edit.from == edit.to {
        return;
    }
    let piece = |entry: &'a Entry| {
        let text = edit.given(entry).map_or_else(|| Cow::Owned(written(entry)), Cow::Borrowed);
        Piece { text, key: Some(key(entry, &edit.mount_point)) }
    };
    if let (Some(row), Stand::Ours(old), Stand::Ours(new)) = (row, &edit.from, &edit.to)
        && old.rank() == new.rank()
    {
        work.replace.insert(row.line, piece(new).text);
        return;
    }
    if let Some(row) = row {
        work.drop.insert(row.line);
        work.shrinks |= row.ours;
    }
    match &edit.to {
        Stand::Absent => {}
        Stand::Ours(entry) => match &edit.put {
            Some(place) if place.block.is_some() => work.back.push((place, piece(entry))),
            _ => work.new.push(piece(entry)),
        },
        Stand::Foreign { text, .. } => work.foreign.push((edit.put.as_ref(), text)),
    }
}

/// Puts the parts together: what stands before our block, the block, and what stands after it.
fn assemble<'a>(table: &'a Fstab, found: Option<Block>, edits: &'a [Edit], mut work: Work<'a>) -> Vec<u8> {
    let kept = |range: std::ops::Range<usize>| {
        range.filter(|i| !work.drop.contains(i)).map(|i| table.line(i)).collect::<Vec<_>>()
    };
    let count = table.lines.len();
    let (mut before, mut after) = match found {
        Some(block) => (kept(0..block.begin), kept(block.end + 1..count)),
        None => (kept(0..count), Vec::new()),
    };
    let begun = work.back.iter().find_map(|(place, _)| place.block).map(|(begin, _)| begin as usize);
    // Foreign lines that go back, each to its index in the part that it came from.
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    for &(place, text) in &work.foreign {
        let piece = Piece { text: Cow::Borrowed(text), key: None };
        match place {
            None => tail.push(Placed { index: usize::MAX, piece }),
            Some(Place { line, block: Some((_, end)), .. }) if line > end => {
                tail.push(Placed { index: (line - end - 1) as usize, piece });
            }
            Some(place) => head.push(Placed { index: (place.line as usize).saturating_sub(1), piece }),
        }
    }
    // A block that vanished and comes back does so between the lines where it was.
    if found.is_none()
        && let Some(begin) = begun
    {
        let above = begin.saturating_sub(1 + head.len()).min(before.len());
        after = before.split_off(above);
    }
    let before = weave(before.into_iter().map(foreign_piece), head);
    let after = weave(after.into_iter().map(foreign_piece), tail);

    let inner = inner(table, found, &mut work);
    let stood = edits.iter().any(|edit| edit.put.as_ref().is_some_and(|place| place.block.is_some()));
    let markers = match found {
        Some(Block { begin, end }) => {
            let (begin, end) = (table.line(begin), table.line(end));
            let vanishes = inner.is_empty() && work.shrinks && !stood && (begin, end) == (BEGIN, END);
            (!vanishes).then_some((begin, end))
        }
        None => (!inner.is_empty()).then_some((BEGIN, END)),
    };

    let mut out = Vec::with_capacity(table.bytes.len() + inner.iter().map(|p| p.text.len()).sum::<usize>() + 256);
    let mut put = |text: &[u8]| {
        if out.last().is_some_and(|&b| b != b'\n') {
            out.push(b'\n');
        }
        out.extend_from_slice(text);
    };
    before.iter().for_each(|piece| put(&piece.text));
    if let Some((begin, end)) = markers {
        put(begin);
        inner.iter().for_each(|piece| put(&piece.text));
        put(end);
    }
    after.iter().for_each(|piece| put(&piece.text));

    // The last line had no line end before we began a block after it.
    let open_end = edits.iter().filter_map(|edit| edit.put.as_ref()).map(|place| place.open_end).max().unwrap_or(0);
    if found.is_some() && markers.is_none() && open_end > 0 && before.len() + after.len() == open_end as usize {
        out.pop_if(|b| *b == b'\n');
    }
    out
}

fn foreign_piece(text: &[u8]) -> Piece<'_> {
    Piece { text: Cow::Borrowed(text), key: None }
}

/// The lines between the markers.
fn inner<'a>(table: &'a Fstab, found: Option<Block>, work: &mut Work<'a>) -> Vec<Piece<'a>> {
    let mut kept = Vec::new();
    if let Some(Block { begin, end }) = found {
        // The rows are in the order of the lines.
        let first = table.rows.partition_point(|row| row.line <= begin);
        let mut rows = table.rows[first..].iter().peekable();
        for line in begin + 1..end {
            let row = rows.next_if(|row| row.line == line);
            if work.drop.contains(&line) {
                continue;
            }
            let key = row.filter(|row| row.ours).and_then(|row| Some(key(&row.entry, row.mount_point.as_ref()?)));
            let text = work.replace.remove(&line).unwrap_or_else(|| Cow::Borrowed(table.line(line)));
            kept.push(Piece { text, key });
        }
    }
    let back = std::mem::take(&mut work.back);
    let mut new = std::mem::take(&mut work.new);
    // Lines go back to their exact places only if the block becomes as long as it was; otherwise others have been at
    // work since, and the order decides.
    let total = kept.len() + back.len();
    let exact = new.is_empty()
        && back.iter().all(|(place, _)| {
            place.block.is_some_and(|(begin, end)| (end as usize).checked_sub(begin as usize + 1) == Some(total))
        });
    if exact {
        let placed = back.into_iter().map(|(place, piece)| {
            let begin = place.block.map_or(0, |(begin, _)| begin);
            Placed { index: (place.line as usize).saturating_sub(begin as usize + 1), piece }
        });
        return weave(kept.into_iter(), placed.collect());
    }
    new.extend(back.into_iter().map(|(_, piece)| piece));
    merge(kept, new)
}

/// Puts lines at their indices of the result; those beyond its end at the end.
fn weave<'a>(base: impl ExactSizeIterator<Item = Piece<'a>>, mut placed: Vec<Placed<'a>>) -> Vec<Piece<'a>> {
    placed.sort_by_key(|p| p.index);
    let mut out = Vec::with_capacity(base.len() + placed.len());
    let mut placed = placed.into_iter().peekable();
    for piece in base {
        while let Some(next) = placed.next_if(|p| p.index <= out.len()) {
            out.push(next.piece);
        }
        out.push(piece);
    }
    out.extend(placed.map(|p| p.piece));
    out
}

/// Puts new lines before the first line of ours from which on all are greater. Where the block is sorted that is
/// the place in the order; where somebody has moved lines about, a new line still comes after its parents.
fn merge<'a>(kept: Vec<Piece<'a>>, mut new: Vec<Piece<'a>>) -> Vec<Piece<'a>> {
    new.sort_by(|a, b| a.key.cmp(&b.key));
    let mut least: Vec<Option<Key<'a>>> = vec![None; kept.len()];
    let mut running = None;
    for (slot, piece) in least.iter_mut().zip(&kept).rev() {
        running = match (running, piece.key) {
            (Some(a), Some(b)) => Some(std::cmp::min(a, b)),
            (a, b) => a.or(b),
        };
        *slot = if piece.key.is_some() { running } else { None };
    }
    let mut out = Vec::with_capacity(kept.len() + new.len());
    let mut new = new.into_iter().peekable();
    for (piece, least) in kept.into_iter().zip(least) {
        while let Some(next) = new.next_if(|n| least.is_some_and(|least| n.key < Some(least))) {
            out.push(next);
        }
        out.push(piece);
    }
    out.extend(new);
    out
}
