//! The bundle put together by hand, and signed with the zone's key where that helps: proofs that lead elsewhere, frames
//! moved, counts that lie, a zip that shows two readers two things. And what no verifier can find.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Timestamp;
use seal::bundle::{MessageState, SideProof, SideProofs};
use seal::note::Checkpoint;
use seal::tree::{InMemory, consistency_proof};

use crate::Case;
use crate::history;
use crate::sample::{Choice, Sample, Shown, key_id};
use crate::zip::{Frame, Members};

const BATCH: u8 = 1;
const ENTRY: u8 = 2;
const OMITTED: u8 = 3;
const PART: u8 = 4;
const ITEM: u8 = 5;

pub fn honest() -> Sample {
    Sample::new("us", 3)
}

pub fn usual(name: &str, bundle: Vec<u8>) -> Case {
    Case {
        name: name.to_owned(),
        bundle,
        key: Some(honest().key),
        outside: Some(honest().note(3)),
        ..Case::default()
    }
}

pub fn genuine() -> Vec<Case> {
    let sample = honest();
    let bundle = sample.usual_bundle();
    let with = |name: &str, outside: Option<String>, proof: Option<String>| Case {
        outside,
        proof,
        ..usual(name, bundle.clone())
    };
    vec![
        with("genuine-against-no-checkpoint", None, None),
        with("genuine-against-the-same-checkpoint", Some(sample.note(4)), None),
        with("genuine-against-an-older-checkpoint", Some(sample.note(1)), None),
        with(
            "genuine-against-a-newer-checkpoint",
            Some(sample.note(5)),
            Some(side_proof(|_| {})),
        ),
        Case {
            key: None,
            ..with("genuine-without-a-key", None, None)
        },
        history::case("genuine-everything-opened", &sample, Some(sample.note(4))),
    ]
}

/// What stands beside a checkpoint of five batches: how it goes on from four.
fn side_proof(change: impl FnOnce(&mut SideProofs)) -> String {
    let Ok(path) = consistency_proof(&mut InMemory(&honest().log()), 4, 5);
    let mut proofs = SideProofs {
        to: 5,
        from: vec![SideProof::new(4, &path)],
    };
    change(&mut proofs);
    serde_json::to_string(&proofs).unwrap()
}

pub fn attacks() -> Vec<Case> {
    let mut cases = checkpoints();
    cases.extend(frames());
    cases.extend(members());
    cases.extend(lines());
    cases.extend(zips());
    cases.extend(limits());
    cases
}

/// Checkpoints and the proofs between them.
fn checkpoints() -> Vec<Case> {
    let sample = honest();
    let forged = |size: u64| Checkpoint {
        size,
        root: [1; 32],
        ..sample.checkpoint(4)
    };
    // The manifest is made to name it too.
    let pinned = |name: &str, checkpoint: Checkpoint, signer: &Sample| {
        let mut members = Members::of(&sample.usual_bundle());
        *members.content("checkpoint") = checkpoint.sign(&signer.signing).into_bytes();
        let named = |checkpoint: &Checkpoint| {
            let root = STANDARD.encode(checkpoint.root);
            format!(
                "\"checkpoint\":{{\"size\":{},\"root\":\"{root}\"}}",
                checkpoint.size
            )
        };
        members.sign_anew(&sample, |text| {
            let before = named(&sample.checkpoint(4));
            assert!(text.contains(&before));
            *text = text.replace(&before, &named(&checkpoint));
        });
        usual(name, members.pack())
    };
    let beside = |name: &str, proof: Option<String>| Case {
        outside: Some(sample.note(5)),
        proof,
        ..usual(name, sample.usual_bundle())
    };
    let Ok(path) = consistency_proof(&mut InMemory(&sample.log()), 3, 5);
    vec![
        pinned("pin-a-checkpoint-of-another-root", forged(4), &sample),
        pinned("pin-a-checkpoint-of-another-size", forged(9), &sample),
        pinned("pin-an-older-checkpoint", sample.checkpoint(3), &sample),
        pinned(
            "pin-a-checkpoint-signed-by-a-thief",
            sample.checkpoint(4),
            &history::of_another_key(),
        ),
        usual(
            "pin-a-checkpoint-that-the-manifest-does-not-name",
            changed(|members| *members.content("checkpoint") = sample.note(3).into_bytes()),
        ),
        Case {
            outside: Some(sample.note(3)),
            ..usual(
                "leave-out-the-proof-from-what-left-the-house",
                sample.bundle(4, &[1], &sample.usual(), &[]),
            )
        },
        usual(
            "forge-the-proof-from-what-left-the-house",
            changed(|members| *members.content("consistency").last_mut().unwrap() ^= 1),
        ),
        usual(
            "give-that-proof-twice",
            changed(|members| {
                let once = members.content("consistency").clone();
                members.content("consistency").extend_from_slice(&once);
            }),
        ),
        beside("leave-out-the-proof-to-a-newer-checkpoint", None),
        beside(
            "forge-the-proof-to-a-newer-checkpoint",
            Some(side_proof(|proofs| {
                proofs.from = vec![SideProof::new(4, &[[7; 32]])];
            })),
        ),
        beside(
            "give-the-proof-of-another-size",
            Some(side_proof(|proofs| {
                proofs.from = vec![SideProof::new(3, &path)];
            })),
        ),
        beside(
            "give-a-proof-to-another-checkpoint",
            Some(side_proof(|proofs| proofs.to = 6)),
        ),
        beside("give-no-proof-but-words", Some("{}".to_owned())),
    ]
}

/// The usual bundle with members changed and the manifest signed anew, as only who has the zone's key can.
pub fn changed(change: impl FnOnce(&mut Members)) -> Vec<u8> {
    let sample = honest();
    let mut members = Members::of(&sample.usual_bundle());
    change(&mut members);
    members.sign_anew(&sample, |_| {});
    members.pack()
}

fn reframed(name: &str, change: impl FnOnce(&mut Vec<Frame>)) -> Case {
    let bundle = changed(|members| {
        let mut frames = members.frames();
        change(&mut frames);
        members.set_frames(&frames);
    });
    usual(name, bundle)
}

fn nth(frames: &[Frame], kind: u8, n: usize) -> usize {
    let mut of_kind = (0..frames.len()).filter(|at| frames[*at].0 == kind);
    of_kind.nth(n).unwrap()
}

/// The nth frame of this type, to be changed.
fn frame(frames: &mut [Frame], kind: u8, n: usize) -> &mut Vec<u8> {
    let at = nth(frames, kind, n);
    &mut frames[at].1
}

/// Puts the right locator before what is shown, so that only the roots are left to find it.
fn relocate(payload: &mut [u8], from: usize) {
    let leaf = seal::suite::sha256(&payload[from..]);
    payload[..4].copy_from_slice(&leaf[..4]);
}

fn frames() -> Vec<Case> {
    let last = |payload: &mut Vec<u8>| {
        let at = payload.len() - 1;
        payload[at] ^= 1;
    };
    let (mut earlier, mut later) = (honest(), honest());
    earlier.batches[4].first_at = Timestamp::from_seconds(1_600_000_000);
    later.batches[4].last_at = Timestamp::from_seconds(1_800_000_000);
    vec![
        history::case(
            "date-the-beginning-of-a-batch-otherwise-than-its-first-record",
            &earlier,
            None,
        ),
        history::case(
            "date-the-end-of-a-batch-otherwise-than-its-last-record",
            &later,
            None,
        ),
        reframed("give-a-batch-another-place-in-the-log", |f| {
            frame(f, BATCH, 0)[7] ^= 1
        }),
        reframed("forge-the-path-of-a-batch", |f| frame(f, BATCH, 0)[12] ^= 1),
        reframed("cut-the-path-of-a-batch", |f| {
            let payload = frame(f, BATCH, 0);
            payload[8] -= 1;
            payload.drain(9..41);
        }),
        reframed("show-a-batch-twice", |f| f.insert(0, f[0].clone())),
        reframed("show-the-batches-in-another-order", |f| {
            let second = nth(f, BATCH, 1);
            f.rotate_left(second);
        }),
        reframed("alter-a-record-and-its-locator", |f| {
            let payload = frame(f, ENTRY, 0);
            last(payload);
            let shown = if payload[4] == 1 { 37 } else { 5 };
            relocate(payload, shown + 2);
        }),
        reframed("exchange-two-records", |f| {
            let (a, b) = (nth(f, ENTRY, 1), nth(f, ENTRY, 2));
            f.swap(a, b);
        }),
        reframed("show-a-record-in-the-place-of-another", |f| {
            let copy = frame(f, ENTRY, 1).clone();
            *frame(f, ENTRY, 2) = copy;
        }),
        reframed("disclose-another-key", |f| frame(f, ENTRY, 0)[9] ^= 1),
        reframed("take-a-disclosed-key-out", |f| {
            let payload = frame(f, ENTRY, 1);
            payload[4] = 0;
            payload.drain(5..37);
        }),
        reframed("take-a-record-out", |f| drop(f.remove(nth(f, ENTRY, 1)))),
        reframed("alter-what-is-omitted", |f| last(frame(f, OMITTED, 0))),
        reframed("omit-more-than-there-is", |f| frame(f, OMITTED, 0)[0] += 1),
        reframed("alter-the-header-of-a-part-and-its-locator", |f| {
            let payload = frame(f, PART, 0);
            last(payload);
            relocate(payload, 5);
        }),
        reframed("alter-an-item-and-its-locator", |f| {
            let payload = frame(f, ITEM, 0);
            last(payload);
            let shown = if payload[4] == 1 { 37 } else { 5 };
            relocate(payload, shown);
        }),
        reframed("let-an-item-commit-to-a-key-of-choice", |f| {
            let payload = frame(f, ITEM, 0);
            let commitment = seal::suite::commitment(&crate::sample::key(77));
            payload[38 + 16..38 + 48].copy_from_slice(&commitment);
            payload[5..37].copy_from_slice(&[77; 32]);
            relocate(payload, 37);
        }),
        reframed("disclose-another-key-of-an-item", |f| frame(f, ITEM, 0)[9] ^= 1),
        reframed("exchange-two-items", |f| {
            let (a, b) = (nth(f, ITEM, 0), nth(f, ITEM, 1));
            f.swap(a, b);
        }),
        reframed("move-an-item-to-the-part-of-another-person", |f| {
            let (mine, theirs) = (nth(f, ITEM, 0), nth(f, ITEM, 2));
            f.swap(mine, theirs);
        }),
        reframed("take-an-item-out", |f| drop(f.remove(nth(f, ITEM, 1)))),
        reframed("end-in-the-middle", |f| f.truncate(4)),
        reframed("add-a-frame-of-no-kind", |f| f.push((9, vec![0]))),
    ]
}

/// Members whose content lies, under a good signature.
fn members() -> Vec<Case> {
    let sample = honest();
    let signed = |name: &str, from: &str, to: &str| {
        let mut members = Members::of(&sample.usual_bundle());
        members.sign_anew(&sample, |text| {
            assert!(text.contains(from), "{from} is in the manifest");
            *text = text.replacen(from, to, 1);
        });
        usual(name, members.pack())
    };
    let mut stolen = Members::of(&sample.usual_bundle());
    stolen.sign_anew(&history::of_another_key(), |_| {});
    vec![
        signed("claim-more-batches", "\"batches\":", "\"batches\":1"),
        signed("claim-completeness", "Nothing is claimed", "Everything is here"),
        signed("add-a-field-to-the-manifest", "\"zone\":", "\"more\":1,\"zone\":"),
        signed("name-another-zone", "\"zone\":\"us\"", "\"zone\":\"eu\""),
        signed("name-another-format", "chancery-bundle/1", "chancery-bundle/9"),
        signed("name-another-digest", "\"digest\":\"", "\"digest\":\"00"),
        signed("say-that-there-are-fewer-gaps", "\"count\":2", "\"count\":1"),
        usual("sign-the-manifest-with-a-stolen-name", stolen.pack()),
        usual("alter-the-selection-without-signing", {
            let mut members = Members::of(&sample.usual_bundle());
            let text = String::from_utf8(members.content("manifest").clone()).unwrap();
            *members.content("manifest") = text.replace("--all", "--few").into_bytes();
            members.pack()
        }),
        usual(
            "replace-every-key-and-signature",
            history::of_another_key().usual_bundle(),
        ),
        usual(
            "rewrite-the-instructions-to-the-examiner",
            changed(|members| {
                members.content("README.txt").extend_from_slice(b"All is well.\n");
            }),
        ),
    ]
}

/// messages.jsonl and gaps.jsonl.
fn lines() -> Vec<Case> {
    let sample = honest();
    let said = |name: &str, id: &'static str, state: MessageState| {
        usual(name, sample.bundle(4, &[1, 3], &sample.usual(), &[(id, state)]))
    };
    let gaps = |name: &str, change: fn(&mut String)| {
        usual(
            name,
            changed(|members| {
                let mut text = String::from_utf8(members.content("gaps.jsonl").clone()).unwrap();
                change(&mut text);
                *members.content("gaps.jsonl") = text.into_bytes();
            }),
        )
    };
    vec![
        said("call-a-sealed-message-opened", "3.0", MessageState::Raw),
        said("call-a-readable-message-erased", "2.0", MessageState::Erased),
        said("call-a-readable-item-erased", "10.1", MessageState::Erased),
        said(
            "show-a-message-of-an-item-that-is-not-there",
            "10.0",
            MessageState::Part,
        ),
        said("show-a-message-of-no-capture", "99.0", MessageState::Raw),
        said("show-a-message-of-an-act", "0.0", MessageState::Raw),
        gaps("take-a-line-out-of-the-gaps", |text| {
            *text = text.lines().skip(1).map(|line| format!("{line}\n")).collect()
        }),
        gaps("shorten-a-line-of-the-gaps", |text| {
            *text = text.replacen("\"count\":3", "\"count\":1", 1)
        }),
        gaps("add-a-line-to-the-gaps", |text| *text = format!("{text}{text}")),
    ]
}

/// The zip itself: two readers must not see two things.
fn zips() -> Vec<Case> {
    let sample = honest();
    let bundle = sample.usual_bundle();
    let bytes = |name: &str, change: fn(&mut Vec<u8>)| {
        let mut bytes = bundle.clone();
        change(&mut bytes);
        usual(name, bytes)
    };
    let repacked = |name: &str, change: fn(&mut Vec<(String, Vec<u8>)>)| {
        let mut members = Members::of(&bundle);
        change(&mut members.0);
        usual(name, members.pack())
    };
    vec![
        bytes("hide-bytes-before-the-zip", |bytes| {
            drop(bytes.splice(0..0, *b"MZ"))
        }),
        bytes("hide-bytes-behind-the-zip", |bytes| {
            bytes.extend_from_slice(b"more")
        }),
        bytes("add-a-comment-to-the-zip", |bytes| {
            let at = bytes.len() - 2;
            bytes[at] = 4;
            bytes.extend_from_slice(b"more");
        }),
        bytes("cut-the-zip", |bytes| bytes.truncate(bytes.len() - 100)),
        repacked("add-a-member", |members| {
            members.push(("more.txt".to_owned(), b"more".to_vec()))
        }),
        repacked("add-a-member-of-the-same-name", |members| {
            members.push(members[0].clone())
        }),
        repacked("give-the-members-another-order", |members| members.swap(0, 1)),
        repacked("leave-a-member-out", |members| drop(members.remove(5))),
    ]
}

/// What no verifier can find, each with the reason.
fn limits() -> Vec<Case> {
    let sample = honest();
    let newest_outside = |name: &str, sample: &Sample, limit: &'static str| Case {
        limit: Some(limit),
        ..history::case(name, sample, Some(honest().note(4)))
    };
    let mut rewritten = honest();
    rewritten.entries.truncate(17);
    rewritten.capture(9, &[b"never said"], None);
    history::batch_anew(&mut rewritten, &[2, 6, 6, 3, 1]);
    let mut more_wraps = honest();
    more_wraps.entries.truncate(17);
    more_wraps.wrap(3, &[key_id(1), key_id(9)], 2, false);
    history::batch_anew(&mut more_wraps, &[2, 6, 6, 3, 1]);
    let mut forked = honest();
    forked.entries.truncate(2);
    forked.capture(9, &[b"another story"], None);
    history::batch_anew(&mut forked, &[2, 1]);
    let one: Choice = [(2, Shown::Opened)].into();
    let otherwise = changed(|members| {
        let text = String::from_utf8(members.content("messages.jsonl").clone()).unwrap();
        *members.content("messages.jsonl") =
            text.replace("\"text\":\"2.0\"", "\"text\":\"9.9\"").into_bytes();
    });
    let stolen = "who has the key can sign its successor: a statement published since, or an anchor, tells";
    vec![
        Case {
            limit: Some(stolen),
            ..usual(
                "put-a-key-of-ones-own-in-the-place-of-the-stolen-one",
                sample.rotated_bundle(),
            )
        },
        newest_outside(
            "rewrite-what-is-newer-than-what-left-the-house",
            &rewritten,
            "nothing outside knew of it; anchors are close together for that",
        ),
        Case {
            limit: Some("a selection is the exporter's; only gaps that are entries are stated"),
            ..usual(
                "leave-out-what-speaks-against-one",
                sample.bundle(4, &[3], &one, &[("2.0", MessageState::Raw)]),
            )
        },
        Case {
            limit: Some(
                "the bundle shows what it was asked for: another wrap that still opens it was left out",
            ),
            ..usual("call-erased-what-a-hidden-wrap-still-opens", {
                let choice = more_wraps.usual();
                more_wraps.bundle(5, &[1, 3], &choice, &[("3.0", MessageState::Erased)])
            })
        },
        Case {
            limit: Some("the line is derived, and says so: the capture beside it is what is proved"),
            ..usual("let-the-line-say-other-than-the-capture", otherwise)
        },
        Case {
            limit: Some(
                "without a checkpoint from outside only inner consistency is shown, and that is said",
            ),
            outside: None,
            ..history::case("rewrite-all-of-it-where-nothing-left-the-house", &forked, None)
        },
        Case {
            key: None,
            outside: None,
            limit: Some("without a key the verdict is: consistent, origin not proved"),
            ..usual(
                "replace-every-key-where-none-is-given",
                history::of_another_key().usual_bundle(),
            )
        },
    ]
}
