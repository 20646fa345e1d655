//! Captures that concern several, after one of them was destroyed.

use govern::Refusal;
use model::entry::Kind;
use seal::part::RECORDS;
use server::vault::Vault;
use server::vault::export::Selection;
use server::vault::governance::Targets;

use crate::instance::*;

/// A chat of three, of so many lines.
fn chat(lines: usize) -> String {
    let mut text = String::from(
        "31/01/24, 10:00 - Messages and calls are end-to-end encrypted. No one outside of this chat, not even WhatsApp, can read or listen to them.\n",
    );
    for n in 0..lines {
        let who = ["Ann Ames", "Bo Berg", "+49 151 2345678"][n % 3];
        let (day, hour, minute) = (1 + n / 600 % 28, 8 + n / 60 % 10, n % 60);
        text += &format!("{day:02}/02/24, {hour:02}:{minute:02} - {who}: line {n} of {who}\n");
    }
    text
}

/// Entries whose items are records as they were understood.
fn frozen(vault: &Vault) -> Vec<(model::Position, usize)> {
    let mut found = Vec::new();
    for at in 0..vault.ledger().head().0 {
        let entry = vault.ledger().entry(model::Position(at)).unwrap().unwrap();
        if let Kind::Part(part) = &entry.header.kind {
            let items = seal::part::items(part, &entry.body).unwrap();
            let count = items.iter().filter(|item| item.place.stream == RECORDS).count();
            if count > 0 {
                found.push((entry.header.position, count));
            }
        }
    }
    found
}

#[test]
fn an_export_loses_one_voice_and_then_another_and_the_rest_is_the_same_after_every_rebuild() {
    let place = Place::new();
    let vault = place.create();
    let imported = import(&vault, "The Three", &chat(3000));
    assert_eq!((imported.messages, imported.erased), (3001, 0));
    // The same chat a little longer: its lines repeat the first.
    import(&vault, "The Three", &chat(3300));
    assert_eq!(frozen(&vault), []);
    let all = everything(&vault);
    let destruction = destroy(&vault, person("Ann Ames"));
    let without = |voices: &[&str]| -> Vec<String> {
        let speaks = |one: &&String| voices.iter().any(|voice| one.contains(&format!("of {voice}")));
        all.iter().filter(|one| !speaks(one)).cloned().collect()
    };
    let left = everything(&vault);
    assert_eq!(left, without(&["Ann Ames"]));
    assert_eq!(erased(&vault), 1000 + 1100);
    let written: usize = frozen(&vault).iter().map(|(_, count)| count).sum();
    assert_eq!(written, left.len());
    vault.rebuild().unwrap();
    assert_eq!(everything(&vault), left);
    let (bundle, gone) = export(&vault, &Selection::All);
    let report = proved(&vault, &bundle);
    assert_eq!(
        (gone, report.messages.erased, report.messages.part),
        (2100, 2100, left.len() as u64)
    );

    // A second destruction writes nothing out again.
    destroy(&vault, person("+49 151 2345678"));
    let left = everything(&vault);
    assert_eq!(left, without(&["Ann Ames", "+49 151 2345678"]));
    let written_then: usize = frozen(&vault).iter().map(|(_, count)| count).sum();
    assert_eq!(written_then, written);
    vault.rebuild().unwrap();
    assert_eq!(everything(&vault), left);
    drop(vault);
    place.verified();
    let vault = place.open();
    assert_eq!(everything(&vault), left);
    // One line of the living is still proved alone, by the bytes as they were received.
    let found = search(&vault, "\"line 1 of Bo Berg\"");
    let one: model::MessageId = found[0]["id"].as_str().unwrap().parse().unwrap();
    let (bundle, _) = export(&vault, &Selection::Ids(vec![one]));
    let report = proved(&vault, &bundle);
    assert_eq!((report.items.opened, report.messages.part), (1, 1));
    assert!(!contains(&bundle, b"of Ann Ames"));
    let _ = destruction;
}

#[test]
fn no_bundle_shows_a_record_as_a_program_understood_it_in_place_of_the_bytes() {
    let place = Place::new();
    let vault = place.create();
    let both = deliver(&vault, &[message("1", ANN, "hers"), message("2", BO, "his")]);
    destroy(&vault, person(ANN));
    let [(part, 1)] = frozen(&vault)[..] else {
        panic!("{:?}", frozen(&vault))
    };
    let (bundle, _) = export(&vault, &Selection::All);
    let report = proved(&vault, &bundle);
    // His item, hers sealed, and the bytes around them; not the record.
    let entry = vault.ledger().entry(part).unwrap().unwrap();
    let item = seal::part::read_item(&entry.body, 0).unwrap().0;
    assert!(!contains(&bundle, item.ciphertext));
    assert_eq!(report.messages.part, 1);
    let (bundle, _) = export(&vault, &Selection::Ids(vec![id(both, 1)]));
    proved(&vault, &bundle);
    assert!(!contains(&bundle, item.ciphertext));
}

#[test]
fn a_capture_that_concerns_two_months_keeps_the_other_month_and_its_system_lines() {
    let place = Place::new();
    let vault = place.create();
    let text = "31/01/24, 23:58 - Ann Ames: last of january\n01/02/24, 00:01 - Bo Berg: first of february\n\
                01/02/24, 00:02 - Ann Ames: second of february\n";
    import(&vault, "Midnight", text);
    let period = Targets {
        periods: vec!["2024-01".into()],
        ..Targets::default()
    };
    destroy(&vault, period);
    let left = everything(&vault);
    assert_eq!(left.iter().filter(|one| one.contains("february")).count(), 2);
    assert!(!left.iter().any(|one| one.contains("january")));
    vault.rebuild().unwrap();
    assert_eq!(everything(&vault), left);
}

#[test]
fn a_name_that_several_people_have_is_not_destroyed_by_an_oversight() {
    let place = Place::new();
    let vault = place.create();
    import(
        &vault,
        "Ward",
        "31/01/24, 10:00 - Ann Ames: in the ward\n31/01/24, 10:01 - Bo Berg: yes\n",
    );
    import(
        &vault,
        "Bridge Club",
        "31/01/24, 10:00 - Ann Ames: at the club\n31/01/24, 10:01 - Cy: yes\n",
    );
    let asked = request(&vault, person("Ann Ames"), "ann");
    assert!(
        asked
            .unwrap_err()
            .to_string()
            .contains("2 have that person's name")
    );
    let within = Targets {
        within: Some("Ward".into()),
        ..person("Ann Ames")
    };
    destroy(&vault, within);
    assert_eq!(search(&vault, "\"in the ward\"").len(), 0);
    assert_eq!(search(&vault, "\"at the club\"").len(), 1);
    assert_eq!(search(&vault, "yes").len(), 2);
    destroy(&vault, person("Ann Ames"));
    assert!(matches!(
        request(&vault, person("Ann Ames"), "ann"),
        Err(server::vault::VaultError::NotFound(_))
    ));
    assert_eq!(search(&vault, "is:message").len(), 2);
}

#[test]
fn a_conversation_and_a_person_in_one_request_die_together_or_not_at_all() {
    let place = Place::new();
    let vault = place.create();
    deliver(&vault, &[message("1", ANN, "hers"), message("2", BO, "his")]);
    import(
        &vault,
        "Ward",
        "31/01/24, 10:00 - Ann Ames: in the ward\n31/01/24, 10:01 - Bo Berg: yes\n",
    );
    let both = || Targets {
        conversations: vec!["Ward".into()],
        ..person(ANN)
    };
    let held = hold(
        &vault,
        govern::Selectors {
            conversations: vec!["Ward".into()],
            ..Default::default()
        },
    );
    assert_eq!(refused(request(&vault, both(), "ann")), Refusal::Held(held));
    assert_eq!(everything(&vault).len(), 4);
    vault
        .lift_hold(held, "settled", &user(&vault, "ann"), "test")
        .unwrap();
    destroy(&vault, both());
    let left = everything(&vault);
    assert!(left.len() == 1 && left[0].contains("his"), "{left:?}");
}
