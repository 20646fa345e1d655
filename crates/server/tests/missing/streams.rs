//! What each source delivers, and what of it can be known to be missing. A line in [`SOURCES`] for each connector.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{cloud, reaction, reply, status, text};

/// One thing of a stream: what it is, what it is called by, what it points at, which number it has in which sequence.
pub struct Item {
    pub body: String,
    pub id: Option<String>,
    pub target: Option<String>,
    pub number: Option<(&'static str, u64)>,
}

/// A connector, and a stream of it with so many messages.
pub struct Source {
    pub connector: &'static str,
    pub stream: fn(usize) -> Vec<Item>,
    /// Items of one file: they arrive in one capture, in their order.
    pub one_file: bool,
    /// Whether anything of it can be known to be missing.
    pub tells: bool,
}

const fn source(connector: &'static str, stream: fn(usize) -> Vec<Item>) -> Source {
    Source {
        connector,
        stream,
        one_file: false,
        tells: true,
    }
}

/// Every connector there is.
pub const SOURCES: [Source; 6] = [
    source("whatsapp-cloud", cloud_stream),
    source("wecom-archive", archive_stream),
    source("wechat-callback", callback_stream),
    source("generic-webhook", generic_stream),
    source("generic-import", generic_stream),
    Source {
        // Lines have no ids and no numbers: what was cut out of an export leaves no trace in it.
        tells: false,
        one_file: true,
        ..source("whatsapp-export", export_stream)
    },
];

fn item(body: String, id: Option<&str>, target: Option<&str>) -> Item {
    Item {
        body,
        id: id.map(str::to_owned),
        target: target.map(str::to_owned),
        number: None,
    }
}

/// As a business number sees it: messages, replies, reactions, edits, deletions and statuses.
fn cloud_stream(messages: usize) -> Vec<Item> {
    let mut items = Vec::new();
    let mut add = |body: &Value, field, id: Option<&str>, target: Option<&str>| {
        items.push(item(cloud(std::slice::from_ref(body), field), id, target));
    };
    let change = |own: &str, kind: &str, to: &str| {
        let mut change = json!({ "from": "4915112345", "id": own, "timestamp": "1763990001", "type": kind });
        change[kind] = json!({ "original_message_id": to });
        if kind == "edit" {
            change[kind]["message"] = json!({ "type": "text", "text": { "body": "says it otherwise" } });
        }
        change
    };
    for n in 0..messages {
        let (id, before) = (format!("wamid.{n}"), format!("wamid.{}", n.max(1) - 1));
        let own = format!("wamid.c{n}");
        if n % 5 == 1 {
            add(&reply(&id, &before), "messages", Some(&id), Some(&before));
        } else {
            add(&text(&id), "messages", Some(&id), None);
        }
        match n % 5 {
            2 => add(&reaction(&own, &before), "messages", Some(&own), Some(&before)),
            3 => add(
                &change(&own, "edit", &before),
                "messages",
                Some(&own),
                Some(&before),
            ),
            4 => add(
                &change(&own, "revoke", &before),
                "messages",
                Some(&own),
                Some(&before),
            ),
            _ => {}
        }
        add(&status(&id, "read"), "statuses", None, Some(&id));
    }
    items
}

/// Decrypted: every item has a number, and a recall names its message.
pub fn archive_stream(messages: usize) -> Vec<Item> {
    let one = |n: usize| {
        let mut body = json!({ "msgid": format!("m{n}"), "seq": n + 1, "action": "send", "from": "ann", "tolist": ["bo"],
            "roomid": "", "msgtime": 1_763_990_000_000_u64 + n as u64 });
        let target = (n % 4 == 3).then(|| format!("m{}", n - 2));
        match &target {
            Some(target) => {
                body["action"] = json!("recall");
                body["msgtype"] = json!("revoke");
                body["revoke"] = json!({ "pre_msgid": target });
            }
            None => {
                body["msgtype"] = json!("text");
                body["text"] = json!({ "content": format!("says {n}") });
            }
        }
        let id = format!("m{n}");
        Item {
            number: Some(("", n as u64 + 1)),
            ..item(body.to_string(), Some(&id), target.as_deref())
        }
    };
    (0..messages).map(one).collect()
}

/// 微信客服, as it answers when it is asked: messages, recalls of either side, and what could not be sent. Between them
/// callbacks of an Official Account, of which nothing ever tells that one is missing.
fn callback_stream(messages: usize) -> Vec<Item> {
    let answer = |item: Value| {
        json!({ "errcode": 0, "next_cursor": "c", "has_more": 0, "msg_list": [item] }).to_string()
    };
    let mut items = Vec::new();
    for n in 0..messages {
        let (id, before) = (format!("kf{n}"), format!("kf{}", n.max(1) - 1));
        let time = 1_732_406_300 + n;
        let said = json!({ "msgid": id, "open_kfid": "wk1", "external_userid": "wm1", "send_time": time, "origin": 3,
            "msgtype": "text", "text": { "content": format!("says {n}") } });
        items.push(item(answer(said), Some(&id), None));
        let event = match n % 4 {
            1 => Some(("user_recall_msg", "recall_msgid")),
            2 => Some(("msg_send_fail", "fail_msgid")),
            3 => Some(("servicer_recall_msg", "recall_msgid")),
            _ => None,
        };
        if let Some((kind, field)) = event {
            let own = format!("ev{n}");
            let mut event = json!({ "event_type": kind, "open_kfid": "wk1", "external_userid": "wm1" });
            event[field] = json!(before);
            let event =
                json!({ "msgid": own, "send_time": time, "origin": 4, "msgtype": "event", "event": event });
            items.push(item(answer(event), Some(&own), Some(&before)));
        } else {
            let xml = format!(
                "<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>{time}</CreateTime>\
                 <MsgType>text</MsgType><Content>asks {n}</Content><MsgId>{n}</MsgId></xml>"
            );
            items.push(item(xml, Some(&n.to_string()), None));
        }
    }
    items
}

/// Our own schema: two sequences by turns, replies, and every event that points at a message.
fn generic_stream(messages: usize) -> Vec<Item> {
    let mut items = Vec::new();
    let mut counted = [0, 0];
    for n in 0..messages {
        let (id, before) = (format!("x{n}"), format!("x{}", n.max(1) - 1));
        let which = n % 3 % 2;
        counted[which] += 1;
        let stream = ["front", "back"][which];
        let mut said = json!({ "platform_id": id, "conversation": "c", "sender": "Ann", "text": format!("says {n}"),
            "sent_at": "2026-01-01T00:00:00Z", "details": { "seq": counted[which], "seq_of": stream } });
        let reply = (n % 6 == 5).then(|| before.clone());
        if let Some(reply) = &reply {
            said["quote"] = json!({ "platform_id": reply });
        }
        items.push(Item {
            number: Some((stream, counted[which])),
            ..item(said.to_string(), Some(&id), reply.as_deref())
        });
        let points = [
            None,
            Some("reaction"),
            Some("edit"),
            Some("revoke"),
            Some("status"),
            None,
        ][n % 6];
        if let Some(kind) = points {
            let event = json!({ "kind": "event", "event": kind, "target": before, "conversation": "c", "actor": "Bo",
                "occurred_at": "2026-01-01T00:00:01Z", "text": "x" });
            items.push(item(event.to_string(), None, Some(&before)));
        }
    }
    items
}

fn export_stream(messages: usize) -> Vec<Item> {
    let line = |n: usize| {
        let sender = ["Ann", "Bo"][n % 2];
        item(
            format!("31/01/2024, 10:{n:02} - {sender}: says {n}\n"),
            None,
            None,
        )
    };
    (0..messages).map(line).collect()
}

/// What can be known to be missing of a stream of which `kept` came: how many messages are pointed at, and which numbers lie
/// between others. What stood first or last in a sequence, and what nothing points at, can never be known.
pub fn detectable(items: &[Item], kept: &BTreeSet<usize>) -> (u64, Vec<[u64; 2]>) {
    let came = || kept.iter().map(|n| &items[*n]);
    let ids: BTreeSet<_> = came().filter_map(|item| item.id.as_ref()).collect();
    let targets: BTreeSet<_> = came().filter_map(|item| item.target.as_ref()).collect();
    let streams: BTreeSet<_> = came()
        .filter_map(|item| item.number)
        .map(|(stream, _)| stream)
        .collect();
    let mut holes = Vec::new();
    for stream in streams {
        let numbers: BTreeSet<u64> = came()
            .filter_map(|item| item.number)
            .filter(|(of, _)| *of == stream)
            .map(|(_, number)| number)
            .collect();
        let numbers: Vec<u64> = numbers.into_iter().collect();
        let apart = numbers.windows(2).filter(|two| two[1] > two[0] + 1);
        holes.extend(apart.map(|two| [two[0] + 1, two[1] - 1]));
    }
    holes.sort_unstable();
    (targets.difference(&ids).count() as u64, holes)
}
