#!/usr/bin/env python3
"""Writes a WhatsApp chat export as an Android phone with a British locale writes it.

    make_export.py MESSAGES OUT.txt [--seed N]
    make_export.py MESSAGES OUT.zip --files N [--file-bytes B]

Same arguments, same bytes. The chat is a group of six people; a message is about 80 bytes long with its
header, one in twelve spans several lines, one in two hundred names an omitted file, and a few system lines
stand between them. Days run past 12, so that every reader can tell the day from the month; the clock never
runs backwards. Words are common business ones in English, with some German, Spanish and Chinese, so that
not every character is one byte. Nobody in it exists. A zip holds the chat and a file for one message in N.
"""

import argparse
import datetime
import io
import random
import sys
import zipfile

PEOPLE = ["Amelia Hart", "Jonas Weber", "Lucía Romero", "陈伟", "Priya Nair", "+44 7700 900123"]

OPENINGS = ["ok", "good morning", "thanks", "as agreed", "please note", "quick question", "one more thing",
            "I checked", "the client says", "for tomorrow", "nochmals", "de acuerdo", "收到"]
MIDDLES = ["the contract for the Harbour account", "your offer of last week", "the price per unit",
           "the delivery to the second warehouse", "our call with compliance", "the signed order form",
           "the invoice of the fourth quarter", "the margin on the new line", "die Bestätigung der Bank",
           "el informe del trimestre", "下周的会议", "the draft that Jonas sent"]
ENDINGS = ["is ready", "needs a signature", "can wait until Monday", "was moved to 14:30", "looks right to me",
           "is still open, I will ask again", "comes with the post 📦", "has to be changed: see page 3", "👍",
           "bitte prüfen", "queda pendiente", "请确认"]
OMITTED = ["<Media omitted>", "IMG-20240131-WA0007.jpg (file attached)", "This message was deleted"]
SYSTEM = ["Messages and calls are end-to-end encrypted. Only people in this chat can read, listen to, or share them.",
          "Amelia Hart created group \"Harbour account\"", "Amelia Hart added you"]


def body(rng):
    if rng.random() < 0.005:
        return rng.choice(OMITTED)
    lines = [f"{rng.choice(OPENINGS)}, {rng.choice(MIDDLES)} {rng.choice(ENDINGS)}"]
    if rng.random() < 1 / 12:
        lines += [rng.choice(MIDDLES) for _ in range(rng.randint(1, 3))]
    elif rng.random() < 0.3:
        lines = [rng.choice(OPENINGS)]
    return "\n".join(lines)


def file_name(n):
    return f"IMG-20230113-WA{n:06}.jpg"


def write(messages, out, seed, files=0):
    """One message in `files` has a file; answers how many."""
    named = 0
    rng = random.Random(seed)
    # About two years of traffic however many messages there are, so that every month and day occurs.
    step = max(1, 2 * 365 * 24 * 3600 // max(1, messages))
    seconds = 0
    start = datetime.datetime(2023, 1, 13, 8, 0)
    for line in SYSTEM:
        out.write(f"{start:%d/%m/%Y, %H:%M} - {line}\n")
    for n in range(messages):
        seconds += rng.randint(0, 2 * step)
        when = start + datetime.timedelta(seconds=seconds)
        who, said = rng.choice(PEOPLE), body(rng)
        if files and n % files == 0:
            said = f"{file_name(named)} (file attached)"
            named += 1
        out.write(f"{when:%d/%m/%Y, %H:%M} - {who}: {said}\n")
    return named


def write_zip(messages, path, seed, files, file_bytes):
    chat = io.StringIO(newline="\n")
    named = write(messages, chat, seed, files)
    rng = random.Random(seed)
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("WhatsApp Chat with Harbour account.txt", chat.getvalue())
        for n in range(named):
            out.writestr(file_name(n), rng.randbytes(file_bytes))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("messages", type=int, help="how many, system lines not counted")
    arguments.add_argument("out", help="file to write")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--files", type=int, default=0, help="one message in so many has a file; writes a zip")
    arguments.add_argument("--file-bytes", type=int, default=256 * 1024, help="bytes of each")
    given = arguments.parse_args()
    if given.messages < 0:
        sys.exit("messages must not be negative")
    if given.files:
        return write_zip(given.messages, given.out, given.seed, given.files, given.file_bytes)
    with open(given.out, "w", encoding="utf-8", newline="\n") as out:
        write(given.messages, out, given.seed)


if __name__ == "__main__":
    main()
