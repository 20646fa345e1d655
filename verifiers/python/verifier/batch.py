"""Records of batches: the entries of a zone's log."""

import struct
from dataclasses import dataclass
from typing import Optional

from .outcome import require
from .wire import FORMAT, SUITE, Cursor, name

MAGIC = b"CHBATCH1"

_FIELDS = struct.Struct(">QI32sqq")


@dataclass(frozen=True)
class Batch:
    """`first` is a position; times in microseconds."""

    index: int
    first: int
    count: int
    root: bytes
    first_at: int
    last_at: int

    def follows(self, before: Optional["Batch"]) -> bool:
        """Positions have no holes, and a batch has at least one: as many positions are left out as batches, or more."""
        between = self.index - (before.index + 1 if before else 0)
        skipped = self.first - (before.first + before.count if before else 0)
        return skipped == 0 if between == 0 else 0 < between <= skipped


def decode_batch(cursor: Cursor, index: int, zone: str) -> Batch:
    """The record that the rest of the cursor is."""
    what = cursor.what = f"batch {index}"
    prefix = MAGIC + struct.pack(">HB", FORMAT, SUITE) + name(zone)
    require(cursor.take(len(prefix)) == prefix, f"{what}: not of this format, suite and zone")
    require(cursor.name() != b"", f"{what}: no node")
    batch = Batch(index, *cursor.fields(_FIELDS))
    cursor.end()
    require(batch.count > 0, f"{what}: an empty batch")
    require(batch.first + batch.count < 1 << 64, f"{what}: positions beyond the last")
    return batch
