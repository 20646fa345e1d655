//! What a statement says: numbers, times, ids of connections, positions of entries. No name, no handle, no text.

use std::collections::BTreeMap;

use govern::custodian::Custodian;
use model::{Position, Timestamp};
use seal::keyring::SecretKind;
use serde_json::{Value, json};
use store::catalogue::{GapRow, StatementRow, Stretch};

use super::super::completeness::DENOMINATOR;
use super::super::{Inner, VaultError, locked};
use super::{DAY_MICROS, Day, OF_A_DAY_MAX};

/// Open gaps, and gaps closed since, that are listed one by one; all are counted.
const GAPS_LISTED: u32 = 1_000;
/// Custodians listed one by one: those first whose capture is not in order. All are counted.
const CUSTODIANS_LISTED: usize = 2_000;

/// What no statement can know, beside its denominator.
const UNKNOWN: &str = "What nobody points at, counts or expects can be missing without a gap. What something points at is \
    missed an hour after it was seen: what belongs to the last hour of a day may be missed by the next statement only. States of \
    custodians and open gaps are those of the time of the statement. Times are by the clock of this program; what is proved \
    of them, outside anchors prove.";

/// What is said of custodians.
struct People {
    enrolled: usize,
    states: BTreeMap<&'static str, u64>,
    /// Of those who did not leave, how many do not agree.
    not_consented: u64,
    /// One by one.
    listed: Vec<Value>,
}

impl Inner {
    /// The body of a statement about these days.
    pub(super) fn statement_of(
        &self,
        (first, last): (Day, Day),
        before: Option<&StatementRow>,
        (now, head): (Timestamp, Position),
    ) -> Result<Value, VaultError> {
        let reader = locked(&self.reader);
        let of_the_days = reader.captured_between(first.begins(), last.after().begins())?;
        let rhythms = reader.rhythms()?;
        let (gaps_known, gaps_open) = reader.count_gaps()?;
        let open = reader.gaps_after(None, true, GAPS_LISTED)?;
        let (closed, gaps_closed) = reader.gaps_closed_after(before.map(|row| row.position), GAPS_LISTED)?;
        let by_gap: BTreeMap<Option<String>, u64> = reader.open_gaps_by_connection()?.into_iter().collect();
        let replaced: Vec<_> = reader
            .statements_of(first.0, last.0, OF_A_DAY_MAX)?
            .iter()
            .map(|row| row.position)
            .collect();
        drop(reader);
        let configured = self.connections();
        let mut captured = 0;
        let mut connections = Vec::new();
        for config in &configured {
            let id = config.id.as_str();
            let own = rhythms.iter().find(|row| row.connection == id);
            captured += u64::from(own.is_some());
            let of_it = of_the_days.iter().find(|(connection, _)| connection == id);
            let archive = self.archive_status(id)?;
            connections.push(json!({
                "connection": id, "connector": config.connector,
                "captures": own.map_or(0, |row| row.captures),
                "from": own.map(|row| row.first), "to": own.map(|row| row.last),
                "of_the_day": of_it.map(|(_, stretch)| stretched(stretch)),
                "gaps_open": by_gap.get(&Some(id.to_owned())).copied().unwrap_or(0),
                "pulled_completely_at": archive.map(|archive| archive.caught_up_at),
            }));
        }
        let people = self.custodians_stated(now)?;
        let signed = self.ledger.signed();
        let anchored = self.last_outside()?;
        let late = now.as_micros() - last.after().begins().as_micros();
        Ok(json!({
            "first_day": first.text(), "last_day": last.text(),
            "stated_at": now, "understood_before_entry": head,
            "made_up": late > DAY_MICROS,
            "replaces": replaced,
            "since_entry": before.map(|row| row.position),
            "connections_configured": configured.len(), "connections_captured": captured,
            "connections": connections,
            "custodians_enrolled": people.enrolled, "custodians_by_state": people.states,
            "custodians_not_consented": people.not_consented, "custodians": people.listed,
            "gaps_known": gaps_known, "gaps_open": gaps_open, "gaps_closed_since": gaps_closed,
            "open": open.iter().map(gap).collect::<Vec<_>>(),
            "closed": closed.iter().map(gap).collect::<Vec<_>>(),
            "denominator": DENOMINATOR, "not_known": UNKNOWN,
            "checkpoint": signed.map(|signed| json!({
                "size": signed.size, "covers": signed.covers, "at": signed.at,
            })),
            "outside_anchor_at": anchored,
            "outside_anchor_hours": anchored.map(|at| (now.as_micros() - at.as_micros()).max(0) / 3_600_000_000),
        }))
    }

    fn custodians_stated(&self, now: Timestamp) -> Result<People, VaultError> {
        let roster = self.roster_as_read()?;
        let mut states: BTreeMap<&'static str, u64> = BTreeMap::new();
        let mut people: Vec<(bool, &Custodian, &'static str)> = Vec::new();
        let mut not_consented = 0;
        for person in roster.people() {
            let state = self.state_of(person)?;
            let agrees = person.consents(now) == Some(true);
            *states.entry(state).or_default() += 1;
            not_consented += u64::from(!agrees && state != "left");
            people.push((agrees && state == "captured", person, state));
        }
        // In the order of entries, those first that somebody has to look after.
        people.sort_by_key(|(in_order, ..)| *in_order);
        let mut listed = Vec::new();
        for (_, person, state) in people.iter().take(CUSTODIANS_LISTED) {
            let mut messages = Stretch::default();
            for span in &person.spans {
                let label = self.labels.person_by_id(&span.kind, &span.value);
                let key = locked(&self.keys).ring().find(SecretKind::Person, &label);
                let Some(key) = key else { continue };
                let said = locked(&self.reader).said_between(key, span.from, span.to)?;
                messages = Stretch {
                    count: messages.count + said.count,
                    first: messages.first.into_iter().chain(said.first).min(),
                    last: messages.last.max(said.last),
                };
            }
            listed.push(json!({
                "custodian": person.id, "state": state, "mode": person.enrolled.mode,
                "connections": person.enrolled.connections, "enrolled_from": person.enrolled.start,
                "told": person.was_told(now),
                "consent": match person.consents(now) {
                    Some(true) => "given",
                    Some(false) => "withdrawn",
                    None => "not given",
                },
                "messages": messages.count, "from": messages.first, "to": messages.last,
            }));
        }
        Ok(People {
            enrolled: people.len(),
            states,
            not_consented,
            listed,
        })
    }
}

fn stretched(stretch: &Stretch) -> Value {
    json!({ "captures": stretch.count, "from": stretch.first, "to": stretch.last })
}

fn gap(row: &GapRow) -> Value {
    json!({
        "gap": row.position, "connection": row.connection, "cause": row.cause, "from": row.from, "to": row.to,
        "count": row.count, "still_missing": row.left,
        "closed": row.closed.as_ref().map(|closed| json!({
            "by_entry": closed.by, "at": closed.at, "reason": closed.reason,
        })),
    })
}
