"""Writes time-stamp tokens, each part of which can be another: what points 1 to 6 of "Anchors" are tried against."""

import hashlib
from datetime import datetime, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DIGESTS = {
    "sha1": (bytes.fromhex("2b0e03021a"), hashes.SHA1()),
    "sha256": (bytes.fromhex("608648016503040201"), hashes.SHA256()),
    "sha384": (bytes.fromhex("608648016503040202"), hashes.SHA384()),
    "sha512": (bytes.fromhex("608648016503040203"), hashes.SHA512()),
}
SIGNED_DATA, TST_INFO = bytes.fromhex("2a864886f70d010702"), bytes.fromhex("2a864886f70d0109100104")
CONTENT_TYPE, MESSAGE_DIGEST = bytes.fromhex("2a864886f70d010903"), bytes.fromhex("2a864886f70d010904")
FIRST, SECOND = bytes.fromhex("2a864886f70d010910020c"), bytes.fromhex("2a864886f70d010910022f")
RSA, RSA_SHA256, RSA_SHA512 = (bytes.fromhex("2a864886f70d0101" + last) for last in ("01", "0b", "0d"))
ECDSA = {name: bytes.fromhex("2a8648ce3d0403" + last) for name, last in
         (("sha256", "02"), ("sha384", "03"), ("sha512", "04"))}
STAMPING = [ExtendedKeyUsageOID.TIME_STAMPING]


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def oid(raw: bytes) -> bytes:
    return der(6, raw)


def number(value: int) -> bytes:
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def algorithm(raw: bytes, parameters=b"\5\0") -> bytes:
    return der(0x30, oid(raw), parameters)


def attribute(kind: bytes, *values: bytes) -> bytes:
    return der(0x30, oid(kind), der(0x31, *values))


def curve_key(scalar: int, curve=None) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(scalar, curve or ec.SECP256R1())


def named(text: str, kind=NameOID.COMMON_NAME) -> x509.Name:
    return x509.Name([x509.NameAttribute(kind, text)])


def year(number: int) -> datetime:
    return datetime(number, 1, 1, tzinfo=timezone.utc)


def certificate(
    subject, key, issuer, issuer_key, years=(2020, 2100), usage=None, usage_critical=True, ca=None, length=None,
    more=(), hash_=hashes.SHA256(), serial=7, rsa_padding=None,
) -> x509.Certificate:
    """`usage`: extended key usage; `ca`: None for no basic constraints; `more`: other extensions, and if critical."""
    builder = x509.CertificateBuilder(
        issuer if isinstance(issuer, x509.Name) else named(issuer),
        subject if isinstance(subject, x509.Name) else named(subject),
        key.public_key(), serial, year(years[0]), year(years[1]),
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, length), critical=True)
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=usage_critical)
    for extension, critical in more:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hash_, rsa_padding=rsa_padding)


def key_usage(may_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(True, False, False, False, False, may_sign, False, False, False)


def raw(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


ROOT_KEY, SIGNER_KEY, BETWEEN_KEY, OTHER_KEY = (curve_key(scalar) for scalar in (11, 12, 13, 14))
ROOT = certificate("Root", ROOT_KEY, "Root", ROOT_KEY, ca=True)
SIGNER = certificate("Stamps", SIGNER_KEY, "Root", ROOT_KEY, usage=STAMPING)


def info(
    imprint: bytes, version=1, digest="sha256", time=b"20231114221500Z", accuracy=b"", ordering=b"", policy=b"\x2a\3",
    nonce=b"", more=b"",
) -> bytes:
    stated = der(0x30, algorithm(DIGESTS[digest][0]), der(4, imprint))
    return der(
        0x30, number(version), oid(policy), stated, number(5), der(0x18, time), accuracy, ordering, nonce, more
    )


def names_first(of: bytes, *others: bytes) -> bytes:
    ids = [der(0x30, der(4, hashlib.sha1(one).digest())) for one in (of, *others)]
    return attribute(FIRST, der(0x30, der(0x30, *ids)))


def names_second(of: bytes, digest=None) -> bytes:
    hash_ = hashlib.new(digest or "sha256", of).digest()
    kind = algorithm(DIGESTS[digest][0]) if digest else b""
    return attribute(SECOND, der(0x30, der(0x30, der(0x30, kind, der(4, hash_)))))


def signed(message: bytes, key, digest: str) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), DIGESTS[digest][1])
    return key.sign(message, ec.ECDSA(DIGESTS[digest][1]))


def token(
    imprint: bytes, signer=SIGNER, key=SIGNER_KEY, others=(), digest="sha256", content=None, attributes=None,
    names=None, kind=None, by_key_id=False, **changes,
) -> bytes:
    """`changes` replace a part of SignedData or SignerInfo by its name below."""
    content = info(imprint) if content is None else content
    own = raw(signer)
    if attributes is None:
        hash_ = hashlib.new(digest, content).digest()
        attributes = [attribute(CONTENT_TYPE, oid(TST_INFO)), attribute(MESSAGE_DIGEST, der(4, hash_))]
        attributes.append(names_second(own) if names is None else names)
    kind = kind or (ECDSA[digest] if isinstance(key, ec.EllipticCurvePrivateKey) else RSA)
    identifier = der(0x30, signer.issuer.public_bytes(), number(signer.serial_number))
    if by_key_id:
        found = signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        identifier = der(0x80, found.value.digest)
    part = {
        "signer_version": number(3 if by_key_id else 1), "identifier": identifier,
        "signer_digest": algorithm(DIGESTS[digest][0]), "signed": der(0xA0, *attributes),
        "signer_algorithm": algorithm(kind, b""), "signature": der(4, signed(der(0x31, *attributes), key, digest)),
        "unsigned": b"",
    }
    part |= {name: value for name, value in changes.items() if name in part}
    one = der(0x30, *part.values())
    data = {
        "version": number(3), "digests": der(0x31, algorithm(DIGESTS[digest][0])),
        "content": der(0x30, oid(TST_INFO), der(0xA0, der(4, content))),
        "certificates": der(0xA0, own, *(other if isinstance(other, bytes) else raw(other) for other in others)),
        "lists": b"", "signers": der(0x31, one),
    }
    assert not set(changes) - set(part) - set(data), "a part that is none"
    data |= {name: value for name, value in changes.items() if name in data}
    return der(0x30, oid(SIGNED_DATA), der(0xA0, der(0x30, *data.values())))
