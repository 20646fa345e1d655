//! Pulling the WeCom archive, against the fake driver that really encrypts.
#![cfg(test)]

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsBigEndian, AsDer};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect::wecom_archive::driver::{Driver, DriverError, Retry, meaning};
use connect::wecom_archive::fake::{CompanyKey, FakeDriver};
use connect::wecom_archive::items::{AnswerProblem, items};
use connect::wecom_archive::keys::{KeyProblem, Keys, RandomKeyProblem};
use connect::wecom_archive::pull::{Alarm, Closed, Next, Opened, Pull, open};
use model::Timestamp;
use proptest::prelude::*;
use zeroize::Zeroizing;

const NETWORK: DriverError = DriverError::Code(10001);
const ADDRESS: DriverError = DriverError::Code(10009);

static FIRST: LazyLock<CompanyKey> = LazyLock::new(|| CompanyKey::generate(1).expect("a key"));
static THIRD: LazyLock<CompanyKey> = LazyLock::new(|| CompanyKey::generate(3).expect("a key"));

fn keys(of: &[&CompanyKey]) -> Keys {
    let secrets: Vec<_> = of
        .iter()
        .map(|key| key.secret().expect("a key can be written"))
        .collect();
    Keys::read(&secrets).expect("keys as they were written")
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_760_000_000 + seconds)
}

fn hours(count: i64) -> i64 {
    count * 3600
}

fn text(answer: Vec<u8>) -> String {
    String::from_utf8(answer).expect("JSON is UTF-8")
}

/// One item of an archive with this message alone.
fn item_of(key: &CompanyKey, message: &str) -> (FakeDriver, String) {
    let mut driver = FakeDriver::default();
    driver.add(7, "m7", key, message).expect("encrypted");
    let answer = text(driver.fetch(0, 10).expect("an answer"));
    let item = items(&answer).expect("items")[0].bytes.to_owned();
    (driver, item)
}

// ---- keys

fn check_key(text: &str, expected: KeyProblem) {
    let read = Keys::read(&[Zeroizing::new(text.as_bytes().to_vec())]);
    assert_eq!(read.err(), Some(expected), "{text}");
}

#[test]
fn a_private_key_is_read_in_every_usual_form() {
    let secret = THIRD.secret().expect("a key can be written");
    let pem = std::str::from_utf8(&secret).expect("PEM is text");
    let base64 = pem.lines().nth(1).expect("the line between the armour");
    let der = STANDARD.decode(base64).expect("Base64");
    // The PKCS#1 key stands inside, behind version, algorithm and two heads.
    let pkcs1 = STANDARD.encode(&der[26..]);
    let wrapped: String = base64
        .as_bytes()
        .chunks(64)
        .map(|line| format!("{}\r\n", std::str::from_utf8(line).expect("ASCII")))
        .collect();
    for form in [
        pem.to_owned(),
        format!("3:{base64}"),
        format!(" 3 : \n{base64}\n"),
        format!("3:\n-----BEGIN PRIVATE KEY-----\r\n{wrapped}-----END PRIVATE KEY-----\r\n"),
        format!("3:-----BEGIN RSA PRIVATE KEY-----\n{pkcs1}\n-----END RSA PRIVATE KEY-----"),
        format!("3:{pkcs1}"),
    ] {
        let read = Keys::read(&[Zeroizing::new(form.clone().into_bytes())]).expect("a key");
        assert_eq!(read.versions().collect::<Vec<_>>(), [3]);
        let (mut driver, item) = item_of(&THIRD, "{}");
        assert_eq!(
            open(&item, &read, &mut driver),
            Opened::Plain(Zeroizing::new(b"{}".to_vec()))
        );
    }
}

#[test]
fn what_is_not_a_private_key_is_named() {
    let secret = THIRD.secret().expect("a key can be written");
    let pem = std::str::from_utf8(&secret).expect("PEM is text");
    let bare = pem.split_once(':').expect("a version").1;
    check_key(bare, KeyProblem::NoVersion);
    check_key("", KeyProblem::NoVersion);
    check_key("three:x", KeyProblem::NoVersion);
    check_key("-1:x", KeyProblem::NoVersion);
    check_key("3:", KeyProblem::NotAKey(3));
    check_key("3:not Base64!", KeyProblem::NotAKey(3));
    check_key("3:AAAA", KeyProblem::NotAKey(3));
    check_key(&pem[..pem.len() - 60], KeyProblem::NotAKey(3));
    check_key(
        "3:-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        KeyProblem::Public(3),
    );
    check_key(
        "3:-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        KeyProblem::Public(3),
    );
    check_key(
        "3:-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA",
        KeyProblem::Protected(3),
    );
    check_key(
        "3:-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n",
        KeyProblem::Protected(3),
    );
    let larger = PrivateDecryptingKey::generate(KeySize::Rsa3072).expect("a key");
    let der: Vec<u8> = larger.as_der().expect("a key can be written").as_ref().to_vec();
    check_key(
        &format!("3:{}", STANDARD.encode(der)),
        KeyProblem::WrongSize {
            version: 3,
            bits: 3072,
        },
    );
    let curve = aws_lc_rs::agreement::PrivateKey::generate(&aws_lc_rs::agreement::ECDH_P256).expect("a key");
    let curve: aws_lc_rs::encoding::EcPrivateKeyBin<'_> = curve.as_be_bytes().expect("bytes");
    check_key(
        &format!("3:{}", STANDARD.encode(curve.as_ref())),
        KeyProblem::NotAKey(3),
    );
    let twice = [secret.clone(), secret];
    assert_eq!(Keys::read(&twice).err(), Some(KeyProblem::Twice(3)));
}

// ---- opening

#[test]
fn an_item_opens_with_the_key_of_its_version() {
    let both = keys(&[&FIRST, &THIRD]);
    for key in [&*FIRST, &*THIRD] {
        let (mut driver, item) = item_of(key, "{\"msgid\":\"m7\"}");
        let opened = open(&item, &both, &mut driver);
        assert_eq!(
            opened,
            Opened::Plain(Zeroizing::new(b"{\"msgid\":\"m7\"}".to_vec()))
        );
    }
}

#[test]
fn an_item_of_a_version_that_is_missing_waits_for_its_key() {
    let (mut driver, item) = item_of(&THIRD, "{}");
    let missing = Closed::Key(RandomKeyProblem::NoSuchVersion(3));
    assert_eq!(open(&item, &keys(&[&FIRST]), &mut driver), Opened::Later(missing));
    assert_eq!(open(&item, &Keys::default(), &mut driver), Opened::Later(missing));
    assert!(matches!(
        open(&item, &keys(&[&FIRST, &THIRD]), &mut driver),
        Opened::Plain(_)
    ));
}

#[test]
fn a_key_that_is_another_than_the_vendors_is_told_from_a_missing_one() {
    let (mut driver, item) = item_of(&THIRD, "{}");
    let impostor = CompanyKey::generate(3).expect("a key");
    let opened = open(&item, &keys(&[&impostor]), &mut driver);
    assert_eq!(opened, Opened::Later(Closed::Key(RandomKeyProblem::WrongKey(3))));
}

#[test]
fn an_item_that_was_changed_does_not_open() {
    let (mut driver, item) = item_of(&FIRST, "{}");
    let keys = keys(&[&FIRST]);
    let changed = |name: &str, value: serde_json::Value| {
        let mut fields: serde_json::Value = serde_json::from_str(&item).expect("an item");
        fields[name] = value;
        fields.to_string()
    };
    let mut check =
        |item: String, expected: Opened| assert_eq!(open(&item, &keys, &mut driver), expected, "{item}");
    let malformed = || Opened::Never(Closed::Key(RandomKeyProblem::Malformed));
    check(changed("encrypt_random_key", "AAAA".into()), malformed());
    check(changed("encrypt_random_key", "?".into()), malformed());
    check(changed("encrypt_random_key", "".into()), malformed());
    let zeros = STANDARD.encode([0; 256]);
    check(
        changed("encrypt_random_key", zeros.into()),
        Opened::Later(Closed::Key(RandomKeyProblem::WrongKey(1))),
    );
    check(
        changed("encrypt_chat_msg", "AAAA".into()),
        Opened::Later(Closed::Driver(DriverError::Code(10006))),
    );
    for name in ["publickey_ver", "encrypt_random_key", "encrypt_chat_msg"] {
        check(
            changed(name, serde_json::Value::Null),
            Opened::Never(Closed::Incomplete),
        );
    }
    check(
        changed("publickey_ver", "one".into()),
        Opened::Never(Closed::Incomplete),
    );
    check("{}".to_owned(), Opened::Never(Closed::Incomplete));
    check("[".to_owned(), Opened::Never(Closed::Incomplete));
}

// ---- answers

#[test]
fn items_stay_as_they_came() {
    let answer =
        r#"{"errcode":0,"errmsg":"ok","chatdata":[ {"seq": 18446744073709551615, "x" : 1 },{"seq":"5"}]}"#;
    let found = items(answer).expect("items");
    assert_eq!(
        (found[0].seq, found[0].bytes),
        (u64::MAX, r#"{"seq": 18446744073709551615, "x" : 1 }"#)
    );
    assert_eq!((found[1].seq, found[1].bytes), (5, r#"{"seq":"5"}"#));
    assert!(
        items(r#"{"errcode":0,"errmsg":"ok"}"#)
            .expect("no items")
            .is_empty()
    );
}

#[test]
fn what_is_not_an_answer_is_refused_whole() {
    for answer in [
        "",
        "null",
        "[]",
        "5",
        "{",
        "<html>",
        r#"{"errcode":"x"}"#,
        r#"{"errcode":0,"chatdata":5}"#,
        r#"{"errcode":0,"chatdata":[5]}"#,
        r#"{"errcode":0,"chatdata":[{"seq":1},{"msgid":"no number"}]}"#,
        r#"{"errcode":0,"chatdata":[{"seq":-1}]}"#,
        r#"{"errcode":0,"chatdata":[{"seq":1.5}]}"#,
        r#"{"errcode":0,"chatdata":[{"seq":18446744073709551616}]}"#,
    ] {
        assert_eq!(items(answer), Err(AnswerProblem::NotAnAnswer), "{answer}");
    }
    let refused = items(r#"{"errcode":301042,"errmsg":"no","chatdata":[{"seq":1}]}"#);
    assert_eq!(refused, Err(AnswerProblem::Error(301_042)));
}

// ---- pulling

fn answer_of(numbers: &[u64]) -> String {
    let list: Vec<String> = numbers.iter().map(|seq| format!("{{\"seq\":{seq}}}")).collect();
    format!("{{\"errcode\":0,\"chatdata\":[{}]}}", list.join(","))
}

fn numbers(pull: &mut Pull, now: Timestamp, answer: &[u64]) -> Vec<u64> {
    let answer = answer_of(answer);
    let items = pull.answered(now, &answer).expect("an answer");
    items.iter().map(|item| item.seq).collect()
}

#[test]
fn the_position_moves_only_when_items_are_sealed() {
    let mut pull = Pull::resume(0, at(0));
    assert_eq!(pull.next(at(0)), Next::Fetch { seq: 0, limit: 1000 });
    assert_eq!(numbers(&mut pull, at(0), &[1, 2, 5]), [1, 2, 5]);
    assert_eq!(pull.position(), 0, "nothing is sealed yet");
    pull.failed(at(0), DriverError::Failed("the disk is full"));
    pull.sealed();
    assert_eq!(pull.position(), 0, "what failed was not sealed");
    assert_eq!(
        numbers(&mut pull, at(9), &[1, 2, 5]),
        [1, 2, 5],
        "the same comes again"
    );
    pull.sealed();
    assert_eq!(pull.position(), 5);
    assert_eq!(pull.next(at(10)), Next::Fetch { seq: 5, limit: 1000 });
}

#[test]
fn items_are_given_once_and_in_order() {
    let mut pull = Pull::resume(10, at(0));
    assert_eq!(numbers(&mut pull, at(0), &[12, 9, 11, 10, 12]), [11, 12]);
    pull.sealed();
    assert_eq!(numbers(&mut pull, at(1), &[11, 12]), [0; 0]);
    pull.sealed();
    assert_eq!(pull.position(), 12, "old items do not move it back");
    assert_eq!(numbers(&mut pull, at(99), &[u64::MAX]), [u64::MAX]);
    pull.sealed();
    assert_eq!(
        pull.next(at(100)),
        Next::Fetch {
            seq: u64::MAX,
            limit: 1000
        }
    );
}

#[test]
fn two_items_of_one_number_are_both_sealed() {
    let mut pull = Pull::resume(0, at(0));
    let answer = r#"{"errcode":0,"chatdata":[{"seq":1,"a":1},{"seq":1,"a":2},{"seq":1,"a":1}]}"#;
    let found: Vec<&str> = pull
        .answered(at(0), answer)
        .expect("an answer")
        .iter()
        .map(|item| item.bytes)
        .collect();
    assert_eq!(
        found.len(),
        3,
        "only neighbours that are the same are one: {found:?}"
    );
}

#[test]
fn only_an_empty_answer_means_the_end() {
    let mut pull = Pull::resume(0, at(0));
    numbers(&mut pull, at(hours(1)), &[1]);
    pull.sealed();
    assert_eq!(
        pull.caught_up_at(),
        at(0),
        "one item of a thousand is not the end"
    );
    assert!(
        matches!(pull.next(at(hours(1) + 1)), Next::Fetch { .. }),
        "asked again at once"
    );
    numbers(&mut pull, at(hours(1) + 1), &[]);
    assert_eq!(pull.caught_up_at(), at(hours(1) + 1));
    assert!(
        matches!(pull.next(at(hours(1) + 2)), Next::Wait { .. }),
        "then it waits"
    );
}

#[test]
fn old_items_again_and_again_are_no_busy_loop() {
    let mut pull = Pull::resume(9, at(0));
    numbers(&mut pull, at(1), &[3, 9]);
    assert!(matches!(pull.next(at(2)), Next::Wait { .. }));
    assert_eq!(pull.caught_up_at(), at(0), "and no end");
}

#[test]
fn failures_wait_longer_each_time_and_never_very_long() {
    let mut pull = Pull::resume(4, at(0));
    let mut waits = Vec::new();
    for _ in 0..70 {
        pull.failed(at(0), NETWORK);
        let Next::Wait { until } = pull.next(at(0)) else {
            panic!("a failure waits");
        };
        waits.push((until.as_micros() - at(0).as_micros()) / 1_000_000);
    }
    assert_eq!(waits[..4], [5, 10, 20, 40]);
    assert_eq!(waits.iter().max(), Some(&360));
    assert_eq!(pull.last_failure(), Some(NETWORK));
    pull.repaired();
    assert_eq!(pull.next(at(0)), Next::Fetch { seq: 4, limit: 1000 });
    numbers(&mut pull, at(1), &[]);
    assert_eq!(pull.last_failure(), None);
}

#[test]
fn what_only_a_repair_helps_is_asked_slowly_from_the_first() {
    for error in [
        ADDRESS,
        DriverError::Code(10000),
        DriverError::Code(301_042),
        DriverError::Code(10010),
    ] {
        let mut pull = Pull::resume(0, at(0));
        pull.failed(at(0), error);
        assert_eq!(pull.next(at(359)), Next::Wait { until: at(360) }, "{error}");
    }
    let mut pull = Pull::resume(0, at(0));
    assert_eq!(
        pull.answered(at(0), "{\"errcode\":301042}"),
        Err(DriverError::Code(301_042))
    );
    assert_eq!(pull.next(at(359)), Next::Wait { until: at(360) });
    assert!(pull.answered(at(400), "<html>").is_err());
    assert_eq!(pull.position(), 0);
}

#[test]
fn alarms_come_long_before_the_vendor_forgets() {
    let pull = Pull::resume(0, at(0));
    for (hour, expected) in [
        (0, None),
        (6, None),
        (7, Some(Alarm::Late)),
        (24, Some(Alarm::Late)),
        (25, Some(Alarm::Warning)),
        (72, Some(Alarm::Warning)),
        (73, Some(Alarm::Urgent)),
        (120, Some(Alarm::Urgent)),
        (121, Some(Alarm::Lost)),
    ] {
        assert_eq!(pull.alarm(at(hours(hour))), expected, "after {hour} hours");
    }
    assert_eq!(pull.lost(at(hours(120))), None);
    assert_eq!(pull.lost(at(hours(130))), Some((at(0), at(hours(10)))));
    assert_eq!(
        pull.alarm(at(-99)),
        None,
        "a clock that was set back alarms nobody"
    );
}

#[test]
fn pulling_that_never_catches_up_is_alarming_too() {
    let mut pull = Pull::resume(0, at(0));
    for hour in 1..=30 {
        numbers(
            &mut pull,
            at(hours(hour)),
            &[u64::try_from(hour).expect("positive")],
        );
        pull.sealed();
    }
    assert_eq!(pull.alarm(at(hours(30))), Some(Alarm::Warning));
}

#[test]
fn every_code_of_the_vendor_says_whether_asking_again_helps() {
    for code in [10001, 10002, 10003] {
        assert_eq!(meaning(code).retry, Retry::Later, "{code}");
    }
    for code in [10000, 10004, 10006, 10007, 10008, 10009, 10011] {
        let meaning = meaning(code);
        assert_eq!(meaning.retry, Retry::AfterRepair, "{code}");
        assert!(!meaning.remedy.is_empty(), "{code} says what to do");
    }
    for code in [10005, 10010] {
        assert_eq!(meaning(code).retry, Retry::Never, "{code}");
    }
    assert_eq!(meaning(-77).retry, Retry::Later, "what is not known may pass");
}

/// What may happen while pulling.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Works,
    Fails(DriverError),
    /// The program dies between the answer and the seal.
    DiesBeforeSealing,
    /// The program dies after the seal, before it noted anything.
    DiesAfterSealing,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_fails_every_item_is_sealed_in_order_and_none_is_passed_over(
        gaps in proptest::collection::vec(1_u64..4, 1..40),
        turns in proptest::collection::vec(prop_oneof![
            4 => Just(Turn::Works),
            1 => Just(Turn::Fails(NETWORK)),
            1 => Just(Turn::Fails(ADDRESS)),
            1 => Just(Turn::DiesBeforeSealing),
            1 => Just(Turn::DiesAfterSealing),
        ], 0..40),
        limit in 1_usize..7,
    ) {
        let wanted: Vec<u64> = gaps.iter().scan(0, |seq, gap| { *seq += gap; Some(*seq) }).collect();
        let mut now = at(0);
        // What is sealed is all that survives.
        let mut sealed: Vec<u64> = Vec::new();
        let mut pull = Pull::resume(0, at(0));
        let mut turns = turns.into_iter();
        for _ in 0..500 {
            match pull.next(now) {
                Next::Wait { until } => now = until,
                Next::Fetch { seq, .. } => {
                    let turn = turns.next().unwrap_or(Turn::Works);
                    if let Turn::Fails(error) = turn {
                        pull.failed(now, error);
                        continue;
                    }
                    let answer: Vec<u64> = wanted.iter().copied().filter(|n| *n > seq).take(limit).collect();
                    let given = numbers(&mut pull, now, &answer);
                    if matches!(turn, Turn::DiesBeforeSealing) {
                        pull = Pull::resume(sealed.last().copied().unwrap_or(0), at(0));
                        continue;
                    }
                    sealed.extend(&given);
                    if matches!(turn, Turn::DiesAfterSealing) {
                        pull = Pull::resume(sealed.last().copied().unwrap_or(0), at(0));
                        continue;
                    }
                    pull.sealed();
                }
            }
        }
        prop_assert_eq!(sealed, wanted);
        prop_assert_eq!(pull.alarm(now), None);
    }
}
