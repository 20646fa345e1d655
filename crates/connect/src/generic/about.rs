//! What these connectors see, what they cannot see, and the codes of their problems.

use crate::About;

const CAPTURES: &[&str] = &[
    "Messages and events in the form of the guide page `any-other-source`: one JSON object each, with the field names \
     of the output of `parse`.",
    "Files by name, type, size and declared hash; never their bytes, so their state is `omitted`.",
    "Details of every record: `origin` (always `unverified`), `given` (the details that stood in the object), and under \
     `other` every field not known here.",
];

const BLIND_SPOTS: &[&str] = &[
    "Nothing proves that what is handed in was said, by whom, or when: it is as good as whoever made it.",
    "What was not handed in is not known to be missing. Numbers and times inside are the maker's.",
    "Reactions, edits and deletions are known only where they are handed in as events.",
];

/// The page of `generic-import`.
pub(super) const IMPORT: About = About {
    title: "Any other source, from files",
    summary: "Takes JSON Lines of a documented form: what another system exported, or somebody wrote down. For sources \
              that have no connector of their own.",
    captures: CAPTURES,
    blind_spots: BLIND_SPOTS,
    problems: PROBLEMS,
    authenticity: "None. The record says who handed the file in, and when.",
    repeats: "The same file again adds nothing. Records that say the same in every field are marked as repeats; lines \
              with wall time only and no id, by conversation, sender, wall time and text.",
    vendor_page: "https://jsonlines.org/",
    compared: "2026-11-24: the form is ours.",
};

/// The page of `generic-webhook`.
pub(super) const WEBHOOK: About = About {
    title: "Any other source, by signed posts",
    summary: "Takes signed posts of JSON of a documented form from a system that can call an address. For sources that \
              have no connector of their own.",
    captures: CAPTURES,
    blind_spots: &[
        "The signature proves that the sender holds the secret. It does not prove where the sender had the content from: \
         that is as good as the sender.",
        "What was not posted is not known to be missing. Numbers and times inside are the sender's.",
        "A post that is repeated within the window is kept again, and its records are marked as repeats.",
        "Reactions, edits and deletions are known only where they are posted as events.",
    ],
    problems: PROBLEMS,
    authenticity: "`X-Chancery-Signature: v1=` and 64 lower-case hex digits: HMAC-SHA256 with the signing secret over \
                   `v1:`, the value of `X-Chancery-Timestamp` (seconds since 1970), `:` and the raw body. Each header \
                   exactly once. The time may lie 300 seconds from the server's clock, or what the setting \
                   `window-seconds` says. Each configured secret is tried and the record says which one matched.",
    repeats: "Records that say the same in every field. A post has no id of its own.",
    vendor_page: "https://www.rfc-editor.org/rfc/rfc2104",
    compared: "2026-11-24: the form is ours.",
};

const PROBLEMS: &[(&str, &str)] = &[
    (
        "not-json",
        "Here stands no JSON object in UTF-8. Of a file, the other lines are read.",
    ),
    (
        "too-large",
        "A line or object is longer than 1 MiB or nested too deeply; it was not read.",
    ),
    (
        "too-many-problems",
        "More than 10,000 problems in one capture; no further one is told.",
    ),
    (
        "too-many-files",
        "A message names more than 1,000 files; those after are not shown.",
    ),
    (
        "not-a-record",
        "A JSON value has no field of a message; it was not read.",
    ),
    (
        "unknown-kind",
        "`kind` is neither `message` nor `event`; it was not read.",
    ),
    (
        "unknown-event",
        "`event` is missing or a word not known here; kept as `other`.",
    ),
    ("unknown-word", "A field holds a word that is not documented."),
    (
        "unknown-field",
        "A field is not known here. Told once a capture and name; kept in the details.",
    ),
    ("wrong-type", "A field holds another JSON type than documented."),
    (
        "bad-timestamp",
        "A time is missing or not in the documented form.",
    ),
    ("bad-id", "An id lacks its kind or value."),
    (
        "bad-hash",
        "A declared hash is not the 64 hex digits of a SHA-256.",
    ),
    ("missing-sender", "A message does not say who wrote it."),
    ("missing-text", "A text message has no text."),
];
