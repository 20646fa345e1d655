//! Which of the two languages a reader gets.

use serde::{Deserialize, Serialize};

/// A language of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    /// English.
    #[serde(rename = "en")]
    English,
    /// 简体中文.
    #[serde(rename = "zh-CN")]
    Chinese,
}

impl Language {
    /// As in the `lang` attribute.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Chinese => "zh-CN",
        }
    }
}

/// `?lang=en|zh` decides; without it, the browser's wish (RFC 9110, section 12.5.4); without that, English.
pub(super) fn choose(query: &str, accepted: &str) -> Language {
    for pair in query.split('&') {
        match pair {
            "lang=en" => return Language::English,
            "lang=zh" => return Language::Chinese,
            _ => {}
        }
    }
    let mut best = (0, Language::English);
    for range in accepted.split(',') {
        let (tag, quality) = range.split_once(';').unwrap_or((range, ""));
        let primary = tag.trim().split('-').next().unwrap_or_default();
        let language = match primary.to_ascii_lowercase().as_str() {
            "en" => Language::English,
            "zh" => Language::Chinese,
            _ => continue,
        };
        let thousandths = thousandths(quality);
        if thousandths > best.0 {
            best = (thousandths, language);
        }
    }
    best.1
}

/// `q=0.8` as 800; nothing or nonsense as 1000.
fn thousandths(quality: &str) -> u32 {
    let Some(number) = quality.trim().strip_prefix("q=") else {
        return 1000;
    };
    match number.trim().split_once('.') {
        Some(("0", digits)) => format!("{digits:0<3.3}").parse().unwrap_or(1000),
        None if number.trim() == "0" => 0,
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, accepted: &str, expected: Language) {
        assert_eq!(choose(query, accepted), expected, "{query:?} {accepted:?}");
    }

    #[test]
    fn the_query_decides_then_the_browser_then_english() {
        check("", "", Language::English);
        check("lang=zh", "en", Language::Chinese);
        check("a=b&lang=en", "zh-CN", Language::English);
        check("lang=fr", "zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese);
        check("", "en-US,en;q=0.9,zh;q=0.8", Language::English);
        check("", "en;q=0.2, zh-Hans;q=0.7", Language::Chinese);
        check("", "fr, de;q=0.9, zh;q=0.1", Language::Chinese);
        check("", "zh;q=0", Language::English);
        check("", ";;,,q=,zh;q=x", Language::Chinese);
    }
}
