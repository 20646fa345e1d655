//! What this connector sees, what it cannot see, and the codes of its problems.

use crate::About;

/// The page.
pub(super) const ABOUT: About = About {
    title: "WeCom conversation archive (企业微信会话内容存档)",
    summary: "Reads messages of the archive that WeCom keeps of a company's staff: among themselves, with WeChat users \
              and with people of other companies. Takes decrypted messages: one JSON object, a list, or one after \
              another in any layout (JSON Lines). Takes whole answers of `GetChatData` too; their items are encrypted, \
              so it says only that they are there. A connection with \
              secrets pulls the archive through the vendor's library and opens what it has the keys for.",
    captures: &[
        "Text, Markdown, images, voice, video, stickers (`emotion`), files, shared files of calls (`voip_doc_share`) and \
         of the company's drive (`qydiskfile`), online documents (`docmsg`), links, articles (`news`), mini programs \
         (`weapp`), channel posts (`sphfeed`), contact cards, locations.",
        "Forwarded chats (`chatrecord`) and messages of several parts (`mixed`), taken apart: the words of each item are \
         in the text, for a forwarded chat one a line after `[time] name:` as far as given; files are attachments; \
         `item` in the details has each with its own type, time (`sent_at`), `text` and numbers of its attachments.",
        "Polls (`vote`), forms (`collect`), tasks (`todo`), red packets of both kinds, meetings and what happens in \
         them, calendar entries, calls (`meeting_voice_call` with its recording, `voiptext`), `solitaire` and `note`. \
         A kind not known here is kept with its type and everything it has.",
        "Recalls (`revoke`): an event that points at the message. Consent (`agree`, `disagree`): an event with who, when \
         (`occurred_at`), and `toward` whom; `state` is the vendor's word. A change of company in the client (`switch`): \
         an `account` event.",
        "Quotes. The client writes them into the text (lead-in, quoted part, line of dashes, reply). Where that is \
         unmistakable, `quote` has the quoted part and `text` the reply; `details.text.content` has the whole text.",
        "`conversation.id` is the room's id; where there is no room, the ids of all who take part, sorted and joined by \
         `|`, so that both sides of a chat of two are one conversation.",
        "Ids: `wecom_userid` (staff), `wecom_external` (WeChat users and members of other companies: `wo…`, `wm…`), \
         `wecom_robot` (`wb…`). They are told apart by form alone; a userid that only begins like one of the vendor's \
         is staff.",
        "`direction`: `in` when somebody outside or a robot wrote; `out` when staff wrote and somebody outside is among \
         the receivers or the message id ends in `_external`; among staff `unknown`, unless `--custodian` names one of \
         them by userid.",
        "Details of every record: `type` (the vendor's word), `to`, `seq` and `publickey_ver` where given, the body under \
         the vendor's own name (`image`, `doc`, `info`, …) without what stands elsewhere, `voiceid`, `voipid`, \
         `votetitle`, `voteitem`, `votetype`, `voteid`, and under `other` every field not known here. Whole numbers \
         beyond 2^53 stand as text.",
        "Times: `msgtime` is milliseconds since 1970; inside forwarded chats seconds. Both are taken, told by size.",
        "Files are named by `sdkfileid` (`media_id`); the vendor declares their MD5, which stands in the details.",
    ],
    blind_spots: &[
        "Only staff on the list of the paid archive are recorded, and only kinds of message that the edition bought has.",
        "A customer's messages are recorded only after that customer agreed; what was said before, or after a \
         `disagree`, never comes.",
        "The vendor keeps data for 5 days. What was not pulled by then is gone, and nothing later says so.",
        "Names and pictures of people and rooms are not in the archive, only ids.",
        "Who has read a message is not reported; neither are people who join or leave a room.",
        "A room's message comes once, with the members as receivers: who was away is not said.",
        "Calls: only recorded calls of the enterprise edition have sound; video is never recorded.",
        "Files in the company's drive and online documents come as a name or a link, not as bytes.",
        "What was recalled before it was pulled may come as the recall alone.",
        "A quote is what the sender's client wrote into the text. Anybody can type the same, so it proves nothing. The \
         form was seen in use, it is not documented.",
        "Decrypted messages in a file are as whoever decrypted them wrote them; nothing proves that they are the \
         vendor's.",
        "Personal WeChat is not seen.",
    ],
    problems: PROBLEMS,
    authenticity: "Files handed in are not proved. Of what is pulled the encrypted item is kept as the vendor's library gave \
                   it; it carries no signature.",
    repeats: "Messages by `msgid`; recalls and consents by their own `msgid`. A recall has another id than the message \
              it takes back.",
    vendor_page: "https://developer.work.weixin.qq.com/document/path/91774",
    compared: "2026-11-25: at second hand, against summaries of the vendor's page in its state of 2026-01-19; of the page \
               itself only the list of kinds was read.",
};

const PROBLEMS: &[(&str, &str)] = &[
    (
        "not-json",
        "The bytes are not JSON in UTF-8 here. For each byte that is not UTF-8 `?` was read; after any other error, \
         the next line that could begin a message.",
    ),
    ("nothing-inside", "The file has no message."),
    ("too-large", "A value is longer than 32 MiB; it was passed over."),
    (
        "too-many-problems",
        "More than 10,000 problems in one capture; no further one is told.",
    ),
    ("not-a-message", "A JSON value is not a message; it was not read."),
    (
        "encrypted",
        "A message is still encrypted: an event with its id, `seq` and the version of its key stands for it.",
    ),
    (
        "private-key-missing",
        "A message that was pulled stays closed: the private key of its version is not here. It is read once the key is \
         added; the problem says which version.",
    ),
    (
        "private-key-wrong",
        "A message that was pulled stays closed: the private key of its version does not belong to the public key that \
         the vendor has.",
    ),
    (
        "not-opened",
        "A message that was pulled stays closed: the vendor's library did not open it, or could not be used. It is tried \
         again.",
    ),
    (
        "item-incomplete",
        "A message that was pulled stays closed: it lacks what opens it.",
    ),
    (
        "vendor-error",
        "An answer of the archive is an error; the details have its code.",
    ),
    (
        "unknown-field",
        "A field is not known here. Told once a capture, kind and name; kept in the details.",
    ),
    (
        "unknown-message-type",
        "A message, or one inside another, is of a type not known here; kept with content `other`.",
    ),
    (
        "unknown-action",
        "A message's action is not known here; it was read as a message.",
    ),
    (
        "duplicate-key",
        "One object has a key twice. Lists of items are all read; of other fields the last.",
    ),
    (
        "too-many-fields",
        "One object has more than 4,096 fields; those after were not read.",
    ),
    (
        "too-many-receivers",
        "More than 10,000 receivers; those after are not shown.",
    ),
    (
        "too-deep",
        "A value is nested too deeply to be shown; it stays in the capture.",
    ),
    (
        "value-too-long",
        "A value is longer than 1 MiB; it is not shown and stays in the capture.",
    ),
    (
        "wrong-type",
        "A field or element is of another JSON type than documented.",
    ),
    (
        "bad-text",
        "A text holds half a surrogate pair; U+FFFD stands for it.",
    ),
    (
        "bad-timestamp",
        "A time is missing, unreadable, or outside 2009 to 2099.",
    ),
    ("bad-hash", "A declared MD5 is not 32 hex digits."),
    (
        "bad-item",
        "A message inside a message cannot be read; it is shown as it is.",
    ),
    (
        "missing-type",
        "A message has no type; it was read by the body it has.",
    ),
    (
        "missing-body",
        "A message has no body of its type, or the body lacks what it is for.",
    ),
    ("missing-id", "A message has no id."),
    ("missing-target", "A recall does not say of which message."),
    ("missing-sender", "A message does not say who wrote it."),
    (
        "missing-receiver",
        "A message does not say to whom, or in which room.",
    ),
    ("missing-media-id", "A file comes without an id to fetch it by."),
    ("missing-field", "An encrypted item lacks one of its fields."),
];
