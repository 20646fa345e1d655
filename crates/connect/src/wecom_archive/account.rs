//! What a connection of the archive is given.

use crate::{Account, Door, SecretName};

/// The archive's own secret.
pub const SECRET: &str = "secret";
/// The company's private keys, each after its version.
pub const PRIVATE_KEY: &str = "private-key";
/// `user:password` of the proxy.
pub const PROXY_PASSWORD: &str = "proxy-password";
/// The company.
pub const CORP_ID: &str = "corp-id";
/// The vendor's library.
pub const LIBRARY: &str = "library";
/// The library as it was approved.
pub const LIBRARY_SHA256: &str = "library-sha256";
/// The program that loads it.
pub const HELPER: &str = "helper";
/// On the way to the vendor.
pub const PROXY: &str = "proxy";

pub(super) const DOOR: Door = Door::Pull {
    required: &[
        SecretName {
            name: SECRET,
            help: "Secret of the conversation archive (会话内容存档), from its page in the WeCom console; not that of an app.",
            several: false,
        },
        SecretName {
            name: PRIVATE_KEY,
            help: "RSA private key of 2048 bits in PEM, after the version that the vendor gave its public key: \
                   --secret private-key=VERSION:FILE. Keys of earlier versions stay needed.",
            several: true,
        },
    ],
    optional: &[SecretName {
        name: PROXY_PASSWORD,
        help: "`user:password` for the proxy.",
        several: false,
    }],
    settings: &[
        (CORP_ID, ""),
        (LIBRARY, ""),
        (LIBRARY_SHA256, "the file as it is when the connection is added"),
        (HELPER, "wecom-helper beside chancery"),
        (PROXY, ""),
    ],
};

/// Whether what was given can work; with nothing at all it takes files.
pub(super) fn check(account: Account<'_>) -> Result<(), &'static str> {
    let setting = |name: &str| account.settings.get(name).map_or("", String::as_str);
    if setting(CORP_ID).is_empty() {
        return Err("the setting corp-id is missing: the company's id, from 我的企业 in the WeCom console");
    }
    if !setting(LIBRARY).starts_with('/') {
        return Err(
            "the setting library is missing: the whole path of the vendor's libWeWorkFinanceSdk_C.so on this machine",
        );
    }
    if !setting(HELPER).starts_with('/') {
        return Err(
            "the setting helper is missing: the whole path of wecom-helper, which comes with chancery",
        );
    }
    let hash = setting(LIBRARY_SHA256);
    if hash.len() != 64 || !hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(
            "the setting library-sha256 is not the SHA-256 of a file: 64 digits of 0-9 and a-f, from sha256sum",
        );
    }
    let proxy = setting(PROXY);
    if !proxy.is_empty()
        && !["http://", "socks5://"]
            .iter()
            .any(|scheme| proxy.starts_with(scheme))
    {
        return Err("the setting proxy begins neither with http:// nor with socks5://");
    }
    if account.secrets.all(SECRET).len() != 1 {
        return Err("there is one secret of the archive, not several");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Secrets, Settings};
    use zeroize::Zeroizing;

    fn check_with(settings: &[(&str, &str)], secrets: usize, expected: Result<(), &str>) {
        let hash = "a".repeat(64);
        let mut all: Settings = [
            (CORP_ID, "ww1"),
            (LIBRARY, "/opt/w.so"),
            (HELPER, "/opt/h"),
            (LIBRARY_SHA256, &hash),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        for (name, value) in settings {
            all.insert((*name).to_owned(), (*value).to_owned());
        }
        let mut given = Secrets::default();
        given
            .0
            .insert(SECRET.to_owned(), vec![Zeroizing::new(b"x".to_vec()); secrets]);
        let found = check(Account {
            secrets: &given,
            settings: &all,
        });
        match (found, expected) {
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => assert_eq!(found, expected, "{settings:?}"),
        }
    }

    #[test]
    fn a_connection_that_cannot_work_is_told_what_it_lacks() {
        check_with(&[], 1, Ok(()));
        check_with(&[(PROXY, "http://proxy:8080")], 1, Ok(()));
        check_with(&[(PROXY, "socks5://proxy:8080")], 1, Ok(()));
        check_with(&[(CORP_ID, "")], 1, Err("corp-id"));
        check_with(&[(LIBRARY, "")], 1, Err("setting library is missing"));
        check_with(&[(LIBRARY, "w.so")], 1, Err("whole path"));
        check_with(&[(HELPER, "h")], 1, Err("helper"));
        check_with(&[(LIBRARY_SHA256, "")], 1, Err("library-sha256"));
        check_with(&[(LIBRARY_SHA256, &"A".repeat(64))], 1, Err("library-sha256"));
        check_with(&[(LIBRARY_SHA256, &"g".repeat(64))], 1, Err("library-sha256"));
        check_with(&[(PROXY, "proxy:8080")], 1, Err("proxy"));
        check_with(&[(PROXY, "https://proxy:8080")], 1, Err("proxy"));
        check_with(&[], 2, Err("one secret"));
    }
}
