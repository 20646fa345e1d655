"""The zip of a bundle. Its structures are made anew from names, sizes, CRCs and offsets, and compared byte by byte."""

import os
import struct
import zlib
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, Iterator

from .outcome import DoesNotHold, NotABundle, require

MEMBERS = (
    "README.txt",
    "zone.pub",
    "succession",
    "checkpoint",
    "consistency",
    "anchors.jsonl",
    "evidence",
    "messages.jsonl",
    "gaps.jsonl",
    "manifest",
)
WIDE = frozenset({"evidence", "messages.jsonl"})

# The fixed text of README.txt, known by its length, CRC-32 and SHA-256.
README_BYTES = 3917
README_CRC = 0xB79F75A7
README_SHA256 = bytes.fromhex("0e72237bc84088e2803afb44486975e4f5013a22575f3e3f1107803a49d9717d")

# A file like this in all but eight bytes is a damaged bundle; with fewer than four bytes there is nothing to compare.
ALIKE_BYTES, DIFFERENT_AT_MOST, NEEDED_AT_LEAST = 40, 8, 4

MAX32 = 0xFFFFFFFF
# A small member is held whole. The largest honest one is a manifest with a long selection.
SMALL_MEMBER_BYTES_MAX = 16 * 1024 * 1024
READ_BYTES = 1024 * 1024
# A line of messages.jsonl is held whole, as a frame of evidence is.
LINE_BYTES_MAX = 16 * 1024 * 1024

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_DATE = 0x0021


@dataclass(frozen=True)
class Member:
    name: str
    size: int
    crc: int
    header_at: int

    @property
    def data_at(self) -> int:
        return self.header_at + local_header_bytes(self.name)

    @property
    def end(self) -> int:
        return self.data_at + self.size


def local_header_bytes(name: str) -> int:
    return _LOCAL.size + len(name) + (20 if name in WIDE else 0)


def local_header(name: str, size: int, crc: int) -> bytes:
    wide = name in WIDE
    short = MAX32 if wide else size
    extra = struct.pack("<HHQQ", 1, 16, size, size) if wide else b""
    fixed = _LOCAL.pack(
        b"PK\x03\x04", 45 if wide else 20, 0, 0, 0, _DATE, crc, short, short, len(name), len(extra)
    )
    return fixed + name.encode() + extra


def central_header(member: Member) -> bytes:
    extra = b""
    if member.size >= MAX32:
        extra += struct.pack("<QQ", member.size, member.size)
    if member.header_at >= MAX32:
        extra += struct.pack("<Q", member.header_at)
    if extra:
        extra = struct.pack("<HH", 1, len(extra)) + extra
    needed = 45 if extra or member.name in WIDE else 20
    size = min(member.size, MAX32)
    fixed = _CENTRAL.pack(
        b"PK\x01\x02", 45, needed, 0, 0, 0, _DATE, member.crc, size, size, len(member.name), len(extra),
        0, 0, 0, 0, min(member.header_at, MAX32),
    )
    return fixed + member.name.encode() + extra


def tail(members: list[Member]) -> bytes:
    """Central directory and end records."""
    directory = b"".join(central_header(member) for member in members)
    at, size, count = members[-1].end, len(directory), len(members)
    wide = b""
    if at >= MAX32:
        wide = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, at)
        wide += struct.pack("<4sIQI", b"PK\x06\x07", 0, at + size, 1)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, size, min(at, MAX32), 0)
    return directory + wide + end


class Container:
    """An opened bundle whose zip is as the format says. CRCs of members are compared when the members are read."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self._recognise()
        self.members = self._members()
        expected = tail(list(self.members.values()))
        at = self.members[MEMBERS[-1]].end
        require(self._size - at == len(expected), "zip: wrong length after the last member")
        require(self._read(at, len(expected)) == expected, "zip: the central directory is not that of the members")

    def small(self, name: str) -> bytes:
        """A member that is held whole, its CRC compared."""
        member = self.members[name]
        require(member.size <= SMALL_MEMBER_BYTES_MAX, f"{name}: too long")
        raw = self._read(member.data_at, member.size)
        require(zlib.crc32(raw) == member.crc, f"{name}: not the CRC-32 of the zip")
        return raw

    def stream(self, name: str) -> "Stream":
        member = self.members[name]
        return Stream(self._file, member)

    def _recognise(self) -> None:
        expected = local_header(MEMBERS[0], README_BYTES, README_CRC)
        found = self._read(0, min(ALIKE_BYTES, self._size))
        different = sum(a != b for a, b in zip(found, expected))
        if len(found) < NEEDED_AT_LEAST or different > DIFFERENT_AT_MOST:
            raise NotABundle("the file does not begin as a bundle does")

    def _members(self) -> dict[str, Member]:
        members, at = {}, 0
        for name in MEMBERS:
            length = local_header_bytes(name)
            header = self._read(at, length)
            require(len(header) == length, f"zip: ends before {name}")
            crc, size = struct.unpack_from("<II", header, 14)
            if name in WIDE:
                (size,) = struct.unpack_from("<Q", header, length - 16)
            require(name in WIDE or size < MAX32, f"zip: {name} is too long")
            require(header == local_header(name, size, crc), f"zip: the header of {name} is not as it must be")
            members[name] = Member(name, size, crc, at)
            at = members[name].end
            require(at <= self._size, f"zip: ends within {name}")
        return members

    def _read(self, at: int, size_bytes: int) -> bytes:
        self._file.seek(at)
        return self._file.read(size_bytes)


class Stream:
    """A member read once from front to back, never held whole. Its CRC-32 is kept on the way."""

    def __init__(self, file: BinaryIO, member: Member):
        self.name, self.size, self.left, self.crc = member.name, member.size, member.size, 0
        self._expected_crc = member.crc
        self._file = file
        file.seek(member.data_at)

    def read(self, size_bytes: int) -> bytes:
        """Exactly so many bytes."""
        raw = self._file.read(size_bytes) if size_bytes <= self.left else b""
        if len(raw) != size_bytes:
            raise DoesNotHold(f"{self.name}: cut short")
        self.left -= size_bytes
        self.crc = zlib.crc32(raw, self.crc)
        return raw

    def lines(self) -> Iterator[bytes]:
        """Each line with its newline; the last one may lack it. A longer line than is allowed is cut and so shows."""
        while self.left:
            line = self._file.readline(min(self.left, LINE_BYTES_MAX))
            require(bool(line), f"{self.name}: cut short")
            self.left -= len(line)
            self.crc = zlib.crc32(line, self.crc)
            yield line

    def sha256(self) -> bytes:
        """Of all that is left."""
        hash_ = sha256()
        while self.left:
            hash_.update(self.read(min(READ_BYTES, self.left)))
        return hash_.digest()

    def check_crc(self) -> None:
        require(self.crc == self._expected_crc, f"{self.name}: not the CRC-32 of the zip")
