"""Whether a time stamp holds under roots that were given: points 3 to 6 of the section "Anchors"."""

import warnings
from datetime import datetime
from hashlib import sha1
from typing import Iterator, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import Certificate, ExtensionNotFound, ExtensionOID, NameOID
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from . import der
from .der import OCTETS, SEQUENCE, SET, Value
from .notes import Malformed
from .outcome import Unusable
from .stamps import SHA256, SHA384, SHA512, TST_INFO, Token

CONTENT_TYPE, MESSAGE_DIGEST = (bytes.fromhex("2a864886f70d0109" + last) for last in ("03", "04"))
SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2 = (
    bytes.fromhex("2a864886f70d010910020c"), bytes.fromhex("2a864886f70d010910022f")
)
HASHES = {SHA256: hashes.SHA256(), SHA384: hashes.SHA384(), SHA512: hashes.SHA512()}
# rsaEncryption names no digest; the others name one, which must be that of the token.
_RSA_WITH, _ECDSA_WITH = bytes.fromhex("2a864886f70d0101"), bytes.fromhex("2a8648ce3d0403")
RSA = _RSA_WITH + b"\x01"
RSA_WITH = {_RSA_WITH + b"\x0b": SHA256, _RSA_WITH + b"\x0c": SHA384, _RSA_WITH + b"\x0d": SHA512}
ECDSA_WITH = {_ECDSA_WITH + b"\x02": SHA256, _ECDSA_WITH + b"\x03": SHA384, _ECDSA_WITH + b"\x04": SHA512}
CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
RSA_BITS_MIN, RSA_BITS_MAX = 2048, 8192

# How certificates of a chain may be signed, and what of them is understood when it is critical.
SIGNED_WITH = {
    SignatureAlgorithmOID.RSA_WITH_SHA256, SignatureAlgorithmOID.RSA_WITH_SHA384, SignatureAlgorithmOID.RSA_WITH_SHA512,
    SignatureAlgorithmOID.ECDSA_WITH_SHA256, SignatureAlgorithmOID.ECDSA_WITH_SHA384,
    SignatureAlgorithmOID.ECDSA_WITH_SHA512,
}
UNDERSTOOD = {
    ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.CERTIFICATE_POLICIES, ExtensionOID.NAME_CONSTRAINTS,
}
# A chain has two or three certificates; somebody who sends many wants them to be tried in every order.
BETWEEN_MAX, TRIES_MAX = 6, 200

_NOT_READ = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion)


def read_roots(raw: bytes, path: str) -> list[Certificate]:
    try:
        with warnings.catch_warnings(action="ignore"):
            return x509.load_pem_x509_certificates(raw)
    except _NOT_READ as error:
        raise Unusable(f"{path}: not a certificate in PEM") from error


def proved(token: Token, roots: Sequence[Certificate]) -> str | None:
    """Who stamped it; None when no root signs its chain. Raises `Malformed` when it does not hold."""
    signer = _loaded(token.signer)
    _must(signer is not None, "the certificate of a token's signer cannot be read")
    try:
        _check_usage(signer)
        _check_attributes(token)
        _check_signature(token, signer)
        return _name(signer) if _leads_to_a_root(token, signer, roots) else None
    except _NOT_READ as error:
        raise Malformed("the certificates of a token cannot be read") from error


def _must(condition: bool, reason: str) -> None:
    if not condition:
        raise Malformed(reason)


def _loaded(raw: bytes) -> Certificate | None:
    """None when it cannot be read, or breaks RFC 5280 in a way that the library only warns of."""
    try:
        with warnings.catch_warnings(record=True, action="always") as warned:
            certificate = x509.load_der_x509_certificate(raw)
            _ = certificate.extensions
    except _NOT_READ:
        return None
    return None if warned else certificate


def _extension(certificate: Certificate, kind):
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except ExtensionNotFound:
        return None


def _check_usage(signer: Certificate) -> None:
    """Point 3."""
    usage = _extension(signer, x509.ExtendedKeyUsage)
    right = usage is not None and usage.critical and list(usage.value) == [ExtendedKeyUsageOID.TIME_STAMPING]
    _must(right, "a token whose signer is not for time stamps alone")


def _check_attributes(token: Token) -> None:
    """Point 4."""
    kinds = CONTENT_TYPE, MESSAGE_DIGEST, SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2
    found: dict[bytes, list[Value]] = {}
    for attribute in token.attributes.parts(b"\x30+"):
        kind, values = attribute.parts(b"\x06\x31")
        if kind.content in kinds:
            found.setdefault(kind.content, []).extend(values.parts(b".*"))
    own = [found.get(kind, []) for kind in kinds]
    type_, digest, first, second = own
    right = [(value.tag, value.content) for value in type_] == [(b"\x06", TST_INFO)]
    _must(right, "a token whose attributes do not name its content alone")
    wanted = [(OCTETS, _hashed(token.digest, token.content))]
    _must([(value.tag, value.content) for value in digest] == wanted, "a token whose content is not the one signed")
    _must(len(first) <= 1 and len(second) <= 1 and bool(first or second), "a token that does not name its certificate")
    right = all(_names(value, token.signer, False) for value in first)
    right = right and all(_names(value, token.signer, True) for value in second)
    _must(right, "a token that names another certificate than its signer's")


def _names(value: Value, certificate: bytes, second: bool) -> bool:
    """Whether the first certificate that the attribute names is this one."""
    ids = der.whole(value.whole, SEQUENCE).parts(b"\x30\x30?")[0].parts(b"\x30+")
    fields = ids[0].parts(b"\x30?\x04\x30?" if second else b"\x04\x30?")
    if not second:
        return fields[0].content == sha1(certificate).digest()
    kind = der.algorithm(fields[0]) if fields[0].tag == SEQUENCE else SHA256
    stated = fields[1] if fields[0].tag == SEQUENCE else fields[0]
    return kind in HASHES and stated.content == _hashed(kind, certificate)


def _hashed(kind: bytes, raw: bytes) -> bytes:
    hash_ = hashes.Hash(HASHES[kind])
    hash_.update(raw)
    return hash_.finalize()


def _check_signature(token: Token, signer: Certificate) -> None:
    """Point 5."""
    message, key, hash_ = SET + token.attributes.whole[1:], signer.public_key(), HASHES[token.digest]
    _must(_is_good_key(key), "a token under a key of a kind that may not be")
    rsa_, kind = isinstance(key, rsa.RSAPublicKey), token.signature_algorithm
    named = (RSA_WITH | {RSA: token.digest} if rsa_ else ECDSA_WITH).get(kind)
    _must(named == token.digest, "a token with another algorithm than its key and digest have")
    try:
        if rsa_:
            key.verify(token.signature, message, padding.PKCS1v15(), hash_)
        else:
            key.verify(token.signature, message, ec.ECDSA(hash_))
    except InvalidSignature as error:
        raise Malformed("a token whose signature is not right") from error


def _is_good_key(key) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, CURVES)


def _leads_to_a_root(token: Token, signer: Certificate, roots: Sequence[Certificate]) -> bool:
    """Point 6. False when no root signs its chain; raises `Malformed` when one does and the chain is not right."""
    others = [one for one in map(_loaded, token.certificates) if one is not None and one != signer]
    any_chain = False
    for chain in _chains([signer], others, roots, [TRIES_MAX]):
        any_chain = True
        if _is_right(chain, token.stated):
            return True
    _must(not any_chain, "a token whose chain to the root is not right at its time")
    return False


def _chains(
    chain: list[Certificate], others: list[Certificate], roots: Sequence[Certificate], left: list[int]
) -> Iterator[list[Certificate]]:
    """From the signer on: all that end below a root."""
    last = chain[-1]
    if any(_signs(root, last, left) for root in roots):
        yield chain
    if len(chain) > BETWEEN_MAX:
        return
    for other in others:
        if other not in chain and _signs(other, last, left):
            yield from _chains(chain + [other], others, roots, left)


def _signs(issuer: Certificate, certificate: Certificate, left: list[int]) -> bool:
    """Whether it has the name and the key that sign a certificate."""
    same = certificate.issuer.public_bytes() == issuer.subject.public_bytes()
    if not same or certificate.signature_algorithm_oid not in SIGNED_WITH:
        return False
    left[0] -= 1
    _must(left[0] >= 0, "a token with more certificates than can be tried")
    try:
        if not _is_good_key(issuer.public_key()):
            return False
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *_NOT_READ):
        return False
    return True


def _is_right(chain: list[Certificate], time: datetime) -> bool:
    for place, certificate in enumerate(chain):
        if not certificate.not_valid_before_utc <= time <= certificate.not_valid_after_utc:
            return False
        if any(one.critical and one.oid not in UNDERSTOOD for one in certificate.extensions):
            return False
        # Policies are not followed here: a chain that must have one is not right.
        if _extension(certificate, x509.PolicyConstraints) or not _allows_names(certificate, chain[:place]):
            return False
        below = sum(one.issuer != one.subject for one in chain[1:place])
        if place and not _may_sign(certificate, below):
            return False
    return True


def _allows_names(certificate: Certificate, below: list[Certificate]) -> bool:
    """Only the subject is, and only to bounds that are not for it. Where others would matter, nothing is allowed."""
    found = _extension(certificate, x509.NameConstraints)
    if found is None:
        return True
    bounds = (found.value.permitted_subtrees or []) + (found.value.excluded_subtrees or [])
    return not any(isinstance(one, x509.DirectoryName) for one in bounds) and not any(
        _extension(one, x509.SubjectAlternativeName) or one.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)
        for one in below
    )


def _may_sign(certificate: Certificate, below: int) -> bool:
    """What stands between signer and root, with so many others of its kind below it."""
    basic, usage = _extension(certificate, x509.BasicConstraints), _extension(certificate, x509.KeyUsage)
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    return (
        basic is not None
        and basic.value.ca
        and (basic.value.path_length is None or below <= basic.value.path_length)
        and (usage is None or usage.value.key_cert_sign)
        and (purposes is None or ExtendedKeyUsageOID.TIME_STAMPING in purposes.value)
    )


def _name(signer: Certificate) -> str:
    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for found in signer.subject.get_attributes_for_oid(kind):
            return str(found.value)
    return "an authority without a name"
