"""What a time stamp (RFC 3161) says: points 1 and 2 of the section "Anchors", and the certificate of its signer."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from . import der
from .der import OCTETS, SEQUENCE, Value
from .jsontext import time_text
from .notes import Malformed

SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
TST_INFO = bytes.fromhex("2a864886f70d0109100104")
SHA256, SHA384, SHA512 = (bytes.fromhex("6086480165030402" + last) for last in ("01", "02", "03"))
SUBJECT_KEY_ID = bytes.fromhex("551d0e")

_TIME = re.compile(rb"(\d{14})(?:\.(\d*[1-9]))?Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Token:
    """`stated` is the time in TSTInfo; `latest`, in microseconds, that time and its accuracy."""

    digest: bytes
    content: bytes
    stated: datetime
    latest: int
    signer: bytes
    certificates: list[bytes]
    attributes: Value
    signature_algorithm: bytes
    signature: bytes


def _must(condition: bool, reason: str) -> None:
    if not condition:
        raise Malformed(reason)


def read(raw: bytes, imprint: bytes) -> Token:
    """Raises `Malformed` when it cannot be a token over this imprint."""
    outer = der.whole(raw, SEQUENCE).parts(b"\x06\xa0")
    _must(outer[0].content == SIGNED_DATA, "a token that is not SignedData")
    fields = outer[1].only(SEQUENCE).parts(b"\x02\x31\x30\xa0\xa1?\x31")
    _must(fields[0].content == b"\x03", "a token of another version")
    digest = der.algorithm(fields[1].only(SEQUENCE))
    content = fields[2].parts(b"\x06\xa0")
    _must(content[0].content == TST_INFO, "a token whose content is not TSTInfo")
    signer = fields[-1].only(SEQUENCE).parts(b"\x02[\x30\x80]\x30\xa0\x30\x04\xa1?")
    agreed = digest in (SHA256, SHA384, SHA512) and der.algorithm(signer[2]) == digest
    _must(agreed, "a token with another digest than it may have")
    by_issuer = signer[1].tag == SEQUENCE
    _must(signer[0].content == (b"\x01" if by_issuer else b"\x03"), "a signer of a token of another version")
    attributes, algorithm, signature = signer[3:6]
    info = content[1].only(OCTETS).content
    certificates = [one.whole for one in fields[3].parts(b".+") if one.tag == SEQUENCE]
    own = _own(certificates, signer[1], _is_of_issuer if by_issuer else _has_key_id)
    return Token(
        digest, info, *_times(info, imprint), own, certificates, attributes, der.algorithm(algorithm), signature.content
    )


def _times(raw: bytes, imprint: bytes) -> tuple[datetime, int]:
    """The time that TSTInfo states, and the latest that its accuracy allows."""
    fields = der.whole(raw, SEQUENCE).parts(b"\x02\x06\x30\x02\x18\x30?\x01?\x02?\xa0?\xa1?")
    _must(fields[0].content == b"\x01", "a TSTInfo of another version")
    stated = fields[2].parts(b"\x30\x04")
    right = der.algorithm(stated[0]) == SHA256 and stated[1].content == imprint
    _must(right, "a token over something else than the checkpoint")
    for field in fields:
        _must(field.tag != b"\x01" or field.content == b"\xff", "a token that is not DER")
    match = _TIME.fullmatch(fields[4].content)
    try:
        seconds = datetime.strptime(match[1].decode() if match else "", "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
    except ValueError as error:
        raise Malformed("a token without a time") from error
    fraction = int((match[2] or b"").ljust(6, b"0")[:6])
    time = seconds + timedelta(microseconds=fraction)
    first = (seconds - _EPOCH) // timedelta(seconds=1) * 1_000_000 + fraction
    latest = first + sum(_accuracy(field) for field in fields[5:6] if field.tag == SEQUENCE)
    _must(first >= 0 and time_text(latest) is not None, "a token of a time that has no text")
    return time, latest


def _accuracy(field: Value) -> int:
    """In microseconds."""
    units, found = {b"\x02": 1_000_000, b"\x80": 1_000, b"\x81": 1}, 0
    for part in field.parts(b"\x02?\x80?\x81?"):
        number = part.number()
        _must(part.tag == b"\x02" or 1 <= number <= 999, "a token with an accuracy that may not be")
        found += number * units[part.tag]
    return found


def _own(certificates: list[bytes], signer: Value, is_own) -> bytes:
    """The certificate of the signer. What cannot be read is another's, and those are not looked at."""
    for raw in certificates:
        try:
            if is_own(der.whole(raw, SEQUENCE), signer):
                return raw
        except Malformed:
            pass
    raise Malformed("a token without the certificate of its signer")


def _certified(certificate: Value) -> list[Value]:
    """From the serial number on: what a certificate says, its version left out."""
    said = certificate.parts(b"\x30\x30\x03")[0].parts(b"\xa0?\x02\x30\x30\x30\x30\x30\x81?\x82?\xa3?")
    return said[1:] if said[0].tag == b"\xa0" else said


def _is_of_issuer(certificate: Value, signer: Value) -> bool:
    issuer, serial = signer.parts(b"\x30\x02")
    said = _certified(certificate)
    return (said[2].whole, said[0].whole) == (issuer.whole, serial.whole)


def _has_key_id(certificate: Value, signer: Value) -> bool:
    last = _certified(certificate)[-1]
    if last.tag != b"\xa3":
        return False
    for extension in last.only(SEQUENCE).parts(b"\x30+"):
        fields = extension.parts(b"\x06\x01?\x04")
        if fields[0].content == SUBJECT_KEY_ID:
            return der.whole(fields[-1].content, OCTETS).content == signer.content
    return False
