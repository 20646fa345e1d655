//! What was destroyed does not come back; who comes back is heard.

use server::vault::VaultError;
use server::vault::export::Selection;
use server::vault::governance::Targets;

use crate::instance::*;

const CHAT: &str = "31/01/24, 10:00 - Ann Ames: CANARY one\n31/01/24, 10:01 - Bo Berg: his one\n\
                    31/01/24, 10:02 - Ann Ames: CANARY two\n";

#[test]
fn a_later_import_does_not_bring_back_what_was_destroyed_and_says_so() {
    let place = Place::new();
    let vault = place.create();
    import(&vault, "Ward", CHAT);
    destroy(&vault, person("Ann Ames"));
    let left = everything(&vault);
    let same = import(&vault, "Ward", CHAT);
    assert_eq!((same.captured, same.erased), (false, 2), "the very same file");
    let longer =
        format!("{CHAT}01/02/24, 09:00 - Bo Berg: his two\n01/02/24, 09:01 - Ann Ames: CANARY three\n");
    let again = import(&vault, "Ward", &longer);
    assert_eq!((again.messages, again.new_messages, again.erased), (2, 1, 3));
    assert_eq!(search(&vault, "CANARY").len(), 0);
    assert_eq!(search(&vault, "his").len(), 2);
    assert_eq!(erased(&vault), 2 + 3);
    assert!(matches!(
        vault.open_capture(again.capture),
        Err(VaultError::BadData(_))
    ));
    let shown = vault.show(id(again.capture, 4), "test").unwrap();
    assert_eq!(
        (&shown["state"], &shown["record"]),
        (&"erased".into(), &().into())
    );
    let all = everything(&vault);
    assert_eq!(all.len(), left.len() + 2);
    vault.rebuild().unwrap();
    assert_eq!(everything(&vault), all);
    let (bundle, gone) = export(&vault, &Selection::All);
    let report = proved(&vault, &bundle);
    assert_eq!((gone, report.messages.erased), (5, 5));
    assert!(!contains(&bundle, b"CANARY three"));
    drop(vault);
    place.verified();
    assert_eq!(everything(&place.open()), all);
}

#[test]
fn what_comes_again_is_sealed_under_nothing_that_anybody_keeps() {
    let mut place = Place::new();
    place.epoch_lasts = std::time::Duration::ZERO;
    let vault = place.create();
    deliver(&vault, &[message("1", ANN, "CANARY hers")]);
    let destruction = destroy(&vault, person(ANN));
    let alone = deliver(&vault, &[message("1", ANN, "CANARY hers")]);
    let beside = deliver(
        &vault,
        &[message("1", ANN, "CANARY hers"), message("2", BO, "his")],
    );
    while vault.attest_keys("test").unwrap()["epochs_open"]
        .as_u64()
        .unwrap()
        > 2
    {
        deliver(&vault, &[message("n", BO, "time goes on")]);
    }
    assert_eq!(search(&vault, "CANARY").len(), 0);
    assert_eq!(search(&vault, "his").len(), 1);
    for (capture, ordinal) in [(alone, 0), (beside, 0)] {
        let shown = vault.show(id(capture, ordinal), "test").unwrap();
        assert_eq!(
            (&shown["state"], &shown["erased"]["by_entry"]),
            (&"erased".into(), &destruction.0.into())
        );
    }
    // The epochs are over: what is read now is read without their keys.
    let before = everything(&vault);
    vault.rebuild().unwrap();
    assert_eq!(everything(&vault), before);
    let (bundle, _) = export(
        &vault,
        &Selection::Ids(vec![id(alone, 0), id(beside, 0), id(beside, 1)]),
    );
    assert_eq!(proved(&vault, &bundle).messages.erased, 2);
    let checks = vault.doctor().unwrap();
    let ok = |name: &str| checks.iter().find(|check| check.check == name).unwrap().ok;
    assert!(ok("every capture opens") && ok("what was destroyed can be opened by nobody here"));
}

#[test]
fn a_client_who_comes_back_is_captured_under_a_fresh_secret() {
    let place = Place::new();
    let vault = place.create();
    deliver(&vault, &[message("1", ANN, "before")]);
    destroy(&vault, person(ANN));
    deliver(&vault, &[message("1", ANN, "before")]);
    place.set_clock(NOW + DAY);
    deliver(&vault, &[message_at(NOW + DAY - 10, "2", ANN, "afterwards")]);
    assert_eq!(search(&vault, "afterwards").len(), 1);
    // Old and new in one delivery.
    let mixed = deliver(
        &vault,
        &[
            message("1", ANN, "before"),
            message_at(NOW + DAY - 5, "3", ANN, "afterwards too"),
        ],
    );
    assert_eq!(search(&vault, "before").len(), 0);
    assert_eq!(search(&vault, "afterwards").len(), 2);
    assert_eq!(vault.show(id(mixed, 0), "test").unwrap()["state"], "erased");
    let all = everything(&vault);
    vault.rebuild().unwrap();
    assert_eq!(everything(&vault), all);
    // And can be destroyed again, with the secret that is new.
    destroy(&vault, person(ANN));
    assert_eq!(everything(&vault), Vec::<String>::new());
    deliver(&vault, &[message_at(NOW + DAY - 10, "2", ANN, "afterwards")]);
    assert_eq!(everything(&vault), Vec::<String>::new());
}

#[test]
fn a_month_that_was_destroyed_does_not_come_back_with_a_late_export() {
    let place = Place::new();
    let vault = place.create();
    import(&vault, "Ward", CHAT);
    let period = Targets {
        periods: vec!["2024-01".into()],
        ..Targets::default()
    };
    destroy(&vault, period.clone());
    let late = import(&vault, "Club", &CHAT.replace("Ann Ames", "Cy"));
    assert_eq!((late.messages, late.erased), (0, 3));
    assert_eq!(search(&vault, "CANARY").len(), 0);
    assert!(
        matches!(request(&vault, period, "ann"), Err(VaultError::NotFound(_))),
        "no fresh secret was made"
    );
    let kept = import(
        &vault,
        "Club",
        "01/02/24, 10:00 - Cy: in february\n01/02/24, 10:01 - Bo: yes\n",
    );
    assert_eq!((kept.messages, kept.erased), (2, 0));
}

#[test]
fn what_a_hold_covers_is_kept_though_it_comes_again_after_its_destruction() {
    let place = Place::new();
    let vault = place.create();
    deliver(&vault, &[message("1", ANN, "hers")]);
    destroy(&vault, person(ANN));
    let held = hold(
        &vault,
        govern::Selectors {
            persons: vec![ANN.into()],
            ..Default::default()
        },
    );
    deliver(&vault, &[message("1", ANN, "hers")]);
    assert_eq!(search(&vault, "hers").len(), 1);
    vault
        .lift_hold(held, "settled", &user(&vault, "bo"), "test")
        .unwrap();
    deliver(&vault, &[message("2", ANN, "hers too")]);
    assert_eq!(search(&vault, "hers").len(), 1);
    let all = everything(&vault);
    vault.rebuild().unwrap();
    assert_eq!(everything(&vault), all);
}
