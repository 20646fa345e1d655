//! Words around a time: day parts in the languages phones write them in, and the words between date and time.

/// What a day part says about the hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayPart {
    /// 24-hour clock.
    None,
    /// Before noon: 12 is midnight.
    Am,
    /// After noon: 12 is noon.
    Pm,
    /// Around noon: 11 and 12 stay, 1 to 3 are after noon.
    Noon,
    /// The night: 12 and 1 to 5 are after midnight, 6 to 11 before it.
    Night,
}

impl DayPart {
    /// The hour on the 24-hour clock, and whether hour and day part contradict each other (the hour then stays).
    pub fn on_24_hours(self, hour: u8) -> (u8, bool) {
        match (self, hour) {
            (DayPart::None, _) => (hour, false),
            (_, 13..) => (hour, true),
            (DayPart::Am, 0) => (0, true),
            (DayPart::Pm, 0) => (0, true),
            (DayPart::Am | DayPart::Night, 12) => (0, false),
            (DayPart::Am, _) => (hour, false),
            (DayPart::Pm, 12) => (12, false),
            (DayPart::Pm, _) => (hour + 12, false),
            (DayPart::Noon, 0..=3) => (hour + 12, false),
            (DayPart::Noon, _) => (hour, false),
            (DayPart::Night, 6..=11) => (hour + 12, false),
            (DayPart::Night, _) => (hour, false),
        }
    }
}

/// A day part at the front of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// What it says.
    pub part: DayPart,
    /// How many bytes it takes.
    pub len: usize,
    /// Written in a language that puts the year first.
    pub cjk: bool,
}

/// Day parts beside `AM`/`PM`. Longer words stand before the words they begin with. Chinese, Korean, Japanese,
/// Arabic and German were met in exports; the others are how Unicode's locale data (CLDR) abbreviates them.
const WORDS: &[(&str, DayPart, bool)] = &[
    ("上午", DayPart::Am, true),
    ("下午", DayPart::Pm, true),
    ("凌晨", DayPart::Am, true),
    ("清晨", DayPart::Am, true),
    ("早上", DayPart::Am, true),
    ("中午", DayPart::Noon, true),
    ("傍晚", DayPart::Pm, true),
    ("晚上", DayPart::Night, true),
    ("深夜", DayPart::Night, true),
    ("午夜", DayPart::Night, true),
    ("午前", DayPart::Am, true),
    ("午後", DayPart::Pm, true),
    ("正午", DayPart::Noon, true),
    ("오전", DayPart::Am, true),
    ("오후", DayPart::Pm, true),
    ("ص", DayPart::Am, false),
    ("م", DayPart::Pm, false),
    ("ق.ظ.", DayPart::Am, false),
    ("ب.ظ.", DayPart::Pm, false),
    ("قبل‌ازظهر", DayPart::Am, false),
    ("بعدازظهر", DayPart::Pm, false),
    ("morgens", DayPart::Am, false),
    ("vormittags", DayPart::Am, false),
    ("vorm.", DayPart::Am, false),
    ("mittags", DayPart::Noon, false),
    ("nachmittags", DayPart::Pm, false),
    ("nachm.", DayPart::Pm, false),
    ("abends", DayPart::Pm, false),
    ("nachts", DayPart::Night, false),
    ("पूर्वाह्न", DayPart::Am, false),
    ("अपराह्न", DayPart::Pm, false),
    ("ÖÖ", DayPart::Am, false),
    ("ÖS", DayPart::Pm, false),
    ("SA", DayPart::Am, false),
    ("CH", DayPart::Pm, false),
    ("π.μ.", DayPart::Am, false),
    ("μ.μ.", DayPart::Pm, false),
    ("пр.об.", DayPart::Am, false),
    ("сл.об.", DayPart::Pm, false),
    ("дп", DayPart::Am, false),
    ("пп", DayPart::Pm, false),
    ("ДП", DayPart::Am, false),
    ("ПП", DayPart::Pm, false),
    ("dop.", DayPart::Am, false),
    ("odp.", DayPart::Pm, false),
    ("de.", DayPart::Am, false),
    ("du.", DayPart::Pm, false),
    ("ap.", DayPart::Am, false),
    ("ip.", DayPart::Pm, false),
    ("fm", DayPart::Am, false),
    ("em", DayPart::Pm, false),
    ("PG", DayPart::Am, false),
    ("PTG", DayPart::Pm, false),
    ("לפנה״צ", DayPart::Am, false),
    ("אחה״צ", DayPart::Pm, false),
    ("ก่อนเที่ยง", DayPart::Am, false),
    ("หลังเที่ยง", DayPart::Pm, false),
    ("paradite", DayPart::Am, false),
    ("pasdite", DayPart::Pm, false),
];

/// The day part at the front.
pub fn day_part(bytes: &[u8]) -> Option<Found> {
    if let Some(found) = am_or_pm(bytes) {
        return Some(found);
    }
    WORDS.iter().find_map(|&(word, part, cjk)| {
        let rest = bytes.strip_prefix(word.as_bytes())?;
        ends_word(rest).then_some(Found {
            part,
            len: word.len(),
            cjk,
        })
    })
}

/// `AM`, `am`, `a.m.`, `a. m.` and the same with `p`; the blank may be of any width.
fn am_or_pm(bytes: &[u8]) -> Option<Found> {
    let (&first, mut rest) = bytes.split_first()?;
    let part = match first {
        b'a' | b'A' => DayPart::Am,
        b'p' | b'P' => DayPart::Pm,
        _ => return None,
    };
    if let Some(after) = rest.strip_prefix(b".") {
        rest = after.get(super::header::blank_len(after)..).unwrap_or_default();
    }
    let (&second, after) = rest.split_first()?;
    if !second.eq_ignore_ascii_case(&b'm') {
        return None;
    }
    let rest = after.strip_prefix(b".").unwrap_or(after);
    ends_word(rest).then_some(Found {
        part,
        len: bytes.len() - rest.len(),
        cjk: false,
    })
}

fn ends_word(rest: &[u8]) -> bool {
    !rest.first().is_some_and(u8::is_ascii_alphabetic)
}

/// Words between date and time, each followed by a blank.
const JOINING: &[&str] = &[
    "at", "à", "klo", "um", "às", "as", "a las", "alle", "alle ore", "om", "kl.", "kl", "o", "v", "в", "о",
    "u", "ob", "la", "lúc",
];

/// Length of the joining word at the front, without the blank that must follow it.
pub fn joining_word(bytes: &[u8]) -> Option<usize> {
    if bytes.first().is_none_or(u8::is_ascii_digit) {
        return None;
    }
    JOINING.iter().find_map(|word| {
        let rest = bytes.strip_prefix(word.as_bytes())?;
        (super::header::blank_len(rest) > 0).then_some(word.len())
    })
}
