//! Doing what was asked, on the open vault.

use std::fs::File;
use std::io::BufWriter;

use connect::Secrets;
use model::{MessageId, Position};
use seal::keyring::Unlock;
use seal::succession::Reason;
use serde_json::{Value, json};
use server::vault::captures::Descriptor;
use server::vault::export::Selection;
use server::vault::import::{ImportOptions, Imported};
use server::vault::{Vault, VaultError};

use crate::failure::Failure;
use crate::files::{self, Unfinished};
use crate::operation::{Chosen, ConnectionAdd, Emit, Export, Import, Interim, Operation};

/// Does it, in the name of `actor`, which stands in the act.
///
/// # Errors
/// What the vault or a file said.
pub fn perform(
    vault: &Vault,
    operation: Operation,
    actor: &str,
    emit: &mut Emit<'_>,
) -> Result<Value, Failure> {
    match operation {
        Operation::Import(import) => import_files(vault, &import, actor, emit),
        Operation::Search { query, limit } => search(vault, &query, limit, actor, emit),
        Operation::Show { id } => Ok(vault.show(message_id(&id)?, actor)?),
        Operation::Export(export) => write_bundle(vault, export, actor, emit),
        Operation::Checkpoint { out } => {
            let handed = vault.hand_out_checkpoint(actor)?;
            files::replace(&files::beside(&out, ".proof"), &handed.proofs)?;
            files::replace(&out, &handed.note)?;
            Ok(json!({ "size": handed.size }))
        }
        Operation::AnchorAdd(add) => {
            let password = add.password.map(|password| password.0);
            vault.add_anchor(&add.config, password, actor)?;
            Ok(json!({ "anchor": add.config }))
        }
        Operation::AnchorList => {
            settle(vault)?;
            Ok(vault.list_anchors()?)
        }
        Operation::AnchorRemove { name } => {
            vault.remove_anchor(&name, actor)?;
            Ok(json!({ "removed": name }))
        }
        Operation::AnchorNow { name } => Ok(vault.anchor_now(name.as_deref(), actor)?),
        Operation::KeysRotateSigning { compromised } => {
            let reason = if compromised {
                Reason::Compromised
            } else {
                Reason::Rotated
            };
            Ok(vault.rotate_signing(reason, actor)?)
        }
        Operation::Rebuild => Ok(json!({ "rebuilt_by_entry": vault.rebuild()? })),
        Operation::ConnectionAdd(add) => connection_add(vault, add),
        Operation::ConnectionExpires { id, dates } => {
            Ok(json!({ "connection": vault.note_secret_expiry(&id, &dates, actor)? }))
        }
        Operation::ConnectionList => Ok(json!({ "connections": vault.connections() })),
        Operation::ConnectionTest { id, url } => {
            Ok(json!({ "checks": vault.test_connection(&id, url.as_deref())? }))
        }
        Operation::KeysList => Ok(vault.keys(actor)?),
        Operation::KeysAttest => Ok(vault.attest_keys(actor)?),
        Operation::KeysCopy { out } => Ok(vault.set_key_copy(&out, actor)?),
        Operation::KeysPassphrase { secret, is_key_file } => {
            let unlock = match is_key_file {
                true => Unlock::KeyFile(&secret.0),
                false => Unlock::Passphrase(&secret.0),
            };
            Ok(vault.change_unlock(&unlock, crate::copies::COST, actor)?)
        }
        Operation::BackupAdd {
            folder,
            keep_keys_days,
        } => Ok(vault.add_backup(&folder, keep_keys_days, actor)?),
        Operation::BackupRemove { folder } => Ok(vault.remove_backup(&folder, actor)?),
        Operation::BackupList => Ok(vault.backups()?),
        Operation::BackupNow => Ok(vault.backup_now(actor)?),
        Operation::Scrub { repair } => Ok(json!(vault.scrub(repair, actor)?)),
        Operation::Drill { report } => Ok(vault.note_drill(&report, actor)?),
        Operation::EscrowMake {
            recipients,
            threshold,
        } => {
            let (escrow, shares) = vault.make_escrow(&recipients, threshold, actor)?;
            Ok(json!({ "escrow": escrow, "shares": shares }))
        }
        Operation::EscrowDrill { opened } => Ok(vault.note_escrow_drill(&opened, actor)?),
        Operation::UserAdd { name, role, digest } => Ok(json!(vault.add_user(&name, role, &digest, actor)?)),
        Operation::UserList => Ok(json!({ "users": vault.users() })),
        Operation::Governing(governing) => crate::governing::perform(vault, governing, actor),
        Operation::Reconcile(asked) => crate::reconcile::perform(vault, &asked, actor, emit),
        Operation::Custodian(asked) => crate::custodian::perform(vault, asked, actor),
        Operation::Alarm(asked) => crate::alarm::perform(vault, asked, actor),
        Operation::Capture(asked) => crate::capture::perform(vault, asked, actor),
        Operation::Doctor => {
            // That following stopped is among what it says.
            drop(vault.wait_looked(vault.ledger().head()));
            Ok(json!({ "checks": vault.doctor()? }))
        }
        Operation::Status => {
            settle(vault)?;
            Ok(vault.status()?)
        }
    }
}

/// Waits until what is there is understood: whoever asks right after opening wants numbers, not the catching up.
///
/// # Errors
/// It could not be understood.
pub fn settle(vault: &Vault) -> Result<(), Failure> {
    let head: Position = vault.ledger().head();
    Ok(vault.wait_normalized(head)?)
}

fn message_id(text: &str) -> Result<MessageId, Failure> {
    text.parse()
        .map_err(|problem: model::id::NotAnId| Failure::usage(format!("{text}: {problem}")))
}

/// The connector, when it takes files.
///
/// # Errors
/// There is none of that name, or it takes webhooks.
pub fn file_connector(id: &str) -> Result<&'static dyn connect::Connector, Failure> {
    let connector = connector(id)?;
    if connector.door().takes_files() {
        return Ok(connector);
    }
    Err(Failure::usage(format!(
        "{id} takes webhooks, not files: configure it with `chancery connection add {id} ID`; `chancery parse {id} FILE` \
         says what a file means"
    )))
}

/// The connector.
///
/// # Errors
/// There is none of that name.
pub fn connector(id: &str) -> Result<&'static dyn connect::Connector, Failure> {
    connect::find(id).ok_or_else(|| {
        let known: Vec<&str> = connect::CONNECTORS
            .iter()
            .map(|connector| connector.id())
            .collect();
        Failure::usage(format!(
            "there is no connector {id}; there are: {}",
            known.join(", ")
        ))
    })
}

/// Whether there is such a time zone.
///
/// # Errors
/// There is none.
pub fn time_zone(name: &str) -> Result<jiff::tz::TimeZone, Failure> {
    jiff::tz::TimeZone::get(name).map_err(|_| {
        Failure::usage(format!(
            "there is no time zone {name}; names are as in Europe/London, Asia/Shanghai"
        ))
    })
}

fn import_files(vault: &Vault, import: &Import, actor: &str, emit: &mut Emit<'_>) -> Result<Value, Failure> {
    file_connector(&import.connector)?;
    import.zone_of_phone.as_deref().map(time_zone).transpose()?;
    let mut sums = Imported::default();
    let (mut captured, mut first_failure) = (0u64, None);
    for (index, path) in import.files.iter().enumerate() {
        let options = ImportOptions {
            connector: import.connector.clone(),
            connection: import.connection.clone(),
            descriptor: Descriptor {
                file_name: path.file_name().map(|name| name.to_string_lossy().into_owned()),
                custodian: import.custodian.clone(),
                zone_of_phone: import.zone_of_phone.clone(),
                date_order: import.date_order,
                ..Descriptor::default()
            },
            actor: actor.to_owned(),
        };
        let imported = File::open(path)
            .map_err(|error| Failure::io("reading", path, &error))
            .and_then(|mut file| {
                // An import goes on when nobody watches any more.
                let progress = &mut |done, all| drop(emit(Interim::Progress(done, all)));
                vault
                    .import(&mut file, &options, progress)
                    .map_err(|e| Failure::from(e).of(path.display()))
            });
        match imported {
            Ok(imported) => {
                captured += u64::from(imported.captured);
                add(&mut sums, &imported);
                drop(emit(Interim::Item(numbered(json!(imported), index))));
            }
            Err(failure) => {
                drop(emit(Interim::Item(numbered(failure.json(), index))));
                first_failure.get_or_insert(failure);
            }
        }
    }
    Ok(json!({
        "captured": captured, "duplicates": sums.duplicates, "messages": sums.messages,
        "new_messages": sums.new_messages, "erased": sums.erased, "events": sums.events, "problems": sums.problems,
        "changed": sums.changed.len(), "error": first_failure,
    }))
}

/// With the place of its file among those that were named.
fn numbered(mut item: Value, index: usize) -> Value {
    if let Value::Object(fields) = &mut item {
        fields.insert("file_index".to_owned(), json!(index));
    }
    item
}

fn add(sums: &mut Imported, one: &Imported) {
    sums.messages += one.messages;
    sums.new_messages += one.new_messages;
    sums.duplicates += one.duplicates;
    sums.erased += one.erased;
    sums.events += one.events;
    sums.problems += one.problems;
    sums.changed.extend_from_slice(&one.changed);
}

fn search(
    vault: &Vault,
    query: &str,
    limit: u32,
    actor: &str,
    emit: &mut Emit<'_>,
) -> Result<Value, Failure> {
    settle(vault)?;
    // Without the entry that says that somebody searched.
    let head = vault.ledger().head();
    let mut failed = None;
    let coverage = vault.search(query, actor, limit as usize, &mut |item| {
        emit(Interim::Item(item)).map_err(|failure| {
            failed = Some(failure);
            VaultError::Usage("nobody takes the results".to_owned())
        })
    });
    if let Some(failure) = failed {
        return Err(failure);
    }
    let mut coverage = coverage?;
    coverage.head = head.max(coverage.normalized);
    Ok(json!(coverage))
}

fn write_bundle(vault: &Vault, export: Export, actor: &str, emit: &mut Emit<'_>) -> Result<Value, Failure> {
    let selection = match export.chosen {
        Chosen::All => Selection::All,
        Chosen::Query(query) => Selection::Query(query),
        Chosen::Ids(ids) => Selection::Ids(
            ids.iter()
                .map(|id| message_id(id))
                .collect::<Result<_, Failure>>()?,
        ),
        Chosen::Statement(day) => Selection::Statement(vault.statement_position(day.as_deref())?),
    };
    let (unfinished, file) = Unfinished::begin(&export.out, export.force)?;
    let sink = BufWriter::with_capacity(1 << 20, file);
    let progress = &mut |done, all| drop(emit(Interim::Progress(done, all)));
    let (sink, exported) = vault.export(&selection, export.against.as_deref(), actor, sink, progress)?;
    let file = sink
        .into_inner()
        .map_err(|error| Failure::cannot_write(&export.out, error.error()))?;
    unfinished.finish(&file)?;
    Ok(json!(exported))
}

fn connection_add(vault: &Vault, add: ConnectionAdd) -> Result<Value, Failure> {
    let id = &add.config.id;
    if !add.replace && vault.connections().iter().any(|config| config.id == *id) {
        let text = format!("there is a connection {id} already; give --replace to put this one in its place");
        return Err(Failure::new(crate::failure::CANNOT_WRITE, text));
    }
    let values = |values: Vec<crate::operation::Hidden>| values.into_iter().map(|value| value.0).collect();
    let secrets = Secrets(
        add.secrets
            .into_iter()
            .map(|(name, all)| (name, values(all)))
            .collect(),
    );
    vault.add_connection(&add.config, &secrets)?;
    Ok(json!({ "connection": add.config }))
}
