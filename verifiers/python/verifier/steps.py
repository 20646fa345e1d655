"""The verification, in its order."""

import time
from dataclasses import asdict, dataclass
from typing import BinaryIO, Sequence

from cryptography.x509 import Certificate

from . import anchors, listing, manifest, outside, succession
from .anchors import Trusted
from .container import Container
from .frames import frames
from .jsontext import time_text
from .manifest import Manifest
from .notes import Key
from .outcome import DoesNotHold, NotABundle, require
from .outside import Outside
from .shown import Shown
from .succession import Statement
from .walk import Tally, Walk

HOLDS, DOES_NOT_HOLD, NOT_A_BUNDLE = "holds", "does not hold", "not a bundle"


@dataclass
class Verdict:
    """Numbers are null unless the bundle holds: nothing that was opened counts before the last step."""

    verdict: str
    origin: str = "not proved"
    outside_checkpoint: str = "none"
    entries: int | None = None
    items: int | None = None
    opened: int | None = None
    messages: int | None = None
    gaps: int | None = None
    anchors: int | None = None
    anchors_proved: int | None = None
    existed_before: list[dict] | None = None
    reason: str | None = None
    seconds: float = 0.0
    records_per_second: int | None = None

    def as_json(self) -> dict:
        return asdict(self)


def verify(
    file: BinaryIO, key: Key | None = None, checkpoint: Outside | None = None, witnesses: Sequence[Key] = (),
    roots: Sequence[Certificate] = (), statement: Statement | None = None,
) -> Verdict:
    """Checks one bundle. All but the file is what was got from elsewhere than the bundle."""
    begin, verdict = time.monotonic(), Verdict(HOLDS)
    try:
        _steps(file, key, checkpoint, Trusted(witnesses, roots), statement, verdict)
    except NotABundle as error:
        verdict = Verdict(NOT_A_BUNDLE, reason=str(error))
    except DoesNotHold as error:
        verdict = Verdict(DOES_NOT_HOLD, verdict.origin, verdict.outside_checkpoint, reason=str(error))
    verdict.seconds = round(time.monotonic() - begin, 3)
    if verdict.entries is not None:
        verdict.records_per_second = round((verdict.entries + verdict.items) / max(verdict.seconds, 0.001))
    return verdict


def _steps(
    file: BinaryIO, key: Key | None, checkpoint: Outside | None, trusted: Trusted, statement: Statement | None,
    verdict: Verdict,
) -> None:
    container = Container(file)
    own_key = manifest.zone_key(container)
    log = succession.read(container, own_key)
    if key is not None:
        require(log.place(key) is not None, "zone.pub: not the key that was given")
        verdict.origin = "proved"
        log = log if statement is None else log.heeding(statement)
    given_up = log.given_up(key) if key is not None else None
    stated = manifest.read(container, own_key)
    pinned = manifest.check_small_members(container, stated, own_key)
    allowed = log.allows(len(log.statements), pinned)
    require(allowed, "checkpoint: not among what its key signed before it was replaced")
    anchored = anchors.read(container, log, pinned, stated.zone, trusted)
    checkpoints = [anchor.checkpoint for anchor in anchored]
    wanted = {one.size for one in checkpoints} | ({checkpoint.size} if checkpoint else set())
    paths = outside.inner_proofs(container, pinned, wanted)
    outside.check_anchored(checkpoints, pinned, paths)
    covered = anchors.covered(anchored, given_up) if given_up else None
    verdict.outside_checkpoint = outside.compare(checkpoint, pinned, paths, log)
    stream, shown = container.stream("evidence"), Shown()
    walk = Walk(stated.zone, pinned, shown)
    walk.run(frames(stream))
    known = covered is None or walk.tally.last_shown <= covered
    require(known, f"record {walk.tally.last_shown}: not proved to be older than the loss of the key that was given")
    _check_numbers(stated, walk.tally, stream)
    verdict_messages = listing.check_messages(container, stated, shown)
    listing.check_gaps(container, stated, walk.tally)
    verdict.messages, verdict.gaps = verdict_messages, walk.tally.gaps
    verdict.anchors, verdict.anchors_proved = len(anchored), sum(bool(anchor.proved) for anchor in anchored)
    verdict.existed_before = [
        {"last_record": anchor.covers, "before": time_text(time), "according_to": by, "kind": anchor.kind}
        for anchor in anchored for time, by in anchor.proved
    ]
    verdict.entries, verdict.items, verdict.opened = walk.tally.entries, walk.tally.items, walk.tally.disclosed


def _check_numbers(stated: Manifest, tally: Tally, stream) -> None:
    """Step 7."""
    stream.check_crc()
    found = {
        "bytes": stream.size,
        "crc32": f"{stream.crc:08x}",
        "digest": tally.digest,
        "batches": tally.batches,
        "entries": tally.entries,
        "items": tally.items,
        "disclosed": tally.disclosed,
    }
    for name, value in found.items():
        require(stated.evidence[name] == value, f"evidence: `{name}` is not that of the manifest")
