//! Which crate may name which, and what may come from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::{files, none, root, spdx};

/// Each crate of the workspace and what of the workspace it may name. Tests are held to the same.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("seal", &["model"]),
    ("connect", &["model"]),
    ("govern", &["model"]),
    ("reconcile", &["model"]),
    ("store", &["seal", "model"]),
    ("server", &["store", "seal", "connect", "govern", "model"]),
    (
        "chancery",
        &[
            "server",
            "store",
            "seal",
            "connect",
            "govern",
            "reconcile",
            "model",
        ],
    ),
    ("chancery-verify", &["seal", "model"]),
    ("wecom-helper", &[]),
];

/// Crates with a table of lints of their own: all of the workspace's but the one named here.
const OWN_LINTS: &[(&str, &str, &str)] = &[(
    "crates/wecom-helper/Cargo.toml",
    "unsafe_code",
    "the one crate that calls into C; `forbid` cannot be excepted for one file",
)];

/// Crates from outside that belong in some rooms only.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    ("rusqlite", &["store"], "SQL lives in one place"),
    ("axum", &["server"], "HTTP lives in one place"),
    ("hyper", &["server"], "HTTP lives in one place"),
    ("hyper-util", &["server"], "HTTP lives in one place"),
    ("reqwest", &["server"], "HTTP lives in one place"),
    ("rustls", &["server"], "HTTP lives in one place"),
    ("tokio-rustls", &["server"], "HTTP lives in one place"),
    ("lettre", &["server"], "mail goes out where HTTP does"),
    ("qrcodegen", &["server"], "a picture belongs to the page"),
    ("der", &["seal"], "certificates and tokens are read in one place"),
    (
        "rustls-webpki",
        &["seal"],
        "chains of certificates are checked in one place",
    ),
    (
        "tokio",
        &["store", "server", "chancery"],
        "the others never await",
    ),
    (
        "aws-lc-rs",
        &["seal", "connect", "server"],
        "keys are used in few places",
    ),
    (
        "argon2",
        &["seal", "server"],
        "passphrases and passwords are hashed in few places",
    ),
    (
        "libloading",
        &["wecom-helper"],
        "foreign code is loaded in a process of its own",
    ),
    ("md-5", &["connect"], "only for what a vendor declares so"),
    ("landlock", &["server"], "a process confines itself in one place"),
    (
        "seccompiler",
        &["server"],
        "a process confines itself in one place",
    ),
    (
        "csv",
        &["server"],
        "lists that people hand in are read in one place",
    ),
    ("nix", &["chancery"], "users by name are configuration"),
    ("rand", &[], "randomness comes from the cryptographic provider"),
    (
        "clap",
        &["chancery", "chancery-verify"],
        "a command line belongs to a binary",
    ),
    (
        "clap_complete",
        &["chancery"],
        "a command line belongs to a binary",
    ),
    ("indicatif", &["chancery"], "a terminal belongs to a binary"),
    (
        "tracing-subscriber",
        &["chancery"],
        "where log lines go is configuration",
    ),
];

/// Not to be compiled in, in any version, by whatever route.
const BANNED: &[(&str, &str)] = &[
    ("openssl", "one cryptographic provider: aws-lc-rs"),
    ("openssl-sys", "one cryptographic provider: aws-lc-rs"),
    ("native-tls", "one cryptographic provider: aws-lc-rs"),
    (
        "ring",
        "one cryptographic provider: aws-lc-rs; pick the other feature of whatever brings it",
    ),
    ("rsa", "its timing leaks private keys (RUSTSEC-2023-0071)"),
    ("sodiumoxide", "no longer kept"),
    ("rust-crypto", "no longer kept"),
    ("serde_yaml", "no longer kept"),
    (
        "chrono",
        "jiff is our calendar; two would disagree about a time zone one day",
    ),
    (
        "time",
        "jiff is our calendar; two would disagree about a time zone one day",
    ),
    ("async-std", "one runtime: tokio"),
    (
        "webpki-roots",
        "who is trusted for an outgoing connection is the machine's business, kept current there",
    ),
];

/// Names that mean cryptography. Only those of [`CRYPTO`] may be compiled in.
const SMELLS_OF_CRYPTO: &[&str] = &[
    "aes",
    "aes-gcm",
    "aes-gcm-siv",
    "argon2",
    "aws-lc-rs",
    "aws-lc-sys",
    "bcrypt",
    "blake2",
    "blake2b_simd",
    "blake3",
    "boring",
    "boring-sys",
    "cbc",
    "chacha20",
    "chacha20poly1305",
    "cipher",
    "cmac",
    "constant_time_eq",
    "cryptoki",
    "ctr",
    "curve25519-dalek",
    "digest",
    "ecdsa",
    "ed25519",
    "ed25519-dalek",
    "elliptic-curve",
    "ghash",
    "gost94",
    "hkdf",
    "hmac",
    "k256",
    "keccak",
    "md-5",
    "md5",
    "mbedtls",
    "ml-dsa",
    "ml-kem",
    "p256",
    "p384",
    "password-hash",
    "pbkdf2",
    "poly1305",
    "polyval",
    "ring",
    "rustls",
    "rustls-webpki",
    "scrypt",
    "sha1",
    "sha1_smol",
    "sha2",
    "sha2-asm",
    "sha3",
    "signature",
    "sm2",
    "sm3",
    "sm4",
    "snow",
    "x25519-dalek",
];

/// Cryptography that is compiled in, and why.
const CRYPTO: &[(&str, &str)] = &[
    ("aws-lc-rs", "the provider"),
    ("aws-lc-sys", "the provider's C and assembly"),
    ("argon2", "passphrases: the provider has no memory-hard function"),
    ("blake2", "part of argon2"),
    ("password-hash", "part of argon2"),
    ("digest", "an interface: argon2; and ct-merkle in tests"),
    ("chacha20", "proptest's source of random test data: tests only"),
    (
        "constant_time_eq",
        "zip's comparison for a kind of encryption that is not compiled in",
    ),
    ("sha2", "ct-merkle, the second opinion on proofs: tests only"),
    (
        "md-5",
        "compares files with the MD5 that WeCom declares, and nothing better; no secret hangs on it",
    ),
    ("rustls", "TLS, with the provider above doing the cryptography"),
    (
        "rustls-webpki",
        "part of rustls; and the chains of time-stamping authorities, with the provider above",
    ),
];

/// Crates that are there in two versions, and why that is borne.
const DOUBLED: &[(&str, &str)] = &[(
    "syn",
    "derive macros are moving from 2 to 3; compiles only, ships nothing",
)];

/// Licences outside the common list, crate by crate.
const OTHER_LICENCE: &[(&str, &str, &str)] = &[];

struct Package {
    name: String,
    version: String,
    licence: String,
}

fn cargo(arguments: &[&str]) -> String {
    let run = |offline: &[&str]| {
        Command::new(env!("CARGO"))
            .current_dir(root())
            .args(arguments)
            .args(offline)
            .output()
            .expect("cargo starts")
    };
    // Without the network where that is enough: everything has just been compiled.
    let mut output = run(&["--offline"]);
    if !output.status.success() {
        output = run(&[]);
    }
    assert!(
        output.status.success(),
        "cargo {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

fn workspace() -> Vec<Value> {
    let text = cargo(&["metadata", "--format-version", "1", "--locked", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&text).expect("cargo writes JSON");
    metadata["packages"]
        .as_array()
        .expect("packages are a list")
        .clone()
}

/// What is really compiled here, with all features. (The lock file also names what no feature asks for.)
fn compiled() -> Vec<Package> {
    let text = cargo(&[
        "tree",
        "--workspace",
        "--locked",
        "--all-features",
        "--edges",
        "normal,build,dev",
        "--prefix",
        "none",
        "--format",
        "{p}|{l}",
    ]);
    let mut packages = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (package, licence) = line
            .trim_end_matches(" (*)")
            .split_once('|')
            .expect("the format above");
        let mut words = package.split(' ');
        let name = words.next().unwrap_or_default().to_owned();
        let version = words
            .next()
            .unwrap_or_default()
            .trim_start_matches('v')
            .to_owned();
        packages.insert((name, version), licence.to_owned());
    }
    packages
        .into_iter()
        .map(|((name, version), licence)| Package {
            name,
            version,
            licence,
        })
        .collect()
}

fn names_of(package: &Value) -> impl Iterator<Item = (&str, bool)> {
    let list = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
    list.iter()
        .filter_map(|d| Some((d["name"].as_str()?, d["kind"].as_str() == Some("dev"))))
}

#[test]
fn crates_name_only_the_crates_below_them() {
    let packages = workspace();
    let ours: BTreeSet<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut complaints = Vec::new();
    for package in &packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = MAY_NAME.iter().find(|(of, _)| *of == name) else {
            complaints.push(format!("{name} has no row in MAY_NAME"));
            continue;
        };
        for (other, _) in names_of(package).filter(|(other, _)| ours.contains(other)) {
            if !allowed.contains(&other) {
                complaints.push(format!("{name} names {other}"));
            }
        }
    }
    none(
        &complaints,
        "move the code to the crate that may, or pass what it needs as an argument. A new crate gets a row in \
         MAY_NAME and a line in docs/ARCHITECTURE.md.",
    );
}

#[test]
fn crates_from_outside_stay_in_their_rooms() {
    let mut complaints = Vec::new();
    for package in &workspace() {
        let name = package["name"].as_str().unwrap_or_default();
        for (other, _) in names_of(package).filter(|(_, dev)| !dev) {
            for (outside, rooms, why) in ONLY_IN.iter().filter(|(outside, ..)| *outside == other) {
                if !rooms.contains(&name) {
                    complaints.push(format!("{name} depends on {outside}: {why}"));
                }
            }
        }
    }
    none(
        &complaints,
        "put the code into a room that may, or make the case for another row in ONLY_IN.",
    );
}

#[test]
fn no_banned_crate_is_compiled_in() {
    let mut complaints = Vec::new();
    for package in compiled() {
        if let Some((name, why)) = BANNED.iter().find(|(name, _)| *name == package.name) {
            complaints.push(format!("{name} {}: {why}", package.version));
        }
    }
    none(
        &complaints,
        "`cargo tree -i NAME` says who brings it; turn off the feature or leave that crate out.",
    );
}

#[test]
fn every_cryptographic_crate_has_a_reason_to_be_there() {
    let mut complaints = Vec::new();
    for package in compiled() {
        let known = CRYPTO.iter().any(|(name, _)| *name == package.name);
        if !known && SMELLS_OF_CRYPTO.contains(&package.name.as_str()) {
            complaints.push(format!("{} {}", package.name, package.version));
        }
    }
    none(
        &complaints,
        "use aws-lc-rs; if another crate brings it along and must, add a row with the reason to CRYPTO.",
    );
}

#[test]
fn no_crate_is_there_in_two_versions_without_a_reason() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in compiled() {
        versions.entry(package.name).or_default().push(package.version);
    }
    let mut complaints = Vec::new();
    for (name, versions) in versions {
        if versions.len() > 1 && !DOUBLED.iter().any(|(doubled, _)| *doubled == name) {
            complaints.push(format!("{name}: {}", versions.join(" and ")));
        }
    }
    none(
        &complaints,
        "`cargo tree -i NAME@VERSION` says who wants which; raise or lower one of them, or add a row to DOUBLED.",
    );
}

#[test]
fn every_licence_is_one_we_may_ship_under() {
    let mut complaints = Vec::new();
    for Package {
        name,
        version,
        licence,
    } in compiled()
    {
        let excepted = OTHER_LICENCE
            .iter()
            .any(|(of, text, _)| *of == name && *text == licence);
        if !excepted && !spdx::acceptable(&licence) {
            complaints.push(format!("{name} {version}: {licence:?}"));
        }
    }
    none(
        &complaints,
        "use another crate, or add a row with the reason to OTHER_LICENCE.",
    );
}

#[test]
fn versions_stand_in_one_place_and_lints_apply_everywhere() {
    let mut complaints = Vec::new();
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("the root's manifest");
    let (_, lints) = manifest.split_once("[workspace.lints.rust]").expect("lints");
    let (lints, _) = lints
        .split_once("[profile")
        .expect("profiles come after the lints");
    for file in files() {
        let manifest = file.path.starts_with("crates/") && file.path.ends_with("/Cargo.toml");
        if !manifest {
            continue;
        }
        let own = OWN_LINTS.iter().find(|(path, ..)| *path == file.path);
        if let Some((_, but, _)) = own {
            let lines = lints
                .lines()
                .filter(|line| line.contains('=') && !line.starts_with(but));
            let missing = lines.filter(|line| !file.text.contains(line));
            complaints.extend(missing.map(|line| format!("{}: lint `{line}` is missing", file.path)));
        } else if !file.text.contains("[lints]\nworkspace = true") {
            complaints.push(format!("{}: no `[lints] workspace = true`", file.path));
        }
        let mut section = "";
        for line in file.text.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
            } else if section.contains("dependencies")
                && line.contains('=')
                && !line.contains("workspace = true")
            {
                complaints.push(format!("{}: {line}", file.path));
            }
        }
    }
    none(
        &complaints,
        "name the version in the root Cargo.toml, and write `NAME.workspace = true` in the crate.",
    );
}

#[test]
fn the_tables_of_this_file_have_no_row_twice() {
    let mut seen = BTreeSet::new();
    let rows = [BANNED, CRYPTO, DOUBLED].into_iter().enumerate();
    let rows = rows.flat_map(|(table, rows)| rows.iter().map(move |(name, _)| (table, *name)));
    let twice: Vec<String> = rows
        .filter(|row| !seen.insert(*row))
        .map(|(_, name)| name.to_owned())
        .collect();
    none(&twice, "take one of the two out.");
}
