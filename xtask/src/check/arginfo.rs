//! What PHP is told of the classes is as old as the stub that it is generated from: it carries the stub's digest.

use std::path::Path;

use super::Finding;
use crate::failure::Result;
use crate::repo::Repo;
use crate::tool::Tool;

const STUB: &str = "php-ext/datastore.stub.php";
const MADE: &str = "php-ext/datastore_arginfo.h";

pub(super) fn check(repo: &Repo) -> Result<Vec<Finding>> {
    let digest = Tool::new("sha1sum").arg(repo.path(STUB)).output()?;
    let digest = digest.split(' ').next().unwrap_or_default();
    let made = repo.read(MADE)?;
    if !digest.is_empty() && made.contains(&format!("Stub hash: {digest} ")) {
        return Ok(Vec::new());
    }
    Ok(vec![Finding::in_file(Path::new(MADE), format!("is not made of this {STUB}; run `cargo xtask php --arginfo`"))])
}
