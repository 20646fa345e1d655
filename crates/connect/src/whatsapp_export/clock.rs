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
    /// Chinese, Japanese and Korean phones may count from 0 to 11: `午後0:05` is five past noon.
    pub fn on_24_hours(self, hour: u8, cjk: bool) -> (u8, bool) {
        match (self, hour) {
            (DayPart::None, _) => (hour, false),
            (DayPart::Am | DayPart::Night, 0) if cjk => (0, false),
            (DayPart::Pm | DayPart::Noon, 0) if cjk => (12, false),
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

/// Day parts beside `AM`/`PM`; a full stop behind one is skipped. Longer words stand before the words they begin with.
/// Chinese, Korean, Japanese, Arabic and German were met in exports; the others are how Unicode's locale data (CLDR)
/// abbreviates them.
const WORDS: &[(&str, DayPart, bool)] = &[
    // Chinese, Japanese, Korean.
    ("上午", DayPart::Am, true),
    ("下午", DayPart::Pm, true),
    ("凌晨", DayPart::Am, true),
    ("清晨", DayPart::Am, true),
    ("早上", DayPart::Am, true),
    ("早晨", DayPart::Am, true),
    ("中午", DayPart::Noon, true),
    ("傍晚", DayPart::Pm, true),
    ("晚上", DayPart::Night, true),
    ("深夜", DayPart::Night, true),
    ("半夜", DayPart::Night, true),
    ("午夜", DayPart::Night, true),
    ("午前", DayPart::Am, true),
    ("午後", DayPart::Pm, true),
    ("正午", DayPart::Noon, true),
    ("오전", DayPart::Am, true),
    ("오후", DayPart::Pm, true),
    // Arabic, Persian, Urdu, Pashto, Kurdish.
    ("صباحًا", DayPart::Am, false),
    ("صباحا", DayPart::Am, false),
    ("مساءً", DayPart::Pm, false),
    ("مساء", DayPart::Pm, false),
    ("ص", DayPart::Am, false),
    ("م", DayPart::Pm, false),
    ("ق.ظ", DayPart::Am, false),
    ("ب.ظ", DayPart::Pm, false),
    ("قبل‌ازظهر", DayPart::Am, false),
    ("بعدازظهر", DayPart::Pm, false),
    ("قبل دوپہر", DayPart::Am, false),
    ("بعد دوپہر", DayPart::Pm, false),
    ("غ.م", DayPart::Am, false),
    ("غ.و", DayPart::Pm, false),
    ("ب.ن", DayPart::Am, false),
    ("د.ن", DayPart::Pm, false),
    // Germanic.
    ("morgens", DayPart::Am, false),
    ("vormittags", DayPart::Am, false),
    ("vorm", DayPart::Am, false),
    ("mittags", DayPart::Noon, false),
    ("nachmittags", DayPart::Pm, false),
    ("nachm", DayPart::Pm, false),
    ("abends", DayPart::Pm, false),
    ("nachts", DayPart::Night, false),
    ("vm", DayPart::Am, false),
    ("nm", DayPart::Pm, false),
    ("fm", DayPart::Am, false),
    ("em", DayPart::Pm, false),
    ("f.h", DayPart::Am, false),
    ("e.h", DayPart::Pm, false),
    // Slavic and Baltic.
    ("пр.об", DayPart::Am, false),
    ("сл.об", DayPart::Pm, false),
    ("дп", DayPart::Am, false),
    ("пп", DayPart::Pm, false),
    ("ДП", DayPart::Am, false),
    ("ПП", DayPart::Pm, false),
    ("претпл", DayPart::Am, false),
    ("попл", DayPart::Pm, false),
    ("пре подне", DayPart::Am, false),
    ("по подне", DayPart::Pm, false),
    ("pre podne", DayPart::Am, false),
    ("po podne", DayPart::Pm, false),
    ("prijepodne", DayPart::Am, false),
    ("prije podne", DayPart::Am, false),
    ("popodne", DayPart::Pm, false),
    ("dop", DayPart::Am, false),
    ("odp", DayPart::Pm, false),
    ("pop", DayPart::Pm, false),
    ("priešpiet", DayPart::Am, false),
    ("popiet", DayPart::Pm, false),
    ("priekšp", DayPart::Am, false),
    ("pēcp", DayPart::Pm, false),
    // Greek, Hungarian, Finnish, Turkish, Albanian, Welsh, Irish, Vietnamese, Malay, Uzbek, Kyrgyz, Mongolian.
    ("π.μ", DayPart::Am, false),
    ("μ.μ", DayPart::Pm, false),
    ("πμ", DayPart::Am, false),
    ("μμ", DayPart::Pm, false),
    ("de", DayPart::Am, false),
    ("du", DayPart::Pm, false),
    ("ap", DayPart::Am, false),
    ("ip", DayPart::Pm, false),
    ("ÖÖ", DayPart::Am, false),
    ("ÖS", DayPart::Pm, false),
    ("öö", DayPart::Am, false),
    ("ös", DayPart::Pm, false),
    ("p.d", DayPart::Am, false),
    ("m.d", DayPart::Pm, false),
    ("e paradites", DayPart::Am, false),
    ("e pasdites", DayPart::Pm, false),
    ("paradite", DayPart::Am, false),
    ("pasdite", DayPart::Pm, false),
    ("yb", DayPart::Am, false),
    ("yh", DayPart::Pm, false),
    ("r.n", DayPart::Am, false),
    ("i.n", DayPart::Pm, false),
    ("SA", DayPart::Am, false),
    ("CH", DayPart::Pm, false),
    ("PG", DayPart::Am, false),
    ("PTG", DayPart::Pm, false),
    ("TO", DayPart::Am, false),
    ("TK", DayPart::Pm, false),
    ("тң", DayPart::Am, false),
    ("тк", DayPart::Pm, false),
    ("ү.ө", DayPart::Am, false),
    ("ү.х", DayPart::Pm, false),
    // Hebrew, Amharic.
    ("לפנה״צ", DayPart::Am, false),
    ("אחה״צ", DayPart::Pm, false),
    ("לפנה\"צ", DayPart::Am, false),
    ("אחה\"צ", DayPart::Pm, false),
    ("ጥዋት", DayPart::Am, false),
    ("ከሰዓት", DayPart::Pm, false),
    // India and its neighbours, South-East Asia.
    ("पूर्वाह्न", DayPart::Am, false),
    ("अपराह्न", DayPart::Pm, false),
    ("म.पू", DayPart::Am, false),
    ("म.उ", DayPart::Pm, false),
    ("পূর্বাহ্ণ", DayPart::Am, false),
    ("অপরাহ্ণ", DayPart::Pm, false),
    ("ਪੂ.ਦੁ", DayPart::Am, false),
    ("ਬਾ.ਦੁ", DayPart::Pm, false),
    ("முற்பகல்", DayPart::Am, false),
    ("பிற்பகல்", DayPart::Pm, false),
    ("ಪೂರ್ವಾಹ್ನ", DayPart::Am, false),
    ("ಅಪರಾಹ್ನ", DayPart::Pm, false),
    ("පෙ.ව", DayPart::Am, false),
    ("ප.ව", DayPart::Pm, false),
    ("နံနက်", DayPart::Am, false),
    ("ညနေ", DayPart::Pm, false),
    ("ព្រឹក", DayPart::Am, false),
    ("ល្ងាច", DayPart::Pm, false),
    ("ກ່ອນທ່ຽງ", DayPart::Am, false),
    ("ຫຼັງທ່ຽງ", DayPart::Pm, false),
    ("ก่อนเที่ยง", DayPart::Am, false),
    ("หลังเที่ยง", DayPart::Pm, false),
];

/// Words behind a time that say neither morning nor afternoon.
const SUFFIXES: &[&str] = &["Uhr", "uur", "น.", "ч.", "hod.", "val.", "h"];

/// Length of such a word at the front.
pub fn clock_suffix(bytes: &[u8]) -> Option<usize> {
    SUFFIXES.iter().find_map(|word| {
        let rest = bytes.strip_prefix(word.as_bytes())?;
        ends_word(rest).then_some(word.len())
    })
}

/// Length of one or two words at the front, in any language; blanks behind them not counted. Longer than the words
/// of the table and shorter than most names with a surname.
pub fn unknown_words(bytes: &[u8]) -> Option<usize> {
    const LONGEST: usize = 36;
    let window = bytes.get(..LONGEST).unwrap_or(bytes);
    let text = match std::str::from_utf8(window) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(window.get(..error.valid_up_to())?).ok()?,
    };
    let (mut letters, mut words, mut end, mut blank) = (false, 1, 0, false);
    for (at, c) in text.char_indices() {
        if matches!(c, ' ' | '\u{a0}' | '\u{202f}') {
            if blank {
                break;
            }
            blank = true;
        } else if belongs_to_word(c) {
            words += i32::from(blank);
            if words > 2 {
                break;
            }
            letters |= c.is_alphabetic();
            (blank, end) = (false, at + c.len_utf8());
        } else {
            break;
        }
    }
    letters.then_some(end)
}

fn belongs_to_word(c: char) -> bool {
    // Vowel signs between U+0900 and U+109F are no letters to Rust.
    let indic = ('\u{900}'..='\u{109f}').contains(&c) && !c.is_numeric();
    c.is_alphabetic() || indic || matches!(c, '.' | '\'' | '’' | '״' | '\u{200c}' | '\u{200d}')
}

/// The day part at the front.
pub fn day_part(bytes: &[u8]) -> Option<Found> {
    if let Some(found) = am_or_pm(bytes) {
        return Some(found);
    }
    WORDS.iter().find_map(|&(word, part, cjk)| {
        let rest = bytes.strip_prefix(word.as_bytes())?;
        let rest = rest.strip_prefix(b".").unwrap_or(rest);
        (cjk || ends_word(rest)).then_some(Found {
            part,
            len: bytes.len() - rest.len(),
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
        rest = after.get(super::cursor::blank_len(after)..).unwrap_or_default();
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

/// Whether a word ends in front of this: no letter follows.
fn ends_word(rest: &[u8]) -> bool {
    match rest.first() {
        None => true,
        Some(byte) if byte.is_ascii() => !byte.is_ascii_alphabetic(),
        Some(_) => {
            let window = rest.get(..4).unwrap_or(rest);
            let next = match std::str::from_utf8(window) {
                Ok(text) => text.chars().next(),
                Err(error) => std::str::from_utf8(window.get(..error.valid_up_to()).unwrap_or_default())
                    .ok()
                    .and_then(|text| text.chars().next()),
            };
            !next.is_some_and(char::is_alphabetic)
        }
    }
}

/// Words between date and time, each followed by a blank.
const JOINING: &[&str] = &[
    "at", "à", "klo", "um", "às", "as", "a las", "alle", "alle ore", "om", "kl.", "kl", "o", "v", "в", "о",
    "u", "ob", "la", "lúc", "во", "nang", "plkst.", "בשעה", "في",
];

/// Length of the joining word at the front, without the blank that must follow it; also the `T` of ISO 8601.
pub fn joining_word(bytes: &[u8]) -> Option<usize> {
    if let [b'T', digit, ..] = *bytes {
        return digit.is_ascii_digit().then_some(1);
    }
    JOINING.iter().find_map(|word| {
        let rest = bytes.strip_prefix(word.as_bytes())?;
        (super::cursor::blank_len(rest) > 0).then_some(word.len())
    })
}
