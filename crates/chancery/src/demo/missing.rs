//! Three connections that fail in three ways, what is said of them, and how each is repaired.
//!
//! The program waits an hour before it says that something is missing. So the files are brought in as of three hours ago: by
//! this process, whose vault is given a clock that runs so far behind. Finding, saying and closing is then left to the
//! ordinary commands and the ordinary clock.

use std::fs::File;
use std::sync::Arc;

use model::Timestamp;
use seal::keyring::Unlock;
use serde_json::Value;
use server::vault::captures::Descriptor;
use server::vault::import::ImportOptions;
use server::vault::{Vault, VaultOptions};

use super::{Demo, failed, read_text};
use crate::failure::{DOES_NOT_HOLD, Failure};

/// Longer than what may still come is waited for.
const AGO_MICROS: i64 = 3 * 3_600_000_000;

struct Failing {
    connector: &'static str,
    connection: &'static str,
    cause: &'static str,
    how: &'static str,
    came: &'static str,
    came_later: &'static str,
}

const FAILING: [Failing; 3] = [
    Failing {
        connector: "generic-import",
        connection: "trading-desk",
        cause: "sequence-hole",
        how: "numbers its messages, and 3 and 4 did not come",
        came: "{\"platform_id\":\"t1\",\"conversation\":\"desk\",\"sender\":\"Ines Roth\",\"sent_at\":\"2025-11-24T08:00:01Z\",\"text\":\"Good morning\",\"details\":{\"seq\":1}}\n\
               {\"platform_id\":\"t2\",\"conversation\":\"desk\",\"sender\":\"Ines Roth\",\"sent_at\":\"2025-11-24T08:00:02Z\",\"text\":\"Ready when you are\",\"details\":{\"seq\":2}}\n\
               {\"platform_id\":\"t5\",\"conversation\":\"desk\",\"sender\":\"Ines Roth\",\"sent_at\":\"2025-11-24T08:05:00Z\",\"text\":\"Done\",\"details\":{\"seq\":5}}\n",
        came_later: "{\"platform_id\":\"t3\",\"conversation\":\"desk\",\"sender\":\"Ines Roth\",\"sent_at\":\"2025-11-24T08:01:00Z\",\"text\":\"Two lots?\",\"details\":{\"seq\":3}}\n\
                     {\"platform_id\":\"t4\",\"conversation\":\"desk\",\"sender\":\"Ines Roth\",\"sent_at\":\"2025-11-24T08:02:00Z\",\"text\":\"Two lots it is\",\"details\":{\"seq\":4}}\n",
    },
    Failing {
        connector: "generic-import",
        connection: "front-desk",
        cause: "pointed-at",
        how: "has a reply to a message that never came",
        came: "{\"platform_id\":\"f2\",\"conversation\":\"desk\",\"sender\":\"Omar Haddad\",\"sent_at\":\"2025-11-24T09:10:00Z\",\"text\":\"Yes, at noon\",\"quote\":{\"platform_id\":\"f1\"}}\n",
        came_later: "{\"platform_id\":\"f1\",\"conversation\":\"desk\",\"sender\":\"Lena Koch\",\"sent_at\":\"2025-11-24T09:09:00Z\",\"text\":\"Is the room free at noon?\"}\n",
    },
    Failing {
        connector: "wecom-archive",
        connection: "shanghai",
        cause: "undecrypted",
        how: "has an item whose key version the company lost",
        came: "{\"seq\":1,\"msgid\":\"w1\",\"publickey_ver\":3,\"encrypt_random_key\":\"AA==\",\"encrypt_chat_msg\":\"AA==\"}\n",
        came_later: "{\"msgid\":\"w1\",\"seq\":1,\"action\":\"send\",\"from\":\"zhang\",\"tolist\":[\"li\"],\"roomid\":\"\",\"msgtime\":1763974800000,\"msgtype\":\"text\",\"text\":{\"content\":\"合同已发\"}}\n",
    },
];

impl Demo {
    /// Brings in what came, as of three hours ago.
    pub(super) fn lose(&self) -> Result<(), Failure> {
        self.say(
            "\n3. Three connections that each lack something. What is missing is missed after an hour, for it may come late; so this\n   \
             demo, and nothing else, brings their files in as of three hours ago.",
        )?;
        let passphrase = read_text(&self.passphrase)?;
        let clock = || {
            let now = jiff::Timestamp::now().as_microsecond();
            Timestamp::from_micros(now.saturating_sub(AGO_MICROS))
        };
        let unlock = Unlock::Passphrase(passphrase.as_bytes());
        let vault = Vault::open(&self.data, &unlock, VaultOptions::with_clock(Arc::new(clock)))?;
        for failing in &FAILING {
            let path = self.folder.join(format!("{}.jsonl", failing.connection));
            std::fs::write(&path, failing.came).map_err(failed("writing a sample"))?;
            let mut file = File::open(&path).map_err(failed("reading a sample"))?;
            let options = ImportOptions {
                connector: failing.connector.to_owned(),
                connection: Some(failing.connection.to_owned()),
                descriptor: Descriptor::default(),
                actor: "demo".to_owned(),
            };
            vault.import(&mut file, &options, &mut |_, _| {})?;
            self.say(&format!(
                "  {:16}{:14}{}",
                failing.connector, failing.connection, failing.how
            ))?;
        }
        vault.wait_normalized(vault.ledger().head())?;
        drop(vault);
        self.must(&["capture", "gaps", "--open"])?;
        for failing in &FAILING {
            self.is("open", failing)?;
        }
        Ok(())
    }

    /// Hands in what was missing.
    pub(super) fn repair(&self) -> Result<(), Failure> {
        self.say("\n10. What was missing is handed in. Each gap closes by itself, with its reason; both stay in the record.")?;
        for failing in &FAILING {
            let path = self.path(&format!("{}-later.jsonl", failing.connection));
            std::fs::write(&path, failing.came_later).map_err(failed("writing a sample"))?;
            self.must(&[
                "import",
                failing.connector,
                &path,
                "--connection",
                failing.connection,
            ])?;
            self.is("closed", failing)?;
        }
        self.must(&["capture", "gaps"]).map(drop)
    }

    /// The one gap of a connection has this state, and its cause.
    fn is(&self, state: &str, failing: &Failing) -> Result<(), Failure> {
        let said = self.ask(&["capture", "gaps", "--connection", failing.connection])?;
        let gaps = said.first().and_then(|said| said.get("gaps")?.as_array());
        let own = |gap: &&Value| gap.get("connection").and_then(Value::as_str) == Some(failing.connection);
        let own: Vec<&Value> = gaps.into_iter().flatten().filter(own).collect();
        let word = |name: &str| own.first().and_then(|gap| gap.get(name)?.as_str());
        if own.len() == 1 && word("cause") == Some(failing.cause) && word("state") == Some(state) {
            return Ok(());
        }
        Err(Failure::new(
            DOES_NOT_HOLD,
            format!(
                "the gap of {} is not the one {} gap of cause {} that it should be",
                failing.connection, state, failing.cause
            ),
        ))
    }
}
