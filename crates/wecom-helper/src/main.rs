//! Loads the customer's WeCom library (`libWeWorkFinanceSdk_C.so`) and does what it is asked over a pipe.
//!
//! For: keeping a closed library, its memory, its crashes and whatever it hangs on out of the server.
//!
//! Never: a file, a log, the network other than through the library; anything but frames on the standard output.
//!
//! To add an operation: a request in [`frames`], its arm in `answer`, its call in [`library`], and the other end in
//! `server::wecom`.
//!
//! The library's path is the only argument; secrets come over the pipe. Both ways a frame is four bytes of length, most
//! significant first, and that much JSON: see [`frames`]. The first request is `init`. It ends when the pipe does.

mod frames;
mod library;

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use frames::{Reply, Request};
use library::{Account, Failure, Library};

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> io::Result<()> {
    let mut out = take_stdout()?;
    // What is in this process's memory is not to lie on a disk.
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(rustix::process::Resource::Core, none)?;
    let mut input = io::stdin().lock();
    let mut library = None;
    while let Some(request) = frames::read(&mut input)? {
        let reply = answer(&mut library, request).unwrap_or_else(Reply::from);
        frames::write(&mut out, &reply)?;
    }
    // Anything left over is half a frame.
    let mut rest = [0; 1];
    if input.read(&mut rest)? == 0 {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// The library prints what it likes to the standard output: it gets another, and the frames keep the pipe.
fn take_stdout() -> io::Result<File> {
    let pipe = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    let nowhere = OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nowhere)?;
    Ok(File::from(pipe))
}

fn answer(library: &mut Option<Library>, request: Request) -> Result<Reply, Failure> {
    match request {
        Request::Init {
            corp_id,
            secret,
            proxy,
            proxy_password,
            timeout_seconds,
        } => {
            let account = Account {
                proxy: text(proxy)?,
                proxy_password: text(proxy_password)?,
                timeout_seconds,
            };
            let path = std::env::args_os()
                .nth(1)
                .ok_or(Failure::Text("no library was named"))?;
            // The one before is taken down first: two in one process share whatever they keep in globals.
            *library = None;
            *library = Some(Library::open(&path, &text(corp_id)?, &text(secret)?, account)?);
            Ok(Reply::default())
        }
        Request::Fetch { seq, limit } => {
            let bytes = opened(library)?.fetch(seq, limit)?;
            Ok(Reply::of(&bytes))
        }
        Request::Decrypt { random_key, message } => {
            let key = STANDARD
                .decode(random_key)
                .map_err(|_| Failure::Text("the random key is not Base64"))?;
            let key = CString::new(key).map_err(|_| Failure::Code(BAD_RANDOM_KEY))?;
            let bytes = opened(library)?.decrypt(&key, &text(message)?)?;
            Ok(Reply::of(&bytes))
        }
        Request::Media { file_id, index } => {
            let piece = opened(library)?.media(&text(file_id)?, &text(index)?)?;
            Ok(Reply {
                index: Some(piece.next_index),
                finished: Some(piece.finished),
                ..Reply::of(&piece.bytes)
            })
        }
    }
}

/// The library's own codes for what C cannot even be asked.
const BAD_PARAMETERS: i64 = 10000;
const BAD_RANDOM_KEY: i64 = 10008;

fn opened(library: &mut Option<Library>) -> Result<&mut Library, Failure> {
    library
        .as_mut()
        .ok_or(Failure::Text("the library was not opened"))
}

/// A text for C, which ends at the first zero byte.
fn text(text: String) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| Failure::Code(BAD_PARAMETERS))
}
