"""The state of one pair's stream, in two parts, so that a commit writes only what it changed."""

from typing import NamedTuple


class Checkpoint(NamedTuple):
    """Two JSON objects, of one moment. The same `settled` as before need not be stored again."""

    settled: bytes  # some kilobytes, another one about once a minute
    recent: bytes  # some hundred bytes, another one with every batch
