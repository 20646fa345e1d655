#![cfg(test)]
//! Time stamps against `openssl ts` as the authority.

#[path = "authority/mod.rs"]
mod authority;

use authority::{Authority, Keys, Options, STAMPS, openssl};
use seal::stamp::{Request, Root, StampError, stated, verify};
use seal::suite::sha256;

fn request(of: &str) -> Request {
    Request::new(sha256(of.as_bytes()), *b"a nonce!")
}

/// What an authority made with these options gives for a request of its own.
fn stamped(options: &Options) -> (Authority, Vec<Root>, Vec<u8>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(&folder.path().join("tsa"), options);
    let roots = Root::all(&authority.root()).unwrap();
    let answer = authority.answer(&request("checkpoint").encode());
    (authority, roots, answer, folder)
}

/// An answer with the content of another authority's, signed by this one, whatever its certificate is for.
fn resign(authority: &Authority, answer: &[u8]) -> Vec<u8> {
    let run = |arguments: &str| openssl(&authority.folder, &arguments.split(' ').collect::<Vec<_>>());
    std::fs::write(authority.folder.join("other.tsr"), answer).unwrap();
    run("ts -reply -config ts.cnf -in other.tsr -token_out -out other.tst");
    run("cms -verify -noverify -inform DER -in other.tst -out content");
    run(
        "cms -sign -binary -nodetach -cades -nosmimecap -outform DER -econtent_type 1.2.840.113549.1.9.16.1.4 -in content \
         -signer tsa.pem -inkey tsa.key -md sha256 -out own.tst",
    );
    let token = std::fs::read(authority.folder.join("own.tst")).unwrap();
    // TimeStampResp: granted, and the token.
    let mut body = vec![0x30, 3, 2, 1, 0];
    body.extend_from_slice(&token);
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[0x30, 0x82, length[0], length[1]], body.as_slice()].concat()
}

fn says(error: &StampError, words: &str) {
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn a_token_of_openssl_is_proved_whatever_its_keys_digest_and_chain() {
    for (keys, digest, names_by, between) in [
        (Keys::Rsa, "sha256", "sha256", false),
        (Keys::Rsa, "sha512", "sha1", true),
        (Keys::P256, "sha256", "sha256", true),
        (Keys::P384, "sha384", "sha384", false),
    ] {
        let options = Options {
            keys,
            digest,
            names_by,
            between,
            ..Options::default()
        };
        let (_, roots, answer, _folder) = stamped(&options);
        let (token, stamped) = request("checkpoint").accept(&answer, &roots).unwrap();
        assert_eq!(stamped.authority, "Stamps of tsa", "{keys:?} {digest}");
        assert_eq!(
            verify(&token, &sha256(b"checkpoint"), &roots),
            Ok(stamped.clone())
        );
        assert_eq!(stated(&token, &sha256(b"checkpoint")), Ok(stamped.clone()));
        // Accuracy is a second and a half; the time itself is in whole seconds.
        assert_eq!(stamped.at.as_micros() % 1_000_000, 500_000);
    }
}

#[test]
fn a_token_with_any_byte_altered_or_cut_off_is_refused() {
    for keys in [Keys::P256, Keys::Rsa] {
        let options = Options {
            keys,
            between: true,
            ..Options::default()
        };
        let (_, roots, answer, _folder) = stamped(&options);
        let (token, _) = request("checkpoint").accept(&answer, &roots).unwrap();
        let imprint = sha256(b"checkpoint");
        for at in 0..token.len() {
            for bit in [0, 3, 7] {
                let mut altered = token.clone();
                altered[at] ^= 1 << bit;
                assert!(verify(&altered, &imprint, &roots).is_err(), "byte {at} bit {bit}");
                drop(stated(&altered, &imprint));
            }
            assert!(verify(&token[..at], &imprint, &roots).is_err(), "cut at {at}");
        }
        let longer = [token.as_slice(), b"x"].concat();
        assert!(verify(&longer, &imprint, &roots).is_err());
    }
}

#[test]
fn a_token_of_something_else_or_to_another_request_is_refused() {
    let (_, roots, answer, _folder) = stamped(&Options::default());
    let (token, _) = request("checkpoint").accept(&answer, &roots).unwrap();
    says(&request("other").accept(&answer, &roots).unwrap_err(), "imprint");
    says(&verify(&token, &sha256(b"other"), &roots).unwrap_err(), "imprint");
    let again = Request::new(sha256(b"checkpoint"), *b"b nonce!");
    says(&again.accept(&answer, &roots).unwrap_err(), "nonce");
}

#[test]
fn a_token_under_another_root_or_an_expired_certificate_or_another_usage_is_refused() {
    let (_, roots, answer, _folder) = stamped(&Options::default());
    let check = |options: Options, words: &str| {
        let folder = tempfile::tempdir().unwrap();
        let other = Authority::new(folder.path(), &options);
        let roots = Root::all(&other.root()).unwrap();
        let error = request("checkpoint")
            .accept(&resign(&other, &answer), &roots)
            .unwrap_err();
        says(&error, words);
    };
    let (_, other_roots, _, _other_folder) = stamped(&Options::default());
    let error = request("checkpoint").accept(&answer, &other_roots).unwrap_err();
    says(&error, "does not lead to a root");
    check(
        Options {
            valid: ("20200101000000Z", "20210101000000Z"),
            ..Options::default()
        },
        "had expired",
    );
    check(
        Options {
            valid: ("20980101000000Z", "20990101000000Z"),
            ..Options::default()
        },
        "not valid yet",
    );
    for usage in [
        "extendedKeyUsage=critical,codeSigning",
        "extendedKeyUsage=timeStamping",
        "extendedKeyUsage=critical,timeStamping,codeSigning",
        "keyUsage=digitalSignature",
    ] {
        check(
            Options {
                usage,
                ..Options::default()
            },
            "not for time stamps alone",
        );
    }
    // The same way of signing again, with a certificate that is right, is accepted: the refusals above have their reasons.
    let folder = tempfile::tempdir().unwrap();
    let right = Authority::new(
        folder.path(),
        &Options {
            usage: STAMPS,
            ..Options::default()
        },
    );
    let right_roots = Root::all(&right.root()).unwrap();
    request("checkpoint")
        .accept(&resign(&right, &answer), &right_roots)
        .unwrap();
    assert!(request("checkpoint").accept(&answer, &roots).is_ok());
}

#[test]
fn what_an_authority_refuses_is_no_token_and_its_status_is_named() {
    let (authority, roots, _, _folder) = stamped(&Options::default());
    // An imprint by a hash that this authority does not take.
    let mut other = request("checkpoint").encode();
    let at = other
        .windows(9)
        .position(|part| part == [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1])
        .unwrap();
    other[at + 8] = 4;
    let answer = authority.answer(&other);
    assert_eq!(
        request("checkpoint").accept(&answer, &roots),
        Err(StampError::Refused(2))
    );
    for garbage in [&b""[..], b"<html>", &[0x30, 0], &[0x30, 0x80, 0, 0], &[0xff; 64]] {
        assert!(request("checkpoint").accept(garbage, &roots).is_err());
    }
}

#[test]
fn what_is_no_certificate_is_no_root() {
    let (authority, _, _, _folder) = stamped(&Options::default());
    let root = authority.root();
    for wrong in [
        "",
        "hello",
        &root.replace("CERTIFICATE", "RSA PUBLIC KEY"),
        &root[..root.len() / 2],
    ] {
        assert!(Root::all(wrong).is_err());
    }
    assert_eq!(Root::all(&format!("{root}{root}")).unwrap().len(), 2);
}
