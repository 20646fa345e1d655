//! The fast writer and the general one give the same bytes for every record there can be.

#[cfg(test)]
mod equal {
    use std::borrow::Cow;

    use connect::json_line::write_record;
    use model::record::{
        Attachment, AttachmentState, ContentKind, Conversation, ConversationShape, Details, Direction, Event,
        EventKind, Identifier, Message, Participant, Place, Problem, Quote, Record, TimeCertainty,
    };
    use model::{Content, Timestamp};
    use proptest::option;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            ".{0,40}",
            "[a-z\"\\\\\n\r\t\u{8}\u{c}\u{0}-\u{1f}\u{7f}é😀\u{2028}]{0,40}",
        ]
    }

    fn content() -> impl Strategy<Value = Option<Content<'static>>> {
        option::of(text().prop_map(Content::from))
    }

    fn cow() -> impl Strategy<Value = Option<Cow<'static, str>>> {
        option::of(text().prop_map(Cow::Owned))
    }

    /// A value of a closed set, made from the word that means it.
    fn named<T: serde::de::DeserializeOwned + Clone + std::fmt::Debug + 'static>(
        names: &'static [&'static str],
    ) -> impl Strategy<Value = T> {
        prop::sample::select(names)
            .prop_map(|name| serde_json::from_value(serde_json::Value::from(name)).expect("a known name"))
    }

    fn instant() -> impl Strategy<Value = Option<Timestamp>> {
        option::of(prop_oneof![
            any::<i64>().prop_map(Timestamp::from_micros),
            (-99_i64..9_000_000_000).prop_map(Timestamp::from_seconds),
        ])
    }

    fn conversation() -> impl Strategy<Value = Option<Conversation<'static>>> {
        let shape = named::<ConversationShape>(&["direct", "group", "unknown"]);
        option::of(
            (content(), content(), shape).prop_map(|(id, title, shape)| Conversation { id, title, shape }),
        )
    }

    fn participant() -> impl Strategy<Value = Option<Participant<'static>>> {
        let id = (text(), text()).prop_map(|(kind, value)| Identifier {
            kind: kind.into(),
            value: Content::from(value),
        });
        option::of(
            (content(), prop::collection::vec(id, 0..3)).prop_map(|(name, ids)| Participant { name, ids }),
        )
    }

    fn attachment() -> impl Strategy<Value = Attachment<'static>> {
        let state = named::<AttachmentState>(&[
            "found", "omitted", "missing", "pending", "fetched", "mismatch", "expired", "refused",
        ]);
        (
            content(),
            cow(),
            option::of(any::<u64>()),
            cow(),
            state,
            content(),
        )
            .prop_map(
                |(name, media_type, size_bytes, sha256, state, media_id)| Attachment {
                    name,
                    media_type,
                    size_bytes,
                    sha256,
                    state,
                    media_id,
                },
            )
    }

    fn details() -> impl Strategy<Value = Option<Details>> {
        let value = prop_oneof![
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<f64>().prop_map(serde_json::Value::from),
            text().prop_map(serde_json::Value::from),
            prop::collection::vec(text(), 0..3).prop_map(serde_json::Value::from),
        ];
        option::of(
            prop::collection::btree_map(text(), value, 0..4)
                .prop_map(|map| Details(map.into_iter().collect())),
        )
    }

    const CONTENT: &[&str] = &[
        "text",
        "image",
        "audio",
        "video",
        "document",
        "sticker",
        "location",
        "contact",
        "poll",
        "call",
        "reaction",
        "order",
        "interactive",
        "template",
        "system",
        "unsupported",
        "other",
    ];

    fn message() -> impl Strategy<Value = Record<'static>> {
        let quote = option::of((content(), participant(), content()).prop_map(
            |(platform_id, sender, text)| Quote {
                platform_id,
                sender,
                text,
            },
        ));
        let who = (
            content(),
            conversation(),
            participant(),
            named::<Direction>(&["in", "out", "unknown"]),
        );
        let certainty =
            named::<TimeCertainty>(&["vendor-utc", "assumed-zone", "local-unknown", "ambiguous-date"]);
        let when = (
            instant(),
            cow(),
            prop::collection::vec(text().prop_map(Cow::Owned), 0..3),
            certainty,
        );
        let attachments = prop::collection::vec(attachment(), 0..3);
        let what = (named::<ContentKind>(CONTENT), content(), attachments, quote);
        let marks = (
            any::<bool>(),
            any::<bool>(),
            any::<bool>(),
            any::<bool>(),
            details(),
        );
        (who, when, what, marks).prop_map(|(who, when, what, marks)| {
            Record::Message(Message {
                platform_id: who.0,
                conversation: who.1,
                sender: who.2,
                direction: who.3,
                sent_at: when.0,
                sent_at_local: when.1,
                sent_at_local_alternatives: when.2,
                time_certainty: when.3,
                content: what.0,
                text: what.1,
                attachments: what.2,
                quote: what.3,
                forwarded: marks.0,
                ephemeral: marks.1,
                edited: marks.2,
                deleted: marks.3,
                details: marks.4,
            })
        })
    }

    const EVENTS: &[&str] = &[
        "edit",
        "revoke",
        "reaction",
        "status",
        "join",
        "leave",
        "rename",
        "consent",
        "call",
        "account",
        "identity_change",
        "history_sync",
        "other",
    ];

    fn event() -> impl Strategy<Value = Record<'static>> {
        let what = (
            named::<EventKind>(EVENTS),
            content(),
            content(),
            conversation(),
            participant(),
        );
        let rest = (
            instant(),
            cow(),
            content(),
            prop::collection::vec(attachment(), 0..3),
            details(),
        );
        (what, rest).prop_map(|(what, rest)| {
            Record::Event(Event {
                event: what.0,
                platform_id: what.1,
                target: what.2,
                conversation: what.3,
                actor: what.4,
                occurred_at: rest.0,
                state: rest.1,
                text: rest.2,
                attachments: rest.3,
                details: rest.4,
            })
        })
    }

    fn problem() -> impl Strategy<Value = Record<'static>> {
        let place =
            (any::<u64>(), option::of(any::<u64>())).prop_map(|(offset, line)| Place { offset, line });
        (text(), text(), option::of(place)).prop_map(|(code, detail, position)| {
            Record::Problem(Problem {
                code: code.into(),
                detail: detail.into(),
                position,
            })
        })
    }

    proptest! {
        #[test]
        fn every_record_is_written_as_the_general_serializer_writes_it(
            record in prop_oneof![4 => message(), 2 => event(), 1 => problem()],
        ) {
            let mut fast = Vec::new();
            write_record(&mut fast, &record);
            let general = serde_json::to_vec(&record).expect("a record can be written");
            prop_assert_eq!(String::from_utf8(fast), String::from_utf8(general));
        }
    }
}
