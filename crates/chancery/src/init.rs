//! `init`: a data folder with its keys.

use seal::keyring::PassphraseCost;
use serde_json::json;

use crate::args::{Global, InitArgs};
use crate::failure::{CANNOT_WRITE, DONE, Failure};
use crate::print::{self, Words};
use crate::{files, owner, passphrase};

/// Makes it.
///
/// # Errors
/// The folder is in use for something; the passphrase is short; a disk is full.
pub fn init(global: &Global, args: &InitArgs) -> Result<u8, Failure> {
    let data = files::data_folder(global)?;
    let zone = args
        .zone
        .parse()
        .map_err(|problem| Failure::usage(format!("zone {}: {problem}", args.zone)))?;
    if std::fs::read_dir(&data).is_ok_and(|mut entries| entries.next().is_some()) {
        let text = format!(
            "{} is not empty; name another folder with --data, or use what is there",
            data.display()
        );
        return Err(Failure::new(CANNOT_WRITE, text));
    }
    let copy = args.key_copy.as_deref().map(files::absolute).transpose()?;
    if let Some(copy) = &copy {
        if copy.exists() {
            let text = format!(
                "{} is there already; name a new file for the second copy",
                copy.display()
            );
            return Err(Failure::new(CANNOT_WRITE, text));
        }
        if !copy.parent().is_some_and(|folder| folder.is_dir()) {
            let text = format!(
                "the folder of {} is not there; make it, or name another file",
                copy.display()
            );
            return Err(Failure::new(CANNOT_WRITE, text));
        }
    }
    let secret = passphrase::choose(global)?;
    let cost = PassphraseCost::STANDARD;
    let made = server::vault::create(&data, zone, &secret.unlock(), cost, copy.clone(), owner::now())?;
    // The first entry and the second copy are made by opening it.
    drop(owner::open(&data, &secret)?);
    let public = data.join("zone.pub");
    if global.json {
        print::json(&json!({
            "data": data, "zone": made.zone, "public_key": made.public_key, "public_key_file": public,
            "created_at": made.created_at, "key_copy": copy,
        }))?;
        return Ok(DONE);
    }
    let mut words = Words::new();
    words.line(&format!("made {} for zone {}", data.display(), made.zone));
    words.pairs(&[
        ("public key", made.public_key.clone()),
        ("in file", public.display().to_string()),
        (
            "second copy of keys",
            copy.map_or("none: see --key-copy".to_owned(), |copy| {
                copy.display().to_string()
            }),
        ),
    ]);
    words.line("");
    words.line("Now: keep a copy of the public key elsewhere; a verifier needs it.");
    words.line(
        "     Keep what opens the record safe: without it nobody can, the makers of this program neither.",
    );
    words.line(&format!(
        "     chancery import whatsapp-export chat.zip --data {}",
        data.display()
    ));
    words.line(&format!("     chancery serve --data {}", data.display()));
    words.print()?;
    Ok(DONE)
}
