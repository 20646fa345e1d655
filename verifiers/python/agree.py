#!/usr/bin/env python3
"""Prints a verdict for each case of a folder, so that another verifier can be compared by name.

DIR/NAME/bundle.zip is a case; zone.pub, checkpoint, checkpoint.proof, witness.pub, tsa-root.pem and succession
(a statement from outside) beside it are used when they are there.
One JSON object a line and case, sorted by name: `name`, and what `chancery_verify.py --json` says; the verdict is
`unusable` where the key or another file beside a bundle is none. Exit codes: 0 all cases were answered, whatever the answers; 64 wrong
usage; 74 a file cannot be read.
"""

import json
import sys
from pathlib import Path

from chancery_verify import UNREADABLE, USAGE, read_key
from verifier.authority import read_roots
from verifier.notes import COSIGNATURE
from verifier.outcome import Unusable, read_file
from verifier.outside import Outside
from verifier.steps import Verdict, verify
from verifier.succession import read_statement


def answer(case: Path) -> Verdict:
    key, checkpoint, witness = case / "zone.pub", case / "checkpoint", case / "witness.pub"
    root, statement = case / "tsa-root.pem", case / "succession"
    try:
        given = (
            read_key(str(key)) if key.exists() else None,
            Outside.read(str(checkpoint)) if checkpoint.exists() else None,
            [read_key(str(witness), COSIGNATURE)] if witness.exists() else [],
            read_roots(read_file(str(root)), str(root)) if root.exists() else [],
            read_statement(str(statement)) if statement.exists() else None,
        )
    except Unusable as error:
        return Verdict("unusable", reason=str(error))
    with open(case / "bundle.zip", "rb") as file:
        return verify(file, *given)


def main(given: list[str]) -> int:
    if len(given) != 1 or not Path(given[0]).is_dir():
        print("usage: agree.py DIR", file=sys.stderr)
        return USAGE
    try:
        for case in sorted(path for path in Path(given[0]).iterdir() if path.is_dir()):
            found = answer(case)
            print(json.dumps({"name": case.name} | found.as_json()))
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return UNREADABLE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
