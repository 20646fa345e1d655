//! Anchors in a bundle: what they prove, to whom, and that no other passes for one.
#![cfg(test)]

use std::io::Cursor;

use model::{Position, Timestamp};
use seal::bundle::*;
use seal::note::Checkpoint;
use seal::stamp::Root;
use seal::witness::{WitnessKey, cosign};

use crate::sample::{Choice, Sample, Shown, witness_key, witness_signing};
use crate::zip::Members;

const ROOT: &str = include_str!("../../fixtures/v1/stamp-root.pem");
/// A root under which nothing here was stamped.
const OTHER_ROOT: &str = "-----BEGIN CERTIFICATE-----
MIIBYTCCAQagAwIBAgIUf/6wa7QjAaxADj0K16sakHujId0wCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKT3RoZXIgcm9vdDAgFw0yNjExMjUwNDAxMTRaGA8yMTA5MDEx
NDA0MDExNFowFTETMBEGA1UEAwwKT3RoZXIgcm9vdDBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABK6i0pIjUVWsmKdrRj9s6K8At+nbJt3+hW164MziRisyaDvP09gq
MAu5dlm2XUv2HrC4IZwxEnuS3nr5ACB3hoajMjAwMA8GA1UdEwEB/wQFMAMBAf8w
HQYDVR0OBBYEFHM4HqffCkeVqEKNMVB9nrkwN5TCMAoGCCqGSM49BAMCA0kAMEYC
IQDL7n+wr9NtTf3DqrY7UZbPyT5o6wZWF8uxYdpjGEQ/DgIhAN1aTP6rr02BDwZQ
ChLvNdx2iH0m07SP5YENxOFXX/0+
-----END CERTIFICATE-----
";

fn sample() -> Sample {
    Sample::new("us", 3)
}

fn check(bytes: &[u8], witnesses: &[WitnessKey], roots: &[Root]) -> Result<Report, BundleError> {
    let options = VerifyOptions {
        key: Some(sample().key),
        witnesses: witnesses.to_vec(),
        roots: roots.to_vec(),
        ..VerifyOptions::default()
    };
    verify(&mut Cursor::new(bytes), options)
}

/// Kind, size, last record and whether it was proved.
fn summary(report: &Report) -> Vec<(AnchorKind, u64, u64, bool)> {
    let one = |anchor: &AnchorReport| (anchor.kind, anchor.size, anchor.last_record.0, anchor.proved);
    report.anchors.iter().map(one).collect()
}

#[test]
fn an_anchor_is_proved_with_the_outsiders_key_and_only_named_without() {
    use AnchorKind::{TimeStamp, Witness};
    let (bundle, roots) = (sample().usual_bundle(), Root::all(ROOT).unwrap());
    let both = check(&bundle, &[witness_key()], &roots).unwrap();
    let (third, fourth) = (sample().batches[2].end().0 - 1, sample().batches[3].end().0 - 1);
    let expected = |witness, stamp| {
        vec![
            (Witness, 3, third, witness),
            (Witness, 4, fourth, witness),
            (TimeStamp, 4, fourth, stamp),
        ]
    };
    assert_eq!(summary(&both), expected(true, true));
    assert_eq!(both.anchors[0].at, Timestamp::from_seconds(1_700_002_803));
    assert_eq!(both.anchors[0].by, "witness.example/w1");
    assert_eq!(both.anchors[2].by, "Sample stamps");
    let none = check(&bundle, &[], &[]).unwrap();
    assert_eq!(summary(&none), expected(false, false));
    let stranger = WitnessKey {
        public: sample().key.public,
        ..witness_key()
    };
    let others = Root::all(OTHER_ROOT).unwrap();
    assert_eq!(
        summary(&check(&bundle, &[stranger], &others).unwrap()),
        expected(false, false)
    );
}

#[test]
fn every_changed_byte_of_a_proof_is_found_by_who_has_the_outsiders_key() {
    let roots = Root::all(ROOT).unwrap();
    let mut found = 0;
    let good = Members::of(&sample().usual_bundle())
        .content("anchors.jsonl")
        .clone();
    let text = String::from_utf8(good.clone()).unwrap();
    for (number, line) in text.lines().enumerate() {
        let from = text
            .lines()
            .take(number)
            .map(|line| line.len() + 1)
            .sum::<usize>();
        let proof = line.find("\"proof\":\"").unwrap() + 9;
        let length = line[proof..].find('"').unwrap();
        for at in from + proof..from + proof + length {
            let mut members = Members::of(&sample().usual_bundle());
            members.content("anchors.jsonl")[at] ^= 1;
            members.sign_anew(&sample(), |_| {});
            match check(&members.pack(), &[witness_key()], &roots) {
                Err(_) => found += 1,
                // A cosignature under another name or key is another witness's, and not said to be proved.
                Ok(report) => assert!(!report.anchors[number].proved, "byte {at}"),
            }
        }
    }
    assert!(found > 1000, "{found}");
}

/// What is said of a bundle with these anchors, the manifest signed by the zone.
fn complaint(size: usize, reach: &[usize], anchors: &[Anchor]) -> String {
    let lines: String = anchors.iter().map(Anchor::line).collect();
    complaint_of_lines(size, reach, &lines)
}

fn complaint_of_lines(size: usize, reach: &[usize], lines: &str) -> String {
    let choice: Choice = [(2, Shown::Opened)].into();
    let plain = sample().bundle_with((size, reach), &choice, &[], (&[], &[]));
    let mut members = Members::of(&plain);
    *members.content("anchors.jsonl") = lines.as_bytes().to_vec();
    members.sign_anew(&sample(), |_| {});
    match check(&members.pack(), &[witness_key()], &Root::all(ROOT).unwrap()) {
        Ok(report) => format!("passed with {}", report.anchors.len()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_no_anchor_of_the_bundles_log_is_refused() {
    let sample = sample();
    let edit = |change: fn(&mut Anchor)| {
        let mut anchor = sample.cosigned(3);
        change(&mut anchor);
        complaint(4, &[3], &[anchor])
    };
    assert_eq!(edit(|_| {}), "passed with 1");
    let place = "anchors.jsonl line 1: ";
    let not_there = format!("{place}its last batch is not in its checkpoint");
    assert_eq!(edit(|anchor| anchor.path[0].replace_range(..1, "_")), not_there);
    assert_eq!(edit(|anchor| drop(anchor.path.pop())), not_there);
    assert_eq!(
        edit(|anchor| anchor.batch.clear()),
        format!("{place}ends inside batch")
    );
    assert_eq!(
        edit(|anchor| anchor.checkpoint = anchor.checkpoint.replace("\n3\n", "\n2\n")),
        format!("{place}the signature does not match")
    );
    assert_eq!(
        edit(|anchor| {
            let twice = anchor.checkpoint.lines().last().unwrap().to_owned() + "\n";
            anchor.checkpoint.push_str(&twice);
        }),
        format!("{place}its checkpoint does not have just one signature")
    );
    assert_eq!(
        edit(|anchor| anchor.proof.clear()),
        format!("{place}not a well-formed signed note")
    );
    assert_eq!(
        edit(|anchor| anchor.proof = "\u{2014} witness.example/w1 AAAAAAAA\n".into()),
        format!("{place}its proof is not a cosignature")
    );
    assert_eq!(
        edit(|anchor| {
            anchor.kind = AnchorKind::TimeStamp;
            anchor.proof = "AAAA".into();
        }),
        format!("{place}not a time stamp in its form")
    );
    assert_eq!(
        complaint(4, &[], &[sample.cosigned(3)]),
        format!("{place}the bundle has no proof from what was anchored")
    );
    assert_eq!(
        complaint(3, &[], &[sample.cosigned(4)]),
        format!("{place}anchors a checkpoint later than the bundle's")
    );
    let eu = Sample::new("eu", 3).cosigned(3);
    assert_eq!(
        complaint(4, &[3], &[eu]),
        format!("{place}a checkpoint of another log")
    );
    let thief = Sample::new("us", 4).cosigned(3);
    assert_eq!(
        complaint(4, &[3], &[thief]),
        format!("{place}no signature by this key")
    );
}

#[test]
fn an_anchor_finds_a_history_written_anew_with_the_zones_key_in_hand() {
    let genuine = sample();
    let mut forged = sample();
    forged.entries[2].body[0] ^= 1;
    for index in 0..forged.batches.len() {
        let (first, count) = (
            forged.batches[index].first.0 as usize,
            forged.batches[index].count,
        );
        forged.batches[index] = forged.batch_of(first, count);
    }
    // The forger shows the genuine anchor with his own log.
    let choice: Choice = [(5, Shown::Sealed)].into();
    let bundle = forged.bundle_with((4, &[3]), &choice, &[], (&[], &[]));
    let mut members = Members::of(&bundle);
    *members.content("anchors.jsonl") = genuine.cosigned(3).line().into_bytes();
    members.sign_anew(&genuine, |_| {});
    let error = check(&members.pack(), &[witness_key()], &[])
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "anchors.jsonl line 1: the bundle's log does not continue what was anchored: the log was forked or rewritten"
    );
    // Or makes one himself, with a witness key of his own.
    let own = forged.cosigned(3).proof;
    let other = cosign(
        "x\n3\nAAAA\n",
        Timestamp::from_seconds(1),
        "witness.example/w1",
        &witness_signing(),
    );
    assert_ne!(own, other);
    let mut anchor = forged.cosigned(3);
    anchor.proof = other;
    *members.content("anchors.jsonl") = anchor.line().into_bytes();
    members.sign_anew(&genuine, |_| {});
    let error = check(&members.pack(), &[witness_key()], &[])
        .unwrap_err()
        .to_string();
    assert_eq!(error, "anchors.jsonl line 1: the signature does not match");
}

#[test]
fn lines_stand_in_one_order_and_one_spelling() {
    let (third, fourth) = (sample().cosigned(3).line(), sample().cosigned(4).line());
    let check = |lines: &str, expected: &str| {
        assert_eq!(complaint_of_lines(4, &[3], lines), expected);
    };
    check(&format!("{third}{fourth}"), "passed with 2");
    check("", "passed with 0");
    let follows = "anchors.jsonl line 2: does not follow the line before it";
    check(&format!("{fourth}{third}"), follows);
    check(&format!("{third}{third}"), follows);
    let form = "anchors.jsonl line 1: not a line of this format";
    check(third.trim_end(), form);
    check(&third.replace(",\"name\"", ", \"name\""), form);
    check(&third.replace("\"witness\"", "\"notary\""), form);
    check(&third.replace("{\"kind\"", "{\"more\":1,\"kind\""), form);
    check("\n", form);
}

#[test]
fn a_writer_takes_no_anchor_that_a_reader_would_refuse() {
    let sample = sample();
    let note = sample.note(4);
    let open = |anchors: &[Anchor], proofs: &[Proof]| {
        let opening = Opening {
            zone: sample.zone.clone(),
            key: sample.key.clone(),
            succession: &[],
            checkpoint: &note,
            proofs,
            anchors,
        };
        BundleWriter::create(Cursor::new(Vec::new()), &opening).is_ok()
    };
    assert!(open(&[sample.cosigned(4)], &[]));
    assert!(!open(&[sample.cosigned(3)], &[]), "no proof from there");
    let mut wrong = sample.cosigned(4);
    wrong.path.clear();
    assert!(!open(&[wrong], &[]));
}

#[test]
fn an_anchor_reads_to_where_its_last_batch_ends() {
    let sample = sample();
    let lineage = seal::succession::Lineage::new(sample.key.clone(), []).unwrap();
    let read = sample.cosigned(3).read(&sample.zone, &lineage).unwrap();
    assert_eq!(read.end, Position(sample.batches[2].end().0));
    let Checkpoint { size, root, .. } = read.checkpoint;
    assert_eq!((size, root), (3, sample.checkpoint(3).root));
    assert!(sample.cosigned(3).read(&"eu".parse().unwrap(), &lineage).is_err());
}
