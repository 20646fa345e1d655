//! Bundles: what is true of a good one, and that nothing else passes.

#[cfg(test)]
#[path = "bundle/anchors.rs"]
mod anchors;
#[cfg(test)]
#[path = "sample/opened.rs"]
mod opened;
#[cfg(test)]
mod sample;
#[cfg(test)]
#[path = "bundle/succession.rs"]
mod succession;
#[cfg(test)]
#[path = "bundle/writer.rs"]
mod writer;
#[cfg(test)]
#[path = "sample/zip.rs"]
mod zip;

use std::collections::BTreeMap;
use std::io::Cursor;

use opened::Opened;
use proptest::prelude::*;
use sample::{Choice, MIXED, Sample, Shown};
use seal::bundle::*;
use seal::tree::{InMemory, consistency_proof};
use zip::{Frame, Members};

const ENTRY: u8 = 2;
const OMITTED: u8 = 3;
const ITEM: u8 = 5;

fn check(bytes: &[u8]) -> Result<Report, BundleError> {
    verify(&mut Cursor::new(bytes), VerifyOptions::default())
}

fn check_with_key(bytes: &[u8], sample: &Sample) -> Result<Report, BundleError> {
    let options = VerifyOptions {
        key: Some(sample.key.clone()),
        ..VerifyOptions::default()
    };
    verify(&mut Cursor::new(bytes), options)
}

fn check_outside(bytes: &[u8], note: &str, proof: Option<&str>) -> Result<Report, BundleError> {
    let options = VerifyOptions {
        outside: Some(OutsideCheckpoint { note, proof }),
        ..VerifyOptions::default()
    };
    verify(&mut Cursor::new(bytes), options)
}

/// What is said of a bundle that must not pass.
fn complaint(bytes: &[u8]) -> String {
    match check(bytes) {
        Ok(report) => format!("passed: {report:?}"),
        Err(error) => error.to_string(),
    }
}

/// Changes frames of the usual bundle; the zip is made to fit, and the manifest signed anew where asked.
fn reframed(resign: bool, change: impl FnOnce(&mut Vec<Frame>)) -> Vec<u8> {
    let sample = Sample::new("us", 3);
    let mut members = Members::of(&sample.usual_bundle());
    let mut frames = members.frames();
    change(&mut frames);
    members.set_frames(&frames);
    if resign {
        members.sign_anew(&sample, |_| {});
    }
    members.pack()
}

fn opened(bytes: &[u8]) -> Vec<String> {
    let mut opened = Opened::default();
    let options = VerifyOptions {
        extract: Some(&mut opened),
        ..VerifyOptions::default()
    };
    verify(&mut Cursor::new(bytes), options).map_or_else(|error| vec![error.to_string()], |_| opened.0)
}

#[test]
fn a_bundle_is_proved_and_says_what_it_holds() {
    let sample = Sample::new("us", 3);
    let report = check_with_key(&sample.usual_bundle(), &sample).unwrap();
    let counts = |pairs: &[(&'static str, u64)]| BTreeMap::from_iter(pairs.iter().copied());
    assert_eq!(
        report.entries,
        counts(&[
            ("act", 2),
            ("capture", 5),
            ("destruction", 1),
            ("gap", 2),
            ("outside-result", 1),
            ("part", 2),
            ("wrap", 1)
        ])
    );
    assert!(report.origin_proved);
    assert_eq!((report.captures.opened, report.captures.erased), (3, 1));
    assert_eq!((report.captures.sealed, report.captures.incomplete), (1, 0));
    assert_eq!((report.items.shown, report.items.opened), (3, 2));
    let messages = MessageCounts {
        raw: 2,
        part: 2,
        erased: 2,
    };
    assert_eq!((report.messages, report.gaps), (messages, 2));
    assert!(!check(&sample.usual_bundle()).unwrap().origin_proved);
}

#[test]
fn every_changed_byte_of_a_bundle_is_found() {
    let bytes = Sample::new("us", 3).usual_bundle();
    for at in 0..bytes.len() {
        for mask in [0x01, 0x20, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= mask;
            assert!(check(&changed).is_err(), "byte {at} mask {mask}");
        }
    }
}

#[test]
fn a_changed_byte_of_a_record_is_told_of_that_record() {
    let sample = Sample::new("us", 3);
    let bytes = sample.usual_bundle();
    let body = &sample.entries[4].body;
    let at = bytes
        .windows(body.len())
        .position(|window| window == body)
        .unwrap();
    let mut changed = bytes.clone();
    changed[at + 3] ^= 1;
    assert_eq!(complaint(&changed), "record 4: its bytes were altered");
    let item = &sample.entries[12].body[20..40];
    let none = bytes.windows(item.len()).any(|window| window == item);
    assert!(!none, "the first item is not in the bundle");
}

#[test]
fn a_bundle_cut_anywhere_or_with_a_byte_more_is_refused() {
    let bytes = Sample::new("us", 3).usual_bundle();
    for end in 0..bytes.len() {
        assert!(check(&bytes[..end]).is_err(), "cut at {end}");
    }
    for more in [&[0u8][..], b"PK\x05\x06", &bytes] {
        assert!(check(&[&bytes, more].concat()).is_err());
        assert!(check(&[more, &bytes].concat()).is_err());
    }
}

#[test]
fn members_moved_renamed_doubled_or_taken_out_are_refused() {
    let bundle = Sample::new("us", 3).usual_bundle();
    let members = Members::of(&bundle);
    assert_eq!(
        members.pack(),
        bundle,
        "the second zip writer agrees with the first"
    );
    for at in 0..members.0.len() {
        let mut changed = members.clone();
        changed.0.remove(at);
        assert!(check(&changed.pack()).is_err(), "without {at}");
        let mut changed = members.clone();
        let doubled = changed.0[at].clone();
        changed.0.insert(at, doubled.clone());
        assert!(check(&changed.pack()).is_err(), "twice {at}");
        changed.0.remove(at);
        changed.0.push(doubled);
        assert!(check(&changed.pack()).is_err(), "twice {at}, once at the end");
        let mut changed = members.clone();
        changed.0[at].0.push('x');
        assert!(check(&changed.pack()).is_err(), "renamed {at}");
        if at > 0 {
            let mut changed = members.clone();
            changed.0.swap(at - 1, at);
            assert!(check(&changed.pack()).is_err(), "moved {at}");
        }
    }
}

#[test]
fn a_record_dropped_or_shown_twice_or_exchanged_with_its_neighbour_is_found() {
    for resign in [false, true] {
        let count = Members::of(&Sample::new("us", 3).usual_bundle()).frames().len();
        for at in 0..count {
            let dropped = reframed(resign, |frames| {
                frames.remove(at);
            });
            assert!(check(&dropped).is_err(), "dropped frame {at}");
            let twice = reframed(resign, |frames| frames.insert(at, frames[at].clone()));
            assert!(check(&twice).is_err(), "doubled frame {at}");
            if at > 0 {
                let moved = reframed(resign, |frames| frames.swap(at - 1, at));
                assert!(check(&moved).is_err(), "moved frame {at}");
            }
            let cut = reframed(resign, |frames| frames.truncate(at));
            assert!(check(&cut).is_err(), "ends before frame {at}");
        }
    }
}

#[test]
fn keys_exchanged_between_records_open_nothing() {
    let is_open = |frame: &Frame| (frame.0 == ENTRY || frame.0 == ITEM) && frame.1[4] == 1;
    let sample = Sample::new("us", 3);
    let frames = Members::of(&sample.usual_bundle()).frames();
    let with_keys: Vec<usize> = (0..frames.len()).filter(|at| is_open(&frames[*at])).collect();
    assert!(with_keys.len() > 8);
    for a in &with_keys {
        for b in with_keys.iter().filter(|b| *b > a) {
            let (key_a, key_b) = (frames[*a].1[5..37].to_vec(), frames[*b].1[5..37].to_vec());
            if key_a == key_b {
                continue; // Two chunks of one capture.
            }
            let exchanged = reframed(true, |frames| {
                frames[*a].1[5..37].copy_from_slice(&key_b);
                frames[*b].1[5..37].copy_from_slice(&key_a);
            });
            assert!(
                complaint(&exchanged).contains(" of record ") || complaint(&exchanged).contains("record ")
            );
            assert!(check(&exchanged).is_err());
        }
    }
}

#[test]
fn one_message_proved_alone_opens_nothing_else() {
    let sample = Sample::new("us", 3);
    let choice: Choice = BTreeMap::from([(12, Shown::Items(BTreeMap::from([(1, true)])))]);
    let bundle = sample.bundle(4, &[], &choice, &[("10.1", MessageState::Part)]);
    assert_eq!(opened(&bundle), ["10.1 second of Ann"]);
    let item = Members::of(&bundle)
        .frames()
        .into_iter()
        .find(|frame| frame.0 == ITEM)
        .unwrap();
    let key = seal::Key::from_bytes(item.1[5..37].try_into().unwrap());
    // The key that was disclosed, tried on everything else that is sealed in the ledger, whole or as an item.
    let mut out = Vec::new();
    for entry in &sample.entries {
        let zone = &sample.zone;
        match &entry.header.kind {
            model::entry::Kind::Chunk(chunk) => {
                assert!(
                    seal::envelope::open_chunk(zone, &chunk.sealing, &key, &entry.body, &mut out).is_err()
                );
            }
            model::entry::Kind::Part(part) => {
                for item in seal::part::items(part, &entry.body).unwrap() {
                    let opens = seal::part::open_item(zone, part.source, &key, &item, &mut out).is_ok();
                    assert_eq!(opens, item.place.ordinal == 1);
                    // Nor do keys derived from it, as those of items are from the part's.
                    for index in 0..5 {
                        let derived = seal::part::item_key(&key, index).unwrap();
                        assert!(seal::part::open_item(zone, part.source, &derived, &item, &mut out).is_err());
                    }
                }
            }
            model::entry::Kind::Act(act) => {
                assert!(seal::act::open_act_with(zone, act, &key, &entry.body, &mut out).is_err());
            }
            _ => {}
        }
    }
    for text in MIXED.iter().filter(|text| **text != "second of Ann") {
        assert!(!bundle.windows(text.len()).any(|window| window == text.as_bytes()));
    }
}

#[test]
fn what_was_opened_is_handed_out_and_what_was_not_is_not() {
    let opened = opened(&Sample::new("us", 3).usual_bundle());
    let holds = |text: &str| opened.iter().any(|line| line.contains(text));
    for text in [
        "alpha",
        "charlie",
        "4 delta",
        "a picture",
        "10.1 second",
        "10.4 fourth",
        "asked for",
    ] {
        assert!(holds(text), "{text} in {opened:?}");
    }
    for text in ["bravo", "mixed", "of Bob", "first", "third"] {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn a_message_that_the_evidence_does_not_open_is_refused() {
    let sample = Sample::new("us", 3);
    for (id, state, line) in [
        ("3.0", MessageState::Raw, 1),
        ("10.0", MessageState::Part, 1),
        ("10.0", MessageState::Raw, 1),
        ("2.0", MessageState::Erased, 1),
        ("10.1", MessageState::Erased, 1),
        ("10.0", MessageState::Erased, 1),
        ("99.0", MessageState::Raw, 1),
    ] {
        let bundle = sample.bundle(4, &[], &sample.usual(), &[(id, state)]);
        let said = complaint(&bundle);
        assert!(
            said.starts_with(&format!("messages.jsonl line {line}: ")),
            "{said}"
        );
    }
}

#[test]
fn lines_that_are_no_lines_are_refused_even_under_a_good_signature() {
    let sample = Sample::new("us", 3);
    let good = r#"{"id":"2.0","state":"raw","connector":"c","connector_version":1,"record":{}}"#;
    let try_line = |line: &str| {
        let mut members = Members::of(&sample.bundle(4, &[], &sample.usual(), &[]));
        *members.content("messages.jsonl") = line.as_bytes().to_vec();
        members.sign_anew(&sample, |text| {
            *text = text.replace("\"messages\":0", "\"messages\":1")
        });
        check(&members.pack()).is_ok()
    };
    assert!(try_line(&format!("{good}\n")));
    for bad in [
        good.to_owned(),
        format!("{good}\n\n"),
        format!("{good}\n{good}\n"),
        format!("{}\n", good.replace("2.0", "02.0")),
        format!("{}\n", good.replace("{}", "null")),
        format!("{}\n", good.replace("{}", "[]")),
        format!("{}\n", good.replace("{}", "{")),
        format!("{}\n", good.replace("{}", r#"{},"state":"raw""#)),
        format!("{}\n", good.replace("{}", r#"{},"more":1"#)),
        format!("{}\n", good.replace("\"c\"", "\"\"")),
        format!("{}{}\n", good.replace("{}}", r#"{"a":"#), "[".repeat(100_000)),
    ] {
        assert!(!try_line(&bad), "{}", &bad[..bad.len().min(200)]);
    }
}

#[test]
fn gaps_say_what_their_entries_say() {
    let sample = Sample::new("us", 3);
    let forge = |change: &dyn Fn(&mut String)| {
        let mut members = Members::of(&sample.usual_bundle());
        let mut text = String::from_utf8(members.content("gaps.jsonl").clone()).unwrap();
        change(&mut text);
        *members.content("gaps.jsonl") = text.into_bytes();
        members.sign_anew(&sample, |_| {});
        complaint(&members.pack())
    };
    let shorter = forge(&|text| *text = text.replace("\"count\":3", "\"count\":0"));
    assert_eq!(
        shorter,
        "gaps.jsonl line 2: does not say what the gap entry in the evidence says"
    );
    let fewer = forge(&|text| text.truncate(text.find('\n').unwrap() + 1));
    assert_eq!(fewer, "gaps.jsonl: does not name every gap entry of the evidence");
}

#[test]
fn another_zones_key_or_bundle_is_refused() {
    let (us, eu) = (Sample::new("us", 3), Sample::new("eu", 4));
    let said = check_with_key(&eu.usual_bundle(), &us).unwrap_err().to_string();
    assert!(said.starts_with("zone.pub: not the key that was given"), "{said}");
    // Members of the one in the other: the signed checkpoint, the whole evidence, the key.
    for name in ["checkpoint", "evidence", "zone.pub", "manifest", "consistency"] {
        let mut members = Members::of(&us.usual_bundle());
        *members.content(name) = Members::of(&eu.usual_bundle()).content(name).clone();
        if name != "manifest" {
            members.sign_anew(&us, |_| {});
        }
        let same = name == "consistency";
        assert!(check(&members.pack()).is_err() || same, "{name}");
    }
}

#[test]
fn a_forged_checkpoint_or_manifest_is_refused() {
    let sample = Sample::new("us", 3);
    let thief = Sample::new("us", 9);
    let mut members = Members::of(&sample.usual_bundle());
    *members.content("checkpoint") = sample.checkpoint(4).sign(&thief.signing).into_bytes();
    members.sign_anew(&sample, |_| {});
    assert_eq!(complaint(&members.pack()), "checkpoint: no signature by this key");
    let mut members = Members::of(&sample.usual_bundle());
    *members.content("checkpoint") = sample.note(3).into_bytes();
    members.sign_anew(&sample, |_| {});
    assert_eq!(
        complaint(&members.pack()),
        "checkpoint: not the checkpoint that the manifest names"
    );
    let mut members = Members::of(&sample.usual_bundle());
    members.sign_anew(&thief, |text| *text = text.replace("--all", "--some"));
    assert_eq!(complaint(&members.pack()), "manifest: no signature by this key");
    let mut members = Members::of(&sample.usual_bundle());
    members
        .content("manifest")
        .extend_from_slice("\u{2014} other AAAAAAA=\n".as_bytes());
    assert_eq!(
        complaint(&members.pack()),
        "manifest: does not have just one signature"
    );
    for change in [
        ("chancery-bundle/1", "chancery-bundle/2"),
        ("\"zone\":", "\"more\":1,\"zone\":"),
    ] {
        let mut members = Members::of(&sample.usual_bundle());
        members.sign_anew(&sample, |text| *text = text.replace(change.0, change.1));
        assert!(complaint(&members.pack()).starts_with("manifest: "));
    }
}

#[test]
fn a_checkpoint_from_outside_is_of_the_same_log_or_the_bundle_is_refused() {
    let sample = Sample::new("us", 3);
    let bundle = sample.usual_bundle();
    for size in [1, 3, 4] {
        let report = check_outside(&bundle, &sample.note(size), None).unwrap();
        assert_eq!(report.checkpoint.consistent_with_outside, Some(true), "{size}");
    }
    let said = |note: &str, proof: Option<&str>| match check_outside(&bundle, note, proof) {
        Ok(_) => "passed".to_owned(),
        Err(error) => error.to_string(),
    };
    assert!(said(&sample.note(2), None).contains("export again with `--against FILE`"));
    assert!(said(&sample.note(5), None).contains("its proof from size 4 is needed beside it"));
    // A fork: other content under the same key, at the same, an earlier and a later size.
    for (size, root) in [(4, [1; 32]), (3, [1; 32])] {
        let forked = seal::note::Checkpoint {
            size,
            root,
            ..sample.checkpoint(4)
        };
        assert!(said(&forked.sign(&sample.signing), None).contains("forked or rewritten"));
    }
    let stranger = Sample::new("us", 9);
    assert!(said(&stranger.note(4), None).contains("no signature by this key"));
    assert!(said("", None).contains("not a well-formed"));
}

#[test]
fn a_newer_checkpoint_from_outside_is_reached_through_the_proof_beside_it() {
    let sample = Sample::new("us", 3);
    let bundle = sample.usual_bundle();
    let Ok(path) = consistency_proof(&mut InMemory(&sample.log()), 4, 5);
    let proofs = SideProofs {
        to: 5,
        from: vec![SideProof::new(1, &[]), SideProof::new(4, &path)],
    };
    let good = serde_json::to_string(&proofs).unwrap();
    assert!(check_outside(&bundle, &sample.note(5), Some(&good)).is_ok());
    for bad in [
        "",
        "{}",
        &good.replace("\"to\":5", "\"to\":6"),
        &good.replace("\"size\":4", "\"size\":2"),
        r#"{"to":5,"from":[{"size":4,"path":[]}]}"#,
        r#"{"to":5,"from":[{"size":4,"path":["AAAA"]}]}"#,
    ] {
        assert!(
            check_outside(&bundle, &sample.note(5), Some(bad)).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn omitted_subtrees_have_one_form() {
    // The same hashes, split in two: the roots still match, but one thing is to be said in one way.
    let sample = Sample::new("us", 3);
    let choice: Choice = BTreeMap::from([(2, Shown::Opened)]);
    let mut members = Members::of(&sample.bundle(4, &[], &choice, &[]));
    let mut frames = members.frames();
    let at = frames
        .iter()
        .position(|frame| frame.0 == OMITTED && frame.1[0] == 1)
        .unwrap();
    let halves =
        [&sample.entries[4], &sample.entries[5]].map(|entry| (OMITTED, [&[0][..], &entry.leaf()].concat()));
    frames.splice(at..=at, halves);
    members.set_frames(&frames);
    members.sign_anew(&sample, |_| {});
    let said = complaint(&members.pack());
    assert!(said.ends_with("two omitted subtrees that are one"), "{said}");
}

#[test]
fn a_capture_of_several_full_chunks_passes_and_one_without_its_middle_does_not_count() {
    let mut sample = Sample::new("us", 3);
    let chunk = |seed: usize| -> Vec<u8> { (0..1_000_000).map(|at| ((at * seed) >> 3) as u8).collect() };
    let chunks = [chunk(3), chunk(5), chunk(7)];
    sample.capture(7, &chunks.each_ref().map(Vec::as_slice), None);
    sample.close(3);
    let whole: Choice = (18..21).map(|at| (at, Shown::Opened)).collect();
    let bundle = sample.bundle(6, &[], &whole, &[("18.0", MessageState::Raw)]);
    let report = check(&bundle).unwrap();
    assert_eq!((report.captures.opened, report.captures.incomplete), (1, 0));
    for at in (0..bundle.len()).step_by(60_013) {
        let mut changed = bundle.clone();
        changed[at] ^= 4;
        assert!(check(&changed).is_err(), "byte {at}");
    }
    let mut partly = whole.clone();
    partly.remove(&19);
    let report = check(&sample.bundle(6, &[], &partly, &[])).unwrap();
    assert_eq!((report.captures.opened, report.captures.incomplete), (0, 1));
    assert!(check(&sample.bundle(6, &[], &partly, &[("18.0", MessageState::Raw)])).is_err());
    let mut closed = whole;
    closed.insert(20, Shown::Sealed);
    let report = check(&sample.bundle(6, &[], &closed, &[])).unwrap();
    assert_eq!((report.captures.opened, report.captures.sealed), (0, 1));
}

#[test]
fn a_bound_on_memory_is_kept() {
    let bundle = Sample::new("us", 3).usual_bundle();
    let options = VerifyOptions {
        memory_bytes: 100,
        ..VerifyOptions::default()
    };
    let said = verify(&mut Cursor::new(&bundle), options)
        .unwrap_err()
        .to_string();
    assert!(said.contains("memory bound"), "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_the_bytes_the_check_ends_and_only_the_bundle_itself_passes(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..6),
        repack in any::<bool>(),
    ) {
        let sample = Sample::new("us", 3);
        let original = sample.usual_bundle();
        let mut members = Members::of(&original);
        let mut bytes = if repack { members.content("evidence").clone() } else { original.clone() };
        for (at, with, how) in edits {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] ^= with,
                1 => bytes.insert(at, with),
                2 => { bytes.remove(at); }
                _ => { let end = (at + usize::from(with)).min(bytes.len()); bytes.copy_within(at..end, 0); }
            }
        }
        if repack {
            *members.content("evidence") = bytes;
            members.sign_anew(&sample, |_| {});
            bytes = members.pack();
        }
        prop_assert_eq!(check(&bytes).is_ok(), bytes == original);
    }
}
