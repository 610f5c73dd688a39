//! Whatever stands in a name, no text that is shown, logged or mailed breaks its line or drives a terminal.

use datastore_core::alarm::{Book, Occasion, body, line, subject, token};
use datastore_core::config::{GLOBALS, Input, Role};
use datastore_core::error::{Error, ErrorKind};
use datastore_core::journal::{self, OperationId, Record};
use datastore_core::model::{Act, Choices, Scenario};
use datastore_core::path::{AbsPath, printable};
use datastore_core::resolve::{Incumbents, resolve};
use datastore_core::syntax::print::quoted;
use datastore_core::value::Id;
use proptest::collection::vec;
use proptest::prelude::*;

/// Texts that would do something, if they were let.
fn wild() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "\n",
        "\r",
        "\u{1b}[2J",
        "\u{9b}",
        "\u{1b}]0;x\u{7}",
        "\u{85}",
        "\0",
        "\t",
        "a",
        "/",
        " ",
        "'",
        "\\",
    ]);
    prop_oneof![vec(known, 1..5).prop_map(|all| all.concat()), any::<String>()]
}

fn plain(text: &str) -> bool {
    !text.contains(char::is_control)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn findings_about_any_configlet_are_plain(
        key in wild(), point in wild(), target in wild(), owner in wild(), service in wild(), option in wild(), volume in wild(),
    ) {
        let text = format!(
            "services = [{}]\n{} = 1\n[mapping.{}]\ntarget = {}\nowner = {}\noptions = [{}]\nvolume = {}\npermissions = {}\n",
            quoted(&service), quoted(&key), quoted(&format!("/{point}")), quoted(&target), quoted(&owner), quoted(&option),
            quoted(&volume), quoted(&key),
        );
        let php = format!("<?php $mapping['/{point}']['target'] = '{target}'; $mapping[\"{key}\"]['{owner}'] = f({volume});");
        for text in [text, php] {
            let inputs = vec![
                Input::read(GLOBALS, Role::Globals, "", "host = \"h\"\n"),
                Input::read("/etc/datastore.d/a.conf", Role::Configlet, "a", text),
            ];
            let wanted = resolve(inputs, &Incumbents::new());
            for finding in &wanted.diagnostics {
                prop_assert!(finding.to_string().split('\n').all(plain) && plain(&finding.one_line()), "{:?}", finding);
            }
            for app in &wanted.apps {
                let words = app.problem.iter().flat_map(|p| [p.detail.as_str(), p.hint.as_str()]);
                prop_assert!(words.chain(app.unresolved.iter().map(String::as_str)).all(plain), "{:?}", app.problem);
            }
            for mapping in &wanted.mappings {
                prop_assert!(plain(&mapping.mount_point.to_string()) && plain(&mapping.store.to_string()));
            }
        }
    }

    #[test]
    fn errors_and_alarms_are_plain(words in vec(wild(), 6)) {
        let error = Error::new(ErrorKind::System, words[0].clone()).caused_by(Error::new(ErrorKind::Usage, words[1].clone()));
        prop_assert!(plain(&error.chain()));
        let alarm = serde_json::json!({"kind": "mapping", "app": words[2], "mount_point": words[3], "state": "refused",
            "reason": "volume-missing", "detail": words[4], "hint": words[5], "since": 1, "told": false});
        let book = serde_json::json!({"version": 1, "alarms": [alarm]}).to_string();
        let book = Book::parse(book.as_bytes()).expect("a book");
        for occasion in [Occasion::Raised, Occasion::Cleared, Occasion::Test] {
            let alarm = &book.alarms[0];
            let texts = [line(alarm, occasion), subject(alarm, occasion, &words[0]), token(alarm)];
            prop_assert!(texts.iter().all(|text| plain(text)), "{:?}", texts);
            prop_assert!(body(alarm, occasion, &words[0]).split('\n').all(plain));
        }
    }

    /// Before and after a step the journal has one line for it, whatever went wrong.
    #[test]
    fn a_record_is_one_line(error in wild(), step in 0..9_usize) {
        let line = journal::line(&Record::Failed { step, error });
        let is_one = line.ends_with('\n') && line.lines().count() == 1;
        prop_assert!(is_one && !line.contains('\x1b'));
    }

    #[test]
    fn any_bytes_are_printable(bytes: Vec<u8>) {
        prop_assert!(plain(&printable(&bytes)));
        if let Ok(path) = AbsPath::from_kernel(&bytes) {
            let shown = [path.to_string(), format!("{path:?}")];
            prop_assert!(shown.iter().all(|text| plain(text)));
        }
    }

    /// What is said of the steps of a plan, and of whatever is asked for.
    #[test]
    fn steps_and_goals_are_plain(numbers in vec(any::<u16>(), 0..160)) {
        let scenario = Scenario::draw(&mut Choices::new(&numbers), 6);
        let machine = scenario.machine();
        for act in &scenario.acts {
            let Act::Ask(goal) = act else { continue };
            prop_assert!(plain(&goal.to_string()));
            let Ok(checked) = machine.plan(goal, Id::from_random([1; 16])) else { continue };
            prop_assert!(checked.plan().steps.iter().all(|step| plain(&step.action.to_string())));
        }
    }
}

#[test]
fn no_text_is_the_name_of_an_operation_but_one() {
    for text in ["", "../x", "20261123T174301250Z-1a02030\n", "20261123T174301250Z-1A020304"] {
        let why = OperationId::parse(text).unwrap_err().to_string();
        assert!(plain(&why), "{why:?}");
    }
}
