//! A page: what is in it that can be run.
//!
//! A reader sees console blocks and files. What else a test needs stands in comments, which no reader sees:
//!
//! - `<!-- fresh machine -->`: what follows begins on a new machine;
//! - `<!-- run`, commands, `-->`: what must have happened before, and is not worth showing. `app NAME` writes a configlet with the
//!   mapping `/srv/NAME`, `ready NAME...` sets the machine up with such apps;
//! - `<!-- file: /etc/x.conf -->` before a block: the block is this file, and is written (`0755` behind the path: its mode);
//! - `<!-- not run: REASON -->` before a console block: it cannot be run here. The test has a list of those.

use std::ops::Range;
use std::path::Path;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The languages that a block may be in. One that shows commands is `console`, and only that is run.
const LANGUAGES: &[&str] = &["c", "console", "ini", "json", "php", "rust", "sh", "text", "toml"];
/// What begins a command in a console block.
const PROMPT: &str = "$ ";

/// A page, in its order.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) items: Vec<Item>,
    /// Every piece of code within a sentence, with its line.
    pub(crate) inline: Vec<(usize, String)>,
    /// What is wrong with the page itself.
    pub(crate) findings: Vec<String>,
}

/// Something that can be run.
#[derive(Debug)]
pub(crate) enum Item {
    Fresh,
    Hidden(Vec<(usize, String)>),
    File { path: String, mode: u32, text: String },
    Console(Block),
}

/// A console block.
#[derive(Debug)]
pub(crate) struct Block {
    /// The line of its first command.
    pub(crate) line: usize,
    /// Where its text lies in the page.
    pub(crate) range: Range<usize>,
    pub(crate) commands: Vec<Command>,
    /// Why it is not run, if it is not.
    pub(crate) not_run: Option<String>,
}

/// A command and what is shown of its output.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) line: usize,
    pub(crate) text: String,
    pub(crate) shown: Vec<String>,
    /// Its exit code: what stands last, as `[exit code N]`, or 0.
    pub(crate) code: i32,
}

/// What a comment says of the block behind it.
enum Mark {
    File { path: String, mode: u32 },
    NotRun(String),
}

impl Page {
    /// Reads a page. `directory` is where includes count from.
    pub(crate) fn parse(text: &str, directory: &Path) -> Self {
        let mut page = Self::default();
        let mut mark: Option<(usize, Mark)> = None;
        let mut fence: Option<(String, Range<usize>)> = None;
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = line_of(text, range.start);
            match event {
                Event::Start(Tag::HtmlBlock) => match comment(&text[range.clone()]) {
                    None => page.find(line, "HTML that is no comment"),
                    Some("fresh machine") => page.items.push(Item::Fresh),
                    Some(said) => match said.split_once([' ', '\n']) {
                        Some(("run", lines)) => page.items.push(Item::Hidden(hidden(line, lines))),
                        Some(("file:", rest)) => mark = Some((line, file_mark(rest))),
                        Some(("not", rest)) if rest.starts_with("run: ") => {
                            mark = Some((line, Mark::NotRun(rest["run: ".len()..].trim().to_owned())));
                        }
                        _ => page.find(line, &format!("a comment that means nothing to this test: {said:?}")),
                    },
                },
                Event::Start(Tag::CodeBlock(kind)) => {
                    let info = match kind {
                        CodeBlockKind::Fenced(info) => info.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    fence = Some((info, 0..0));
                }
                Event::Text(_) => {
                    if let Some((_, inside)) = &mut fence {
                        let start = if inside.end == 0 { range.start } else { inside.start };
                        *inside = start..range.end;
                    }
                }
                Event::End(TagEnd::CodeBlock) => {
                    let (info, inside) = fence.take().expect("a block ends after it begins");
                    let mark = mark.take().map(|(_, mark)| mark);
                    page.block(text, &info, inside, range.start, mark, directory);
                }
                Event::Start(Tag::Heading { .. } | Tag::Paragraph) => page.lost(&mut mark),
                Event::InlineHtml(_) => {
                    page.find(line, "HTML within a sentence: a comment for this test has lines of its own");
                }
                Event::Code(code) => page.inline.push((line, code.to_string())),
                _ => {}
            }
        }
        page.lost(&mut mark);
        page
    }

    fn lost(&mut self, mark: &mut Option<(usize, Mark)>) {
        if let Some((line, _)) = mark.take() {
            self.find(line, "a comment about the next block, and no block follows");
        }
    }

    fn find(&mut self, line: usize, what: &str) {
        self.findings.push(format!("line {line}: {what}"));
    }

    fn block(&mut self, text: &str, info: &str, inside: Range<usize>, start: usize, mark: Option<Mark>, dir: &Path) {
        let line = line_of(text, start);
        let language = info.split([',', ' ']).next().unwrap_or_default();
        if !LANGUAGES.contains(&language) {
            self.find(line, &format!("a block in {info:?}; the languages are {}", LANGUAGES.join(", ")));
        }
        let body = &text[inside.clone()];
        match (language, mark) {
            ("console", Some(Mark::File { .. })) => self.find(line, "a console block is no file"),
            ("console", mark) => {
                let not_run = match mark {
                    Some(Mark::NotRun(why)) => Some(why),
                    _ => None,
                };
                match commands(body, line + 1) {
                    Ok(commands) => {
                        self.items.push(Item::Console(Block { line: line + 1, range: inside, commands, not_run }));
                    }
                    Err(why) => self.find(line, &why),
                }
            }
            (_, Some(Mark::File { path, mode })) => match included(body, dir) {
                Ok(text) => self.items.push(Item::File { path, mode, text }),
                Err(why) => self.find(line, &why),
            },
            (_, Some(Mark::NotRun(_))) => self.find(line, "only a console block is marked as not run"),
            (_, None) => {
                let hides = |l: &&str| ["$ ", "# datastore ", "datastore ", "cargo "].iter().any(|p| l.starts_with(p));
                if let Some(command) = body.lines().find(hides) {
                    self.find(
                        line,
                        &format!("`{command}` is shown in a block that is not `console`, so nobody runs it"),
                    );
                }
            }
        }
    }
}

/// Lines count from 1.
fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// What a comment says.
fn comment(html: &str) -> Option<&str> {
    Some(html.trim().strip_prefix("<!--")?.strip_suffix("-->")?.trim())
}

fn file_mark(rest: &str) -> Mark {
    let (path, mode) = rest.trim().split_once(' ').unwrap_or((rest.trim(), "0644"));
    Mark::File { path: path.to_owned(), mode: u32::from_str_radix(mode, 8).expect("a mode in octal digits") }
}

fn hidden(line: usize, lines: &str) -> Vec<(usize, String)> {
    joined(lines.lines().enumerate().map(|(at, text)| (line + 1 + at, text)))
}

/// Lines, of which each that ends in a backslash is joined with the next.
fn joined<'t>(lines: impl Iterator<Item = (usize, &'t str)>) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (line, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
        match out.last_mut().filter(|_| goes_on) {
            Some((_, last)) => {
                last.push('\n');
                last.push_str(text);
            }
            None => out.push((line, text.to_owned())),
        }
        goes_on = text.ends_with('\\');
    }
    out
}

fn commands(body: &str, first_line: usize) -> Result<Vec<Command>, String> {
    let mut commands: Vec<Command> = Vec::new();
    for (at, line) in body.lines().enumerate() {
        let goes_on = commands.last().is_some_and(|c| c.shown.is_empty() && c.text.ends_with('\\'));
        match (line.strip_prefix(PROMPT), commands.last_mut()) {
            (Some(text), _) => {
                commands.push(Command { line: first_line + at, text: text.to_owned(), shown: Vec::new(), code: 0 });
            }
            (None, None) => return Err(format!("a console block begins with a command (`{PROMPT}...`)")),
            (None, Some(last)) if goes_on => {
                last.text.push('\n');
                last.text.push_str(line);
            }
            (None, Some(last)) => last.shown.push(line.to_owned()),
        }
    }
    for command in &mut commands {
        while command.shown.last().is_some_and(String::is_empty) {
            command.shown.pop();
        }
        let code = command.shown.last().and_then(|line| line.strip_prefix("[exit code ")?.strip_suffix(']'));
        if let Some(code) = code {
            command.code = code.parse().map_err(|_| format!("`{code}` is no exit code"))?;
            command.shown.pop();
        }
    }
    if commands.is_empty() { Err("an empty console block".into()) } else { Ok(commands) }
}

/// The text of a block, with the file that it includes in place of a line `{{#include PATH}}`.
fn included(body: &str, directory: &Path) -> Result<String, String> {
    let mut out = String::new();
    for line in body.lines() {
        match line.strip_prefix("{{#include ").and_then(|rest| rest.strip_suffix("}}")) {
            Some(path) => {
                let path = directory.join(path);
                out += &std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            }
            None => {
                out += line;
                out.push('\n');
            }
        }
    }
    Ok(out)
}
