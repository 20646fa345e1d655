//! Files of the WeCom archive, piece by piece, against the fake driver.
#![cfg(test)]

use connect::wecom_archive::driver::{Driver, DriverError, Slice};
use connect::wecom_archive::fake::FakeDriver;
use connect::wecom_archive::media::{Media, MediaStep};
use model::record::AttachmentState;
use zeroize::Zeroizing;

const NETWORK: DriverError = DriverError::Code(10001);
const ADDRESS: DriverError = DriverError::Code(10009);

const MD5_OF_HELLO: &str = "5d41402abc4b2a76b9719d911017c592";

/// Fetches a file from the fake; the steps after each answer.
fn fetch(driver: &mut FakeDriver, media: &mut Media, id: &str) -> MediaStep {
    let mut step = media.ask();
    for _ in 0..50 {
        let MediaStep::Ask { index } = &step else {
            return step;
        };
        step = match driver.media(id, index) {
            Ok(slice) => media.slice(&slice),
            Err(error) => media.failed(error),
        };
    }
    panic!("a file ends or is given up");
}

fn hello() -> FakeDriver {
    let mut driver = FakeDriver::default();
    driver.add_file("f", b"hello".to_vec());
    driver.slice_bytes = Some(2);
    driver
}

#[test]
fn a_file_comes_in_pieces() {
    let mut media = Media::new(Some(MD5_OF_HELLO.to_owned()), 5);
    let step = fetch(&mut hello(), &mut media, "f");
    assert_eq!(
        step,
        MediaStep::Keep {
            state: AttachmentState::Fetched
        }
    );
    assert_eq!(media.bytes(), b"hello");
    let mut undeclared = Media::new(None, 5);
    assert_eq!(
        fetch(&mut hello(), &mut undeclared, "f"),
        MediaStep::Keep {
            state: AttachmentState::Fetched
        }
    );
}

#[test]
fn an_empty_file_is_a_file() {
    let mut driver = FakeDriver::default();
    driver.add_file("f", Vec::new());
    let mut media = Media::new(None, 5);
    assert_eq!(
        fetch(&mut driver, &mut media, "f"),
        MediaStep::Keep {
            state: AttachmentState::Fetched
        }
    );
}

#[test]
fn a_file_goes_on_where_it_was_interrupted() {
    let mut driver = hello();
    let mut media = Media::new(Some(MD5_OF_HELLO.to_owned()), 5);
    let first = driver.media("f", "").expect("a piece");
    let MediaStep::Ask { index } = media.slice(&first) else {
        panic!("there is more");
    };
    assert_eq!(index, "Range:bytes=2-3");
    driver.fail_next([NETWORK, NETWORK, DriverError::Failed("the helper ended")]);
    assert_eq!(
        fetch(&mut driver, &mut media, "f"),
        MediaStep::Keep {
            state: AttachmentState::Fetched
        }
    );
    assert_eq!(media.bytes(), b"hello");
    let mut media = Media::new(None, 5);
    media.slice(&first);
    driver.fail_next([ADDRESS]);
    assert_eq!(
        fetch(&mut driver, &mut media, "f"),
        MediaStep::Later,
        "until somebody repaired it"
    );
    assert_eq!(
        fetch(&mut driver, &mut media, "f"),
        MediaStep::Keep {
            state: AttachmentState::Fetched
        }
    );
    assert_eq!(media.bytes(), b"hello");
}

#[test]
fn a_file_that_differs_is_fetched_once_more_and_then_kept_as_it_is() {
    let wrong = "00000000000000000000000000000000".to_owned();
    let mut media = Media::new(Some(wrong), 5);
    let mut driver = hello();
    assert_eq!(
        fetch(&mut driver, &mut media, "f"),
        MediaStep::Keep {
            state: AttachmentState::Mismatch
        }
    );
    assert_eq!(media.bytes(), b"hello");
    // Once broken on the way, then right.
    let mut media = Media::new(Some(MD5_OF_HELLO.to_owned()), 5);
    let broken = Slice {
        bytes: Zeroizing::new(b"hullo".to_vec()),
        next_index: String::new(),
        finished: true,
    };
    assert_eq!(media.slice(&broken), MediaStep::Ask { index: String::new() });
    assert_eq!(
        fetch(&mut driver, &mut media, "f"),
        MediaStep::Keep {
            state: AttachmentState::Fetched
        }
    );
    assert_eq!(media.bytes(), b"hello");
}

#[test]
fn pieces_that_lead_nowhere_end() {
    for (next_index, bytes) in [("", "x"), ("Range:bytes=0-1", ""), ("same", "x")] {
        let mut media = Media::new(None, 1000);
        let slice = Slice {
            bytes: Zeroizing::new(bytes.as_bytes().to_vec()),
            next_index: next_index.to_owned(),
            finished: false,
        };
        let last = (0..20)
            .map(|_| media.slice(&slice))
            .find(|step| *step == MediaStep::Later);
        assert_eq!(last, Some(MediaStep::Later), "{next_index}");
    }
}

#[test]
fn a_file_that_is_gone_refused_or_too_large_is_given_up() {
    let mut media = Media::new(None, 5);
    let expired = MediaStep::GiveUp {
        state: AttachmentState::Expired,
    };
    assert_eq!(media.failed(DriverError::Code(10010)), expired);
    let refused = MediaStep::GiveUp {
        state: AttachmentState::Refused,
    };
    assert_eq!(fetch(&mut hello(), &mut media, "unknown"), refused);
    assert_eq!(fetch(&mut hello(), &mut Media::new(None, 4), "f"), refused);
    let mut driver = hello();
    driver.fail_next([NETWORK; 5]);
    assert_eq!(
        fetch(&mut driver, &mut Media::new(None, 5), "f"),
        MediaStep::Later
    );
}
