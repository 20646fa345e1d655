#!/usr/bin/env python3
"""Times one peer's parse of a WhatsApp export into a data frame, by its own documented route.

    parse_export.py PEER EXPORT.txt        PEER is whatstk or chat-miner

Prints one JSON object: peer, version, seconds, messages, peak_memory_bytes. The clock runs from the call
to the data frame; starting Python and importing the libraries are not counted, which favours the peer.
One process parses once: nothing is warm from a round before.
"""

import importlib.metadata
import json
import logging
import os
import resource
import sys
import time


def whatstk(path):
    from whatstk import df_from_whatsapp

    # Its limit of 50 MB guards a service; a benchmark lifts it.
    return lambda: df_from_whatsapp(path, max_size=None)


def chat_miner(path):
    from chatminer.chatparsers import WhatsAppParser

    logging.getLogger().setLevel(logging.ERROR)
    # Its progress bar is part of its normal route; where it goes costs nothing much.
    sys.stderr = open(os.devnull, "w", encoding="utf-8")

    def parse():
        parser = WhatsAppParser(path)
        parser.parse_file()
        return parser.parsed_messages.get_df()

    return parse


PEERS = {"whatstk": whatstk, "chat-miner": chat_miner}


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in PEERS:
        sys.exit(f"usage: parse_export.py {'|'.join(PEERS)} EXPORT.txt")
    peer, path = sys.argv[1:]
    parse = PEERS[peer](path)
    begin = time.perf_counter()
    frame = parse()
    seconds = time.perf_counter() - begin
    print(json.dumps({
        "peer": peer,
        "version": importlib.metadata.version(peer),
        "seconds": round(seconds, 4),
        "messages": len(frame),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }))


if __name__ == "__main__":
    main()
