//! What is not destroyed for want of consent: what a hold names, and whatever is only perhaps without it.

use connect::wecom_archive::fake::{CompanyKey, FakeDriver};
use govern::Selectors;
use govern::consent::{Required, Unknown};

use crate::archive::connect_with;
use crate::consent::{OUTSIDE, enrol, require, texts, wecom};
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
