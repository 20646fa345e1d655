//! One signing key after another, under one log.
//!
//! A statement names the old key, the new one, and the last checkpoint that the old one signed; both sign it. So who holds
//! only the old key finds the new one proved, and who holds the new one knows how far the old one counts. Where the old key
//! was stolen, a thief could have signed such a statement too: then it says *compromised*, and the old key proves nothing
//! but what somebody outside had seen before.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Timestamp;

use crate::note::{Checkpoint, Note, NoteError, NoteKey, signature_line};
use crate::suite::SigningKey;
use crate::witness::decimal;

const FIRST_LINE: &str = "chancery-succession/1";

/// Most statements of one log that are read: a key a week for a decade.
pub const STATEMENTS_MAX: usize = 512;

/// Why a key was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// In the ordinary course.
    Rotated,
    /// Somebody else may have it.
    Compromised,
}

impl Reason {
    /// As statements spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Rotated => "rotated",
            Reason::Compromised => "compromised",
        }
    }
}

/// That a key took another's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The key before.
    pub old: NoteKey,
    /// The key after, of the same name.
    pub new: NoteKey,
    /// When, by the server's clock.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
    /// Size and root of the last checkpoint that the old key signed.
    pub last: Checkpoint,
}

impl Statement {
    fn text(&self) -> String {
        format!(
            "{FIRST_LINE}\nold {}\nnew {}\nat {}\nreason {}\nlast {} {}\n",
            self.old.encode(),
            self.new.encode(),
            self.at,
            self.reason.name(),
            self.last.size,
            STANDARD.encode(self.last.root),
        )
    }

    /// The note, signed by both keys.
    pub fn sign(&self, old: &SigningKey, new: &SigningKey) -> String {
        let text = self.text();
        let (by_old, by_new) = (
            signature_line(&text, old, &self.old.name),
            signature_line(&text, new, &self.new.name),
        );
        format!("{text}\n{by_old}{by_new}")
    }

    /// Reads a note and checks both signatures.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn open(note: &str) -> Result<Statement, NoteError> {
        let note = Note::parse(note)?;
        let statement = Statement::parse(note.text).ok_or(NoteError::Form("statement of succession"))?;
        if note.signatures.len() != 2 {
            return Err(NoteError::Form("statement of succession"));
        }
        note.check(&statement.old)?;
        note.check(&statement.new)?;
        Ok(statement)
    }

    fn parse(text: &str) -> Option<Statement> {
        let lines: Vec<&str> = text.split('\n').collect();
        let [FIRST_LINE, old, new, at, reason, last, ""] = lines.as_slice() else {
            return None;
        };
        let old = NoteKey::decode(old.strip_prefix("old ")?).ok()?;
        let new = NoteKey::decode(new.strip_prefix("new ")?).ok()?;
        let (size, root) = last.strip_prefix("last ")?.split_once(' ')?;
        let reason = match reason.strip_prefix("reason ")? {
            "rotated" => Reason::Rotated,
            "compromised" => Reason::Compromised,
            _ => return None,
        };
        let statement = Statement {
            at: Timestamp::parse(at.strip_prefix("at ")?).ok()?,
            reason,
            last: Checkpoint {
                origin: old.name.clone(),
                size: decimal(size)?,
                root: STANDARD.decode(root).ok()?.try_into().ok()?,
            },
            old,
            new,
        };
        let fits = statement.old.name == statement.new.name && statement.old != statement.new;
        (fits && statement.text() == text).then_some(statement)
    }

    /// Whether the old key had signed such a checkpoint before it was replaced.
    fn allows(&self, checkpoint: &Checkpoint) -> bool {
        let last = &self.last;
        checkpoint.size < last.size || checkpoint.size == last.size && checkpoint.root == last.root
    }
}

/// That a key may be somebody else's too: what it signs proves nothing by itself any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenUp {
    /// Since when, as the statement says.
    pub at: Timestamp,
    /// Which key of the log.
    pub generation: usize,
}

/// The keys of one log, from the first that is told of to the one in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    current: NoteKey,
    /// Oldest first; each takes the place of the key before.
    statements: Vec<Statement>,
    /// One that came by another way, and which key's place was taken by it.
    outside: Option<(usize, Statement)>,
}

impl Lineage {
    /// A key, and the statements that lead to it, oldest first.
    ///
    /// # Errors
    /// [`NoteError`] when a statement does not hold, or they do not lead from one to the next and to the key, or a key
    /// that was replaced comes back.
    pub fn new<'n>(
        current: NoteKey,
        statements: impl IntoIterator<Item = &'n str>,
    ) -> Result<Lineage, NoteError> {
        let broken = NoteError::Form("row of statements that leads to the key");
        let statements: Vec<Statement> = statements
            .into_iter()
            .map(Statement::open)
            .collect::<Result<_, _>>()?;
        let next = statements.iter().skip(1).map(|statement| &statement.old);
        let follows = |(before, old): (&Statement, &NoteKey)| before.new == *old;
        let leads = statements.last().is_none_or(|last| last.new == current);
        if !leads || !statements.iter().zip(next).all(follows) || statements.len() > STATEMENTS_MAX {
            return Err(broken);
        }
        let publics: BTreeSet<_> = statements.iter().map(|statement| statement.old.public).collect();
        if publics.len() < statements.len() || publics.contains(&current.public) {
            return Err(broken);
        }
        Ok(Lineage {
            current,
            statements,
            outside: None,
        })
    }

    /// A key that took no other's place.
    pub fn of(current: NoteKey) -> Lineage {
        Lineage {
            current,
            statements: Vec::new(),
            outside: None,
        }
    }

    /// Takes a statement that came by another way, and holds these keys to it.
    ///
    /// # Errors
    /// What is not so, when it is about none of these keys, or another key than here took the old one's place.
    pub fn heed(&mut self, statement: Statement) -> Result<(), &'static str> {
        let generation = self
            .generation(&statement.old)
            .ok_or("it is about another key than the bundle's")?;
        let here = self.statements.get(generation);
        if here.is_some_and(|here| here.new != statement.new) {
            return Err(
                "it names another new key than the bundle does: one of the two was signed by a thief",
            );
        }
        self.outside = Some((generation, statement));
        Ok(())
    }

    /// The key in force.
    pub fn current(&self) -> &NoteKey {
        &self.current
    }

    /// The statements, oldest first.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Which key this is: 0 is the oldest.
    pub fn generation(&self, key: &NoteKey) -> Option<usize> {
        if *key == self.current {
            return Some(self.statements.len());
        }
        self.statements.iter().position(|statement| statement.old == *key)
    }

    /// Whether a key, or one that was reached from it, was given up as compromised: by the earliest time and the oldest key
    /// of all statements that say so.
    pub fn given_up(&self, generation: usize) -> Option<GivenUp> {
        let inside = self.statements.iter().enumerate();
        let outside = self.outside.as_ref();
        let all = inside.chain(outside.map(|(generation, statement)| (*generation, statement)));
        all.filter(|(of, statement)| *of >= generation && statement.reason == Reason::Compromised)
            .map(|(generation, statement)| GivenUp {
                at: statement.at,
                generation,
            })
            .reduce(|a, b| GivenUp {
                at: a.at.min(b.at),
                generation: a.generation.min(b.generation),
            })
    }

    /// Whether the key of a generation had signed such a checkpoint before it was replaced.
    fn allows(&self, generation: usize, checkpoint: &Checkpoint) -> bool {
        let inside = self.statements.get(generation);
        let outside = self.outside.iter().filter(|(of, _)| *of == generation);
        let mut all = inside.into_iter().chain(outside.map(|(_, statement)| statement));
        all.all(|statement| statement.allows(checkpoint))
    }

    /// Reads a checkpoint signed by one of the keys; by an older one only as far as its statement says that it signed.
    /// Says by which generation.
    ///
    /// # Errors
    /// [`NoteError`], as of the key in force.
    pub fn open(&self, note: &str) -> Result<(Checkpoint, usize), NoteError> {
        let older = self.statements.iter().map(|statement| &statement.old);
        let keys = older.chain([&self.current]).enumerate().collect::<Vec<_>>();
        let mut error = None;
        for (generation, key) in keys.into_iter().rev() {
            match Checkpoint::open(note, Some(key)) {
                Ok(checkpoint) if self.allows(generation, &checkpoint) => {
                    return Ok((checkpoint, generation));
                }
                Ok(_) => error = Some(NoteError::AfterLast),
                Err(found) => error = error.or(Some(found)),
            }
        }
        Err(error.unwrap_or(NoteError::NotSigned))
    }

    /// Reads a checkpoint signed by the key in force.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn pinned(&self, note: &str) -> Result<Checkpoint, NoteError> {
        let checkpoint = Checkpoint::open(note, Some(&self.current))?;
        let allowed = self.allows(self.statements.len(), &checkpoint);
        allowed.then_some(checkpoint).ok_or(NoteError::AfterLast)
    }

    /// As [`Lineage::open`], whichever of the keys it is.
    ///
    /// # Errors
    /// [`NoteError`], as of the key in force.
    pub fn checkpoint(&self, note: &str) -> Result<Checkpoint, NoteError> {
        self.open(note).map(|(checkpoint, _)| checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;

    fn key(seed: u8) -> (SigningKey, NoteKey) {
        let signing = SigningKey::from_seed(&Key::from_bytes([seed; 32])).unwrap();
        let public = signing.public();
        let name = "chancery/us/0a1b2c3d".to_owned();
        (signing, NoteKey { name, public })
    }

    fn statement(old: u8, new: u8, reason: Reason) -> (Statement, String) {
        let statement = Statement {
            old: key(old).1,
            new: key(new).1,
            at: Timestamp::from_seconds(1_700_000_000),
            reason,
            last: Checkpoint {
                origin: key(old).1.name,
                size: 17,
                root: [9; 32],
            },
        };
        let note = statement.sign(&key(old).0, &key(new).0);
        (statement, note)
    }

    #[test]
    fn a_statement_holds_only_signed_by_both_keys_and_with_no_byte_changed() {
        let (expected, note) = statement(1, 2, Reason::Rotated);
        assert_eq!(Statement::open(&note), Ok(expected.clone()));
        for at in 0..note.len() {
            let mut changed = note.clone().into_bytes();
            changed[at] ^= 1;
            if let Ok(changed) = String::from_utf8(changed) {
                assert!(Statement::open(&changed).is_err(), "byte {at}");
            }
        }
        for (old, new) in [(1, 3), (3, 2), (3, 3)] {
            let forged = expected.sign(&key(old).0, &key(new).0);
            assert!(Statement::open(&forged).is_err(), "signed by {old} and {new}");
        }
        let (_, itself) = statement(1, 1, Reason::Rotated);
        assert!(Statement::open(&itself).is_err());
    }

    #[test]
    fn statements_lead_from_key_to_key_or_are_refused() {
        let (first, second) = (
            statement(1, 2, Reason::Rotated).1,
            statement(2, 3, Reason::Compromised).1,
        );
        let lineage = Lineage::new(key(3).1, [first.as_str(), &second]).unwrap();
        assert_eq!(lineage.generation(&key(1).1), Some(0));
        assert_eq!(lineage.generation(&key(3).1), Some(2));
        assert_eq!(lineage.generation(&key(4).1), None);
        assert_eq!(lineage.given_up(0).map(|found| found.generation), Some(1));
        assert_eq!(lineage.given_up(2), None);
        for wrong in [vec![&second, &first], vec![&first], vec![&first, &first]] {
            let notes = wrong.into_iter().map(String::as_str);
            assert!(Lineage::new(key(3).1, notes).is_err());
        }
        let back = statement(2, 1, Reason::Rotated).1;
        let (again, on) = (
            statement(1, 4, Reason::Rotated).1,
            statement(3, 2, Reason::Rotated).1,
        );
        for (last, row) in [
            (1, vec![&first, &back]),
            (4, vec![&first, &back, &again]),
            (2, vec![&first, &second, &on]),
        ] {
            let notes = row.into_iter().map(String::as_str);
            assert!(Lineage::new(key(last).1, notes).is_err(), "a key comes back");
        }
    }

    #[test]
    fn a_statement_from_outside_gives_keys_up_and_lets_no_other_key_take_their_place() {
        let open = |old, new, reason| Statement::open(&statement(old, new, reason).1).unwrap();
        let first = statement(1, 2, Reason::Rotated).1;
        let lineage = |statement| {
            let mut lineage = Lineage::new(key(2).1, [first.as_str()]).unwrap();
            lineage.heed(statement).map(|()| lineage)
        };
        let generations = |statement| {
            let lineage = lineage(statement).unwrap();
            [0, 1].map(|given| lineage.given_up(given).map(|found| found.generation))
        };
        assert_eq!(generations(open(1, 2, Reason::Rotated)), [None, None]);
        assert_eq!(generations(open(1, 2, Reason::Compromised)), [Some(0), None]);
        assert_eq!(generations(open(2, 3, Reason::Compromised)), [Some(1), Some(1)]);
        assert_eq!(generations(open(2, 3, Reason::Rotated)), [None, None]);
        for reason in [Reason::Rotated, Reason::Compromised] {
            assert!(lineage(open(1, 3, reason)).unwrap_err().contains("a thief"));
            assert!(lineage(open(3, 4, reason)).unwrap_err().contains("another key"));
        }
        // The last key signs no further than it says.
        let lineage = lineage(open(2, 3, Reason::Rotated)).unwrap();
        let note = |size, root| {
            let origin = key(1).1.name;
            Checkpoint { origin, size, root }.sign(&key(2).0)
        };
        assert!(lineage.open(&note(17, [9; 32])).is_ok());
        assert_eq!(lineage.open(&note(17, [8; 32])), Err(NoteError::AfterLast));
        assert_eq!(lineage.open(&note(18, [9; 32])), Err(NoteError::AfterLast));
    }

    #[test]
    fn an_older_key_counts_up_to_its_last_checkpoint_and_not_beyond() {
        let lineage = Lineage::new(key(2).1, [statement(1, 2, Reason::Rotated).1.as_str()]).unwrap();
        let note = |size, root, by| {
            let origin = key(1).1.name;
            let checkpoint = Checkpoint { origin, size, root };
            checkpoint.sign(&key(by).0)
        };
        let generation = |note: &str| lineage.open(note).map(|(_, generation)| generation);
        assert_eq!(generation(&note(3, [1; 32], 1)), Ok(0));
        assert_eq!(generation(&note(17, [9; 32], 1)), Ok(0));
        assert_eq!(generation(&note(18, [1; 32], 2)), Ok(1));
        assert_eq!(generation(&note(17, [8; 32], 1)), Err(NoteError::AfterLast));
        assert_eq!(generation(&note(18, [1; 32], 1)), Err(NoteError::AfterLast));
        assert_eq!(generation(&note(18, [1; 32], 4)), Err(NoteError::NotSigned));
    }
}
