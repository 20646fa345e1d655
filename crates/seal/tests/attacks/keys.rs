//! Keys that were stolen and replaced, statements of succession, and anchors: with the zone's key in hand, and against what
//! somebody outside holds.

use seal::bundle::{Anchor, AnchorKind};
use seal::succession::{Reason, Statement};
use seal::suite::SigningKey;
use seal::witness::WitnessKey;

use crate::Case;
use crate::bundle::{changed, honest, usual};
use crate::sample::{Choice, Sample, Shown, TOKEN, key, witness_key};
use crate::zip::Members;

const ROOT: &str = include_str!("../../fixtures/v1/stamp-root.pem");

/// Cosignatures of the sample are of this second and one more for each batch.
const COSIGNED: i64 = 1_700_002_800;
const AFTER: i64 = COSIGNED + 100;

pub fn cases() -> Vec<Case> {
    let mut cases = genuine();
    cases.extend(stolen());
    cases.extend(statements());
    cases.extend(given_up());
    cases.extend(anchors());
    cases
}

/// The statement that the next key took its place after three batches.
fn statement(reason: Reason, at: i64) -> String {
    honest().successor(reason, at).1
}

/// The zone with its next key.
fn next() -> Sample {
    honest().successor(Reason::Rotated, AFTER).0
}

/// The zone in the hands of a thief, whose key this is.
fn of_thief() -> Sample {
    let mut thief = honest();
    thief.signing = SigningKey::from_seed(&key(5)).unwrap();
    thief.key.public = thief.signing.public();
    thief
}

/// That one key took another's place, which both sign.
fn replaced(old: &Sample, new: &Sample, reason: Reason, at: i64) -> String {
    let genuine = Statement::open(&statement(reason, at)).unwrap();
    let statement = Statement {
        old: old.key.clone(),
        new: new.key.clone(),
        ..genuine
    };
    statement.sign(&old.signing, &new.signing)
}

/// Records 2 to 7, sealed, in a bundle of four batches, with these statements and anchors.
fn sealed(signer: &Sample, statements: &[String], anchors: &[Anchor]) -> Vec<u8> {
    let choice: Choice = (2..8).map(|at| (at, Shown::Sealed)).collect();
    signer.bundle_with((4, &[1, 3]), &choice, &[], (statements, anchors))
}

/// A bundle of three batches by the first key, as it was handed out before that key was replaced.
fn from_before(anchors: &[Anchor]) -> Vec<u8> {
    let choice: Choice = [(2, Shown::Sealed)].into();
    honest().bundle_with((3, &[]), &choice, &[], (&[], anchors))
}

/// An examiner who has the zone's first key and a witness', and no checkpoint.
fn witnessed(name: &str, bundle: Vec<u8>) -> Case {
    Case {
        outside: None,
        witness: Some(witness_key()),
        ..usual(name, bundle)
    }
}

/// The same with a statement that the zone published.
fn told(name: &str, bundle: Vec<u8>, statement: String) -> Case {
    Case {
        succession: Some(statement),
        ..witnessed(name, bundle)
    }
}

fn genuine() -> Vec<Case> {
    let (old, new) = (honest(), next());
    let rotated = statement(Reason::Rotated, AFTER);
    let compromised = statement(Reason::Compromised, AFTER);
    let both = [old.cosigned(3), new.cosigned(4)];
    let stranger = WitnessKey {
        public: old.key.public,
        ..witness_key()
    };
    vec![
        witnessed("genuine-of-a-new-key-given-the-old-one", old.rotated_bundle()),
        Case {
            key: Some(new.key.clone()),
            ..witnessed("genuine-of-a-new-key-given-the-new-one", old.rotated_bundle())
        },
        usual(
            "genuine-of-a-new-key-against-a-checkpoint-of-the-old-one",
            old.rotated_bundle(),
        ),
        Case {
            root: Some(ROOT),
            ..witnessed("genuine-with-a-witness-and-a-time-stamp", old.usual_bundle())
        },
        Case {
            witness: Some(stranger),
            ..witnessed("genuine-with-a-witness-of-the-same-name", old.usual_bundle())
        },
        told(
            "genuine-from-before-a-rotation",
            from_before(&[]),
            rotated.clone(),
        ),
        told(
            "genuine-from-before-a-theft-with-an-anchor",
            from_before(&[old.cosigned(3)]),
            compromised.clone(),
        ),
        told(
            "genuine-of-a-new-key-after-a-theft-with-an-anchor",
            sealed(&new, std::slice::from_ref(&compromised), &both),
            compromised.clone(),
        ),
        Case {
            key: Some(new.key.clone()),
            ..told(
                "genuine-of-the-new-key-that-was-given-after-a-theft",
                sealed(&new, &[rotated], &[]),
                compromised,
            )
        },
    ]
}

/// A thief has the old key, and puts his own in its place.
fn stolen() -> Vec<Case> {
    let (old, thief) = (honest(), of_thief());
    let by_thief = |reason| replaced(&old, &thief, reason, AFTER);
    let genuine = |reason| statement(reason, AFTER);
    let anchors = [old.cosigned(3)];
    vec![
        told(
            "put-a-key-of-ones-own-in-the-place-of-one-that-is-known-to-be-stolen",
            sealed(&thief, &[by_thief(Reason::Rotated)], &[]),
            genuine(Reason::Compromised),
        ),
        told(
            "put-a-key-of-ones-own-there-with-an-anchor-from-before",
            sealed(&thief, &[by_thief(Reason::Rotated)], &anchors),
            genuine(Reason::Compromised),
        ),
        told(
            "put-a-key-of-ones-own-there-and-call-it-a-theft-too",
            sealed(&thief, &[by_thief(Reason::Compromised)], &anchors),
            genuine(Reason::Compromised),
        ),
        told(
            "put-a-key-of-ones-own-in-the-place-of-one-that-was-rotated",
            sealed(&thief, &[by_thief(Reason::Rotated)], &anchors),
            genuine(Reason::Rotated),
        ),
        Case {
            key: Some(thief.key.clone()),
            ..told(
                "have-the-examiner-take-the-thiefs-key-and-the-owners-statement",
                sealed(&thief, &[by_thief(Reason::Rotated)], &anchors),
                genuine(Reason::Compromised),
            )
        },
        told(
            "go-on-from-the-thiefs-key-to-a-third",
            {
                let mut third = of_thief();
                third.signing = SigningKey::from_seed(&key(6)).unwrap();
                third.key.public = third.signing.public();
                let on = replaced(&thief, &third, Reason::Rotated, AFTER);
                sealed(&third, &[by_thief(Reason::Rotated), on], &anchors)
            },
            genuine(Reason::Compromised),
        ),
        witnessed("come-back-to-the-key-that-was-replaced", {
            let back = replaced(&thief, &old, Reason::Rotated, AFTER);
            with_statements(&old, &[by_thief(Reason::Rotated), back])
        }),
        told(
            "sign-with-the-key-that-is-known-to-be-stolen",
            sealed(&old, &[], &anchors),
            genuine(Reason::Compromised),
        ),
        told(
            "sign-with-a-key-that-was-rotated",
            sealed(&old, &[], &[]),
            genuine(Reason::Rotated),
        ),
    ]
}

/// The usual bundle of a zone with these statements in it, which a writer would refuse.
fn with_statements(signer: &Sample, statements: &[String]) -> Vec<u8> {
    let mut members = Members::of(&sealed(signer, &[], &[]));
    let frame = |note: &String| [&[1][..], &(note.len() as u32).to_be_bytes(), note.as_bytes()].concat();
    *members.content("succession") = statements.iter().flat_map(frame).collect();
    members.sign_anew(signer, |_| {});
    members.pack()
}

/// Statements that do not hold, given the old key.
fn statements() -> Vec<Case> {
    let (old, new, thief) = (honest(), next(), of_thief());
    let right = statement(Reason::Rotated, AFTER);
    let genuine = Statement::open(&right).unwrap();
    let compromised = statement(Reason::Compromised, AFTER);
    let case = |name: &str, statements: &[String]| witnessed(name, with_statements(&new, statements));
    vec![
        case("leave-the-statement-out", &[]),
        case("give-the-statement-twice", &[right.clone(), right.clone()]),
        case(
            "sign-the-statement-without-the-old-key",
            &[genuine.sign(&thief.signing, &new.signing)],
        ),
        case(
            "sign-the-statement-without-the-new-key",
            &[genuine.sign(&old.signing, &thief.signing)],
        ),
        case(
            "call-a-theft-a-rotation",
            &[compromised.replace("compromised", "rotated")],
        ),
        case("date-the-statement-later", &[right.replace("T2", "T1")]),
        case(
            "let-the-old-key-reach-further",
            &[right.replace("last 3", "last 9")],
        ),
        case(
            "spell-the-statement-otherwise",
            &[right.replace("last 3", "last 03")],
        ),
        case(
            "give-the-statement-of-another-zone",
            &[Sample::new("eu", 3).successor(Reason::Rotated, AFTER).1],
        ),
        case("cut-the-statement", &[right[..right.len() - 1].to_owned()]),
        Case {
            outside: Some(old.note(4)),
            ..witnessed(
                "sign-a-checkpoint-with-a-key-that-was-replaced",
                sealed(&new, &[right], &[]),
            )
        },
        told(
            "give-the-statement-of-a-stranger",
            from_before(&[]),
            replaced(&thief, &new, Reason::Compromised, AFTER),
        ),
        told("give-no-statement-but-words", from_before(&[]), "hello\n".into()),
    ]
}

/// A key that was given up, and bundles that go beyond what an anchor from before covers.
fn given_up() -> Vec<Case> {
    let (old, new) = (honest(), next());
    let (early, late) = (
        statement(Reason::Compromised, COSIGNED),
        statement(Reason::Compromised, AFTER),
    );
    let beyond: Choice = [(2, Shown::Sealed), (15, Shown::Sealed)].into();
    let rotated = statement(Reason::Rotated, AFTER);
    let both = [old.cosigned(3), new.cosigned(4)];
    let late_in = std::slice::from_ref(&late);
    vec![
        told(
            "hide-the-anchor-from-before-a-theft",
            from_before(&[]),
            late.clone(),
        ),
        told(
            "call-an-anchor-of-after-a-theft-one-from-before",
            from_before(&[old.cosigned(3)]),
            early.clone(),
        ),
        Case {
            witness: None,
            ..told(
                "have-an-anchor-from-before-a-theft-that-nobody-can-check",
                from_before(&[old.cosigned(3)]),
                late.clone(),
            )
        },
        witnessed(
            "anchor-only-with-the-key-after-the-one-that-was-stolen",
            sealed(&new, late_in, &[new.cosigned(4)]),
        ),
        witnessed(
            "show-more-than-the-anchor-from-before-a-theft-covers",
            new.bundle_with((4, &[3]), &beyond, &[], (late_in, &both[..1])),
        ),
        told(
            "call-a-rotation-what-the-owner-calls-a-theft",
            new.bundle_with((4, &[3]), &beyond, &[], (&[rotated], &both)),
            late.clone(),
        ),
        told(
            "date-the-theft-later-than-the-owner-does",
            sealed(&new, late_in, &both),
            early,
        ),
    ]
}

/// A bundle that shows record 2, with these anchors whether they hold or not.
fn with_anchors((size, reach): (usize, &[usize]), lines: &str) -> Vec<u8> {
    let choice: Choice = [(2, Shown::Opened)].into();
    let plain = honest().bundle_with((size, reach), &choice, &[], (&[], &[]));
    let mut members = Members::of(&plain);
    *members.content("anchors.jsonl") = lines.as_bytes().to_vec();
    members.sign_anew(&honest(), |_| {});
    members.pack()
}

fn anchors() -> Vec<Case> {
    let sample = honest();
    let all = |name: &str, size, reach: &[usize], lines: &str| Case {
        root: Some(ROOT),
        ..witnessed(name, with_anchors((size, reach), lines))
    };
    let edit = |name: &str, change: fn(&mut Anchor)| {
        let mut anchor = sample.cosigned(3);
        change(&mut anchor);
        all(name, 4, &[3], &anchor.line())
    };
    let mut forged = honest();
    forged.entries[2].body[0] ^= 1;
    for at in 0..forged.batches.len() {
        let (first, count) = (forged.batches[at].first.0 as usize, forged.batches[at].count);
        forged.batches[at] = forged.batch_of(first, count);
    }
    let (third, fourth) = (sample.cosigned(3).line(), sample.cosigned(4).line());
    let stamp = |size| sample.anchor(AnchorKind::TimeStamp, "authority", size, TOKEN);
    let mut altered = TOKEN.to_vec();
    let at = altered.len() - 9;
    altered[at] ^= 1;
    let altered = sample.anchor(AnchorKind::TimeStamp, "authority", 4, &altered);
    vec![
        edit("genuine-with-one-anchor", |_| {}),
        all("genuine-with-two-anchors", 4, &[3], &format!("{third}{fourth}")),
        all("genuine-with-a-time-stamp-alone", 4, &[], &stamp(4).line()),
        edit("forge-the-path-of-an-anchor", |anchor| {
            anchor.path[0].replace_range(..1, "_")
        }),
        edit("cut-the-path-of-an-anchor", |anchor| drop(anchor.path.pop())),
        edit("take-the-batch-out-of-an-anchor", |anchor| anchor.batch.clear()),
        edit("anchor-another-size", |anchor| {
            anchor.checkpoint = anchor.checkpoint.replace("\n3\n", "\n2\n")
        }),
        edit("sign-the-checkpoint-of-an-anchor-twice", |anchor| {
            let twice = anchor.checkpoint.lines().last().unwrap().to_owned() + "\n";
            anchor.checkpoint.push_str(&twice);
        }),
        edit("take-the-proof-out-of-an-anchor", |anchor| anchor.proof.clear()),
        edit("give-a-short-cosignature", |anchor| {
            anchor.proof = "\u{2014} witness.example/w1 AAAAAAAA\n".into()
        }),
        edit("call-words-a-time-stamp", |anchor| {
            anchor.kind = AnchorKind::TimeStamp;
            anchor.proof = "AAAA".into();
        }),
        edit("call-a-cosignature-a-time-stamp", |anchor| {
            anchor.kind = AnchorKind::TimeStamp
        }),
        edit("alter-a-cosignature", |anchor| {
            let at = anchor.proof.len() - 9;
            let with = if anchor.proof[at..].starts_with('A') {
                "B"
            } else {
                "A"
            };
            anchor.proof.replace_range(at..=at, with);
        }),
        all("leave-out-the-proof-from-an-anchor", 4, &[], &third),
        all("anchor-a-later-log-than-the-bundles", 3, &[], &fourth),
        all(
            "anchor-another-zone",
            4,
            &[3],
            &Sample::new("eu", 3).cosigned(3).line(),
        ),
        all(
            "anchor-with-a-key-of-ones-own",
            4,
            &[3],
            &of_thief().cosigned(3).line(),
        ),
        all(
            "anchor-a-history-written-anew",
            4,
            &[3],
            &forged.cosigned(3).line(),
        ),
        Case {
            bundle: {
                let choice: Choice = [(5, Shown::Sealed)].into();
                let written = forged.bundle_with((4, &[3]), &choice, &[], (&[], &[]));
                let mut members = Members::of(&written);
                *members.content("anchors.jsonl") = third.clone().into_bytes();
                members.sign_anew(&sample, |_| {});
                members.pack()
            },
            ..all("show-a-genuine-anchor-with-a-history-written-anew", 4, &[3], "")
        },
        all("exchange-two-anchors", 4, &[3], &format!("{fourth}{third}")),
        all("give-an-anchor-twice", 4, &[3], &format!("{third}{third}")),
        all(
            "spell-an-anchor-otherwise",
            4,
            &[3],
            &third.replace(",\"name\"", ", \"name\""),
        ),
        all(
            "call-a-witness-a-notary",
            4,
            &[3],
            &third.replace("\"witness\"", "\"notary\""),
        ),
        all(
            "add-a-field-to-an-anchor",
            4,
            &[3],
            &third.replace("{\"kind\"", "{\"more\":1,\"kind\""),
        ),
        all("leave-the-end-of-an-anchor-out", 4, &[3], third.trim_end()),
        all(
            "move-a-time-stamp-to-another-checkpoint",
            4,
            &[3],
            &stamp(3).line(),
        ),
        all("alter-a-time-stamp", 4, &[], &altered.line()),
        Case {
            bundle: changed(|members| {
                let text = String::from_utf8(members.content("anchors.jsonl").clone()).unwrap();
                *members.content("anchors.jsonl") = text.replace("/w1 ", "/w2 ").into_bytes();
            }),
            limit: Some(
                "an anchor whose witness or authority was not given is named as not checked, and proves nothing",
            ),
            ..all("anchor-with-a-witness-that-nobody-knows", 4, &[3], "")
        },
    ]
}
