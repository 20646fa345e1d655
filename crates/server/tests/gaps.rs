//! What is missing is found and said, and nothing is said to be missing that is not.
#![cfg(test)]

#[path = "missing/canaries.rs"]
mod canaries;
#[path = "missing/dropped.rs"]
mod dropped;
#[path = "missing/streams.rs"]
mod streams;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use model::entry::Origin;
use model::{Position, Timestamp};
use seal::envelope::{Purpose, stream_head};
use seal::keyring::{PassphraseCost, Unlock};
use serde_json::{Value, json};
use server::Host;
use server::vault::connections::ConnectionConfig;
use server::vault::gaps::GapsWanted;
use server::vault::host::VaultHost;
use server::vault::{Vault, VaultOptions, create};
use store::ledger::{Draft, LedgerOptions};

const QUICK: PassphraseCost = PassphraseCost {
    memory_kib: 64,
    passes: 1,
};
const NOW: i64 = 1_764_000_000;
const HOUR: i64 = 3600;

/// A vault whose clock the test sets.
struct World {
    folder: tempfile::TempDir,
    clock: Arc<AtomicI64>,
    vault: Option<Arc<Vault>>,
}

fn open(folder: &Path, clock: &Arc<AtomicI64>) -> Vault {
    let told = clock.clone();
    let mut options = VaultOptions::with_clock(Arc::new(move || {
        Timestamp::from_seconds(told.load(Ordering::SeqCst))
    }));
    options.ledger = LedgerOptions {
        checkpoint_every: Duration::from_millis(20),
        ..LedgerOptions::default()
    };
    Vault::open(folder, &Unlock::Passphrase(b"correct"), options).unwrap()
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(NOW));
        let now = Timestamp::from_seconds(NOW);
        let unlock = Unlock::Passphrase(b"correct");
        create(folder.path(), "us".parse().unwrap(), &unlock, QUICK, None, now).unwrap();
        let vault = Some(Arc::new(open(folder.path(), &clock)));
        World { folder, clock, vault }
    }

    fn vault(&self) -> &Arc<Vault> {
        self.vault.as_ref().unwrap()
    }

    fn again(&mut self) {
        self.vault = None;
        self.vault = Some(Arc::new(open(self.folder.path(), &self.clock)));
    }

    fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    fn deliver(&self, connection: &str, connector: &str, body: &str) -> Position {
        let vault = self.vault();
        let origin = Origin {
            connection: connection.parse().unwrap(),
            connector: connector.into(),
            connector_version: 1,
            received_at: vault.now(),
            verdict: 1,
            secret: 0,
            minimum_lock_days: 0,
        };
        let mut stream = stream_head(b"{}");
        stream.extend_from_slice(body.as_bytes());
        let encapsulated = vault.epoch().unwrap().encapsulate().unwrap();
        let mut sealer = encapsulated.sealer(origin, Purpose::Capture).unwrap();
        let kind = sealer.seal(&mut stream, true).unwrap();
        vault.ledger().append(vec![Draft { kind, body: stream }]).unwrap()
    }

    /// Lets the follower come to rest: everything understood, and nothing more to say about it.
    fn settle(&self) {
        loop {
            let head = self.vault().ledger().head();
            self.vault().wait_normalized(head).unwrap();
            self.vault().wait_looked(head).unwrap();
            if self.vault().ledger().head() == head {
                return;
            }
        }
    }

    fn gaps(&self) -> Vec<Value> {
        let answer = self.vault().gaps(&GapsWanted::default()).unwrap();
        answer["gaps"].as_array().unwrap().clone()
    }
}

/// What a gap says, without where it stands.
fn said(gap: &Value) -> String {
    let mut gap = gap.clone();
    gap["remedy"] = Value::Null;
    gap.to_string()
}

fn cloud(items: &[Value], field: &str) -> String {
    json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": [{ "field": "messages", "value": {
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15550001111", "phone_number_id": "99" },
        field: items,
    }}]}]})
    .to_string()
}

fn text(id: &str) -> Value {
    json!({ "from": "4915112345", "id": id, "timestamp": "1763990000", "type": "text", "text": { "body": format!("says {id}") } })
}

fn reply(id: &str, to: &str) -> Value {
    let mut message = text(id);
    message["context"] = json!({ "from": "15550001111", "id": to });
    message
}

fn reaction(id: &str, to: &str) -> Value {
    json!({ "from": "4915112345", "id": id, "timestamp": "1763990001", "type": "reaction",
        "reaction": { "message_id": to, "emoji": "👍" } })
}

fn status(id: &str, state: &str) -> Value {
    json!({ "id": id, "status": state, "timestamp": "1763990002", "recipient_id": "4915112345" })
}

#[test]
fn a_message_that_comes_within_an_hour_in_whatever_order_opens_no_gap() {
    let world = World::new();
    world.deliver(
        "ward-3",
        "whatsapp-cloud",
        &cloud(&[status("wamid.1", "sent")], "statuses"),
    );
    world.settle();
    world.pass(HOUR - 1);
    world.deliver("ward-3", "whatsapp-cloud", &cloud(&[text("wamid.1")], "messages"));
    world.settle();
    world.pass(10 * HOUR);
    world.settle();
    assert!(world.gaps().is_empty());
}

#[test]
fn what_is_missing_in_a_quarter_of_an_hour_is_one_gap_that_says_how_much_is_still_missing() {
    let world = World::new();
    for n in 0..50 {
        for state in ["sent", "delivered", "read"] {
            world.deliver(
                "ward-3",
                "whatsapp-cloud",
                &cloud(&[status(&format!("wamid.{n}"), state)], "statuses"),
            );
        }
    }
    world.settle();
    world.pass(2 * HOUR);
    world.settle();
    let gaps = world.gaps();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0]["count"], 50);
    assert_eq!(gaps[0]["missing_by"], json!({ "status": 50 }));
    assert_eq!(
        gaps[0]["from"],
        Timestamp::from_seconds(1_763_990_002).to_string()
    );
    for n in 0..20 {
        world.deliver(
            "ward-3",
            "whatsapp-cloud",
            &cloud(&[text(&format!("wamid.{n}"))], "messages"),
        );
    }
    world.settle();
    let gaps = world.gaps();
    assert_eq!(gaps[0]["state"], "open");
    assert_eq!(gaps[0]["still_missing"], 30);
}

#[test]
fn an_item_that_cannot_be_decrypted_is_a_gap_until_it_comes_in_the_clear() {
    let world = World::new();
    let item = json!({ "seq": 1, "msgid": "m0", "publickey_ver": 3, "encrypt_random_key": "AA==", "encrypt_chat_msg": "AA==" });
    world.deliver("archive", "wecom-archive", &item.to_string());
    world.settle();
    world.pass(2 * HOUR);
    world.settle();
    let gaps = world.gaps();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0]["cause"], "undecrypted");
    world.deliver("archive", "wecom-archive", &streams::archive_stream(1)[0].body);
    world.settle();
    assert_eq!(world.gaps()[0]["state"], "closed");
}

#[test]
fn events_about_templates_and_numbers_claim_no_message() {
    let world = World::new();
    let events = json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "time": 1_763_990_000, "changes": [
        { "field": "message_template_status_update", "value": { "event": "APPROVED", "message_template_id": 594_425_479_261_596_u64,
            "message_template_name": "t", "message_template_language": "en_US", "reason": "NONE" } },
        { "field": "account_update", "value": { "event": "VERIFIED_ACCOUNT", "phone_number": "15550001111" } } ] }] });
    world.deliver("ward-3", "whatsapp-cloud", &events.to_string());
    world.settle();
    world.pass(10 * HOUR);
    world.settle();
    assert!(world.gaps().is_empty());
}

/// A connection to which WhatsApp posts.
fn connect_ward(world: &World) {
    connect(world, "ward-3");
}

fn connect(world: &World, id: &str) {
    let config = ConnectionConfig {
        secret_expires: std::collections::BTreeMap::new(),
        id: id.parse().unwrap(),
        connector: "whatsapp-cloud".into(),
        settings: connect::Settings::new(),
        minimum_lock_days: 0,
    };
    let mut secrets = connect::Secrets::default();
    for name in ["app-secret", "verify-token"] {
        let value = zeroize::Zeroizing::new(b"0123456789abcdef".to_vec());
        secrets.0.insert(name.into(), vec![value]);
    }
    world.vault().add_connection(&config, &secrets).unwrap();
}

#[test]
fn a_connection_quiet_for_longer_than_it_ever_is_is_a_gap_until_it_speaks_again_and_a_quiet_night_is_none() {
    let world = World::new();
    connect_ward(&world);
    let speak = |n: i64| {
        let body = cloud(&[text(&format!("wamid.{n}"))], "messages");
        world.deliver("ward-3", "whatsapp-cloud", &body);
    };
    // Every day three, then a night of sixteen hours.
    for n in 0..30 {
        speak(n);
        world.pass(if n % 3 == 2 { 16 * HOUR } else { 4 * HOUR });
    }
    world.settle();
    assert!(world.gaps().is_empty(), "a night is none");
    // Twice the longest pause is 32 hours; 16 have passed since the last.
    world.pass(15 * HOUR);
    world.settle();
    assert!(world.gaps().is_empty());
    world.pass(2 * HOUR);
    world.settle();
    let gaps = world.gaps();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(
        (&gaps[0]["cause"], &gaps[0]["state"]),
        (&json!("silent"), &json!("open"))
    );
    assert_eq!(gaps[0]["connection"], "ward-3");
    world.pass(10 * HOUR);
    world.settle();
    assert_eq!(world.gaps().len(), 1, "said once");
    speak(30);
    world.settle();
    let gaps = world.gaps();
    assert_eq!((gaps.len(), &gaps[0]["state"]), (1, &json!("closed")), "{gaps:?}");
    assert_eq!(gaps[0]["closed"]["reason"], "resumed");
    let before: Vec<String> = gaps.iter().map(said).collect();
    world.vault().rebuild().unwrap();
    world.settle();
    assert_eq!(world.gaps().iter().map(said).collect::<Vec<_>>(), before);
}

#[test]
fn deliveries_that_could_not_be_kept_are_one_gap_with_their_number_and_forgeries_are_none() {
    let world = World::new();
    connect_ward(&world);
    let host = VaultHost::new(world.vault().clone());
    let from = world.vault().now();
    host.refused("ward-3", "no-vault", 3);
    world.pass(30);
    host.refused("ward-3", "not-written", 2);
    let to = world.vault().now();
    for forged in ["bad-signature", "no-signature", "bad-token", "not-found"] {
        host.refused("ward-3", forged, 7);
    }
    world.pass(30);
    world.settle();
    assert!(world.gaps().is_empty(), "it may not be over");
    world.pass(31);
    world.settle();
    let gaps = world.gaps();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(
        (&gaps[0]["cause"], &gaps[0]["count"]),
        (&json!("refused"), &json!(5))
    );
    assert_eq!(gaps[0]["connection"], "ward-3");
    assert_eq!(
        (&gaps[0]["from"], &gaps[0]["to"]),
        (&json!(from.to_string()), &json!(to.to_string()))
    );
    world.pass(HOUR);
    world.settle();
    assert_eq!(world.gaps().len(), 1, "said once");
}
