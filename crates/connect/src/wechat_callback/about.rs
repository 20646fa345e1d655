//! What this connector sees, what it cannot see, and the codes of its problems.

use crate::About;

/// The page.
pub(super) const ABOUT: About = About {
    title: "WeChat and WeCom callbacks",
    summary: "Receives the callbacks of WeCom apps and third-party apps (企业微信), Official Accounts (公众号), mini \
              programs and WeCom robots (智能机器人), plain or encrypted, and asks for the messages of the customer service \
              (微信客服, `kf/sync_msg`) that its callbacks announce. What is kept is the body as it came; it is opened again \
              whenever it is to be understood.",
    captures: &[
        "What people write to the account, app or robot: text, image, voice (with the platform's transcript, which \
         stands in `text`), video, short video, location, link, file, mini program page, and for robots text with \
         pictures, and what is quoted.",
        "Events of people: following and unfollowing, menus, scanned codes, places, mini programs, template messages \
         agreed to or refused; what became of template and mass messages.",
        "Events of the company: directory (change_contact), customers (change_external_contact) with the consent to \
         archiving (msg_audit_approved, as `consent` with state `agree`), groups with customers \
         (change_external_chat), msgaudit_notify, kf_msg_or_event, authorizations.",
        "微信客服: messages of customers (origin 3) and staff (origin 5), sessions entered and passed on, failed sends, \
         recalls; each answer is also a `history_sync` event with `has_more` and `next_cursor`.",
        "Files that messages name, by their media id or address.",
        "Details of messages: `to`, `agent_id`, `type` (the platform's word), `pic_url`, `thumb_media_id`, `voice`, \
         `location`, `link`, `file`, `mini_program`, `menu_id`, `article`; of robots `robot_id`, `chat_type`; of 微信客服 \
         `open_kfid`, `servicer_userid` and the body under the name of its type; under `other` every field not known \
         here.",
        "Details of events: `to`, `agent_id`, `type`, `change_type`, `fields` (the event's own fields), `new_ids` of a \
         member whose id changed; of 微信客服 `event_type`, `event`.",
    ],
    blind_spots: &[
        "What the account, app or robot answers and sends is in no callback. It is captured only where it goes through \
         something that keeps it.",
        "Conversations of staff with customers in WeCom itself are not in callbacks: they come by the archive (会话内容\
         存档). msgaudit_notify only says that there is something to fetch there.",
        "微信客服: kf_msg_or_event holds no content. With the secret `api-secret` the messages are asked for at once with \
         kf/sync_msg, which holds those of the last 3 days; each answer is a capture of its own, proved by nothing but the \
         connection to the platform. Messages sent by interface are in no answer.",
        "Files are fetched with `api-secret`, pictures of Official Accounts without; the platforms keep them for 3 days. \
         Files of robots are encrypted once more, on hosts that are not asked unless `media-hosts` names them, and are \
         kept as they are. No hash is declared of any file.",
        "Personal WeChat is not seen at all.",
        "Plain mode of Official Accounts: the signature covers token, time and nonce, but not the body. Whoever sees one \
         delivery can forge others. Use the encrypted mode; with a key configured nothing plain is taken.",
        "Where something stands readable beside what is encrypted it is compared with it, and refused when it \
         contradicts; fields that stand outside only are not proved, and not used.",
        "The signed time is not compared with the clock: a delivery that is sent again much later is kept, and marked as \
         a repeat when it says the same.",
        "A callback has one address. Where another service needs these callbacks too, they can be passed on \
         (`forward-to`); it cannot answer in the reply.",
        "The platform sends a delivery three times within some 15 seconds; what could not be delivered then is gone, and \
         nothing says so.",
        "Messages of robots have no time. Edits and reactions do not exist for callbacks; recalls are told by 微信客服 \
         only.",
        "DingTalk's callbacks have the same signature and are taken, but it also wants an encrypted answer, which it does \
         not get: it sends them again.",
        "A person has another open id at each Official Account; members' user ids are the company's own words. Whether an \
         id is an open id, a member's or a customer's is told by its form and by what the message was sent to.",
        "Tickets, codes and tokens in events stay in the capture and are not shown.",
    ],
    problems: PROBLEMS,
    authenticity: "`msg_signature`: SHA-1 over token, timestamp, nonce and what is encrypted, sorted as bytes; exactly one \
                   parameter, lower-case hex; each configured token is tried and the record says which one matched. \
                   Then AES-256-CBC under the EncodingAESKey, padding of 1 to 32 equal bytes, and the receive id, which \
                   must be one of those in the setting `receive-id`. A `signature` beside it must be right too. Whatever \
                   is wrong, the sender sees the same 401. GET: the same over `echostr`, and its plain text is \
                   answered; in Official Accounts `signature` over token, timestamp and nonce.",
    repeats: "Messages by MsgId or msgid; events by sender, time, event and key, for they have no id: a repeat says the \
              same in every field. A delivery has no id of its own.",
    vendor_page: "https://developer.work.weixin.qq.com/document/path/90930",
    compared: "2026-11-24: at second hand, against excerpts and summaries of the vendor's pages (90930, 91144, 94670, \
               92130, 92277, 100719 and the Official Account's); the pages themselves were not read as a whole.",
};

const PROBLEMS: &[(&str, &str)] = &[
    (
        "not-read",
        "Here stands neither well-formed XML nor JSON in UTF-8. For each byte that is not UTF-8 `?` was read; after any \
         other error, the next document that begins a line.",
    ),
    (
        "forbidden-xml",
        "The XML has a document type, an entity other than the five, an attribute, a comment or an instruction.",
    ),
    (
        "too-large",
        "A document is longer than 1 MiB or nested too deeply, or the file longer than 64 MiB; it was not read.",
    ),
    (
        "too-many-problems",
        "More than 10,000 problems in one capture; no further one is told.",
    ),
    (
        "not-opened",
        "It is encrypted, and no key that is known opens it; it is tried again by `rebuild`.",
    ),
    (
        "not-a-callback",
        "A document has no type of message or event; it was not read.",
    ),
    (
        "unknown-field",
        "A field is not known here. Told once a capture and name; kept in the details.",
    ),
    (
        "unknown-message-type",
        "A message of a type not known here; kept with content `other`.",
    ),
    (
        "unknown-event",
        "An event of a type not known here; kept as `other`.",
    ),
    (
        "unknown-origin",
        "An item of 微信客服 does not say whether customer, system or staff wrote it.",
    ),
    (
        "field-twice",
        "One message has a field twice; the last one was read, and all are shown under `repeated`.",
    ),
    ("wrong-type", "A value is of another JSON type than documented."),
    (
        "bad-timestamp",
        "A time is missing, unreadable, or outside 2011 to 2099.",
    ),
    ("missing-id", "A message has no id."),
    ("missing-type", "An event does not say of what type it is."),
    ("missing-sender", "A message does not say who wrote it."),
    (
        "missing-body",
        "A message has nothing of what its type should hold.",
    ),
    ("missing-target", "A recall does not say of which message."),
    (
        "vendor-error",
        "The platform reports an error: something may be missing.",
    ),
];
