//! Attached files: what they are, told from their names.

use model::record::ContentKind;

/// Media type and kind by extension.
const TYPES: &[(&str, &str, ContentKind)] = &[
    ("jpg", "image/jpeg", ContentKind::Image),
    ("jpeg", "image/jpeg", ContentKind::Image),
    ("png", "image/png", ContentKind::Image),
    ("gif", "image/gif", ContentKind::Image),
    ("heic", "image/heic", ContentKind::Image),
    ("bmp", "image/bmp", ContentKind::Image),
    ("tif", "image/tiff", ContentKind::Image),
    ("tiff", "image/tiff", ContentKind::Image),
    ("webp", "image/webp", ContentKind::Sticker),
    ("was", "application/x-whatsapp-sticker", ContentKind::Sticker),
    ("mp4", "video/mp4", ContentKind::Video),
    ("3gp", "video/3gpp", ContentKind::Video),
    ("mov", "video/quicktime", ContentKind::Video),
    ("mkv", "video/x-matroska", ContentKind::Video),
    ("avi", "video/x-msvideo", ContentKind::Video),
    ("webm", "video/webm", ContentKind::Video),
    ("opus", "audio/ogg", ContentKind::Audio),
    ("ogg", "audio/ogg", ContentKind::Audio),
    ("oga", "audio/ogg", ContentKind::Audio),
    ("mp3", "audio/mpeg", ContentKind::Audio),
    ("m4a", "audio/mp4", ContentKind::Audio),
    ("aac", "audio/aac", ContentKind::Audio),
    ("amr", "audio/amr", ContentKind::Audio),
    ("wav", "audio/wav", ContentKind::Audio),
    ("caf", "audio/x-caf", ContentKind::Audio),
    ("vcf", "text/vcard", ContentKind::Contact),
    ("pdf", "application/pdf", ContentKind::Document),
    ("txt", "text/plain", ContentKind::Document),
    ("csv", "text/csv", ContentKind::Document),
    ("html", "text/html", ContentKind::Document),
    ("htm", "text/html", ContentKind::Document),
    ("json", "application/json", ContentKind::Document),
    ("xml", "application/xml", ContentKind::Document),
    ("rtf", "application/rtf", ContentKind::Document),
    ("doc", "application/msword", ContentKind::Document),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ContentKind::Document,
    ),
    ("xls", "application/vnd.ms-excel", ContentKind::Document),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ContentKind::Document,
    ),
    ("ppt", "application/vnd.ms-powerpoint", ContentKind::Document),
    (
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        ContentKind::Document,
    ),
    (
        "odt",
        "application/vnd.oasis.opendocument.text",
        ContentKind::Document,
    ),
    (
        "ods",
        "application/vnd.oasis.opendocument.spreadsheet",
        ContentKind::Document,
    ),
    ("zip", "application/zip", ContentKind::Document),
    ("rar", "application/vnd.rar", ContentKind::Document),
    ("7z", "application/x-7z-compressed", ContentKind::Document),
    (
        "apk",
        "application/vnd.android.package-archive",
        ContentKind::Document,
    ),
    ("ics", "text/calendar", ContentKind::Document),
    ("eml", "message/rfc822", ContentKind::Document),
    ("svg", "image/svg+xml", ContentKind::Document),
];

/// Whether WhatsApp made up this name: `IMG-20240131-WA0001.jpg`, `00000012-PHOTO-2024-01-31-10-20-30.jpg`,
/// `2017-07-25-PHOTO-00000043.jpg`.
pub fn is_generated_name(name: &str) -> bool {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let mut parts = stem.split('-');
    let word = |part: &str| part.len() >= 2 && part.bytes().all(|b| b.is_ascii_uppercase());
    let digits = |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_digit());
    let extension = extension.len() <= 5 && extension.bytes().all(|b| b.is_ascii_alphanumeric());
    let first = parts.next().unwrap_or_default();
    extension
        && match (first, parts.next(), parts.next(), parts.next()) {
            (kind, Some(day), Some(number), None) if word(kind) => {
                digits(day, 8)
                    && number
                        .strip_prefix("WA")
                        .is_some_and(|n| n.len() >= 4 && digits(n, n.len()))
            }
            (number, Some(kind), Some(year), _) if digits(number, 8) => word(kind) && digits(year, 4),
            (year, Some(month), Some(day), Some(kind)) => {
                digits(year, 4) && digits(month, 2) && digits(day, 2) && word(kind)
            }
            _ => false,
        }
}

/// The number that iPhones put in front of each file of an export.
pub fn number_of(name: &str) -> Option<&str> {
    let (number, _) = name.split_once('-')?;
    (number.len() == 8 && number.bytes().all(|b| b.is_ascii_digit())).then_some(number)
}

/// Media type, where the extension is a known one, and kind.
pub fn by_name(name: &str) -> (Option<&'static str>, ContentKind) {
    let upper = name.get(..20).unwrap_or(name);
    let extension = name
        .rsplit_once('.')
        .map(|(_, extension)| extension)
        .unwrap_or_default();
    let known = TYPES
        .iter()
        .find(|(known, ..)| known.eq_ignore_ascii_case(extension));
    let (media_type, kind) = known.map_or((None, ContentKind::Document), |&(_, t, kind)| (Some(t), kind));
    // iOS says in the name what a file was sent as; `-GIF-` is a short film without sound.
    let kind = match kind {
        _ if upper.contains("-STICKER-") => ContentKind::Sticker,
        ContentKind::Sticker if upper.contains("-PHOTO-") || upper.starts_with("IMG-") => ContentKind::Image,
        kind => kind,
    };
    (media_type, kind)
}
