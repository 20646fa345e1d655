//! What is not destroyed for want of consent: what a hold names, and whatever is only perhaps without it.

use connect::wecom_archive::fake::{CompanyKey, FakeDriver};
use govern::consent::{Required, Rule, Unknown};
use govern::custodian::{Change, Dated, Named};
use govern::{Refusal, Selectors};
use model::Timestamp;
use serde_json::json;
use server::vault::captures::Descriptor;
use server::vault::import::{ImportOptions, Imported};
use server::vault::{Vault, VaultError};

use crate::archive::connect_with;
use crate::consent::{
    CANARY, OUTSIDE, consented, enrol, record, require, still_opens, texts, until_in_force, wecom, without,
};
use crate::instance::*;

/// What is kept under a hold of five messages that all lack consent, where nothing of anybody was kept before.
fn kept_under(selectors: Option<Selectors>) -> Vec<String> {
    let place = Place::new();
    let vault = place.create();
    let company = CompanyKey::generate(4).unwrap();
    connect_with(&vault, &[&company]);
    enrol(&vault, "Eve", "+1 555 000 1111");
    require(&vault, Required::Everyone, Unknown::Destroy);
    if let Some(selectors) = selectors {
        hold(&vault, selectors);
    }
    deliver(&vault, &[message("1", ANN, "ann")]);
    deliver(&vault, &[message("2", BO, "bo")]);
    import(&vault, "Ward", "31/01/24, 10:00 - Ann Ames: line\n");
    let mut archive = FakeDriver::default();
    let text = r#""msgtype":"text","text":{"content":"dose"}"#;
    let said = wecom("m1", NOW - 9_000, OUTSIDE, "lina", "", text);
    archive.add(1, "m1", &company, &said).unwrap();
    vault
        .use_archive("archive", Box::new(archive), Box::new(FakeDriver::default()))
        .unwrap();
    vault.pull_archive("archive").unwrap();
    let mut texts = texts(&vault);
    texts.sort();
    texts
}

#[test]
fn a_hold_keeps_what_it_names_also_where_nothing_of_it_was_ever_kept() {
    let hold = |persons: &[&str], conversations: &[&str], connections: &[&str]| {
        let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect();
        Some(Selectors {
            persons: words(persons),
            conversations: words(conversations),
            connections: connections.iter().map(|id| id.parse().unwrap()).collect(),
            ..Selectors::default()
        })
    };
    let nothing: &[&str] = &[];
    for (selectors, kept) in [
        (None, nothing),
        // Somebody never heard of, by number; the conversation that is called after them.
        (hold(&["+49 151 12345678"], &[], &[]), &["ann"]),
        (hold(&[], &[ANN], &[]), &["ann"]),
        (hold(&[], &["Ward"], &[]), &["line"]),
        // By name, in a conversation that is not there yet.
        (hold(&["Ann Ames"], &[], &[]), &["line"]),
        // A custodian: new chats that others open with them, by account and as receiver.
        (hold(&["+1 555 000 1111"], &[], &[]), &["ann", "bo"]),
        (hold(&["lina"], &[], &[]), &["dose"]),
        (hold(&[OUTSIDE], &[], &[]), &["dose"]),
        // Each kind narrows.
        (hold(&["+1 555 000 1111"], &[BO], &[]), &["bo"]),
        (hold(&[ANN], &[BO], &[]), nothing),
        (hold(&[ANN], &[], &["ward-4"]), nothing),
        (hold(&["Nobody"], &[], &[]), nothing),
        (hold(&[], &["Nowhere"], &[]), nothing),
    ] {
        assert_eq!(kept_under(selectors.clone()), kept, "{selectors:?}");
    }
}

#[test]
fn the_card_of_whoever_is_refused_cannot_be_opened_where_it_names_no_conversation() {
    let mut place = Place::new();
    place.epoch_lasts = std::time::Duration::ZERO;
    let vault = place.create();
    let eve = enrol(&vault, "Eve", "+1 555 000 1111");
    record(&vault, &eve, NOW - 500, consented());
    require(&vault, Required::Custodian, Unknown::Keep);
    let card = format!(r#""contacts":[{{"profile":{{"name":"CANARY card"}},"wa_id":"{ANN}"}}],"messages""#);
    // A group in the same delivery: the card may be anybody's of it.
    let in_group = message("2", BO, "in a group").replace(r#""type""#, r#""group_id":"G1","type""#);
    let text = body(&[message("1", ANN, CANARY), in_group]).replace(r#""messages""#, &card);
    // The first mention of the word is the field's name, and not the list.
    let text = text.replacen(&card, r#""messages""#, 1);
    let both = deliver_locked(&vault, &text, "ward-3", 0);
    settle(&vault);
    until_in_force(&vault);
    let opened = still_opens(&place, &vault, both);
    assert!(contains(&opened, b"phone_number_id"), "what is nobody's stays");
    assert!(!contains(&opened, b"CANARY"));
}

#[test]
fn a_wall_clock_within_a_day_on_which_they_agreed_is_enough_to_keep_what_was_said() {
    let place = Place::new();
    let vault = place.create();
    // Noon of 2 February 2024, in UTC.
    let noon = 1_706_875_200;
    let he = enrol(&vault, "He", "+49 151 2345678");
    require(&vault, Required::Custodian, Unknown::Keep);
    // He agreed for ten hours: both ends of what this line's clock may mean are without, and the middle is not.
    record(&vault, &he, noon - 5 * 3_600, consented());
    record(&vault, &he, noon + 5 * 3_600, Change::Withdrew);
    let text = "02/02/24, 12:00 - +49 151 2345678: perhaps while he agreed\n\
                04/02/24, 12:00 - +49 151 2345678: CANARY two days after\n\
                29/01/24, 12:00 - +49 151 2345678: CANARY before\n";
    import(&vault, "The Two", text);
    assert_eq!(texts(&vault), ["perhaps while he agreed"]);
    assert_eq!(without(&vault)["destroyed"], 2);
}

#[test]
fn a_wall_clock_within_a_day_on_which_a_number_was_theirs_who_agreed_is_enough_to_keep_what_was_said() {
    let place = Place::new();
    let vault = place.create();
    // The custodian's number was theirs for some hours only: before and after it is a stranger's, of whom nobody knows.
    let noon = 1_706_875_200;
    let table = "name,handles,start\nHe,+49 151 2345678,2024-02-02T08:00:00Z\n";
    let answer = vault.import_custodians(table, None, "test").unwrap();
    let he = format!("{}.0", answer["by_entry"]);
    record(&vault, &he, noon - 4 * 3_600, consented());
    let named = Named {
        handle: ("phone".to_owned(), "491512345678".to_owned()),
    };
    record(&vault, &he, noon + 4 * 3_600, Change::NumberRecycled(named));
    require(&vault, Required::Everyone, Unknown::Destroy);
    let text = "02/02/24, 12:00 - +49 151 2345678: perhaps while it was his\n\
                05/02/24, 12:00 - +49 151 2345678: CANARY of a stranger\n";
    import(&vault, "The Two", text);
    assert_eq!(texts(&vault), ["perhaps while it was his"]);
}

#[test]
fn a_clock_that_is_turned_back_destroys_nothing_that_says_no_time_of_its_own() {
    let place = Place::new();
    let vault = place.create();
    let eve = enrol(&vault, "Eve", "+1 555 000 1111");
    require(&vault, Required::Custodian, Unknown::Keep);
    record(&vault, &eve, NOW - 500, consented());
    let undated = |id: &str, text: &str| {
        let time = format!(r#""timestamp":"{}","#, NOW - 1000);
        let message = message(id, ANN, text);
        assert!(message.contains(&time));
        message.replace(&time, "")
    };
    // By the clock of its arrival she had not agreed yet; by the ledger's she had.
    place.set_clock(NOW - 90 * DAY);
    deliver(&vault, &[undated("1", "by a clock that was turned back")]);
    place.set_clock(NOW + 100);
    record(&vault, &eve, NOW + 50, Change::Withdrew);
    deliver(&vault, &[undated("2", CANARY)]);
    // What says its time needs no clock.
    place.set_clock(NOW - 90 * DAY);
    deliver(&vault, &[message_at(NOW + 60, "3", ANN, CANARY)]);
    deliver(
        &vault,
        &[message_at(NOW - 400, "4", ANN, "said while she agreed")],
    );
    let mut read = texts(&vault);
    read.sort();
    assert_eq!(read, ["by a clock that was turned back", "said while she agreed"]);
    assert_eq!(without(&vault)["destroyed"], 2);
}

/// Imports decrypted messages of WeCom, as somebody may have written them.
fn import_wecom(vault: &Vault, lines: &[String]) -> Imported {
    let options = ImportOptions {
        connector: "wecom-archive".into(),
        descriptor: Descriptor {
            file_name: Some("messages.jsonl".into()),
            ..Default::default()
        },
        actor: "test".into(),
        ..Default::default()
    };
    let mut input = std::io::Cursor::new(lines.join("\n").into_bytes());
    vault.import(&mut input, &options, &mut |_, _| {}).unwrap()
}

fn word_of_wecom(id: &str, word: &str, at: i64) -> String {
    let more = format!(r#""msgtype":"{word}","{word}":{{"userid":"{OUTSIDE}","{word}_time":{at}000}}"#);
    wecom(id, at, OUTSIDE, "lina", "", &more)
}

fn text_of_wecom(id: &str, text: &str, at: i64) -> String {
    let more = format!(r#""msgtype":"text","text":{{"content":"{text}"}}"#);
    wecom(id, at, OUTSIDE, "lina", "", &more)
}

#[test]
fn a_refusal_out_of_a_file_that_nobody_verified_destroys_nothing_and_one_that_was_pulled_does() {
    let place = Place::new();
    let mut vault = place.create();
    let company = CompanyKey::generate(4).unwrap();
    connect_with(&vault, &[&company]);
    require(&vault, Required::Everyone, Unknown::Keep);
    let t = NOW - 9_000;
    import_wecom(&vault, &[word_of_wecom("f1", "disagree", t)]);
    assert_eq!(
        search(&vault, "is:event").len(),
        1,
        "it is kept, as anything else"
    );
    let pulled = [
        text_of_wecom("m1", "after a forged refusal", t + 10),
        text_of_wecom("m2", "after a forged refusal, and a restart", t + 20),
        word_of_wecom("m3", "disagree", t + 30),
        text_of_wecom("m4", CANARY, t + 40),
        text_of_wecom("m5", CANARY, t + 50),
    ];
    let pull = |vault: &Vault, upto: usize| {
        let mut archive = FakeDriver::default();
        for (seq, line) in (1..).zip(pulled.iter().take(upto)) {
            archive.add(seq, &format!("m{seq}"), &company, line).unwrap();
        }
        vault
            .use_archive("archive", Box::new(archive), Box::new(FakeDriver::default()))
            .unwrap();
        vault.pull_archive("archive").unwrap();
        texts(vault)
    };
    let kept = ["after a forged refusal", "after a forged refusal, and a restart"];
    assert_eq!(pull(&vault, 1), kept[..1]);
    for upto in [2, 4, 5] {
        // What was said is read again out of the catalogue.
        drop(vault);
        vault = place.open();
        assert_eq!(pull(&vault, upto), kept);
    }
    assert_eq!(without(&vault)["destroyed"], 2);
}

#[test]
fn what_a_small_file_says_about_consent_counts_wherever_in_the_file_it_stands() {
    let place = Place::new();
    let vault = place.create();
    require(&vault, Required::Everyone, Unknown::Destroy);
    let lina = enrol(&vault, "Lina", "wecom_userid:lina");
    record(&vault, &lina, NOW - 90_000, consented());
    let t = NOW - 9_000;
    let lines = [
        text_of_wecom("m3", "after they agreed", t + 20),
        text_of_wecom("m1", "CANARY before they agreed", t),
        word_of_wecom("m2", "agree", t + 10),
        text_of_wecom("m4", "and later", t + 30),
    ];
    assert_eq!(import_wecom(&vault, &lines).erased, 1);
    let mut read = texts(&vault);
    read.sort();
    assert_eq!(read, ["after they agreed", "and later"]);
    assert_eq!(without(&vault)["destroyed"], 1);
}

#[test]
fn while_a_rule_destroys_nobody_records_what_may_destroy_without_signing_in_as_one_who_may() {
    let place = Place::new();
    let vault = place.create();
    let eve = enrol(&vault, "Eve", "+1 555 000 1111");
    let phone = |value: &str| ("phone".to_owned(), value.to_owned());
    let named = || Named {
        handle: phone("15550001111"),
    };
    let at = Timestamp::from_seconds(NOW - 5_000);
    let said = |change: Change, who: Option<&str>| {
        let user = who.map(|name| user(&vault, name));
        vault.record_custodian(&eve, &Dated { at, change }, user.as_ref(), "test")
    };
    let enrols = |n: u32, who: Option<&str>| {
        let table = format!("name,handles,start\nP{n},+1 555 000 {n},2020-01-01\n");
        let user = who.map(|name| user(&vault, name));
        vault.import_custodians(&table, user.as_ref(), "test")
    };
    // No rule destroys anything: anybody at the socket writes down what happened.
    said(Change::Withdrew, None).unwrap();
    said(consented(), None).unwrap();
    enrols(2001, None).unwrap();
    require(&vault, Required::Custodian, Unknown::Keep);
    let before = vault.custodians("test").unwrap();
    let change = Change::NumberChanged {
        handle: phone("15550001111"),
        new: phone("15550003333"),
    };
    for change in [
        Change::Withdrew,
        change,
        Change::NumberRecycled(named()),
        Change::NumberShared(named()),
        Change::Left,
    ] {
        let nobody = said(change.clone(), None);
        assert!(matches!(nobody, Err(VaultError::Usage(_))), "{nobody:?}");
        assert_eq!(refused(said(change, Some("cy"))), Refusal::Role);
    }
    assert!(matches!(enrols(2002, None), Err(VaultError::Usage(_))));
    assert_eq!(refused(enrols(2002, Some("cy"))), Refusal::Role);
    assert_eq!(vault.custodians("test").unwrap(), before);
    // What can only keep more needs nobody; what may destroy, one who may.
    said(Change::PhoneLost(named()), None).unwrap();
    said(consented(), None).unwrap();
    enrols(2002, Some("bo")).unwrap();
    said(Change::Withdrew, Some("ann")).unwrap();
    assert_eq!(
        vault.custodians("test").unwrap()["custodians"][0]["consent"],
        "withdrew"
    );
    let rule = Rule::new(Required::NotRequired, Unknown::Keep);
    vault
        .set_consent_rule(rule, "agreement ended", &user(&vault, "ann"), "test")
        .unwrap();
    said(Change::Left, None).unwrap();
}

/// A file of one line that somebody with this userid wrote, by a connection of their company.
fn import_of_company(vault: &Vault, connection: &str, id: &str, userid: &str, text: &str) {
    let line = json!({ "platform_id": id, "conversation": { "id": "c" }, "sent_at": "2025-11-24T00:00:00Z",
        "sender": { "name": "x", "ids": [{ "kind": "wecom_userid", "value": userid }] }, "text": text });
    let options = ImportOptions {
        connector: "generic-import".into(),
        connection: Some(connection.into()),
        actor: "test".into(),
        ..Default::default()
    };
    let mut input = std::io::Cursor::new(line.to_string().into_bytes());
    vault.import(&mut input, &options, &mut |_, _| {}).unwrap();
}

#[test]
fn who_withdrew_in_one_company_is_not_who_has_the_same_id_in_another() {
    let place = Place::new();
    let vault = place.create();
    for connection in ["corp-a", "corp-b", "corp-c"] {
        import_of_company(&vault, connection, "0", "nobody", "it is there");
    }
    let table = "name,handles,connections,start\n\
                 Ann of A,wecom_userid:annlee,corp-a,2020-01-01\n\
                 Ann of B,wecom_userid:annlee,corp-b,2020-01-01\n";
    let answer = vault.import_custodians(table, None, "test").unwrap();
    assert_eq!(answer["enrolled"], 2, "{answer}");
    let taken = "name,handles,connections,start\nThird,wecom_userid:annlee,corp-b;corp-c,2020-01-01\n";
    let answer = vault.import_custodians(taken, None, "test").unwrap();
    assert_eq!(
        (&answer["enrolled"], answer["wrong"][0]["line"].as_u64()),
        (&json!(0), Some(2))
    );
    let people = vault.custodians("test").unwrap();
    let id = |n: usize| people["custodians"][n]["id"].as_str().unwrap().to_owned();
    record(&vault, &id(0), NOW - 90_000_000, Change::Withdrew);
    record(&vault, &id(1), NOW - 90_000_000, consented());
    require(&vault, Required::Everyone, Unknown::Destroy);
    import_of_company(&vault, "corp-a", "1", "annlee", "CANARY of the one in A");
    import_of_company(&vault, "corp-b", "1", "annlee", "of the one in B");
    // Perhaps the same person as in B.
    import_of_company(&vault, "corp-c", "1", "annlee", "of one in C");
    let mut read = texts(&vault);
    read.retain(|text| text != "it is there");
    read.sort();
    assert_eq!(read, ["of one in C", "of the one in B"]);
    let said = without(&vault);
    assert_eq!(said["destroyed"], 1);
    assert_eq!(said["by"][0]["custodian"], id(0).as_str());
}
