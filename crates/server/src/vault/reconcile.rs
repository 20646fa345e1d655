//! What a comparison of two accounts needs of the vault: a captured conversation, read after an act says so, and an act
//! with the result.

use std::collections::BTreeSet;
use std::io::Read;

use model::entry::{ActCode, Kind};
use model::record::Record;
use model::{KeyId, MessageId, Position};
use seal::keyring::SecretKind;
use seal::suite::Hasher;
use serde::Serialize;
use serde_json::{Value, json};
use store::catalogue::{RecordSort, SearchFilter};

use super::show::RowOpener;
use super::{Vault, VaultError, locked};

/// Records read from the catalogue at once.
const PAGE: u32 = 1000;

/// A captured conversation: its living secrets, one for each connection that captured it.
pub struct Conversation {
    keys: BTreeSet<KeyId>,
}

impl Conversation {
    /// What the acts call it. Not what people call it: that would stay when its secret is destroyed.
    pub fn named(&self) -> Value {
        let keys: Vec<String> = self.keys.iter().map(KeyId::to_string).collect();
        json!({ "conversation": keys })
    }
}

/// That the act which says what is compared is durable; without it nothing is read.
pub struct Begun {
    at: Position,
}

/// What a captured conversation can be relied upon for: "missing" and "not captured" must not look the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// Entries in the ledger.
    pub head: Position,
    /// Entries that are normalized, and so were looked at.
    pub normalized: Position,
    /// Captures that no key opens.
    pub unreadable: u64,
    /// Records that were destroyed, in any conversation.
    pub erased: u64,
    /// Gaps open, in any connection.
    pub gaps: u64,
}

/// Takes bytes, and becomes a digest that tells nobody anything without the vault's key.
#[derive(Default)]
pub struct Digesting(Hasher);

impl Digesting {
    /// More bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

impl Vault {
    /// The conversation with this id, or with this title where its source gives no id; in this connection or any.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], also when its secrets are destroyed.
    pub fn captured_conversation(
        &self,
        id: &str,
        connection: Option<&str>,
    ) -> Result<Conversation, VaultError> {
        let labels = self.inner.conversations_named(id, connection)?;
        let keys: BTreeSet<KeyId> = self
            .inner
            .living(SecretKind::Conversation, &labels)
            .into_iter()
            .collect();
        if keys.is_empty() {
            return Err(VaultError::NotFound("conversation of this id".to_owned()));
        }
        Ok(Conversation { keys })
    }

    /// Writes down what is about to be compared. Durable when it returns.
    ///
    /// # Errors
    /// [`VaultError::Store`]: then nothing is read.
    pub fn begin_reconciling(&self, a: &Value, b: &Value, actor: &str) -> Result<Begun, VaultError> {
        let body = json!({ "a": a, "b": b, "actor": actor });
        let at = self.inner.act(ActCode::ReconcileBegun, &body)?;
        Ok(Begun { at })
    }

    /// Every record of a conversation that is no repeat, in the order of capture.
    ///
    /// # Errors
    /// Those of the store and of `each`.
    pub fn each_of_conversation(
        &self,
        _begun: &Begun,
        conversation: &Conversation,
        each: &mut dyn FnMut(MessageId, &Record<'_>) -> Result<(), VaultError>,
    ) -> Result<Reach, VaultError> {
        let filter = SearchFilter {
            without_repeats: true,
            ..SearchFilter::default()
        };
        let mut opener = RowOpener::new(&self.inner);
        let mut after = None;
        loop {
            let page = locked(&self.inner.reader).records(&filter, after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            let of_it = |key: &KeyId| conversation.keys.contains(key);
            let wanted = page
                .iter()
                .filter(|row| of_it(&row.conversation) && row.sort != RecordSort::Problem);
            for row in wanted {
                let Some(bytes) = opener.open(row)? else { continue };
                if let Ok(record) = serde_json::from_slice::<Record<'_>>(bytes) {
                    each(row.id, &record)?;
                }
            }
        }
        let reader = locked(&self.inner.reader);
        let erased = reader.count_erased()?;
        Ok(Reach {
            head: self.inner.ledger.head(),
            normalized: self.progress().normalized,
            unreadable: reader.count_unreadable()?,
            erased: erased.0 + erased.1,
            gaps: reader.count_gaps()?.1,
        })
    }

    /// The keyed digest of all these bytes, 32 hex digits.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn keyed_digest(&self, input: &mut dyn Read) -> Result<String, VaultError> {
        let mut digesting = Digesting::default();
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = input.read(&mut buffer).map_err(VaultError::Capture)?;
            if count == 0 {
                return Ok(self.finish_digest(digesting));
            }
            digesting.update(buffer.get(..count).unwrap_or(&[]));
        }
    }

    /// See [`Digesting`].
    pub fn finish_digest(&self, digesting: Digesting) -> String {
        let label = self.inner.labels.digest(&[b"reconciled", &digesting.0.finish()]);
        seal::suite::hex(&label)
    }

    /// What an act says of a comparison that began, or of what it found; none where the entry is no such act.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn reconciliation(&self, at: Position) -> Result<Option<(ActCode, Value)>, VaultError> {
        let entry = self.inner.must_entry(at)?;
        let code = match &entry.header.kind {
            Kind::Act(act) => act.code,
            _ => return Ok(None),
        };
        let wanted = matches!(code, ActCode::ReconcileBegun | ActCode::Reconciled);
        let body = wanted.then(|| self.inner.open_act(&entry)).flatten();
        Ok(body.map(|body| (code, body)))
    }

    /// Writes down what a comparison found. `result` holds counts and digests, no content.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn end_reconciling(
        &self,
        begun: &Begun,
        mut result: Value,
        actor: &str,
    ) -> Result<Position, VaultError> {
        if let Value::Object(fields) = &mut result {
            fields.insert("begun".to_owned(), json!(begun.at));
            fields.insert("actor".to_owned(), json!(actor));
        }
        self.inner.act(ActCode::Reconciled, &result)
    }
}
