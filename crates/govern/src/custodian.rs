//! Custodians: whose communication is kept, by which handles from when to when, and what they were told and agreed to.
//!
//! The roster is what entries say, in their order. A handle belongs to a person for a time: a number that somebody else has
//! today was theirs only since.

use model::Timestamp;
use serde::{Deserialize, Serialize};

/// Kinds of handles of which one value may be several people: a company gives them out, or a platform that is not named.
const NOT_WORLDWIDE: [&str; 2] = ["wecom_userid", "username"];

/// Whether a handle of this kind is not the same person's in these connections and in those. Where somebody's are not given, they
/// are in all.
pub fn are_apart(kind: &str, these: &[String], those: &[String]) -> bool {
    let both_given = !these.is_empty() && !those.is_empty();
    NOT_WORLDWIDE.contains(&kind) && both_given && !these.iter().any(|one| those.contains(one))
}

/// A handle for a time.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle {
    /// What sort of id: `phone`, `wecom_userid`, …
    pub kind: String,
    /// Its value, as records hold it.
    pub value: String,
    /// From then on.
    pub from: Timestamp,
    /// Until before then; none while it is theirs.
    pub to: Option<Timestamp>,
    /// Several people write under it; who did is told by the author's name.
    #[serde(default)]
    pub shared: bool,
}

/// A custodian as a list names them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// What they are called.
    pub name: String,
    /// Legal territory.
    pub zone: String,
    /// Department; may be empty.
    pub department: String,
    /// Kind and value.
    pub handles: Vec<(String, String)>,
    /// Connections by which they are captured.
    pub connections: Vec<String>,
    /// How they are captured: `automatic` or `by-export`.
    pub mode: String,
    /// From when on.
    pub start: Timestamp,
}

/// What happened to a custodian.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Change {
    /// They were told that they are to be captured.
    Noticed(Told),
    /// They agreed.
    Consented(Told),
    /// They agree no longer.
    Withdrew,
    /// A phone is lost: what was on it and not captured may be.
    PhoneLost(Named),
    /// They have another number instead.
    NumberChanged {
        /// The handle before.
        handle: (String, String),
        /// The handle now.
        new: (String, String),
    },
    /// The number is somebody else's from then on.
    NumberRecycled(Named),
    /// Several people write under it from now on.
    NumberShared(Named),
    /// They left: their handles are theirs no more.
    Left,
}

impl Change {
    /// Whether somebody may be without consent after it who was not before.
    pub fn may_lose_consent(&self) -> bool {
        match self {
            Change::Noticed(_) | Change::Consented(_) | Change::PhoneLost(_) => false,
            Change::Withdrew
            | Change::NumberChanged { .. }
            | Change::NumberRecycled(_)
            | Change::NumberShared(_)
            | Change::Left => true,
        }
    }
}

/// A text that somebody was shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Which text.
    pub text: String,
    /// Its version.
    pub version: String,
    /// Its language.
    pub language: String,
}

/// One handle.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Kind and value.
    pub handle: (String, String),
}

/// A change with its date.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dated {
    /// When it happened.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub change: Change,
}

/// A custodian.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Custodian {
    /// Position of the entry that enrolled them, and place in it.
    pub id: String,
    /// As they were enrolled.
    #[serde(flatten)]
    pub enrolled: Enrolled,
    /// Their handles, with dates.
    pub spans: Vec<Handle>,
    /// What happened, in the order of entries.
    pub log: Vec<Dated>,
}

/// Why a change cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPossible {
    /// No such custodian.
    #[error("there is no custodian {0}")]
    Unknown(String),
    /// The handle is not theirs then.
    #[error(
        "custodian {0} does not have this handle on that day; `chancery custodian show {0}` lists theirs"
    )]
    NotTheirs(String),
    /// Somebody else has it then.
    #[error("this handle is custodian {0}'s on that day; record first that it is recycled or shared")]
    Taken(String),
}

/// Everybody.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Roster {
    people: Vec<Custodian>,
}

impl Handle {
    fn is(&self, (kind, value): &(String, String)) -> bool {
        self.kind == *kind && self.value == *value
    }

    fn covers(&self, at: Timestamp) -> bool {
        self.from <= at && self.to.is_none_or(|to| at < to)
    }
}

impl Custodian {
    /// Whether a message is theirs that was sent at a time under a handle: of a shared one, when the author has their name.
    pub fn has(&self, handle: &(String, String), at: Timestamp, author: Option<&str>) -> bool {
        let named = author == Some(self.enrolled.name.as_str());
        self.spans
            .iter()
            .any(|span| span.is(handle) && span.covers(at) && (!span.shared || named))
    }

    /// Whether a handle of this kind can be theirs in a connection.
    pub fn is_in(&self, kind: &str, connection: &str) -> bool {
        !are_apart(kind, &self.enrolled.connections, &[connection.to_owned()])
    }

    /// Whether they left by then.
    pub fn has_left(&self, at: Timestamp) -> bool {
        self.log
            .iter()
            .any(|dated| dated.change == Change::Left && dated.at <= at)
    }

    /// Whether they agree at that time; none when nobody asked.
    pub fn consents(&self, at: Timestamp) -> Option<bool> {
        let mut said: Vec<_> = self.log.iter().filter(|dated| dated.at <= at).collect();
        said.sort_by_key(|dated| dated.at);
        said.iter().rev().find_map(|dated| match dated.change {
            Change::Consented(_) => Some(true),
            Change::Withdrew => Some(false),
            _ => None,
        })
    }

    /// Whether they were told by then.
    pub fn was_told(&self, at: Timestamp) -> bool {
        self.log
            .iter()
            .any(|dated| matches!(dated.change, Change::Noticed(_)) && dated.at <= at)
    }
}

impl Roster {
    /// Everybody, in the order of entries.
    pub fn people(&self) -> &[Custodian] {
        &self.people
    }

    /// The custodian of this id.
    pub fn find(&self, id: &str) -> Option<&Custodian> {
        self.people.iter().find(|person| person.id == id)
    }

    /// Adds somebody.
    pub fn enrol(&mut self, id: String, enrolled: Enrolled) {
        let span = |(kind, value): &(String, String)| Handle {
            kind: kind.clone(),
            value: value.clone(),
            from: enrolled.start,
            to: None,
            shared: false,
        };
        let spans = enrolled.handles.iter().map(span).collect();
        self.people.push(Custodian {
            id,
            enrolled,
            spans,
            log: Vec::new(),
        });
    }

    /// Who has a handle at a time in one of these connections and does not share it.
    pub fn holder(
        &self,
        handle: &(String, String),
        at: Timestamp,
        connections: &[String],
    ) -> Option<&Custodian> {
        self.people.iter().find(|person| {
            let mut spans = person.spans.iter();
            spans.any(|span| span.is(handle) && span.covers(at) && !span.shared)
                && !are_apart(&handle.0, &person.enrolled.connections, connections)
        })
    }

    /// Whose a message is that was sent at a time under a handle: of a shared one, theirs whose name the author has.
    pub fn whose(
        &self,
        handle: &(String, String),
        at: Timestamp,
        author: Option<&str>,
    ) -> Option<&Custodian> {
        self.people.iter().find(|person| person.has(handle, at, author))
    }

    /// Applies a change.
    ///
    /// # Errors
    /// [`NotPossible`]; then nothing changed.
    pub fn apply(&mut self, id: &str, dated: &Dated) -> Result<(), NotPossible> {
        let connections = self.find(id).map_or(&[][..], |own| &own.enrolled.connections);
        if let Change::NumberChanged { new, .. } = &dated.change
            && let Some(other) = self.holder(new, dated.at, connections)
            && other.id != id
        {
            return Err(NotPossible::Taken(other.id.clone()));
        }
        let person = self.people.iter_mut().find(|person| person.id == id);
        let person = person.ok_or_else(|| NotPossible::Unknown(id.to_owned()))?;
        let at = dated.at;
        let own = |person: &mut Custodian, handle: &(String, String)| {
            let mut spans = person.spans.iter();
            let place = spans.position(|span| span.is(handle) && span.covers(at));
            place.ok_or_else(|| NotPossible::NotTheirs(id.to_owned()))
        };
        match &dated.change {
            Change::Noticed(_) | Change::Consented(_) | Change::Withdrew => {}
            Change::PhoneLost(named) => {
                own(person, &named.handle)?;
            }
            Change::NumberChanged { handle, new } => {
                let place = own(person, handle)?;
                if let Some(span) = person.spans.get_mut(place) {
                    span.to = Some(at);
                }
                person.spans.push(Handle {
                    kind: new.0.clone(),
                    value: new.1.clone(),
                    from: at,
                    to: None,
                    shared: false,
                });
            }
            Change::NumberRecycled(named) => {
                let place = own(person, &named.handle)?;
                if let Some(span) = person.spans.get_mut(place) {
                    span.to = Some(at);
                }
            }
            Change::NumberShared(named) => {
                let place = own(person, &named.handle)?;
                if let Some(span) = person.spans.get_mut(place) {
                    let before = Handle {
                        to: Some(at),
                        ..span.clone()
                    };
                    span.from = at;
                    span.shared = true;
                    person.spans.push(before);
                }
            }
            Change::Left => {
                for span in person.spans.iter_mut().filter(|span| span.covers(at)) {
                    span.to = Some(at);
                }
            }
        }
        person.log.push(dated.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_seconds(1_764_000_000 + day * 86_400)
    }

    fn phone(value: &str) -> (String, String) {
        ("phone".to_owned(), value.to_owned())
    }

    fn roster() -> Roster {
        let mut roster = Roster::default();
        for (id, name, number) in [("1.0", "Ann", "111"), ("1.1", "Bo", "222")] {
            let enrolled = Enrolled {
                name: name.to_owned(),
                zone: "us".to_owned(),
                department: String::new(),
                handles: vec![phone(number)],
                connections: Vec::new(),
                mode: "automatic".to_owned(),
                start: day(0),
            };
            roster.enrol(id.to_owned(), enrolled);
        }
        roster
    }

    fn named(number: &str) -> Named {
        Named {
            handle: phone(number),
        }
    }

    fn does(roster: &mut Roster, id: &str, at: i64, change: Change) -> Result<(), NotPossible> {
        roster.apply(id, &Dated { at: day(at), change })
    }

    fn whose(roster: &Roster, number: &str, at: i64, author: Option<&str>) -> String {
        let found = roster.whose(&phone(number), day(at), author);
        found.map_or_else(String::new, |person| person.enrolled.name.clone())
    }

    #[test]
    fn a_recycled_number_is_the_first_ones_until_then_and_the_seconds_after() {
        let mut roster = roster();
        does(&mut roster, "1.0", 10, Change::NumberRecycled(named("111"))).unwrap();
        let change = Change::NumberChanged {
            handle: phone("222"),
            new: phone("111"),
        };
        assert_eq!(
            does(&mut roster, "1.1", 5, change.clone()),
            Err(NotPossible::Taken("1.0".to_owned()))
        );
        does(&mut roster, "1.1", 20, change).unwrap();
        let seen: Vec<_> = [-1, 0, 9, 10, 19, 20]
            .map(|at| whose(&roster, "111", at, None))
            .into();
        assert_eq!(seen, ["", "Ann", "Ann", "", "", "Bo"]);
        assert_eq!(whose(&roster, "222", 19, None), "Bo");
        assert_eq!(whose(&roster, "222", 20, None), "");
    }

    #[test]
    fn what_a_company_gives_out_is_one_persons_in_a_connection_and_may_be_anothers_in_another() {
        let words = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<String>>();
        for (kind, these, those, apart) in [
            ("wecom_userid", &["a"][..], &["b"][..], true),
            ("username", &["a", "c"], &["b"], true),
            ("wecom_userid", &["a", "b"], &["b"], false),
            ("wecom_userid", &[], &["b"], false),
            ("wecom_userid", &["a"], &[], false),
            ("phone", &["a"], &["b"], false),
            ("bsuid", &["a"], &["b"], false),
        ] {
            assert_eq!(
                are_apart(kind, &words(these), &words(those)),
                apart,
                "{kind} {these:?} {those:?}"
            );
        }
        let mut roster = Roster::default();
        let userid = |value: &str| ("wecom_userid".to_owned(), value.to_owned());
        for (id, connection, value) in [("1.0", "a", "annlee"), ("1.1", "b", "bochen")] {
            let enrolled = Enrolled {
                name: id.to_owned(),
                zone: "us".to_owned(),
                department: String::new(),
                handles: vec![userid(value)],
                connections: words(&[connection]),
                mode: "automatic".to_owned(),
                start: day(0),
            };
            roster.enrol(id.to_owned(), enrolled);
        }
        let holder = |connections: &[&str]| {
            let found = roster.holder(&userid("annlee"), day(1), &words(connections));
            found.map(|person| person.id.clone())
        };
        assert_eq!(holder(&["b"]), None);
        assert_eq!(holder(&["a", "b"]).as_deref(), Some("1.0"));
        assert_eq!(holder(&[]).as_deref(), Some("1.0"));
        // The other company's may get that id too; in the same it is taken.
        let change = Change::NumberChanged {
            handle: userid("bochen"),
            new: userid("annlee"),
        };
        does(&mut roster, "1.1", 2, change).unwrap();
    }

    #[test]
    fn a_shared_number_is_theirs_whose_name_the_author_has() {
        let mut roster = roster();
        does(&mut roster, "1.0", 3, Change::NumberShared(named("111"))).unwrap();
        assert_eq!(whose(&roster, "111", 2, None), "Ann");
        assert_eq!(whose(&roster, "111", 3, None), "");
        assert_eq!(whose(&roster, "111", 3, Some("Ann")), "Ann");
        assert_eq!(whose(&roster, "111", 3, Some("Bo")), "");
        let change = Change::NumberChanged {
            handle: phone("222"),
            new: phone("111"),
        };
        does(&mut roster, "1.1", 4, change).unwrap();
    }

    #[test]
    fn who_left_has_no_handle_after_and_keeps_what_was_before() {
        let mut roster = roster();
        does(&mut roster, "1.0", 7, Change::Left).unwrap();
        assert_eq!(whose(&roster, "111", 6, None), "Ann");
        assert_eq!(whose(&roster, "111", 7, None), "");
        let ann = roster.find("1.0").unwrap();
        assert!(ann.has_left(day(7)) && !ann.has_left(day(6)));
    }

    #[test]
    fn consent_holds_from_its_day_until_it_is_withdrawn_whatever_the_order_of_entries() {
        let told = Told {
            text: "capture".to_owned(),
            version: "1".to_owned(),
            language: "en".to_owned(),
        };
        let mut roster = roster();
        does(&mut roster, "1.0", 9, Change::Withdrew).unwrap();
        does(&mut roster, "1.0", 2, Change::Consented(told)).unwrap();
        let ann = roster.find("1.0").unwrap();
        let seen: Vec<_> = [1, 2, 8, 9].map(|at| ann.consents(day(at))).into();
        assert_eq!(seen, [None, Some(true), Some(true), Some(false)]);
    }

    #[test]
    fn a_change_of_what_is_not_theirs_or_of_nobody_changes_nothing() {
        let mut roster = roster();
        let before = roster.clone();
        for change in [
            Change::PhoneLost(named("222")),
            Change::NumberRecycled(named("333")),
            Change::NumberShared(named("")),
        ] {
            let refused = does(&mut roster, "1.0", 1, change);
            assert_eq!(refused, Err(NotPossible::NotTheirs("1.0".to_owned())));
        }
        let refused = does(&mut roster, "9.9", 1, Change::Left);
        assert_eq!(refused, Err(NotPossible::Unknown("9.9".to_owned())));
        assert!(before == roster);
    }
}
