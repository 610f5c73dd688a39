//! Expansions in a target: `%{base} %{store} %{volume} %{host} %{app} %{%}`.

use crate::diag::nearest;
use crate::syntax::keys::EXPANSION;

/// What the expansions of one mapping stand for.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// `%{store}`: the directory above all volumes.
    pub store: &'a str,
    /// Where the mapping's volume is; `%{base}` is `<volume path>/live/<host>`.
    pub volume_path: &'a str,
    /// `%{volume}`.
    pub volume: &'a str,
    /// `%{host}`; `None` until `init` has run.
    pub host: Option<&'a str>,
    /// `%{app}`.
    pub app: &'a str,
}

/// Why an expansion failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// A word that nobody knows. Holds the nearest known one.
    #[error("unknown expansion `%{{{word}}}`")]
    Unknown {
        /// The word between the braces.
        word: String,
        /// The known word that is nearest to it.
        near: Option<&'static str>,
    },
    /// `%` that begins no expansion.
    #[error("`%` must be followed by `{{`; write `%{{%}}` for a percent sign")]
    Stray,
    /// `%{` without `}`.
    #[error("`%{{` without its `}}`")]
    Unclosed,
    /// `%{host}` or `%{base}` before `init` has written the host.
    #[error("the host has no name yet")]
    NoHost,
}

/// Replaces every expansion in `text`. Nothing that comes in is expanded again.
pub fn expand(text: &str, names: Names<'_>) -> Result<String, ExpandError> {
    let mut out = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let Some(body) = rest[at + 1..].strip_prefix('{') else {
            return Err(ExpandError::Stray);
        };
        let Some(end) = body.find('}') else {
            return Err(ExpandError::Unclosed);
        };
        match &body[..end] {
            "base" => {
                out.push_str(names.volume_path);
                out.push_str("/live/");
                out.push_str(names.host.ok_or(ExpandError::NoHost)?);
            }
            "store" => out.push_str(names.store),
            "volume" => out.push_str(names.volume),
            "host" => out.push_str(names.host.ok_or(ExpandError::NoHost)?),
            "app" => out.push_str(names.app),
            "%" => out.push('%'),
            word => return Err(ExpandError::Unknown { word: word.into(), near: nearest(word, EXPANSION) }),
        }
        rest = &body[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names<'_> =
        Names { store: "/store", volume_path: "/store/data0", volume: "data0", host: Some("server1"), app: "httpd" };

    #[test]
    fn every_word() {
        for (text, out) in [
            ("%{base}/www", "/store/data0/live/server1/www"),
            ("%{store}/%{volume}/live/%{host}/%{app}", "/store/data0/live/server1/httpd"),
            ("/a%{%}b", "/a%b"),
            ("plain", "plain"),
        ] {
            assert_eq!(expand(text, NAMES).unwrap(), out);
        }
    }

    #[test]
    fn refusals() {
        assert_eq!(expand("%{bas}/x", NAMES), Err(ExpandError::Unknown { word: "bas".into(), near: Some("base") }));
        assert_eq!(expand("100%", NAMES), Err(ExpandError::Stray));
        assert_eq!(expand("%{base", NAMES), Err(ExpandError::Unclosed));
        assert_eq!(expand("%{base}", Names { host: None, ..NAMES }), Err(ExpandError::NoHost));
    }
}
