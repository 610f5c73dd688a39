//! The PHP forms of configuration, read as data and never executed.
//!
//! Three kinds of files are PHP: configlets in the form of the original proposal (`$mapping['/mp']['target'] = ...;`),
//! ClearOS's own (`$storage['/mp']['directory'] = ...;`), and `/etc/clearos/storage.conf`. Those of ClearOS hold other
//! code around the assignments. The rules are:
//!
//! - A statement that carries no mapping is passed over.
//! - An assignment is understood if its value can be known from the text alone: literals, what was assigned to a
//!   variable above, `.`, parentheses and arrays.
//! - Any other use of a variable that matters is an error, and so is one whose assignment may or may not be run.
//! - A variable that was perhaps changed by something that is passed over has no known value any more.
//!
//! After an error reading goes on at the next statement, so that all mistakes are shown at once. Time is linear in the
//! length of the file, recursion is bounded, and no input makes it panic.

mod change;
mod configlet;
mod expr;
mod finding;
mod globals;
mod lex;
mod report;
mod skip;
mod statement;
mod value;

use std::rc::Rc;

use self::expr::CONFIG_BASE;
use self::finding::Findings;
use self::statement::{Reader, Schema};
use self::value::Value;
use crate::diag::{Code, Diagnostic, FileId, Sources};
use crate::raw::{RawApp, RawClearOsGlobals, RawText};

/// The largest file that is read, in bytes.
const LARGEST: usize = 1024 * 1024;

/// Whether a text is in the PHP form: its first word is `<?php`, `<?` or a variable (`$mapping`). A byte order mark,
/// a `#!` line, white space and comments may stand before it. No TOML file begins so.
#[must_use]
pub fn is_php(text: &str) -> bool {
    lex::begins_as_php(text)
}

/// Reads a configlet, or an override of one. `$mapping` and `$storage` may both stand in it.
///
/// `base` is what `$base` and `$config['base']` mean, from [`clearos_globals`]; `None` if that is not known, and then
/// a value that needs it is an error. The span of a value is that of its expression in this file.
///
/// Whatever could be understood is returned, also next to errors; it is for the caller to refuse the app.
#[must_use]
pub fn configlet(file: FileId, sources: &Sources, base: Option<&RawText>) -> (RawApp, Vec<Diagnostic>) {
    let (schema, diagnostics) = read(file, sources, base, configlet::Configlet::default());
    (schema.app, diagnostics)
}

/// Reads `/etc/clearos/storage.conf`.
#[must_use]
pub fn clearos_globals(file: FileId, sources: &Sources) -> (RawClearOsGlobals, Vec<Diagnostic>) {
    let (schema, diagnostics) = read(file, sources, None, globals::Globals::default());
    (schema.globals, diagnostics)
}

fn read<S: Schema>(file: FileId, sources: &Sources, base: Option<&RawText>, schema: S) -> (S, Vec<Diagnostic>) {
    let text = sources.text(file);
    if text.len() > LARGEST {
        let what = format!("the file is larger than {LARGEST} bytes");
        let finding = Diagnostic::about_file(sources.name(file), Code::TooLarge, what);
        return (schema, vec![finding.hint("split it into several configlets")]);
    }
    let mut findings = Findings::default();
    let tokens = lex::tokens(&text, &mut findings);
    let mut reader = Reader::new(&text, file, tokens, schema, findings);
    if let Some(base) = base {
        let value = Value::Text(Rc::from(base.value.as_str()));
        reader.eval.variables.set("base", value.clone());
        reader.eval.variables.set(CONFIG_BASE, value);
    }
    reader.read();
    let Reader { schema, findings, .. } = reader;
    (schema, findings.diagnose(file, sources))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mount points that a configlet has, and the codes of what is wrong with it.
    fn said(text: &str) -> (Vec<String>, Vec<&'static str>) {
        let mut sources = Sources::default();
        let file = sources.add("t.conf", text);
        let (app, diagnostics) = configlet(file, &sources, None);
        let points = app.mappings.into_iter().map(|m| m.mount_point.value).collect();
        (points, diagnostics.iter().map(|d| d.code.as_str()).collect())
    }

    #[test]
    fn control_structures_end_where_php_ends_them() {
        for code in [
            "if (a) b();",
            "if (a) { b(); }",
            "if (a) { } elseif (b) { } else { }",
            "if (a) { } else if (b) { } else c();",
            "if (a) b(); else c();",
            "if (a): b(); elseif (c): d(); else: e(); endif;",
            "if (a): if (b): c(); endif; $x = (d) ? (e) : (f); endif;",
            "while (a): $b = c() ? d(1) : e; endwhile;",
            "do { a(); } while (b);",
            "do a(); while (b);",
            "for ($i = 0; $i < 1; $i++) { }",
            "foreach ($a as $b): endforeach;",
            "switch (a) { case 1: b(); default: c(); }",
            "try { } catch (A $a) { } catch (B $b) { } finally { }",
            "function a(): int { return 1; }",
            "abstract class A extends B { function c(); }",
            "namespace A;",
            "$f = function () { return 1; };",
            "$x = match (a) { 1 => 2, };",
            "?> some text <?php",
        ] {
            let text = format!("<?php {code} $mapping['/a']['target'] = '/x';");
            assert_eq!(said(&text), (vec!["/a".into()], vec![]), "{code}");
        }
    }

    #[test]
    fn a_block_without_an_end_takes_the_rest_of_the_file() {
        for code in ["if (a) {", "if (a):", "function f() {", "while (a): if (b): endif;"] {
            let text = format!("<?php {code} $mapping['/a']['target'] = '/x';");
            let (points, codes) = said(&text);
            assert!(points.is_empty() && codes.contains(&"not-evaluable"), "{code}: {points:?} {codes:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_not_kept() {
        let mut sources = Sources::default();
        let file = sources.add("t.conf", "$mapping['/a']['target'] = '/x' + 1; $mapping['/a']['owner'] = 'root';");
        let (app, diagnostics) = configlet(file, &sources, None);
        assert_eq!(diagnostics.len(), 1);
        assert_eq!(app.mappings[0].target, None);
        assert_eq!(app.mappings[0].owner.as_ref().unwrap().value, "root");
    }

    #[test]
    fn a_dollar_that_is_missing_is_noticed() {
        assert_eq!(said("<?php mapping['/a']['target'] = '/x'; services = 1;").1, ["syntax", "syntax"]);
    }

    #[test]
    fn the_base_of_the_globals_is_the_base_of_configlets() {
        let mut sources = Sources::default();
        let conf = sources.add("storage.conf", "<?php $config['base'] = '/big'; $x = $config['base'];");
        let file = sources.add("t.conf", "<?php $storage['/a']['base'] = $base . '/x';");
        let (globals, _) = clearos_globals(conf, &sources);
        let (app, diagnostics) = configlet(file, &sources, globals.base.as_ref());
        assert!(diagnostics.is_empty());
        let Some(crate::raw::RawTarget::ClearOs { base: Some(base), directory: None }) = &app.mappings[0].target else {
            panic!("a ClearOS target: {app:?}")
        };
        assert_eq!((base.value.as_str(), sources.place(base.span).column), ("/big/x", 32));
    }
}
