"""How a check ends when it does not end well. Reasons name a record or a member, never what it says."""


class NotABundle(Exception):
    """The file does not begin as a bundle does."""


class DoesNotHold(Exception):
    """A bundle, and one of its claims is not true. The text names the record or the member."""


class Unusable(Exception):
    """A file that was given beside the bundle is not what it should be: it says nothing about the bundle."""


def require(condition: bool, reason: str) -> None:
    if not condition:
        raise DoesNotHold(reason)
