//! The certificate of a destruction: what is gone, who decided it, and what nobody here can vouch for. It claims no more
//! than is true when it is written; written again later it may say more.

use govern::{Event, Outcome, RequestState};
use model::entry::{ActCode, Destruction, Kind};
use model::{KeyId, Position, Timestamp};
use seal::keyring::SecretKind;
use serde_json::{Value, json};

use super::super::epochs::epoch_label;
use super::super::{Inner, Vault, VaultError, locked};
use super::BY_PEOPLE;
use super::survey::Found;

/// Bundles named one by one; more are counted.
const BUNDLES_LISTED: usize = 1000;

impl Vault {
    /// The certificate of the destruction at `at`, as things stand now. Having it written is an act.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when no destruction that people ordered stands there.
    pub fn certificate(&self, at: Position, actor: &str) -> Result<Value, VaultError> {
        let inner = &self.inner;
        inner.wait_normalized(inner.ledger.head())?;
        let entry = inner.ledger.entry(at)?.filter(
            |entry| matches!(&entry.header.kind, Kind::Destruction(gone) if gone.reason == BY_PEOPLE),
        );
        let missing = || VaultError::NotFound(format!("destruction {at} that people ordered"));
        let entry = entry.ok_or_else(missing)?;
        let Kind::Destruction(gone) = &entry.header.kind else {
            return Err(missing());
        };
        inner.act(
            ActCode::KeysListed,
            &json!({ "listed": "certificate", "destruction": at, "actor": actor }),
        )?;
        // A checkpoint that covers it is signed now, if none does yet.
        inner.ledger.flush()?;
        inner.certify(at, gone, entry.header.recorded_at)
    }
}

impl Inner {
    fn certify(
        &self,
        at: Position,
        gone: &Destruction,
        destroyed_at: Timestamp,
    ) -> Result<Value, VaultError> {
        let decided = self.decided_by(at)?;
        let decided =
            decided.ok_or_else(|| VaultError::BadData(format!("destruction {at} does not say why")))?;
        let found = decided.found.unwrap_or_default();
        let Event::Destroyed { request } = decided.did else {
            return Err(VaultError::BadData(format!("destruction {at} names no request")));
        };
        let asked = {
            let governing = self.governing()?;
            governing.state.request(request).cloned()
        };
        let asked = asked.ok_or_else(|| VaultError::BadData(format!("request {request} is not there")))?;
        let (second, approved) = match &asked.state {
            RequestState::Over(Outcome::Destroyed { by, .. }) => (Some(by.clone()), true),
            _ => (None, false),
        };
        let signed = self.ledger.signed();
        let epochs = self.epochs_alive(&found);
        let has_copy = locked(&self.keys).has_copy();
        let swept = !locked(&self.reader).must_sweep()?;
        let copies = self.copies_known();
        let now = (self.clock)();
        let unexpired: Vec<_> = copies
            .iter()
            // By the ledger's order, not by clocks; and one whose date is past opens it while it is there.
            .filter(|copy| copy.head.is_none_or(|head| head <= at))
            .collect();
        let bundles = self.bundles_with(at, gone, &found)?;
        Ok(json!({
            "format": "chancery-destruction-certificate/1",
            "zone": self.file.zone,
            "public_key": self.file.public_key,
            "written_at": now,
            "destruction": at,
            "destroyed_at": destroyed_at,
            "request": request,
            "requested_by": asked.by,
            "requested_at": self.must_entry(request)?.header.recorded_at,
            "approved_by": second,
            "two_people": approved,
            "reason": asked.asked.reason,
            "legal_basis": asked.asked.legal_basis,
            "destroyed": {
                "secrets": found.secrets.iter().map(|(kind, key)| json!({ "kind": kind, "key": key })).collect::<Vec<_>>(),
                "messages": found.messages, "events": found.events, "problems": found.problems, "files": found.files,
                "captures": found.captures, "shared_captures": found.shared_captures,
                "positions": found.positions,
                "positions_left_out": (found.captures + found.shared_captures + found.files)
                    .saturating_sub(found.positions.len() as u64),
            },
            "checkpoint": signed.map(|signed| json!({
                "covers_it": signed.covers > at, "size": signed.size, "covers": signed.covers, "note": signed.note,
            })),
            "erasure": {
                // The last three are what else could open it here.
                "in_force": epochs.is_empty() && swept && unexpired.is_empty(),
                "epoch_keys_alive": epochs,
                "second_copy_of_key_store": has_copy,
                "derived_rows_deleted": true,
                "derived_rows_swept": swept,
                "key_store_copies_not_expired": unexpired,
            },
            "beyond_reach": {
                "bundles": bundles,
                "key_store_copies_made_elsewhere": "not known",
                "freed_disk_blocks": "overwritten once where the file system writes in place; not verified below that",
                "words_people_typed": "queries, reasons and holds in the record of acts are not searched for names",
                "said_by_others": "what others wrote about them stays",
            },
        }))
    }

    /// Destructions that people ordered and that are not in force yet: an epoch's key still opens what they concern, or what
    /// they deleted still stands in the catalogue's files.
    pub(in super::super) fn erasures_not_in_force(&self) -> Result<Vec<Position>, VaultError> {
        let done: Vec<Position> = {
            let governing = self.governing()?;
            let done = governing
                .state
                .requests()
                .filter_map(|(_, request)| match request.state {
                    RequestState::Over(Outcome::Destroyed { at, .. }) => Some(at),
                    _ => None,
                });
            done.collect()
        };
        let mut unfinished = Vec::new();
        if locked(&self.reader).must_sweep()? {
            return Ok(done);
        }
        for at in done {
            let found = self.decided_by(at)?.and_then(|decided| decided.found);
            if found.is_some_and(|found| !self.epochs_alive(&found).is_empty()) {
                unfinished.push(at);
            }
        }
        Ok(unfinished)
    }

    /// Epochs in which captures concerned were received and whose private keys are still here: they open them.
    fn epochs_alive(&self, found: &Found) -> Vec<u32> {
        let keys = locked(&self.keys);
        let alive = |epoch: &&u32| {
            keys.ring()
                .find(SecretKind::Epoch, &epoch_label(**epoch))
                .is_some()
        };
        found.epochs.iter().filter(alive).copied().collect()
    }

    /// Bundles written before the destruction that hold, or may hold, what was destroyed.
    fn bundles_with(&self, at: Position, gone: &Destruction, found: &Found) -> Result<Value, VaultError> {
        let exports = locked(&self.reader).acts(ActCode::Exported as u16)?;
        let (mut listed, mut more) = (Vec::new(), 0u64);
        let first = found.positions.first().copied();
        for export in exports.into_iter().filter(|export| *export < at) {
            let entry = self.must_entry(export)?;
            let body = self.open_act(&entry).unwrap_or_default();
            let holds = holds(&body, &gone.keys, first);
            if holds == Some(false) {
                continue;
            }
            if listed.len() >= BUNDLES_LISTED {
                more += 1;
                continue;
            }
            let field = |name: &str| body.get(name).cloned().unwrap_or_default();
            listed.push(json!({
                "entry": export, "released_at": entry.header.recorded_at, "by": field("actor"),
                "holds_it": if holds == Some(true) { "yes" } else { "cannot be told" },
            }));
        }
        Ok(json!({ "listed": listed, "left_out": more }))
    }
}

/// Whether a bundle hands out something that hung on these secrets; none when its act does not say.
fn holds(body: &Value, keys: &[KeyId], first: Option<Position>) -> Option<bool> {
    let released = body.get("released")?;
    if released.is_null() {
        // Everything up to where its checkpoint reached.
        let covers = body.get("covers").and_then(Value::as_u64)?;
        return Some(first.is_some_and(|first| first.0 < covers));
    }
    let named = released.get("keys").and_then(Value::as_array)?;
    let among = named
        .iter()
        .filter_map(|key| key.as_str()?.parse::<KeyId>().ok())
        .any(|key| keys.contains(&key));
    match (among, released.get("more").and_then(Value::as_bool)) {
        (true, _) => Some(true),
        (false, Some(false)) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_said_to_hold_what_was_destroyed_only_when_its_act_says_so() {
        let key = KeyId([7; 16]);
        let first = Some(Position(10));
        let named = |keys: &[KeyId], more: bool| json!({ "released": { "keys": keys, "more": more } });
        let cases = [
            (named(&[key], false), Some(true)),
            (named(&[key], true), Some(true)),
            (named(&[KeyId([8; 16])], false), Some(false)),
            (named(&[KeyId([8; 16])], true), None),
            (named(&[], false), Some(false)),
            (json!({ "released": null, "covers": 11 }), Some(true)),
            (json!({ "released": null, "covers": 10 }), Some(false)),
            (json!({ "released": null }), None),
            (json!({ "selection": "everything" }), None),
            (json!({ "released": { "more": false } }), None),
        ];
        for (body, expected) in cases {
            assert_eq!(holds(&body, &[key], first), expected, "{body}");
        }
    }
}
