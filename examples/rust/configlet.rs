//! Checks configlets before they are installed: `configlet FILE...`. It needs no datastore on this machine, and no root.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use datastore_core::config::{Content, GLOBALS, Input, Role};
use datastore_core::resolve::{Incumbents, resolve};

/// What a machine has besides: `init` writes such a file there.
const MACHINE: &str = "host = \"server1\"\n[volume.data0]\nid = \"11111111-2222-4333-8444-555555555555\"\n";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let globals = Content::Bytes(MACHINE.into());
    let mut inputs = vec![Input { path: GLOBALS.into(), role: Role::Globals, app: String::new(), content: globals }];
    for file in env::args().skip(1) {
        let stem = Path::new(&file).file_stem().and_then(|name| name.to_str()).ok_or("a file has a name")?;
        inputs.push(Input {
            path: file.clone(),
            role: Role::Configlet,
            app: stem.to_owned(),
            content: Content::Bytes(fs::read(&file)?),
        });
    }

    // Core never touches the machine: text goes in, and what it means comes out, with everything that is wrong at once.
    let wanted = resolve(inputs, &Incumbents::default());
    for diagnostic in &wanted.diagnostics {
        println!("{diagnostic}\n");
    }
    if wanted.diagnostics.iter().any(|diagnostic| diagnostic.is_error()) {
        return Ok(ExitCode::FAILURE);
    }
    for mapping in &wanted.mappings {
        println!("{}: {} is {}", mapping.app, mapping.mount_point, mapping.store);
    }
    Ok(ExitCode::SUCCESS)
}
