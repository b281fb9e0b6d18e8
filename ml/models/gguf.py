"""The file of a local model: that it is one, and which."""

import hashlib
from pathlib import Path

from trading.errors import InvalidModel

MAGIC = b"GGUF"
_PART = 1 << 20  # bytes that are read of each end: whole files have gigabytes


def fingerprint(path: Path) -> str:
    """Return 12 hexadecimal digits of the SHA-256 of size, first and last megabyte: header, and some of the weights.

    It tells files apart that differ there; it does not prove that a file was not tampered with. InvalidModel where
    the file is missing or is no GGUF.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            first = file.read(_PART)
            file.seek(max(0, size - _PART))
            last = file.read(_PART)
    except OSError as error:
        raise InvalidModel(
            f"{path}: {error.strerror}; give the path of a GGUF file that this user can read"
        ) from None
    if not first.startswith(MAGIC):
        raise InvalidModel(f"{path} is no GGUF file: it does not begin with {MAGIC.decode()}")
    return hashlib.sha256(b"%d|" % size + first + last).hexdigest()[:12]
