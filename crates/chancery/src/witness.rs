//! `witness`: a witness of one's own, for a second site.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seal::note::NoteKey;
use serde_json::json;
use server::witness::{self, Witness};

use crate::args::{Global, WitnessCommand};
use crate::failure::{BAD_DATA, DONE, Failure, IO};
use crate::print::{self, Words};
use crate::{files, owner, serve};

/// Makes it, or runs it.
///
/// # Errors
/// The folder is in use or holds something else; an address cannot be had.
pub fn witness(global: &Global, command: &WitnessCommand) -> Result<u8, Failure> {
    match command {
        WitnessCommand::Init { dir, name } => init(global, dir, name),
        WitnessCommand::Serve { dir, logs, listen } => run(global, dir, logs, *listen),
    }
}

fn init(global: &Global, dir: &Path, name: &str) -> Result<u8, Failure> {
    let key = witness::create(dir, name)?.encode();
    let file = dir.join("witness.pub");
    if global.json {
        print::json(&json!({ "witness": dir, "key": key, "key_file": file }))?;
        return Ok(DONE);
    }
    let mut words = Words::new();
    words.line(&format!("made {}", dir.display()));
    words.pairs(&[("key", key), ("in file", file.display().to_string())]);
    words.line(&format!(
        "Now: chancery witness serve --dir {} --log zone.pub --listen ADDR",
        dir.display()
    ));
    words.print()?;
    Ok(DONE)
}

fn run(global: &Global, dir: &Path, logs: &[PathBuf], listen: SocketAddr) -> Result<u8, Failure> {
    serve::logging();
    let read = |path: &PathBuf| {
        let wrong = |problem| Failure::new(BAD_DATA, format!("{}: {problem}", path.display()));
        NoteKey::decode(&files::small_text(path)?).map_err(wrong)
    };
    let logs = logs.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let witness = Arc::new(Witness::open(dir, logs, Arc::new(owner::now))?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(IO, format!("starting: {error}")))?;
    runtime.block_on(async {
        let stopped = serve::stopped()?;
        let (listener, address) = witness::bind(listen).await?;
        let key = witness.key().encode();
        if global.json {
            print::json(&json!({ "listen": address, "key": key }))?;
        } else {
            let mut words = Words::new();
            words.line(&format!("witness at {address}; stop with Ctrl-C"));
            words.line(&format!("key {key}"));
            words.print()?;
        }
        witness::serve(witness, listener, stopped).await;
        Ok(DONE)
    })
}
