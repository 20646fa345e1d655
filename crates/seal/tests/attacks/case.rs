//! A bundle with all that is given beside it: what every verifier must answer alike.

use seal::note::NoteKey;
use seal::witness::WitnessKey;

use crate::{bundle, history, keys};

/// All that there are.
pub fn all() -> Vec<Case> {
    let mut cases = bundle::genuine();
    cases.extend(history::attacks());
    cases.extend(bundle::attacks());
    cases.extend(keys::cases());
    cases
}

/// What the examiner has.
#[derive(Clone, Default)]
pub struct Case {
    /// What is attacked, in kebab-case; a folder's name.
    pub name: String,
    /// The file.
    pub bundle: Vec<u8>,
    /// The zone's key, by another way than the bundle.
    pub key: Option<NoteKey>,
    /// A checkpoint that left the house, and what stands beside it.
    pub outside: Option<String>,
    /// The proof that stands beside that checkpoint.
    pub proof: Option<String>,
    /// The key of a witness.
    pub witness: Option<WitnessKey>,
    /// Root of a time-stamping authority, in PEM.
    pub root: Option<&'static str>,
    /// What the zone published when it replaced its key.
    pub succession: Option<String>,
    /// Whether nothing can find it, and why.
    pub limit: Option<&'static str>,
}
