//! Handing an open socket to another process over a Unix socket (`SCM_RIGHTS`).
//!
//! *Shape.* One byte that says what the descriptor is, with the descriptor as its ancillary data. A read of one byte
//! never joins two such messages.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// What is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The Unix socket over which connections come.
    Door,
    /// A TCP connection.
    Tcp,
    /// A Unix socket to whose other end the vault relays decrypted bytes.
    Relay,
    /// A listening TCP socket.
    Listener,
}

impl What {
    const ALL: [What; 4] = [What::Door, What::Tcp, What::Relay, What::Listener];

    fn byte(self) -> u8 {
        match self {
            What::Door => b'd',
            What::Tcp => b't',
            What::Relay => b'r',
            What::Listener => b'l',
        }
    }
}

/// Hands over one descriptor.
pub(crate) fn send(over: impl AsFd, what: What, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    let byte = [what.byte()];
    sendmsg(over, &[IoSlice::new(&byte)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Takes one descriptor; nothing at the end of the stream.
pub(crate) fn receive(over: impl AsFd) -> io::Result<Option<(What, OwnedFd)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = recvmsg(
        over,
        &mut [IoSliceMut::new(&mut byte)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let what = What::ALL.into_iter().find(|what| [what.byte()] == byte);
    what.zip(descriptor)
        .map(Some)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}
