"""One file with named entries in a chain of hashes: whoever changes a byte of it breaks the chain at that entry.

Each line is the chain's hash up to here (SHA-256, 64 hexadecimal digits), a space, and a JSON object: the entry's name
and its content, as text or in base64. The hash is that of the line before's hash followed by this line's JSON. The
first entry lists the names of all entries. The chain shows that the file is as it was written, not who wrote it: the
last hash, told by another way, does that.
"""

import binascii
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson

from trading.atomic_files import replace_file
from trading.errors import InvalidBundle, UnusableHome

CONTENTS = "contents"
FORMAT = "marketloom-decision/1"
MAX_BYTES = 256 * 1024 * 1024  # of a file, so that a stranger's cannot fill the memory
MAX_ENTRIES = 20_000
_START = "0" * 64


def write_entries(path: Path, entries: Mapping[str, bytes]) -> str:
    """Write the entries in their order, whole or not at all; returns the last hash of the chain."""
    names = [CONTENTS, *entries]
    first = orjson.dumps({"format": FORMAT, "entries": names})
    lines, chain = [], _START
    for name, content in ((CONTENTS, first), *entries.items()):
        body = orjson.dumps({"entry": name, **_shown(content)})
        chain = _next(chain, body)
        lines.append(f"{chain} ".encode() + body + b"\n")
    replace_file(path, b"".join(lines))
    return chain


def _shown(content: bytes) -> dict[str, str]:
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"base64": b64encode(content).decode()}


def _next(chain: str, body: bytes) -> str:
    return hashlib.sha256(chain.encode() + body).hexdigest()


def read_entries(path: Path) -> tuple[dict[str, bytes], str]:
    """Read every entry by its name, and the last hash. Nothing is written, and no name is taken for a path.

    InvalidBundle names the first entry that is not as it was written, or says what keeps the file from being one;
    UnusableHome where it cannot be read.
    """
    lines = _lines(path)
    names: list[str] = [CONTENTS]
    entries: dict[str, bytes] = {}
    chain = _START
    for number, line in enumerate(lines):
        name = names[number] if number < len(names) else f"number {number}"
        chain, entries[name] = _entry(name, line, chain)
        if number == 0:
            names = _names(entries[CONTENTS])
    if missing := names[len(entries) :]:
        raise InvalidBundle(f"entry {missing[0]} is missing: the file was cut off")
    return {name: content for name, content in entries.items() if name != CONTENTS}, chain


def _lines(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnusableHome(f"{path}: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise InvalidBundle(f"it is larger than {MAX_BYTES >> 20} MiB")
    lines = content.split(b"\n")
    if len(lines) > MAX_ENTRIES:
        raise InvalidBundle(f"it has more than {MAX_ENTRIES} lines")
    if lines.pop() != b"":  # what the last line ends with
        lines.append(b"")
    return lines


def _entry(name: str, line: bytes, before: str) -> tuple[str, bytes]:
    chain, _, body = line.partition(b" ")
    if chain.decode("latin-1") != _next(before, body):
        raise InvalidBundle(f"entry {name} was changed: its hash is not the one that was written")
    values = orjson.loads(body)
    if values.get("entry") != name:
        raise InvalidBundle(f"entry {name} is named {values.get('entry')!r}")
    try:
        return chain.decode(), values["text"].encode() if "text" in values else b64decode(
            values["base64"], validate=True
        )
    except (KeyError, AttributeError, binascii.Error, TypeError) as error:
        raise InvalidBundle(f"entry {name} cannot be read: {error}") from None


def _names(content: bytes) -> list[str]:
    values = orjson.loads(content)
    if values.get("format") != FORMAT:
        raise InvalidBundle(f"it is not a bundle of the format {FORMAT}")
    return [str(each) for each in values["entries"]]


def parts_of(name: str, digests: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the entry's name and the digest of each part of a table."""
    for number, digest in enumerate(digests, 1):
        yield f"{name}, part {number}", digest
