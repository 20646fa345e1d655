"""How one key of a zone took the place of another: the member `succession`, and who signs for the log."""

import re
from dataclasses import dataclass

from .container import Container
from .frames import frames
from .jsontext import is_time, microseconds
from .notes import Checkpoint, Key, Malformed, Note, from_base64, from_decimal
from .outcome import DoesNotHold, Unusable, read_file, require

STATEMENT = 1
STATEMENTS_MAX = 512

_TEXT = re.compile(
    r"chancery-succession/1\nold (.+)\nnew (.+)\nat (.+)\nreason (rotated|compromised)\nlast (.+) (.+)\n"
)


@dataclass(frozen=True)
class Statement:
    """`at` in microseconds; `size` and `root` of the last checkpoint that the old key signed."""

    old: Key
    new: Key
    at: int
    compromised: bool
    size: int
    root: bytes

    @classmethod
    def parse(cls, raw: bytes) -> "Statement":
        """One that holds."""
        note = Note.parse(raw)
        match = _TEXT.fullmatch(note.text)
        if match is None or not is_time(match[3]):
            raise Malformed("not a statement in its one spelling")
        root = from_base64(match[6])
        if len(root) != 32:
            raise Malformed("a root that is not 32 bytes")
        old, new = Key.parse(match[1]), Key.parse(match[2])
        if old.name != new.name or old == new:
            raise Malformed("not two keys of one log")
        if len(note.signatures) != 2 or not (note.signed_by(old) and note.signed_by(new)):
            raise Malformed("not signed by the old key and the new one alone")
        return cls(old, new, microseconds(match[3]), match[4] == "compromised", from_decimal(match[5]), root)

    def allows(self, checkpoint: Checkpoint) -> bool:
        """Whether the old key had signed such a checkpoint before it was replaced."""
        same = (checkpoint.size, checkpoint.root) == (self.size, self.root)
        return checkpoint.size < self.size or same


@dataclass(frozen=True)
class GivenUp:
    """Since when a key may be somebody else's too, and its place among those of the log: 0 is the oldest."""

    at: int
    place: int


@dataclass(frozen=True)
class Log:
    """The key of a bundle, the statements that lead to it, and one that came by another way."""

    key: Key
    statements: list[Statement]
    outside: Statement | None = None

    def place(self, key: Key) -> int | None:
        """Of a key among those of the log: 0 is the oldest."""
        keys = [statement.old for statement in self.statements] + [self.key]
        return keys.index(key) if key in keys else None

    def heeding(self, outside: Statement) -> "Log":
        """The same log, held to a statement from outside."""
        place = self.place(outside.old)
        require(place is not None, "the statement from outside: its old key is none of the bundle's")
        new = self.statements[place].new if place < len(self.statements) else outside.new
        require(new == outside.new, "the statement from outside: the bundle goes on with another new key")
        return Log(self.key, self.statements, outside)

    def given_up(self, key: Key) -> GivenUp | None:
        """By every statement that says so of the key that was given, or of one reached from it."""
        first, all_ = self.place(key), [*enumerate(self.statements)]
        if self.outside is not None:
            all_.append((self.place(self.outside.old), self.outside))
        found = [(one.at, place) for place, one in all_ if place >= first and one.compromised]
        return GivenUp(min(at for at, _ in found), min(place for _, place in found)) if found else None

    def allows(self, place: int, checkpoint: Checkpoint) -> bool:
        """Whether the key at this place had signed such a checkpoint before it was replaced."""
        said = self.statements[place : place + 1]
        if self.outside is not None and self.place(self.outside.old) == place:
            said = said + [self.outside]
        return all(statement.allows(checkpoint) for statement in said)

    def signed(self, raw: bytes) -> tuple[Checkpoint, int]:
        """A checkpoint signed by the log, and the place of the key that signed it."""
        note = Note.parse(raw)
        checkpoint = Checkpoint.parse(note.text)
        if checkpoint.origin != self.key.name:
            raise Malformed("of another log")
        keys = [statement.old for statement in self.statements] + [self.key]
        for place in reversed(range(len(keys))):
            if self.allows(place, checkpoint) and note.signed_by(keys[place]):
                return checkpoint, place
        raise Malformed("not signed by the log")


def read_statement(path: str) -> Statement:
    """A statement kept outside."""
    try:
        return Statement.parse(read_file(path))
    except Malformed as error:
        raise Unusable(f"{path}: not a statement that holds: {error}") from error


def read(container: Container, key: Key) -> Log:
    """The statements of step 2."""
    stream, statements = container.stream("succession"), []
    for kind, payload in frames(stream):
        what = f"succession, statement {len(statements)}"
        require(kind == STATEMENT, "succession: an unknown frame")
        require(len(statements) < STATEMENTS_MAX, "succession: too many statements")
        try:
            statement = Statement.parse(payload)
        except Malformed as error:
            raise DoesNotHold(f"{what}: {error}") from error
        follows = not statements or statements[-1].new == statement.old
        require(follows, f"{what}: its old key is not the new one of the statement before")
        statements.append(statement)
    stream.check_crc()
    require(not statements or statements[-1].new == key, "succession: does not lead to the key of the bundle")
    keys = [statement.old for statement in statements] + [key]
    require(len(set(keys)) == len(keys), "succession: a key that was replaced comes back")
    return Log(key, statements)
