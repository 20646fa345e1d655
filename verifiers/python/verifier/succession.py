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
    """The key of a bundle, and the statements that lead to it."""

    key: Key
    statements: list[Statement]

    def knows(self, key: Key) -> bool:
        return key == self.key or any(key == statement.old for statement in self.statements)

    def given_up(self, key: Key, outside: Statement | None) -> GivenUp | None:
        """By the first statement that says so from the key that was given on; else by the one from outside."""
        first = next((n for n, statement in enumerate(self.statements) if statement.old == key), len(self.statements))
        for place in range(first, len(self.statements)):
            if self.statements[place].compromised:
                return GivenUp(self.statements[place].at, place)
        if outside is None:
            return None
        require(self.knows(outside.old), "the statement from outside: its old key is none of the bundle's")
        gives_up = outside.compromised and outside.old == self.key
        return GivenUp(outside.at, len(self.statements)) if gives_up else None

    def signed(self, raw: bytes) -> tuple[Checkpoint, int]:
        """A checkpoint signed by the log, and the place of the key that signed it: 0 is the oldest."""
        note = Note.parse(raw)
        checkpoint = Checkpoint.parse(note.text)
        if checkpoint.origin != self.key.name:
            raise Malformed("of another log")
        for place, statement in enumerate(self.statements):
            if statement.allows(checkpoint) and note.signed_by(statement.old):
                return checkpoint, place
        if not note.signed_by(self.key):
            raise Malformed("not signed by the log")
        return checkpoint, len(self.statements)


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
    return Log(key, statements)
