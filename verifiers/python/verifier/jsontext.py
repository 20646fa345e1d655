"""JSON and times, strictly: JSON without doubled names and within bounds, times in the one spelling a bundle allows."""

import json
import math
import re
from datetime import datetime, timedelta

# Objects and arrays within one another.
DEPTH_MAX = 127
_EPOCH = datetime(1970, 1, 1)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?Z", re.ASCII)


class NotJson(Exception):
    """Not JSON, or JSON that says something twice."""


def parse(raw: bytes):
    """One JSON value, nothing beside it but white space."""
    try:
        text = raw.decode("utf-8")
        value = _DECODER.decode(text)
        if _depth(value) > DEPTH_MAX:
            raise ValueError("too deep")
        if "\\ud" in text.lower():
            # Halves of surrogate pairs are no text.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise NotJson("not JSON") from error
    return value


def spelled(value) -> bytes:
    """The one spelling: no spaces, UTF-8 as it is, and only what must be escaped escaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")


def has_shape(value, shape) -> bool:
    """Whether a value has just the fields of a shape, in its order. A shape is a dict of shapes, or a predicate."""
    if isinstance(shape, dict):
        return (
            isinstance(value, dict)
            and list(value) == list(shape)
            and all(has_shape(value[field], inner) for field, inner in shape.items())
        )
    return shape(value)


def is_number(value, bits: int = 64) -> bool:
    return type(value) is int and 0 <= value < 1 << bits


def is_string(value) -> bool:
    return isinstance(value, str)


def is_hex(digits: int):
    pattern = re.compile(rf"[0-9a-f]{{{digits}}}")
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def time_text(microseconds: int) -> str | None:
    """RFC 3339 in UTC; None for a time that has no such text (before year 1, after year 9999)."""
    try:
        when = _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return None
    fraction = f".{when.microsecond:06}".rstrip("0") if when.microsecond else ""
    return when.replace(microsecond=0).isoformat() + fraction + "Z"


def is_time(value) -> bool:
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None or (match[2] or "1").endswith("0"):
        return False
    try:
        datetime.fromisoformat(match[1])
    except ValueError:
        return False
    return True


def microseconds(time: str) -> int:
    """Since 1970, of a time that is one."""
    match = _TIME.fullmatch(time)
    seconds = (datetime.fromisoformat(match[1]) - _EPOCH) // timedelta(seconds=1)
    return seconds * 1_000_000 + int((match[2] or "").ljust(6, "0"))


def _depth(value) -> int:
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        if isinstance(one, (dict, list)):
            deepest = max(deepest, depth)
            waiting += [(inner, depth + 1) for inner in (one.values() if isinstance(one, dict) else one)]
    return deepest


def _number(text: str):
    """Whole numbers as they are, but for `-0`; all must be in the range of a double."""
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number out of range")
    return int(text) if _WHOLE.fullmatch(text) else value


def _once(pairs: list) -> dict:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name stands twice")
    return fields


def _no_constant(text: str):
    raise ValueError(f"{text} is not JSON")


_WHOLE = re.compile(r"0|-?[1-9][0-9]*")
_DECODER = json.JSONDecoder(
    object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_number, parse_float=_number
)
