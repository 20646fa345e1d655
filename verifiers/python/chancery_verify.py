#!/usr/bin/env python3
"""Checks an evidence bundle of Chancery without a network, without a server, and without trusting its maker.

Exit codes: 0 the bundle holds, 1 it does not hold, 64 wrong usage, 65 not a bundle, or a key or checkpoint file
that is none, 74 a file cannot be read.
"""

import argparse
import json
import sys

from verifier.notes import Key, Malformed
from verifier.outcome import Unusable
from verifier.outside import Outside, read_file
from verifier.steps import DOES_NOT_HOLD, HOLDS, NOT_A_BUNDLE, Verdict, verify

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
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(given)


def read_key(path: str) -> Key:
    try:
        return Key.parse(read_file(path).decode("utf-8").removesuffix("\n"))
    except (Malformed, UnicodeDecodeError) as error:
        raise Unusable(f"{path}: not a key in text form, as `zone.pub` of a bundle is") from error


def sentences(verdict: Verdict) -> str:
    if verdict.verdict != HOLDS:
        return f"{verdict.verdict}: {verdict.reason}"
    lines = [
        f"holds: {verdict.entries} entries and {verdict.items} items shown, {verdict.opened} of them opened, "
        f"{verdict.messages} messages, {verdict.gaps} gaps",
        f"origin: {verdict.origin}" + ("" if verdict.origin == "proved" else " (no key was given: --key ZONE.pub)"),
        f"checkpoint from outside: {verdict.outside_checkpoint}",
        "Nothing is claimed about records that are not in this bundle, beyond gaps.jsonl.",
    ]
    return "\n".join(lines)


def main(given: list[str]) -> int:
    wanted = arguments(given)
    try:
        key = read_key(wanted.key) if wanted.key else None
        checkpoint = Outside.read(wanted.checkpoint) if wanted.checkpoint else None
        with open(wanted.bundle, "rb", buffering=1 << 20) as file:
            verdict = verify(file, key, checkpoint)
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
