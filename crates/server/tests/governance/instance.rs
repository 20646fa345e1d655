//! A vault with three users, a clock that tests turn, and what intake and people do to it.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use govern::{Refusal, Selectors};
use model::entry::Origin;
use model::{MessageId, Position, Timestamp};
use seal::bundle::{Report, VerifyOptions, verify};
use seal::envelope::{Purpose, stream_head};
use seal::keyring::{PassphraseCost, Unlock};
use seal::note::NoteKey;
use serde_json::Value;
use server::vault::captures::Descriptor;
use server::vault::export::Selection;
use server::vault::governance::{RequestOptions, Targets};
use server::vault::import::{ImportOptions, Imported};
use server::vault::state::verify_store;
use server::vault::users::{Role, User, password_digest};
use server::vault::{Vault, VaultError, VaultOptions, create};
use store::ledger::{Draft, LedgerOptions};

pub const UNLOCK: Unlock<'static> = Unlock::Passphrase(b"correct");
pub const NOW: i64 = 1_764_000_000;
pub const DAY: i64 = 86_400;
pub const PASSWORD: &str = "correct horse";

/// Two patients and their words.
pub const ANN: &str = "4915112345678";
pub const BO: &str = "4915199999999";

pub struct Place {
    folder: tempfile::TempDir,
    pub clock: Arc<AtomicI64>,
    pub epoch_lasts: Duration,
}

impl Place {
    pub fn new() -> Place {
        Place {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(AtomicI64::new(NOW)),
            epoch_lasts: Duration::from_secs(86_400),
        }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn copy(&self) -> PathBuf {
        self.folder.path().join("copy")
    }

    pub fn create(&self) -> Vault {
        let cost = PassphraseCost {
            memory_kib: 64,
            passes: 1,
        };
        let now = Timestamp::from_seconds(NOW);
        create(
            &self.data(),
            "us".parse().unwrap(),
            &UNLOCK,
            cost,
            Some(self.copy()),
            now,
        )
        .unwrap();
        let vault = self.open();
        let digest = password_digest(PASSWORD).unwrap();
        for (name, role) in [
            ("ann", Role::Officer),
            ("bo", Role::Administrator),
            ("cy", Role::Auditor),
        ] {
            vault.add_user(name, role, &digest, "test").unwrap();
        }
        vault
    }

    pub fn open(&self) -> Vault {
        let clock = self.clock.clone();
        let mut options = VaultOptions::with_clock(Arc::new(move || {
            Timestamp::from_seconds(clock.load(Ordering::SeqCst))
        }));
        options.ledger = LedgerOptions {
            checkpoint_every: Duration::from_millis(20),
            ..LedgerOptions::default()
        };
        options.epoch_lasts = self.epoch_lasts;
        Vault::open(&self.data(), &UNLOCK, options).unwrap()
    }

    pub fn set_clock(&self, seconds: i64) {
        self.clock.store(seconds, Ordering::SeqCst);
    }

    /// Every file below the data folder.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let (mut found, mut folders) = (Vec::new(), vec![self.data()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Ok(bytes) = std::fs::read(&path) {
                    found.push((path, bytes));
                }
            }
        }
        found
    }

    /// The store holds, by its own check.
    pub fn verified(&self) {
        let verified = verify_store(&self.data(), Some(&UNLOCK), None).unwrap();
        assert_eq!(verified.findings, []);
    }
}

pub fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

pub fn user(vault: &Vault, name: &str) -> User {
    vault.signed_in(name, PASSWORD, "test").unwrap()
}

pub fn message_at(seconds: i64, id: &str, from: &str, text: &str) -> String {
    format!(
        r#"{{"from":"{from}","id":"wamid.{id}","timestamp":"{seconds}","type":"text","text":{{"body":"{text}"}}}}"#
    )
}

pub fn message(id: &str, from: &str, text: &str) -> String {
    message_at(NOW - 1000, id, from, text)
}

pub fn body(messages: &[String]) -> String {
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550001111","phone_number_id":"99"}},"messages":[{}]}}}}]}}]}}"#,
        messages.join(",")
    )
}

/// What the intake does with a webhook that it admitted, over a connection with this minimum.
pub fn deliver_locked(vault: &Vault, body: &str, connection: &str, minimum_lock_days: u32) -> Position {
    let purpose = Purpose::Capture;
    seal(vault, body.as_bytes(), connection, minimum_lock_days, purpose)
}

pub fn seal(
    vault: &Vault,
    bytes: &[u8],
    connection: &str,
    minimum_lock_days: u32,
    purpose: Purpose,
) -> Position {
    let origin = Origin {
        connection: connection.parse().unwrap(),
        connector: "whatsapp-cloud".into(),
        connector_version: 1,
        received_at: vault.now(),
        verdict: 1,
        secret: 0,
        minimum_lock_days,
    };
    let mut stream = stream_head(b"{}");
    stream.extend_from_slice(bytes);
    let epoch = vault.epoch().unwrap().encapsulate().unwrap();
    let mut sealer = epoch.sealer(origin, purpose).unwrap();
    let kind = sealer.seal(&mut stream, true).unwrap();
    vault.ledger().append(vec![Draft { kind, body: stream }]).unwrap()
}

pub fn deliver(vault: &Vault, messages: &[String]) -> Position {
    let at = deliver_locked(vault, &body(messages), "ward-3", 0);
    settle(vault);
    at
}

pub fn import(vault: &Vault, name: &str, text: &str) -> Imported {
    let options = ImportOptions {
        connector: "whatsapp-export".into(),
        descriptor: Descriptor {
            file_name: Some(format!("WhatsApp Chat with {name}.txt")),
            ..Default::default()
        },
        actor: "test".into(),
        ..Default::default()
    };
    let mut input = Cursor::new(text.as_bytes().to_vec());
    vault.import(&mut input, &options, &mut |_, _| {}).unwrap()
}

pub fn settle(vault: &Vault) {
    vault.wait_normalized(vault.ledger().head()).unwrap();
}

pub fn search(vault: &Vault, query: &str) -> Vec<Value> {
    settle(vault);
    let mut found = Vec::new();
    let each = &mut |value| {
        found.push(value);
        Ok(())
    };
    vault.search(query, "test", usize::MAX, each).unwrap();
    found
}

/// Everything that can be read, as the catalogue has it.
pub fn everything(vault: &Vault) -> Vec<String> {
    let one = |found: &Value| format!("{} {} {}", found["id"], found["repeats"], found["record"]);
    search(vault, "is:any is:repeat").iter().map(one).collect()
}

pub fn erased(vault: &Vault) -> u64 {
    settle(vault);
    vault
        .search("nothing-has-this-word", "test", 1, &mut |_| Ok(()))
        .unwrap()
        .erased
}

pub fn id(capture: Position, ordinal: u32) -> MessageId {
    MessageId { capture, ordinal }
}

pub fn export(vault: &Vault, selection: &Selection) -> (Vec<u8>, u64) {
    let (sink, exported) = vault
        .export(selection, None, "test", Cursor::new(Vec::new()), &mut |_, _| {})
        .unwrap();
    (sink.into_inner(), exported.erased)
}

/// A bundle's report, with its origin proved.
pub fn proved(vault: &Vault, bundle: &[u8]) -> Report {
    let options = VerifyOptions {
        key: Some(NoteKey::decode(&vault.public_key()).unwrap()),
        ..VerifyOptions::default()
    };
    let report = verify(&mut Cursor::new(bundle), options).unwrap();
    assert!(report.origin_proved);
    report
}

pub fn person(name: &str) -> Targets {
    Targets {
        persons: vec![name.into()],
        ..Targets::default()
    }
}

pub fn conversation(name: &str) -> Targets {
    Targets {
        conversations: vec![name.into()],
        ..Targets::default()
    }
}

pub fn request(vault: &Vault, targets: Targets, by: &str) -> Result<Position, VaultError> {
    let options = RequestOptions {
        targets,
        reason: "asked to be forgotten".into(),
        legal_basis: "GDPR art. 17".into(),
    };
    let answer = vault.request_destruction(&options, &user(vault, by), "test")?;
    Ok(Position(answer["request"].as_u64().unwrap()))
}

pub fn approve(vault: &Vault, request: Position, by: &str) -> Result<Value, VaultError> {
    vault.approve_destruction(request, &user(vault, by), "test")
}

/// Two people destroy it; the entry of the destruction.
pub fn destroy(vault: &Vault, targets: Targets) -> Position {
    let request = request(vault, targets, "ann").unwrap();
    let answer = approve(vault, request, "bo").unwrap();
    assert_eq!(answer["state"], "destroyed", "{answer}");
    Position(answer["entry"].as_u64().unwrap())
}

pub fn hold(vault: &Vault, selectors: Selectors) -> Position {
    vault.place_hold(selectors, "a dispute", None, "test").unwrap()
}

pub fn refused<T: std::fmt::Debug>(result: Result<T, VaultError>) -> Refusal {
    match result.unwrap_err() {
        VaultError::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

/// The ring of a key store's file.
pub fn ring(path: &Path) -> seal::keyring::Keyring {
    let bytes = std::fs::read(path).unwrap();
    seal::keyring::Keyring::open(&bytes, &UNLOCK).unwrap().ring
}
