"""What the evidence opened and what it shows locked, as stretches: what step 8 is checked against."""

from bisect import bisect_right

from .outcome import DoesNotHold

ORDINAL_BITS = 32
BOUND_BYTES = 256 * 1024 * 1024
# Two numbers of up to 96 bits in two lists, as CPython 3.11 keeps them.
STRETCH_BYTES = 88
# A capture of several chunks under way, or a row of key ids, with its place in a dict.
ENTRY_BYTES = 400


class Bound:
    """What may be kept of one bundle. A bundle that needs more is refused, not half checked."""

    __slots__ = ("left",)

    def __init__(self, size_bytes: int = BOUND_BYTES):
        self.left = size_bytes

    def take(self, size_bytes: int) -> None:
        self.left -= size_bytes
        if self.left < 0:
            raise DoesNotHold("evidence: more to remember than this program may keep; ask for a smaller bundle")


class Stretches:
    """A set of numbers that come mostly in order. Numbers that follow one another cost nothing."""

    __slots__ = ("_starts", "_ends", "_bound", "_ordered")

    def __init__(self, bound: Bound):
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._bound, self._ordered = bound, True

    def add(self, value: int) -> None:
        ends = self._ends
        if ends and (value == ends[-1] + 1 or value == ends[-1]):
            ends[-1] = value
            return
        self._bound.take(STRETCH_BYTES)
        self._ordered = self._ordered and (not ends or value > ends[-1])
        self._starts.append(value)
        ends.append(value)

    def add_all(self, other: "Stretches") -> None:
        self._starts += other._starts
        self._ends += other._ends
        self._ordered = False

    def __contains__(self, value: int) -> bool:
        if not self._ordered:
            self._order()
        at = bisect_right(self._starts, value) - 1
        return at >= 0 and value <= self._ends[at]

    def _order(self) -> None:
        starts, ends = [], []
        for start, end in sorted(zip(self._starts, self._ends)):
            if ends and start <= ends[-1] + 1:
                ends[-1] = max(ends[-1], end)
            else:
                starts.append(start)
                ends.append(end)
        self._starts, self._ends, self._ordered = starts, ends, True


def message(position: int, ordinal: int) -> int:
    return position << ORDINAL_BITS | ordinal


class Locks:
    """Wraps of captures, or items, that no key was disclosed for, by the row of key ids that lock them."""

    def __init__(self, bound: Bound):
        self._by_keys: dict[bytes, Stretches] = {}
        self._bound = bound
        self.dead, self.live = Stretches(bound), Stretches(bound)

    def add(self, keys: bytes, value: int) -> None:
        stretches = self._by_keys.get(keys)
        if stretches is None:
            self._bound.take(ENTRY_BYTES + len(keys))
            stretches = self._by_keys[keys] = Stretches(self._bound)
        stretches.add(value)

    def settle(self, destroyed: set[bytes]) -> None:
        """When all destructions are known: a lock is dead when one of its secrets is gone."""
        for keys, stretches in self._by_keys.items():
            gone = any(keys[at : at + 16] in destroyed for at in range(0, len(keys), 16))
            (self.dead if gone else self.live).add_all(stretches)
        self._by_keys.clear()


class Capturing:
    """One capture while its chunks come."""

    __slots__ = ("position", "next", "commitment", "whole")

    def __init__(self, position: int, commitment: bytes):
        self.position, self.next, self.commitment, self.whole = position, 0, commitment, True


class Shown:
    """Filled by the walk over `evidence`, asked by the check of `messages.jsonl`."""

    def __init__(self, bound: Bound | None = None):
        self._bound = bound or Bound()
        self.captures, self._items = Stretches(self._bound), Stretches(self._bound)
        # Captures of which a key was disclosed, whole or not, and captures whose first chunk is shown without one.
        self._touched, self._locked = Stretches(self._bound), Stretches(self._bound)
        self._wraps, self._parts = Locks(self._bound), Locks(self._bound)
        self._under_way: dict[bytes, Capturing] = {}
        self._destroyed: set[bytes] = set()

    def chunk(self, position: int, capture_id: bytes, chunk: int, last: bool, commitment: bytes, opened: bool) -> None:
        if chunk == 0 and not opened:
            self._locked.add(position)
        if chunk == 0 and last:
            if opened:
                self.captures.add(position)
            return
        self._one_of_several(position, capture_id, chunk, last, commitment, opened)

    def _one_of_several(self, position, capture_id, chunk, last, commitment, opened) -> None:
        if chunk == 0:
            self._bound.take(ENTRY_BYTES)
            self._under_way[capture_id] = Capturing(position, commitment)
        capturing = self._under_way.get(capture_id)
        if capturing is None:
            return
        if opened and commitment == capturing.commitment:
            self._touched.add(capturing.position)
        in_order = chunk == capturing.next and commitment == capturing.commitment
        capturing.whole = capturing.whole and in_order and opened
        capturing.next = chunk + 1
        if last:
            if capturing.whole:
                self.captures.add(capturing.position)
            del self._under_way[capture_id]
            self._bound.take(-ENTRY_BYTES)

    def item(self, source: int, ordinal: int, keys: bytes, opened: bool) -> None:
        value = message(source, ordinal)
        if opened:
            self._items.add(value)
        else:
            self._parts.add(keys, value)

    def wrap(self, source: int, mixed: bool, keys: bytes) -> None:
        if not mixed and source not in self.captures:
            self._wraps.add(keys, source)

    def destruction(self, keys: bytes) -> None:
        for at in range(0, len(keys), 16):
            key_id = keys[at : at + 16]
            if key_id not in self._destroyed:
                self._bound.take(ENTRY_BYTES)
                self._destroyed.add(key_id)

    def settle(self) -> None:
        """After the last frame of evidence."""
        self._wraps.settle(self._destroyed)
        self._parts.settle(self._destroyed)

    def has_item(self, source: int, ordinal: int) -> bool:
        """Whether at least one item of the message is opened."""
        return message(source, ordinal) in self._items

    def is_erased(self, position: int, ordinal: int) -> bool:
        """Something that held the message is shown locked, all that could open it is destroyed, nothing opens it."""
        value = message(position, ordinal)
        opened = position in self.captures or position in self._touched or value in self._items
        could_open = position in self._wraps.live or value in self._parts.live
        capture = position in self._locked and position in self._wraps.dead
        return not opened and not could_open and (capture or value in self._parts.dead)
