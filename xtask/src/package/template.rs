//! Texts of `packaging` in which `@name@` stands for a value.

use crate::failure::{Failure, Result};

/// The text with every value in its place.
///
/// A name that nothing stands for is a mistake in the template, and is not left in a package.
pub(super) fn fill(what: &str, text: &str, values: &[(&'static str, String)]) -> Result<String> {
    let filled = values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("@{name}@"), value));
    let between: Vec<&str> = filled.split('@').collect();
    match between.iter().rev().skip(1).rev().skip(1).find(|name| is_name(name)) {
        Some(name) => Err(Failure::new(format!("{what} has @{name}@, for which there is no value"))),
        None => Ok(filled),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_value_is_an_error() {
        let values = [("version", "0.1.0".to_owned())];
        assert_eq!(fill("x", "v@version@ \"$@\" a@b.example", &values).unwrap(), "v0.1.0 \"$@\" a@b.example");
        assert!(fill("x", "@other@", &values).unwrap_err().to_string().contains("@other@"));
    }
}
