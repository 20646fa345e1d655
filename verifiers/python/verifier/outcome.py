"""How a check ends when it does not end well. Reasons name a record or a member, never what it says."""


class NotABundle(Exception):
    """The file does not begin as a bundle does."""


class DoesNotHold(Exception):
    """A bundle, and one of its claims is not true. The text names the record or the member."""


class Unusable(Exception):
    """A file that was given beside the bundle is not what it should be: it says nothing about the bundle."""


# A checkpoint is under a kilobyte; its proofs are some kilobytes for each checkpoint that was handed out before.
FILE_BYTES_MAX = 16 * 1024 * 1024


def read_file(path: str) -> bytes:
    """A file that was given beside the bundle."""
    with open(path, "rb") as file:
        raw = file.read(FILE_BYTES_MAX + 1)
    if len(raw) > FILE_BYTES_MAX:
        raise Unusable(f"{path}: too long for what it should be")
    return raw


def require(condition: bool, reason: str) -> None:
    if not condition:
        raise DoesNotHold(reason)
