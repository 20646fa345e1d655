//! Escrow of the key store: made by the open vault, opened without it.

use model::entry::ActCode;
use model::{KeyId, Timestamp};
use seal::Key;
use seal::escrow::{EscrowError, Recipient, Share, check_signature, make, recover};
use seal::keyring::{Keyring, PassphraseCost, Record, SecretKind, Unlock};
use seal::note::NoteKey;
use seal::suite::{EcdhPrivate, SigningKey, commitment, hex};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::StoreError;
use zeroize::Zeroizing;

use super::checks::{Check, CheckKind};
use super::folder::{SIGNING_LABEL, own_secret};
use super::{Inner, Vault, VaultError, locked};

const CLASS: &str = "escrow";
const CURRENT: &str = "current";
const KEY_CLASS: &str = "escrow-key";
/// The zone that stands in the head of a recipient's key file.
const KEY_ZONE: &str = "escrow";

/// What is known of the escrow that was made last.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Escrow {
    /// Its id.
    pub id: String,
    /// When.
    pub made_at: Timestamp,
    /// So many are needed.
    pub threshold: u8,
    /// Of these.
    pub recipients: Vec<String>,
    /// Commitment to the master key that was split.
    pub master: String,
}

/// What an escrow opened.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct OpenedByEscrow {
    /// Whose key store.
    pub zone: String,
    /// The escrow.
    pub escrow: String,
    /// By whom.
    pub by: Vec<String>,
    /// How many were needed.
    pub threshold: u8,
    /// Secrets that live in the key store that was opened.
    pub secrets: usize,
}

fn refused(error: EscrowError) -> VaultError {
    match error {
        EscrowError::Seal(error) => error.into(),
        EscrowError::Count(text) => VaultError::Usage(text),
        other => VaultError::BadData(other.to_string()),
    }
}

/// A new key for a recipient: the bytes of its file, sealed, and the line that is public.
///
/// # Errors
/// [`VaultError::Usage`] for a name that cannot be one; [`VaultError::Store`] for a weak passphrase.
pub fn new_recipient(
    name: &str,
    unlock: &Unlock<'_>,
    cost: PassphraseCost,
) -> Result<(Vec<u8>, String), VaultError> {
    if !seal::escrow::is_name(name) {
        return Err(VaultError::Usage(format!(
            "{name:?} is no name for a recipient: 1 to 64 of letters, digits, . _ @ and -"
        )));
    }
    let private = EcdhPrivate::generate()?;
    let recipient = Recipient {
        name: name.to_owned(),
        point: private.public()?,
    };
    let zone = KEY_ZONE
        .parse()
        .map_err(|_| VaultError::Usage("zone".to_owned()))?;
    let (mut ring, mut file) = Keyring::create(zone, unlock, cost).map_err(StoreError::from)?;
    let record = Record::Item {
        class: KEY_CLASS.to_owned(),
        name: name.to_owned(),
        bytes: Zeroizing::new(private.scalar()?.reveal().to_vec()),
    };
    file.extend(ring.append(record).map_err(StoreError::from)?);
    Ok((file, recipient.encode()))
}

/// Opens a recipient's key file.
///
/// # Errors
/// [`VaultError::Store`] for a wrong passphrase; [`VaultError::BadData`] for another file.
pub fn open_recipient(file: &[u8], unlock: &Unlock<'_>) -> Result<EcdhPrivate, VaultError> {
    let ring = Keyring::open(file, unlock).map_err(StoreError::from)?.ring;
    let name = ring.item_names(KEY_CLASS).pop();
    let scalar = name.as_ref().and_then(|name| ring.item(KEY_CLASS, name));
    let scalar = scalar.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let scalar = scalar.ok_or_else(|| VaultError::BadData("it holds no recipient's key".to_owned()))?;
    Ok(EcdhPrivate::from_scalar(&Key::from_bytes(scalar))?)
}

/// Opens a copy of the key store with shares and their recipients' keys alone.
///
/// # Errors
/// [`VaultError::BadData`] names the share that is altered, of another escrow, or not opened by any of the keys;
/// [`VaultError::Usage`] when they are too few; [`VaultError::Store`] when the key store is another's, or was sealed anew
/// since the escrow was made.
pub fn open_by_escrow(
    shares: &[(String, String)],
    keys: &[EcdhPrivate],
    keystore: &[u8],
) -> Result<(Keyring, OpenedByEscrow), VaultError> {
    let of = |name: &str, error: EscrowError| match refused(error) {
        VaultError::BadData(text) => VaultError::BadData(format!("{name}: {text}")),
        other => other,
    };
    let mut opened = Vec::new();
    for (name, note) in shares {
        let share = Share::decode(note).map_err(|error| of(name, error))?;
        let mut tried = Err(EscrowError::NotOpened(share.recipient.clone()));
        for key in keys {
            tried = tried.or_else(|_| share.open(key));
        }
        opened.push((share, tried.map_err(|error| of(name, error))?));
    }
    let master = recover(&opened).map_err(refused)?;
    let ring = Keyring::open_with_master(keystore, &master).map_err(|error| match error {
        seal::keyring::KeyringError::Wrong => VaultError::BadData(
            "the escrow is not of this key store, or its passphrase was changed since; take a copy of before, or an escrow \
             that was made later"
                .to_owned(),
        ),
        other => StoreError::from(other).into(),
    })?;
    let ring = ring.ring;
    check_shares(shares, &ring)?;
    let living = ring.all().filter(|(_, held)| held.secret.is_some()).count();
    let first = opened.first().map(|(share, _)| share.clone());
    let done = OpenedByEscrow {
        zone: ring.zone().to_string(),
        escrow: first
            .as_ref()
            .map(|share| share.escrow.clone())
            .unwrap_or_default(),
        by: opened.iter().map(|(share, _)| share.recipient.clone()).collect(),
        threshold: first.map_or(0, |share| share.threshold),
        secrets: living,
    };
    Ok((ring, done))
}

/// The zone's key, which the ring holds, must have signed every share.
fn check_shares(shares: &[(String, String)], ring: &Keyring) -> Result<(), VaultError> {
    let seed = ring
        .find(SecretKind::Signing, &SIGNING_LABEL)
        .and_then(|id: KeyId| ring.secret(id));
    let seed =
        seed.ok_or_else(|| StoreError::Mismatch("the key store lacks the zone's signing key".to_owned()))?;
    let public = SigningKey::from_seed(seed)?.public();
    // A share may be from before the signing key was replaced.
    let older = super::rotation::older_publics(ring);
    for (name, note) in shares {
        let signer = seal::note::Note::parse(note).ok();
        let signer = signer.and_then(|note| note.signatures.first().map(|(name, _)| (*name).to_owned()));
        let by = |public: [u8; 32]| {
            let name = signer.clone().unwrap_or_default();
            check_signature(note, &NoteKey { name, public })
        };
        let checked =
            by(public).or_else(|error| older.iter().find_map(|public| by(*public).ok()).ok_or(error));
        checked.map_err(|error| VaultError::BadData(format!("{name}: {error}")))?;
    }
    Ok(())
}

/// The bytes of a key store that another passphrase or key file opens.
///
/// # Errors
/// [`VaultError::Store`].
pub fn seal_anew(
    ring: &mut Keyring,
    unlock: &Unlock<'_>,
    cost: PassphraseCost,
) -> Result<Vec<u8>, VaultError> {
    ring.change_unlock(unlock, cost).map_err(StoreError::from)?;
    Ok(ring.rewrite().map_err(StoreError::from)?)
}

impl Vault {
    /// Splits what opens the key store among the recipients; a signed share for each, in order.
    ///
    /// # Errors
    /// [`VaultError::Usage`] for recipients or a threshold that cannot be; [`VaultError::Store`].
    pub fn make_escrow(
        &self,
        recipients: &[String],
        threshold: u8,
        actor: &str,
    ) -> Result<(Escrow, Vec<String>), VaultError> {
        let inner = &self.inner;
        let recipients: Vec<Recipient> = recipients
            .iter()
            .map(|text| Recipient::decode(text).map_err(refused))
            .collect::<Result<_, _>>()?;
        let mut keys = locked(&inner.keys);
        let (_, seed) = own_secret(&keys, SecretKind::Signing, &SIGNING_LABEL)?;
        let signing = SigningKey::from_seed(&seed)?;
        let made = make(
            &inner.file.zone,
            keys.ring().master(),
            &recipients,
            threshold,
            (&signing, &inner.note_key().name),
        )
        .map_err(refused)?;
        let escrow = Escrow {
            id: made.id,
            made_at: (inner.clock)(),
            threshold,
            recipients: recipients.iter().map(|one| one.name.clone()).collect(),
            master: hex(&commitment(keys.ring().master())),
        };
        inner.act(ActCode::Escrowed, &json!({ "escrow": escrow, "actor": actor }))?;
        keys.append(vec![Record::Item {
            class: CLASS.to_owned(),
            name: CURRENT.to_owned(),
            bytes: Zeroizing::new(serde_json::to_vec(&escrow).unwrap_or_default()),
        }])?;
        Ok((escrow, made.shares))
    }

    /// Writes down that the key store was opened by the escrow alone.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn note_escrow_drill(&self, opened: &Value, actor: &str) -> Result<Value, VaultError> {
        let act = json!({ "escrow_drill": opened, "actor": actor });
        let at = self.inner.act(ActCode::Drilled, &act)?;
        Ok(json!({ "written_down_as_entry": at }))
    }
}

impl Inner {
    /// For `doctor`; none when there is no escrow.
    pub(crate) fn check_escrow(&self) -> Result<Option<Check>, VaultError> {
        let (escrow, is_current) = {
            let keys = locked(&self.keys);
            let bytes = keys.ring().item(CLASS, CURRENT);
            let Some(escrow) = bytes.and_then(|bytes| serde_json::from_slice::<Escrow>(bytes).ok()) else {
                return Ok(None);
            };
            let is_current = escrow.master == hex(&commitment(keys.ring().master()));
            (escrow, is_current)
        };
        let (made, threshold, people) = (escrow.made_at, escrow.threshold, escrow.recipients.join(", "));
        let detail = if is_current {
            let drilled = self.last_act(ActCode::Drilled, "/escrow_drill")?;
            let drilled = drilled.filter(|(_, said)| said.get("escrow") == Some(&json!(escrow.id)));
            let tried = drilled.map_or("never opened in a drill".to_owned(), |(at, _)| {
                format!("last opened in a drill at {at}")
            });
            format!("made at {made}, {threshold} of {people}; {tried}")
        } else {
            format!(
                "stale: made at {made}, before what opens the key store was changed; make it anew with \
                 `chancery escrow make` ({threshold} of {people})"
            )
        };
        let check = "the escrow opens the key store";
        Ok(Some(Check::new(CheckKind::Escrow, check, is_current, detail)))
    }
}
