#!/usr/bin/env python3
"""Checks an evidence bundle of Chancery without a network, without a server, and without trusting its maker.

Exit codes: 0 the bundle holds, 1 it does not hold, 64 wrong usage, 65 not a bundle, or a key or another file beside
it that is none, 74 a file cannot be read.
"""

import argparse
import json
import sys

from verifier.authority import read_roots
from verifier.notes import COSIGNATURE, ED25519, Key, Malformed
from verifier.outcome import Unusable, read_file
from verifier.outside import Outside
from verifier.steps import DOES_NOT_HOLD, HOLDS, NOT_A_BUNDLE, Verdict, verify
from verifier.succession import read_statement

EXIT = {HOLDS: 0, DOES_NOT_HOLD: 1, NOT_A_BUNDLE: 65}
USAGE, UNREADABLE = 64, 74


class Arguments(argparse.ArgumentParser):
    def error(self, message: str):
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def arguments(given: list[str]) -> argparse.Namespace:
    parser = Arguments(
        prog="chancery_verify.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="the file to check")
    parser.add_argument("--key", metavar="ZONE.pub", help="the zone's key, from somebody you trust; without it the "
                        "origin is not proved")
    parser.add_argument("--checkpoint", metavar="FILE", help="a checkpoint that was kept outside; FILE.proof beside it "
                        "is read when it is newer than the bundle")
    parser.add_argument("--witness", metavar="KEY", action="append", default=[], help="the key of a witness that you "
                        "trust, or a file with it; may stand more than once")
    parser.add_argument("--tsa-root", metavar="PEM", action="append", default=[], help="a file with the root "
                        "certificate of a time-stamping authority that you trust; may stand more than once")
    parser.add_argument("--succession", metavar="FILE", help="a statement that the zone published when it replaced "
                        "its key")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(given)


def read_key(path: str, kind: bytes = ED25519) -> Key:
    try:
        return Key.parse(read_file(path).decode("utf-8").removesuffix("\n"), kind)
    except (Malformed, UnicodeDecodeError) as error:
        raise Unusable(f"{path}: not a key in text form, as `zone.pub` of a bundle is") from error


def read_witness(given: str) -> Key:
    """A key in text form, or a file with one."""
    try:
        return Key.parse(given, COSIGNATURE)
    except Malformed:
        return read_key(given, COSIGNATURE)


def sentences(verdict: Verdict) -> str:
    if verdict.verdict != HOLDS:
        return f"{verdict.verdict}: {verdict.reason}"
    others = ", the others not checked (--witness KEY, --tsa-root PEM)"
    lines = [
        f"holds: {verdict.entries} entries and {verdict.items} items shown, {verdict.opened} of them opened, "
        f"{verdict.messages} messages, {verdict.gaps} gaps",
        f"origin: {verdict.origin}" + ("" if verdict.origin == "proved" else " (no key was given: --key ZONE.pub)"),
        f"checkpoint from outside: {verdict.outside_checkpoint}",
        f"anchors: {verdict.anchors}, {verdict.anchors_proved} of them proved"
        + (others if verdict.anchors_proved < verdict.anchors else ""),
        *(
            f"everything up to record {one['last_record']} existed before {one['before'] or 'a time after year 9999'}, "
            f"according to {shown(one['according_to'])} ({one['kind']})"
            for one in verdict.existed_before
        ),
        "Nothing is claimed about records that are not in this bundle, beyond gaps.jsonl.",
    ]
    return "\n".join(lines)


def shown(name: str) -> str:
    """A name out of a certificate, which may hold anything, on one line."""
    return "".join(character if character.isprintable() else "?" for character in name)


def main(given: list[str]) -> int:
    wanted = arguments(given)
    try:
        key = read_key(wanted.key) if wanted.key else None
        checkpoint = Outside.read(wanted.checkpoint) if wanted.checkpoint else None
        witnesses = [read_witness(given) for given in wanted.witness]
        roots = [root for path in wanted.tsa_root for root in read_roots(read_file(path), path)]
        statement = read_statement(wanted.succession) if wanted.succession else None
        with open(wanted.bundle, "rb", buffering=1 << 20) as file:
            verdict = verify(file, key, checkpoint, witnesses, roots, statement)
    except Unusable as error:
        print(error, file=sys.stderr)
        return EXIT[NOT_A_BUNDLE]
    except OSError as error:
        print(f"{error.filename or wanted.bundle}: {error.strerror}", file=sys.stderr)
        return UNREADABLE
    print(json.dumps(verdict.as_json()) if wanted.json else sentences(verdict))
    return EXIT[verdict.verdict]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
