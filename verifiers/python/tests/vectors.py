"""The golden vectors, read out of the specification's own text, and where the fixtures are."""

import re
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SPECIFICATION = ROOT / "docs/spec/evidence-format.md"
FIXTURES = ROOT / "crates/seal/fixtures/v1"
README = ROOT / "crates/seal/src/bundle/readme.txt"

_VECTOR = re.compile(r"^`([a-z0-9-]+)` — [^\n]*\n\n```\n([0-9a-f\n]+)```$", re.MULTILINE)


@lru_cache(maxsize=1)
def all_of_them() -> dict[str, bytes]:
    text = SPECIFICATION.read_text(encoding="utf-8").split("\n## Golden vectors\n")[1]
    return {name: bytes.fromhex(digits.replace("\n", "")) for name, digits in _VECTOR.findall(text)}
