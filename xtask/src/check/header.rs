//! The C header, from the crate that it describes.

use cbindgen::{Builder, Config, DocumentationStyle, ExportConfig, Language, Style};

use crate::failure::{Failure, Result};
use crate::repo::Repo;

const CRATE: &str = "datastore-ffi";

/// What things are called in C.
const NAMES: [(&str, &str); 7] = [
    ("Error", "datastore_error_t"),
    ("Goal", "datastore_goal_t"),
    ("Plan", "datastore_plan_t"),
    ("Progress", "datastore_progress_t"),
    ("Store", "datastore_t"),
    ("Text", "datastore_text_t"),
    ("Value", "datastore_value_t"),
];

/// What C has and Rust does not need.
const HELPER: &str = r"/// Makes a text of a C string; of NULL, no text.
static inline datastore_text_t datastore_text(const char *string) {
  datastore_text_t text = {string, string ? strlen(string) : 0};
  return text;
}";

/// The whole file.
pub(super) fn content(repo: &Repo) -> Result<String> {
    let source = repo.read(format!("{CRATE}/src/lib.rs"))?;
    let top = source.lines().map_while(|line| line.strip_prefix("//!"));
    let top: Vec<String> = top.map(|line| format!("//{line}").trim_end().to_owned()).collect();
    let rename = NAMES.into_iter().map(|(rust, c)| (rust.to_owned(), c.to_owned())).collect();
    let config = Config {
        language: Language::C,
        header: Some(format!("{}\n//\n// Generated from {CRATE} by `cargo xtask check --write`.", top.join("\n"))),
        include_guard: Some("DATASTORE_H".into()),
        no_includes: true,
        sys_includes: ["stdbool.h", "stddef.h", "stdint.h", "string.h"].map(str::to_owned).to_vec(),
        after_includes: None,
        trailer: Some(HELPER.into()),
        cpp_compat: true,
        style: Style::Both,
        documentation_style: DocumentationStyle::C99,
        export: ExportConfig { rename, exclude: vec!["datastore_forced_panic".into()], ..ExportConfig::default() },
        usize_is_size_t: true,
        tab_width: 2,
        line_length: 100,
        ..Config::default()
    };
    let made = Builder::new().with_crate(repo.path(CRATE)).with_config(config).generate();
    let bindings = made.map_err(|e| Failure::new(format!("the C header: {e}")))?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    String::from_utf8(text).map_err(|e| Failure::new(format!("the C header: {e}")))
}
