//! The customer's WeCom library behind the helper process, played by a stub compiled from `wecom-helper/tests/stub.c`.
#![cfg(test)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use connect::wecom_archive::driver::{Driver, DriverError, Retry};
use connect::wecom_archive::media::{Media, MediaStep};
use model::record::AttachmentState;
use server::wecom::{LibraryDriver, LibraryOptions, sha256};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// The library, compiled once.
static STUB: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let library = folder.path().join("libstub.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wecom-helper/tests/stub.c");
    compile(&source, &library);
    (folder, library)
});

fn compile(source: &Path, library: &Path) {
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-Wall", "-O1", "-o"])
        .arg(library)
        .arg(source);
    assert!(
        compiler.status().expect("a C compiler is there").success(),
        "{} compiles",
        source.display()
    );
}

/// The helper, built beside the tests.
static HELPER: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = std::env::current_exe().expect("a test knows itself");
    let folder = test
        .parent()
        .and_then(Path::parent)
        .expect("deps lies in the target folder");
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "build",
        "--quiet",
        "--locked",
        "-p",
        "wecom-helper",
    ]);
    if folder.ends_with("release") {
        build.arg("--release");
    }
    build
        .arg("--target-dir")
        .arg(folder.parent().expect("a target folder"));
    assert!(
        build.status().expect("cargo starts").success(),
        "the helper builds"
    );
    folder.join("wecom-helper")
});

fn options() -> LibraryOptions {
    LibraryOptions {
        program: HELPER.clone(),
        library: STUB.1.clone(),
        library_sha256: sha256(&STUB.1).expect("the stub can be read"),
        corp_id: "ww1".to_owned(),
        secret: Zeroizing::new("right".to_owned()),
        proxy: "http://proxy:8080".to_owned(),
        proxy_password: Zeroizing::new(String::new()),
        call_timeout: Duration::from_secs(7),
        answer_timeout: Duration::from_secs(60),
    }
}

fn driver() -> LibraryDriver {
    LibraryDriver::new(options())
}

/// Asks for what makes the stub misbehave, then for something ordinary: the driver is as good as new.
fn check_fetch(seq: u64, expected: DriverError) {
    let mut driver = driver();
    assert_eq!(driver.fetch(seq, 10), Err(expected), "seq {seq}");
    assert_eq!(expected.retry(), Retry::Later, "it may be asked again");
    assert!(driver.fetch(99, 10).is_ok(), "after seq {seq}");
}

const ENDED: DriverError = DriverError::Failed("wecom-helper ended: the WeCom library broke");
const UNUSABLE: DriverError =
    DriverError::Failed("the WeCom library could not be used: wrong file, or it lacks something");

#[test]
fn the_library_is_asked_and_what_it_prints_disturbs_nobody() {
    let mut driver = driver();
    for _ in 0..3 {
        let answer = driver.fetch(u64::MAX, 1000).expect("an answer");
        let expected =
            r#"{"errcode":0,"chatdata":[],"asked":"18446744073709551615 1000 http://proxy:8080 7"}"#;
        assert_eq!(String::from_utf8(answer).expect("text"), expected);
    }
    assert_eq!(
        driver.decrypt(b"right", "msg").expect("opened").as_slice(),
        b"msg opened"
    );
}

#[test]
fn the_librarys_codes_come_through() {
    let mut driver = driver();
    assert_eq!(driver.fetch(3, 10), Err(DriverError::Code(10001)));
    assert_eq!(driver.fetch(0, 1001), Err(DriverError::Code(10000)));
    assert_eq!(
        driver.decrypt(b"wrong", "msg").err(),
        Some(DriverError::Code(10008))
    );
    assert_eq!(
        driver.decrypt(b"ri\0ght", "msg").err(),
        Some(DriverError::Code(10008)),
        "C would see `ri`"
    );
    assert_eq!(
        driver.decrypt(b"right", "m\0sg").err(),
        Some(DriverError::Code(10000))
    );
    assert_eq!(driver.media("gone", ""), Err(DriverError::Code(10010)));
    assert_eq!(driver.media("f", "elsewhere"), Err(DriverError::Code(10000)));
}

#[test]
fn a_wrong_secret_is_told_each_time() {
    let mut driver = LibraryDriver::new(LibraryOptions {
        secret: Zeroizing::new("wrong".to_owned()),
        ..options()
    });
    for _ in 0..2 {
        assert_eq!(driver.fetch(0, 10), Err(DriverError::Code(10004)));
    }
}

#[test]
fn a_library_that_crashes_is_started_again() {
    check_fetch(1, ENDED);
    let mut driver = driver();
    assert_eq!(driver.decrypt(b"right", "crash").err(), Some(ENDED));
    assert!(driver.decrypt(b"right", "msg").is_ok());
}

#[test]
fn a_library_that_ends_the_process_is_started_again() {
    check_fetch(7, ENDED);
}

#[test]
fn a_library_that_crashes_when_it_is_loaded_is_told_each_time() {
    let mut driver = LibraryDriver::new(LibraryOptions {
        corp_id: "crash".to_owned(),
        ..options()
    });
    for _ in 0..2 {
        assert_eq!(driver.fetch(0, 10), Err(ENDED));
    }
}

#[test]
fn a_library_that_hangs_is_ended() {
    let mut driver = LibraryDriver::new(LibraryOptions {
        answer_timeout: Duration::from_millis(1500),
        ..options()
    });
    assert!(driver.fetch(99, 10).is_ok());
    let before = Instant::now();
    let hung = DriverError::Failed("the WeCom library did not answer in time");
    assert_eq!(driver.fetch(2, 10), Err(hung));
    assert!(
        before.elapsed() < Duration::from_secs(30),
        "it does not wait for what never comes"
    );
    assert!(driver.fetch(99, 10).is_ok(), "and another is started");
}

#[test]
fn lengths_that_lie_are_not_followed() {
    for seq in [4, 5, 8] {
        check_fetch(seq, UNUSABLE);
    }
}

#[test]
fn rubbish_from_the_vendor_comes_through_as_it_is() {
    assert_eq!(driver().fetch(6, 10).expect("bytes"), b"<html>");
}

/// Fetches a file to its end.
fn fetch(driver: &mut LibraryDriver, media: &mut Media, id: &str) -> (MediaStep, u32) {
    let (mut step, mut failures) = (media.ask(), 0);
    for _ in 0..50 {
        let MediaStep::Ask { index } = &step else {
            return (step, failures);
        };
        step = match driver.media(id, index) {
            Ok(slice) => media.slice(&slice),
            Err(error) => {
                failures += 1;
                media.failed(error)
            }
        };
    }
    panic!("a file ends or is given up");
}

#[test]
fn a_file_goes_on_behind_a_crash_in_its_middle() {
    let kept = MediaStep::Keep {
        state: AttachmentState::Fetched,
    };
    let md5 = || Some("5d41402abc4b2a76b9719d911017c592".to_owned());
    let mut media = Media::new(md5(), 100);
    assert_eq!(fetch(&mut driver(), &mut media, "f"), (kept.clone(), 0));
    assert_eq!(media.bytes(), b"hello");
    let folder = tempfile::tempdir().expect("a folder");
    let mark = folder.path().join("crashed");
    let mut media = Media::new(md5(), 100);
    assert_eq!(
        fetch(&mut driver(), &mut media, mark.to_str().expect("a path")),
        (kept, 1)
    );
    assert_eq!(media.bytes(), b"hello");
}

#[test]
fn only_the_library_that_was_approved_is_loaded() {
    let refused = |library: PathBuf, hash: &str| {
        let mut driver = LibraryDriver::new(LibraryOptions {
            library,
            library_sha256: hash.to_owned(),
            ..options()
        });
        driver.fetch(0, 10).expect_err("not loaded")
    };
    let approved = options().library_sha256;
    let another = DriverError::Failed("the WeCom library is not the one that was approved");
    assert_eq!(refused(STUB.1.clone(), ""), another);
    assert_eq!(
        refused(STUB.1.clone(), &approved.replace(&approved[..1], "x")),
        another
    );
    let missing = DriverError::Failed("the WeCom library cannot be read");
    assert_eq!(refused(PathBuf::from("/nowhere/lib.so"), &approved), missing);
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("lib.so");
    fs::write(&text, "not a library").expect("a file");
    assert_eq!(refused(text.clone(), &sha256(&text).expect("a hash")), UNUSABLE);
    let (source, other) = (folder.path().join("other.c"), folder.path().join("other.so"));
    fs::write(&source, "void *NewSdk(void) { return 0; }").expect("a file");
    compile(&source, &other);
    assert_eq!(refused(other.clone(), &sha256(&other).expect("a hash")), UNUSABLE);
}

/// A helper that is a shell script.
fn check_script(script: &str, expected: DriverError) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("helper");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("a script");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode");
    let mut driver = LibraryDriver::new(LibraryOptions { program, ..options() });
    assert_eq!(driver.fetch(0, 10), Err(expected), "{script}");
}

#[test]
fn nonsense_from_the_helper_is_an_error_and_no_more() {
    let unreadable = DriverError::Failed("the helper's answer is not readable");
    check_script("exit 0", ENDED);
    check_script("printf 'hello'", ENDED);
    check_script("printf '\\377\\377\\377\\377rubbish'", ENDED);
    check_script("printf '\\000\\000\\000\\010{}'", ENDED);
    check_script("printf '\\000\\000\\000\\003{]}'; read x", unreadable);
    check_script(
        "printf '\\000\\000\\000\\014{\"code\":\"x\"}'; read x",
        unreadable,
    );
    check_script(
        "printf '\\000\\000\\000\\014{\"bytes\":\"?\"'; printf '}'; read x",
        unreadable,
    );
    check_script("printf '\\000\\000\\000\\013{\"bytes\":5}'; read x", unreadable);
    let mut driver = LibraryDriver::new(LibraryOptions {
        program: PathBuf::from("/nowhere/wecom-helper"),
        ..options()
    });
    let missing = DriverError::Failed("wecom-helper cannot be started; it belongs beside chancery");
    assert_eq!(driver.fetch(0, 10), Err(missing));
}
