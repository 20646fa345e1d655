"""RFC 6962 trees over SHA-256: roots from a row of leaves and subtrees, inclusion, consistency."""

from hashlib import sha256

EMPTY = sha256(b"").digest()


def leaf(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Row:
    """The leaves of one tree from left to right, each shown or inside an omitted subtree."""

    __slots__ = ("count", "index", "_stack", "_omitted")

    def __init__(self, count: int):
        self.count, self.index = count, 0
        self._stack: list[tuple[int, bytes]] = []
        self._omitted = -1

    @property
    def done(self) -> bool:
        return self.index == self.count

    def shown(self, hash_: bytes) -> None:
        self._push(0, hash_)
        self._omitted = -1

    def omitted(self, height: int, hash_: bytes) -> bool:
        """Whether a subtree of this height may stand here; if so it is taken."""
        size = 1 << height
        if self.index % size or self.index + size > self.count:
            return False
        # The right half beside its left half would have been one subtree.
        if self._omitted == height and (self.index >> height) & 1:
            return False
        self._push(height, hash_)
        self._omitted = height
        return True

    def root(self) -> bytes:
        if not self._stack:
            return EMPTY
        stack = self._stack
        _, right = stack.pop()
        while stack:
            _, left = stack.pop()
            right = node(left, right)
        return right

    def _push(self, height: int, hash_: bytes) -> None:
        stack = self._stack
        self.index += 1 << height
        while stack and stack[-1][0] == height:
            hash_ = node(stack.pop()[1], hash_)
            height += 1
        stack.append((height, hash_))


def root_of(leaves: list[bytes]) -> bytes:
    row = Row(len(leaves))
    for hash_ in leaves:
        row.shown(hash_)
    return row.root()


def included(leaf_hash: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """RFC 9162, 2.1.3.2: the path has just the hashes it needs and leads to the root."""
    if index >= size:
        return False
    at, last, hash_ = index, size - 1, leaf_hash
    for sibling in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            hash_ = node(sibling, hash_)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            hash_ = node(hash_, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and hash_ == root


def consistent(old: int, new: int, path: list[bytes], old_root: bytes, new_root: bytes) -> bool:
    """RFC 9162, 2.1.4.2: the tree of `new` leaves begins with the tree of `old` leaves; 0 < old < new."""
    if not 0 < old < new or not path:
        return False
    if old & (old - 1) == 0:
        path = [old_root, *path]
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first, second = node(sibling, first), node(sibling, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = node(second, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def consistency_length(old: int, new: int) -> int:
    """How many hashes a consistency proof from `old` to `new` has; 0 < old < new. RFC 6962, 2.1.2."""
    length, whole = 0, True
    while old != new:
        half = 1 << ((new - 1).bit_length() - 1)
        if old <= half:
            new = half
        else:
            old, new, whole = old - half, new - half, False
        length += 1
    return length if whole else length + 1
