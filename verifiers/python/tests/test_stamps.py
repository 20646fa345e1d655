"""Time stamps: points 1 to 6 of the section "Anchors", each broken alone."""

import base64
import hashlib
import json
import unittest
from functools import lru_cache
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from verifier.authority import proved
from verifier.merkle import root_of
from verifier.notes import Malformed
from verifier.stamps import read

from . import ledger, stamping, vectors
from .cases import Case, sample
from .ledger import KEY, NEW_KEY, OTHER, SIGNER, anchor, checkpoint, frame, statement
from .stamping import BETWEEN_KEY, OTHER_KEY, ROOT, ROOT_KEY, SIGNER_KEY, STAMPING, certificate, der, info, number, oid

FIXTURE_ROOT = x509.load_pem_x509_certificate((vectors.FIXTURES / "stamp-root.pem").read_bytes())
OTHER_ROOT = certificate("Other root", OTHER_KEY, "Other root", OTHER_KEY, ca=True)
ROOT_NAMESAKE = certificate("Root", OTHER_KEY, "Root", OTHER_KEY, ca=True)
CODE = [ExtendedKeyUsageOID.CODE_SIGNING]
BELOW = "a token whose chain to the root is not right"
SHA256, SHA384, SHA512 = (stamping.algorithm(stamping.DIGESTS[name][0]) for name in ("sha256", "sha384", "sha512"))


@lru_cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def signer(key=SIGNER_KEY, issuer="Root", issuer_key=ROOT_KEY, usage=STAMPING, **changes) -> x509.Certificate:
    return certificate("Stamps", key, issuer, issuer_key, **{"usage": usage} | changes)


class Stamped(Case):
    """Anchors over the checkpoint of the first two batches of the sample."""

    def setUp(self):
        self.signed = checkpoint(2, root_of(sample().log()[:2]))
        self.imprint = sha256(self.signed).digest()

    def bundle(self, token: bytes, signed=None, **members):
        proof = base64.b64encode(token).decode()
        line = anchor(sample().batch_records()[:2], signed or self.signed, kind="time-stamp", proof=proof)
        return sample(members_changed={"anchors.jsonl": line} | members)

    def token(self, **changes) -> bytes:
        return stamping.token(self.imprint, **changes)

    def assert_proved(self, token: bytes, root=ROOT) -> dict:
        found = self.assert_holds(self.bundle(token), root=root)
        self.assertEqual(found.anchors_proved, 1)
        return found.existed_before[0]

    def assert_not_checked(self, token: bytes, root=ROOT) -> None:
        self.assertEqual(self.assert_holds(self.bundle(token), root=root).anchors_proved, 0)

    def assert_malformed(self, token: bytes, reason="a token") -> None:
        """With roots and without them."""
        self.assert_refused(self.bundle(token), reason)
        self.assert_refused(self.bundle(token), reason, root=OTHER_ROOT)

    def assert_does_not_hold(self, token: bytes, reason: str, root=ROOT) -> None:
        """Its form is right, so without roots nothing is said of it."""
        self.assert_holds(self.bundle(token))
        self.assert_refused(self.bundle(token), reason, root=root)


class Form(Stamped):
    """Points 1 and 2."""

    def test_a_token_that_holds(self):
        found = self.assert_proved(self.token())
        wanted = {"last_record": 8, "before": "2023-11-14T22:15:00Z", "according_to": "Stamps", "kind": "time-stamp"}
        self.assertEqual(found, wanted)
        self.assertEqual(self.assert_holds(self.bundle(self.token())).anchors_proved, 0)

    def test_the_signed_data(self):
        empty = der(0xA0)
        for changes in (
            {"version": number(1)}, {"version": number(4)}, {"version": b"\2\2\0\3"}, {"digests": der(0x31)},
            {"digests": der(0x31, SHA256, SHA256)}, {"digests": der(0x31, SHA384)},
            {"digests": der(0x31, der(0x30, oid(stamping.DIGESTS["sha256"][0]), b"\5\1\0"))},
            {"content": der(0x30, oid(stamping.SIGNED_DATA), der(0xA0, der(4, info(self.imprint))))},
            {"content": der(0x30, oid(stamping.TST_INFO))}, {"certificates": b""}, {"certificates": empty},
            {"signers": der(0x31)}, {"signer_version": number(3)}, {"signer_version": number(2)},
            {"signer_digest": SHA384}, {"signer_digest": der(0x30, oid(stamping.DIGESTS["sha256"][0]), number(1))},
            {"signer_algorithm": stamping.algorithm(stamping.ECDSA["sha256"], number(1))},
            {"identifier": der(0x30, stamping.named("Root").public_bytes(), number(8))},
            {"identifier": der(0x30, stamping.named("Rood").public_bytes(), number(7))},
            {"identifier": der(0x80, bytes(20)), "signer_version": number(3)},
        ):
            with self.subTest(changes=changes):
                self.assert_malformed(self.token(**changes))
        right = self.token()
        one = right[right.rindex(der(0x30, stamping.named("Root").public_bytes(), number(7))) - 7 :]
        self.assertEqual(one[:1], b"\x30")
        self.assert_malformed(self.token(signers=der(0x31, one, one)))
        self.assert_malformed(self.token(digest="sha1", kind=stamping.ECDSA["sha256"]), "another digest")

    def test_what_a_token_may_have_besides(self):
        self.assert_proved(self.token(lists=der(0xA1, der(0x30))))
        self.assert_proved(self.token(unsigned=der(0xA1, stamping.attribute(b"\x2a\3", number(1)))))
        self.assert_proved(self.token(others=[der(0x30, b"\5\0"), der(0x30), der(0xA1, b"\5\0"), OTHER_ROOT]))
        bare = der(0x30, oid(stamping.DIGESTS["sha256"][0]))
        self.assert_proved(self.token(digests=der(0x31, bare), signer_digest=bare))

    def test_the_info(self):
        of_text = sha256(self.signed[: self.signed.index(b"\n\n") + 1]).digest()
        for content in (
            info(bytes(32)), info(of_text), info(self.imprint[:-1]), info(self.imprint, digest="sha384"),
            info(self.imprint, ordering=b"\1\1\1"),
            info(self.imprint, ordering=b"\1\1\0"), info(self.imprint) + b"\0", info(self.imprint, more=number(1) * 2),
            info(self.imprint, accuracy=der(0x30, der(0x80, b"\0"))),
            info(self.imprint, accuracy=der(0x30, b"\2\1\xff")),
            info(self.imprint, accuracy=der(0x30, der(0x81, b"\3\xe8"))), b"",
        ):
            with self.subTest(content=content.hex()):
                self.assert_malformed(self.token(content=content))
        self.assert_malformed(self.token(content=info(self.imprint, version=2)), "a TSTInfo of another version")
        for time, accuracy in ((b"19691231235959Z", b""), (b"99991231235959.9Z", der(0x30, number(1)))):
            content = info(self.imprint, time=time, accuracy=accuracy)
            self.assert_malformed(self.token(content=content), "a time that has no text")
        for time in (b"", b"20231114221500", b"202311142215Z", b"20231114221500.0Z", b"20231114221500.10Z",
                     b"20231114221500.Z", b"20231114221500+0100", b"20231314221500Z", b"20230230221500Z",
                     b"20231114221560Z", b"231114221500Z"):
            self.assert_malformed(self.token(content=info(self.imprint, time=time)), "a token without a time")
        self.assert_proved(self.token(content=info(self.imprint, ordering=b"\1\1\xff", nonce=number(99))))

    def test_the_accuracy_is_added_and_what_is_finer_left_out(self):
        whole = der(0x30, number(61), der(0x80, b"\1\xf4"), der(0x81, b"\2"))
        for time, accuracy, wanted in (
            (b"20231114221500Z", whole, "2023-11-14T22:16:01.500002Z"),
            (b"20231114221500.1234567Z", b"", "2023-11-14T22:15:00.123456Z"),
            (b"20231114221500.5Z", der(0x30), "2023-11-14T22:15:00.5Z"),
        ):
            content = info(self.imprint, time=time, accuracy=accuracy)
            self.assertEqual(self.assert_proved(self.token(content=content))["before"], wanted)

    def test_a_signer_named_by_its_key(self):
        own = signer(more=[(x509.SubjectKeyIdentifier(b"\7" * 20), False)])
        right = self.token(signer=own, by_key_id=True)
        self.assert_proved(right)
        self.assert_malformed(self.token(signer=own, by_key_id=True, signer_version=number(1)))
        self.assert_malformed(self.token(signer=own, by_key_id=True, identifier=der(0x80, b"\6" * 20)))


class Signer(Stamped):
    """Points 3 to 5."""

    def test_its_certificate_is_for_time_stamps_alone(self):
        for changes in ({"usage": None}, {"usage": CODE}, {"usage": STAMPING + CODE}, {"usage_critical": False},
                        {"usage": [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]}):
            self.assert_does_not_hold(self.token(signer=signer(**changes)), "not for time stamps alone")

    def test_the_signed_attributes(self):
        content = info(self.imprint)
        own, digest = stamping.raw(stamping.SIGNER), hashlib.sha256(content).digest()
        type_ = stamping.attribute(stamping.CONTENT_TYPE, oid(stamping.TST_INFO))
        hash_ = stamping.attribute(stamping.MESSAGE_DIGEST, der(4, digest))
        names = stamping.names_second(own)
        other = stamping.attribute(b"\x2a\3", number(1)) + stamping.attribute(b"\x2a\4", b"\x1f")
        self.assert_proved(self.token(attributes=[names, other, hash_, type_]))
        for attributes in (
            [], [hash_, names], [type_, names], [type_, hash_], [type_, type_, hash_, names],
            [type_, hash_, hash_, names], [type_, hash_, names, names],
            [stamping.attribute(stamping.CONTENT_TYPE), hash_, names],
            [stamping.attribute(stamping.CONTENT_TYPE, *[oid(stamping.TST_INFO)] * 2), hash_, names],
            [stamping.attribute(stamping.CONTENT_TYPE, oid(stamping.SIGNED_DATA)), hash_, names],
            [type_, stamping.attribute(stamping.MESSAGE_DIGEST, der(4, bytes(32))), names],
            [type_, stamping.attribute(stamping.MESSAGE_DIGEST, *[der(4, digest)] * 2), names],
            [type_, hash_, stamping.names_second(own + b"x")], [type_, hash_, stamping.names_first(own + b"x")],
            [type_, hash_, names, stamping.names_first(own + b"x")],
            [type_, hash_, stamping.names_second(own + b"x"), stamping.names_first(own)],
            [type_, hash_, stamping.names_first(own + b"x", own)], [type_, hash_, stamping.names_second(own, "sha1")],
            [type_, hash_, stamping.attribute(stamping.SECOND, der(0x30, der(0x30)))],
            [type_, hash_, names, b"\5\0"],
        ):
            with self.subTest(attributes=attributes):
                self.assert_does_not_hold(self.token(content=content, attributes=attributes), "a token")
        # Without any, the signature would be over the content itself.
        key = stamping.signed(content, SIGNER_KEY, "sha256")
        self.assert_malformed(self.token(signed=b"", signature=der(4, key)), "other fields")

    def test_a_certificate_named_in_each_allowed_way(self):
        own = stamping.raw(stamping.SIGNER)
        for names in (stamping.names_first(own), stamping.names_first(own, b"another"),
                      stamping.names_second(own, "sha512"), stamping.names_second(own, "sha256"),
                      stamping.names_first(own) + stamping.names_second(own)):
            self.assert_proved(self.token(names=names))

    def test_a_signature_that_is_not_right(self):
        reason = "a token whose signature is not right"
        self.assert_does_not_hold(self.token(key=OTHER_KEY), reason)
        self.assert_does_not_hold(self.token(signature=der(4)), reason)
        attributes = [stamping.attribute(b"\x2a\3", number(1))]
        wrong = stamping.signed(der(0xA0, *attributes), SIGNER_KEY, "sha256")
        self.assert_does_not_hold(self.token(signature=der(4, wrong)), reason)

    def test_each_key_and_digest_that_may_be(self):
        curves = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
        keys = [stamping.curve_key(5, curve()) for curve in curves] + [rsa_key(2048)]
        for key in keys:
            for digest in ("sha256", "sha384", "sha512"):
                self.assert_proved(self.token(signer=signer(key), key=key, digest=digest))
        key = rsa_key(2048)
        self.assert_proved(self.token(signer=signer(key), key=key, kind=stamping.RSA_SHA256))

    def test_a_key_or_an_algorithm_of_another_kind(self):
        for key in (rsa_key(1024), stamping.curve_key(5, ec.SECP256K1())):
            self.assert_does_not_hold(self.token(signer=signer(key), key=key), "a key of a kind")
        ed = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
        self.assert_does_not_hold(self.token(signer=signer(ed)), "a key of a kind")
        key, reason = rsa_key(2048), "another algorithm than its key"
        for kind in (stamping.RSA_SHA512, stamping.ECDSA["sha256"], bytes.fromhex("2a864886f70d01010a"), b"\x2a\3"):
            self.assert_does_not_hold(self.token(signer=signer(key), key=key, kind=kind), reason)
        for kind in (stamping.ECDSA["sha384"], stamping.RSA_SHA256, stamping.RSA):
            self.assert_does_not_hold(self.token(kind=kind), reason)


class Chain(Stamped):
    """Point 6."""

    def below(self, between: x509.Certificate, *others, **changes) -> bytes:
        own = signer(issuer="Between", issuer_key=BETWEEN_KEY, **changes)
        return self.token(signer=own, others=[between, *others])

    def between(self, issuer="Root", issuer_key=ROOT_KEY, **changes) -> x509.Certificate:
        return certificate("Between", BETWEEN_KEY, issuer, issuer_key, **{"ca": True} | changes)

    def test_without_the_root_that_signs_it_it_is_not_checked(self):
        for root in (OTHER_ROOT, ROOT_NAMESAKE, FIXTURE_ROOT):
            self.assert_not_checked(self.token(), root=root)
            self.assert_not_checked(self.below(self.between()), root=root)
        namesake = certificate("Root", rsa_key(2048), "Root", rsa_key(2048), ca=True)
        self.assert_not_checked(self.token(), root=namesake)
        # The root that it brings along is nobody's word.
        self.assert_not_checked(self.token(others=[ROOT]), root=OTHER_ROOT)
        # What stands between is not there.
        self.assert_not_checked(self.token(signer=signer(issuer="Between", issuer_key=BETWEEN_KEY)))
        # All else is looked at first.
        self.assert_does_not_hold(self.token(key=OTHER_KEY), "signature is not right", root=OTHER_ROOT)

    def test_it_was_valid_at_the_time_that_is_stated(self):
        for years in ((2020, 2023), (2024, 2100)):
            self.assert_does_not_hold(self.token(signer=signer(years=years)), BELOW)
            self.assert_does_not_hold(self.below(self.between(years=years)), BELOW)
            root = certificate("Root", ROOT_KEY, "Root", ROOT_KEY, years=years, ca=True)
            self.assert_proved(self.token(), root=root)
        for time, right in ((b"20240101000000Z", True), (b"20240101000000.5Z", False),
                            (b"20240101000000.0000001Z", True), (b"20240101000000.000001Z", False), (b"20240101000001Z", False)):
            token = self.token(signer=signer(years=(2020, 2024)), content=info(self.imprint, time=time))
            if right:
                self.assert_proved(token)
            else:
                self.assert_does_not_hold(token, BELOW)
        # Its accuracy does not count.
        content = info(self.imprint, time=b"20240101000000Z", accuracy=der(0x30, number(60)))
        self.assert_proved(self.token(signer=signer(years=(2020, 2024)), content=content))

    def test_what_stands_between(self):
        mail = x509.NameConstraints([x509.RFC822Name("example.org")], None)
        for changes in ({}, {"usage": STAMPING}, {"usage": CODE + STAMPING, "usage_critical": False}, {"length": 0},
                        {"more": [(stamping.key_usage(True), True)]}, {"more": [(mail, True)]}):
            self.assert_proved(self.below(self.between(**changes)))
        bound = self.between(more=[(mail, True)])
        other = x509.SubjectAlternativeName([x509.RFC822Name("a@example.com")])
        self.assert_does_not_hold(self.below(bound, more=[(other, False)]), BELOW)
        for changes in ({"ca": None}, {"ca": False}, {"usage": CODE}, {"usage": CODE, "usage_critical": False},
                        {"usage": [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]}, {"more": [(stamping.key_usage(False), True)]},
                        {"more": [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"), True)]},
                        {"more": [(x509.NameConstraints([x509.DirectoryName(stamping.named("x"))], None), True)]},
                        {"more": [(x509.PolicyConstraints(0, None), True)]}):
            with self.subTest(changes=changes):
                self.assert_does_not_hold(self.below(self.between(**changes)), BELOW)
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0")
        self.assert_proved(self.token(signer=signer(more=[(unknown, False)])))
        self.assert_does_not_hold(self.token(signer=signer(more=[(unknown, True)])), BELOW)

    def test_a_longer_chain_and_its_bound(self):
        key = stamping.curve_key(15)
        for length, right in ((0, False), (1, True), (None, True)):
            upper = certificate("Upper", key, "Root", ROOT_KEY, ca=True, length=length)
            token = self.below(self.between("Upper", key), upper)
            if right:
                self.assert_proved(token)
            else:
                self.assert_does_not_hold(token, BELOW)

    def test_one_right_chain_is_enough(self):
        expired = self.between(years=(2020, 2023), serial=8)
        self.assert_proved(self.below(expired, self.between()))
        self.assert_proved(self.below(self.between(), expired))

    def test_a_chain_in_a_ring_ends(self):
        ring = [certificate("Between", BETWEEN_KEY, "Upper", OTHER_KEY, ca=True),
                certificate("Upper", OTHER_KEY, "Between", BETWEEN_KEY, ca=True)]
        self.assert_not_checked(self.below(*ring))
        many = [certificate("Between", BETWEEN_KEY, "Between", BETWEEN_KEY, ca=True, serial=serial)
                for serial in range(20, 32)]
        self.assert_does_not_hold(self.below(*many), "more certificates than can be tried")

    def test_the_issuer_is_found_before_anything_else_is_said_of_the_chain(self):
        """With a root that does not sign it, an expired chain is not checked; with the one that does it is not right."""
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0")
        for token in (self.token(signer=signer(years=(2020, 2023))), self.below(self.between(years=(2020, 2023))),
                      self.below(self.between(usage=CODE)), self.below(self.between(ca=False)),
                      self.token(signer=signer(more=[(unknown, True)])), self.below(self.between(more=[(unknown, True)]))):
            for root in (OTHER_ROOT, ROOT_NAMESAKE):
                self.assert_not_checked(token, root=root)
            self.assert_does_not_hold(token, BELOW)

    def test_a_root_that_signs_in_another_way_signs_nothing_here(self):
        for key, hash_, more in (
            (ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)), None, {}),
            (rsa_key(1024), hashes.SHA256(), {}),
            (rsa_key(2048), hashes.SHA256(), {"rsa_padding": PSS(MGF1(hashes.SHA256()), 32)}),
        ):
            root = certificate("Root", key, "Root", key, ca=True, hash_=hash_, **more)
            own = signer(issuer_key=key, hash_=hash_, **more)
            self.assert_not_checked(self.token(signer=own), root=root)

    def test_the_name_that_is_said(self):
        only = stamping.named("Only Org", NameOID.ORGANIZATION_NAME)
        for subject, wanted in ((only, "Only Org"), (x509.Name([]), "an authority without a name")):
            own = certificate(subject, SIGNER_KEY, "Root", ROOT_KEY, usage=STAMPING)
            self.assertEqual(self.assert_proved(self.token(signer=own))["according_to"], wanted)


class GivenUp(Stamped):
    def test_a_time_stamp_from_before_counts_for_a_key_that_was_given_up(self):
        """Its latest time counts, accuracy and all."""
        signed = checkpoint(2, root_of(sample().log()[:2]), key=NEW_KEY, signer=OTHER)
        given_up = statement(2, root_of(sample().log()[:2]), old=NEW_KEY, new=KEY, signers=(OTHER, SIGNER),
                             reason="compromised")
        for seconds, right in ((899, True), (900, False)):
            content = info(sha256(signed).digest(), accuracy=der(0x30, number(seconds)))
            bundle = self.bundle(stamping.token(b"", content=content), signed, succession=frame(1, given_up))
            bundle.shown_batches, bundle.states = [0, 1], {}
            if right:
                self.assert_holds(bundle, key=NEW_KEY, root=ROOT)
            else:
                self.assert_refused(bundle, "no proved anchor is from before", key=NEW_KEY, root=ROOT)
            self.assert_refused(bundle, "no proved anchor is from before", key=NEW_KEY, root=OTHER_ROOT)


class Fixture(unittest.TestCase):
    def setUp(self):
        lines = ledger.unzipped((vectors.FIXTURES / "bundle.zip").read_bytes())["anchors.jsonl"].splitlines()
        found = next(one for one in map(json.loads, lines) if one["kind"] == "time-stamp")
        self.imprint = sha256(found["checkpoint"].encode()).digest()
        self.token = base64.b64decode(found["proof"])

    def asked(self, token: bytes) -> str | None:
        return proved(read(token, self.imprint), [FIXTURE_ROOT])

    def test_the_token_of_the_fixture_holds(self):
        self.assertEqual(self.asked(self.token), "Sample stamps")
        with self.assertRaisesRegex(Malformed, "over something else"):
            read(self.token, bytes(32))

    def test_a_token_that_is_cut_or_goes_on(self):
        for token in [self.token[:length] for length in range(len(self.token))] + [self.token + b"\0"]:
            with self.assertRaises(Malformed):
                self.asked(token)

    def test_no_damage_is_proved_or_ends_in_another_error(self):
        for at in range(len(self.token)):
            for bit in range(8):
                damaged = self.token[:at] + bytes([self.token[at] ^ 1 << bit]) + self.token[at + 1 :]
                try:
                    found = self.asked(damaged)
                except Malformed:
                    continue
                self.assertIsNone(found, f"byte {at}, bit {bit}")


if __name__ == "__main__":
    unittest.main()
