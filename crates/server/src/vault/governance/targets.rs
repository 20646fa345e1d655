//! From what people type to the secrets it means.

use std::collections::BTreeSet;

use model::KeyId;
use seal::Key;
use seal::keyring::{Label, SecretKind};
use serde::{Deserialize, Serialize};

use super::super::{Inner, VaultError, locked};

/// Kinds of ids by which connectors name people. A person is looked for under each.
const ID_KINDS: [&str; 14] = [
    "phone",
    "bsuid",
    "parent_bsuid",
    "username",
    "whatsapp_id",
    "phone_number_id",
    "wecom_userid",
    "wecom_external",
    "wecom_robot",
    "userid",
    "external_userid",
    "openid",
    "email",
    "name",
];

const NAMED: &[u8] = b"chancery/1/named";

/// What is to be destroyed, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// Ids or titles of conversations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conversations: Vec<String>,
    /// Names or handles of people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub persons: Vec<String>,
    /// Months, as in `2024-01`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub periods: Vec<String>,
    /// Only of this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// People called so in this conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

/// `2024-01` as `Timestamp::month` counts.
fn month(text: &str) -> Result<i32, VaultError> {
    let wrong = || VaultError::Usage(format!("{text}: a period is a month, as in 2024-01"));
    let (year, month) = text.split_once('-').ok_or_else(wrong)?;
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(year, 4) || !digits(month, 2) {
        return Err(wrong());
    }
    let (year, month): (i32, i32) = (
        year.parse().map_err(|_| wrong())?,
        month.parse().map_err(|_| wrong())?,
    );
    if !(1..=12).contains(&month) {
        return Err(wrong());
    }
    Ok(year * 12 + month - 1)
}

/// The digits of what looks like a phone number.
fn phone(word: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_digit() || "+ -().\u{a0}\u{2011}\u{202f}".contains(c);
    let digits: String = word.chars().filter(char::is_ascii_digit).collect();
    (word.chars().all(allowed) && digits.len() >= 5).then_some(digits)
}

impl Inner {
    /// Labels of conversations with this id or title, in this connection or any.
    pub(in crate::vault) fn conversations_named(
        &self,
        word: &str,
        connection: Option<&str>,
    ) -> Result<Vec<Label>, VaultError> {
        let mut connections: BTreeSet<String> = self
            .connections()
            .into_iter()
            .map(|config| config.id.to_string())
            .collect();
        connections.extend(
            locked(&self.reader)
                .by_connection()?
                .into_iter()
                .map(|(id, _, _)| id),
        );
        let labels: BTreeSet<Label> = connections
            .iter()
            .filter(|id| connection.is_none_or(|only| only == id.as_str()))
            .flat_map(|id| self.conversation_in(id, word))
            .collect();
        Ok(labels.into_iter().collect())
    }

    /// Labels of the conversation with this id or title in one connection, whether it is there yet or not.
    pub(super) fn conversation_in(&self, connection: &str, word: &str) -> Vec<Label> {
        let label = |word: &str| self.labels.conversation_named(connection, word);
        let digits = phone(word);
        std::iter::once(word)
            .chain(digits.as_deref())
            .map(label)
            .collect()
    }

    /// Labels of the person with this handle, whatever kind it is, whether they were heard of yet or not.
    pub(super) fn person_with(&self, word: &str) -> Vec<Label> {
        let digits = phone(word);
        let words = || std::iter::once(word).chain(digits.as_deref());
        let of_kind = |kind: &'static str| words().map(move |word| self.labels.person_by_id(kind, word));
        ID_KINDS.into_iter().flat_map(of_kind).collect()
    }

    /// Labels of people with this name or handle. A name counts within its conversation: it is looked for in these, or in
    /// all there ever were.
    pub(super) fn persons_named(&self, word: &str, within: Option<&[Label]>) -> Vec<Label> {
        let mut labels: BTreeSet<Label> = BTreeSet::new();
        if within.is_none() {
            labels.extend(self.person_with(word));
            labels.insert(self.labels.person_by_name(None, word));
        }
        let known: Vec<Label> = match within {
            Some(within) => within.to_vec(),
            None => {
                let keys = locked(&self.keys);
                let conversations = keys.ring().all();
                conversations
                    .filter(|(_, held)| held.kind == SecretKind::Conversation)
                    .map(|(_, held)| held.label)
                    .collect()
            }
        };
        labels.extend(
            known
                .iter()
                .map(|label| self.labels.person_by_name(Some(label), word)),
        );
        labels.into_iter().collect()
    }

    pub(in crate::vault) fn living(&self, kind: SecretKind, labels: &[Label]) -> Vec<KeyId> {
        let keys = locked(&self.keys);
        labels
            .iter()
            .filter_map(|label| keys.ring().find(kind, label))
            .collect()
    }

    /// The living secrets that are meant, ascending.
    pub(super) fn secrets_of(&self, targets: &Targets) -> Result<Vec<KeyId>, VaultError> {
        let only = targets.connection.as_deref();
        let mut all = BTreeSet::new();
        for word in &targets.conversations {
            let found = self.living(SecretKind::Conversation, &self.conversations_named(word, only)?);
            all.extend(one(&found, "conversation", "--connection ID")?);
        }
        let within = targets
            .within
            .as_deref()
            .map(|word| self.conversations_named(word, only))
            .transpose()?;
        for word in &targets.persons {
            let found = self.living(SecretKind::Person, &self.persons_named(word, within.as_deref()));
            all.extend(one(
                &found,
                "person",
                "--in CONVERSATION, or a number or other handle",
            )?);
        }
        for text in &targets.periods {
            let found = self.living(SecretKind::Period, &[self.labels.period(month(text)?)]);
            all.extend(one(&found, "period", "")?);
        }
        if all.is_empty() {
            return Err(VaultError::Usage(
                "name what is to be destroyed: --conversation, --person or --period".to_owned(),
            ));
        }
        Ok(all.into_iter().collect())
    }

    /// Seals what was typed under the secret that is to die, so that the second person can read whom it concerns, and
    /// nobody afterwards.
    pub(super) fn seal_named(&self, targets: &Targets, keys: &[KeyId]) -> Result<Option<String>, VaultError> {
        let salt: [u8; 16] = seal::suite::random()?;
        let Some(key) = self.named_key(keys, &salt)? else {
            return Ok(None);
        };
        let mut sealed = serde_json::to_vec(targets).unwrap_or_default();
        seal::suite::seal(&key, [0; 12], NAMED, &mut sealed)?;
        Ok(Some(seal::suite::hex(&[salt.as_slice(), &sealed].concat())))
    }

    /// What was typed, while all it concerns lives.
    pub(super) fn open_named(&self, named: &str, keys: &[KeyId]) -> Result<Option<Targets>, VaultError> {
        let bytes = seal::suite::unhex(named).unwrap_or_default();
        let Some((salt, sealed)) = bytes.split_first_chunk::<16>() else {
            return Ok(None);
        };
        let Some(key) = self.named_key(keys, salt)? else {
            return Ok(None);
        };
        let mut plain = Vec::new();
        seal::suite::open(&key, [0; 12], NAMED, sealed, &mut plain)?;
        Ok(serde_json::from_slice(&plain).ok())
    }

    fn named_key(&self, keys: &[KeyId], salt: &[u8; 16]) -> Result<Option<Key>, VaultError> {
        let joint = self.joint_key(keys)?;
        Ok(joint
            .map(|joint| seal::suite::derive_from_key(&joint, &[NAMED, salt]))
            .transpose()?)
    }
}

/// Just one is meant by each word: a destruction of several by an oversight cannot be undone.
fn one(found: &[KeyId], what: &str, narrow: &str) -> Result<[KeyId; 1], VaultError> {
    match found {
        [key] => Ok([*key]),
        [] => Err(VaultError::NotFound(format!(
            "{what} of that name here whose content could still be read"
        ))),
        several => Err(VaultError::Usage(format!(
            "{} have that {what}'s name; say which, with {narrow}",
            several.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_a_month_and_nothing_else() {
        assert_eq!(month("2024-01").unwrap(), 2024 * 12);
        assert_eq!(month("1999-12").unwrap(), 1999 * 12 + 11);
        for text in [
            "",
            "2024",
            "2024-1",
            "2024-13",
            "2024-00",
            "24-01",
            "2024-01-31",
            "+024-01",
            "2024/01",
        ] {
            assert!(month(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_is_read_however_it_is_typed_and_a_name_is_no_number() {
        for text in ["+49 151 23456", "4915123456", "(+49) 151-23456"] {
            assert_eq!(phone(text).as_deref(), Some("4915123456"), "{text}");
        }
        for text in ["Ann 12345", "", "+", "12", "room 101", "12345@c.us"] {
            assert_eq!(phone(text), None, "{text}");
        }
    }
}
