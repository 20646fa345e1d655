//! What the chat is called: phones write it into the name of the export.

use super::placeholders::phrases;

/// The chat's title from a file name such as `WhatsApp Chat with Ann.txt`, in the languages we know.
pub fn from_file_name(name: &str) -> Option<String> {
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let stem = without_extension(base)?;
    let stem = without_copy_number(stem.trim());
    // Phones write no-break spaces into some of these names; file systems and browsers put `_` for some signs.
    let plain: String = stem
        .chars()
        .map(|c| {
            if matches!(c, '\u{a0}' | '\u{202f}') {
                ' '
            } else {
                c
            }
        })
        .collect();
    let plain = plain.replace(['\u{200e}', '\u{200f}'], "");
    let found = phrases().titles.iter().find_map(|template| {
        template
            .matches(&plain)
            .and_then(|holes| holes.first().map(|&(_, title)| title.trim().to_owned()))
    });
    found.filter(|title| !title.is_empty())
}

/// Whether a phone gave the file its name: the brand stands in it, in the scripts that write it otherwise too.
pub fn is_named_by_phone(name: &str) -> bool {
    const BRAND: [&str; 5] = ["whatsapp", "واتساب", "واتس اب", "וואטסאפ", "ווטסאפ"];
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name).to_lowercase();
    BRAND.iter().any(|brand| base.contains(brand))
}

/// Whether a person's name stands in the name of the file, as a word of its own.
pub fn holds_name(file: &str, person: &str) -> bool {
    let base = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let stem = without_extension(base).unwrap_or(base);
    let stem = without_copy_number(stem.trim());
    person.chars().count() >= 2
        && stem.match_indices(person).any(|(at, found)| {
            let before = stem.get(..at).and_then(|before| before.chars().next_back());
            let after = stem
                .get(at + found.len()..)
                .and_then(|after| after.chars().next());
            [before, after]
                .into_iter()
                .flatten()
                .all(|c| !c.is_alphanumeric())
        })
}

fn without_extension(base: &str) -> Option<&str> {
    let (stem, extension) = base.rsplit_once('.')?;
    matches!(extension.to_ascii_lowercase().as_str(), "txt" | "zip").then_some(stem)
}

/// Browsers and phones put ` (1)` behind the name of a second copy.
fn without_copy_number(stem: &str) -> &str {
    let shorter = stem.strip_suffix(')').and_then(|rest| rest.rsplit_once(" ("));
    match shorter {
        Some((before, number))
            if (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            before
        }
        _ => stem,
    }
}
