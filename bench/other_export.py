#!/usr/bin/env python3
"""Writes the export that another phone would give of the same chat.

    other_export.py EXPORT.txt OTHER.txt

The other phone stands five hours further west, calls two of six people otherwise, lacks one message in a thousand, and tells
one in a thousand with another word. Same arguments, same bytes.
"""

import datetime
import re
import sys

HEADER = re.compile(r"^(\d\d)/(\d\d)/(\d{4}), (\d\d):(\d\d) - (.*)$", re.S)
CALLED = {"Amelia Hart": "Amelia (Harbour)", "陈伟": "Chen Wei"}


def records(lines):
    """A record and the lines that go on with it."""
    record = ""
    for line in lines:
        if HEADER.match(line) and record:
            yield record
            record = ""
        record += line
    if record:
        yield record


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    hours = datetime.timedelta(hours=5)
    last, moved = None, None
    with open(sys.argv[1], encoding="utf-8", newline="") as before, open(
        sys.argv[2], "w", encoding="utf-8", newline="\n"
    ) as after:
        for number, record in enumerate(records(before)):
            day, month, year, hour, minute, rest = HEADER.match(record).groups()
            if (day, month, year, hour, minute) != last:
                last = (day, month, year, hour, minute)
                when = datetime.datetime(int(year), int(month), int(day), int(hour), int(minute)) - hours
                moved = f"{when:%m/%d/%Y, %H:%M}"
            name, colon, text = rest.partition(": ")
            if colon:
                rest = CALLED.get(name, name) + colon + text
            if number % 1000 == 500:
                continue
            if number % 1000 == 700 and colon:
                rest = rest.rstrip("\n") + " not\n"
            after.write(f"{moved} - {rest}")


if __name__ == "__main__":
    main()
