//! What this connector sees, what it cannot see, and the codes of its problems.

use crate::About;

/// The page.
pub(super) const ABOUT: About = About {
    title: "WhatsApp Business Platform (Cloud API)",
    summary: "Receives the webhooks of a WhatsApp business account: messages and files from customers, what became \
              of the company's own messages, calls and groups, and for numbers that staff also use in the WhatsApp \
              Business app (coexistence) what staff type there, the history and the address book. Bodies kept \
              elsewhere can be read from files.",
    captures: &[
        "Messages of customers to the company's numbers: text, image, video, audio, document, sticker, location, \
         contact cards, interactive replies and forms, template buttons, orders, system lines.",
        "Files, fetched by their media id and compared with the declared SHA-256.",
        "Reactions, edits and deletions, each as an event that points at its message.",
        "Statuses of the company's own messages and calls, one a recipient, in groups one a member.",
        "Groups made through the Groups API: their messages, members and settings.",
        "Calls through the Calling API: who, when, how long; never the sound.",
        "Coexistence: messages typed in the app (echoes) with their edits and deletions, up to 180 days of history, \
         changes of the address book.",
        "What users want to receive (marketing stopped or resumed), changes of numbers and ids.",
        "Changes of the account, its numbers and its templates, the end of sharing included.",
        "What the vendor notices beside messages: purchases and leads after an advertisement, clicks on links of \
         marketing messages.",
        "Parts of deliveries as gateways pass them on: a list of bodies, a change or a `value` alone, a body inside \
         another object; and bodies of the on-premises API, which ended in 2025.",
        "Details of every record: `account_id`, `business_phone`, `phone_number_id` (which of the company's numbers), \
         and under `other` every field not known here.",
        "Details of messages: `type` (the vendor's word), `to`, `voice`, `animated`, `location`, `contacts`, \
         `interactive` (with `answers` of a form), `button`, `order`, `template`, `system_type`, `unsupported_type`, \
         `frequently_forwarded`, `referred_product`, `referral`, `identity`, `errors`, `context`, `history_status`, \
         `recipient_type`, `origin`, `contact_card` (what the sender's card says besides name and ids).",
        "Details of events: `edited_type` and `context` of an edit; `conversation`, `pricing`, `errors`, \
         `biz_opaque_callback_data`, `recipient_type`, `recipient_identity_key_hash`, `type`, `payment` of a status; `phase`, `chunk_order`, `progress`, \
         `errors` of a history; `new_ids`, `identity`, `detail` of a changed identity; `category`, `detail` of a \
         preference; `direction`, `status`, `start_time`, `end_time`, `duration`, `session`, `to` of a call; \
         `request_id`, `join_request_id`, `subject`, `description`, `invite_link`, `join_approval_mode`, `reason`, \
         `initiated_by`, `failed_participants`, `group_subject`, `group_description`, `profile_picture` of a group; \
         `field`, `value`, `capture_ends` of an account; `first_name` of the address book.",
    ],
    blind_spots: &[
        "What the company sends through the Cloud API itself is not in any webhook: only its statuses are, without \
         text. It is captured only when it is sent through a gateway that keeps it.",
        "Edits and deletions by customers are delivered for coexistence numbers only; on other numbers an edited or \
         deleted message stays as it first came, and a deletion may show as `unsupported`.",
        "Groups: only those the company made through the Groups API (Official Business Accounts, at most 8 \
         participants, one business a group, 10,000 groups a number). Existing groups of customers or staff cannot be \
         captured; edits, deletions, disappearing and view-once messages do not exist for the API there; coexistence \
         numbers have no groups at all.",
        "View-once and disappearing messages: at best an `unsupported` marker, in coexistence nothing.",
        "Polls, their votes, pinned and kept messages, group invitations and other newer kinds come as `unsupported`, \
         without content.",
        "Coexistence: the first message of a customer may come as `unsupported` with error 131060, without content.",
        "A number whose calls go by SIP sends no webhook about calls.",
        "Calls made in the app are not reported; calls through the API are reported without sound, and recordings or \
         transcripts are announced separately.",
        "Coexistence: broadcast lists are not reported; messages from some linked desktop clients are not reported.",
        "The history holds at most 180 days, leaves out group chats, gives files of the last 14 days only (others are \
         placeholders), must be asked for soon after onboarding (24 hours, from general knowledge), and may be \
         declined. Its times are those of the phone.",
        "Personal WhatsApp and numbers that are not connected are not seen.",
        "Deliveries are repeated for up to 7 days. What could not be delivered in that time is gone, and nothing in \
         a later delivery says so.",
        "Media ids of webhooks live 7 days; a file that was not fetched by then is lost and its attachment says \
         `expired`.",
        "The vendor's id and the number of a person may differ by one digit (Brazil, Mexico, Argentina). Where a contact \
         card has one form and a message the other, both are taken for the same person.",
        "A phone number may be absent: since 2026 a user with a user name may be known by a business-scoped id only, \
         and a new phone number yields a new id.",
        "A webhook field the app is not subscribed to is not delivered: for staff's own messages that is \
         `smb_message_echoes`, for the past `history`.",
        "A callback address set for one number or account diverts its webhooks elsewhere.",
        "What a message says it replies to, or forwards, is supplied by the sender's client and not proved.",
        "The network addresses in a call's session description are kept in the capture but not shown.",
    ],
    problems: PROBLEMS,
    authenticity: "POST: HMAC-SHA256 over the raw body with the app secret, in `X-Hub-Signature-256`, exactly one \
                   header, lower-case hex; each configured app secret is tried and the record says which one matched. \
                   A SHA-1 header proves nothing. GET: the verify token, compared in constant time; the handshake is \
                   not signed and nothing of it is kept. Files handed in are not proved.",
    repeats: "Messages and echoes by their id (`wamid`); reactions, edits and deletions by their own id; statuses by \
              message id, recipient and status; calls by call id and event. A delivery has no id of its own.",
    vendor_page: "https://developers.facebook.com/documentation/business-messaging/whatsapp/",
    compared: "2026-11-24: at second hand, against excerpts and summaries of the vendor's pages in their state of \
               October 2025 to August 2026; the pages themselves were not read as a whole.",
};

const PROBLEMS: &[(&str, &str)] = &[
    (
        "not-json",
        "The bytes are not JSON in UTF-8 here. For each byte that is not UTF-8 `?` was read; after any other error, \
         the next body that begins a line.",
    ),
    (
        "too-large",
        "The body is longer than 64 MiB; nothing of it was read.",
    ),
    (
        "too-many-problems",
        "More than 10,000 problems in one capture; no further one is told.",
    ),
    (
        "not-a-delivery",
        "A JSON value is neither a webhook body nor a known part of one; it was not read.",
    ),
    (
        "unknown-object",
        "The delivery does not say `whatsapp_business_account`, or lies inside something else; it was read all the \
         same.",
    ),
    (
        "unknown-webhook-field",
        "A change of a field not known here, or without anything in it; kept as an event.",
    ),
    (
        "unknown-field",
        "A field is not known here. Told once a capture, object and name; kept where details can.",
    ),
    (
        "unknown-message-type",
        "A message of a type not known here; kept with content `other`.",
    ),
    (
        "unknown-interactive",
        "An interactive message of a kind not known here; kept in the details.",
    ),
    (
        "unknown-system-type",
        "A system line of a kind not known here; kept as a system line.",
    ),
    ("unknown-status", "A status word not known here; kept."),
    (
        "unknown-group-event",
        "A group event of a kind not known here; kept.",
    ),
    (
        "unknown-call-event",
        "A call event of a kind not known here; kept.",
    ),
    (
        "unknown-state-sync",
        "A change of the app's state that is not of a contact; kept.",
    ),
    (
        "unknown-id-form",
        "An id is neither a telephone number nor business-scoped; kept as `whatsapp_id`.",
    ),
    (
        "duplicate-key",
        "One object has a key twice. Lists of deliveries are all read; of other fields the last.",
    ),
    (
        "too-many-fields",
        "One object has more than 4,096 fields; those after were not read.",
    ),
    (
        "too-many-contacts",
        "More than 10,000 contact cards in one change; those after give no names.",
    ),
    (
        "too-many-members",
        "More than 1,024 people joined or left a group at once; those after have no event.",
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
        "A field or element is of another JSON type than documented. An object in the place of a list was read as \
         the one element of it.",
    ),
    (
        "bad-text",
        "A text holds half a surrogate pair, for which U+FFFD is read; or a number is too large to be shown.",
    ),
    (
        "bad-timestamp",
        "A time is missing, unreadable, or outside 2009 to 2099; or it is in milliseconds, and was read as such.",
    ),
    (
        "bad-hash",
        "A declared hash is neither hex nor Base64 of 32 bytes.",
    ),
    (
        "bad-form",
        "A form's answers are not readable JSON; the text is kept.",
    ),
    (
        "nothing-inside",
        "A body, entry, change or thread of a history holds nothing.",
    ),
    (
        "missing-type",
        "A message, or an interactive one's body, has no type; it was read by what it has.",
    ),
    ("missing-body", "A message or edit has no body of its type."),
    ("missing-id", "A message, status, call or group event has no id."),
    (
        "missing-target",
        "A reaction, edit or deletion does not say of which message.",
    ),
    (
        "missing-sender",
        "A message does not say who wrote it, or to whom.",
    ),
    ("missing-recipient", "A status does not say whom it concerns."),
    (
        "missing-thread-id",
        "A thread of a history does not say with whom it was.",
    ),
    (
        "missing-media-id",
        "A file comes with neither an id nor an address to fetch it by.",
    ),
    ("missing-status", "A status has no status word."),
    (
        "missing-field",
        "An entry has no changes, or a change lacks its field or value.",
    ),
    (
        "vendor-error",
        "The vendor reports an error instead of, or beside, a message: something may be missing.",
    ),
];
