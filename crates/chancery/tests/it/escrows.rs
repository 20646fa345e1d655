//! Escrow from the command line: made, drilled, opened, refused.

use crate::backups::backed_up;
use crate::run::Place;

/// Keys of three recipients, and shares of which two are needed.
pub fn with_escrow(place: &Place) {
    for name in ["ann", "ben", "notary"] {
        place.secret(&format!("{name}.pass"), &format!("the passphrase of {name}\n"));
        let made = place.bare(&[
            "escrow",
            "key",
            "--name",
            name,
            "--out",
            &format!("{name}.key"),
            "--passphrase-file",
            &format!("{name}.pass"),
        ]);
        made.done();
    }
    make(place, "shares").done();
}

fn make(place: &Place, out: &str) -> crate::run::Ran {
    place.on(&[
        "escrow",
        "make",
        "--recipient",
        "ann.key.pub",
        "--recipient",
        "ben.key.pub",
        "--recipient",
        "notary.key.pub",
        "--threshold",
        "2",
        "--out",
        out,
    ])
}

/// `escrow drill` or `open` with the shares and keys of these, and more arguments. No passphrase of the store is given.
pub fn with(place: &Place, command: &str, who: &[(&str, &str)], more: &[&str]) -> crate::run::Ran {
    let mut arguments: Vec<String> = vec!["escrow".into(), command.into()];
    for (share, key) in who {
        arguments.extend(["--share".into(), (*share).into()]);
        arguments.extend(["--key".into(), format!("{key}.key")]);
        arguments.extend(["--key-passphrase-file".into(), format!("{key}.pass")]);
    }
    arguments.extend(more.iter().map(|word| (*word).to_owned()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    place.bare(&arguments)
}

pub const ANN: (&str, &str) = ("shares/ann.share", "ann");
pub const BEN: (&str, &str) = ("shares/ben.share", "ben");
const NOTARY: (&str, &str) = ("shares/notary.share", "notary");

#[test]
fn two_of_three_open_a_copied_key_store_without_its_passphrase_and_restore_the_record() {
    let place = backed_up();
    with_escrow(&place);
    place.on(&["backup", "now"]).done();
    let keys = crate::backups::files_below(&place.path("backup/zone-keys"));
    let keystore = keys
        .iter()
        .rev()
        .find(|path| path.extension().is_some_and(|ending| ending == "keystore"));
    let keystore = keystore.unwrap().to_str().unwrap();
    std::fs::remove_dir_all(place.path("archive")).unwrap();
    std::fs::remove_file(place.path("pass.txt")).unwrap();
    place.secret("new.txt", "chosen after the fire\n");
    let open = [
        "--keystore",
        keystore,
        "--out",
        "opened",
        "--new-passphrase-file",
        "new.txt",
    ];
    for who in [&[ANN][..], &[ANN, ANN]] {
        assert_eq!(with(&place, "open", who, &open).code, 64, "too few");
    }
    with(&place, "open", &[BEN, NOTARY], &open).done();
    with(&place, "open", &[BEN, NOTARY], &open).failed(73, "is there already");
    place
        .bare(&[
            "restore",
            "--from",
            "backup",
            "--keys",
            "opened",
            "--data",
            "archive",
            "--passphrase-file",
            "new.txt",
        ])
        .done();
    let search = [
        "search",
        "quokka",
        "--data",
        "archive",
        "--passphrase-file",
        "new.txt",
        "--json",
    ];
    assert_eq!(place.bare(&search).json()["found"], 1);
}

#[test]
fn a_drill_really_opens_with_the_escrow_alone_and_what_is_wrong_is_refused() {
    let place = backed_up();
    with_escrow(&place);
    let keystore = ["--keystore", "archive/keys/keystore"];
    let drill = |who: &[(&str, &str)]| with(&place, "drill", who, &keystore);
    assert!(
        drill(&[ANN, BEN])
            .done()
            .contains("opened by the escrow alone, 2 of 2 needed")
    );
    assert!(drill(&[ANN, BEN, NOTARY]).done().contains("secrets of zone us"));
    drill(&[ANN]).failed(64, "2 of 3 shares are needed, 1 given");
    drill(&[ANN, ANN]).failed(64, "the share of ann was given twice");
    // A share with another's key, an altered one, no share at all.
    drill(&[ANN, ("shares/ben.share", "notary")])
        .failed(65, "shares/ben.share: does not open with the key of ben");
    let share = std::fs::read_to_string(place.path("shares/ben.share")).unwrap();
    let number = share.replace("\"number\":2", "\"number\":3");
    place.write("number.share", number);
    drill(&[ANN, ("number.share", "ben")]).failed(65, "number.share: does not open");
    place.write(
        "name.share",
        share.replace("\"recipient\":\"ben\"", "\"recipient\":\"bob\""),
    );
    drill(&[ANN, ("name.share", "ben")]).failed(65, "name.share: was altered");
    place.write("no.share", "not a share\n");
    drill(&[ANN, ("no.share", "ben")]).failed(65, "no.share: is no share");
    // Shares of another escrow, and another's key store.
    make(&place, "shares").failed(73, "is not empty");
    make(&place, "later").done();
    drill(&[ANN, ("later/ben.share", "ben")]).failed(65, "the shares are of different escrows");
    place.run(&["init", "--zone", "eu", "--data", "other"]).done();
    let other = ["--keystore", "other/keys/keystore"];
    with(&place, "drill", &[ANN, BEN], &other).failed(65, "the escrow is not of this key store");
    with(&place, "drill", &[ANN, BEN], &["--keystore", "pass.txt"]).failed(65, "not a key store");
    place.secret("ben.pass", "a guess\n");
    drill(&[ANN, BEN]).failed(77, "ben.key: wrong passphrase");
}

#[test]
fn doctor_says_how_the_escrow_stands_and_that_it_is_stale_once_the_passphrase_was_changed() {
    let place = backed_up();
    let check = || {
        let doctor = place.on(&["doctor", "--json"]).json();
        let checks = doctor["checks"].as_array().unwrap().clone();
        checks
            .into_iter()
            .find(|check| check["check"] == "the escrow opens the key store")
    };
    assert!(check().is_none());
    with_escrow(&place);
    assert!(
        check().unwrap()["detail"]
            .as_str()
            .unwrap()
            .contains("never opened in a drill")
    );
    let serving = place.serve();
    let keystore = ["--keystore", "archive/keys/keystore", "--data", "archive"];
    let drilled = with(&place, "drill", &[ANN, NOTARY], &keystore);
    assert!(drilled.done().contains("written down"));
    assert!(
        check().unwrap()["detail"]
            .as_str()
            .unwrap()
            .contains("last opened in a drill")
    );
    assert_eq!(serving.stop(), Some(0));
    place.secret("new.txt", "quite another passphrase\n");
    place
        .on(&["keys", "passphrase", "--new-passphrase-file", "new.txt"])
        .done();
    place.secret("pass.txt", "quite another passphrase\n");
    let stale = check().unwrap();
    assert_eq!(stale["ok"], false);
    assert!(stale["detail"].as_str().unwrap().contains("stale"), "{stale}");
    let old = with(
        &place,
        "drill",
        &[ANN, BEN],
        &["--keystore", "archive/keys/keystore"],
    );
    old.failed(65, "its passphrase was changed since");
    make(&place, "later").done();
    assert_eq!(check().unwrap()["ok"], true);
    let later = [("later/ann.share", "ann"), ("later/ben.share", "ben")];
    with(&place, "drill", &later, &["--keystore", "archive/keys/keystore"]).done();
}

#[test]
fn recipients_and_thresholds_that_cannot_be_are_refused_and_nothing_is_left() {
    let place = backed_up();
    with_escrow(&place);
    let try_make = |recipients: &[&str], threshold: &str| {
        let mut arguments = vec!["escrow", "make", "--threshold", threshold, "--out", "none"];
        recipients
            .iter()
            .for_each(|file| arguments.extend(["--recipient", file]));
        place.on(&arguments)
    };
    try_make(&["ann.key.pub", "ben.key.pub"], "3").failed(64, "3 cannot be needed");
    try_make(&["ann.key.pub", "ben.key.pub"], "0").failed(64, "0 cannot be needed");
    try_make(&["ann.key.pub", "ann.key.pub"], "1").failed(64, "ann is named twice");
    try_make(&["ann.key.pub", "pass.txt"], "1").failed(65, "is no recipient's public key");
    assert!(crate::backups::files_below(&place.path("none")).is_empty());
    let key = |name: &str, out: &str| {
        place.bare(&[
            "escrow",
            "key",
            "--name",
            name,
            "--out",
            out,
            "--passphrase-file",
            "ann.pass",
        ])
    };
    key("../ann", "x.key").failed(64, "no name for a recipient");
    key("ann", "ann.key").failed(73, "is there already");
    assert!(!place.holds("", b"the passphrase of ann\n\n"));
    // What is private of a recipient is sealed, what is shared says nothing.
    for share in ["shares/ann.share", "ann.key", "ann.key.pub"] {
        let text = String::from_utf8_lossy(&std::fs::read(place.path(share)).unwrap()).into_owned();
        assert!(!text.contains("quokka") && !text.contains("passphrase"));
    }
}
