"""A small reader of DER, strict in what time stamps need: lengths in their one spelling, nothing left over."""

import re

from .notes import Malformed

INTEGER, OCTETS, SEQUENCE, SET = b"\x02", b"\x04", b"\x30", b"\x31"


class Value:
    """One value: its tag, its content, and all its bytes."""

    def __init__(self, raw: bytes, at: int):
        self.tag, length, from_ = raw[at : at + 1], raw[at + 1 : at + 2], at + 2
        if not length or self.tag[0] & 0x1F == 0x1F:
            raise Malformed("a token that is not DER")
        size = length[0]
        if size >= 0x80:
            from_ += size - 0x80
            digits = raw[at + 2 : from_]
            size = int.from_bytes(digits, "big")
            if not 1 <= len(digits) <= 4 or digits[0] == 0 or size < 0x80:
                raise Malformed("a token that is not DER")
        self.end = from_ + size
        self.content, self.whole = raw[from_ : self.end], raw[at : self.end]
        if self.end > len(raw):
            raise Malformed("a token that is cut short")

    def parts(self, tags: bytes) -> list["Value"]:
        """What stands within, when its tags are these (a pattern)."""
        found, at = [], 0
        while at < len(self.content):
            found.append(Value(self.content, at))
            at = found[-1].end
        if re.fullmatch(tags, b"".join(part.tag for part in found), re.DOTALL) is None:
            raise Malformed("a token with other fields than it must have")
        return found

    def only(self, tag: bytes) -> "Value":
        return self.parts(re.escape(tag))[0]

    def number(self) -> int:
        """Not negative, in its one spelling."""
        raw = self.content
        if not raw or raw[0] & 0x80 or (len(raw) > 1 and raw[0] == 0 and not raw[1] & 0x80):
            raise Malformed("a token with a number that may not stand there")
        return int.from_bytes(raw, "big")


def whole(raw: bytes, tag: bytes) -> Value:
    """The one value that these bytes are."""
    value = Value(raw, 0)
    if value.tag != tag or value.end != len(raw):
        raise Malformed("a token with other fields than it must have")
    return value


def algorithm(value: Value) -> bytes:
    """The object identifier; parameters are absent or NULL."""
    parts = value.parts(b"\x06\x05?")
    if len(parts) == 2 and parts[1].content != b"":
        raise Malformed("an algorithm of a token with parameters")
    return parts[0].content
