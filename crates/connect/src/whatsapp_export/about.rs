//! What this connector sees, and what it cannot.

use crate::About;

/// The connector's page.
pub const ABOUT: About = About {
    title: "WhatsApp chat export",
    summary: "Reads the text file or zip that WhatsApp's \"Export chat\" writes on Android and iOS, in all header \
        layouts and languages seen so far. Day and month are told apart once per file, and the evidence is in the \
        report; where nothing decides, both readings are given. `sender.name` is the name as the exporter's phone \
        showed it, without the invisible direction marks around it; a leading `~` (people outside the address \
        book) is kept. The chat's title, taken from the file name, is its only id. System lines are messages of \
        content `system` without a sender, with `details.system` naming the kind. Times are the phone's wall \
        times; instants exist only when somebody states the phone's zone.",
    captures: &[
        "every message and system line of the text, in file order, with continuation lines",
        "sender names, and phone numbers where the phone shows a number instead of a name",
        "media files of a zip: size and SHA-256, tied to the message that names them",
        "media named but left out or missing",
        "captions, polls with options and votes, locations, contact cards, calls, edit and delete marks",
        "system lines of about sixty kinds: membership, titles, numbers, security codes, timers, notices",
    ],
    blind_spots: &[
        "reactions, reply links, forward marks, mentions as links, stars, read and delivery states",
        "earlier texts of edited messages, and the text of deleted ones",
        "view-once photos, videos and voice messages",
        "messages that had disappeared, or that the exporter had deleted for themselves, before the export: they leave no trace",
        "what the exporter edited, added or removed in the file afterwards: nothing in the file proves it whole or genuine",
        "the time zone, and on Android the seconds; a phone with a wrong clock writes wrong times",
        "message ids and account ids; names are the exporter's address-book names at the time of the export",
        "messages older than the export's limit (about 40,000 without media, 10,000 with): such an export begins in mid-chat",
        "text that imitates WhatsApp's own wording (`photo.jpg (file attached)`, a pasted line in the file's own header layout) cannot be told from the real thing on Android; iOS marks generated text, but the mark can be typed",
        "other chats, other devices, status updates, channels, and chats protected against export",
        "wordings of languages that no data file lists: the text is kept; files, places, polls and edits are then told by \
            names, links and marks, left-out files by their coming back, and the rest only by marks",
        "dates of the Islamic lunar calendar, dates with names of months, and years that are left out: such a text is \
            refused",
    ],
    problems: &[
        (
            "ambiguous-dates",
            "Nothing tells day and month apart: both readings are given.",
        ),
        (
            "clock-change",
            "In the stated zone, this wall time came twice or never.",
        ),
        (
            "custodian-not-found",
            "Two people write, and neither has the stated custodian's name: directions stay unknown.",
        ),
        (
            "damaged-member",
            "Bytes in the zip are not what its directory declares.",
        ),
        (
            "date-contradicts-order",
            "A date is impossible in the order of the others and was read in the order that fits.",
        ),
        (
            "duplicate-member",
            "Several files in the zip have one name; where they differ none is tied to a message.",
        ),
        ("extra-media", "Files in the zip that no message names."),
        (
            "impossible-date",
            "A line looks like a header, but its date or time does not exist; kept as text.",
        ),
        (
            "invalid-utf8",
            "Bytes that are no UTF-8; the record shows replacement characters.",
        ),
        (
            "line-too-long",
            "A message above 1 MiB; the record shows its beginning.",
        ),
        ("no-chat-text", "Nothing in the file looks like an exported chat."),
        ("no-message", "No line looks like a message header."),
        (
            "odd-clock",
            "Hour and day part contradict each other (`00:08 a. m.`); first time only.",
        ),
        (
            "other-layout",
            "A second export with another header layout follows in the same file.",
        ),
        (
            "sender-unsure",
            "A line with a colon was taken for a system line without a known wording.",
        ),
        ("several-chat-texts", "The zip holds several chats; one was read."),
        (
            "text-before-first-message",
            "Lines stand before the first header.",
        ),
        (
            "text-like-header",
            "A line looks like a header of another layout; kept as text of its message.",
        ),
        ("too-many-names", "More names than are kept apart."),
        (
            "unknown-day-part",
            "A word beside the times is not known; if it tells morning from afternoon, hours are off by twelve.",
        ),
        (
            "unknown-wording",
            "A marked text without a known wording was taken for something a person sent; first time only.",
        ),
        (
            "unsafe-member-name",
            "Zip members with absolute paths, `..`, links or overlong names; left alone.",
        ),
        (
            "unverified-wording",
            "A wording that no real file has confirmed decided what a line is; first time only.",
        ),
        ("zip-damaged", "The zip's directory breaks off."),
        ("zip-encrypted", "Zip members are encrypted; left alone."),
        ("zip-method", "Zip members packed in an unknown way; left alone."),
        ("zip-overlap", "Zip members share bytes; left alone."),
        (
            "zip-too-large",
            "Zip members too large or blown up too far; left alone.",
        ),
        ("zip-too-many-members", "More zip members than are looked at."),
    ],
    authenticity: "none: editable text made by an interested person. Compare exports of two participants, and keep \
        who handed it over and how.",
    repeats: "nothing in the file: two exports of one chat overlap, and messages carry no id. The same file again is \
        told by its bytes.",
    vendor_page: "https://faq.whatsapp.com (How to export your chat history)",
    compared: "2026-11-24, at second hand: formats come from research notes on observed exports; the vendor's page \
        itself was not read and documents no format",
};
