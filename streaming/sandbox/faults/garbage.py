"""Frames that no exchange should send, made from frames that it did."""

import re

_CHECKSUM = re.compile(rb'("checksum":)(\d+)')


def garbage(frame: bytes, turn: int) -> bytes:
    """Truncated JSON, bytes that are no UTF-8, wrong types or an unknown channel, in turn."""
    kinds = (
        frame[: max(1, len(frame) // 2)],
        b"\xff\xfe" + frame[:16] + b"\xc3\x28",
        b'{"channel":"book","type":"update","data":[{"symbol":7,"bids":"none","asks":null,"checksum":-1}]}',
        b'{"channel":"nonsense","type":"update","data":[1e999]}',
        b"[]",
    )
    return kinds[(turn - 1) % len(kinds)]


def broken_checksum(frame: bytes) -> bytes:
    """The same frame with another checksum: every bit of the right one turned."""
    return _CHECKSUM.sub(lambda found: found[1] + b"%d" % (int(found[2]) ^ 0xFFFFFFFF), frame)
