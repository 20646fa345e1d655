//! The process: frames in and out, and an end to it when it does not answer.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use serde::Serialize;
use zeroize::Zeroizing;

/// Longer frames are an error: the largest is an answer of a thousand items.
const FRAME_BYTES_MAX: u32 = 96 << 20;

type Frame = Zeroizing<Vec<u8>>;

/// A running helper. Dropped, it is ended.
pub struct Child {
    process: Process,
    requests: SyncSender<Frame>,
    replies: Receiver<Frame>,
}

impl Child {
    /// Starts it, with no environment and nothing but the two pipes.
    pub fn start(program: &Path, library: &Path) -> Result<Child, &'static str> {
        let started = Command::new(program)
            .arg(library)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A library that prints may print what nobody is to read in a log.
            .stderr(Stdio::null())
            .spawn();
        let mut process =
            started.map_err(|_| "wecom-helper cannot be started; it belongs beside chancery")?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("wecom-helper has no pipes");
        };
        let (requests, to_send) = sync_channel::<Frame>(1);
        let (received, replies) = sync_channel::<Frame>(1);
        let child = Child {
            process,
            requests,
            replies,
        };
        // It waits on the pipes, so that nobody else has to, and ends with them.
        std::thread::Builder::new()
            .name("wecom-helper".to_owned())
            .spawn(move || exchange(input, output, &to_send, &received))
            .map_err(|_| "no thread for wecom-helper")?;
        Ok(child)
    }

    /// Asks and waits. After an error it is not to be asked again: its answer may still be under way.
    pub fn ask(&mut self, request: &impl Serialize, timeout: Duration) -> Result<Frame, &'static str> {
        const ENDED: &str = "wecom-helper ended: the WeCom library broke";
        let frame = Zeroizing::new(serde_json::to_vec(request).map_err(|_| "a request cannot be written")?);
        self.requests.send(frame).map_err(|_| ENDED)?;
        self.replies.recv_timeout(timeout).map_err(|error| match error {
            std::sync::mpsc::RecvTimeoutError::Timeout => "the WeCom library did not answer in time",
            std::sync::mpsc::RecvTimeoutError::Disconnected => ENDED,
        })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Ended already, or about to be; either way it is waited for, so that nothing of it stays.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes each request and reads its reply, until either side is gone.
fn exchange(
    mut input: ChildStdin,
    mut output: ChildStdout,
    requests: &Receiver<Frame>,
    replies: &SyncSender<Frame>,
) {
    while let Ok(request) = requests.recv() {
        let reply = write(&mut input, &request).and_then(|()| read(&mut output));
        let Ok(reply) = reply else { return };
        if replies.send(reply).is_err() {
            return;
        }
    }
}

fn write(input: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    input.write_all(&length.to_be_bytes())?;
    input.write_all(frame)?;
    input.flush()
}

fn read(output: &mut impl Read) -> io::Result<Frame> {
    let mut length = [0; 4];
    output.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > FRAME_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // As it comes: a length alone takes no memory.
    let mut frame = Zeroizing::new(Vec::new());
    if output.take(length.into()).read_to_end(&mut frame)? < usize::try_from(length).unwrap_or(usize::MAX) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(frame)
}
