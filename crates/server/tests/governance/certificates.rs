//! A certificate claims no more than is true.

use model::Position;
use server::vault::VaultError;
use server::vault::export::Selection;

use crate::instance::*;

#[test]
fn a_certificate_says_what_is_gone_who_decided_and_which_bundles_are_out() {
    let place = Place::new();
    let vault = place.create();
    let hers = deliver(&vault, &[message("1", ANN, "hers alone")]);
    let his = deliver(&vault, &[message("2", BO, "his alone")]);
    let both = deliver(
        &vault,
        &[message("3", ANN, "hers beside"), message("4", BO, "his beside")],
    );
    export(&vault, &Selection::All);
    export(&vault, &Selection::Ids(vec![id(his, 0), id(both, 1)]));
    export(&vault, &Selection::Ids(vec![id(both, 0)]));
    export(&vault, &Selection::Query("hers".into()));
    for nothing in ["no-such-word", "from:"] {
        let sink = std::io::Cursor::new(Vec::new());
        let selection = Selection::Query(nothing.into());
        vault
            .export(&selection, None, "test", sink, &mut |_, _| {})
            .unwrap_err();
    }
    let destruction = destroy(&vault, person(ANN));
    export(&vault, &Selection::All);
    let certificate = vault.certificate(destruction, "test").unwrap();
    let text = certificate.to_string();
    assert!(!text.contains(ANN) && !text.contains("hers alone"), "{text}");
    let at = |path: &str| {
        certificate
            .pointer(path)
            .unwrap_or_else(|| panic!("{path} in {text}"))
            .clone()
    };
    assert_eq!(
        (at("/requested_by"), at("/approved_by")),
        ("ann".into(), "bo".into())
    );
    assert_eq!(
        (at("/reason"), at("/legal_basis")),
        ("asked to be forgotten".into(), "GDPR art. 17".into())
    );
    assert_eq!(
        (at("/destroyed/messages"), at("/destroyed/captures")),
        (2.into(), 1.into())
    );
    assert_eq!(at("/destroyed/shared_captures"), 1);
    assert_eq!(at("/destroyed/positions"), serde_json::json!([hers, both]));
    assert_eq!(at("/destroyed/secrets/0/kind"), "person");
    assert_eq!(at("/checkpoint/covers_it"), true);
    assert_eq!(
        at("/beyond_reach/bundles/listed").as_array().unwrap().len(),
        3,
        "{text}"
    );
    assert_eq!(at("/beyond_reach/bundles/listed/1/holds_it"), "yes");
    // The epoch in which it came is still open: its key opens it, and the certificate says so.
    assert_eq!(
        (at("/erasure/in_force"), at("/erasure/epoch_keys_alive")),
        (false.into(), serde_json::json!([1]))
    );
    assert_eq!(at("/erasure/derived_rows_swept"), true);
    let attested = vault.attest_keys("test").unwrap();
    assert_eq!(
        attested["destructions_not_in_force"],
        serde_json::json!([destruction])
    );
    for nothing in [hers, Position(0), Position(1 << 40)] {
        assert!(matches!(
            vault.certificate(nothing, "test"),
            Err(VaultError::NotFound(_))
        ));
    }
    vault.rebuild().unwrap();
    let again = vault.certificate(destruction, "test").unwrap();
    for path in [
        "/destroyed",
        "/erasure",
        "/beyond_reach",
        "/reason",
        "/approved_by",
    ] {
        assert_eq!(again.pointer(path), certificate.pointer(path), "{path}");
    }
}
